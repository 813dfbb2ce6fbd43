"""Guarded rollouts: raise a flag's percentage in steps, as far as the guards allow.

One round checks every open rollout once. It is safe to run twice, or on two machines: a round reads
the numbers without a lock, and acts under the configuration's lock unless the rollout has changed
in the meantime.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import transaction

from experiments.analysis.experiment.health import CheckStatus, HealthCheck
from experiments.configuration.revisions import Author, lock_configuration, revision
from experiments.experimentation.metrics import UnknownMetricError
from experiments.experimentation.text import health_message
from experiments.formatting import percentage as percent
from experiments.models import Flag, Rollout, RolloutStep
from experiments.rollouts.guards import guards_of
from experiments.rollouts.monitoring import RolloutCheck, look_at, recorded
from experiments.rollouts.steps import HUNDRED, PlannedStep, percentage_at, problem_of, steps_of
from experiments.rollouts.text import completed, worst_case
from experiments.storage.transactions import retried

AUTHOR = "rollout"
State = Rollout.State
WATCHED = (State.RUNNING, State.HELD)
ENDED = (State.COMPLETED, State.ROLLED_BACK)


class RolloutError(Exception):
    """A rollout that cannot be started or moved, with what to do."""

    def __init__(self, message: str) -> None:
        self.problems = [message]
        super().__init__(message)


@retried
def plan(values: dict[str, Any], author: Author) -> Rollout:
    """Creates a pending rollout, as a revision. Raises RolloutError if the flag already has an open
    one."""
    flag: Flag = values["flag"]
    with revision(author, f"Rollout of {flag.key}: planned"):
        return add_plan(values)


def add_plan(values: dict[str, Any]) -> Rollout:
    """Like `plan`, inside the caller's revision."""
    flag: Flag = values["flag"]
    with transaction.atomic():
        lock_configuration()
        if flag.rollouts.exclude(state__in=ENDED).exists():
            raise RolloutError(f"{flag} already has a rollout: finish it, or roll it back.")
        return Rollout.objects.create(**values)


@retried
def start(rollout: Rollout, author: Author, now: datetime) -> None:
    """pending -> running at its first step. Raises RolloutError."""
    with _locked(rollout, "started", State.PENDING):
        problem = problem_of(rollout)
        if problem:
            raise RolloutError(problem)
        rollout.before_percentage = rollout.flag.percentage
        rollout.started_at = now
        _enter(rollout, 0, author, now, "Started", worst_case_of(rollout))


def worst_case_of(rollout: Rollout) -> str:
    """The largest possible loss of the first step, for every guard."""
    share = float(percentage_at(rollout, 0) / HUNDRED) if rollout.steps else 0.0
    return worst_case([one.guard for one in guards_of(rollout)], share)


@retried
def advance(rollout: Rollout, author: Author, now: datetime) -> None:
    """ready -> the next step, or the end after the last."""
    with _locked(rollout, "advanced", State.READY):
        _enter_next(rollout, look_at(rollout, now), author, now, "Advanced")


@retried
def advance_anyway(rollout: Rollout, author: Author, now: datetime, reason: str) -> None:
    """The next step although a guard does not allow it. The reason is stored and repeated at the
    end. Raises RolloutError without a reason."""
    if not reason.strip():
        raise RolloutError("Give a reason: it is recorded and repeated when the rollout ends.")
    with _locked(rollout, "advanced", *WATCHED, State.READY):
        look = look_at(rollout, now)
        if look.waits_for:
            why = f"{reason.strip()} ({_name(author)})"
            said = f"Advanced without evidence: {why}"
            _enter(rollout, rollout.step + 1, author, now, said, without_evidence=why)
        else:
            _enter_next(rollout, look, author, now, "Advanced")


@retried
def lower_target(rollout: Rollout, percentage: Decimal, author: Author, now: datetime) -> None:
    """The rollout ends at `percentage`; later steps are removed. At the current percentage, it ends
    without another step. Raises RolloutError."""
    with _locked(rollout, "changed", State.PENDING, State.PAUSED, *WATCHED, State.READY):
        target, there = steps_of(rollout)[-1].percentage, rollout.treated_percentage
        if not _is_between(percentage, there, target):
            raise RolloutError(
                f"The target is {percent(target)} and the flag is at {percent(there)}: enter a "
                f"percentage of at least {percent(there)} and below {percent(target)}."
            )
        kept = [step for step in rollout.steps if Decimal(str(step[0])) < percentage]
        hours = next(step[1] for step in rollout.steps if Decimal(str(step[0])) >= percentage)
        rollout.steps = [*kept, [float(percentage), hours]]
        rollout.seen = {}
        _settle(
            rollout,
            rollout.state,
            author,
            now,
            f"The target is now {percent(percentage)}",
        )


