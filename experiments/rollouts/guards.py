"""The guards of a rollout: from the plan's list to metrics with ranges, fixed before the start."""

from collections.abc import Sequence
from math import isfinite
from typing import Any, NamedTuple

from experiments.analysis.experiment.effects import EffectInterval
from experiments.analysis.experiment.plan import SHARE, Direction
from experiments.analysis.rollout.guards import Guard
from experiments.core.policy import P95_LATENCY
from experiments.experimentation.metrics import BUILT_IN, MetricSpec, UnknownMetricError, spec_of
from experiments.models import Metric, Rollout

MOST_GUARDS = 20
LARGEST = 1e9
EXAMPLE = (
    'such as [{"metric": "error_rate", "margin": 0.02}, {"metric": "quality", "margin": 0.03}]'
)
SLOW = MetricSpec(
    P95_LATENCY, "Share of slow calls", "slow", "latency_count", Direction.LOWER, boolean=True
)
# These have no range of their own: the limit caps what one unit's calls cost or take on average.
CAPPED = {name for name, spec in BUILT_IN.items() if spec.value_range is None and not spec.boolean}
LIMITED = {*CAPPED, P95_LATENCY}


class GuardsError(ValueError):
    """Guards that cannot be used, with what to write instead."""


class RolloutGuard(NamedTuple):
    """A guard and the sums it is computed from. `cap` limits values per call, in its unit."""

    guard: Guard
    spec: MetricSpec
    cap: float | None


def guards_of(rollout: Rollout) -> tuple[RolloutGuard, ...]:
    """One query for each metric that is a row."""
    return tuple(_guard(one["metric"], one["margin"], one.get("limit")) for one in rollout.guards)


def checked_guards(guards: Any) -> list[dict[str, Any]]:
    """The list as it is stored. Raises GuardsError."""
    if not isinstance(guards, list) or not guards:
        raise GuardsError(f"List at least one guard, {EXAMPLE}.")
    if len(guards) > MOST_GUARDS:
        raise GuardsError(f"A rollout has at most {MOST_GUARDS} guards.")
    found = [_checked(guard) for guard in guards]
    names = [guard["metric"] for guard in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise GuardsError(f"'{twice}' is listed twice.")
    return found


def known_metrics() -> list[str]:
    return [*BUILT_IN, P95_LATENCY, *Metric.objects.order_by("name").values_list("name", flat=True)]


def _checked(guard: Any) -> dict[str, Any]:
    if not isinstance(guard, dict) or not isinstance(guard.get("metric"), str):
        raise GuardsError(f"A guard is a metric and a margin, {EXAMPLE}.")
    unknown = guard.keys() - {"metric", "margin", "limit"}
    if unknown:
        raise GuardsError(f"A guard has no '{min(unknown)}'. It has metric, margin and limit.")
    metric: str = guard["metric"]
    margin: Any = guard.get("margin")
    limit: Any = guard.get("limit")
    if not _is_amount(margin):
        raise GuardsError(f"The margin of '{metric}' must be a number above 0; got {margin!r}.")
    if metric in LIMITED and not _is_amount(limit):
        raise GuardsError(
            f"'{metric}' needs a limit above 0, fixed before the start: {_why(metric)}."
        )
    if metric not in LIMITED and limit is not None:
        raise GuardsError(f"'{metric}' takes no limit: its values have a range.")
    try:
        found = _guard(metric, float(margin), limit)
    except UnknownMetricError:
        known = ", ".join(known_metrics())
        raise GuardsError(f"Unknown metric '{metric}'. Known metrics: {known}.") from None
    if found.guard.margin >= found.guard.width:
        raise GuardsError(
            f"The margin of '{metric}' is {margin:g}, but its values differ by at most "
            f"{found.guard.width:g}: no loss could exceed it. Lower the margin."
        )
    return {
        "metric": metric,
        "margin": float(margin),
        "limit": None if limit is None else float(limit),
    }


def _is_amount(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and isfinite(value) and 0 < value <= LARGEST


def _why(metric: str) -> str:
    if metric == P95_LATENCY:
        return "calls that take longer, in milliseconds, count as slow"
    return "the most that one call may count for, in the metric's own unit"


def _guard(metric: str, margin: float, limit: float | None) -> RolloutGuard:
    spec = SLOW if metric == P95_LATENCY else spec_of(metric)
    cap = limit if metric in CAPPED else None
    guard = Guard(
        metric,
        spec.label,
        margin,
        spec.better,
        _range(spec, cap),
        is_share=spec.boolean and not spec.from_feedback,
        unit=spec.unit or (None if _is_points(spec) else ""),
    )
    return RolloutGuard(guard, spec, cap)


def _is_points(spec: MetricSpec) -> bool:
    return spec.boolean or spec.value_range == SHARE


def _range(spec: MetricSpec, cap: float | None) -> EffectInterval:
    if spec.boolean:
        return SHARE
    if cap is None:
        return spec.value_range or SHARE
    return EffectInterval(-cap if spec.name == "saving" else 0.0, cap)


def described(guards: Sequence[dict[str, Any]]) -> str:
    """The guards as text, one per line: "cost 0.001 limit 0.02"."""
    return "\n".join(
        f"{one['metric']} {one['margin']:g}"
        + (f" limit {one['limit']:g}" if one.get("limit") else "")
        for one in guards
    )
