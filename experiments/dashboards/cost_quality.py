"""`/cost-and-quality/`: every domain and arm as a point, compared with a random router."""

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from experiments.analytics.cost_quality import plane
from experiments.dashboards import plane_wording
from experiments.dashboards.filters import Filters
from experiments.dashboards.pages import page, show
from experiments.dashboards.palette import SeriesStyle, of_series
from experiments.dashboards.plane_charts import plane_charts
from experiments.models import Arm, Domain, Experiment


@page()
def cost_quality(request: HttpRequest) -> HttpResponse:
    filters = Filters.from_request(request.GET)
    found = plane(filters.span(timezone.now()), filters.domain, filters.experiment)
    places = (*found.domains, *found.arms)
    context = {
        "answer": plane_wording.plane(found),
        "charts": plane_charts(found, looks_of_arms()) if places else None,
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


def looks_of_arms() -> dict[str, SeriesStyle]:
    """Every arm's style, as on its experiment's page, by the name of its point."""
    arms: dict[str, list[Arm]] = {}
    for arm in Arm.objects.select_related("experiment").order_by("position", "pk"):
        arms.setdefault(arm.experiment.key, []).append(arm)
    return {
        f"{key}: {name}": look
        for key, rows in arms.items()
        for name, look in of_series(
            [arm.name for arm in rows],
            control=next((arm.name for arm in rows if arm.is_control), None),
        ).items()
    }