@retried
def pause(rollout: Rollout, author: Author, now: datetime) -> None:
    """Keeps the percentage until the rollout is resumed."""
    with _locked(rollout, "paused", State.RUNNING, State.HELD, State.READY):
        _settle(rollout, State.PAUSED, author, now, "Paused")


@retried
def resume(rollout: Rollout, author: Author, now: datetime) -> None:
    """Continues. Raises RolloutError if the flag was changed by hand while it was paused."""
    with _locked(rollout, "resumed", State.PAUSED):
        problem = _moved_by_hand(rollout)
        if problem:
            raise RolloutError(problem)
        _settle(rollout, State.RUNNING, author, now, "Resumed")


@retried
def roll_back(rollout: Rollout, author: Author, now: datetime, reason: str) -> None:
    """The flag returns to its percentage before the rollout, or keeps its own if that is lower."""
    with _locked(rollout, "rolled back", *(state for state in State if state not in ENDED)):
        _roll_back(rollout, author, now, reason)


def advance_all(now: datetime, report: Callable[[str], None] = lambda _: None) -> None:
    """One round over every open rollout; `report` gets a line for each.

    Run it every minute: the first round that shows harm rolls back.
    """
    for rollout in Rollout.objects.filter(state__in=(*WATCHED, State.READY)):
        try:
            _check(rollout, now)
        except (RolloutError, UnknownMetricError) as error:
            report(f"{rollout.flag}: {error}")
        else:
            share = percent(rollout.flag.percentage)
            report(f"{rollout.flag}: {rollout.state} at {share}. {rollout.reason}")


@retried
def _check(rollout: Rollout, now: datetime) -> None:
    """Reads without the lock, then acts under it unless the rollout has changed since."""
    look, stood = look_at(rollout, now), _position(rollout)
    Rollout.objects.filter(pk=rollout.pk, phase=rollout.phase).update(seen=recorded(look))
    with _locked(rollout, "checked", *WATCHED, State.READY):
        if _position(rollout) == stood:
            _act_on(rollout, look, now)


def _position(rollout: Rollout) -> tuple[Any, ...]:
    return rollout.state, rollout.phase, rollout.step, rollout.steps, rollout.flag.percentage


@contextmanager
def _locked(rollout: Rollout, step: str = "", *states: str) -> Iterator[None]:
    """Locks the configuration for the block and reads the rollout and its flag again."""
    with transaction.atomic():
        lock_configuration()
        rollout.refresh_from_db()
        if states and rollout.state not in states:
            wanted = " or ".join(states)
            raise RolloutError(
                f"The rollout of {rollout.flag} is {rollout.state}; only one that is {wanted} "
                f"can be {step}."
            )
        yield


def _act_on(rollout: Rollout, look: RolloutCheck, now: datetime) -> None:
    step = steps_of(rollout)[rollout.step]
    over_at = _over_at(rollout, step)
    if look.harm:
        _roll_back(rollout, AUTHOR, now, look.harm)
    elif problem := _problem(rollout, look):
        _hold(rollout, now, problem)
    elif over_at is not None and now < over_at:
        missing = f" {look.waits_for}" if look.waits_for else ""
        _wait(rollout, now, f"Waits until {over_at:%Y-%m-%d %H:%M} UTC.{missing}")
    elif step.monitored and not look.compared:
        _hold(rollout, now, "No unit has been compared yet: check the domain's traffic.")
    elif look.waits_for:
        _wait(rollout, now, look.waits_for)
    elif over_at is not None:
        _enter_next(rollout, look, AUTHOR, now, "The guards allowed the next step")
    elif rollout.state != State.READY:
        _settle(rollout, State.READY, AUTHOR, now, "The guards allow the next step: advance it")


def _problem(rollout: Rollout, look: RolloutCheck) -> str | None:
    """Why the rollout may not advance, or None. Alarms do not matter at the last step."""
    alarm = _alarm(look.checks) if look.next_share is not None else None
    return _moved_by_hand(rollout) or alarm


def _alarm(checks: tuple[HealthCheck, ...]) -> str | None:
    return next(
        (health_message(check) for check in checks if check.status is CheckStatus.ALARM), None
    )


