"""Converts routing requests into the service's input."""

from typing import Any

from experiments.api.authentication import require
from experiments.api.errors import InvalidRequestError
from experiments.api.readers import Reader
from experiments.core.catalog import SPEED_RATINGS
from experiments.core.costs import estimate_tokens
from experiments.core.selection import FALLBACK_STRATEGIES, ModelSelectionCriteria
from experiments.core.strategies import STRATEGIES
from experiments.limits.api_keys import Caller
from experiments.models import Scope
from experiments.routing.route import RouteRequest

MAX_TEXT = 100_000
MAX_METADATA = 16
MAX_METADATA_KEY = 64
MAX_METADATA_VALUE = 512
MAX_MESSAGES = 2_000
ROLES = ("system", "developer", "user", "assistant", "tool", "function")

LISTS = (
    "required_tasks",
    "required_capabilities",
    "required_domains",
    "required_languages",
    "required_certifications",
    "preferred_providers",
    "excluded_providers",
    "preferred_models",
    "excluded_models",
)
LIMITS = ("max_cost_per_request", "max_cost_per_1k_tokens", "max_latency_ms")


def route_request(data: Any, caller: Caller, request_id: str, path: str = "") -> RouteRequest:
    """Raises InvalidRequestError, and PermissionDenied if `force_arm` is not allowed."""
    reader = Reader(data, path)
    text, tokens = _prompt(reader)
    wanted = RouteRequest(
        text=text,
        unit_id=reader.text("unit_id"),
        domain=reader.text("domain"),
        criteria=_criteria(reader),
        metadata=_metadata(reader),
        dry_run=reader.boolean("dry_run") or False,
        force_arm=reader.text("force_arm"),
        input_tokens=tokens,
        key_id=caller.key.pk,
        request_id=request_id,
    )
    reader.close()
    if wanted.force_arm is not None:
        require(caller, Scope.MANAGE)
    return wanted


def _prompt(reader: Reader) -> tuple[str, int | None]:
    """The text to route, and the tokens of the whole conversation if there is one."""
    text, messages = reader.text("text", MAX_TEXT), reader.objects("messages", MAX_MESSAGES)
    if messages is None:
        if text is None:
            raise reader.fail("text", "is missing. Send text or messages.", "missing")
        return text, None
    if text is not None:
        raise reader.fail("messages", "and text exclude each other. Send one of them.")
    return _last_user_turn(messages, reader.param("messages"))


def _last_user_turn(messages: list[Any], path: str) -> tuple[str, int]:
    last: tuple[int, str] | None = None
    tokens = 0
    for index, message in enumerate(messages):
        role, text = _message(message, f"{path}[{index}]")
        tokens += estimate_tokens(text) if text else 0
        if role == "user":
            last = index, text
    if last is None:
        raise InvalidRequestError(
            f"'{path}' holds no message of the role 'user'. Its last one is routed.",
            path,
            "missing",
        )
    index, text = last
    where = f"{path}[{index}].content"
    if not text.strip():
        raise InvalidRequestError(f"'{where}' holds no text to route.", where, "empty")
    if len(text) > MAX_TEXT:
        message = f"'{where}' is longer than {MAX_TEXT:,} characters. Shorten it."
        raise InvalidRequestError(message, where, "too_long")
    return text, tokens


def _message(data: Any, path: str) -> tuple[str, str]:
    """Role and text. Fields that routing does not need are not checked."""
    reader = Reader(data, path)
    role = reader.choice("role", ROLES)
    if role is None:
        raise reader.fail("role", "is missing.", "missing")
    content = reader.value("content")
    if content is None:  # an assistant message with only tool calls
        return role, ""
    if isinstance(content, str):
        return role, content
    if not isinstance(content, list):
        raise reader.fail("content", "must be a string or a list of parts.", "invalid_type")
    parts = [_part(part, f"{path}.content[{index}]") for index, part in enumerate(content)]
    return role, "\n".join(part for part in parts if part)


def _part(data: Any, path: str) -> str:
    """The text of a part; images, sound and files have none."""
    reader = Reader(data, path)
    if reader.text("type") is None:
        raise reader.fail("type", "is missing.", "missing")
    if data["type"] != "text":
        return ""
    if not isinstance(data.get("text"), str):
        raise reader.fail("text", "must be a string.", "invalid_type")
    return str(data["text"])


def _criteria(parent: Reader) -> ModelSelectionCriteria | None:
    data = parent.value("criteria")
    if data is None:
        return None
    reader = Reader(data, parent.param("criteria"))
    values: dict[str, Any] = {name: reader.texts(name) for name in LISTS}
    values |= {name: reader.number(name, 0, 1e9) for name in LIMITS}
    values["min_accuracy_score"] = reader.number("min_accuracy_score", 0, 1)
    values["min_context_window"] = reader.integer("min_context_window")
    values["prefer_free_models"] = reader.boolean("prefer_free_models")
    values["speed_preference"] = reader.choice("speed_preference", SPEED_RATINGS)
    values["fallback_strategy"] = reader.choice("fallback_strategy", FALLBACK_STRATEGIES)
    values["selection_strategy"] = reader.choice("selection_strategy", STRATEGIES)
    reader.close()
    return ModelSelectionCriteria(**{k: v for k, v in values.items() if v is not None})


def _metadata(parent: Reader) -> dict[str, str]:
    data = parent.value("metadata")
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise parent.fail("metadata", "must map strings to strings.", "invalid_type")
    if len(data) > MAX_METADATA:
        raise parent.fail("metadata", f"takes {MAX_METADATA} entries.", "too_long")
    reader = Reader(data, parent.param("metadata"))
    for name, value in data.items():
        if not isinstance(value, str):
            raise reader.fail(name, "must be a string.", "invalid_type")
        if len(name) > MAX_METADATA_KEY or len(value) > MAX_METADATA_VALUE:
            limits = f"takes names of {MAX_METADATA_KEY} and values of {MAX_METADATA_VALUE}"
            raise reader.fail(name, f"{limits} characters.", "too_long")
    return data
