"""Tokens of failed attempts are billed."""

import json
from typing import Any

import httpx
import openai
import pytest

from tests.gateway.chats import ask, stream
from tests.gateway.conftest import Gateway
from tests.gateway.rows import LANES, secret_of
from tests.gateway.running_totals import until
from tests.gateway.stub import Stub
from tests.gateway.test_key_limits import usage_of

pytestmark = pytest.mark.server
VAIN, ALONE, ODD = LANES["vain"], LANES["vain_alone"], LANES["odd"]
READ, WRITE = 10_000, 40_000  # nano-dollars a token of the strong model
EXPLAIN = {"X-Switchyard-Explain": "true"}
TEXT = "x" * 4000  # a thousand tokens


@pytest.mark.parametrize("streams", [False, True])
def test_time_out(gateway: Gateway, client: openai.OpenAI, stub: Stub, streams: bool) -> None:
    stub.behave(VAIN.strong_name, hangs=True, times=1)
    answer = (stream if streams else ask)(client, VAIN.model, TEXT)
    first, second = gateway.stored.attempts(answer.decision_id)
    assert first["status"] == ("first_token_timeout" if streams else "total_timeout")
    assert (first["input_tokens"], first["output_tokens"], first["estimated"]) == (1000, 0, 1)
    assert first["cost"] == 1000 * READ
    assert gateway.stored.outcome(answer.decision_id)["cost"] == first["cost"] + second["cost"]
    gateway.stored.execute("DELETE FROM experiments_circuit")


def test_time_out_after_part_of_an_answer(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"reasoning_content": "y" * 400}}]}
    stub.behave(VAIN.strong_name, events=[json.dumps(chunk), "{}"], pause=30, times=1)
    streamed = stream(client, VAIN.model, TEXT)
    assert streamed.error is not None
    [attempt] = gateway.stored.attempts(streamed.decision_id)
    assert attempt["cost"] == 1000 * READ + 100 * WRITE
    gateway.stored.execute("DELETE FROM experiments_circuit")


@pytest.mark.parametrize("streams", [False, True])
def test_connection_cut_before_the_first_token(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, streams: bool
) -> None:
    stub.behave(ODD.strong_name, cut_after=0, times=1)
    answer = (stream if streams else ask)(client, ODD.model, TEXT)
    first, _ = gateway.stored.attempts(answer.decision_id)
    assert (first["status"], first["cost"]) == ("cut", 1000 * READ)
    gateway.stored.execute("DELETE FROM experiments_circuit")


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_refused_call_costs_nothing(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, status: int
) -> None:
    stub.behave(ODD.strong_name, status=status, times=1)
    try:
        decision_id = ask(client, ODD.model, TEXT).decision_id
    except openai.BadRequestError as error:
        decision_id = error.response.headers["x-switchyard-decision-id"]
    first = gateway.stored.attempts(decision_id)[0]
    assert (first["input_tokens"], first["cost"]) == (None, 0)
    gateway.stored.execute("DELETE FROM experiments_circuit")


def test_tokens_of_all_attempts_count_against_the_key(gateway: Gateway, stub: Stub) -> None:
    client = gateway.client("few_tokens_in_vain")
    stub.behave(VAIN.strong_name, hangs=True, times=1)
    usage = {"prompt_tokens": 900, "completion_tokens": 10}
    stub.behave(VAIN.weak_name, usage=usage, times=1)
    ask(client, VAIN.model, TEXT)
    until(lambda: usage_of(gateway, "few_tokens_in_vain", "minute")["tokens"] == 1910)
    gateway.stored.execute("DELETE FROM experiments_circuit")


