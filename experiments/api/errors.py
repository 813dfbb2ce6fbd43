"""Every error in one form: `{"error": {"type", "message", "param", "code"}}` with its status.

APIError
├── InvalidRequestError       400  a field is missing, of the wrong type or out of range
├── MalformedJSONError        400  the body is not one JSON value
├── LengthRequiredError       411  a body of unknown length
└── BodyTooLargeError         413
"""

import logging
from collections.abc import Mapping
from math import ceil
from typing import Any, NamedTuple

from django.db import InterfaceError, InternalError, OperationalError
from rest_framework import exceptions
from rest_framework.response import Response

from experiments.api import shapes
from experiments.configuration.experiment_locks import LockedError
from experiments.configuration.policy_store import NoPolicyError
from experiments.core.selection import NoEligibleModelsError
from experiments.decisions.lookup import DecisionNotFoundError, DecisionPrunedError
from experiments.decisions.outcomes import BuiltInMetricError, FeedbackOffError, OutOfRangeError
from experiments.experimentation.lifecycle import LifecycleError, NotReadyToShipError
from experiments.rollouts.lifecycle import RolloutError
from experiments.routing.route import (
    StorageUnavailableError,
    UnknownNameError,
    UnmetCriteriaError,
)

log = logging.getLogger("switchyard.api")

RETRY_SECONDS = 1


class APIError(Exception):
    """Sent with `status`. `param` names the invalid field: `criteria.max_latency_ms`."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        self.message = message
        self.param = param
        self.code = code or self.code
        super().__init__(message)


class InvalidRequestError(APIError):
    pass


class MalformedJSONError(APIError):
    code = "malformed_json"


class LengthRequiredError(APIError):
    status = 411
    code = "length_required"


class BodyTooLargeError(APIError):
    status = 413
    code = "body_too_large"


class Problem(NamedTuple):
    """The content of an error response."""

    status: int
    type: str
    message: str
    param: str | None
    code: str
    headers: Mapping[str, str] = {}

    @property
    def body(self) -> shapes.Error:
        return {
            "error": {
                "type": self.type,
                "message": self.message,
                "param": self.param,
                "code": self.code,
            }
        }


# Errors of the services: status, type, invalid field and code. The message is their own.
_REFUSALS: dict[type[Exception], tuple[int, str, str | None, str]] = {
    UnknownNameError: (400, "invalid_request_error", None, "unknown_name"),
    DecisionNotFoundError: (404, "not_found_error", "decision_id", "decision_not_found"),
    DecisionPrunedError: (410, "gone_error", "decision_id", "decision_pruned"),
    OutOfRangeError: (400, "invalid_request_error", "value", "out_of_range"),
    BuiltInMetricError: (400, "invalid_request_error", "metric", "built_in_metric"),
    FeedbackOffError: (403, "permission_error", None, "feedback_off"),
    UnmetCriteriaError: (400, "invalid_request_error", "criteria", "no_eligible_models"),
    NoEligibleModelsError: (503, "unavailable_error", None, "no_eligible_models"),
    NoPolicyError: (503, "unavailable_error", None, "no_configuration"),
    NotReadyToShipError: (409, "conflict_error", None, "not_ready_to_ship"),
    LifecycleError: (409, "conflict_error", None, "not_possible_now"),
    LockedError: (409, "conflict_error", None, "locked"),
    RolloutError: (409, "conflict_error", None, "not_possible_now"),
}

# Errors of Django REST framework: type and code in our form.
_FRAMEWORK: dict[type[exceptions.APIException], tuple[str, str]] = {
    exceptions.ParseError: ("invalid_request_error", "malformed_json"),
    exceptions.NotAuthenticated: ("authentication_error", "missing_api_key"),
    exceptions.AuthenticationFailed: ("authentication_error", "invalid_api_key"),
    exceptions.PermissionDenied: ("permission_error", "forbidden"),
    exceptions.NotFound: ("not_found_error", "not_found"),
    exceptions.MethodNotAllowed: ("invalid_request_error", "method_not_allowed"),
    exceptions.UnsupportedMediaType: ("invalid_request_error", "unsupported_media_type"),
    exceptions.Throttled: ("rate_limit_error", "rate_limit_exceeded"),
}


def handle(error: Exception, context: Mapping[str, Any]) -> Response:
    """Django REST framework's exception handler: the response to any error that a view raises."""
    problem = problem_of(error)
    response = Response(problem.body, problem.status, headers=dict(problem.headers))
    response._has_been_logged = True  # type: ignore[attr-defined]  # Django would log every refusal as a warning of its own
    return response


def problem_of(error: Exception) -> Problem:
    """The response to an error. An unexpected one is logged and answered with 500."""
    if isinstance(error, APIError):
        return Problem(error.status, error.type, error.message, error.param, error.code)
    if isinstance(error, exceptions.APIException):
        return _framework_problem(error)
    if isinstance(
        error, StorageUnavailableError | OperationalError | InterfaceError | InternalError
    ):
        return _storage_problem(error)
    for kind, (status, type_, param, code) in _REFUSALS.items():
        if isinstance(error, kind):
            return Problem(status, type_, str(error), getattr(error, "param", param), code)
    log.error("Unexpected error", exc_info=error)
    message = "Something went wrong here. The log says what, under this answer's X-Request-Id."
    return Problem(500, "server_error", message, None, "internal_error")


def _storage_problem(error: Exception) -> Problem:
    log.warning("Storage unavailable", extra={"detail": str(error.__cause__ or error)})
    message = str(error) if isinstance(error, StorageUnavailableError) else _STORAGE
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return Problem(503, "unavailable_error", message, None, "storage_unavailable", headers)


_STORAGE = "The database does not answer now. Try again in a moment."


def _framework_problem(error: exceptions.APIException) -> Problem:
    kind, code = _FRAMEWORK.get(type(error), ("invalid_request_error", error.default_code))
    headers = {}
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    if isinstance(error, exceptions.Throttled):
        headers["Retry-After"] = str(max(1, ceil(getattr(error, "wait", None) or 1)))
    return Problem(error.status_code, kind, str(error.detail), None, code, headers)
