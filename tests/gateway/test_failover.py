"""Timeouts, retries, failover to other models, and their order."""

import time
from typing import Any

import openai
import pytest

from tests.gateway.chats import TEXT, ask, error_of, stream
from tests.gateway.conftest import Gateway
from tests.gateway.rows import LANES
from tests.gateway.stub import Stub

pytestmark = pytest.mark.server


def statuses(gateway: Gateway, decision_id: str) -> list[tuple[str, str]]:
    """Model and status of each attempt, in order."""
    return [(row["model"], row["status"]) for row in gateway.stored.attempts(decision_id)]


def test_time_in_total(gateway: Gateway, client: openai.OpenAI, stub: Stub) -> None:
    lane = LANES["slow"]
    stub.behave(lane.strong_name, delay=30, times=1)
    started = time.monotonic()
    answer = ask(client, lane.model)
    assert 3 <= time.monotonic() - started < 15
    assert answer.completion.model == lane.weak_name
    assert answer.headers["x-switchyard-fallback"] == "total_timeout"
    assert statuses(gateway, answer.decision_id) == [
        (lane.strong_name, "total_timeout"),
        (lane.weak_name, "ok"),
    ]


def test_time_to_the_first_token(gateway: Gateway, client: openai.OpenAI, stub: Stub) -> None:
    lane = LANES["slow_stream"]
    stub.behave(lane.strong_name, delay=30, times=1)
    started = time.monotonic()
    streamed = stream(client, lane.model)
    assert time.monotonic() - started < 15
    assert streamed.text == TEXT
    assert streamed.headers["x-switchyard-model"] == lane.weak_name
    first, second = gateway.stored.attempts(streamed.decision_id)
    assert first["status"] == "first_token_timeout"
    assert first["first_token_ms"] is None
    assert 1_000 <= first["ended_ms"] < 3_000
    assert (second["is_fallback"], second["status"]) == (1, "ok")
    assert second["first_token_ms"] <= second["ended_ms"]


def test_stream_that_goes_silent_ends_with_an_error(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane = LANES["silent"]
    stub.behave(lane.strong_name, pause=30, times=1)
    streamed = stream(client, lane.model)
    assert streamed.error is not None
    assert "sent nothing for 1 s" in str(streamed.error)
    [attempt] = gateway.stored.attempts(streamed.decision_id)
    assert attempt["status"] == "first_token_timeout"


def test_time_to_connect(gateway: Gateway, client: openai.OpenAI) -> None:
    lane = LANES["full"]
    started = time.monotonic()
    answer = ask(client, lane.model)
    assert 0.5 <= time.monotonic() - started < 5
    assert statuses(gateway, answer.decision_id) == [
        (lane.strong_name, "connect_timeout"),
        (lane.weak_name, "ok"),
    ]


def test_endpoint_that_refuses_connections(gateway: Gateway, client: openai.OpenAI) -> None:
    lane = LANES["dead"]
    answer = ask(client, lane.model)
    assert statuses(gateway, answer.decision_id) == [
        (lane.strong_name, "unreachable"),
        (lane.weak_name, "ok"),
    ]


def test_hanging_provider_does_not_delay_other_calls(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane = LANES["hanging"]
    stub.behave(lane.strong_name, hangs=True, times=1)
    assert ask(client, lane.model).completion.model == lane.weak_name


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529, 408])
def test_retryable_error_is_retried_after_a_random_wait(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, status: int
) -> None:
    lane = LANES["retry"]
    stub.behave(lane.strong_name, status=status, times=2)
    answer = ask(client, lane.model)
    assert answer.completion.model == lane.strong_name
    rows = gateway.stored.attempts(answer.decision_id)
    kind = "rate_limited" if status == 429 else "failed"
    assert [row["status"] for row in rows] == [kind, kind, "ok"]
    assert [row["http_status"] for row in rows] == [status, status, 200]
    assert [row["is_fallback"] for row in rows] == [0, 0, 0]
    first, second, third = (call.at for call in stub.calls(lane.strong_name))
    assert second - first >= 0.1
    assert third - second >= 0.2
    assert "x-switchyard-fallback" not in answer.headers
    gateway.stored.execute("DELETE FROM experiments_circuit")


