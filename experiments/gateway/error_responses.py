"""Errors of the services in OpenAI's form."""

import logging
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, InterfaceError

from experiments.configuration.policy_store import NoPolicyError
from experiments.core.eligibility import CANNOT_CARRY, LACKS, REFUSES
from experiments.core.selection import NoEligibleModelsError
from experiments.gateway.admission import NoModelError, NotAllowedError
from experiments.gateway.errors import CallerError, GatewayError, UpstreamError
from experiments.gateway.response_headers import limit_headers
from experiments.limits.quotas import OverLimitError
from experiments.routing.route import StorageUnavailableError, UnknownNameError

log = logging.getLogger("switchyard.gateway")

BY_MINUTE = {"requests_per_minute": "requests", "tokens_per_minute": "tokens"}


def answer_to(error: Exception) -> GatewayError:
    """The response to any exception. An unexpected one is logged and answered with 500."""
    if isinstance(error, GatewayError):
        return error
    for kind, answer in _ANSWERS.items():
        if isinstance(error, kind):
            return answer(error)
    log.error("Unexpected error", exc_info=error)
    message = "Something went wrong here. The log says what, under this answer's X-Request-Id."
    return GatewayError(500, message, type="server_error", code="internal_error")


def _over_limit(error: OverLimitError) -> CallerError:
    """Retry-After is sent for limits per minute, but not for budgets: waiting for those is too
    long."""
    kind = BY_MINUTE.get(error.code)
    headers = {"Retry-After": str(error.retry_after), **limit_headers(error.standing)}
    if kind is None:
        headers["x-should-retry"] = "false"
    return CallerError(
        429,
        str(error),
        type=kind or "insufficient_quota",
        code="rate_limit_exceeded" if kind else error.code,
        headers=headers,
    )


def _no_model(error: NoModelError) -> GatewayError:
    if error.is_too_long:
        return CallerError(400, str(error), code="context_length_exceeded", param="messages")
    if error.is_untranslatable:
        return CallerError(400, str(error), code="unsupported_by_protocol")
    if error.named and error.reasons[error.named].startswith((LACKS, REFUSES, CANNOT_CARRY)):
        return CallerError(400, str(error), code="unsupported_by_model", param="model")
    if error.is_key_missing:
        return _unavailable(error, "provider_key_missing", {"x-should-retry": "false"})
    return _unavailable(error, "no_model_available", {"Retry-After": "5"})


def _unavailable(error: Exception, code: str, headers: dict[str, str]) -> GatewayError:
    return GatewayError(503, str(error), type="server_error", code=code, headers=headers)


def _not_stored(_: Exception) -> GatewayError:
    """The database's own message is for the log, not for callers."""
    return _unavailable(StorageUnavailableError(), "storage_unavailable", {"Retry-After": "1"})


_ANSWERS: dict[type[Exception], Callable[[Any], GatewayError]] = {
    UpstreamError: UpstreamError.as_answer,
    OverLimitError: _over_limit,
    NoModelError: _no_model,
    NotAllowedError: lambda error: CallerError(403, str(error), code=error.code),
    UnknownNameError: lambda error: CallerError(
        404, str(error), code="model_not_found", param="model"
    ),
    StorageUnavailableError: _not_stored,
    DatabaseError: _not_stored,
    InterfaceError: _not_stored,
    NoPolicyError: lambda error: _unavailable(error, "no_configuration", {}),
    NoEligibleModelsError: lambda error: _unavailable(error, "no_eligible_models", {}),
}
