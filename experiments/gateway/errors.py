"""Errors in OpenAI's form, with the types and codes its clients know.

GatewayError
├── CallerError          the request, its key or its limits
└── UpstreamError        a provider; says whether to retry or fail over
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from experiments.core.text import storable

Body = dict[str, Any]
INVALID = "invalid_request_error"


class GatewayError(Exception):
    """Sent with `status` and `body`."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = INVALID,  # noqa: A002 - its name in OpenAI's form
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.message = message
        self.type = type
        self.code = code
        self.param = param
        self.headers = dict(headers or {})
        super().__init__(message)

    @property
    def body(self) -> Body:
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }


class CallerError(GatewayError):
    """An error in the request, or in what the caller may do."""


class AttemptStatus(StrEnum):
    """How an attempt ended."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    FIRST_TOKEN_TIMEOUT = "first_token_timeout"  # noqa: S105 - no secret
    TOTAL_TIMEOUT = "total_timeout"
    CUT = "cut"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    CONTEXT_LENGTH = "context_length"
    REFUSED = "refused"
    RATE_LIMITED = "rate_limited"
    CREDENTIALS = "credentials"
    FAILED = "failed"
    BUSY = "concurrency_limit"
    HUNG_UP = "hung_up"
    BROKEN = "broken"
    LIBRARY = "library_error"
    UNSUPPORTED = "unsupported_parameter"


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """What to do about a failure: `retryable` on the same model, `failover` to another;
    `counts_for_breaker`: the failure counts against the model's circuit breaker."""

    retryable: bool = False
    failover: bool = True
    counts_for_breaker: bool = True


ERROR_POLICIES: dict[AttemptStatus, ErrorPolicy] = {
    AttemptStatus.UNREACHABLE: ErrorPolicy(retryable=True),
    AttemptStatus.CONNECT_TIMEOUT: ErrorPolicy(),
    AttemptStatus.FIRST_TOKEN_TIMEOUT: ErrorPolicy(),
    AttemptStatus.TOTAL_TIMEOUT: ErrorPolicy(),
    AttemptStatus.CUT: ErrorPolicy(retryable=True),
    AttemptStatus.MALFORMED: ErrorPolicy(retryable=True),
    AttemptStatus.TOO_LARGE: ErrorPolicy(),
    AttemptStatus.CONTEXT_LENGTH: ErrorPolicy(counts_for_breaker=False),
    AttemptStatus.REFUSED: ErrorPolicy(failover=False, counts_for_breaker=False),
    AttemptStatus.RATE_LIMITED: ErrorPolicy(retryable=True),
    AttemptStatus.CREDENTIALS: ErrorPolicy(),
    AttemptStatus.FAILED: ErrorPolicy(retryable=True),
    AttemptStatus.BUSY: ErrorPolicy(counts_for_breaker=False),
    AttemptStatus.HUNG_UP: ErrorPolicy(failover=False, counts_for_breaker=False),
    AttemptStatus.BROKEN: ErrorPolicy(failover=False, counts_for_breaker=False),
    AttemptStatus.LIBRARY: ErrorPolicy(counts_for_breaker=False),
    AttemptStatus.UNSUPPORTED: ErrorPolicy(counts_for_breaker=False),
}


@dataclass(eq=False)
class UpstreamError(Exception):
    """A provider's failure. `message` is the provider's, without secrets; `usage` is what it
    reports despite the failure."""

    status: AttemptStatus
    message: str
    http_status: int | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    headers: dict[str, str] = field(default_factory=dict)
    usage: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        self.message = storable(self.message)
        self.type, self.code, self.param = (
            None if word is None else storable(word) for word in (self.type, self.code, self.param)
        )
        super().__init__(self.message)

    @property
    def policy(self) -> ErrorPolicy:
        return ERROR_POLICIES[self.status]

    def as_answer(self) -> GatewayError:
        """The error for the caller when no other model is left."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, round(self.retry_after)))
        return GatewayError(
            _answered_with(self),
            self.message,
            type=self.type or _TYPES.get(self.status, "server_error"),
            code=self.code or _CODES.get(self.status, f"upstream_{self.status}"),
            param=self.param,
            headers=headers,
        )


_TYPES = {
    AttemptStatus.REFUSED: INVALID,
    AttemptStatus.UNSUPPORTED: INVALID,
    AttemptStatus.CONTEXT_LENGTH: INVALID,
    AttemptStatus.RATE_LIMITED: "rate_limit_error",
}
_CODES = {
    AttemptStatus.REFUSED: "upstream_refused",
    AttemptStatus.UNSUPPORTED: "unsupported_parameter",
    AttemptStatus.LIBRARY: "upstream_library_error",
    AttemptStatus.CONTEXT_LENGTH: "context_length_exceeded",
    AttemptStatus.RATE_LIMITED: "rate_limit_exceeded",
}
_STATUSES = {
    AttemptStatus.CONNECT_TIMEOUT: 504,
    AttemptStatus.FIRST_TOKEN_TIMEOUT: 504,
    AttemptStatus.TOTAL_TIMEOUT: 504,
    AttemptStatus.BUSY: 503,
}


def _answered_with(error: UpstreamError) -> int:
    """The provider's own status, unless it concerns our key or address, or is not an HTTP
    status."""
    if error.status is AttemptStatus.UNSUPPORTED:
        return 400
    if error.status in {AttemptStatus.REFUSED, AttemptStatus.CONTEXT_LENGTH}:
        return error.http_status or 400
    if error.status is AttemptStatus.RATE_LIMITED:
        return 429
    if error.status is AttemptStatus.LIBRARY:
        return error.http_status or 500
    if error.status is AttemptStatus.FAILED and (error.http_status or 0) >= 500:
        return error.http_status or 502
    return _STATUSES.get(error.status, 502)
