"""Shapes of an experiment's results in the REST API. Intervals are lower and upper end."""

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from experiments.analysis.experiment.health import CheckStatus, HealthCode
from experiments.analysis.experiment.verdict_codes import ReasonCode, VerdictCode
from experiments.models import Experiment, ExperimentMetric
from experiments.shapes.fields import Format, OneOf, described

STATUSES = tuple(Experiment.Status.values)
ROLES = tuple(ExperimentMetric.Role.values)
HEALTH_STATUSES = tuple(str(status) for status in CheckStatus)

Day = Annotated[str, Format("date")]
Time = Annotated[str, Format("date-time")]
Interval = Annotated[list[float], Field(min_length=2, max_length=2)] | None
OutcomeName = Annotated[str, OneOf(tuple(str(outcome) for outcome in VerdictCode))]


class ArmForecastPayload(TypedDict):
    arm: str
    strong_share: float | None
    cost_per_request: Annotated[float | None, described("US dollars.")]


class CheckPayload(TypedDict):
    name: str
    passed: bool
    message: Annotated[str, described("The state, or what to do.")]
    arms: NotRequired[
        Annotated[list[ArmForecastPayload], described("Of `forecast`: what is predicted.")]
    ]


class Checklist(TypedDict):
    ready: bool
    checks: list[CheckPayload]


class PlanPayload(TypedDict):
    possible: Annotated[bool, described("Whether there is enough recent data to plan with.")]
    sentence: str
    missing: Annotated[list[str], described("Metrics without enough recent data.")]
    units: NotRequired[Annotated[int, described("Of all arms together.")]]
    days: NotRequired[int | None]
    limiting: NotRequired[Annotated[str, described("The metric that needs the most units.")]]
    single_look_units: NotRequired[Annotated[int, described("The size for a single look.")]]
    times_a_single_look: NotRequired[float]


class ReasonPayload(TypedDict):
    code: Annotated[str, OneOf(tuple(str(code) for code in ReasonCode))]
    arm: str | None
    metric: str | None
    value: Annotated[float | None, described("A gain in the metric's unit, or a count.")]
    limit: float | None
    message: str


class ArmVerdictPayload(TypedDict):
    arm: str
    outcome: OutcomeName
    sentence: str
    expectation: Annotated[str, described("If it may ship: the expected effect afterwards.")]
    shrunken: Annotated[
        float | None,
        described("If it may ship: the relative change of cost, shrunk towards none."),
    ]
    reasons: list[ReasonPayload]


class VerdictPayload(TypedDict):
    outcome: OutcomeName
    arm: str | None
    sentence: str
    expectation: str
    reasons: list[ReasonPayload]
    arms: list[ArmVerdictPayload]


class HealthCheckPayload(TypedDict):
    code: Annotated[str, OneOf(tuple(str(code) for code in HealthCode))]
    status: Annotated[str, OneOf(HEALTH_STATUSES)]
    value: float | None
    limit: float | None
    message: str


class HealthPayload(TypedDict):
    healthy: bool
    checks: list[HealthCheckPayload]


class ArmResult(TypedDict):
    name: str
    is_control: bool
    weight: float
    units: Annotated[int, described("Units whose window has ended.")]
    waiting: Annotated[int, described("Units in their window.")]
    requests: int
    cost_per_request: Annotated[float | None, described("US dollars.")]
    quality: float | None
    rated: int
    strong_share: float | None
    cut: Annotated[int, described("Units that reached the cost cap, and count up to it.")]


class EstimatePayload(TypedDict):
    """Treatment minus control; null with fewer than `minimum` units an arm."""

    estimate: float | None
    standard_error: float | None
    sequential_interval: Annotated[Interval, described("Valid at every look.")]
    sequential_p_value: float | None
    interval: Annotated[Interval, described("Valid at one planned look.")]
    p_value: float | None
    relative: Annotated[float | None, described("Lift over the control.")]
    relative_interval: Interval
    n_control: int
    n_treatment: int


class EffectPayload(EstimatePayload):
    observed: Annotated[int, described("Units with a value, in the smaller arm.")]
    minimum: int
    adjusted_p_value: float | None
    arm: str
    metric: str


class MetricEffectPayload(EffectPayload):
    """Treatment minus control; null with fewer than `minimum` units an arm."""

    role: Annotated[str, OneOf(ROLES)]
    label: str
    unit: str | None
    better: str
    margin: float | None


class DomainEffectPayload(EffectPayload):
    """Treatment minus control; null with fewer than `minimum` units an arm."""

    domain: str
    exploratory: Annotated[bool, described("Always true: it does not affect the verdict.")]


class SeriesPointPayload(TypedDict):
    arm: str
    metric: str
    day: Day
    phase: int
    estimate: float | None
    sequential_interval: Interval
    n_control: int
    n_treatment: int


class SeenDayPayload(TypedDict):
    """The values shown on a day, before later outcomes."""

    day: Day
    phase: int
    outcome: str
    sentence: str


class RemainingPayload(TypedDict):
    units: int | None
    days: int | None
    sentence: str


class ProgressPayload(TypedDict):
    units: int
    planned: int | None
    days: Annotated[int, described("Of the phase.")]
    counted_days: Annotated[int, described("On which each arm has counted units.")]
    remaining: Annotated[RemainingPayload | None, described("Null unless it runs.")]


class DayResults(TypedDict):
    """What a day's results are kept as: everything but what other days said."""

    key: str
    status: Annotated[str, OneOf(STATUSES)]
    phase: int
    as_of: Day
    judged_at: Annotated[Time, described("The time of all values here.")]
    sentence: str
    verdict: Annotated[VerdictPayload | None, described("Null before the start.")]
    health: HealthPayload
    arms: list[ArmResult]
    effects: list[MetricEffectPayload]
    progress: ProgressPayload


class ResultsPayload(DayResults):
    breakdown: list[DomainEffectPayload]
    series: list[SeriesPointPayload]
    seen: list[SeenDayPayload]
