"""The configuration document: the only definition of its sections and their fields.

A field of a row is one line here and one column of the row's model. The line says what a file may
hold; `rows.py` derives from it how the document is read from rows and written to them. A key that
is not the name of its column names it (`Column`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, with_config
from pydantic_core import core_schema
from typing_extensions import TypedDict

from experiments.models import Rollout
from experiments.models.catalog import price_order

Document = dict[str, Any]
T = TypeVar("T")
# The rules of all shapes in a file.
FILE = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
WATCHED = (Rollout.State.READY, Rollout.State.RUNNING, Rollout.State.HELD, Rollout.State.PAUSED)


@dataclass(frozen=True)
class MustBe:
    """What a value is, in the words of a refusal. With `holds`, the only check."""

    description: str
    holds: Callable[[Any], bool] | None = None
    json_type: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        check = core_schema.no_info_plain_validator_function(self._check)
        return core_schema.custom_error_schema(
            check if self.holds else handler(source),
            "must_be",
            custom_error_message=f"must be {self.description}",
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> Document:
        return {"type": list(self.json_type)} if self.holds else handler(schema)

    def _check(self, value: Any) -> Any:
        if self.holds and not self.holds(value):
            raise ValueError
        return value


class OrNull:
    """Null is accepted too, and the refusal says so."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        schema: Any = handler(source)
        message = f"{schema['schema']['custom_error_message']} or null"
        return core_schema.custom_error_schema(schema, "must_be", custom_error_message=message)


@dataclass(frozen=True)
class Column:
    """The row's attribute. Without this mark it has the name of the key."""

    name: str


@dataclass(frozen=True)
class Related:
    """Rows that belong to the row. Writing replaces them all.

    `only`: the document holds just this column of each. `kind`: only rows of this kind. `position`:
    the column with the place in the list. `bulk`: written at once, without their model's checks.
    """

    accessor: str
    only: str = ""
    kind: str = ""
    position: str = ""
    bulk: bool = False
    order: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Digits:
    """A decimal number with so many digits after the point; without this mark, as few as it has."""

    count: int


@dataclass(frozen=True)
class LeftOut:
    """What the column gets if a file leaves the key out. `sparse`: exported only if it differs."""

    value: Callable[[], Any]
    sparse: bool = False


@dataclass(frozen=True)
class Exported:
    """Exported for information: a file never changes it. `read` computes it from the row."""

    read: Callable[[Any], Any] | None = None


class Part(StrEnum):
    """What a field decides about. `experiment_locks.py` locks fields by part."""

    DETECTION = "detection"
    SELECTION = "selection"
    SCORING = "scoring"
    ASSIGNMENT = "assignment"
    VERDICT = "verdict"
    PHASE = "phase"


def _is_decimal(value: Any) -> bool:
    is_number = isinstance(value, str | int | float) and not isinstance(value, bool)
    try:
        return is_number and Decimal(str(value)).is_finite()
    except InvalidOperation:
        return False


def _is_day(value: Any) -> bool:
    try:
        text = isinstance(value, str) and bool(date.fromisoformat(value))
    except ValueError:
        return False
    return text or isinstance(value, date)


Text = Annotated[str, MustBe("a text")]
Texts = Annotated[list[str], MustBe("a list of texts")]
Switch = Annotated[bool, MustBe("true or false")]
Whole = Annotated[int, MustBe("a whole number")]
Number = Annotated[float, MustBe("a number")]
Mapping = Annotated[dict[Any, Any], MustBe("a mapping")]
Amount = Annotated[str, MustBe("a number", _is_decimal, ("number", "string"))]
Percentage = Annotated[Amount, Digits(2)]
Day = Annotated[str, MustBe("a day such as 2026-11-22", _is_day, ("string",))]
Nullable = Annotated[T | None, OrNull()]
# A reference to another row by its name: null, or left out of a policy, is none.
Reference = Annotated[Nullable[Text], LeftOut(lambda: None)]


class SettingsDocument(TypedDict, total=False):
    """Settings of all domains."""

    detector: Text
    baseline: Text
    holdout_seed: Text
    exploration_seed: Text
    shadow_seed: Text
    holdout_percentage: Percentage
    strong_model: Nullable[Text]
    weak_model: Nullable[Text]
    judge_model: Nullable[Text]
    shadow_budget: Amount


