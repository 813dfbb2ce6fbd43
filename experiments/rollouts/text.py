"""The results of a guarded rollout's guards as text."""

from collections.abc import Sequence

from experiments.analysis.rollout.guards import Guard, GuardResult, MissingUnits, worst_loss
from experiments.formatting import in_dollars, percentage

POINTS = 100
HOURS = 24
CENTURY_DAYS = 36_525

_VALUES = {
    "error_rate": "calls with a reported outcome",
    "fallback_rate": "calls",
    "p95_latency": "calls with a reported latency",
    "latency": "calls with a reported latency",
    "cost": "calls with a price",
    "saving": "calls with a price",
}


def amount(guard: Guard, value: float) -> str:
    """A difference in the metric's own unit: '1.2 points', '$0.0012', '35 ms', '0.4'."""
    if guard.unit is None:
        return f"{POINTS * value:.1f} points"
    if guard.unit == "USD":
        return in_dollars(value, significant=2)
    return f"{value:.3g} {guard.unit}".strip()


def harm(result: GuardResult) -> str:
    """Why the rollout is rolled back."""
    guard, estimate = result.guard, result.estimate
    name = guard.label.lower()
    allowed = f"{amount(guard, guard.margin)} are allowed"
    if guard.is_share or result.most_gain >= -guard.margin:
        seen = f"{amount(guard, -(estimate or 0.0))} worse" if estimate is not None else "worse"
        return f"{name} is {seen} with the flag, certainly outside its margin; {allowed}"
    return f"{name} is at least {amount(guard, -result.most_gain)} {_worse(guard)}; {allowed}"


def held(result: GuardResult) -> str:
    """The result of a guard: 'quality is at most 1.2 points lower'."""
    guard, loss = result.guard, -result.least_gain
    name = guard.label.lower()
    if result.estimate is None:
        return f"{name} has no values to compare"
    if loss <= 0:
        return f"{name} is not {_worse(guard)}"
    return f"{name} is at most {amount(guard, loss)} {_worse(guard)}"


def worst_case(guards: Sequence[Guard], share: float) -> str:
    """The largest possible loss of the first step."""
    losses = ", ".join(
        f"{guard.label.lower()} {amount(guard, worst_loss(guard, share))} (margin "
        f"{amount(guard, guard.margin)})"
        for guard in guards
    )
    return (
        f"Worst case of the first step, {_percent(share)} of traffic, over all traffic until harm "
        f"is shown: {losses}."
    )


def lacking(missing: MissingUnits) -> str:
    """What a guard still needs: 'quality: about 140 more ratings, or 6 days'."""
    result = missing.result
    guard = result.guard
    name = guard.label.lower()
    if result.ratings_differ:
        return f"{name}: the sides have different shares of ratings, so more ratings do not help"
    if missing.units is None:
        return (
            f"{name}: {amount(guard, -(result.estimate or 0.0))} {_worse(guard)} so far, so more "
            "data like this would not be enough"
        )
    more = "more " if result.units else ""
    values = _VALUES.get(guard.name, "ratings")
    return f"{name}: about {missing.units:,} {more}{values}, {_in(missing.days)}"


def cannot_advance(missing: Sequence[MissingUnits], share: float, now_at: float) -> str:
    """Why the rollout does not advance, and what the operator can do."""
    what = "; ".join(lacking(one) for one in missing)
    largest = min(one.result.largest_share for one in missing)
    lower = "lower the target percentage"
    if largest > now_at:
        lower += f" (below {_percent(largest)} is allowed now)"
    return (
        f"Not enough evidence for {_percent(share)}. Missing, from units with the flag: {what}. "
        f"You can wait, {lower}, or advance anyway with a reason."
    )


def completed(results: Sequence[GuardResult]) -> str:
    return "; ".join(held(result) for result in results)


def _in(days: float | None) -> str:
    if days is None:
        return "and none arrive at present"
    if days > CENTURY_DAYS:
        return "which takes over a century at the current rate"
    if days < 1:
        hours = max(1, round(days * HOURS))
        return f"or {hours} {'hour' if hours == 1 else 'hours'}"
    return f"or {round(days):,} {'day' if round(days) == 1 else 'days'}"


def _worse(guard: Guard) -> str:
    return "lower" if guard.better.sign > 0 else "higher"


def _percent(share: float) -> str:
    return percentage(POINTS * share)
