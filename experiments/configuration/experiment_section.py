"""Experiments in a configuration file: drafts are written, other experiments must be unchanged.

A file never changes an experiment's status, phase or seed, so these keys are ignored.
"""

from collections.abc import Iterator

from django.core.exceptions import ValidationError

from experiments.configuration.rows import keys_of, placed, write
from experiments.configuration.shapes import Document, ExperimentDocument, Exported
from experiments.core.bucketing import weights_problem
from experiments.models import Experiment


def problems_of(section: Document, now: Document) -> Iterator[str]:
    """Experiments that are not drafts and that the file would change."""
    written = [each.key for each in keys_of(ExperimentDocument) if not each.mark(Exported)]
    for key, values in section.items():
        known = now.get(key)
        if known is None or known["status"] == Experiment.Status.DRAFT:
            continue
        for name in written:
            if name in values and values[name] != known[name]:
                yield (
                    f"experiments.{key}: it is {known['status']}, so its {name} is locked. "
                    "Change it in the admin, or clone the experiment."
                )


def write_experiments(section: Document) -> None:
    for key, values in section.items():
        row = Experiment.objects.filter(key=key).first() or Experiment(key=key)
        if not row.is_draft:
            continue
        try:
            write_values(row, values)
        except ValidationError as error:
            raise placed(error, f"experiments.{key}") from error


def write_values(row: Experiment, values: Document) -> None:
    """Writes the given values to the row, its arms and its metrics. Raises ValidationError."""
    write(ExperimentDocument, row, values, f"experiments.{row.key}")
    weights = list(row.arms.values_list("weight", flat=True)) if "arms" in values else []
    if weights and (problem := weights_problem(weights)):
        raise ValidationError({"arms": problem})