class PriceDocument(TypedDict, total=False):
    """A price and its time range."""

    source: Text
    source_version: Text
    input_per_million: Amount
    output_per_million: Amount
    per_request: Amount
    cached_input_per_million: Nullable[Amount]
    reasoning_output_per_million: Nullable[Amount]
    cache_write_per_million: Nullable[Amount]
    cache_write_1h_per_million: Nullable[Amount]
    audio_input_per_million: Nullable[Amount]
    audio_output_per_million: Nullable[Amount]
    valid_from: Nullable[Day]
    valid_until: Nullable[Day]


class ModelDocument(TypedDict, total=False):
    """A model that can answer."""

    provider: Text
    is_available: Switch
    context_window: Whole
    max_output_tokens: Nullable[Whole]
    tasks: Texts
    capabilities: Texts
    languages: Texts
    domains: Texts
    certifications: Texts
    accuracy_score: Number
    speed_rating: Text
    latency_p50_ms: Number
    latency_p95_ms: Number
    upstream_name: Text
    endpoint: Nullable[Text]
    prices: Annotated[list[PriceDocument], Related("prices", order=price_order)]


class EndpointDocument(TypedDict, total=False):
    """The address, protocol, timeouts and limits of a provider."""

    protocol: Text
    base_url: Text
    api_key_env: Text
    api_key_file: Text
    connect_seconds: Number
    first_token_seconds: Number
    total_seconds: Number
    retries: Whole
    concurrency: Whole
    dropped_parameters: Texts
    asks_usage: Switch
    native_formats: Texts


class ParameterRuleDocument(TypedDict, total=False):
    """A parameter that some models do not support, and the action for it."""

    provider: Text
    model_patterns: Texts
    parameter: Text
    action: Text
    replacement: Text
    minimum: Nullable[Number]
    maximum: Nullable[Number]
    only_values: Texts
    except_values: Texts
    with_parameter: Text


class AliasDocument(TypedDict, total=False):
    """A name that clients send for a model, and what it stands for."""

    pattern: Text
    target: Text
    keys: Texts


class RouterDocument(TypedDict, total=False):
    """A router, which scores prompts."""

    kind: Annotated[Text, Part.SCORING]
    arguments: Annotated[Mapping, Part.SCORING]
    checkpoint: Annotated[Text, Part.SCORING]
    timeout_seconds: Number
    enabled: Annotated[Switch, Part.SCORING]


class StepDocument(TypedDict):
    """A model between the weak and the strong one. It gets prompts with at least this score."""

    model: Text
    router: Text
    threshold: Number


class PolicyDocument(TypedDict, total=False):
    """How a domain or an arm chooses the model."""

    method: Text
    router: Reference
    threshold: Nullable[Number]
    strong: Annotated[Reference, Column("strong_model")]
    weak: Annotated[Reference, Column("weak_model")]
    epsilon: Number
    between: Annotated[list[StepDocument], LeftOut(list, sparse=True)]


class ArmPolicyDocument(PolicyDocument, total=False):
    """How an arm chooses the model: with a fixed threshold, or one that follows a strong share."""

    target_share: Annotated[Nullable[Number], LeftOut(lambda: None, sparse=True)]


class DomainDocument(TypedDict, total=False):
    """A subject of prompts: how it is detected and how its prompts are routed."""

    label: Text
    description: Text
    keywords: Annotated[Texts, Part.DETECTION]
    patterns: Annotated[Texts, Part.DETECTION]
    preferred_models: Annotated[Texts, Part.SELECTION]
    required_capabilities: Annotated[Texts, Part.SELECTION]
    required_certifications: Annotated[Texts, Part.SELECTION]
    min_accuracy_score: Annotated[Number, Part.SELECTION]
    min_confidence: Annotated[Number, Part.DETECTION]
    follows_target: Switch
    target_kind: Text
    target_strong_share: Number
    target_value: Nullable[Number]
    resolved_share: Nullable[Number]
    calibrated_threshold: Nullable[Number]
    prompt_storage: Text
    shadow_share: Number
    rubric: Text
    learning: Switch
    learning_budget: Nullable[Amount]
    learning_mode: Text
    policy: PolicyDocument
    examples: Annotated[Texts, Related("examples", only="text", bulk=True), Part.DETECTION]


