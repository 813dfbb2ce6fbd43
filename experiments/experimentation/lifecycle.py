"""The life of an experiment: started, paused, stopped, shipped. Each step is a revision."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from experiments.analysis.experiment.verdict_codes import VerdictCode
from experiments.configuration.document import experiment_document
from experiments.configuration.revisions import Author, revision
from experiments.configuration.rows import document_of, keys_of, queryset, write
from experiments.configuration.shapes import (
    ArmDocument,
    ArmPolicyDocument,
    ExperimentDocument,
    PolicyDocument,
)
from experiments.experimentation.checklists import arm_checks, cap_at_start, checklist
from experiments.models import Arm, Domain, Experiment, Phase
from experiments.models.base import new_seed
from experiments.models.domains import TargetKind
from experiments.storage.transactions import retried

DRAFT, RUNNING = Experiment.Status.DRAFT, Experiment.Status.RUNNING
PAUSED, STOPPED = Experiment.Status.PAUSED, Experiment.Status.STOPPED


class LifecycleError(Exception):
    """A step that is not possible. `problems` lists the reasons and what to do."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__(" ".join(problems))


class NotReadyToShipError(LifecycleError):
    """The verdict does not recommend this arm. `lines` are the verdict and the changes."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = tuple(lines)
        super().__init__([*lines, "To ship it anyway, confirm and give a reason."])


@retried
def start(experiment: Experiment, author: Author, now: datetime) -> None:
    """draft -> running. Raises LifecycleError with all failed checks."""
    with _step(experiment, author, "Started", DRAFT):
        checks = checklist(experiment, now.date())
        _require_all(check.message for check in checks if not check.passed)
        experiment.tuning_sample_size = _tuning_sample_size(experiment)
        experiment.cost_cap = cap_at_start(experiment, now.date())
        experiment.started_at = now
        experiment.status = RUNNING
        _open_phase(experiment, now)


@retried
def pause(experiment: Experiment, author: Author) -> None:
    """running -> paused: no units are enrolled, but outcomes are still recorded."""
    with _step(experiment, author, "Paused", RUNNING):
        experiment.status = PAUSED


@retried
def resume(experiment: Experiment, author: Author) -> None:
    """paused -> running, in the same phase: all units keep their arms."""
    with _step(experiment, author, "Resumed", PAUSED):
        experiment.status = RUNNING


@retried
def stop(
    experiment: Experiment, author: Author, now: datetime, *, reason: str, verdict: str
) -> None:
    """running or paused -> stopped. Stores the author, the reason and the current verdict."""
    with _step(experiment, author, f"Stopped ({reason})", RUNNING, PAUSED):
        _stop(experiment, author, now, reason, verdict)


@retried
def archive(experiment: Experiment, author: Author) -> None:
    """stopped or draft -> archived: it disappears from lists, its results remain."""
    with _step(experiment, author, "Archived", STOPPED, DRAFT):
        experiment.status = Experiment.Status.ARCHIVED


@retried
def ship(
    experiment: Experiment,
    arm_name: str,
    author: Author,
    now: datetime,
    *,
    verdict: str,
    anyway: str = "",
) -> None:
    """Writes an arm's policy into the domain (or all domains) and stops the experiment; only once.

    `verdict` is the current one. If it is not to ship, `anyway` is the reason for shipping
    (`shipping.ship` checks this). Raises LifecycleError.
    """
    against = f" although the verdict was {verdict or 'none'} ({anyway})" if anyway else ""
    done = f"Shipped arm {arm_name}{against} of"
    with _step(experiment, author, done, RUNNING, PAUSED, STOPPED):
        arm = require_shippable(experiment, arm_name)
        if verdict != VerdictCode.SHIP and not anyway:
            raise NotReadyToShipError([f"The verdict is {verdict or 'none'}, not ship."])
        if experiment.status != STOPPED:
            reason = f"Shipped {arm_name} anyway: {anyway}" if anyway else f"Shipped {arm_name}"
            _stop(experiment, author, now, reason[:500], verdict)
        for domain in [experiment.domain] if experiment.domain else Domain.objects.all():
            _ship_to(arm, domain)
        experiment.shipped_arm = arm_name
        experiment.ship_reason = anyway


def require_shippable(experiment: Experiment, arm_name: str) -> Arm:
    """The arm. Raises LifecycleError if it does not exist, an arm was shipped already, or the
    experiment never ran."""
    key = experiment.key
    if experiment.shipped_arm:
        raise LifecycleError(
            [
                f"Arm '{experiment.shipped_arm}' of experiment '{key}' was shipped already; an "
                "experiment ships only once. Clone it to run it again, or edit the domain."
            ]
        )
    if experiment.status not in (RUNNING, PAUSED, STOPPED):
        wanted = " or ".join((RUNNING, PAUSED, STOPPED))
        raise LifecycleError([f"Experiment '{key}' is {experiment.status}; it must be {wanted}."])
    arm = experiment.arms.filter(name=arm_name).first()
    if arm is None:
        names = ", ".join(experiment.arms.values_list("name", flat=True))
        raise LifecycleError([f"Unknown arm '{arm_name}'. Known arms: {names}."])
    return arm


@retried
def start_phase(
    experiment: Experiment,
    author: Author,
    now: datetime,
    change: Callable[[], Any],
    *,
    seed: str = "",
) -> None:
    """Runs `change`, which edits weights, arms or policies, as a new phase with a new seed: random,
    or the given one, for a reproducible history.

    Raises LifecycleError if the changed arms fail the checklist.
    """
    with _step(experiment, author, "New phase of", RUNNING, PAUSED):
        change()
        begin_phase(experiment, now, seed=seed)


def begin_phase(experiment: Experiment, now: datetime, *, seed: str = "") -> None:
    """Starts a phase for a change that is already written, inside a revision. The caller saves the
    experiment.

    Raises LifecycleError if these arms fail the checklist.
    """
    checks = arm_checks(experiment, now.date())
    _require_all(check.message for check in checks if not check.passed)
    experiment.phases.filter(ended_at=None).update(ended_at=now)
    experiment.seed = seed or new_seed()
    experiment.phase += 1
    _open_phase(experiment, now)


@retried
def clone(experiment: Experiment, key: str, author: Author) -> Experiment:
    """A draft with the same question, arms and metrics, and a new seed.

    Raises ValidationError for an invalid key.
    """
    copy = Experiment(key=key)
    with revision(author, f"Cloned experiment {experiment.key} as {key}"):
        write(ExperimentDocument, copy, experiment_document(experiment), f"experiments.{key}")
    return copy


@contextmanager
def _step(experiment: Experiment, author: Author, done: str, *statuses: str) -> Iterator[None]:
    """One step as one revision. Reads the row again under the lock, so that of two operators who
    take the same step the second gets an error."""
    with revision(author, f"{done} experiment {experiment.key}"[:500]):
        experiment.refresh_from_db()
        if experiment.status not in statuses:
            wanted = " or ".join(statuses)
            raise LifecycleError(
                [f"Experiment '{experiment.key}' is {experiment.status}; it must be {wanted}."]
            )
        yield
        experiment.save()


def _require_all(problems: Iterator[str]) -> None:
    found = list(problems)
    if found:
        raise LifecycleError(found)


def _tuning_sample_size(experiment: Experiment) -> int:
    """N* for the control and one treatment; the plan counts all arms."""
    weights = {arm.name: arm.weight for arm in experiment.arms.filter(is_control=False)}
    control = experiment.arms.get(is_control=True).weight
    share = (control + min(weights.values())) / (control + sum(weights.values()))
    return round((experiment.planned_units or 0) * share)


def _stop(experiment: Experiment, author: Author, now: datetime, reason: str, verdict: str) -> None:
    experiment.status = STOPPED
    experiment.stopped_at = now
    experiment.stopped_by = author if isinstance(author, str) else author.get_username()
    experiment.stop_reason = reason
    experiment.verdict = verdict
    experiment.phases.filter(ended_at=None).update(ended_at=now)


def _ship_to(arm: Arm, domain: Domain) -> None:
    """Keeps the domain's pair if the arm has none of its own. The domain gets the arm's fixed
    threshold, or follows the arm's target."""
    strong, weak = domain.strong_model, domain.weak_model
    _copy_policy(arm, domain)
    domain.calibrated_threshold = None
    domain.follows_target = arm.target_share is not None
    if arm.target_share is not None:
        domain.target_kind = TargetKind.STRONG_SHARE
        domain.target_strong_share = arm.target_share
    if arm.strong_model is None or arm.weak_model is None:
        domain.strong_model, domain.weak_model = strong, weak
    domain.save()


def _copy_policy(source: Arm, target: Domain | Arm) -> None:
    shape = ArmPolicyDocument if isinstance(target, Arm) else PolicyDocument
    for each in keys_of(shape):
        setattr(target, each.column, getattr(source, each.column))


def _open_phase(experiment: Experiment, now: datetime) -> None:
    arms = queryset(ArmDocument, Arm).filter(experiment=experiment)
    Phase.objects.create(
        experiment=experiment,
        number=experiment.phase,
        seed=experiment.seed,
        arms=[document_of(ArmDocument, arm) for arm in arms],
        started_at=now,
    )
