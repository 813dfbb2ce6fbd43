"""One call to a model, as `experiments.models.Attempt` stores it."""

from datetime import datetime
from typing import NamedTuple

from experiments.core.parameters import ParameterChange

OK = "ok"


class Attempted(NamedTuple):
    """One call to a model, as `experiments.models.Attempt` stores it.

    `counts_for_breaker` says whether the circuit breaker of the model counts the call. It does not
    count invalid requests, or calls whose client disconnected.
    """

    model: str
    endpoint: str
    is_fallback: bool
    started_at: datetime
    ended_ms: float
    status: str
    first_token_ms: float | None = None
    http_status: int | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    estimated: bool = False
    cost: int | None = None
    error: str = ""
    changes: tuple[ParameterChange, ...] = ()
    counts_for_breaker: bool = True
