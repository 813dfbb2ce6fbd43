"""A parameter that one model refuses never makes a call fail."""

import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.gateway.chats import TEXT, ask, stream
from tests.gateway.conftest import Gateway
from tests.gateway.native_rows import CLAUDE, COMPATIBLE, GEMINI, MISTRAL, OPENAI, REASONER
from tests.gateway.native_stub import NativeStub
from tests.gateway.running_totals import until
from tests.gateway.test_wire_formats import SCHEMA, TOOL

pytestmark = pytest.mark.server
whole_and_streamed = pytest.mark.parametrize("call", [ask, stream], ids=["whole", "streamed"])
LEARNED = "SELECT * FROM experiments_learnedparameter ORDER BY model, parameter, value"
UNSETTLED = """
    SELECT d.id FROM experiments_decision d
    LEFT JOIN experiments_outcome o ON o.decision_id = d.id WHERE o.decision_id IS NULL
"""
UNSUPPORTED = {
    "error": {
        "message": "Unsupported parameter: 'user' is not supported with this model.",
        "type": "invalid_request_error",
        "param": "user",
        "code": "unsupported_parameter",
    }
}


@pytest.fixture(autouse=True)
def _nothing_learned(native_gateway: Gateway, native: NativeStub) -> Iterator[None]:
    yield
    until(lambda: not native_gateway.stored.rows(UNSETTLED))
    time.sleep(0.1)  # a learned parameter is written right after its outcome
    if native_gateway.stored.rows(LEARNED):
        native_gateway.stored.execute("DELETE FROM experiments_learnedparameter")
        wait_for_processes()


def wait_for_processes() -> None:
    """Each process reads the learned parameters every half second."""
    time.sleep(0.6)


def refuse(native: NativeStub, upstream: str, message: str, **error: Any) -> None:
    native.fail(upstream, 400, {"error": {"message": message, **error}})


def changes_of(gateway: Gateway, answer: Any) -> list[tuple[str, str, str]]:
    attempt = gateway.stored.attempts(answer.decision_id)[-1]
    changes = json.loads(attempt["changes"])
    return [(each["parameter"], each["action"], each["rule"]) for each in changes]


@whole_and_streamed
@pytest.mark.parametrize("domain", ["claude_first", "openai_first"])
@pytest.mark.parametrize(
    "options",
    [
        {"seed": 7},
        {"presence_penalty": 0.5, "frequency_penalty": 0.5},
        {"logit_bias": {"5": 1}},
        {"logprobs": True, "top_logprobs": 2},
        {"n": 2},
        {"temperature": 1.7},
        {"temperature": 0.3, "top_p": 0.9},
        {"max_tokens": 150_000},
        {"max_completion_tokens": 50},
        {"stop": ["a", "b", "c", "d", "e", "f"]},
        {"reasoning_effort": "low"},
        {"parallel_tool_calls": False, "tools": [TOOL]},
        {"verbosity": "low"},
        {"user": "someone@example.com"},
        {"service_tier": "auto"},
        {"response_format": {"type": "json_object"}},
    ],
    ids="+".join,
)
def test_same_call_succeeds_on_every_model(
    native_client: openai.OpenAI, domain: str, options: dict[str, Any], call: Any
) -> None:
    answer = call(native_client, f"router/{domain}", **options)
    assert getattr(answer, "error", None) is None


def test_changes_are_stored_and_reported(
    native_gateway: Gateway, native_client: openai.OpenAI, native: NativeStub
) -> None:
    answer = ask(native_client, "router/claude_first", seed=7, temperature=1.5)
    assert answer.completion.model == CLAUDE.name
    assert native.seen[-1].body["temperature"] == 1
    assert "seed" not in native.seen[-1].body
    assert changes_of(native_gateway, answer) == [
        ("seed", "drop", "claude-seed"),
        ("temperature", "clamp", "claude-temperature"),
    ]
    assert answer.headers["x-switchyard-changed"] == "seed, temperature"


def test_call_without_changes_reports_none(
    native_gateway: Gateway, native_client: openai.OpenAI
) -> None:
    answer = ask(native_client, "router/openai_first", seed=7, temperature=1.5)
    assert changes_of(native_gateway, answer) == []
    assert "x-switchyard-changed" not in answer.headers


