"""A model that is silent while it thinks is not timed out, and the caller's connection is kept."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.api.server import running_server
from tests.gateway.chats import TEXT, stream, turns
from tests.gateway.conftest import FILL, Gateway
from tests.gateway.rows import KEY_VARIABLE, LANES, PROVIDER_KEY, secret_of
from tests.gateway.running_totals import StoredRows
from tests.gateway.stub import Stub

pytestmark = pytest.mark.server
ALIVE, ALONE, ODD = LANES["alive"], LANES["vain_alone"], LANES["odd"]
COMMENT = ": keep-alive"


@pytest.fixture(scope="module")
def attentive(
    tmp_path_factory: pytest.TempPathFactory, stub_process: Stub, full: str
) -> Iterator[Gateway]:
    """A gateway that sends callers a comment every 0.3 seconds."""
    with running_server(
        tmp_path_factory.mktemp("attentive"),
        prepare=(FILL.format(url=stub_process.url, full=full),),
        **{KEY_VARIABLE: PROVIDER_KEY, "GATEWAY_KEEPALIVE_SECONDS": "0.3"},
    ) as server:
        yield Gateway(server, StoredRows(server.database))


def lines_of(gateway: Gateway, model: str) -> tuple[httpx.Response, list[str]]:
    body = {"model": model, "messages": turns(), "stream": True}
    headers = {"Authorization": f"Bearer {secret_of('plain')}", "X-Switchyard-Explain": "1"}
    url = f"{gateway.base_url}/chat/completions"
    response = httpx.post(url, json=body, headers=headers, timeout=20)
    return response, [line for line in response.text.split("\n") if line]


def data_of(lines: list[str]) -> list[Any]:
    texts = (line.removeprefix("data: ") for line in lines if line.startswith("data: {"))
    return [json.loads(text) for text in texts]


@pytest.mark.parametrize("sign", [": x\n\n", ":\n", "event: ping\ndata: {}\n\n", "\n"])
def test_any_byte_counts_as_activity(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, sign: str
) -> None:
    """The endpoint's timeout is a second; the answer takes twice that."""
    chunk = {"choices": [{"index": 0, "delta": {"content": "Yes"}, "finish_reason": "stop"}]}
    pieces = [*[sign] * 5, f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"]
    stub.behave(ALIVE.strong_name, pieces=pieces, pause=0.4, times=1)
    streamed = stream(client, ALIVE.model)
    assert (streamed.text, streamed.error) == ("Yes", None)
    [attempt] = gateway.stored.attempts(streamed.decision_id)
    assert (attempt["status"], attempt["model"]) == ("ok", ALIVE.strong_name)
    assert attempt["first_token_ms"] > 1_500


def test_activity_does_not_extend_the_total_limit(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    stub.behave(ALIVE.strong_name, pieces=[": x\n\n"] * 30, pause=0.4, times=1)
    streamed = stream(client, ALIVE.model)
    assert streamed.headers["x-switchyard-model"] == ALIVE.weak_name
    assert gateway.stored.attempts(streamed.decision_id)[0]["status"] == "total_timeout"
    gateway.stored.execute("DELETE FROM experiments_circuit")


def test_caller_who_waits_for_the_first_token_gets_comments(attentive: Gateway, stub: Stub) -> None:
    stub.behave(ALIVE.strong_name, delay=0.9, times=1)
    response, lines = lines_of(attentive, ALIVE.model)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert lines[:2] == [COMMENT, COMMENT]
    assert lines[-1] == "data: [DONE]"
    assert {chunk["model"] for chunk in data_of(lines)} == {ALIVE.strong_name}
    assert response.headers["x-switchyard-decision-id"]
    assert response.headers["x-switchyard-domain"] == "alive"
    unknown = {"model", "cost", "saving", "fallback", "overhead-ms"}
    assert not {f"x-switchyard-{name}" for name in unknown} & set(response.headers)


def test_another_model_may_answer_after_comments(attentive: Gateway, stub: Stub) -> None:
    stub.behave(ALIVE.strong_name, hangs=True, times=1)
    response, lines = lines_of(attentive, ALIVE.model)
    assert lines[0] == COMMENT
    assert lines[-1] == "data: [DONE]"
    *chunks, last = data_of(lines)
    assert {chunk["model"] for chunk in chunks} == {ALIVE.weak_name}
    assert last["switchyard"]["answered_by"] == ALIVE.weak_name
    statuses = [attempt["status"] for attempt in last["switchyard"]["attempts"]]
    assert statuses == ["first_token_timeout", "ok"]
    decision_id = response.headers["x-switchyard-decision-id"]
    assert attentive.stored.outcome(decision_id)["success"] == 1
    attentive.stored.execute("DELETE FROM experiments_circuit")


def test_error_after_comments_is_an_event(attentive: Gateway, stub: Stub) -> None:
    stub.behave(ALONE.strong_name, hangs=True, times=1)
    response, lines = lines_of(attentive, ALONE.strong_name)
    assert response.status_code == 200
    assert lines[0] == COMMENT
    assert data_of(lines)[-1]["error"]["code"] == "upstream_first_token_timeout"
    assert "data: [DONE]" not in lines
    decision_id = response.headers["x-switchyard-decision-id"]
    assert attentive.stored.outcome(decision_id)["success"] == 0
    attentive.stored.execute("DELETE FROM experiments_circuit")


def test_error_before_the_first_comment_has_its_own_status(attentive: Gateway, stub: Stub) -> None:
    stub.behave(ALONE.strong_name, status=503, times=1)
    response, _ = lines_of(attentive, ALONE.strong_name)
    assert response.status_code == 503
    attentive.stored.execute("DELETE FROM experiments_circuit")


def test_comments_between_chunks(attentive: Gateway, stub: Stub) -> None:
    stub.behave(ODD.strong_name, pause=0.45, times=1)
    response, lines = lines_of(attentive, ODD.model)
    assert response.headers["x-switchyard-model"] == ODD.strong_name
    first = next(number for number, line in enumerate(lines) if line.startswith("data: "))
    assert first == 0
    assert lines.count(COMMENT) >= 2
    assert lines[-1] == "data: [DONE]"
    chunks = data_of(lines)
    texts = (c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert "".join(texts) == TEXT


def test_official_client_ignores_comments(attentive: Gateway, stub: Stub) -> None:
    stub.behave(ALIVE.strong_name, delay=0.9, times=1)
    streamed = stream(attentive.client(), ALIVE.model)
    assert (streamed.text, streamed.error) == (TEXT, None)


def test_fast_responses_have_no_comments(gateway: Gateway) -> None:
    _, lines = lines_of(gateway, ODD.model)
    assert COMMENT not in lines


def test_caller_who_leaves_during_comments_stops_the_model(attentive: Gateway, stub: Stub) -> None:
    lane = LANES["hangup_stream"]
    stub.behave(lane.strong_name, delay=15, times=1)
    body = {"model": lane.model, "messages": turns(), "stream": True}
    headers = {"Authorization": f"Bearer {secret_of('plain')}"}
    url = f"{attentive.base_url}/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=10) as response:
        assert next(response.iter_lines()) == COMMENT
        decision_id = response.headers["x-switchyard-decision-id"]
    [attempt] = attentive.stored.attempts(decision_id)
    assert (attempt["status"], attempt["estimated"]) == ("hung_up", 1)
    assert attempt["cost"] > 0
