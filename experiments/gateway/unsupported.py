"""Detects that a provider refused a call because of one parameter, and how to adapt the call.

Providers report this in many forms: a code and a parameter (OpenAI, vLLM), a path (Mistral,
pydantic), a sentence (Anthropic, Gemini, LiteLLM). All have a phrase that means "not supported",
and a name from the call. Only parameters that were sent are ever removed."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from experiments.core.parameters import (
    LEARNED,
    LIMITS,
    NEVER,
    PARTS,
    Action,
    PolicyRule,
    value_text,
)
from experiments.gateway.errors import AttemptStatus, UpstreamError

# Without these the answer changes its form, or loses what the caller relies on.
SHAPES_THE_ANSWER = frozenset(("n", "logprobs", "top_logprobs", "stop"))
# Optional for the answer.
OPTIONAL = frozenset(
    (
        *("seed", "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty"),
        *("logit_bias", "user", "parallel_tool_calls", "reasoning_effort", "verbosity", "store"),
        *("service_tier", "metadata", "prediction", "stream_options", "safety_identifier"),
        *("prompt_cache_key", "prompt_cache_retention", "thinking", "random_seed"),
    )
)
# What the caller asked for: never removed, so such calls do not go to the model.
REQUIRED = frozenset(
    ("tools", "functions", "function_call", "response_format", "tool_choice", "modalities", "audio")
)
HARMLESS = {"tool_choice": "auto", "response_format": "text", "modalities": '["text"]'}
PLAIN_WORDS = frozenset(
    (
        *("user", "stop", "n", "store", "audio", "functions", "metadata", "prediction", "tools"),
        "thinking",
    )
)
LONGEST_VALUE = 100

_UNSUPPORTED = re.compile(
    r"not support|n.t support|unsupported|not permitted|not allowed|not enabled|not available"
    r"|unavailable|unknown (?:name|parameter|argument|field)|unrecognized|unrecognised|unexpected"
    r"|extraneous|extra[_ ](?:inputs|fields|forbidden)|cannot find field|not a valid field"
    r"|additional properties|deprecated|cannot both|mutually exclusive|incompatible|disabled"
    r"|only the default|may only be|can only be|only one candidate|requires --|does not exist in",
    re.IGNORECASE,
)
_ONE_VALUE = re.compile(
    r"unsupported value|invalid value|does not support [\d'\"]|n.t support \w+ ?="
    r"|\w+=\S+ is not supported|supported values|must be one of|should be one of|invalid `?\w+`?: ",
    re.IGNORECASE,
)
_ANY_VALUE = re.compile(r"default|may only be|can only be|only \w+=\S+ is supported", re.IGNORECASE)
_RANGE = re.compile(
    r"\brange\b|less than or equal|greater than|<=|>=| > |at most|at least|maximum|minimum"
    r"|too (?:large|long|many|big|high|low|small)|above_max|below_min|exceed|must be between",
    re.IGNORECASE,
)
_ABOUT_THE_MODEL = re.compile(
    r"\bmodels?\b|not enabled|n.t support|not support|unavailable|endpoints found|requires --",
    re.IGNORECASE,
)
_ABOUT_A_DETAIL = re.compile(
    r"[\w\])]+[.\[]\d+[.\]]|in context|schema for|propert(?:y|ies)\b|invalid schema", re.IGNORECASE
)
_INSTEAD = re.compile(
    r"(?:use|try) [`'\"]?([a-z_]{3,40})[`'\"]?(?: parameter)? instead", re.IGNORECASE
)
_LISTED = re.compile(r"param(?:eter)?s?: ?[\[{]([^\]}]*)[\]}]", re.IGNORECASE)
_PATH = re.compile(r"loc['\"]?: ?[\[(] ?['\"]body['\"], ?['\"](\w+)['\"]")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w])( \(exclusive\))?")
# Providers' names for parameters of the protocol, for messages without the protocol's names.
_ALIASES: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), names)
    for pattern, names in (
        (r"parallel.?(?:tool|function)", ("parallel_tool_calls",)),
        (r"candidate", ("n",)),
        (r"stop.?sequence", ("stop",)),
        (r"presence.?penalty", ("presence_penalty",)),
        (r"frequency.?penalty", ("frequency_penalty",)),
        (r"penalt", ("presence_penalty", "frequency_penalty")),
        (r"log.?probs", ("logprobs", "top_logprobs")),
        (r"max.?(?:output.?|completion.?)?tokens", LIMITS),
        (r"logit.?bias", ("logit_bias",)),
        (r"top.?p\b", ("top_p",)),
        (r"random.?seed", ("seed", "random_seed")),
        (r"thinking|reasoning|effort", ("reasoning_effort", "thinking")),
        (
            r"response.?(?:json.?)?schema|response.?mime|response.?format|json.?mode|json.?schema"
            r"|structured output|output.?format",
            ("response_format",),
        ),
        (r"tool.?choice", ("tool_choice",)),
        (r"function.?call|function.?declaration|tool|function", ("tools", "functions")),
        (r"image|vision|multimodal", ("image_url",)),
        (r"audio", ("input_audio",)),
    )
)


class Refused(NamedTuple):
    """What the provider refuses: rules for the next calls of this model.

    `at_once` are the rules that this call can be retried with; if empty, another model is
    called. Without `lasting`, the refusal concerns this call's tools or schema and does not
    apply to the next one."""

    rules: tuple[PolicyRule, ...]
    lasting: bool = True

    @property
    def at_once(self) -> tuple[PolicyRule, ...]:
        again = {Action.DROP, Action.RENAME, Action.CLAMP}
        return self.rules if all(rule.action in again for rule in self.rules) else ()

    @property
    def as_a_last_resort(self) -> tuple[PolicyRule, ...]:
        """The same, including what can be left out if no other model is left."""
        refused = any(rule.action is Action.REFUSE for rule in self.rules)
        return () if refused else self.rules


def refused_parameters(
    error: UpstreamError, sent: Mapping[str, Any], capabilities: Collection[str]
) -> Refused | None:
    """What the error says about parameters of the call, None if it concerns something else."""
    if not _may_be_about_parameters(error):
        return None
    text = f"{error.code or ''} {error.message}"
    is_unsupported = bool(_UNSUPPORTED.search(text) or _ONE_VALUE.search(text))
    if not is_unsupported and not _RANGE.search(text):
        return None
    names = list(dict.fromkeys(_named(error, sent, capabilities)))
    if {"temperature", "top_p"} <= set(names) and "both" in text:
        return Refused((_rule("top_p", Action.DROP, with_parameter="temperature"),))
    rules = [_about(name, text, sent, is_unsupported=is_unsupported) for name in names]
    found = tuple(rule for rule in rules if rule is not None)
    is_about_all = bool(_ABOUT_THE_MODEL.search(text)) and not _ABOUT_A_DETAIL.search(text)
    hard = any(rule.parameter in REQUIRED or rule.parameter in PARTS for rule in found)
    return Refused(found, is_about_all or not hard) if found else None


def _may_be_about_parameters(error: UpstreamError) -> bool:
    if error.status is AttemptStatus.REFUSED:
        return True
    return error.status is AttemptStatus.CREDENTIALS and error.http_status in (403, 404)


def _named(
    error: UpstreamError, sent: Mapping[str, Any], capabilities: Collection[str]
) -> Iterator[str]:
    """The sent parameters that the error is about, by the most reliable evidence available."""
    candidates = [name for name in sent if name not in NEVER and sent[name] is not None]
    if error.param:
        head, _, rest = error.param.replace("[", ".").partition(".")
        if head in candidates and not (rest and head in REQUIRED):
            yield head
            return
        if head in NEVER or head in candidates:
            return
    listed = [name for part in _LISTED.findall(error.message) for name in re.findall(r"\w+", part)]
    listed += _PATH.findall(error.message)
    if listed:
        yield from (name for name in candidates if name in listed)
        return
    mentioned = _mentioned(error.message, candidates)
    if mentioned:
        yield from mentioned
        return
    for pattern, names in _ALIASES:
        if pattern.search(error.message):
            yield from (name for name in names if name in candidates)
            yield from (name for name in names if PARTS.get(name) in capabilities)
            if any(name in candidates or PARTS.get(name) in capabilities for name in names):
                return


def _mentioned(message: str, candidates: Collection[str]) -> list[str]:
    """The first of the sent names in the message, and the second if one excludes the other."""
    places = {}
    for name in candidates:
        quoted = rf"[`'\"]{re.escape(name)}[`'\"]|(?<![\w.]){re.escape(name)} ?[:=>]"
        pattern = quoted if name in PLAIN_WORDS else rf"(?<![\w.]){re.escape(name)}(?!\w)"
        found = re.search(pattern, message) or (
            re.match(rf"{re.escape(name)} (?:is|are) ", message) if name in PLAIN_WORDS else None
        )
        if found:
            places[name] = found.start()
    ordered = sorted(places, key=lambda name: places[name])
    return ordered if "both" in message else ordered[:1]


def _about(
    name: str, text: str, sent: Mapping[str, Any], *, is_unsupported: bool
) -> PolicyRule | None:
    value = sent.get(name)
    if (limit := _limit(text, value)) is not None and (name in LIMITS or isinstance(value, list)):
        return _rule(name, Action.CLAMP, maximum=limit)
    if not is_unsupported:  # out of range: another model may have a wider one
        return _rule(name, Action.REFUSE, only_values=_value(value)) if _value(value) else None
    if name in LIMITS:
        return _renamed(name, text, sent)
    own = _value(value) if _ONE_VALUE.search(text) and not _ANY_VALUE.search(text) else ()
    if (instead := _INSTEAD.search(text)) and instead[1].lower() not in sent:
        return _rule(name, Action.RENAME, replacement=instead[1].lower())
    return _rule(name, _action(name, value), only_values=own or _kind(name, value))


def _action(name: str, value: Any) -> Action:
    if name in OPTIONAL or (value is not None and HARMLESS.get(name) == value_text(value)):
        return Action.DROP
    return Action.REFUSE if name in REQUIRED or name in PARTS else Action.AVOID


def _renamed(name: str, text: str, sent: Mapping[str, Any]) -> PolicyRule:
    """A limit is never removed: a budget may rely on it."""
    instead = _INSTEAD.search(text)
    other = next(each for each in LIMITS if each != name)
    if instead and instead[1].lower() in LIMITS:
        other = instead[1].lower()
    if other == name or other in sent:
        return _rule(name, Action.DROP if other in sent and other != name else Action.REFUSE)
    return _rule(name, Action.RENAME, replacement=other)


def _limit(text: str, value: Any) -> float | None:
    """The largest number in the message that is below the sent value."""
    size = len(value) if isinstance(value, list) else value
    if isinstance(size, bool) or not isinstance(size, int | float) or not _RANGE.search(text):
        return None
    numbers = (
        float(found[0].removesuffix(" (exclusive)")) - (1 if found[1] else 0)
        for found in _NUMBER.finditer(text)
    )
    return max((number for number in numbers if 0 < number < size), default=None)


def _kind(name: str, value: Any) -> tuple[str, ...]:
    """A refused format says nothing about other formats."""
    return _value(value) if name in ("response_format", "tool_choice", "modalities") else ()


def _value(value: Any) -> tuple[str, ...]:
    """Long values are not stored."""
    text = "" if value is None else value_text(value)
    return (text,) if text and len(text) <= LONGEST_VALUE else ()


def _rule(name: str, action: Action, **values: Any) -> PolicyRule:
    return PolicyRule(name=LEARNED, parameter=name, action=action, **values)
