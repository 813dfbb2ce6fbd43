"""Metrics that experiments use: their meaning is locked, because results depend on it."""

from experiments.models import Experiment, ExperimentMetric


def metrics_in_use() -> dict[str, list[str]]:
    """The experiments that are not drafts, by metric. One query."""
    begun = ExperimentMetric.objects.exclude(experiment__status=Experiment.Status.DRAFT)
    found: dict[str, list[str]] = {}
    for name, key in begun.order_by("experiment__key").values_list("metric", "experiment__key"):
        found.setdefault(name, []).append(key)
    return found
