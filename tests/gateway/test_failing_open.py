"""A failure while reading the prompt skips that step and does not fail the call."""

from typing import Any

import pytest
from django.db import OperationalError

from experiments.configuration.revisions import revision
from experiments.core.values import Failure
from experiments.gateway import admission
from experiments.gateway.admission import Admitted, admit
from experiments.gateway.call_request import asking
from experiments.gateway.protocols.chat import read_chat
from experiments.limits import circuit_breakers
from experiments.models import APIKey, Decision, Domain, Scope
from experiments.routing.route import StorageUnavailableError
from experiments.routing.runtime import engine
from experiments.storage import bulk_sql

PROMPT = b'{"model": "%s", "messages": [{"role": "user", "content": "Prove that 2 is prime."}]}'


@pytest.fixture(autouse=True)
def _keys(seeded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none-at-all")
    circuit_breakers.invalidate()


@pytest.fixture
def secret(seeded: None) -> str:
    return APIKey.issue("tests", [Scope.ROUTE]).secret


def admitted(secret: str, model: bytes = b"router-auto") -> Any:
    [answer] = admit([asking(read_chat(PROMPT % model, None), secret, "r-1")])
    return answer


def boom(*_: object) -> Any:
    raise RuntimeError("Out of order.")


@pytest.mark.parametrize("part", ["detect", "score"])
def test_engine_that_raises(secret: str, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setattr(engine, part, boom)
    answer = admitted(secret)
    assert isinstance(answer, Admitted)
    row = Decision.objects.get(pk=answer.decision.pk)
    assert row.model.startswith("openai/")
    assert row.method == "domain_selector"
    [first, *_] = row.detail["fallbacks"]
    assert (first["stage"], first["reason"]) == ("detection", "detection_failed")
    assert first["detail"] == "RuntimeError: Out of order."


def test_preferred_model_of_a_named_domain_answers(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with revision("tests", ""):
        domain = Domain.objects.get(name="technical")
        domain.preferred_models = ["openai/gpt-5-mini"]
        domain.save()
    monkeypatch.setattr(engine, "detect", boom)
    assert admitted(secret, b"router/technical").decision.model == "openai/gpt-5-mini"


def test_router_that_fails(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "score", lambda *_: Failure("router_timeout", "Too slow."))
    row = admitted(secret).decision
    assert (row.method, row.fallback) == ("domain_selector", "router_timeout")


def test_one_failing_call_does_not_fail_the_others(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = asking(read_chat(PROMPT % b"router-auto", None), secret, "a")
    bad = asking(read_chat(PROMPT % b"gpt-99", None), secret, "b")
    first, second, third = admit([good, bad, good])
    assert isinstance(first, Admitted)
    assert isinstance(second, Exception)
    assert isinstance(third, Admitted)
    assert Decision.objects.count() == 2


def test_row_that_the_database_refuses_does_not_fail_the_others(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example a name that is too long for its column; the response hides the database's
    message."""
    run = bulk_sql.run

    def picky(rows: list[bulk_sql.Insertion], *more: Any) -> Any:
        if "bad" in [value for each in rows for row in each.values for value in row]:
            from django.db import DataError

            raise DataError("value too long for type character varying(64)")
        return run(rows, *more)

    monkeypatch.setattr(admission, "run", picky)
    monkeypatch.setattr(bulk_sql, "run", picky)
    chat = read_chat(PROMPT % b"router-auto", None)
    first, second = admit([asking(chat, secret, "good"), asking(chat, secret, "bad")])
    assert isinstance(first, Admitted)
    assert isinstance(second, StorageUnavailableError)


@pytest.mark.parametrize("broken", ["tripped", "reading_keys", "storing"])
def test_unavailable_database_is_503(
    secret: str, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise OperationalError("server closed the connection")

    from experiments.gateway import call_request as asking_module
    from experiments.gateway.error_responses import answer_to

    if broken == "tripped":
        monkeypatch.setattr(circuit_breakers, "tripped", away)
    elif broken == "reading_keys":
        monkeypatch.setattr(asking_module, "find_caller", away)
    else:
        monkeypatch.setattr(admission, "run", away)
        monkeypatch.setattr(bulk_sql, "run", away)
    try:
        answer = admitted(secret)
    except Exception as error:
        answer = error
    refused = answer_to(answer)
    assert (refused.status, refused.code) == (503, "storage_unavailable")
    assert refused.headers["Retry-After"] == "1"
    assert "server closed" not in refused.message


def test_configuration_without_a_single_endpoint_says_so(secret: str) -> None:
    from experiments.models import LanguageModel

    with revision("tests", ""):
        LanguageModel.objects.update(endpoint=None)
        LanguageModel.objects.first().save()  # type: ignore[union-attr]
    answer = admitted(secret)
    assert "has no endpoint to be called at" in str(answer)
