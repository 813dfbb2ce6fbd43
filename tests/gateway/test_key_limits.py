"""Limits of keys: money, requests, tokens, models and domains."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime

import httpx
import openai
import pytest

from tests.gateway.chats import ask, error_of, turns
from tests.gateway.conftest import Gateway
from tests.gateway.rows import LANES, secret_of
from tests.gateway.running_totals import until
from tests.gateway.stub import Stub

pytestmark = pytest.mark.server
LIMITS = LANES["limits"]
# A call of exactly a thousandth of a dollar: 20 tokens in at $10 and 20 out at $40 a million.
TWENTY = "x" * 80
USED = {"prompt_tokens": 20, "completion_tokens": 20}
COST = 1_000_000


def early_in_a_minute() -> None:
    """Limits per minute start with each minute of the clock."""
    if (second := datetime.now(UTC).second) > 40:
        time.sleep(60.5 - second)


def usage_of(gateway: Gateway, key: str, span: str = "day") -> dict[str, int]:
    question = (
        "SELECT SUM(u.requests) AS requests, SUM(u.tokens) AS tokens, SUM(u.cost) AS cost "
        "FROM experiments_keyusage u JOIN experiments_apikey k ON k.id = u.key_id "
        "WHERE k.name = ? AND u.span = ?"
    )
    return gateway.stored.rows(question, key, span)[0]


async def crowd(gateway: Gateway, key: str, model: str, count: int) -> Counter[str]:
    """The number of answers and of each error code."""

    async def one(client: openai.AsyncOpenAI) -> str:
        try:
            await client.chat.completions.create(model=model, messages=turns(TWENTY), max_tokens=20)
        except openai.RateLimitError as error:
            return str(error.code)
        return "ok"

    async with gateway.async_client(key) as client:
        return Counter(await asyncio.gather(*(one(client) for _ in range(count))))


def test_200_parallel_calls_on_a_budget_for_50(gateway: Gateway, stub: Stub) -> None:
    lane = LANES["budget"]
    stub.behave(lane.strong_name, usage=USED, delay=0.05)
    answers = asyncio.run(crowd(gateway, "fifty", lane.model, 200))
    assert answers == {"ok": 50, "budget_day": 150}
    assert len(stub.calls(lane.strong_name)) == 50
    until(lambda: usage_of(gateway, "fifty")["cost"] == 50 * COST)
    assert usage_of(gateway, "fifty")["requests"] == 50


def test_200_parallel_calls_on_50_requests_a_minute(gateway: Gateway) -> None:
    early_in_a_minute()
    answers = asyncio.run(crowd(gateway, "fifty_requests", LIMITS.model, 200))
    assert answers == {"ok": 50, "rate_limit_exceeded": 150}


def test_budget_of_a_day(gateway: Gateway, stub: Stub) -> None:
    stub.behave(LIMITS.strong_name, usage=USED)
    client = gateway.client("day")
    for _ in range(10):
        ask(client, LIMITS.model, TWENTY, max_tokens=20)
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, LIMITS.model, TWENTY, max_tokens=20)
    error = error_of(caught.value)
    assert (error["type"], error["code"]) == ("insufficient_quota", "budget_day")
    assert "$0.01 a day" in error["message"]
    headers = caught.value.response.headers
    assert 0 < int(headers["retry-after"]) <= 86_400
    assert headers["x-should-retry"] == "false"


def test_budget_of_a_month(gateway: Gateway, stub: Stub) -> None:
    stub.behave(LIMITS.strong_name, usage=USED)
    client = gateway.client("month")
    for _ in range(10):
        ask(client, LIMITS.model, TWENTY, max_tokens=20)
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, LIMITS.model, TWENTY, max_tokens=20)
    assert caught.value.code == "budget_month"


def test_estimate_is_corrected_when_the_call_cost_less(gateway: Gateway, stub: Stub) -> None:
    stub.behave(LIMITS.strong_name, usage={"prompt_tokens": 20, "completion_tokens": 1}, times=1)
    before = usage_of(gateway, "priced_only")["cost"] or 0
    ask(gateway.client("priced_only"), LIMITS.model, TWENTY, max_tokens=1000)
    until(lambda: usage_of(gateway, "priced_only")["cost"] - before == 20 * 10_000 + 40_000)


def test_call_that_failed_is_not_charged(gateway: Gateway, stub: Stub) -> None:
    before = usage_of(gateway, "priced_only")["cost"] or 0
    stub.behave(LIMITS.strong_name, status=400, times=1)
    with pytest.raises(openai.BadRequestError):
        ask(gateway.client("priced_only"), LIMITS.model)
    until(lambda: (usage_of(gateway, "priced_only")["cost"] or 0) == before)


def test_soft_budget_answers_and_says_so(gateway: Gateway, stub: Stub) -> None:
    stub.behave(LIMITS.strong_name, usage=USED)
    answer = ask(gateway.client("soft"), LIMITS.model, TWENTY, max_tokens=20)
    assert answer.headers["x-switchyard-budget"] == "above soft day"
    log = (gateway.server.database.parent / "server.log").read_text()
    assert "soft budget" in log


def test_requests_a_minute(gateway: Gateway) -> None:
    early_in_a_minute()
    client = gateway.client("few_requests")
    left = [ask(client, LIMITS.model).headers["x-ratelimit-remaining-requests"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, LIMITS.model)
    headers = caught.value.response.headers
    assert error_of(caught.value)["type"] == "requests"
    assert headers["x-ratelimit-limit-requests"] == "3"
    assert 1 <= int(headers["retry-after"]) <= 60
    assert headers["x-ratelimit-reset-requests"].endswith("s")


def test_requests_of_both_apis_count_together(gateway: Gateway) -> None:
    early_in_a_minute()
    client = gateway.client("both_doors")
    bearer = {"Authorization": f"Bearer {secret_of('both_doors')}"}
    url, body = f"{gateway.server.url}/api/v1/route", {"text": "Hello."}

    def route() -> int:
        return httpx.post(url, json=body, headers=bearer, timeout=30).status_code

    assert route() == 201
    assert ask(client, LIMITS.model).headers["x-ratelimit-remaining-requests"] == "1"
    assert [route(), route()] == [201, 429]
    with pytest.raises(openai.RateLimitError):
        ask(client, LIMITS.model)
    assert usage_of(gateway, "both_doors", "minute")["requests"] == 3


def test_tokens_a_minute(gateway: Gateway, stub: Stub) -> None:
    early_in_a_minute()
    stub.behave(LIMITS.strong_name, usage=USED)
    client = gateway.client("few_tokens")
    headers = ask(client, LIMITS.model, TWENTY, max_tokens=80).headers
    assert headers["x-ratelimit-limit-tokens"] == "150"
    assert headers["x-ratelimit-remaining-tokens"] == "50"
    until(lambda: usage_of(gateway, "few_tokens", "minute")["tokens"] == 40)
    ask(client, LIMITS.model, TWENTY, max_tokens=80)
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, LIMITS.model, "y" * 4000)
    assert error_of(caught.value)["type"] == "tokens"


def test_model_that_a_key_may_not_use(gateway: Gateway, stub: Stub) -> None:
    client = gateway.client("one_model")
    with pytest.raises(openai.PermissionDeniedError) as caught:
        ask(client, LIMITS.strong_name)
    assert caught.value.code == "model_not_allowed"
    assert ask(client, LIMITS.model).completion.model == LIMITS.weak_name
    assert stub.calls(LIMITS.strong_name) == []
    names = {model.id for model in client.models.list()}
    assert LIMITS.weak_name in names
    assert LIMITS.strong_name not in names
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(LIMITS.strong_name)


def test_fallback_stays_within_what_a_key_may_use(gateway: Gateway, stub: Stub) -> None:
    stub.behave(LIMITS.weak_name, status=500, times=1)
    with pytest.raises(openai.InternalServerError):
        ask(gateway.client("one_model"), LIMITS.model)
    assert stub.calls(LIMITS.strong_name) == []


def test_domain_that_a_key_may_not_use(gateway: Gateway) -> None:
    client = gateway.client("one_domain")
    assert ask(client, LIMITS.model).text
    with pytest.raises(openai.PermissionDeniedError) as caught:
        ask(client, LANES["plain"].model)
    assert caught.value.code == "domain_not_allowed"
    names = {model.id for model in client.models.list()}
    assert LIMITS.model in names
    assert LANES["plain"].model not in names


def test_key_with_a_budget_needs_a_price(gateway: Gateway, stub: Stub) -> None:
    lane = LANES["unpriced"]
    with pytest.raises(openai.RateLimitError) as caught:
        ask(gateway.client("priced_only"), lane.model)
    assert caught.value.code == "unpriced_model"
    assert stub.calls(lane.strong_name) == []
