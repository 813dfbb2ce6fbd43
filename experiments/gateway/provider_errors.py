"""Classifies providers' errors."""

import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from experiments.core.text import load_provider_json
from experiments.gateway.errors import AttemptStatus, UpstreamError
from experiments.gateway.provider_json import dumps
from experiments.gateway.usage import reported_in
from experiments.limits.credentials import without_secrets

LONGEST_MESSAGE = 2_000
_TOO_LONG = re.compile(
    r"context[ _](length|window|size)|maximum (context|prompt) |prompt is too long"
    r"|too many (input )?tokens|input is too long|exceeds? the (maximum )?(number of )?tokens?",
    re.IGNORECASE,
)
_TRACEBACK = re.compile(r"\s*Traceback \(most recent call last\).*", re.DOTALL)
_CALLERS_FAULT = {400, 405, 406, 409, 410, 411, 413, 414, 415, 422, 451}
_CALLERS_TYPES = {"invalid_request_error", "BadRequestError"}
_OURS = {401, 402, 403, 404}
_WORTH_AGAIN = {408, 425}


def refusal(
    http_status: int, raw: bytes | str, headers: Mapping[str, str], key: str | None
) -> UpstreamError:
    """The error for a response with this status. It never contains our key."""
    details = _details(raw)
    message = presentable(details["message"], key)
    code = _word(details.get("code"))
    status = _status(http_status, message, code)
    if status is AttemptStatus.CREDENTIALS:
        message = f"The provider refused Switchyard ({http_status}): {message}"
    return UpstreamError(
        status,
        message or f"The provider answered {http_status}.",
        http_status=http_status,
        type=None if status is AttemptStatus.CREDENTIALS else _word(details.get("type")),
        code=None if status is AttemptStatus.CREDENTIALS else code,
        param=_word(details.get("param")),
        retry_after=_retry_after(headers),
    )


def presentable(text: str, key: str | None) -> str:
    """A message for callers and the database: no traceback, no path of this server, no key."""
    text = _own_paths().sub("[path]", _TRACEBACK.sub("", text))
    return without_secrets(text, key)[:LONGEST_MESSAGE]


@cache
def _own_paths() -> re.Pattern[str]:
    ours = (settings.PACKAGE_DIR.parent, settings.HOME_DIR, Path.home())
    places = {sys.prefix, sys.base_prefix, *map(str, ours)} - {"/"}
    known = "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
    return re.compile(rf"(?:(?:{known})|/[^\s'\"]*/site-packages)[^\s'\",;:)]*")


def reported(data: Mapping[str, Any], key: str | None) -> UpstreamError | None:
    """The error in a response with status 200 or in an event of a stream; also if choices
    accompany it, which are then incomplete."""
    error = _error_in(data)
    return None if error is None else failure(data, key, error)


def failure(data: Mapping[str, Any], key: str | None, error: Any = None) -> UpstreamError:
    """The error that `data` is, or holds as `error`."""
    error = data if error is None else error
    found = refusal(_status_in(error), dumps({"error": error}), {}, key)
    found.usage = reported_in(data)
    return found


def _error_in(data: Mapping[str, Any]) -> Any:
    """None if there is none. Runs for every chunk of every stream."""
    if _says_something(error := data.get("error")):
        return error
    if data.get("object") == "error" or data.get("type") == "error":  # vLLM, Mistral; Anthropic
        return {**data, "message": data.get("message") or "The provider reported an error."}
    groq = data.get("x_groq")
    if isinstance(groq, dict) and _says_something(error := groq.get("error")):
        return error
    choices = data.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and (error := _error_of(choice)) is not None:
            return error
    return None


def _error_of(choice: Mapping[str, Any]) -> Any:
    """OpenRouter puts the error into the choice that it ended."""
    if _says_something(error := choice.get("error")):
        return error
    is_broken = choice.get("finish_reason") == "error"
    return "The provider ended its response with an error." if is_broken else None


def _says_something(error: Any) -> bool:
    """Some providers send an empty error, or code 0, for no error."""
    return any(error.values()) if isinstance(error, dict) else bool(error)


def _status_in(error: Any) -> int:
    """The HTTP status that the error would have, had the response not begun with 200."""
    details = error if isinstance(error, dict) else {}
    code = details.get("code")
    if isinstance(code, int) and 400 <= code < 600:
        return code
    return 400 if details.get("type") in _CALLERS_TYPES else 500


def _status(http_status: int, message: str, code: str | None) -> AttemptStatus:
    if http_status == 429:
        return AttemptStatus.RATE_LIMITED
    if http_status in _CALLERS_FAULT:
        too_long = code == "context_length_exceeded" or _TOO_LONG.search(message)
        return AttemptStatus.CONTEXT_LENGTH if too_long else AttemptStatus.REFUSED
    if http_status in _OURS:
        return AttemptStatus.CREDENTIALS
    if http_status in _WORTH_AGAIN or not 400 <= http_status < 500:
        return AttemptStatus.FAILED
    return AttemptStatus.REFUSED


def _details(raw: bytes | str) -> dict[str, Any]:
    """The parts of an error, in any of the forms that providers use."""
    try:
        data = load_provider_json(raw if isinstance(raw, bytes) else raw.encode("utf-8", "replace"))
    except ValueError:
        text = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
        return {"message": "" if "<html" in text.lower() else text.strip()[:300]}
    error = data.get("error", data) if isinstance(data, dict) else data
    if isinstance(error, dict):
        message = error.get("message") or error.get("detail") or ""
        return {**error, "message": message if isinstance(message, str) else str(message)}
    return {"message": str(error)}


def _word(value: Any) -> str | None:
    return str(value)[:100] if isinstance(value, str | int) and value != "" else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; providers send a number or a date."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
