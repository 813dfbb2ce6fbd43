"""Shapes of requests and responses: their only definition.

Requests are read into models. Responses are typed dictionaries: mypy compares the functions that
write them, and writing one costs nothing at run time."""

from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Discriminator, Field, RootModel, Tag
from typing_extensions import TypedDict

from experiments.core.catalog import SPEED_RATINGS
from experiments.core.selection import FALLBACK_STRATEGIES
from experiments.core.strategies import STRATEGIES
from experiments.decisions.shapes import DecisionPayload
from experiments.models.domains import TargetKind
from experiments.shapes.fields import (
    Between,
    Count,
    Each,
    Entries,
    EntryLength,
    Hint,
    Identifier,
    Items,
    Length,
    NumberOrBoolean,
    OneOf,
    PatternText,
    Shape,
    Share,
    Text,
    Texts,
    Time,
    described,
)
from experiments.shapes.reading import TAG

MAX_TEXT = 100_000
MAX_METADATA = 16
MAX_MESSAGES = 2_000
MAX_BATCH = 256
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
UNREAD_PARTS = ("image_url", "input_audio", "file")

Amount = Annotated[float, Between(0, 1e9)]
_ENTRIES = "names of 64 and values of 512"
EntryName = Annotated[str, EntryLength(64, _ENTRIES)]
EntryValue = Annotated[str, EntryLength(512, _ENTRIES)]
MetricName = Annotated[
    str,
    PatternText(
        "^[a-z][a-z0-9_]*$", 60, "must be small letters, digits and underscores, 60 at most."
    ),
]
ChangeReason = Annotated[str, Length(500)]
Metadata = Annotated[dict[EntryName, EntryValue], Entries(MAX_METADATA)]


class ErrorDetail(TypedDict):
    type: Annotated[str, described("The kind of error, such as invalid_request_error.")]
    message: Annotated[str, described("What is wrong and what to do.")]
    param: Annotated[str | None, described("The invalid field: criteria.max_latency_ms.")]
    code: Annotated[str, described("The machine-readable reason, such as unknown_field.")]


class Error(TypedDict):
    error: ErrorDetail


class Criteria(Shape):
    """Requirements for the answer. They are combined with the domain's; the stricter applies."""

    required_tasks: Texts | None = None
    required_capabilities: Texts | None = None
    required_domains: Texts | None = None
    required_languages: Texts | None = None
    required_certifications: Texts | None = None
    preferred_providers: Texts | None = None
    excluded_providers: Texts | None = None
    preferred_models: Texts | None = None
    excluded_models: Texts | None = None
    max_cost_per_request: Amount | None = None
    max_cost_per_1k_tokens: Amount | None = None
    max_latency_ms: Amount | None = None
    min_accuracy_score: Share | None = None
    min_context_window: Count | None = None
    prefer_free_models: bool | None = None
    speed_preference: Annotated[str, OneOf(tuple(SPEED_RATINGS))] | None = None
    fallback_strategy: Annotated[str, OneOf(FALLBACK_STRATEGIES)] | None = None
    selection_strategy: Annotated[str, OneOf(tuple(STRATEGIES))] | None = None


class TextPart(Shape, extra="ignore"):
    type: Literal["text"]
    text: Annotated[str, Hint("must be a string.", "invalid_type")]


class OtherPart(Shape, extra="ignore"):
    """Routing reads no images, sound and files."""

    type: Annotated[Text, Field(json_schema_extra={"enum": list(UNREAD_PARTS)})]


def _kind_of_part(part: Any) -> str:
    is_text = isinstance(part, dict) and part.get("type") == "text"
    return TEXT if is_text else OTHER


def _kind_of_content(content: Any) -> str | None:
    return TEXT if isinstance(content, str) else PARTS if isinstance(content, list) else None


