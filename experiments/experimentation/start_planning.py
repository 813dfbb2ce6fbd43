"""Writes a proposed size into an experiment's plan."""

from experiments.analysis.experiment.power import SampleSize
from experiments.configuration.revisions import Author, revision
from experiments.experimentation.lifecycle import LifecycleError
from experiments.models import Experiment
from experiments.storage.transactions import retried


@retried
def take_over(experiment: Experiment, size: SampleSize, author: Author) -> None:
    """Sets a draft's planned units. Raises LifecycleError if it has started."""
    with revision(author, f"Planned {size.units} units for experiment {experiment.key}"):
        experiment.refresh_from_db()
        if not experiment.is_draft:
            raise LifecycleError([f"Experiment '{experiment.key}' has started: its plan is fixed."])
        experiment.planned_units = size.units
        experiment.save()
