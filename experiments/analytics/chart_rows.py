"""The rows of charts and tables on pages.

Money is integer nano-dollars, quality lies in [0, 1], instants are aware datetimes in UTC and days
are UTC days. An estimate is None if there are too few ratings; the report that made the row defines
the interval of its bounds.
"""

from datetime import date, datetime
from typing import Literal, NamedTuple

Tier = Literal["strong", "weak", "selected"]


class CostDay(NamedTuple):
    """The cost of one day's decisions by tier, and the baseline's cost for the same decisions.

    `day` is the start of the hour if the span is too short for days.
    """

    day: date
    strong: int
    weak: int
    selected: int
    baseline: int
    requests: int


class QualityPoint(NamedTuple):
    """Mean rated quality of one tier over the bucket of time that starts at `at`."""

    at: datetime
    tier: Tier
    mean: float | None
    low: float | None
    high: float | None
    rated: int
    minimum: int


class ScoreBin(NamedTuple):
    """Decisions whose score lies in [low, high)."""

    low: float
    high: float
    decisions: int


class EffectRow(NamedTuple):
    """Treatment minus control on one metric, in `unit`, with its always-valid interval.

    `margin` is the largest accepted loss, as a positive number in `unit`, if one was planned.
    """

    metric: str
    unit: str
    arm: str
    estimate: float | None
    low: float | None
    high: float | None
    margin: float | None
    higher_is_better: bool
    units: int
    minimum: int


class EstimatePoint(NamedTuple):
    """One arm's effect at `at`, from the units of that phase only."""

    at: datetime
    arm: str
    phase: int
    estimate: float
    low: float
    high: float
    units: int


class PlanePoint(NamedTuple):
    """A domain or an arm: cost in nano-dollars per 1,000 requests against mean rated quality."""

    name: str
    kind: Literal["domain", "arm"]
    cost: int
    cost_low: int
    cost_high: int
    quality: float | None
    quality_low: float | None
    quality_high: float | None
    rated: int
    minimum: int
    below_random: bool


class RandomBaseline(NamedTuple):
    """The random router between always weak and always strong: a straight line."""

    name: str
    weak_cost: int
    weak_quality: float
    strong_cost: int
    strong_quality: float
