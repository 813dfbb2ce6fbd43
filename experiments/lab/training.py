"""Trains a router on an outcome set: creates a checkpoint and a router row.

The row is part of a new revision, which every process loads. No policy uses the router yet: it goes
live through an experiment. Rolling the revision back removes it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from django.conf import settings
from django.db.models import QuerySet

from experiments.analysis.routing.usefulness import CONSTANT, NO_BETTER_THAN_RANDOM
from experiments.background.tasks import Running
from experiments.configuration.revisions import Author, revision
from experiments.lab.columns import Floats, OutcomeColumns
from experiments.lab.datasets import columns, find_set
from experiments.lab.rated_decisions import PRODUCTION
from experiments.models import OutcomeSet, RecordedOutcome, Router
from experiments.routers.checkpoints import MANIFEST_FILE, CheckpointError, Manifest, read_manifest
from experiments.routers.kinds import check_name
from experiments.routers.outcomes import OutcomesError
from experiments.routers.training.training_data import TrainingSet
from experiments.storage.lab_files import with_local_paths, with_stored_paths
from experiments.storage.transactions import retried

STRONG, WEAK = "strong", "weak"
SHORTCOMINGS = {
    CONSTANT: "gives every prompt the same score",
    NO_BETTER_THAN_RANDOM: "is no better than random on held-out prompts",
}
_CHUNK = 5_000


class TrainedRouter(NamedTuple):
    """`name` is that of the new router row."""

    name: str
    folder: Path
    manifest: Manifest


class TrainingRequest(NamedTuple):
    """A training request: a router of this name and kind, from this set."""

    name: str
    kind: str
    outcomes: str
    domain: str = ""
    seed: int = 0


def train(
    order: TrainingRequest,
    author: Author,
    *,
    data: TrainingSet | None = None,
    advance: Callable[[int, int], object] = lambda done, total: None,
    log: Callable[[str], object] = lambda line: None,
) -> TrainedRouter:
    """`data` are the outcomes if they come from a file and not from a set.

    Raises NoOutcomeSetError, OutcomesError, TooFewPromptsError, RouterConfigurationError.
    """
    # Imports scikit-learn, which only a process that trains should load.
    from experiments.routers.training.job import TrainingJob  # noqa: PLC0415

    check_name(order.name)
    if data is None:
        data = training_set(find_set(order.outcomes), order.domain)
    job = TrainingJob(order.kind, data, order.outcomes, order.seed, advance=advance, log=log)
    for name, value in job.evidence().items():
        log(f"{name.replace('_', ' ').capitalize()}: {value}.")
    building = Path(settings.LAB_DIR) / "routers" / order.name / f"building-{order.kind}"
    job.run(building)
    manifest = read_manifest(building, order.kind)
    folder = building.with_name(manifest.sha256[:12])
    _replace(building, folder)
    name = register(order.name, order.kind, folder, manifest, author)
    if poor := SHORTCOMINGS.get(manifest.shortcoming):
        log(f"Router '{name}' {poor}. It is not offered for domains and experiments.")
    else:
        log(f"Router '{name}' is ready. No policy uses it yet: try it in an experiment.")
    return TrainedRouter(name, folder, manifest)


def train_in_background(
    running: Running, *, name: str, kind: str, outcomes: str, domain: str, seed: int, by: str
) -> dict[str, Any]:
    found = train(
        TrainingRequest(name, kind, outcomes, domain, seed),
        by,
        advance=running.advance,
        log=running.log,
    )
    return {"router": found.name, "measured": dict(found.manifest.measured)}


@retried
def register(name: str, kind: str, folder: Path, manifest: Manifest, author: Author) -> str:
    """A router row for the checkpoint, as a revision. If the name is taken, a number is appended,
    so that a router in use is never replaced. Returns the name; the same weights have one row."""
    same = Router.objects.filter(kind=kind, checkpoint=manifest.sha256).first()
    if same is not None:
        return same.name
    free, number = name, 1
    while Router.objects.filter(name=free).exists():
        number += 1
        free = f"{name}_{number}"
    row = Router(
        name=free,
        kind=kind,
        arguments=with_stored_paths({"checkpoint_path": str(folder)}),
        checkpoint=manifest.sha256,
    )
    row.full_clean()
    with revision(author, f"Trained router {free} on {manifest.made_from}"):
        row.save()
    return free


def training_set(outcome_set: OutcomeSet, domain: str = "") -> TrainingSet:
    """Rows without prompt and embedding are left out. Raises OutcomesError."""
    whole = columns(outcome_set, with_inputs=True).of_domain(domain)
    usable = _usable(whole)
    if not usable.any():
        raise OutcomesError(
            f"No prompt of '{outcome_set.name}' was stored. Set 'what is kept of a prompt' of its "
            "domains to numbers or text."
        )
    models, quality = _qualities(outcome_set, whole)
    inputs = whole.inputs
    found = TrainingSet(
        prompts=inputs.prompts if inputs else (),
        models=models,
        quality=quality,
        propensity=whole.propensity,
        domains=tuple(whole.domains.tolist()),
        groups=tuple(whole.groups.tolist()),
        kept_embeddings=inputs.embeddings if inputs else {},
    ).where(usable)
    try:
        _ = found.judged
    except ValueError as error:
        raise OutcomesError(str(error)) from error
    return found


def manifest_of(row: Router) -> Manifest | None:
    """The manifest of a trained router's checkpoint, if it can be read."""
    path = with_local_paths(row.arguments).get("checkpoint_path")
    if not path or not (Path(path) / MANIFEST_FILE).is_file():
        return None
    try:
        return read_manifest(Path(path), row.kind)
    except CheckpointError:
        return None