def test_explanation_lists_the_changes(native_client: openai.OpenAI) -> None:
    headers = {"X-Switchyard-Explain": "true"}
    answer = ask(native_client, CLAUDE.name, seed=7, extra_headers=headers)
    extra: Any = answer.completion.model_extra
    [attempt] = extra["switchyard"]["attempts"]
    assert attempt["changes"] == [
        {"parameter": "seed", "action": "drop", "detail": "left out", "rule": "claude-seed"}
    ]


def test_limit_of_a_model_that_reasons_is_sent_by_its_name(
    native_client: openai.OpenAI, native: NativeStub
) -> None:
    ask(native_client, REASONER.name, max_tokens=50, temperature=0.2)
    body = native.seen[-1].body
    assert body["max_completion_tokens"] == 50
    assert "max_tokens" not in body
    assert "temperature" not in body


def test_mistral_gets_its_own_names(native_client: openai.OpenAI, native: NativeStub) -> None:
    ask(native_client, MISTRAL.name, seed=7, max_completion_tokens=50, user="u")
    body = native.seen[-1].body
    assert (body["random_seed"], body["max_tokens"]) == (7, 50)
    assert "user" not in body


def test_more_choices_go_to_a_model_that_gives_them(native_client: openai.OpenAI) -> None:
    answer = ask(native_client, "router/claude_first", n=2)
    assert answer.completion.model == OPENAI.name


def test_model_with_one_choice_answers_if_requested_by_name(
    native_gateway: Gateway, native_client: openai.OpenAI
) -> None:
    answer = ask(native_client, CLAUDE.name, n=2)
    assert answer.text == TEXT
    assert changes_of(native_gateway, answer) == [("n", "avoid", "claude-n")]


def test_model_with_one_choice_answers_if_no_other_can(
    native_gateway: Gateway, native_client: openai.OpenAI, native: NativeStub
) -> None:
    native.fail(OPENAI.upstream, 401, {"error": {"message": "No."}})
    answer = ask(native_client, "router/claude_first", n=2)
    assert answer.completion.model != OPENAI.name
    first, *_ = native_gateway.stored.attempts(answer.decision_id)
    assert (first["model"], first["status"]) == (OPENAI.name, "credentials")
    native_gateway.stored.execute("DELETE FROM experiments_circuit")


@whole_and_streamed
def test_refused_parameter_is_removed_and_stored_for_all_processes(
    native_gateway: Gateway, native_client: openai.OpenAI, native: NativeStub, call: Any
) -> None:
    native.fail(OPENAI.upstream, 400, UNSUPPORTED)
    answer = call(native_client, "router/openai_first", user="u-1")
    first, second = native_gateway.stored.attempts(answer.decision_id)
    assert (first["status"], first["model"]) == ("unsupported_parameter", OPENAI.name)
    assert (second["status"], second["model"]) == ("ok", OPENAI.name)
    assert changes_of(native_gateway, answer) == [("user", "drop", "learned")]

    [row] = until(lambda: native_gateway.stored.rows(LEARNED))
    assert (row["model"], row["parameter"], row["action"]) == (OPENAI.name, "user", "drop")
    assert row["reason"] == UNSUPPORTED["error"]["message"]
    wait_for_processes()
    native.seen.clear()
    for _ in range(6):  # both processes
        again = call(native_client, "router/openai_first", user="u-2")
        assert len(native_gateway.stored.attempts(again.decision_id)) == 1
    assert all("user" not in each.body for each in native.seen)
    question = "SELECT * FROM experiments_circuit WHERE model = ? AND failures > 0"
    assert native_gateway.stored.rows(question, OPENAI.name) == []


def test_another_name_is_tried_and_stored(
    native_gateway: Gateway, native_client: openai.OpenAI, native: NativeStub
) -> None:
    message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    refuse(native, OPENAI.upstream, message, param="max_tokens", code="unsupported_parameter")
    answer = ask(native_client, OPENAI.name, max_tokens=50)
    assert native.seen[-1].body["max_completion_tokens"] == 50
    assert changes_of(native_gateway, answer) == [("max_tokens", "rename", "learned")]
    [row] = until(lambda: native_gateway.stored.rows(LEARNED))
    assert (row["action"], row["replacement"]) == ("rename", "max_completion_tokens")


def test_limit_that_the_provider_names_is_kept_to(
    native_gateway: Gateway, native_client: openai.OpenAI, native: NativeStub
) -> None:
    message = "max_tokens is too large: 9000. This model supports at most 4096 completion tokens."
    refuse(native, COMPATIBLE.upstream, message, code="invalid_value", param="max_tokens")
    answer = ask(native_client, COMPATIBLE.name, max_tokens=9_000)
    assert native.seen[-1].body["max_tokens"] == 4_096
    assert changes_of(native_gateway, answer) == [("max_tokens", "clamp", "learned")]


