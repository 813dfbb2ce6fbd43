"""`/cost-and-quality/`: every domain and arm as a point, beside what a coin would reach."""

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from experiments.dashboards import traffic_charts, wording
from experiments.dashboards.filters import Filters
from experiments.dashboards.pages import page, show
from experiments.models import Domain, Experiment
from experiments.reports.plane import plane


@page()
def cost_quality(request: HttpRequest) -> HttpResponse:
    filters = Filters.from_request(request.GET)
    found = plane(filters.span(timezone.now()), filters.domain, filters.experiment)
    places = (*found.domains, *found.arms)
    context = {
        "answer": wording.plane(found),
        "plane": found,
        "chart": traffic_charts.plane(found) if places else None,
        "domain_choices": Domain.objects.values_list("name", flat=True),
        "experiment_choices": Experiment.objects.values_list("key", flat=True).order_by("key"),
    }
    return show(
        request,
        "pages/cost_quality.html",
        "domains",
        context,
        tab="cost_quality",
        filters=filters,
    )
