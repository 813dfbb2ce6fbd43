"""Shapes of experiments and guarded rollouts: their only definition."""

from datetime import datetime
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from experiments.api.shapes import Amount, ChangeReason, Page
from experiments.core.policy import Method
from experiments.experimentation.shapes import ROLES, STATUSES
from experiments.models import Rollout as RolloutRow
from experiments.rollouts.guards import MOST_GUARDS
from experiments.rollouts.shapes import Look
from experiments.shapes.fields import (
    Between,
    Dollars,
    Each,
    Hint,
    Items,
    Length,
    OneOf,
    PatternText,
    Shape,
    Share,
    Text,
    Whole,
    described,
)

METHODS = tuple(str(method) for method in Method if method is not Method.DIRECT)
STATES = tuple(RolloutRow.State.values)
MOST_ARMS = 10
MOST_METRICS = 20
MOST_BETWEEN = 8
MOST_UNITS = 2_000_000_000
MOST_DAYS = 3650
MOST_STEPS = 50

_KEY, _NAME = "^[a-z][a-z0-9-]*$", "^[a-z][a-z0-9_]*$"
_KEY_MESSAGE = "must be small letters, digits and hyphens"
_NAME_MESSAGE = "must be small letters, digits and underscores."

Key = Annotated[str, PatternText(_KEY, 80, f"{_KEY_MESSAGE}, 80 at most.")]
ArmName = Annotated[str, PatternText(_KEY, 80, f"{_KEY_MESSAGE}.", Length(80))]
MetricName = Annotated[str, PatternText(_NAME, 60, _NAME_MESSAGE, Length(60))]
Namespace = Annotated[str, PatternText(_NAME, 40, _NAME_MESSAGE, Length(40, empty=True))]
Units = Annotated[Whole, Between(1, MOST_UNITS)]
Days = Annotated[Whole, Between(1, MOST_DAYS)]
MethodName = Annotated[str, OneOf(METHODS)]
Role = Annotated[str, OneOf(ROLES)]


class NoFields(Shape):
    """An empty body, or none."""


class PolicyStepRequest(Shape):
    model: Text
    router: Text
    threshold: Share


class PolicyRequest(Shape):
    method: MethodName
    threshold: Share | None = Field(
        None,
        description="For routellm, unless there is a target_share: at or above it the strong model "
        "answers. The router that ships scores most prompts between 0.6 and 0.85, about half of "
        "them above 0.75.",
    )
    target_share: Share | None = Field(
        None,
        description="For routellm, instead of a fixed threshold: the threshold follows the "
        "domain's scores so that this share goes to the strong model.",
    )
    between: Annotated[list[PolicyStepRequest], Items(MOST_BETWEEN, empty=True)] | None = Field(
        None, description="For more than two models: below the threshold, the first step reached."
    )
    router: Text | None = Field(None, description="Needed for routellm.")
    strong_model: Text | None = Field(
        None, description="Default: the domain's pair, or the default pair."
    )
    weak_model: Text | None = None
    epsilon: Share | None = Field(
        None, description="Share sent to the pair's other model, for exploration. Default: 0."
    )


class ArmRequest(Shape):
    name: ArmName
    weight: Share | None = Field(None, description="Weights sum to 1. Default: 0.5.")
    policy: Annotated[PolicyRequest, Hint('is missing: for example {"method": "always_strong"}.')]
    is_control: bool | None = Field(None, description="One arm is the control.")


class MetricRequest(Shape):
    metric: Annotated[MetricName, described("Built in or custom.")]
    role: Role
    margin: Amount | None = Field(
        None,
        description="Guardrails: the worst loss accepted, above 0, in the metric's unit.",
    )


