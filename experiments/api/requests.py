"""Converts requests into the services' input."""

from typing import Any, TypeVar

from experiments.api import shapes
from experiments.api.authentication import require
from experiments.api.errors import InvalidRequestError
from experiments.core.costs import estimate_tokens
from experiments.core.selection import ModelSelectionCriteria
from experiments.limits.api_keys import Caller
from experiments.models import Scope
from experiments.routers.follow_up import with_topic
from experiments.routing.route import RouteRequest
from experiments.shapes import reading
from experiments.shapes.fields import Shape

S = TypeVar("S", bound=Shape)


def read(shape: type[S], data: Any, path: str = "") -> S:
    """`path` is where `data` is in the body. Raises InvalidRequestError."""
    try:
        return reading.read(shape, data, path)
    except reading.InvalidShapeError as error:
        raise InvalidRequestError(str(error), error.param, error.code) from None


def route_request(data: Any, caller: Caller, request_id: str, path: str = "") -> RouteRequest:
    """Raises InvalidRequestError, and PermissionDenied if `force_arm` is not allowed."""
    given = read(shapes.RouteRequestPayload, data, path)
    text, tokens = _prompt(given, f"{path}." if path else "")
    if given.force_arm is not None:
        require(caller, Scope.MANAGE)
    return RouteRequest(
        text=text,
        unit_id=given.unit_id,
        domain=given.domain,
        criteria=_criteria(given.criteria) if given.criteria else None,
        metadata=given.metadata or {},
        dry_run=given.dry_run or False,
        force_arm=given.force_arm,
        input_tokens=tokens,
        key_id=caller.key.pk,
        request_id=request_id,
    )


def _prompt(given: shapes.RouteRequestPayload, path: str) -> tuple[str, int | None]:
    """The text to route, and the tokens of the whole conversation if there is one."""
    if given.messages is None:
        if given.text is None:
            message = f"'{path}text' is missing. Send text or messages."
            raise InvalidRequestError(message, f"{path}text", "missing")
        return given.text, None
    if given.text is not None:
        message = f"'{path}messages' and text exclude each other. Send one of them."
        raise InvalidRequestError(message, f"{path}messages")
    return _last_user_turn(given.messages, f"{path}messages")


def _last_user_turn(messages: list[shapes.Message], path: str) -> tuple[str, int]:
    texts = [message.text for message in messages]
    last = max((i for i, message in enumerate(messages) if message.role == "user"), default=None)
    if last is None:
        message = f"'{path}' holds no message of the role 'user'. Its last one is routed."
        raise InvalidRequestError(message, path, "missing")
    text, where = texts[last], f"{path}[{last}].content"
    if not text.strip():
        raise InvalidRequestError(f"'{where}' holds no text to route.", where, "empty")
    if len(text) > shapes.MAX_TEXT:
        message = f"'{where}' is longer than {shapes.MAX_TEXT:,} characters. Shorten it."
        raise InvalidRequestError(message, where, "too_long")
    turns = (message.text for message in reversed(messages) if message.role == "user")
    return with_topic(turns), sum(estimate_tokens(each) for each in texts if each)


def _criteria(given: shapes.Criteria) -> ModelSelectionCriteria:
    values = {name: value for name, value in given if value is not None}
    return ModelSelectionCriteria(**values)
