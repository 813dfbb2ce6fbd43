"""Actual tokens, costs and savings of each call, reconciled with the estimates."""

from typing import Any

import httpx
import openai
import pytest

from tests.api.server import locked
from tests.gateway.chats import ask, stream
from tests.gateway.conftest import Gateway
from tests.gateway.rows import LANES, secret_of
from tests.gateway.stub import Stub

pytestmark = pytest.mark.server
BOOKS, CACHED, USAGE = LANES["stored"], LANES["cached"], LANES["usage"]
READ, WRITE, CACHE_READ = 10_000, 40_000, 2_500  # nano-dollars a token of the strong model


def used(read: Any, wrote: Any, **more: Any) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": read, "completion_tokens": wrote, **more}, "times": 1}


@pytest.mark.parametrize("streams", [False, True])
def test_providers_usage_is_billed(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, streams: bool
) -> None:
    stub.behave(BOOKS.strong_name, **used(1000, 50))
    answer = (stream if streams else ask)(client, BOOKS.model)
    outcome = gateway.stored.outcome(answer.decision_id)
    assert (outcome["input_tokens"], outcome["output_tokens"]) == (1000, 50)
    assert outcome["cost"] == 1000 * READ + 50 * WRITE
    assert outcome["cost_strong"] == outcome["cost_baseline"] == outcome["cost"]
    assert outcome["cost_weak"] == outcome["cost"] // 10
    [attempt] = gateway.stored.attempts(answer.decision_id)
    assert (attempt["cost"], attempt["estimated"]) == (outcome["cost"], 0)


def test_cached_tokens_cost_what_the_catalogue_says(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 800}}
    stub.behave(CACHED.strong_name, **used(1000, 10, **details))
    answer = ask(client, CACHED.model)
    [attempt] = gateway.stored.attempts(answer.decision_id)
    assert attempt["cached_tokens"] == 800
    assert attempt["cost"] == 200 * READ + 800 * CACHE_READ + 10 * WRITE


def test_reasoning_costs_what_the_catalogue_says_and_is_no_saving(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    lane = LANES["reasoned"]
    details = {"completion_tokens_details": {"reasoning_tokens": 300}}
    stub.behave(lane.strong_name, **used(1000, 400, **details))
    answer = ask(client, lane.model)
    [attempt] = gateway.stored.attempts(answer.decision_id)
    assert attempt["reasoning_tokens"] == 300
    assert attempt["cost"] == 1000 * READ + 300 * 15_000 + 100 * WRITE
    assert answer.headers["x-switchyard-saving"] == "0"
    outcome = gateway.stored.outcome(answer.decision_id)
    assert outcome["cost_baseline"] == outcome["cost"] == attempt["cost"]


def test_discount_of_a_cache_is_no_saving(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    """The strong model answered: routing saved nothing, even if its cache reduced the cost."""
    details = {"prompt_tokens_details": {"cached_tokens": 800}}
    for model in (CACHED.model, CACHED.strong_name):
        stub.behave(CACHED.strong_name, **used(1000, 10, **details))
        answer = ask(client, model)
        assert answer.headers["x-switchyard-saving"] == "0"
        outcome = gateway.stored.outcome(answer.decision_id)
        assert outcome["cost_baseline"] == outcome["cost"]


def test_reasoning_tokens_are_kept_and_are_part_of_the_output(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 40}}
    stub.behave(BOOKS.strong_name, **used(10, 50, **details))
    [attempt] = gateway.stored.attempts(ask(client, BOOKS.model).decision_id)
    assert (attempt["reasoning_tokens"], attempt["output_tokens"]) == (40, 50)
    assert attempt["cost"] == 10 * READ + 50 * WRITE


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        {},
        "many",
        {"prompt_tokens": -5, "completion_tokens": 5},
        {"prompt_tokens": "12", "completion_tokens": 5},
        {"prompt_tokens": 12.5, "completion_tokens": 5},
        {"prompt_tokens": True, "completion_tokens": True},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 12, "completion_tokens": 0},
        {"prompt_tokens": 12},
        {"prompt_tokens": 10**9, "completion_tokens": 5},
        {"prompt_tokens": 12, "completion_tokens": 10**18},
    ],
)
@pytest.mark.parametrize("streams", [False, True])
def test_impossible_usage_is_estimated_and_marked(
    gateway: Gateway, client: openai.OpenAI, stub: Stub, usage: Any, streams: bool
) -> None:
    stub.behave(USAGE.strong_name, usage=usage, times=1)
    answer = (stream if streams else ask)(client, USAGE.model, "Twelve bytes")
    [attempt] = gateway.stored.attempts(answer.decision_id)
    assert (attempt["input_tokens"], attempt["output_tokens"]) == (3, 4)
    assert attempt["estimated"] == 1
    assert attempt["cost"] == 3 * READ + 4 * WRITE


def test_more_cached_than_read_counts_as_all_of_it(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 5000}}
    stub.behave(CACHED.strong_name, **used(1000, 10, **details))
    [attempt] = gateway.stored.attempts(ask(client, CACHED.model).decision_id)
    assert attempt["cached_tokens"] == 1000


def test_answer_of_another_model_is_billed_at_its_price(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    stub.behave(BOOKS.strong_name, status=500, times=1)
    stub.behave(BOOKS.weak_name, **used(1000, 50))
    answer = ask(client, BOOKS.model)
    outcome = gateway.stored.outcome(answer.decision_id)
    assert outcome["model"] == BOOKS.weak_name
    assert outcome["cost"] == (1000 * READ + 50 * WRITE) // 10
    assert outcome["cost_baseline"] == 10 * outcome["cost"]
    assert float(answer.headers["x-switchyard-saving"]) == pytest.approx(9 * outcome["cost"] / 1e9)


def test_unknown_price_is_no_saving_and_no_zero(gateway: Gateway, client: openai.OpenAI) -> None:
    answer = ask(client, LANES["unpriced"].model)
    assert "x-switchyard-cost" not in answer.headers
    assert "x-switchyard-saving" not in answer.headers
    assert gateway.stored.outcome(answer.decision_id)["cost"] is None


def test_decision_that_cannot_be_stored_is_503_and_no_model_is_called(
    gateway: Gateway, client: openai.OpenAI, stub: Stub
) -> None:
    with locked(gateway.server), pytest.raises(openai.InternalServerError) as caught:
        ask(client, BOOKS.model)
    assert caught.value.status_code == 503
    assert caught.value.response.headers["retry-after"] == "1"
    assert caught.value.code == "storage_unavailable"
    assert stub.calls(BOOKS.strong_name) == []
    assert ask(client, BOOKS.model).text


def test_feedback_and_the_decision_are_in_the_rest_api(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    answer = ask(client, BOOKS.model)
    headers = {"Authorization": f"Bearer {secret_of('plain')}"}
    url = f"{gateway.server.url}/api/v1"
    rating = {
        "decision_id": answer.decision_id,
        "metric": "quality",
        "value": 1,
        "source": "user",
    }
    assert httpx.post(f"{url}/feedback", json=rating, headers=headers).status_code == 204
    found = httpx.get(f"{url}/decisions/{answer.decision_id}", headers=headers)
    assert found.json()["model"] == BOOKS.strong_name