def shortcoming_of(row: Router) -> str:
    """Why a trained router is not offered, as words that follow its name; "" if it is."""
    manifest = manifest_of(row)
    return SHORTCOMINGS.get(manifest.shortcoming, "") if manifest else ""


def offered_routers(current: int | None = None) -> QuerySet[Router]:
    """The routers to choose from: without those that have a shortcoming, apart from `current`."""
    poor = [row.pk for row in Router.objects.all() if row.pk != current and shortcoming_of(row)]
    return Router.objects.exclude(pk__in=poor)


def _usable(whole: OutcomeColumns) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    if whole.inputs is None:
        return np.zeros(len(whole), dtype=bool)
    kept = whole.inputs.embeddings
    return np.array(
        [bool(prompt) or row in kept for row, prompt in enumerate(whole.inputs.prompts)], dtype=bool
    )


def _qualities(outcome_set: OutcomeSet, whole: OutcomeColumns) -> tuple[tuple[str, ...], Floats]:
    """The pair, or all models that every row scores: strong first, weak last."""
    pair = np.column_stack((whole.strong, whole.weak))
    strong, weak = outcome_set.strong_model or STRONG, outcome_set.weak_model or WEAK
    if outcome_set.name == PRODUCTION:
        return (strong, weak), pair
    by_row = _scores(outcome_set, whole)
    shared = set.intersection(*map(set, by_row))
    between = sorted(shared - {strong, weak})
    if not between:
        return (strong, weak), pair
    middle = np.array([[scores[model] for model in between] for scores in by_row])
    order = np.argsort(-middle.mean(axis=0), kind="stable")
    names = tuple(between[column] for column in order.tolist())
    return (strong, *names, weak), np.column_stack((whole.strong, middle[:, order], whole.weak))


def _scores(outcome_set: OutcomeSet, whole: OutcomeColumns) -> list[dict[str, float]]:
    rows = RecordedOutcome.objects.filter(outcome_set=outcome_set).order_by("id")
    wanted = set(whole.ids.tolist())
    found = rows.values_list("id", "scores").iterator(chunk_size=_CHUNK)
    return [scores for row_id, scores in found if row_id in wanted]


def _replace(building: Path, folder: Path) -> None:
    """Keeps an existing folder, which has the same weights."""
    if folder.exists():
        for file in building.iterdir():
            file.unlink()
        building.rmdir()
    else:
        building.rename(folder)
