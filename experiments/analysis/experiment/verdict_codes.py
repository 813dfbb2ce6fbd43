"""The codes of a verdict: its outcomes and reasons."""

from enum import StrEnum
from typing import NamedTuple

from experiments.analysis.experiment.health import HealthCheck


class VerdictCode(StrEnum):
    NOT_ENOUGH_DATA = "not_enough_data"
    UNHEALTHY = "unhealthy"
    SHIP = "ship"
    ROLL_BACK = "roll_back"
    KEEP_RUNNING = "keep_running"
    NO_DIFFERENCE = "no_difference"
    MIXED = "mixed"


class ReasonCode(StrEnum):
    TOO_FEW_UNITS = "too_few_units"
    TOO_FEW_DAYS = "too_few_days"
    TOO_FEW_EVENTS = "too_few_events"
    NO_RESULT = "no_result"
    PRIMARY_BETTER = "primary_better"
    PRIMARY_WORSE = "primary_worse"
    PRIMARY_SAME = "primary_same"
    PRIMARY_UNDECIDED = "primary_undecided"
    GUARDRAIL_INSIDE = "guardrail_inside"
    GUARDRAIL_BROKEN = "guardrail_broken"
    GUARDRAIL_UNDECIDED = "guardrail_undecided"
    RATINGS_DIFFER = "ratings_differ"
    PLANNED_SIZE_REACHED = "planned_size_reached"
    HEALTH = "health"


class Reason(NamedTuple):
    """One reason of the verdict.

    `value` and `limit` are gains (above 0 is better) in the metric's unit for the codes about
    metrics, counts for the others; `metric` is the code of `check` where the code is `health`.
    """

    code: ReasonCode
    arm: str | None
    metric: str | None
    value: float | None
    limit: float | None
    check: HealthCheck | None = None
