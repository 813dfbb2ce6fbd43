"""Detection of the parameter that a provider refused, from each provider's own message, and the
adaptation."""

from typing import Any

import orjson
import pytest

from experiments.core.parameters import Action
from experiments.gateway.provider_errors import refusal
from experiments.gateway.unsupported import Refused, refused_parameters

DROP, RENAME, CLAMP = Action.DROP, Action.RENAME, Action.CLAMP
AVOID, REFUSE = Action.AVOID, Action.REFUSE
TOOLS: Any = [{"type": "function", "function": {"name": "weather"}}]
SCHEMA: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}


def found(
    error: Any, sent: dict[str, Any], status: int = 400, capabilities: tuple[str, ...] = ()
) -> Refused | None:
    body = {"model": "m", "messages": [], **sent}
    raised = refusal(status, orjson.dumps(error), {}, None)
    return refused_parameters(raised, body, capabilities)


def openai(message: str, param: str | None = None, code: str | None = None) -> Any:
    kind = "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def anthropic(message: str) -> Any:
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}


def gemini(message: str) -> Any:
    return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}


def mistral(name: str) -> Any:
    problem = {"type": "extra_forbidden", "loc": ["body", name], "input": 7}
    return {
        "object": "error",
        "message": {"detail": [{**problem, "msg": "Extra inputs are not permitted"}]},
    }


def vllm(message: str) -> Any:
    return {"object": "error", "message": message, "type": "BadRequestError", "code": 400}


@pytest.mark.parametrize(
    ("error", "sent", "parameter", "action"),
    [
        (
            openai("Unsupported parameter: 'seed' is not supported with this model.", "seed"),
            {"seed": 7},
            "seed",
            DROP,
        ),
        (openai("Unrecognized request argument supplied: seed"), {"seed": 7}, "seed", DROP),
        (
            openai("Unknown parameter: 'guided_json'.", "guided_json", "unknown_parameter"),
            {"guided_json": {}},
            "guided_json",
            AVOID,
        ),
        (
            openai(
                "Unsupported value: 'temperature' does not support 0.2 with this model. Only the "
                "default (1) value is supported.",
                "temperature",
                "unsupported_value",
            ),
            {"temperature": 0.2, "top_p": 0.5},
            "temperature",
            DROP,
        ),
        (
            openai("You are not allowed to request logprobs from this model."),
            {"logprobs": True},
            "logprobs",
            AVOID,
        ),
        (anthropic("seed: Extra inputs are not permitted"), {"seed": 7}, "seed", DROP),
        (
            anthropic("`temperature` is deprecated for this model."),
            {"temperature": 0.2},
            "temperature",
            DROP,
        ),
        (
            anthropic("`temperature` may only be set to 1 when thinking is enabled."),
            {"temperature": 0.2, "reasoning_effort": "low"},
            "temperature",
            DROP,
        ),
        (
            anthropic("`temperature` and `top_p` cannot both be specified for this model."),
            {"temperature": 0.2, "top_p": 0.5},
            "top_p",
            DROP,
        ),
        (
            anthropic("adaptive thinking is not supported on this model"),
            {"reasoning_effort": "low"},
            "reasoning_effort",
            DROP,
        ),
        (
            gemini("Penalty is not enabled for models/gemini-2.5-pro"),
            {"presence_penalty": 0.1},
            "presence_penalty",
            DROP,
        ),
        (
            gemini("Logprobs is not enabled for models/gemini-2.5-pro"),
            {"logprobs": True},
            "logprobs",
            AVOID,
        ),
        (
            gemini("Multiple candidates is not enabled for this model"),
            {"n": 2, "seed": 1},
            "n",
            AVOID,
        ),
        (
            gemini("Only one candidate can be specified in the current model"),
            {"n": 2},
            "n",
            AVOID,
        ),
        (
            gemini(
                "Invalid JSON payload received. Unknown name \"seed\" at 'generation_config': "
                "Cannot find field."
            ),
            {"seed": 7},
            "seed",
            DROP,
        ),
        (
            gemini("Thinking level is not supported for this model."),
            {"reasoning_effort": "low"},
            "reasoning_effort",
            DROP,
        ),
        (mistral("seed"), {"seed": 7, "user": "u"}, "seed", DROP),
        (
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "user"], "msg": "No."}]},
            {"user": "u"},
            "user",
            DROP,
        ),
        (
            vllm("[{'type': 'extra_forbidden', 'loc': ('body', 'store'), 'msg': 'Extra inputs'}]"),
            {"store": True},
            "store",
            DROP,
        ),
        (
            vllm("litellm.UnsupportedParamsError: x does not support parameters: ['seed', 'n']"),
            {"seed": 7},
            "seed",
            DROP,
        ),
        (
            vllm("gpt-5 models don't support temperature=0.2. Only temperature=1 is supported."),
            {"temperature": 0.2},
            "temperature",
            DROP,
        ),
        (
            openai("property 'logit_bias' is unsupported"),
            {"logit_bias": {"5": 1}},
            "logit_bias",
            DROP,
        ),
        (
            openai("Argument not supported on this model: presencePenalty"),
            {"presence_penalty": 1},
            "presence_penalty",
            DROP,
        ),
        (
            {"message": "Malformed input request: extraneous key [top_k] is not permitted"},
            {"top_k": 5},
            "top_k",
            DROP,
        ),
        (
            openai("tools is not supported in this model."),
            {"tools": TOOLS},
            "tools",
            REFUSE,
        ),
        (
            gemini("Function calling is not enabled for models/gemma-3"),
            {"tools": TOOLS},
            "tools",
            REFUSE,
        ),
        (
            vllm('"auto" tool choice requires --enable-auto-tool-choice to be set'),
            {"tools": TOOLS},
            "tools",
            REFUSE,
        ),
        (
            openai("This response_format type is unavailable now"),
            {"response_format": SCHEMA},
            "response_format",
            REFUSE,
        ),
    ],
)
def test_parameter_and_adaptation(
    error: Any, sent: dict[str, Any], parameter: str, action: Action
) -> None:
    refused = found(error, sent)
    assert refused is not None
    assert refused.lasting
    assert [(rule.parameter, rule.action) for rule in refused.rules] == [(parameter, action)]