class ExperimentEdit(Shape):
    hypothesis: Annotated[str, Length(2000)] | None = None
    unit_kind: Annotated[str, Length(20)] | None = Field(
        None, description="`request` randomizes each decision."
    )
    coverage: Share | None = Field(
        None, description="Share of units that take part. May only grow while it runs."
    )
    namespace_start: Share | None = None
    namespace_end: Share | None = None
    expected_loss: Share | None = Field(None, description="The quality loss expected.")
    audit_share: Share | None = Field(None, description="Share of decisions marked for audit.")
    alpha: Annotated[float, Between(0.001, 0.5)] | None = None
    power: Annotated[float, Between(0.5, 0.99)] | None = None
    target_effect: Annotated[str, Dollars(1e-9, 9999)] | None = Field(
        None,
        description="The smallest relevant cost difference per request, in US dollars. A number, "
        "or a decimal string as in responses.",
    )
    prior_sd: Annotated[float, Between(0.01, 10)] | None = Field(
        None, description="How far apart effects on cost usually are, on the log scale."
    )
    min_units: Annotated[Whole, Between(100, MOST_UNITS)] | None = None
    min_days: Annotated[Whole, Between(0, MOST_DAYS)] | None = None
    window_days: Days | None = None
    arms: Annotated[list[ArmRequest], Items(MOST_ARMS)] | None = None
    metrics: Annotated[list[MetricRequest], Items(MOST_METRICS)] | None = None
    domain: Text | None = Field(None, description="Null: prompts of all domains.")
    owner: Annotated[str, Length(150, empty=True)] | None = Field(
        None, description="Empty or null: none."
    )
    namespace: Namespace | None = Field(None, description="Empty or null: none.")
    planned_units: Units | None = None
    cost_cap: Annotated[str, Dollars(1e-9, 9000)] | None = Field(
        None, description="Cost cap per unit, in US dollars. Null: proposed at the start."
    )


EDITABLE = tuple(ExperimentEdit.model_fields)


class ExperimentRequest(ExperimentEdit):
    key: Key


class ExperimentQuery(Shape, extra="ignore"):
    status: Annotated[str, OneOf(STATUSES)] | None = None


class StopRequest(Shape):
    reason: Annotated[ChangeReason, Hint("is missing. Give the reason; it is stored.")]


class ShipRequest(Shape):
    arm: Annotated[Text, Hint("is missing. Name the arm to ship.")]
    anyway: bool | None = Field(
        None, description="Ship the arm against the verdict; needs a reason."
    )
    reason: ChangeReason | None = Field(None, description="Why it is shipped anyway.")


class CloneRequest(Shape):
    key: Key


class PolicyStep(TypedDict):
    model: str
    router: str
    threshold: Annotated[float, Between(0, 1)]


class PolicyPayload(TypedDict):
    method: MethodName
    router: str | None
    threshold: float | None
    strong_model: str | None
    weak_model: str | None
    epsilon: float
    target_share: NotRequired[
        Annotated[float, described("Only where the threshold follows a strong share.")]
    ]
    between: NotRequired[Annotated[list[PolicyStep], described("Only with more than two models.")]]


class ArmPayload(TypedDict):
    name: str
    weight: float
    is_control: bool
    policy: PolicyPayload


class MetricPayload(TypedDict):
    metric: str
    role: Role
    margin: float | None


class PhasePayload(TypedDict):
    number: int
    started_at: datetime
    ended_at: datetime | None


class ExperimentColumns(TypedDict):
    """Shown as they are stored."""

    key: str
    status: Annotated[str, OneOf(STATUSES)]
    hypothesis: str
    owner: str
    unit_kind: str
    coverage: float
    namespace: str
    namespace_start: float
    namespace_end: float
    alpha: float
    power: float
    expected_loss: float
    min_units: int
    min_days: int
    planned_units: int | None
    tuning_sample_size: Annotated[int, described("N*, fixed at the start.")]
    prior_sd: Annotated[
        float, described("How far apart effects on cost usually are, on the log scale.")
    ]
    window_days: int
    audit_share: float
    phase: int
    started_at: datetime | None
    stopped_at: datetime | None
    stopped_by: str
    stop_reason: str
    verdict: Annotated[str, described("The verdict when it was stopped.")]
    shipped_arm: str
    ship_reason: Annotated[str, described("Why it was shipped against the verdict.")]


