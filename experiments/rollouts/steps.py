"""The steps of a guarded rollout, and the conditions for starting it."""

from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from django.db.models import Q

from experiments.configuration.shapes import WATCHED
from experiments.formatting import percentage as percent
from experiments.models import Experiment, Flag, Rollout

HALF = Decimal(50)
HUNDRED = Decimal(100)
ACTIVE = (Experiment.Status.RUNNING, Experiment.Status.PAUSED)
EXAMPLE = "such as [[1, 24], [10, 24], [50, 48], [100, 0]]: percent, hours"
LONGEST_HOURS = 24 * 365


class StepsError(ValueError):
    """Invalid steps. The message says how to correct them."""


class PlannedStep(NamedTuple):
    """One step: the percentage, how long to wait (None: until an operator advances it), and whether
    units are compared."""

    percentage: Decimal
    hours: float | None
    monitored: bool


def steps_of(rollout: Rollout) -> list[PlannedStep]:
    """The plan's steps. Above 50 %, the holdback stays without the flag, else the step is
    unmonitored.

    At 100 %, the holdback gets the flag too, and units are no longer compared.
    """
    holdback = Decimal(str(rollout.holdback_percentage))
    steps = []
    for percentage, hours in rollout.steps:
        share = Decimal(str(percentage))
        if HALF < share < HUNDRED:
            share = min(share, HUNDRED - holdback)
        monitored = share <= HALF or (holdback > 0 and share < HUNDRED)
        steps.append(PlannedStep(share, None if hours is None else float(hours), monitored))
    return steps


def percentage_at(rollout: Rollout, index: int) -> Decimal:
    """The flag's percentage at a step: never lower than before the rollout."""
    return max(steps_of(rollout)[index].percentage, rollout.before_percentage)


def next_step(rollout: Rollout) -> Decimal | None:
    """The percentage of the next step, None at the last."""
    following = rollout.step + 1
    return percentage_at(rollout, following) if following < len(rollout.steps) else None


def check_steps(steps: Any) -> None:
    """Raises StepsError unless `steps` is a list of rising percentages with hours to wait."""
    if not isinstance(steps, list) or not steps:
        raise StepsError(f"Add at least one step, {EXAMPLE}.")
    shares = [_share(step) for step in steps]
    if shares != sorted(set(shares)):
        raise StepsError("The percentages must rise from step to step.")


def _share(step: Any) -> Decimal:
    if not isinstance(step, list | tuple) or len(step) != 2:
        raise StepsError(f"A step is a percentage and hours, {EXAMPLE}.")
    percentage, hours = step
    try:
        share = Decimal(str(percentage))
    except InvalidOperation:
        raise StepsError(f"'{percentage}' is not a percentage.") from None
    if not 0 < share <= HUNDRED or share != round(share, 2):
        raise StepsError(f"The percentage must be between 0.01 and 100; got {percentage}.")
    is_number = isinstance(hours, int | float) and not isinstance(hours, bool)
    if hours is not None and not (is_number and 0 <= hours <= LONGEST_HOURS):
        raise StepsError(f"The hours must be a number from 0, or null to wait; got '{hours}'.")
    return share


def problem_of(rollout: Rollout) -> str | None:
    """Why the rollout cannot start now and what to do, or None."""
    flag = rollout.flag
    try:
        check_steps(rollout.steps)
    except StepsError as error:
        return str(error)
    if flag.kind == Flag.Kind.SWITCH:
        return f"{flag} is either on or off: only flags with a percentage can be rolled out."
    steps = steps_of(rollout)
    if len({step.percentage for step in steps}) < len(steps):
        return "With its holdback two steps are the same: lower the holdback, or remove one."
    if steps[0].percentage < flag.percentage:
        return f"The flag is at {percent(flag.percentage)}: start there or above."
    return _other_rollout(rollout) or _running_experiment(flag)


def _other_rollout(rollout: Rollout) -> str | None:
    """The keys of other open rollouts: with the master flag, both would move the same units."""
    others = Rollout.objects.filter(state__in=WATCHED).exclude(pk=rollout.pk)
    if rollout.flag.kind == Flag.Kind.DOMAIN:
        others = others.filter(Q(flag=rollout.flag) | Q(flag__kind=Flag.Kind.MASTER))
    keys = ", ".join(others.values_list("flag__key", flat=True))
    return f"Another guarded rollout is under way ({keys}): finish it first." if keys else None


def _running_experiment(flag: Flag) -> str | None:
    running = Experiment.objects.filter(status__in=ACTIVE)
    if flag.domain_id is not None:
        running = running.filter(Q(domain=None) | Q(domain_id=flag.domain_id))
    keys = ", ".join(running.values_list("key", flat=True))
    return f"An experiment runs on its domain ({keys}): stop it first." if keys else None