def test_another_name_is_taken_from_the_message() -> None:
    error = openai(
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead.",
        "max_tokens",
        "unsupported_parameter",
    )
    refused = found(error, {"max_tokens": 9})
    assert refused is not None
    [rule] = refused.at_once
    assert (rule.action, rule.replacement) == (RENAME, "max_completion_tokens")


def test_limit_without_another_name_is_sent_by_its_other_one() -> None:
    refused = found(mistral("max_completion_tokens"), {"max_completion_tokens": 9}, 422)
    assert refused is not None
    [rule] = refused.at_once
    assert (rule.action, rule.replacement) == (RENAME, "max_tokens")


@pytest.mark.parametrize(
    ("message", "sent", "maximum"),
    [
        (
            "max_tokens: 200000 > 128000, which is the maximum allowed number of output tokens for "
            "claude-opus-5-5",
            {"max_tokens": 200_000},
            128_000,
        ),
        (
            "max_tokens is too large: 200000. This model supports at most 16384 completion tokens.",
            {"max_tokens": 200_000},
            16_384,
        ),
        (
            "The max_output_tokens value 200000 is out of the supported range from 1 (inclusive) "
            "to 65537 (exclusive).",
            {"max_completion_tokens": 200_000},
            65_536,
        ),
        (
            "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an "
            "array with length 6 instead.",
            {"stop": ["a", "b", "c", "d", "e", "f"]},
            4,
        ),
    ],
)
def test_limit_is_read_from_the_message(message: str, sent: dict[str, Any], maximum: int) -> None:
    refused = found(openai(message), sent)
    assert refused is not None
    assert [(rule.action, rule.maximum) for rule in refused.at_once] == [(CLAMP, maximum)]


def test_value_unknown_to_one_model_is_stored_for_that_value_only() -> None:
    message = (
        "Unsupported value: 'minimal' is not supported with this model. Supported values are: "
    )
    error = openai(message + "'low' and 'high'.", "reasoning_effort", "unsupported_value")
    refused = found(error, {"reasoning_effort": "minimal"})
    assert refused is not None
    assert refused.rules[0].only_values == ("minimal",)


@pytest.mark.parametrize(
    "message", ["temperature: range: 0..1", "temperature must be less than or equal to 1"]
)
def test_value_out_of_range_goes_to_another_model_and_is_never_removed(message: str) -> None:
    refused = found(anthropic(message), {"temperature": 1.5})
    assert refused is not None
    assert refused.rules[0].action is REFUSE
    assert refused.rules[0].only_values == ("1.5",)
    assert refused.at_once == refused.as_a_last_resort == ()


def test_pictures_are_never_removed() -> None:
    error = anthropic("This model does not support image input.")
    refused = found(error, {}, capabilities=("vision",))
    assert refused is not None
    assert (refused.rules[0].parameter, refused.rules[0].action) == ("image_url", REFUSE)
    assert found(error, {}) is None


@pytest.mark.parametrize(
    ("message", "param", "sent"),
    [
        ("tools.0.custom.foo: Extra inputs are not permitted", None, {"tools": TOOLS}),
        ("Unknown parameter: 'tools[0].foo'.", "tools[0].foo", {"tools": TOOLS}),
        (
            "Invalid schema for response_format 'a': In context=(), 'minLength' is not permitted.",
            "response_format",
            {"response_format": SCHEMA},
        ),
    ],
)
def test_error_in_one_schema_is_not_stored_for_all(
    message: str, param: str | None, sent: dict[str, Any]
) -> None:
    refused = found(openai(message, param), sent)
    assert refused is None or not refused.lasting


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (openai("Invalid type for 'temperature': expected a decimal."), {"temperature": "hot"}),
        (openai("Your prompt was flagged; this is not allowed."), {"seed": 7}),
        (openai("Only user and assistant roles are supported; got tool."), {"user": "u"}),
        (openai("Unsupported image format.", "messages[0].content"), {"seed": 7}),
        (openai("Invalid value: 'x'.", "messages[0].role", "invalid_value"), {"user": "u"}),
        (openai("The model 'm' does not exist.", "model", "model_not_found"), {"seed": 7}),
        (openai("Unsupported parameter: 'seed'.", "seed"), {"temperature": 1}),
    ],
)
def test_other_refusals_are_the_callers_errors(error: Any, sent: dict[str, Any]) -> None:
    assert found(error, sent) is None


def test_failures_are_never_about_parameters() -> None:
    assert found(openai("'seed' is not supported"), {"seed": 7}, 500) is None
    assert found(openai("'seed' is not supported"), {"seed": 7}, 429) is None
