"""Which metrics experiments are judged by: their meaning stays, or results would change."""

from experiments.models import Experiment, ExperimentMetric


def metrics_in_use() -> dict[str, list[str]]:
    """The experiments past their draft by the metric they name. One query."""
    begun = ExperimentMetric.objects.exclude(experiment__status=Experiment.Status.DRAFT)
    found: dict[str, list[str]] = {}
    for name, key in begun.order_by("experiment__key").values_list("metric", "experiment__key"):
        found.setdefault(name, []).append(key)
    return found
