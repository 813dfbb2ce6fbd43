"""One call of a model: what `experiments.models.Attempt` keeps of it."""

from datetime import datetime
from typing import NamedTuple

from experiments.core.parameters import Change

OK = "ok"


class Attempted(NamedTuple):
    """One call of a model, as `experiments.models.Attempt` keeps it.

    `blames` says whether the call speaks about the model's health at all: a request the caller got
    wrong, or hung up on, does not.
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
    changes: tuple[Change, ...] = ()
    blames: bool = True
