"""Creates and edits experiments: a draft without limits, a running one as its locks permit."""

from datetime import datetime

from experiments.configuration.document import experiment_document
from experiments.configuration.experiment_section import write_values
from experiments.configuration.revisions import Author, revision
from experiments.configuration.shapes import Document
from experiments.experimentation.lifecycle import LifecycleError, start_phase
from experiments.models import Experiment
from experiments.storage.transactions import retried

ACTIVE = (Experiment.Status.RUNNING, Experiment.Status.PAUSED)


@retried
def create(key: str, values: Document, author: Author) -> Experiment:
    """A draft. `values` are as in a configuration file. Raises ValidationError."""
    if Experiment.objects.filter(key=key).exists():
        raise LifecycleError([f"Experiment '{key}' already exists. Choose another key."])
    experiment = Experiment(key=key)
    with revision(author, f"Created experiment {key}"):
        write_values(experiment, values)
    return experiment


@retried
def edit(experiment: Experiment, values: Document, author: Author, now: datetime) -> Experiment:
    """Writes the fields in `values`. In an experiment under way, changed arms start a new phase.

    Raises ValidationError, LifecycleError, and LockedError for fields that it depends on.
    """
    key = experiment.key
    if experiment.status == Experiment.Status.ARCHIVED:
        raise LifecycleError([f"Experiment '{key}' is archived. Clone it to continue."])
    wanted = dict(values)
    if wanted.get("arms") == experiment_document(experiment)["arms"]:
        del wanted["arms"]
    if "arms" in wanted and experiment.status in ACTIVE:
        start_phase(experiment, author, now, lambda: write_values(experiment, wanted))
        return experiment
    with revision(author, f"Edited experiment {key}"):
        experiment.refresh_from_db()
        write_values(experiment, wanted)
    return experiment