@pytest.mark.parametrize("streams", [False, True])
def test_failed_call_has_no_cost_and_no_saving_in_its_headers(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, streams: bool
) -> None:
    stub.behave(ALONE.strong_name, hangs=True, times=1)
    with pytest.raises(openai.APIStatusError) as caught:
        (stream if streams else ask)(client, ALONE.strong_name, TEXT, extra_headers=EXPLAIN)
    response = caught.value.response
    assert response.status_code == 504
    assert not {"x-switchyard-cost", "x-switchyard-saving"} & set(response.headers)
    assert response.headers["x-switchyard-model"] == ALONE.strong_name
    money = response.json()["switchyard"]["cost"]
    assert money == {"currency": "USD", "actual": "0.01", "saving": None}
    outcome = gateway.stored.outcome(response.headers["x-switchyard-decision-id"])
    assert (outcome["success"], outcome["cost"]) == (0, 1000 * READ)
    gateway.stored.execute("DELETE FROM experiments_circuit")


def test_failed_call_of_the_cheaper_model_claims_no_saving(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane = LANES["cheap"]
    stub.behave(lane.weak_name, cut_after=3, times=1)
    streamed = stream(client, lane.model)
    assert streamed.error is not None
    outcome = gateway.stored.outcome(streamed.decision_id)
    assert outcome["cost"] == outcome["cost_baseline"] > 0
    assert outcome["cost_strong"] is outcome["cost_weak"] is None


def test_refused_call_has_no_money_in_its_headers_either(client: openai.OpenAI, stub: Stub) -> None:
    stub.behave(ODD.strong_name, status=400, error={"message": "No."}, times=1)
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, ODD.model)
    assert not [name for name in caught.value.response.headers if "cost" in name or "sav" in name]


def test_providers_own_cost_replaces_a_missing_price(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane = LANES["unpriced"]
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "cost": 0.0125}
    stub.behave(lane.strong_name, usage=usage, times=1)
    answer = ask(client, lane.model)
    assert answer.headers["x-switchyard-cost"] == "0.0125"
    assert "x-switchyard-saving" not in answer.headers
    assert gateway.stored.outcome(answer.decision_id)["cost"] == 12_500_000


@pytest.mark.parametrize("streams", [False, True])
def test_every_kind_of_token_is_stored_and_billed(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, streams: bool
) -> None:
    lane = LANES["kinds"]
    usage: dict[str, Any] = {
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "total_tokens": 1300,
        "prompt_tokens_details": {
            "cached_tokens": 300,
            "cache_creation_tokens": 250,
            "cache_creation_token_details": {
                "ephemeral_5m_input_tokens": 200,
                "ephemeral_1h_input_tokens": 50,
            },
            "audio_tokens": 40,
        },
        "completion_tokens_details": {"reasoning_tokens": 200, "audio_tokens": 10},
    }
    stub.behave(lane.strong_name, usage=usage, times=1)
    answer = (stream if streams else ask)(client, lane.model)
    [attempt] = gateway.stored.attempts(answer.decision_id)
    kinds = "cached cache_write cache_write_1h input_audio reasoning output_audio input output"
    counts = [attempt[f"{kind}_tokens"] for kind in kinds.split()]
    assert counts == [300, 200, 50, 40, 200, 10, 1000, 300]
    read = 300 * 2_500 + 200 * 12_500 + 50 * 20_000 + 40 * 80_000 + 410 * READ
    wrote = 200 * WRITE + 10 * 160_000 + 90 * WRITE
    assert attempt["cost"] == read + wrote
    outcome = gateway.stored.outcome(answer.decision_id)
    assert outcome["cost_baseline"] == outcome["cost"] == attempt["cost"]
    explained = gateway.stored.decision(answer.decision_id)["detail"]["prices"][lane.strong_name]
    assert explained["cache_write_1h"] == 20 * 10**9


def test_the_gateways_own_errors_contain_no_costs(gateway: Gateway) -> None:
    headers = {"Authorization": f"Bearer {secret_of('plain')}"}
    response = httpx.post(f"{gateway.base_url}/chat/completions", json={}, headers=headers)
    assert response.status_code == 400
    assert not [name for name in response.headers if name.startswith("x-switchyard")]
