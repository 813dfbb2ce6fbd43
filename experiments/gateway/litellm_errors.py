"""Converts LiteLLM's exceptions into errors of the provider, the network or the library itself.

LiteLLM wraps everything in its own exceptions: their status is often not the provider's, and
their message contains advice, the caller's messages and a traceback. The wrapped exception is
the real cause."""

import ast
import logging
import re
import traceback
from collections.abc import Iterator
from typing import Any

import orjson

from experiments.core.endpoints import Endpoint
from experiments.core.text import storable
from experiments.gateway.errors import AttemptStatus, UpstreamError
from experiments.gateway.provider_errors import presentable, refusal

log = logging.getLogger("switchyard.gateway")

# Names instead of classes: the modules that define them take seconds to import.
ANSWERED = {"HTTPStatusError", "APIStatusError"}
UNREACHABLE = {"ConnectError", "ClientConnectorError"}
NETWORK = {"TransportError", "ClientError", "APIConnectionError", "ConnectionError"}
NOT_JSON = {"JSONDecodeError"}
# What the library raises about a request that it cannot translate.
ABOUT_THE_REQUEST = (KeyError, TypeError, ValueError, IndexError)
_READS_AN_ANSWER = re.compile(r"transform_\w*response|chunk_parser|convert_to_\w*response")
_WRAPPING = re.compile(r"\A(?:(?:litellm\.)?\w+(?:Error|Exception|Timeout)[:.]|\w+Error -) *")
_PROVIDER = re.compile(r"\A\w+Exception(?: \w+Error)? - *")
# From here on a message addresses developers of LiteLLM, or repeats the request.
_ADVICE = re.compile(
    r"\.?\s*(?:Traceback \(most recent call last\)|Handle with `litellm|File an issue"
    r"|To drop (?:these|this|unsup)|If you want to use these params|,? ?Original Response:"
    r"|Received Messages="
    r"|Received - |passed in (?:- )?\{|Got=|LiteLLM Retried:|Available Model Group"
    r"|; an admin can check).*",
    re.DOTALL,
)


def translated(error: Exception, endpoint: Endpoint, key: str | None) -> UpstreamError:
    """The error of the provider, without traceback, path, prompt or key."""
    chain = list(_chain(error))
    if _named(error, {"Timeout"}):
        return UpstreamError(AttemptStatus.TOTAL_TIMEOUT, "The provider did not answer in time.")
    if answer := _first(chain, ANSWERED):
        response = getattr(answer, "response", None)
        return _refusal(error, getattr(response, "status_code", None), response, key)
    if _first(chain, UNREACHABLE):
        text = f"Endpoint '{endpoint.name}' cannot be reached."
        return UpstreamError(AttemptStatus.UNREACHABLE, text)
    cause = _foreign(chain)
    if cause is None or _named(cause, {"TimeoutException"}):
        return _refusal(error, None, None, key)
    if _named(cause, NETWORK):
        return UpstreamError(AttemptStatus.CUT, "The provider cut the connection.")
    return _unreadable(cause) or _own(cause, key)


def message_of(error: Exception) -> str:
    """The provider's message, or the library's without its advice."""
    text = storable(str(getattr(error, "message", None) or error))
    shorter = ""
    while shorter != text:
        shorter, text = text, _PROVIDER.sub("", _WRAPPING.sub("", text))
    return _ADVICE.sub("", text).strip().rstrip(":-, ")


def _refusal(error: Exception, http_status: Any, response: Any, key: str | None) -> UpstreamError:
    status = http_status or getattr(error, "status_code", None)
    text = _body_in(message_of(error))
    if _named(error, {"ContextWindowExceededError"}):
        text = orjson.dumps({"message": text, "code": "context_length_exceeded"}).decode()
    headers = getattr(response, "headers", None) or {}
    return refusal(status if isinstance(status, int) else 500, text, headers, key)


def _body_in(text: str) -> str:
    """The JSON of the provider's response, if a message ends with it."""
    if text.startswith(("b'", 'b"')):
        try:
            text = ast.literal_eval(text).decode(errors="replace")
        except (ValueError, SyntaxError, AttributeError):
            return text
    begin, end = text.find("{"), text.rfind("}")
    inside = text[begin : end + 1]
    try:
        return inside if begin >= 0 and isinstance(orjson.loads(inside), dict) else text
    except orjson.JSONDecodeError:
        return text


def _unreadable(cause: BaseException) -> UpstreamError | None:
    """A response that violates its protocol."""
    is_broken = not isinstance(cause, ImportError) and any(
        _READS_AN_ANSWER.search(frame.name) for frame in traceback.extract_tb(cause.__traceback__)
    )
    if is_broken or _named(cause, NOT_JSON):
        return UpstreamError(AttemptStatus.MALFORMED, "The provider's answer could not be read.")
    return None


def _own(cause: BaseException, key: str | None) -> UpstreamError:
    """The library failed before it called the provider: this does not count against the model."""
    text = _ADVICE.sub("", storable(str(cause))).strip().rstrip(":-, ")
    what = presentable(f"{type(cause).__name__}: {text}", key)
    log.error("LiteLLM failed", extra={"error": what, "at": _place(cause)})
    if type(cause) is Exception or isinstance(cause, ABOUT_THE_REQUEST):
        message = f"The call could not be translated for this provider: {what}"
        return UpstreamError(AttemptStatus.LIBRARY, message, http_status=400)
    message = f"LiteLLM, which translates calls for this provider, failed: {what}"
    return UpstreamError(AttemptStatus.LIBRARY, message)


def _place(cause: BaseException) -> str:
    frames = traceback.extract_tb(cause.__traceback__)[-3:]
    return ", ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _first(chain: list[BaseException], names: set[str]) -> BaseException | None:
    """Skips LiteLLM's wrappers, which are subclasses of OpenAI's exceptions."""
    inside = (e for e in chain if type(e).__module__ != "litellm.exceptions")
    return next((each for each in inside if _named(each, names)), None)


def _foreign(chain: list[BaseException]) -> BaseException | None:
    """The first exception that LiteLLM does not define."""
    return next((e for e in chain if not type(e).__module__.startswith("litellm.")), None)


def _named(error: BaseException, names: set[str]) -> bool:
    return any(kind.__name__ in names for kind in type(error).__mro__)
