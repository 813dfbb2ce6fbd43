"""Official clients read streams in all the forms that providers send."""

import json
from typing import Any

import openai
import pytest

from tests.gateway.chats import ask, stream
from tests.gateway.conftest import Gateway
from tests.gateway.rows import LANES
from tests.gateway.stub import Stub

pytestmark = pytest.mark.server
ODD, USAGE = LANES["odd"], LANES["odd_usage"]
READ, WRITE = 10_000, 40_000  # nano-dollars a token of the strong model
COUNTS = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}


def chunk(text: str | None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


def lines(*events: Any, end: str = "\n") -> str:
    texts = (each if isinstance(each, str) else json.dumps(each) for each in events)
    return "".join(f"data: {text}{end}{end}" for text in texts)


def seen(stub: Stub, *pieces: str, **how: Any) -> None:
    stub.behave(ODD.strong_name, pieces=list(pieces), times=1, **how)


GOOD = (chunk("Yes"), chunk(" sir"), chunk(None, "stop"))


@pytest.mark.parametrize(
    "last",
    [
        {"choices": None, "usage": COUNTS},
        {"usage": COUNTS},
        {"choices": [], "usage": COUNTS},
        {"choices": [None], "usage": COUNTS},
        {"choices": None, "x_groq": {"id": "r", "usage": COUNTS}},
    ],
)
@pytest.mark.parametrize("asked", [False, True])
def test_usage_without_choices(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, last: Any, asked: bool
) -> None:
    events = [json.dumps(each) for each in (*GOOD, last)]
    stub.behave(USAGE.strong_name, events=[*events, "[DONE]"], times=1)
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if asked else {}
    streamed = stream(client, USAGE.model, **options)
    assert (streamed.text, streamed.error) == ("Yes sir", None)
    [attempt] = gateway.stored.attempts(streamed.decision_id)
    assert (attempt["status"], attempt["estimated"]) == ("ok", 0)
    assert attempt["cost"] == 100 * READ + 7 * WRITE
    reported = [each for each in streamed.chunks if each.usage]
    assert len(reported) == (asked and "usage" in last)
    assert all(each.choices == [] for each in reported)


@pytest.mark.parametrize(
    "pieces",
    [
        [lines(*GOOD, "[DONE]", end="\r\n")],
        [lines(*GOOD, "[DONE]", end="\r")],
        ["\xef\xbb\xbf" + lines(*GOOD, "[DONE]")],
        [": OPENROUTER PROCESSING\n\n", ": x\n", lines(*GOOD, "[DONE]")],
        ["event: ping\ndata: {}\n\n", lines({"type": "ping"}, *GOOD, "[DONE]")],
        [lines(GOOD[0]), 'event: ping\ndata: {"type": "ping"}\n\n', lines(*GOOD[1:], "[DONE]")],
        [
            'data: {"choices": [{"index": 0,\ndata: "delta": {"content": "Yes sir"}}]}\n\n',
            lines(GOOD[2], "[DONE]"),
        ],
        [lines(GOOD[0], GOOD[1], "[DONE]")],
        [lines(GOOD[0], GOOD[1], " [DONE]")],
        [lines(*GOOD)],
        [lines(*GOOD).rstrip()],
        ["data:\n\n", lines(*GOOD, "[DONE]")],
        [lines({"choices": []}, {"choices": None}, *GOOD, {"choices": None}, "[DONE]")],
        [lines(*GOOD, "[DONE]", "{ nothing is read after it")],
    ],
)
def test_form(gateway: Gateway, client: openai.OpenAI, stub: Stub, pieces: list[str]) -> None:
    seen(stub, *pieces)
    streamed = stream(client, ODD.model)
    assert (streamed.text, streamed.error) == ("Yes sir", None)
    [attempt] = gateway.stored.attempts(streamed.decision_id)
    assert attempt["status"] == "ok"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/json", "application/octet-stream", "text/html"]
)
def test_content_type_that_is_not_expected(
    client: openai.OpenAI, stub: Stub, content_type: str
) -> None:
    seen(stub, lines(*GOOD, "[DONE]"), content_type=content_type)
    streamed = stream(client, ODD.model)
    assert (streamed.text, streamed.error) == ("Yes sir", None)


def test_complete_response_instead_of_a_stream(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "Yes", "tool_calls": [call]},
        "finish_reason": "stop",
    }
    answer = {"id": "c", "object": "chat.completion", "created": 1, "choices": [choice]}
    seen(stub, json.dumps({**answer, "usage": COUNTS}), content_type="application/json")
    streamed = stream(client, ODD.model)
    assert (streamed.text, streamed.error) == ("Yes", None)
    [found] = streamed.chunks
    assert found.object == "chat.completion.chunk"
    assert found.choices[0].delta.tool_calls is not None
    assert found.choices[0].delta.tool_calls[0].index == 0
    [attempt] = gateway.stored.attempts(streamed.decision_id)
    assert attempt["cost"] == 100 * READ + 7 * WRITE


def test_bytes_cut_anywhere(client: openai.OpenAI, stub: Stub) -> None:
    events = lines(chunk("Grüße 👍"), chunk(None, "stop"), "[DONE]")
    assert "\\u" in events
    unescaped = lines(json.dumps(chunk("Grüße 👍"), ensure_ascii=False), GOOD[2], "[DONE]")
    for text in (events, unescaped):
        seen(stub, *(chr(byte) for byte in text.encode()))
        assert stream(client, ODD.model).text == "Grüße 👍"


