"""Reads a value into a shape. The refusal names the first field that is wrong."""

from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from experiments.shapes.fields import ENTRY_TOO_LONG, Hint

S = TypeVar("S", bound=BaseModel)

# Begins the tag of a branch of a union.
TAG = "<tag>"

# pydantic's kinds of errors: message and code. A check of ours has its code as its kind.
_KINDS = {
    "string_type": ("must be a string.", "invalid_type"),
    "bool_type": ("must be true or false.", "invalid_type"),
    "int_type": ("must be a number.", "invalid_type"),
    "float_type": ("must be a number.", "invalid_type"),
    "finite_number": ("must be a finite number.", "out_of_range"),
    "list_type": ("must be a list.", "invalid_type"),
    "string_too_long": ("is longer than {max_length:,} characters. Shorten it.", "too_long"),
    "string_pattern_mismatch": ("is empty. Leave it out, or send a text.", "empty"),
    "dict_type": ("must map strings to strings.", "invalid_type"),
}
_CODES = {ENTRY_TOO_LONG: "too_long"}
_OBJECT_KINDS = ("model_type", "model_attributes_type")


_MISSING = Hint("is missing.")


class InvalidShapeError(ValueError):
    """`param` is the path of the field (`items[2].text`); None: the value itself."""

    def __init__(self, message: str, param: str | None, code: str) -> None:
        self.param = param
        self.code = code
        super().__init__(message)


def read(shape: type[S], data: Any, path: str = "") -> S:
    """`path` is where `data` is in the body. Raises InvalidShapeError."""
    try:
        # What model_validate calls: half a microsecond less for every decision.
        value: S = shape.__pydantic_validator__.validate_python(data)
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        raise _refusal(shape, first, path) from None
    return value


def _refusal(shape: type[BaseModel], error: dict[str, Any], path: str) -> InvalidShapeError:
    steps = [step for step in error["loc"] if not _is_tag(step)]
    kind, param = error["type"], path + _path(steps)
    param = param if path else param.removeprefix(".")
    if kind == "missing" or (error["input"] is None and steps and isinstance(steps[-1], str)):
        hint = _hint(shape, steps)
        message, code = hint.text, hint.code
    elif kind in _OBJECT_KINDS:
        return InvalidShapeError("Send a JSON object.", param or None, "invalid_type")
    elif kind == "extra_forbidden":
        known = ", ".join(sorted(_shape_at(shape, steps[:-1]).model_fields))
        message, code = f"is unknown. Known fields: {known}.", "unknown_field"
    else:
        message, code = _KINDS.get(kind, (error["msg"], _CODES.get(kind, kind)))
        message = message.format(**error.get("ctx", {})) if kind in _KINDS else message
    return InvalidShapeError(f"'{param}' {message}", param, code)


def _hint(shape: type[BaseModel], steps: list[str | int]) -> Hint:
    field = _shape_at(shape, steps[:-1]).model_fields[str(steps[-1])]
    return next((item for item in field.metadata if isinstance(item, Hint)), _MISSING)


def _shape_at(shape: type[BaseModel], steps: list[str | int]) -> type[BaseModel]:
    """The shape that the path leads to; indexes of lists lead nowhere."""
    for name in steps:
        if isinstance(name, str):
            shape = next(_shapes_in(shape.model_fields[name].annotation))
    return shape


def _shapes_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _shapes_in(part)


def _is_tag(step: str | int) -> bool:
    """pydantic names the branch of a union and the key of an entry; a path does not."""
    return isinstance(step, str) and (step == "[key]" or step.startswith(TAG))


def _path(steps: list[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