def test_parameter_that_the_library_refuses_is_removed(
    native_gateway: Gateway, native_client: openai.OpenAI, native: NativeStub
) -> None:
    """LiteLLM knows that this model refuses top_p; our rules do not."""
    answer = ask(native_client, CLAUDE.name, top_p=0.5)
    first, _ = native_gateway.stored.attempts(answer.decision_id)
    assert first["status"] == "unsupported_parameter"
    assert "litellm" not in first["error"]
    assert changes_of(native_gateway, answer) == [("top_p", "drop", "learned")]
    assert len(native.seen) == 1


def test_tools_are_never_removed(
    native_gateway: Gateway, native_client: openai.OpenAI, native: NativeStub
) -> None:
    refuse(native, OPENAI.upstream, "tools is not supported with this model", param="tools")
    answer = ask(native_client, "router/openai_first", tools=[TOOL])
    assert answer.completion.model == CLAUDE.name
    assert answer.completion.choices[0].message.tool_calls
    [row] = until(lambda: native_gateway.stored.rows(LEARNED))
    assert (row["parameter"], row["action"]) == ("tools", "refuse")
    wait_for_processes()
    native.seen.clear()
    ask(native_client, "router/openai_first", tools=[TOOL])
    assert [each.path for each in native.seen] == [CLAUDE.upstream]
    with pytest.raises(openai.BadRequestError, match="does not support 'tools'") as raised:
        ask(native_client, OPENAI.name, tools=[TOOL])
    assert raised.value.code == "unsupported_by_model"


def test_schema_is_never_removed(native_client: openai.OpenAI, native: NativeStub) -> None:
    message = "response_format json_schema is not supported by this model"
    refuse(native, OPENAI.upstream, message, param="response_format")
    answer = ask(native_client, "router/openai_first", response_format=SCHEMA)
    assert answer.completion.model == CLAUDE.name
    assert json.loads(answer.text or "") == {"city": "Paris"}


def test_tools_that_no_model_takes_are_an_error_of_the_call(
    native_client: openai.OpenAI, native: NativeStub
) -> None:
    refuse(native, OPENAI.upstream, "tools is not supported with this model", param="tools")
    with pytest.raises(openai.BadRequestError) as raised:
        ask(native_client, OPENAI.name, tools=[TOOL])
    assert raised.value.code == "unsupported_parameter"


def test_value_that_is_out_of_one_models_range_goes_to_another(
    native_client: openai.OpenAI, native: NativeStub
) -> None:
    refuse(native, OPENAI.upstream, "temperature must be less than or equal to 1")
    answer = ask(native_client, "router/openai_first", temperature=1.2)
    assert answer.completion.model == CLAUDE.name


def test_callers_error_stays_an_error(
    native_gateway: Gateway, native_client: openai.OpenAI, native: NativeStub
) -> None:
    message = "Invalid type for 'temperature': expected a decimal, but got a string instead."
    refuse(native, OPENAI.upstream, message, param="temperature", code="invalid_type")
    with pytest.raises(openai.BadRequestError, match="expected a decimal"):
        ask(native_client, "router/openai_first", extra_body={"temperature": "hot"})
    assert [each.path for each in native.seen] == [OPENAI.upstream]
    assert native_gateway.stored.rows(LEARNED) == []


def test_endless_refusals_end(native_client: openai.OpenAI, native: NativeStub) -> None:
    extra = {f"x_{number}": 1 for number in range(20)}
    for number in range(20):
        refuse(native, OPENAI.upstream, f"Unknown parameter: 'x_{number}'.", param=f"x_{number}")
    with pytest.raises(openai.BadRequestError):
        ask(native_client, OPENAI.name, extra_body=extra)
    assert len(native.seen) <= 8


def test_geminis_own_messages(
    native_gateway: Gateway, native_client: openai.OpenAI, native: NativeStub
) -> None:
    error = {"code": 400, "status": "INVALID_ARGUMENT"}
    message = "Thinking level is not supported for this model."
    native.fail(GEMINI.upstream, 400, {"error": {**error, "message": message}})
    answer = ask(native_client, GEMINI.name, reasoning_effort="low")
    assert changes_of(native_gateway, answer) == [("reasoning_effort", "drop", "learned")]