def _moved_by_hand(rollout: Rollout) -> str | None:
    """Why the rollout stops after a manual change of the flag, or None: it must not undo it."""
    wanted, there = percentage_at(rollout, rollout.step), rollout.flag.percentage
    if there == wanted:
        return None
    return (
        f"The flag was set to {percent(there)} by hand, but the step is {percent(wanted)}: set it "
        "back to continue, or roll back."
    )


def _over_at(rollout: Rollout, step: PlannedStep) -> datetime | None:
    """When the step's waiting time ends. None: it waits for an operator."""
    if step.hours is None:
        return None
    if rollout.step_started_at is None:
        raise RolloutError(f"The rollout of {rollout.flag} has no start time: roll it back.")
    return rollout.step_started_at + timedelta(hours=step.hours)


def _enter_next(
    rollout: Rollout, look: RolloutCheck, author: Author, now: datetime, reason: str
) -> None:
    if rollout.step + 1 < len(steps_of(rollout)):
        _enter(rollout, rollout.step + 1, author, now, reason)
    else:
        rollout.ended_at = now
        said = f"Completed at {percent(rollout.flag.percentage)}: {completed(look.guards)}"
        _settle(rollout, State.COMPLETED, author, now, _final(rollout, said))


def _final(rollout: Rollout, said: str) -> str:
    """The final message, which repeats every step that was taken without evidence."""
    taken = rollout.history.exclude(without_evidence="")
    repeated = "".join(
        f" The step to {percent(one.percentage)} was taken without evidence: "
        f"{one.without_evidence}."
        for one in taken
    )
    return f"{said.rstrip('.')}.{repeated}".removesuffix(".") if repeated else said


def _roll_back(rollout: Rollout, author: Author, now: datetime, reason: str) -> None:
    rollout.ended_at = now
    back = min(rollout.before_percentage, rollout.flag.percentage)
    started = rollout.started_at is not None
    said = _final(rollout, reason)
    _settle(rollout, State.ROLLED_BACK, author, now, said, back if started else None)


def _enter(
    rollout: Rollout,
    index: int,
    author: Author,
    now: datetime,
    reason: str,
    note: str = "",
    without_evidence: str = "",
) -> None:
    """Raises the percentage and starts a new phase. Units with the flag keep it, since the flag's
    seed does not change. Every unit without the flag is a control."""
    step = steps_of(rollout)[index]
    rollout.step = index
    rollout.step_started_at = now
    share = percentage_at(rollout, index)
    rollout.phase += 1
    rollout.seen = {}
    rollout.treated_percentage, rollout.control_percentage = share, HUNDRED - share
    watched = "" if step.monitored else ", unmonitored"
    said = f"{reason}; now {percent(share)}{watched}{'. ' + note if note else ''}"
    _settle(rollout, State.RUNNING, author, now, said, share, without_evidence)


def _hold(rollout: Rollout, now: datetime, reason: str) -> None:
    if rollout.state != State.HELD or rollout.reason != reason:
        _settle(rollout, State.HELD, AUTHOR, now, reason)


def _wait(rollout: Rollout, now: datetime, reason: str) -> None:
    if rollout.state == State.HELD:
        _settle(rollout, State.RUNNING, AUTHOR, now, "The alarm has ended")
    elif rollout.state == State.READY:
        _settle(rollout, State.RUNNING, AUTHOR, now, reason)
    elif rollout.reason != reason:
        rollout.reason = reason
        rollout.save(update_fields=["reason"])


def _settle(
    rollout: Rollout,
    state: str,
    author: Author,
    now: datetime,
    reason: str,
    percentage: Decimal | None = None,
    without_evidence: str = "",
) -> None:
    """Sets the state, and the flag's percentage, in one revision."""
    flag = rollout.flag
    with revision(author, f"Rollout of {flag.key}: {reason}"[:500]):
        if percentage is not None and flag.percentage != percentage:
            flag.percentage = percentage
            flag.save()
        rollout.state = state
        rollout.reason = reason
        rollout.save()
        RolloutStep.objects.create(
            rollout=rollout,
            at=now,
            percentage=flag.percentage,
            state=state,
            reason=rollout.reason,
            monitored=rollout.step < 0 or steps_of(rollout)[rollout.step].monitored,
            phase=rollout.phase,
            control_percentage=rollout.control_percentage,
            without_evidence=without_evidence,
        )


def _is_between(percentage: Decimal, lowest: Decimal, below: Decimal) -> bool:
    if not percentage.is_finite() or percentage <= 0 or percentage != round(percentage, 2):
        return False
    return lowest <= percentage < below


def _name(author: Author) -> str:
    return author.get_username() if isinstance(author, AbstractBaseUser | AnonymousUser) else author