class MetricDocument(TypedDict, total=False):
    """A metric of feedback: a boolean, or a number in a range."""

    description: Text
    kind: Text
    minimum: Number
    maximum: Number
    better: Text
    level: Text


class ArmDocument(TypedDict, total=False):
    """One policy of an experiment."""

    name: Text
    weight: Number
    is_control: Switch
    policy: ArmPolicyDocument


class ExperimentMetricDocument(TypedDict, total=False):
    """A metric and its role in an experiment."""

    metric: Text
    role: Text
    margin: Nullable[Number]


class ExperimentDocument(TypedDict, total=False):
    """An experiment: hypothesis, units, plan and state."""

    status: Annotated[Text, Exported()]
    seed: Annotated[Text, Exported(), Part.PHASE]
    phase: Annotated[Whole, Exported()]
    hypothesis: Text
    owner: Text
    unit_kind: Annotated[Text, Part.ASSIGNMENT]
    coverage: Number
    namespace: Annotated[Text, Part.ASSIGNMENT]
    namespace_start: Annotated[Number, Part.ASSIGNMENT]
    namespace_end: Annotated[Number, Part.ASSIGNMENT]
    alpha: Annotated[Number, Part.VERDICT]
    power: Number
    expected_loss: Number
    min_units: Annotated[Whole, Part.VERDICT]
    min_days: Annotated[Whole, Part.VERDICT]
    prior_sd: Annotated[Number, Part.VERDICT]
    planned_units: Annotated[Nullable[Whole], Part.VERDICT]
    tuning_sample_size: Annotated[Whole, Exported(), Part.VERDICT]
    window_days: Annotated[Whole, Part.VERDICT]
    audit_share: Annotated[Number, Part.ASSIGNMENT]
    target_effect: Annotated[Amount, Part.VERDICT]
    cost_cap: Annotated[Nullable[Amount], Part.VERDICT]
    domain: Annotated[Nullable[Text], Part.ASSIGNMENT]
    arms: Annotated[list[ArmDocument], Related("arms", position="position"), Part.PHASE]
    metrics: Annotated[list[ExperimentMetricDocument], Related("metrics"), Part.VERDICT]


def is_counted(row: Rollout) -> bool:
    """Whether its units are counted: not after a manual change of the flag."""
    return row.state in WATCHED and row.flag.percentage == row.treated_percentage


class RolloutDocument(TypedDict, total=False):
    """A rollout's plan and, once it has started, its shares of treated and control units.

    If a flag was changed manually, its share differs from the phase and nothing is counted.
    """

    flag: Annotated[str, Exported(lambda row: row.flag.key)]
    state: str
    step: int
    phase: int
    percentage: Annotated[str, Exported(lambda row: f"{row.flag.percentage:.2f}")]
    control_percentage: Percentage
    counted: Annotated[bool, Exported(is_counted)]
    steps: list[Any]
    guards: list[Any]
    alpha: float
    holdback_percentage: float


class ListedUnitDocument(TypedDict, total=False):
    """A unit for which a flag is always on or off. Only a keyed hash of its id is stored."""

    unit_hash: Text
    label: Text


def _by_label(row: Any) -> tuple[str, str]:
    return row.label, row.unit_hash


class FlagDocument(TypedDict, total=False):
    """A flag: on for a percentage of units, and for listed units."""

    percentage: Percentage
    seed: Text
    description: Text
    allow: Annotated[
        list[ListedUnitDocument], Related("entries", kind="allow", bulk=True, order=_by_label)
    ]
    deny: Annotated[
        list[ListedUnitDocument], Related("entries", kind="deny", bulk=True, order=_by_label)
    ]


@with_config(FILE)
class Configuration(TypedDict, total=False):
    """Sections that a file leaves out do not change. In a section, rows that the file leaves out
    are deleted, except experiments and flags. Keys of a row that it leaves out do not change."""

    settings: SettingsDocument
    models: dict[Any, ModelDocument]
    endpoints: dict[Any, EndpointDocument]
    parameter_rules: dict[Any, ParameterRuleDocument]
    aliases: dict[Any, AliasDocument]
    routers: dict[Any, RouterDocument]
    domains: dict[Any, DomainDocument]
    metrics: dict[Any, MetricDocument]
    experiments: dict[Any, ExperimentDocument]
    rollouts: Any  # exported for information
    flags: dict[Any, FlagDocument]