def test_stream_is_retried_before_its_first_event(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane = LANES["retry_stream"]
    stub.behave(lane.strong_name, status=503, times=1)
    streamed = stream(client, lane.model)
    assert streamed.text == TEXT
    assert statuses(gateway, streamed.decision_id) == [
        (lane.strong_name, "failed"),
        (lane.strong_name, "ok"),
    ]


def test_provider_that_asks_for_a_long_wait_is_not_waited_for(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane = LANES["retry_after"]
    stub.behave(lane.strong_name, status=429, headers={"Retry-After": "60"}, times=1)
    answer = ask(client, lane.model)
    assert statuses(gateway, answer.decision_id) == [
        (lane.strong_name, "rate_limited"),
        (lane.weak_name, "ok"),
    ]


def test_callers_error_does_not_fail_over(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane = LANES["refused"]
    error = {"message": "n must be 1.", "type": "invalid_request_error", "param": "n", "code": "x"}
    stub.behave(lane.strong_name, status=400, error=error, times=1)
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, lane.model)
    assert error_of(caught.value) == error
    assert stub.calls(lane.weak_name) == []


def test_refused_provider_key_fails_over_and_is_hidden(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane = LANES["unauthorized"]
    stub.behave(lane.strong_name, status=401, error={"message": "Bad key."}, times=1)
    answer = ask(client, lane.model)
    assert statuses(gateway, answer.decision_id) == [
        (lane.strong_name, "credentials"),
        (lane.weak_name, "ok"),
    ]


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"body": "<html>oops</html>"}, "malformed"),
        ({"body": "[1]"}, "malformed"),
        ({"body": "{}"}, "malformed"),
        ({"body": '{"choices": null}'}, "malformed"),
        ({"body": '{"choices": ["x"]}'}, "malformed"),
        ({"body": '{"error": {"message": "Overloaded"}}'}, "failed"),
        ({"cut_after": 0}, "cut"),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, "failed"),
    ],
)
def test_invalid_response_fails_over(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, how: Any, status: str
) -> None:
    lane = LANES["garbled"]
    stub.behave(lane.strong_name, **how, times=1)
    answer = ask(client, lane.model)
    assert statuses(gateway, answer.decision_id) == [
        (lane.strong_name, status),
        (lane.weak_name, "ok"),
    ]
    gateway.stored.execute("DELETE FROM experiments_circuit")


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"events": []}, "cut"),
        ({"events": ["[DONE]"]}, "cut"),
        ({"events": ["{"]}, "malformed"),
        ({"events": ["7"]}, "malformed"),
        ({"events": ["{}"]}, "malformed"),
        ({"events": ['{"error": {"message": "Overloaded", "code": 529}}']}, "failed"),
        ({"cut_after": 0}, "cut"),
    ],
)
def test_stream_that_starts_with_an_error_fails_over(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, how: Any, status: str
) -> None:
    lane = LANES["cut_first"]
    stub.behave(lane.strong_name, **how, times=1)
    streamed = stream(client, lane.model)
    assert (streamed.text, streamed.error) == (TEXT, None)
    assert statuses(gateway, streamed.decision_id) == [
        (lane.strong_name, status),
        (lane.weak_name, "ok"),
    ]
    gateway.stored.execute("DELETE FROM experiments_circuit")


def test_very_large_response_passes(client: openai.OpenAI, stub: Stub) -> None:
    lane = LANES["huge"]
    stub.behave(lane.strong_name, pads=8_000_000, times=2)
    assert len(ask(client, lane.model).text or "") == 8_000_000 + len(TEXT)
    assert len(stream(client, lane.model).text) == 8_000_000 + len(TEXT)


