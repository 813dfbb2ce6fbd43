"""Types of the fields of a request.

One annotation says what a field accepts, how a refusal reads, and what the OpenAPI document says:
`limit: Annotated[float, Between(0, 1)]`. Checks raise PydanticCustomError with the code of the
refusal; its message continues "'field' …".
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar, cast
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
)
from pydantic_core import PydanticCustomError, core_schema

MAX_NAME = 200
MAX_COUNT = 100_000_000
# pydantic has an error too_long of its own.
ENTRY_TOO_LONG = "entry_too_long"
# What str.strip removes is blank.
NOT_BLANK = r"[^\s\x1c-\x1f]"
EMPTY_OR_TEXT = rf"^$|{NOT_BLANK}"

Schema = dict[str, Any]
T = TypeVar("T")


class Shape(BaseModel):
    """An object with known fields. Null counts as left out; an unknown field is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def described(text: str) -> Any:
    """What the OpenAPI document says about a field: `name: Annotated[str, described("…")]`."""
    return Field(description=text)


def refusal(code: str, message: str) -> PydanticCustomError:
    return PydanticCustomError(code, message)


@dataclass(frozen=True)
class Format:
    """A text of this format in a response: `date-time`, `uuid`. It is not checked."""

    name: str

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> Schema:
        return {**handler(schema), "format": self.name}


@dataclass(frozen=True)
class Hint:
    """What the refusal says when the field is missing."""

    text: str
    code: str = "missing"


class FieldCheck:
    """A check of a value that already has its type."""

    def check(self, value: Any) -> Any:
        """The value to use. Raises PydanticCustomError."""
        raise NotImplementedError

    def schema(self) -> Schema:
        """What the check adds to the JSON schema."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> Schema:
        return {**handler(schema), **self.schema()}


class EarlyCheck(FieldCheck):
    """A check, or a conversion, before the value has its type."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self.check, handler(source))


@dataclass(frozen=True)
class Length:
    """A text of at most `longest` characters that is not blank; `empty`: unless it is empty.

    pydantic's own rules, without a call of Python: every decision pays for them. `reading` words
    the refusals.
    """

    longest: int = MAX_NAME
    empty: bool = False

    def rules(self) -> Schema:
        return {"max_length": self.longest, "pattern": EMPTY_OR_TEXT if self.empty else NOT_BLANK}

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.str_schema(strict=True, **self.rules())

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> Schema:
        least: Schema = {} if self.empty else {"minLength": 1}
        return {"type": "string", **least, "maxLength": self.longest}


@dataclass(frozen=True)
class OneOf:
    """One of these texts. Also without a call of Python."""

    allowed: tuple[str, ...]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        text = core_schema.str_schema(strict=True, **Length().rules())
        literal = core_schema.literal_schema(list(self.allowed))
        message = f"must be one of: {', '.join(self.allowed)}."
        choice = core_schema.custom_error_schema(
            literal, "invalid_value", custom_error_message=message
        )
        return core_schema.chain_schema([text, choice])

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> Schema:
        return {"type": "string", "enum": list(self.allowed)}


@dataclass(frozen=True)
class Between(FieldCheck):
    """A finite number with limits, both included."""

    lowest: float = -math.inf
    highest: float = math.inf

    def check(self, value: float) -> float:
        if not self.lowest <= value <= self.highest:
            raise refusal("out_of_range", self._limits())
        return value

    def _limits(self) -> str:
        if self.highest == math.inf:
            return "must be a finite number."
        return f"must lie between {self.lowest:,.10g} and {self.highest:,.10g}."

    def schema(self) -> Schema:
        limits = {"minimum": self.lowest, "maximum": self.highest}
        return {name: limit for name, limit in limits.items() if math.isfinite(limit)}


class _WholeNumber(EarlyCheck):
    """JSON has one kind of number: 5.0 is whole, 5.5 is not."""

    def check(self, value: Any) -> Any:
        if not isinstance(value, float):
            return value
        if not value.is_integer():
            raise refusal("invalid_type", "must be a whole number.")
        return int(value)

    def schema(self) -> Schema:
        return {}


@dataclass(frozen=True)
class Items(EarlyCheck):
    """A list of 1 to `most` values; `empty`: or of none."""

    most: int
    empty: bool = False

    def check(self, value: Any) -> Any:
        is_allowed = not isinstance(value, list) or 1 <= len(value) <= self.most
        if not is_allowed and (value or not self.empty):
            raise refusal("out_of_range", f"must hold 1 to {self.most:,} items.")
        return value

    def schema(self) -> Schema:
        least: Schema = {} if self.empty else {"minItems": 1}
        return {**least, "maxItems": self.most}


@dataclass(frozen=True)
class Entries(EarlyCheck):
    """An object of at most `most` entries."""

    most: int

    def check(self, value: Any) -> Any:
        if isinstance(value, dict) and len(value) > self.most:
            raise refusal("too_long", f"takes {self.most} entries.")
        return value

    def schema(self) -> Schema:
        return {"maxProperties": self.most}