def test_character_cut_in_two_between_chunks(client: openai.OpenAI, stub: Stub) -> None:
    halves = [json.dumps(chunk("X")).replace("X", half) for half in (r"Ok \ud83d", r"\ude00!")]
    seen(stub, lines(*halves, GOOD[2], "[DONE]"))
    streamed = stream(client, ODD.model)
    assert (streamed.text, streamed.error) == ("Ok 😀!", None)


@pytest.mark.parametrize("streams", [False, True])
def test_nan_and_infinity_become_null(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, streams: bool
) -> None:
    logprobs = '{"content": [{"token": "a", "bytes": null, "logprob": NaN, "top_logprobs": []},'
    logprobs += '{"token": "b", "bytes": null, "logprob": -Infinity, "top_logprobs": []}]}'
    part = '"delta": {"content": "Yes"}'
    whole = '"message": {"role": "assistant", "content": "Yes"}'
    choice = f'{{"index": 0, "finish_reason": "stop", "logprobs": {logprobs}, '
    if streams:
        seen(stub, lines(f'{{"choices": [{choice}{part}}}]}}', "[DONE]"))
        streamed = stream(client, ODD.model)
        assert (streamed.text, streamed.error) == ("Yes", None)
        found: Any = streamed.chunks[0].choices[0].logprobs
    else:
        stub.behave(ODD.strong_name, body=f'{{"choices": [{choice}{whole}}}]}}', times=1)
        answer = ask(client, ODD.model)
        assert answer.text == "Yes"
        found = answer.completion.choices[0].logprobs
    assert [each.logprob for each in found.content] == [None, -9999.0]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"choices": []}, "malformed"),
        ({"choices": [{"index": 0}]}, "malformed"),
        ({"choices": [{"message": {"content": "Half"}}], "error": {"message": "Oops"}}, "failed"),
        (
            {"choices": [{"message": {"content": "Half"}, "error": {"message": "Oops"}}]},
            "failed",
        ),
        (
            {"choices": [{"message": {"content": "Half"}, "finish_reason": "error"}]},
            "failed",
        ),
        ({"object": "error", "message": "Oops", "code": 503}, "failed"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Oops"}}, "failed"),
    ],
)
def test_empty_answer_fails_over(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, body: Any, status: str
) -> None:
    """Usage that its provider reports is billed."""
    stub.behave(ODD.strong_name, body=json.dumps({**body, "usage": COUNTS}), times=1)
    answer = ask(client, ODD.model)
    assert answer.completion.model == ODD.weak_name
    first, second = gateway.stored.attempts(answer.decision_id)
    assert (first["status"], second["status"]) == (status, "ok")
    assert (first["input_tokens"], first["output_tokens"], first["estimated"]) == (100, 7, 0)
    assert first["cost"] == 100 * READ + 7 * WRITE
    assert gateway.stored.outcome(answer.decision_id)["cost"] == first["cost"] + second["cost"]
    gateway.stored.execute("DELETE FROM experiments_circuit")


@pytest.mark.parametrize(
    "pieces",
    [
        [lines({"choices": []}, "[DONE]")],
        [lines({"choices": None, "usage": COUNTS}, "[DONE]")],
        [lines({"type": "ping"}, {"type": "ping"})],
        [lines({**GOOD[0], "error": {"message": "Oops"}})],
        ['event: error\ndata: {"message": "Oops"}\n\n'],
        [lines({"choices": [], "x_groq": {"error": "over_capacity"}})],
        ["<html>Bad gateway</html>"],
        ['{"choices": []}'],
    ],
)
def test_stream_that_never_began_fails_over(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, pieces: list[str]
) -> None:
    seen(stub, *pieces)
    streamed = stream(client, ODD.model)
    assert (streamed.text, streamed.error) == ("Yes, of course.", None)
    assert streamed.headers["x-switchyard-model"] == ODD.weak_name
    gateway.stored.execute("DELETE FROM experiments_circuit")


@pytest.mark.parametrize(
    "broken",
    [
        {**chunk("", "error"), "error": {"message": "Oops", "code": 502}},
        chunk("", "error"),
        {"choices": [{"index": 0, "delta": {}, "error": {"message": "Oops"}}]},
    ],
)
def test_stream_with_an_error_next_to_its_choices_has_failed(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, broken: Any
) -> None:
    seen(stub, lines(GOOD[0], broken, "[DONE]"))
    streamed = stream(client, ODD.model)
    assert streamed.text == "Yes"
    assert streamed.error is not None
    [attempt] = gateway.stored.attempts(streamed.decision_id)
    assert attempt["status"] == "failed"
    assert gateway.stored.outcome(streamed.decision_id)["success"] == 0
    gateway.stored.execute("DELETE FROM experiments_circuit")


def test_stream_that_stops_silently_is_interrupted(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    seen(stub, lines(GOOD[0], {"choices": None, "usage": COUNTS}))
    streamed = stream(client, ODD.model)
    assert streamed.error is not None
    [attempt] = gateway.stored.attempts(streamed.decision_id)
    assert (attempt["status"], attempt["cost"]) == ("cut", 100 * READ + 7 * WRITE)
    gateway.stored.execute("DELETE FROM experiments_circuit")
