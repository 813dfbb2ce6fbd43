"""A model that keeps failing opens its circuit breaker for all processes, and one call probes
it."""

import time
from datetime import UTC, datetime, timedelta

import openai
import pytest

from tests.gateway.chats import ask, error_of
from tests.gateway.conftest import Gateway
from tests.gateway.rows import LANES, Lane
from tests.gateway.running_totals import until
from tests.gateway.stub import Stub

pytestmark = pytest.mark.server


def open_circuit(gateway: Gateway, stub: Stub, lane: Lane) -> None:
    """Five calls that fail; each is answered by the weak model."""
    stub.behave(lane.strong_name, status=500)
    client = gateway.client()
    for _ in range(5):
        assert ask(client, lane.model).completion.model == lane.weak_name
    until(lambda: gateway.stored.circuit(lane.strong_name).get("open_until"))
    set_wait(gateway, lane, timedelta(hours=1))
    stub.forget()


def set_wait(gateway: Gateway, lane: Lane, left: timedelta) -> None:
    until = datetime.now(UTC) + left
    gateway.stored.execute(
        "UPDATE experiments_circuit SET open_until = ? WHERE model = ?",
        f"{until:%Y-%m-%d %H:%M:%S}",
        lane.strong_name,
    )
    time.sleep(0.7)  # each process reads it every half second


def wait_is_over(gateway: Gateway, lane: Lane) -> None:
    set_wait(gateway, lane, timedelta(seconds=-1))


def test_error_rate_opens_it_for_every_process(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane = LANES["breaker"]
    open_circuit(gateway, stub, lane)
    for _ in range(12):  # on new connections, so that both processes serve some
        answer = ask(gateway.client(), lane.model)
        assert answer.completion.model == lane.weak_name
    assert stub.calls(lane.strong_name) == []
    row = gateway.stored.decision(answer.decision_id)
    assert row["fallback"] == "model_unavailable"
    circuit = gateway.stored.circuit(lane.strong_name)
    assert (circuit["trips"], circuit["reason"]) == (1, "Stub: 500.")


def test_named_model_whose_circuit_is_open_says_so(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane = LANES["shared_breaker"]
    open_circuit(gateway, stub, lane)
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client, lane.strong_name)
    assert error_of(caught.value)["code"] == "no_model_available"
    assert "temporarily unavailable" in str(caught.value)
    assert caught.value.response.headers["retry-after"] == "5"


def test_one_probe_decides(gateway: Gateway, client: openai.OpenAI, stub: Stub) -> None:
    lane = LANES["probed"]
    open_circuit(gateway, stub, lane)

    wait_is_over(gateway, lane)
    assert ask(client, lane.model).completion.model == lane.weak_name  # it fails still
    assert len(stub.calls(lane.strong_name)) == 1
    circuit = until(lambda: (row := gateway.stored.circuit(lane.strong_name))["trips"] == 2 and row)
    assert circuit["open_until"] > circuit["window_at"]

    stub.behave(lane.strong_name, delay=1.0)
    wait_is_over(gateway, lane)
    stub.forget()
    answers = together(gateway, lane, 8)
    assert answers.count(lane.strong_name) == 1
    assert len(stub.calls(lane.strong_name)) == 1
    until(lambda: gateway.stored.circuit(lane.strong_name)["open_until"] is None)
    time.sleep(0.7)
    stub.behave(lane.strong_name)
    assert ask(client, lane.model).completion.model == lane.strong_name


def together(gateway: Gateway, lane: Lane, count: int) -> list[str]:
    from concurrent.futures import ThreadPoolExecutor

    def one(_: int) -> str:
        return ask(gateway.client(), lane.model).completion.model

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_callers_error_does_not_count_for_the_breaker(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane = LANES["refused"]
    stub.behave(lane.strong_name, status=400, times=6)
    for _ in range(6):
        with pytest.raises(openai.BadRequestError):
            ask(client, lane.model)
    time.sleep(0.5)
    assert gateway.stored.circuit(lane.strong_name).get("open_until") is None