TEXT, OTHER, PARTS = f"{TAG}text", f"{TAG}other", f"{TAG}parts"
Part = Annotated[
    Annotated[TextPart, Tag(TEXT)] | Annotated[OtherPart, Tag(OTHER)], Discriminator(_kind_of_part)
]
Content = Annotated[
    Annotated[str, Tag(TEXT)] | Annotated[list[Part], Tag(PARTS)],
    Discriminator(
        _kind_of_content,
        custom_error_type="invalid_type",
        custom_error_message="must be a string or a list of parts.",
    ),
]


class Message(Shape, extra="ignore"):
    """A message in the format of OpenAI's chat API."""

    role: Annotated[str, OneOf(ROLES)]
    content: Content | None = None

    @property
    def text(self) -> str:
        """Its text parts, in lines; empty for a message of only tool calls."""
        if isinstance(self.content, list):
            texts = (part.text for part in self.content if isinstance(part, TextPart))
            return "\n".join(text for text in texts if text)
        return self.content or ""


class RouteRequestPayload(
    Shape,
    json_schema_extra={
        "oneOf": [
            {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
            for name in ("text", "messages")
        ]
    },
):
    text: Annotated[str, Length(MAX_TEXT)] | None = Field(
        None, description="The prompt. Either this or messages."
    )
    messages: Annotated[list[Message], Items(MAX_MESSAGES)] | None = Field(
        None,
        description="A conversation in OpenAI's chat format; its last user turn is routed.",
    )
    unit_id: Text | None = Field(
        None, description="The unit of randomization: a user, a conversation."
    )
    domain: Text | None = Field(None, description="The domain, if the caller knows it.")
    criteria: Criteria | None = None
    metadata: Metadata | None = Field(
        None, description="Up to 16 strings, stored with the decision."
    )
    dry_run: bool | None = Field(None, description="Decide without storing.")
    force_arm: Text | None = Field(
        None, description="An arm of the running experiment. Scope manage."
    )


class BatchRequest(Shape):
    """Each item is read on its own: one may be refused while others are routed."""

    items: Annotated[list[Any], Each(RouteRequestPayload), Items(MAX_BATCH)]


class BatchResult(TypedDict):
    status: Annotated[int, described("201 stored, 200 dry run, else the error's status.")]
    decision: NotRequired[DecisionPayload]
    error: NotRequired[ErrorDetail]


class BatchAnswer(TypedDict):
    results: list[BatchResult]


class OutcomeRequest(Shape):
    occurred_at: Time | None = Field(None, description="Default: the time of arrival.")
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    latency_ms: Amount | None = None
    success: bool | None = None
    error: Annotated[str, Length(500)] | None = None


class RatingPayload(Shape):
    decision_id: Identifier
    metric: MetricName
    value: Annotated[NumberOrBoolean, described("A number; true and false count as 1 and 0.")]
    source: Annotated[str, Length(60)] | None = Field(
        None,
        description="Who rates: human (the default), or a judge: judge, llm-judge, gpt-4.1.",
    )
    occurred_at: Time | None = Field(None, description="Default: the time of arrival.")
    comment: Annotated[str, Length(2000)] | None = None


class RatingList(Shape):
    """Each item is read on its own: one may be refused while others are stored."""

    items: Annotated[
        list[Any],
        Each(RatingPayload),
        Items(MAX_BATCH),
        Hint("is null. Send 1 to 256 ratings.", "invalid_type"),
    ]


class FeedbackRequest(RootModel[RatingPayload | RatingList]):
    """For the document."""


class FeedbackResult(TypedDict):
    status: Annotated[int, described("204, else the error's status.")]
    error: NotRequired[ErrorDetail]


class FeedbackAnswer(TypedDict):
    results: list[FeedbackResult]


class DomainFlag(TypedDict):
    key: str
    percentage: float


class DomainPolicy(TypedDict):
    method: str
    router: str | None
    threshold: float | None
    strong_model: Annotated[str | None, described("Null: the default pair.")]
    weak_model: str | None
    epsilon: float


class DomainTarget(TypedDict):
    """What the domain's threshold aims at."""

    kind: Annotated[str, OneOf(tuple(TargetKind.values))]
    value: float | None
    followed: Annotated[bool, described("False: the threshold is fixed.")]
    strong_share: Annotated[
        float | None, described("The strong share that the threshold follows; null if none.")
    ]


class DomainColumns(TypedDict):
    """Shown as they are stored."""

    name: str
    label: str
    description: str
    preferred_models: list[str]
    required_capabilities: list[str]
    required_certifications: list[str]
    min_accuracy_score: float
    min_confidence: float


class DomainPayload(DomainColumns):
    flag: DomainFlag | None
    policy: DomainPolicy
    target: DomainTarget


class ModelPricePayload(TypedDict):
    currency: str
    input_per_million: str
    output_per_million: str
    per_request: str
    source: str


class ModelColumns(TypedDict):
    """Shown as they are stored."""

    name: str
    provider: str
    is_available: bool
    context_window: int
    max_output_tokens: int | None
    tasks: list[str]
    capabilities: list[str]
    languages: list[str]
    domains: list[str]
    certifications: list[str]
    accuracy_score: float
    speed_rating: str


class ModelPayload(ModelColumns):
    price: Annotated[
        ModelPricePayload | None, described("The current price; null if it is unknown.")
    ]


class FlagPayload(TypedDict):
    key: str
    kind: Annotated[str, OneOf(("master", "domain", "switch"))]
    domain: str | None
    percentage: float
    description: str
    allowed_units: Annotated[int, described("Number of units for which it is always on.")]
    denied_units: Annotated[int, described("Number of units for which it is always off.")]


class FlagEdit(Shape):
    percentage: Annotated[
        float,
        Between(0, 100),
        Hint("is missing. Send a number from 0 to 100."),
        described("Of the units; 0 or 100 for a switch. Two digits."),
    ]
    reason: ChangeReason | None = Field(None, description="For the history.")


class KillSwitch(Shape):
    reason: ChangeReason | None = Field(None, description="For the history.")


class Page(TypedDict):
    next: Annotated[str | None, described("The address of the next page.")]
    previous: str | None


class DomainPage(Page):
    results: list[DomainPayload]


class ModelPage(Page):
    results: list[ModelPayload]


class FlagPage(Page):
    results: list[FlagPayload]


class RangeQuery(Shape):
    """The query of a report."""

    until: Time | None = None
    since: Time | None = None
    domain: Text | None = None


class AlternativePayload(TypedDict):
    """Another policy over the decisions that can be compared with it."""

    decisions: int
    cost: Annotated[str, described("What it would have cost.")]
    routed: Annotated[str, described("What the same decisions cost as made.")]
    saving: Annotated[str, described("cost minus routed; negative where routing costs more.")]


class Alternatives(TypedDict):
    always_strong: AlternativePayload
    always_weak: AlternativePayload
    random: Annotated[
        AlternativePayload, described("A random router with the same strong share in each domain.")
    ]


class SavingsLinePayload(TypedDict):
    domain: Annotated[str | None, described("Null: all of them.")]
    decisions: int
    pruned: Annotated[int, described("Decisions of which only totals are kept.")]
    priced: Annotated[int, described("Decisions with a price; savings count only these.")]
    actual: Annotated[int, described("Priced with the tokens an outcome reported.")]
    estimated: Annotated[int, described("Priced with expected tokens.")]
    cost: str
    baseline: str
    saving: Annotated[str, described("baseline minus cost.")]
    strong_share: Annotated[float | None, described("Of those answered by a pair.")]
    against: Alternatives


class Savings(TypedDict):
    since: datetime
    until: datetime
    currency: str
    baseline: Annotated[str, described("The current baseline of savings.")]
    total: SavingsLinePayload
    domains: list[SavingsLinePayload]


class LatencyPayload(TypedDict):
    timed: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None


class RoutingCounts(TypedDict):
    since: datetime
    until: datetime
    decisions: int
    pruned: Annotated[int, described("Without reason, fallback and percentiles.")]
    methods: dict[str, int]
    tiers: dict[str, int]
    models: dict[str, int]
    reasons: dict[str, int]
    fallbacks: dict[str, int]
    router_failures: int


class Routing(RoutingCounts):
    latency_ms: LatencyPayload
