"""Shapes of requests and responses: their only definition.

Requests are read into models. Responses are typed dictionaries: mypy compares the functions that
write them, and writing one costs nothing at run time."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Discriminator, Field, Tag
from typing_extensions import TypedDict

from experiments.core.catalog import SPEED_RATINGS
from experiments.core.selection import FALLBACK_STRATEGIES
from experiments.core.strategies import STRATEGIES
from experiments.decisions.shapes import Decision
from experiments.shapes.fields import (
    Between,
    Count,
    Each,
    Entries,
    EntryLength,
    Hint,
    Items,
    Length,
    OneOf,
    Shape,
    Share,
    Text,
    Texts,
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


class RouteRequest(
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

    items: Annotated[list[Any], Items(MAX_BATCH), Each(RouteRequest)]


class BatchResult(TypedDict):
    status: Annotated[int, described("201 stored, 200 dry run, else the error's status.")]
    decision: NotRequired[Decision]
    error: NotRequired[ErrorDetail]


class BatchAnswer(TypedDict):
    results: list[BatchResult]


class FeedbackResult(TypedDict):
    status: Annotated[int, described("204, else the error's status.")]
    error: NotRequired[ErrorDetail]


class FeedbackAnswer(TypedDict):
    results: list[FeedbackResult]
