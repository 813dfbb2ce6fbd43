"""Which answers are recorded for shadow calls, and which parts of them."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest

from experiments.configuration.revisions import revision
from experiments.gateway.admission import Admitted, admit
from experiments.gateway.call_request import asking
from experiments.gateway.protocols.chat import read_chat
from experiments.gateway.protocols.model_call import ModelCall
from experiments.gateway.shadow_capture import (
    LARGEST_BODY,
    ResponseAccumulator,
    ShadowRecorder,
    recorder_for,
)
from experiments.limits import circuit_breakers
from experiments.models import APIKey, LanguageModel, Scope
from tests.shadow.rows import JUDGE, PROMPT, STRONG, WEAK, set_up

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _installed(seeded: None) -> Iterator[None]:
    circuit_breakers.invalidate()
    yield
    circuit_breakers.invalidate()


def call(model: str = "router/technical", *, key: Any = None, **body: Any) -> ShadowRecorder | None:
    """The recorder of this call's answer, or None."""
    messages = [{"role": "user", "content": PROMPT}]
    chat: ModelCall = read_chat(orjson.dumps({"model": model, "messages": messages, **body}), None)
    secret = APIKey.issue(str(uuid4()), [Scope.ROUTE], **(key or {})).secret
    [admitted] = admit([asking(chat, secret, "r-1")])
    assert isinstance(admitted, Admitted), admitted
    return recorder_for(chat, admitted)


def heard(model: str = "router/technical", **more: Any) -> ShadowRecorder:
    recorder = call(model, **more)
    assert recorder is not None
    recorder.add({"index": 0, "message": {"content": "An answer."}})
    return recorder


def test_the_other_model_gets_the_prompt_without_user_or_delivery_options() -> None:
    set_up("http://127.0.0.1:9/v1")
    found = heard(
        stream=True, n=2, user="ada", metadata={"a": "b"}, temperature=0.3, seed=7, models=[WEAK]
    ).candidate(WEAK)
    assert found is not None
    assert (found.model, found.other, found.answer) == (WEAK, STRONG, "An answer.")
    assert set(found.body) == {"messages", "temperature", "seed"}


@pytest.mark.parametrize("model", [WEAK, JUDGE])
def test_a_call_that_names_a_model_is_not_recorded(model: str) -> None:
    set_up("http://127.0.0.1:9/v1")
    assert call(model) is None


def test_without_a_share_no_call_is_recorded() -> None:
    set_up("http://127.0.0.1:9/v1", share=0.0)
    assert call() is None


def test_an_answer_by_a_model_of_neither_pair_is_not_compared() -> None:
    set_up("http://127.0.0.1:9/v1")
    assert heard().candidate(JUDGE) is None


def test_a_prompt_goes_to_no_model_that_its_key_forbids() -> None:
    set_up("http://127.0.0.1:9/v1")
    assert heard(key={"allowed_models": [WEAK, JUDGE]}).candidate(WEAK) is None
    assert heard(key={"allowed_models": [WEAK, STRONG]}).candidate(WEAK) is None
    assert heard(key={"allowed_models": [WEAK, STRONG, JUDGE]}).candidate(WEAK) is not None


def test_a_prompt_goes_to_no_model_that_its_domain_forbids() -> None:
    set_up("http://127.0.0.1:9/v1", required_certifications=["HIPAA"])
    with revision("tests"):
        LanguageModel.objects.filter(name=WEAK).update(certifications=["HIPAA"])
    assert heard().candidate(WEAK) is None


def test_a_model_without_a_required_capability_is_not_called() -> None:
    set_up("http://127.0.0.1:9/v1")
    with revision("tests"):
        LanguageModel.objects.filter(name=WEAK).update(capabilities=["tools"])
    tools = [{"type": "function", "function": {"name": "look"}}]
    assert heard(tools=tools).candidate(WEAK) is None


def test_a_very_large_call_is_not_recorded() -> None:
    set_up("http://127.0.0.1:9/v1")
    with revision("tests"):
        LanguageModel.objects.update(context_window=2_000_000)
    assert heard(extra="x" * LARGEST_BODY).candidate(WEAK) is None


def test_a_stream_is_recorded_like_a_complete_response() -> None:
    accumulator = ResponseAccumulator()
    for delta in (
        {"role": "assistant"},
        {"content": "Look"},
        {"content": None},
        {"content": "ing"},
    ):
        accumulator.add({"index": 0, "delta": delta})
    for piece in ('{"city": ', '"Oslo"}'):
        accumulator.add({"delta": {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}})
    accumulator.add({"delta": {"tool_calls": [{"index": 0, "function": {"name": "weather"}}]}})
    accumulator.add({"index": 1, "delta": {"content": "another choice"}})
    assert accumulator.answer == 'Looking\n(calls weather with {"city": "Oslo"})'


@pytest.mark.parametrize(
    "choice", [None, {}, {"message": "x"}, {"delta": {"content": 7, "tool_calls": [3, {}]}}]
)
def test_invalid_chunks_are_not_recorded(choice: Any) -> None:
    accumulator = ResponseAccumulator()
    accumulator.add(choice)
    assert accumulator.answer == ""