def test_endless_response_is_aborted(gateway: Gateway, client: openai.OpenAI, stub: Stub) -> None:
    lane = LANES["huge"]
    stub.behave(lane.strong_name, pads=70_000_000, times=1)
    answer = ask(client, lane.model)
    assert answer.completion.model == lane.weak_name
    assert gateway.stored.attempts(answer.decision_id)[0]["status"] == "too_large"


def test_chain_goes_by_pair_then_preference_then_selector(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane = LANES["chain"]
    for name in (lane.strong_name, lane.weak_name, lane.third_name):
        stub.behave(name, status=500, times=1)
    answer = ask(client, lane.model)
    rows = gateway.stored.attempts(answer.decision_id)
    assert [row["model"] for row in rows[:3]] == [lane.strong_name, lane.weak_name, lane.third_name]
    assert [row["status"] for row in rows] == ["failed", "failed", "failed", "ok"]
    assert [row["is_fallback"] for row in rows] == [0, 1, 1, 1]
    assert rows[3]["model"] == answer.completion.model
    outcome = gateway.stored.outcome(answer.decision_id)
    assert (outcome["success"], outcome["model"]) == (1, answer.completion.model)


def test_callers_own_list_comes_first(gateway: Gateway, client: openai.OpenAI, stub: Stub) -> None:
    lane, other = LANES["listed"], LANES["plain"].weak_name
    stub.behave(lane.strong_name, status=500, times=1)
    answer = ask(client, lane.model, extra_body={"models": [other]})
    assert statuses(gateway, answer.decision_id) == [(lane.strong_name, "failed"), (other, "ok")]


def test_named_model_falls_back_only_to_the_list(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane, other = LANES["listed"], LANES["plain"].weak_name
    stub.behave(lane.strong_name, status=500, times=2)
    with pytest.raises(openai.InternalServerError):
        ask(client, lane.strong_name)
    answer = ask(client, lane.strong_name, extra_body={"models": [other]})
    assert answer.completion.model == other


def test_last_models_error_is_returned_when_no_model_answers(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane = LANES["broken"]
    stub.behave(lane.strong_name, status=503, error={"message": "Down for repairs."}, times=1)
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client, lane.strong_name)
    assert caught.value.status_code == 503
    error = error_of(caught.value)
    assert error["message"] == "Down for repairs."
    assert error["type"] == "server_error"
    decision_id = caught.value.response.headers["x-switchyard-decision-id"]
    outcome = gateway.stored.outcome(decision_id)
    assert (outcome["success"], outcome["error"]) == (0, "Down for repairs.")
    assert outcome["cost"] == 0


@pytest.mark.parametrize(
    "error",
    [
        {"message": "This model's maximum context length is 50000 tokens.", "code": None},
        {"message": "Too long.", "code": "context_length_exceeded"},
        {"message": "prompt is too long: 60000 tokens > 50000 maximum"},
    ],
)
def test_prompt_that_is_too_long_goes_to_a_model_that_fits(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, error: Any
) -> None:
    lane = LANES["too_long"]
    stub.behave(lane.strong_name, status=400, error=error, times=1)
    answer = ask(client, lane.model)
    assert statuses(gateway, answer.decision_id) == [
        (lane.strong_name, "context_length"),
        (lane.weak_name, "ok"),
    ]


def test_prompt_that_cannot_fit_is_never_sent(client: openai.OpenAI, stub: Stub) -> None:
    lane = LANES["window"]
    answer = ask(client, lane.model, "word " * 4000)
    assert answer.completion.model == lane.weak_name
    assert stub.calls(lane.strong_name) == []


def test_prompt_that_fits_no_model_is_the_callers_fault(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, "router-auto", "word " * 3_000_000)
    assert error_of(caught.value)["code"] == "context_length_exceeded"


def test_missing_key_of_one_provider_is_routed_around(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    lane = LANES["keyless"]
    answer = ask(client, lane.model)
    assert answer.completion.model == lane.weak_name
    row = gateway.stored.decision(answer.decision_id)
    assert row["fallback"] == "model_unavailable"
