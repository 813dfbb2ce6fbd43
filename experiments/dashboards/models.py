"""`/models/`: the cost, ratings and price of each model, and which models keep failing."""

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from experiments.analytics.circuit_breakers import open_breakers
from experiments.analytics.model_use import model_use
from experiments.dashboards import wording
from experiments.dashboards.filters import Filters
from experiments.dashboards.pages import page, show
from experiments.models import Domain


@page("experiments.view_languagemodel")
def models(request: HttpRequest) -> HttpResponse:
    filters, now = Filters.from_request(request.GET), timezone.now()
    uses = model_use(filters.span(now), now.date(), filters.domain)
    breakers = open_breakers(now)
    context = {
        "answer": wording.models(uses, filters.when, list(breakers)),
        "used": [use for use in uses if use.sums.decisions],
        "uses": uses,
        "open_breakers": breakers,
        "domain_choices": Domain.objects.values_list("name", flat=True),
    }
    return show(request, "pages/models.html", "models", context, tab="models", filters=filters)
