"""Headers of responses describe the decision; the explanation is included on request."""

from typing import Any

import httpx
import openai
import pytest

from tests.gateway.chats import ask, stream
from tests.gateway.conftest import Gateway
from tests.gateway.rows import LANES, secret_of

pytestmark = pytest.mark.server
PLAIN, REFUSED = LANES["plain"], LANES["refused"]
EXPLAIN = {"X-Switchyard-Explain": "true"}


def test_headers(gateway: Gateway, client: openai.OpenAI) -> None:
    headers = ask(client, PLAIN.model).headers
    assert headers["x-switchyard-model"] == PLAIN.strong_name
    assert headers["x-switchyard-domain"] == "plain"
    assert float(headers["x-switchyard-overhead-ms"]) > 0
    assert "x-switchyard-arm" not in headers
    assert headers["x-request-id"]
    outcome = gateway.stored.outcome(headers["x-switchyard-decision-id"])
    assert float(headers["x-switchyard-cost"]) == pytest.approx(outcome["cost"] / 1e9)
    assert headers["x-switchyard-saving"] == "0"


def test_headers_of_a_stream(client: openai.OpenAI) -> None:
    headers = stream(client, PLAIN.model).headers
    assert headers["x-switchyard-decision-id"]
    assert headers["content-type"].startswith("text/event-stream")
    assert float(headers["x-switchyard-cost"]) > 0  # estimated: nothing is known yet


def test_saving_is_what_the_strong_model_would_have_cost(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    """The strong model's window is too small, so the weak one answers at a tenth of the cost."""
    answer = ask(client, LANES["window"].model, "word " * 4000)
    assert answer.completion.model == LANES["window"].weak_name
    cost, saving = (float(answer.headers[f"x-switchyard-{n}"]) for n in ("cost", "saving"))
    assert saving == pytest.approx(9 * cost)


def test_request_id_is_kept(gateway: Gateway, client: openai.OpenAI) -> None:
    answer = ask(client, PLAIN.model, extra_headers={"X-Request-Id": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    assert gateway.stored.decision(answer.decision_id)["request_id"] == "abc-1"


def test_explanation_is_in_the_body_only_if_requested(client: openai.OpenAI) -> None:
    assert "switchyard" not in ask(client, PLAIN.model).completion.to_dict()
    answer = ask(client, PLAIN.model, extra_headers=EXPLAIN)
    how: Any = answer.completion.to_dict()["switchyard"]
    assert how["decision"]["decision_id"] == answer.decision_id
    assert how["answered_by"] == PLAIN.strong_name
    assert [attempt["status"] for attempt in how["attempts"]] == ["ok"]
    assert how["usage_estimated"] is False


def test_explanation_of_a_stream_is_on_its_last_chunk(client: openai.OpenAI) -> None:
    chunks = [
        chunk.to_dict() for chunk in stream(client, PLAIN.model, extra_headers=EXPLAIN).chunks
    ]
    assert ["switchyard" in chunk for chunk in chunks].count(True) == 1
    how: Any = chunks[-1]["switchyard"]
    assert how["attempts"][0]["model"] == PLAIN.strong_name
    assert chunks[-1]["id"] == "chatcmpl-stub"


def test_nothing_follows_done(gateway: Gateway) -> None:
    body = {"model": PLAIN.model, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    headers = {"Authorization": f"Bearer {secret_of('plain')}"}
    raw = httpx.post(f"{gateway.base_url}/chat/completions", json=body, headers=headers).text
    assert raw.endswith("data: [DONE]\n\n")
    assert raw.count("[DONE]") == 1


def test_error_after_a_decision_names_it(
    gateway: Gateway, client: openai.OpenAI, stub: Any
) -> None:
    stub.behave(REFUSED.strong_name, status=400, error={"message": "No.", "code": "bad"}, times=1)
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, REFUSED.model, extra_headers=EXPLAIN)
    decision_id = caught.value.response.headers["x-switchyard-decision-id"]
    [attempt] = gateway.stored.attempts(decision_id)
    assert attempt["status"] == "refused"
    body = caught.value.response.json()
    assert body["switchyard"]["attempts"][0]["status"] == "refused"


def test_user_is_the_unit_unless_a_session_is_sent(gateway: Gateway, client: openai.OpenAI) -> None:
    def unit(**options: Any) -> tuple[str, int]:
        row = gateway.stored.decision(ask(client, PLAIN.model, **options).decision_id)
        return row["unit_hash"], row["sticky"]

    by_user, by_session = unit(user="u-1"), unit(extra_headers={"X-Session-Id": "s-1"})
    assert by_user == unit(user="u-1")
    assert by_user != by_session
    assert by_user[1] == by_session[1] == 1
    assert unit(user="u-1", extra_headers={"X-Session-Id": "s-1"}) == by_session
    assert unit()[1] == unit(user="")[1] == 0


def test_metadata_is_kept(gateway: Gateway, client: openai.OpenAI) -> None:
    answer = ask(client, PLAIN.model, metadata={"team": "search"})
    assert gateway.stored.decision(answer.decision_id)["detail"]["metadata"] == {"team": "search"}
