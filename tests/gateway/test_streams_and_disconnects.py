"""After the first byte nothing is retried, the usage is counted, and callers may disconnect."""

import json
import socket
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from tests.gateway.chats import ask, stream, turns
from tests.gateway.conftest import Gateway
from tests.gateway.rows import LANES, Lane, secret_of
from tests.gateway.running_totals import until
from tests.gateway.stub import Stub

pytestmark = pytest.mark.server


def test_stream_that_is_cut_ends_with_an_error_event(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane = LANES["cut"]
    stub.behave(lane.strong_name, cut_after=3, times=1)
    streamed = stream(client, lane.model)
    assert streamed.text == "Yes, "
    assert streamed.error is not None
    assert stub.calls(lane.weak_name) == []
    [attempt] = gateway.stored.attempts(streamed.decision_id)
    assert (attempt["status"], attempt["estimated"]) == ("cut", 1)
    assert attempt["output_tokens"] == 2  # five bytes
    assert attempt["cost"] > 0
    outcome = gateway.stored.outcome(streamed.decision_id)
    assert (outcome["success"], outcome["cost"]) == (0, attempt["cost"])


@pytest.mark.parametrize("event", ["{", "7", '{"error": {"message": "Overloaded"}}'])
def test_stream_that_fails_later_is_not_restarted(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, event: str
) -> None:
    lane = LANES["cut"]
    good = {"id": "a", "choices": [{"index": 0, "delta": {"content": "Yes"}}]}
    stub.behave(lane.strong_name, events=[json.dumps(good), event, "[DONE]"], times=1)
    streamed = stream(client, lane.model)
    assert streamed.text == "Yes"
    assert streamed.error is not None
    assert stub.calls(lane.weak_name) == []
    gateway.stored.execute("DELETE FROM experiments_circuit")


def test_error_event_is_in_openais_form_and_no_done_follows(gateway: Gateway, stub: Stub) -> None:
    lane = LANES["cut"]
    stub.behave(lane.strong_name, cut_after=3, times=1)
    body = {"model": lane.model, "messages": turns(), "stream": True}
    headers = {"Authorization": f"Bearer {secret_of('plain')}"}
    raw = httpx.post(f"{gateway.base_url}/chat/completions", json=body, headers=headers).text
    last = raw.strip().rpartition("data: ")[2]
    assert set(json.loads(last)["error"]) == {"message", "type", "param", "code"}
    assert "[DONE]" not in raw


def test_stream_whose_last_choice_has_ended_may_say_more(client: openai.OpenAI, stub: Stub) -> None:
    """Some providers repeat a choice that has ended together with the usage."""
    choice: dict[str, Any] = {"index": 0, "delta": {"content": "Yes"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    again = {"choices": [{"index": 0, "delta": {}, "finish_reason": None}], "usage": usage}
    events = [json.dumps({"choices": [choice]}), json.dumps(again), "[DONE]"]
    stub.behave(LANES["plain"].strong_name, events=events, times=1)
    streamed = stream(client, LANES["plain"].model)
    assert (streamed.text, streamed.error) == ("Yes", None)


def test_chunks_that_arrive_together_are_sent_together(gateway: Gateway, stub: Stub) -> None:
    """Writes to a socket cost more than anything else that is done for a chunk."""
    lane = LANES["plain"]
    words = [{"choices": [{"index": 0, "delta": {"content": f"{n} "}}]} for n in range(40)]
    whole = "".join(f"data: {json.dumps(word)}\n\n" for word in words) + "data: [DONE]\n\n"
    stub.behave(lane.strong_name, pieces=[whole], times=1)
    frames = frames_of(gateway, {"model": lane.model, "messages": turns(), "stream": True})
    assert len(frames) <= 5
    assert b"".join(frames).count(b"data: ") == len(words) + 1


def test_chunks_that_arrive_later_are_sent_later(gateway: Gateway, stub: Stub) -> None:
    lane = LANES["plain"]
    stub.behave(lane.strong_name, pause=0.1, times=1)
    frames = frames_of(gateway, {"model": lane.model, "messages": turns(), "stream": True})
    assert all(frame.count(b"data: ") <= 2 for frame in frames)  # the last one comes with [DONE]


def frames_of(gateway: Gateway, body: dict[str, Any]) -> list[bytes]:
    """The chunks of an HTTP response, as they are framed."""
    address, raw = urlsplit(gateway.base_url), json.dumps(body).encode()
    head = (
        f"POST {address.path}/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: Bearer {secret_of('plain')}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(raw)}\r\n\r\n"
    )
    frames = []
    with socket.create_connection((address.hostname or "", address.port or 0), 20) as connection:
        connection.sendall(head.encode() + raw)
        reader = connection.makefile("rb")
        while reader.readline().strip():
            pass
        while size := int(reader.readline(), 16):
            frames.append(reader.read(size))
            reader.readline()
    return frames


def test_disconnecting_stops_a_stream_and_bills_what_was_sent(gateway: Gateway, stub: Stub) -> None:
    lane = LANES["hangup_stream"]
    stub.behave(lane.strong_name, pause=1.0, times=1)
    decision_id = leave_after(gateway, lane, chunks=3)
    [call] = until(lambda: [c for c in stub.calls(lane.strong_name) if c.hung_up])
    assert not call.done
    [attempt] = gateway.stored.attempts(decision_id)
    assert (attempt["status"], attempt["estimated"]) == ("hung_up", 1)
    assert 1 <= attempt["output_tokens"] <= 3
    outcome = gateway.stored.outcome(decision_id)
    assert outcome["cost"] == attempt["cost"] > 0
    assert outcome["success"] is None
    assert gateway.stored.circuit(lane.strong_name).get("failures", 0) == 0


def leave_after(gateway: Gateway, lane: Lane, chunks: int) -> str:
    body = {"model": lane.model, "messages": turns(), "stream": True}
    headers = {"Authorization": f"Bearer {secret_of('plain')}"}
    url = f"{gateway.base_url}/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=10) as response:
        lines = (line for line in response.iter_lines() if line.startswith("data:"))
        for _ in range(chunks):
            next(lines)
        return response.headers["x-switchyard-decision-id"]


def test_disconnecting_before_the_answer_stops_it_and_bills_the_prompt(
    gateway: Gateway, stub: Stub
) -> None:
    lane = LANES["hangup"]
    stub.behave(lane.strong_name, delay=6, times=1)
    started = time.monotonic()
    leave_unanswered(gateway, lane)
    until(lambda: [c for c in stub.calls(lane.strong_name) if c.hung_up])
    assert time.monotonic() - started < 5
    decision_id = gateway.stored.newest("hangup")
    [attempt] = gateway.stored.attempts(decision_id)
    assert attempt["status"] == "hung_up"
    assert (attempt["input_tokens"], attempt["output_tokens"]) == (2, 0)
    assert attempt["cost"] == 2 * 10_000
    assert stub.calls(lane.weak_name) == []


def leave_unanswered(gateway: Gateway, lane: Lane) -> None:
    body = {"model": lane.model, "messages": turns()}
    headers = {"Authorization": f"Bearer {secret_of('plain')}"}
    with suppress(httpx.TimeoutException):
        timeout = httpx.Timeout(10, read=0.7)
        url = f"{gateway.base_url}/chat/completions"
        httpx.post(url, json=body, headers=headers, timeout=timeout)


def test_disconnecting_while_waiting_for_a_slot_costs_nothing(gateway: Gateway, stub: Stub) -> None:
    """Two at a time, one in each process: a third caller waits half a second for a slot."""
    lane = LANES["hangup_waiting"]
    stub.behave(lane.strong_name, delay=1.0)
    for _ in range(6):
        leave_unanswered(gateway, lane)
    question = "SELECT * FROM experiments_attempt WHERE model = ? AND status = 'hung_up'"
    rows = until(lambda: gateway.stored.rows(question, lane.strong_name))
    sent = len(stub.calls(lane.strong_name))
    assert sum(row["cost"] > 0 for row in rows) <= sent
    stub.behave(lane.strong_name)


def test_slow_reader_gets_everything(gateway: Gateway, client: openai.OpenAI, stub: Stub) -> None:
    lane = LANES["huge"]
    stub.behave(lane.strong_name, pads=3_000_000, times=1)
    chunks = client.chat.completions.create(model=lane.model, messages=turns(), stream=True)
    size = 0
    for number, chunk in enumerate(chunks):
        size += len(chunk.choices[0].delta.content or "")
        if number == 1:
            time.sleep(0.5)
    assert size == 3_000_000 + len("Yes, of course.")
    assert ask(client, LANES["plain"].model).text