@dataclass(frozen=True)
class EntryLength:
    """The name or the value of an entry. The refusal states both limits."""

    longest: int
    limits: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        message = f"takes {self.limits} characters."
        length = core_schema.custom_error_schema(
            core_schema.str_schema(max_length=self.longest),
            ENTRY_TOO_LONG,
            custom_error_message=message,
        )
        return core_schema.chain_schema([core_schema.str_schema(strict=True), length])

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> Schema:
        return {"type": "string", "maxLength": self.longest}


@dataclass(frozen=True)
class Each:
    """Documents the items of a list that are read one by one: a shape, or a JSON schema."""

    shape: Any

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> Schema:
        known = isinstance(self.shape, dict)
        items = self.shape if known else handler(TypeAdapter(self.shape).core_schema)
        return {**handler(schema), "items": items}


class Parsed:
    """A text that is parsed. Subclasses say how, and what the JSON schema is."""

    length = Length()

    def parse(self, text: str) -> Any:
        """Raises PydanticCustomError."""
        raise NotImplementedError

    def schema(self) -> Schema:
        raise NotImplementedError

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        text = core_schema.str_schema(strict=True, **self.length.rules())
        parse = core_schema.no_info_plain_validator_function(self.parse)
        return core_schema.chain_schema([text, parse])

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> Schema:
        return {"type": "string", **self.schema()}


@dataclass(frozen=True)
class PatternText(Parsed):
    """A text that matches `pattern` as a whole, at most `longest` characters long.

    `message` is the refusal of both; with a `length` of its own, a longer text is too long."""

    pattern: str
    longest: int
    message: str
    length: Length = Length()

    def parse(self, text: str) -> str:
        is_empty = self.length.empty and not text
        if not is_empty and (len(text) > self.longest or not re.fullmatch(self.pattern, text)):
            raise refusal("invalid_value", self.message)
        return text

    def schema(self) -> Schema:
        pattern = self.pattern
        if self.length.empty:
            pattern = f"^({pattern.removeprefix('^').removesuffix('$')})?$"
        return {"maxLength": self.longest, "pattern": pattern}


class _Time(Parsed):
    """An ISO 8601 time; one without an offset is taken as UTC."""

    def parse(self, text: str) -> datetime:
        try:
            return parse_time(text)
        except (ValueError, OverflowError):
            raise refusal("invalid_value", "must be a time such as 2026-11-22T21:04:00Z.") from None

    def schema(self) -> Schema:
        return {"format": "date-time"}


class _Identifier(Parsed):
    def parse(self, text: str) -> UUID:
        try:
            return UUID(text)
        except ValueError:
            raise refusal("invalid_type", "is no UUID.") from None

    def schema(self) -> Schema:
        return {"format": "uuid"}


def parse_time(value: str) -> datetime:
    """In UTC. Raises ValueError, also for years that no decision can have, or OverflowError."""
    time = datetime.fromisoformat(value)
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    if not 1970 <= time.year <= 9000:
        raise ValueError(value)
    return time


class _NumberOrBoolean(EarlyCheck):
    """True and false count as 1 and 0."""

    def check(self, value: Any) -> Any:
        return float(value) if isinstance(value, bool) else value

    def schema(self) -> Schema:
        return {"type": ["number", "boolean"]}


@dataclass(frozen=True)
class Dollars(EarlyCheck):
    """US dollars, a number or a decimal string. The value is a decimal string of at most nine
    digits after the point."""

    lowest: float
    highest: float

    def check(self, value: Any) -> str:
        number = isinstance(value, int | float | str) and not isinstance(value, bool)
        try:
            amount = float(value) if number else None
        except ValueError:
            amount = None
        if amount is None:
            raise refusal("invalid_type", "must be a number.")
        Between(self.lowest, self.highest).check(amount)
        return f"{round(Decimal(str(value)), 9).normalize():f}"

    def schema(self) -> Schema:
        return {"type": ["number", "string"]}


@dataclass(frozen=True)
class _Texts:
    """A list of texts, refused as a whole."""

    most: int = 100

    def check(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise refusal("invalid_type", "must be a list of strings.")
        if len(value) > self.most or any(len(item) > MAX_NAME for item in value):
            raise refusal("too_long", f"takes {self.most} strings of {MAX_NAME} characters.")
        return tuple(value)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> Schema:
        item = {"type": "string", "maxLength": MAX_NAME}
        return {"type": "array", "items": item, "maxItems": self.most}


Text = Annotated[str, Length()]
Texts = Annotated[tuple[str, ...], _Texts()]
Share = Annotated[float, Between(0, 1)]
Whole = Annotated[int, _WholeNumber()]
Count = Annotated[Whole, Between(0, MAX_COUNT)]
Time = Annotated[datetime, _Time()]
Identifier = Annotated[UUID, _Identifier()]
NumberOrBoolean = Annotated[float, Between(), _NumberOrBoolean()]


def copied(row: object, columns: type[T]) -> T:
    """The attributes of `row` that a typed dictionary names."""
    return cast("T", {name: getattr(row, name) for name in columns.__annotations__})
