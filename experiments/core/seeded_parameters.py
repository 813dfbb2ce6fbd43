"""Parameters that the providers of the seeded models do not support. Operators edit these rows.

The gateway learns further ones when a provider refuses them.
"""

from typing import Any

from experiments.core.parameters import LIMITS, Action, PolicyRule

_DROP, _RENAME, _CLAMP = Action.DROP, Action.RENAME, Action.CLAMP
_REPLACE, _AVOID, _REFUSE = Action.REPLACE, Action.AVOID, Action.REFUSE
_PENALTIES = ("presence_penalty", "frequency_penalty")
_LOGPROBS = ("logprobs", "top_logprobs")
_OFF = ("0", "false")
_O_SERIES = ("o1*", "o3*", "o4*")


def _rule(family: str, parameter: str, action: Action, **values: Any) -> PolicyRule:
    name = f"{family}-{parameter.replace('_', '-')}"
    return PolicyRule(name=name, parameter=parameter, action=action, **values)


# Reasoning models: no sampling parameters, and a limit that includes the reasoning tokens.
_REASONING: dict[str, Any] = {
    "provider": "openai",
    "model_patterns": (*_O_SERIES, "gpt-5*", "gpt-6*", "!*-chat*"),
}
_O: dict[str, Any] = {"provider": "openai", "model_patterns": _O_SERIES}
_NOT_REASONING: dict[str, Any] = {"provider": "openai", "model_patterns": ("gpt-4*", "gpt-3.5*")}
_CLAUDE: dict[str, Any] = {"model_patterns": ("*claude*",)}
_GEMINI: dict[str, Any] = {"model_patterns": ("*gemini*",)}
_MISTRAL: dict[str, Any] = {"provider": "mistral"}
_DEEPSEEK: dict[str, Any] = {"provider": "deepseek"}
_XAI: dict[str, Any] = {"provider": "xai"}
_GROQ: dict[str, Any] = {"provider": "groq"}

_OPENAI = (
    _rule(
        "openai-reasoning",
        "max_tokens",
        _RENAME,
        replacement="max_completion_tokens",
        **_REASONING,
    ),
    *(
        _rule("openai-reasoning", name, _DROP, except_values=("1",), **_REASONING)
        for name in ("temperature", "top_p")
    ),
    *(
        _rule("openai-reasoning", name, _DROP, except_values=_OFF, **_REASONING)
        for name in _PENALTIES
    ),
    *(
        _rule("openai-reasoning", name, _AVOID, except_values=_OFF, **_REASONING)
        for name in _LOGPROBS
    ),
    _rule("openai-reasoning", "logit_bias", _DROP, **_REASONING),
    _rule("openai-reasoning", "stop", _AVOID, **_REASONING),
    _rule("openai-o", "parallel_tool_calls", _DROP, **_O),
    _rule(
        "openai-o", "reasoning_effort", _REPLACE, only_values=("minimal",), replacement="low", **_O
    ),
    *(
        _rule("openai-not-reasoning", name, _DROP, **_NOT_REASONING)
        for name in ("reasoning_effort", "verbosity")
    ),
    _rule("openai", "stop", _CLAMP, provider="openai", maximum=4),
)
_ANTHROPIC = (
    *(
        _rule("claude", name, _DROP, **_CLAUDE)
        for name in (
            *("seed", "logit_bias", "verbosity", "prediction", "store", "prompt_cache_key"),
            *("safety_identifier", *_PENALTIES),
        )
    ),
    *(_rule("claude", name, _AVOID, except_values=_OFF, **_CLAUDE) for name in _LOGPROBS),
    _rule("claude", "n", _AVOID, except_values=("1",), **_CLAUDE),
    _rule("claude", "temperature", _CLAMP, minimum=0, maximum=1, **_CLAUDE),
    _rule("claude", "top_p", _DROP, with_parameter="temperature", **_CLAUDE),
    _rule("claude", "modalities", _DROP, only_values=('["text"]',), **_CLAUDE),
)
_GOOGLE = (
    *(
        _rule("gemini", name, _DROP, **_GEMINI)
        for name in ("logit_bias", "verbosity", "prediction", "store", "prompt_cache_key")
    ),
    *(_rule("gemini", name, _DROP, except_values=_OFF, **_GEMINI) for name in _PENALTIES),
    *(_rule("gemini", name, _AVOID, except_values=_OFF, **_GEMINI) for name in _LOGPROBS),
    _rule("gemini", "stop", _CLAMP, maximum=5, **_GEMINI),
)
_OTHERS = (
    _rule("mistral", "seed", _RENAME, replacement="random_seed", **_MISTRAL),
    _rule("mistral", "max_completion_tokens", _RENAME, replacement="max_tokens", **_MISTRAL),
    *(
        _rule("mistral", name, _DROP, **_MISTRAL)
        for name in ("logit_bias", "user", "store", "service_tier", "verbosity", "prediction")
    ),
    *(_rule("mistral", name, _AVOID, except_values=_OFF, **_MISTRAL) for name in _LOGPROBS),
    _rule("deepseek", "max_completion_tokens", _RENAME, replacement="max_tokens", **_DEEPSEEK),
    _rule("deepseek", "n", _AVOID, except_values=("1",), **_DEEPSEEK),
    _rule("deepseek", "response_format", _REFUSE, only_values=("json_schema",), **_DEEPSEEK),
    *(_rule("xai", name, _DROP, except_values=_OFF, **_XAI) for name in _PENALTIES),
    _rule("xai", "stop", _AVOID, **_XAI),
    _rule("groq", "n", _AVOID, except_values=("1",), **_GROQ),
    _rule("groq", "logit_bias", _DROP, **_GROQ),
    *(_rule("groq", name, _AVOID, except_values=_OFF, **_GROQ) for name in _LOGPROBS),
)

SEEDED_PARAMETER_RULES: tuple[PolicyRule, ...] = (
    *_OPENAI,
    *_ANTHROPIC,
    *_GOOGLE,
    *_OTHERS,
    # No more than the model's output limit, under any parameter name.
    *(_rule("any", name, _CLAMP) for name in LIMITS),
)
