"""Providers behind LiteLLM fail, fall back and stop streaming like all others."""

from typing import Any

import openai
import pytest

from tests.gateway.chats import ask, stream
from tests.gateway.conftest import Gateway
from tests.gateway.rows import LANES
from tests.gateway.running_totals import until
from tests.gateway.stub import Stub
from tests.gateway.test_streams_and_disconnects import leave_after

pytestmark = pytest.mark.server
BAD, SLOW, GOOD = (LANES[f"translated{name}"] for name in ("_bad", "_slow", ""))


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"status": 500}, "failed"),
        ({"status": 401, "error": {"message": "Bad key."}}, "credentials"),
        ({"status": 429}, "rate_limited"),
        (
            {"status": 400, "error": {"message": "maximum context length is 9 tokens"}},
            "context_length",
        ),
    ],
)
def test_failed_call_is_answered_by_another_model(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, how: dict[str, Any], status: str
) -> None:
    stub.behave(BAD.strong_name, **how, times=1)
    if status == "context_length":
        with pytest.raises(openai.BadRequestError):  # the other window is no larger
            ask(client, BAD.model)
        return
    answer = ask(client, BAD.model)
    assert answer.completion.model == BAD.weak_name
    first, _ = gateway.stored.attempts(answer.decision_id)
    assert first["status"] == status
    gateway.stored.execute("DELETE FROM experiments_circuit")


def test_hanging_call_is_answered_by_another_model(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    stub.behave(SLOW.strong_name, hangs=True, times=2)
    answer = ask(client, SLOW.model)
    assert answer.completion.model == SLOW.weak_name
    assert gateway.stored.attempts(answer.decision_id)[0]["status"] == "total_timeout"
    streamed = stream(client, SLOW.model)
    assert streamed.headers["x-switchyard-model"] == SLOW.weak_name
    assert gateway.stored.attempts(streamed.decision_id)[0]["status"] == "first_token_timeout"


def test_usage_of_both_is_billed(gateway: Gateway, client: openai.OpenAI, stub: Stub) -> None:
    for call in (ask, stream):
        stub.behave(GOOD.strong_name, usage={"prompt_tokens": 50, "completion_tokens": 5}, times=1)
        [attempt] = gateway.stored.attempts(call(client, GOOD.model).decision_id)
        assert (attempt["input_tokens"], attempt["output_tokens"]) == (50, 5)
        assert attempt["estimated"] == 0


def test_caller_who_leaves_stops_the_stream(gateway: Gateway, stub: Stub) -> None:
    stub.behave(GOOD.strong_name, pause=1.0, times=1)
    decision_id = leave_after(gateway, GOOD, chunks=2)
    until(lambda: [call for call in stub.calls(GOOD.strong_name) if call.hung_up])
    [attempt] = gateway.stored.attempts(decision_id)
    assert attempt["status"] == "hung_up"
