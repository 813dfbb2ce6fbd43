"""Guarded rollouts: a flag's percentage raised step by step, each watched before the next.

One round looks at every open rollout once. It is safe to run twice, or from two machines: a round
and an operator's step both hold the lock of the configuration, and a step depends only on the state
and the time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from experiments.analysis.health import HealthCheck, Status
from experiments.models import Flag, Rollout, RolloutStep
from experiments.services.revisions import Author, lock_configuration, revision
from experiments.services.rollout_looks import Look, broken_guardrail, look_at
from experiments.services.rollout_plans import Step, problem_of, steps_of
from experiments.services.transactions import retried

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
def plan(values: dict[str, Any]) -> Rollout:
    """A rollout that waits to be started. Raises RolloutError where the flag has one already."""
    flag: Flag = values["flag"]
    with transaction.atomic():
        lock_configuration()
        if flag.rollouts.exclude(state__in=ENDED).exists():
            raise RolloutError(f"{flag} has a rollout already: finish it, or roll it back.")
        return Rollout.objects.create(**values)


@retried
def start(rollout: Rollout, author: Author, now: datetime) -> None:
    """pending -> running at its first step. Raises RolloutError."""
    with _held(rollout, "started", State.PENDING):
        problem = problem_of(rollout)
        if problem:
            raise RolloutError(problem)
        rollout.before_percentage = rollout.flag.percentage
        rollout.started_at = now
        _enter(rollout, 0, author, now, "Started")


@retried
def go_on(rollout: Rollout, author: Author, now: datetime) -> None:
    """ready -> the next step, or the end after the last."""
    with _held(rollout, "moved on", State.READY):
        _go_on(rollout, author, now, "Moved on")


@retried
def pause(rollout: Rollout, author: Author, now: datetime) -> None:
    """The percentage stays where it is, and nothing moves until it is resumed."""
    with _held(rollout, "paused", State.RUNNING, State.HELD, State.READY):
        _settle(rollout, State.PAUSED, author, now, "Paused")


@retried
def resume(rollout: Rollout, author: Author, now: datetime) -> None:
    """At the percentage the flag has now: whoever changed it by hand meanwhile meant it."""
    with _held(rollout, "resumed", State.PAUSED):
        problem = _moved_by_hand(rollout)
        if problem:
            raise RolloutError(problem)
        _settle(rollout, State.RUNNING, author, now, "Resumed")


@retried
def roll_back(rollout: Rollout, author: Author, now: datetime, reason: str) -> None:
    """The flag returns to where it stood before the rollout, or stays lower where it is lower."""
    with _held(rollout, "rolled back", *(state for state in State if state not in ENDED)):
        _roll_back(rollout, author, now, reason)


def advance_all(now: datetime, told: Callable[[str], None] = lambda _: None) -> None:
    """One round over every open rollout; `told` hears a line for each."""
    for rollout in Rollout.objects.filter(state__in=(*WATCHED, State.READY)):
        try:
            _check(rollout, now)
        except RolloutError as error:  # somebody else moved it meanwhile, or it is broken
            told(f"{rollout.flag}: {error}")
        else:
            share = rollout.flag.percentage.normalize()
            told(f"{rollout.flag}: {rollout.state} at {share:f} %. {rollout.reason}")


@retried
def _check(rollout: Rollout, now: datetime) -> None:
    with _held(rollout, "checked", *WATCHED, State.READY):
        _advance(rollout, now)


@contextmanager
def _held(rollout: Rollout, step: str = "", *states: str) -> Iterator[None]:
    """Reads the rollout and its flag anew, where nobody else writes until the block ends."""
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


def _advance(rollout: Rollout, now: datetime) -> None:
    steps = steps_of(rollout)
    step = steps[rollout.step]
    look = look_at(rollout, now) if step.monitored else Look(None, ())
    worse = broken_guardrail(look)
    over_at = _over_at(rollout, step)
    if worse:
        _roll_back(rollout, AUTHOR, now, worse)
    elif problem := _moved_by_hand(rollout) or _alarm(look.checks):
        _hold(rollout, now, problem)
    elif rollout.state == State.READY:
        return
    elif over_at is not None and now < over_at:
        _wait(rollout, now, f"Waits until {over_at:%Y-%m-%d %H:%M} UTC.")
    elif step.monitored and not look.compared:
        _hold(rollout, now, "Nobody has been compared yet: look at the domain's traffic.")
    elif over_at is None:
        _settle(rollout, State.READY, AUTHOR, now, "The step is sound and waits for somebody")
    else:
        _go_on(rollout, AUTHOR, now, "The step before was sound")


def _alarm(checks: tuple[HealthCheck, ...]) -> str | None:
    return next((check.message for check in checks if check.status is Status.ALARM), None)


def _moved_by_hand(rollout: Rollout) -> str | None:
    """Somebody who lowers a flag means it: a rollout must not raise it again behind their back."""
    wanted, there = _percentage_at(rollout), rollout.flag.percentage
    if there == wanted:
        return None
    return (
        f"The flag was set to {there.normalize():f} % by hand, the step is {wanted.normalize():f} "
        "%: set it back to go on, or roll back."
    )


def _percentage_at(rollout: Rollout) -> Decimal:
    return max(steps_of(rollout)[rollout.step].percentage, rollout.before_percentage)


def _over_at(rollout: Rollout, step: Step) -> datetime | None:
    """None: it waits for somebody."""
    if step.hours is None:
        return None
    if rollout.step_started_at is None:
        raise RolloutError(f"The rollout of {rollout.flag} runs without a start: roll it back.")
    return rollout.step_started_at + timedelta(hours=step.hours)


def _go_on(rollout: Rollout, author: Author, now: datetime, reason: str) -> None:
    if rollout.step + 1 < len(steps_of(rollout)):
        _enter(rollout, rollout.step + 1, author, now, reason)
    else:
        rollout.ended_at = now
        _settle(rollout, State.COMPLETED, author, now, "Every step was sound")


def _roll_back(rollout: Rollout, author: Author, now: datetime, reason: str) -> None:
    rollout.ended_at = now
    back = min(rollout.before_percentage, rollout.flag.percentage)
    started = rollout.started_at is not None
    _settle(rollout, State.ROLLED_BACK, author, now, reason, back if started else None)


def _enter(rollout: Rollout, index: int, author: Author, now: datetime, reason: str) -> None:
    """Raises the percentage. Nobody who was in moves out: the flag's seed stays."""
    step = steps_of(rollout)[index]
    rollout.step = index
    rollout.step_started_at = now
    share = _percentage_at(rollout)
    watched = "" if step.monitored else ", unmonitored"
    told = f"{reason}; now {share.normalize():f} %{watched}"
    _settle(rollout, State.RUNNING, author, now, told, share)


def _hold(rollout: Rollout, now: datetime, reason: str) -> None:
    if rollout.state != State.HELD or rollout.reason != reason[:500]:
        _settle(rollout, State.HELD, AUTHOR, now, reason)


def _wait(rollout: Rollout, now: datetime, reason: str) -> None:
    if rollout.state == State.HELD:
        _settle(rollout, State.RUNNING, AUTHOR, now, "The alarm is over")
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
) -> None:
    """Moves to a state, and the flag to a percentage, as one revision."""
    flag = rollout.flag
    with revision(author, f"Rollout of {flag.key}: {reason}"[:500]):
        if percentage is not None and flag.percentage != percentage:
            flag.percentage = percentage
            flag.save()
        rollout.state = state
        rollout.reason = reason[:500]
        rollout.save()
        RolloutStep.objects.create(
            rollout=rollout,
            at=now,
            percentage=flag.percentage,
            state=state,
            reason=rollout.reason,
            monitored=rollout.step < 0 or steps_of(rollout)[rollout.step].monitored,
        )