class ExperimentPayload(ExperimentColumns):
    domain: str | None
    target_effect: Annotated[str, described("US dollars per request.")]
    cost_cap: Annotated[
        str | None, described("Cost cap per unit, in US dollars; fixed at the start.")
    ]
    arms: list[ArmPayload]
    metrics: list[MetricPayload]
    phases: list[PhasePayload]


class ExperimentPage(Page):
    results: list[ExperimentPayload]


class RolloutGuardPayload(TypedDict):
    metric: Annotated[
        Text, described("error_rate, fallback_rate, quality, p95_latency, cost or any other.")
    ]
    margin: Annotated[Amount, described("The largest acceptable loss.")]
    limit: NotRequired[
        Annotated[
            Amount | None,
            described(
                "p95_latency: calls that take longer, in ms, are slow. cost, saving and latency: "
                "the most that a call may count for. Others take none."
            ),
        ]
    ]


STEP = {
    "description": "A percentage, and hours to wait there; null waits for an operator.",
    "type": "array",
    "prefixItems": [
        {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
        {"type": ["number", "null"], "minimum": 0, "maximum": 8760},
    ],
    "minItems": 2,
    "maxItems": 2,
}


class RolloutRequest(Shape):
    """`rollouts` checks the steps and guards: the admin edits them too."""

    flag: Annotated[Text, described("The key of the master flag or a domain's.")]
    steps: Annotated[list[Any], Each(STEP), Items(MOST_STEPS), Hint("are missing.")]
    guards: Annotated[list[Any], Each(RolloutGuardPayload), Items(MOST_GUARDS)] | None = Field(
        None,
        description="Left out: error_rate within 0.02, and quality within `margin`.",
    )
    margin: Annotated[float, Between(0.0001, 1e9)] | None = None
    alpha: Annotated[float, Between(0.001, 0.5)] | None = None
    holdback_percentage: Annotated[float, Between(0, 50)] | None = None


class GoOnRequest(Shape):
    anyway: bool | None = Field(None, description="Take the next step against a guard.")
    reason: ChangeReason | None = Field(
        None, description="Required with `anyway`; stored and shown."
    )


class TargetRequest(Shape):
    percentage: Annotated[float, Between(0.01, 100)]


class RollBackRequest(Shape):
    reason: ChangeReason | None = None


class StepPayload(TypedDict):
    percentage: float
    hours: Annotated[float | None, described("Null: until an operator continues it.")]
    monitored: Annotated[bool, described("Whether anything is compared at this step.")]


class RolloutEvent(TypedDict):
    at: datetime
    percentage: float
    state: str
    reason: str
    monitored: bool
    without_evidence: Annotated[
        str | None,
        described("The operator's reason for a step that a guard did not allow."),
    ]


class RolloutColumns(TypedDict):
    """Shown as they are stored."""

    key: str
    state: Annotated[str, OneOf(STATES)]
    guards: list[RolloutGuardPayload]
    margin: float
    alpha: float
    holdback_percentage: float
    reason: str
    started_at: datetime | None
    step_started_at: datetime | None
    ended_at: datetime | None


class RolloutPayload(RolloutColumns):
    flag: str
    step: Annotated[int | None, described("Index of the step it is at.")]
    percentage: Annotated[float, described("The flag's current percentage.")]
    steps: list[StepPayload]
    before_percentage: float
    history: list[RolloutEvent]


class RolloutDetail(RolloutPayload):
    worst_case: Annotated[str, described("What the first step can cost before anything is known.")]
    look: Annotated[Look | None, described("Null before the start.")]


class RolloutPage(Page):
    results: list[RolloutPayload]
