"""LiteLLM's exceptions, reduced to the provider's own message, status and wait, without details
of the library, this server or the prompt."""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from experiments.core.endpoints import Endpoint, Protocol
from experiments.gateway.errors import AttemptStatus, UpstreamError
from experiments.gateway.litellm_client import LiteLLMDoor, load
from tests.gateway.native_stub import CUT, NativeStub, running_native_stub

# LiteLLM's types, about which pydantic warns when they are first used.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
KEY = "sk-our-own-key-123456"
PROMPT = "a secret prompt"
CLAUDE, GEMINI, MISTRAL = (
    "anthropic/claude-sonnet-5-5",
    "gemini/gemini-2.5-flash",
    "mistral/mistral-small",
)
PATHS = {CLAUDE: "", GEMINI: "/v1beta", MISTRAL: "/mistral/v1"}
models = pytest.mark.parametrize("model", [CLAUDE, GEMINI, MISTRAL])
whole_and_streamed = pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def native() -> Iterator[NativeStub]:
    with running_native_stub() as stub:
        yield stub


def error_of(
    native: NativeStub, model: str, *, streams: bool = False, url: str | None = None, **body: Any
) -> UpstreamError:
    base = native.url + PATHS.get(model, "") if url is None else url
    endpoint = Endpoint("tried", Protocol.LITELLM, base, total_seconds=20)
    messages = [{"role": "user", "content": PROMPT}]
    sent = {"model": model, "messages": messages, "stream": streams, **body}

    async def call() -> None:
        client = LiteLLMDoor()
        try:
            if streams:
                async for _ in client.stream(endpoint, KEY, sent):
                    pass
            else:
                await client.complete(endpoint, KEY, sent)
        finally:
            await load().close_litellm_async_clients()  # they belong to this event loop

    native.seen.clear()
    with pytest.raises(UpstreamError) as raised:
        asyncio.run(call())
    message = raised.value.message
    for hidden in ("litellm", "Traceback", sys.prefix, KEY, PROMPT, "drop_params", "github.com"):
        assert hidden not in message
    return raised.value


def says(native: NativeStub, model: str, status: int, body: Any, **headers: str) -> None:
    native.forget()
    native.fail(model.partition("/")[2], status, body, **headers)


def words(message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": "some_error", "message": message}}


@whole_and_streamed
@models
@pytest.mark.parametrize(
    ("http", "status"),
    [
        (400, AttemptStatus.REFUSED),
        (401, AttemptStatus.CREDENTIALS),
        (404, AttemptStatus.CREDENTIALS),
        (429, AttemptStatus.RATE_LIMITED),
        (500, AttemptStatus.FAILED),
        (503, AttemptStatus.FAILED),
        (529, AttemptStatus.FAILED),
    ],
)
def test_status_and_message_are_the_providers(
    native: NativeStub, model: str, http: int, status: AttemptStatus, streams: bool
) -> None:
    says(native, model, http, words("The owl is out."))
    error = error_of(native, model, streams=streams)
    assert (error.status, error.http_status) == (status, http)
    refused = f"The provider refused Switchyard ({http}): "
    assert (
        error.message
        == (refused if status is AttemptStatus.CREDENTIALS else "") + "The owl is out."
    )


@models
def test_wait_the_provider_asks_for_is_read(native: NativeStub, model: str) -> None:
    says(native, model, 429, words("Slow down."), **{"Retry-After": "7"})
    assert error_of(native, model).retry_after == 7.0


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        (CLAUDE, b"<html>Sign in</html>"),
        (GEMINI, b"<html>Sign in</html>"),
        (MISTRAL, b"<html>Sign in</html>"),
        (CLAUDE, b"{}"),
        (GEMINI, b"{}"),
    ],
)
def test_invalid_response_counts_against_the_provider(
    native: NativeStub, model: str, answer: bytes
) -> None:
    says(native, model, 200, answer, **{"Content-Type": "application/json"})
    error = error_of(native, model)
    assert error.status is AttemptStatus.MALFORMED
    assert error.policy.counts_for_breaker


@models
def test_cut_connection(native: NativeStub, model: str) -> None:
    says(native, model, CUT, {})
    assert error_of(native, model).status is AttemptStatus.CUT


@models
def test_provider_that_cannot_be_reached(native: NativeStub, model: str) -> None:
    error = error_of(native, model, url="http://127.0.0.1:9/v1")
    assert error.status is AttemptStatus.UNREACHABLE
    assert error.message == "Endpoint 'tried' cannot be reached."


@whole_and_streamed
def test_missing_module_counts_against_no_model(
    native: NativeStub, monkeypatch: pytest.MonkeyPatch, streams: bool
) -> None:
    for name in ("google", "google.auth"):
        monkeypatch.setitem(sys.modules, name, None)
    error = error_of(native, "vertex_ai/gemini-2.5-pro", streams=streams, url=native.url)
    assert error.status is AttemptStatus.LIBRARY
    assert (error.policy.counts_for_breaker, error.policy.failover) == (False, True)
    assert error.as_answer().status == 500
    assert "google" in error.message
    assert native.seen == []


def test_library_that_cannot_be_imported_counts_against_no_model(
    native: NativeStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "litellm", None)
    endpoint = Endpoint("tried", Protocol.LITELLM, native.url)
    body = {"model": CLAUDE, "messages": []}
    with pytest.raises(UpstreamError) as raised:
        asyncio.run(LiteLLMDoor().complete(endpoint, KEY, body))
    assert raised.value.status is AttemptStatus.LIBRARY


def test_tools_that_cannot_be_translated_count_against_no_model(native: NativeStub) -> None:
    error = error_of(native, CLAUDE, tools=[{"type": "function"}])
    assert error.status is AttemptStatus.LIBRARY
    assert error.as_answer().status == 400
    assert error.message == (
        "The call could not be translated for this provider: KeyError: 'function'"
    )


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_messages_that_cannot_be_translated_are_not_repeated(
    native: NativeStub, model: str
) -> None:
    messages = [{"role": "wizard", "content": PROMPT}]
    error = error_of(native, model, messages=messages)
    assert error.as_answer().status == 400
    assert not error.policy.counts_for_breaker
    assert "Invalid Message" in error.message


def test_picture_from_a_private_address_is_not_fetched(native: NativeStub) -> None:
    picture = {"type": "image_url", "image_url": {"url": f"{native.url}/x.png"}}
    messages = [{"role": "user", "content": [picture]}]
    assert error_of(native, CLAUDE, messages=messages).status is AttemptStatus.REFUSED
    assert native.seen == []


def test_error_inside_a_stream_of_anthropic(native: NativeStub) -> None:
    event = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    raw = b"event: error\ndata: " + orjson.dumps(event) + b"\n\n"
    says(native, CLAUDE, 200, raw, **{"Content-Type": "text/event-stream"})
    error = error_of(native, CLAUDE, streams=True)
    assert (error.status, error.message) == (AttemptStatus.FAILED, "Overloaded")
