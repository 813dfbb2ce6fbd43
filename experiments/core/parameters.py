"""Adapts the parameters of a chat call to the model that gets it. Pure.

A call must not fail because one model does not support a parameter: rules state how a call is
adapted for a model, or which models cannot answer it. Operators edit the shipped rules. Further
parameters that providers refuse are learned and handled in the same way.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

LIMITS = ("max_completion_tokens", "max_tokens")
# Required in every call, so no rule may change it.
NEVER = frozenset(("model", "messages", "stream"))
# Parts of messages that a rule can name like a parameter, and the capability they require.
PARTS = {"image_url": "vision", "input_audio": "audio"}
DROPPED_FOR_ENDPOINT = "endpoint"
LEARNED = "learned"


class Action(StrEnum):
    """What a rule does with a parameter.

    `avoid`: prefer other models; without another model, drop the parameter. `refuse`: never call
    the model, because the caller needs the parameter.
    """

    DROP = "drop"
    RENAME = "rename"
    CLAMP = "clamp"
    REPLACE = "replace"
    AVOID = "avoid"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One difference of the models it matches. An empty `provider` matches any provider.

    `model_patterns` are such as `gpt-5*`, or `!gpt-5*` to exclude models; an empty list is all.

    `only_values` and `except_values` are JSON, with plain words unquoted. `with_parameter` limits
    the rule to calls that also have that parameter. `replacement` is the new name or value.
    `clamp` without its own limit uses the model's output limit.
    """

    name: str
    parameter: str
    action: Action
    provider: str = ""
    model_patterns: tuple[str, ...] = ()
    only_values: tuple[str, ...] = ()
    except_values: tuple[str, ...] = ()
    with_parameter: str = ""
    replacement: str = ""
    minimum: float | None = None
    maximum: float | None = None

    def matches(self, provider: str, names: Sequence[str]) -> bool:
        """Whether the rule covers a model of this provider with any of these names."""
        if self.provider not in ("", provider):
            return False
        wanted = [pattern for pattern in self.model_patterns if not pattern.startswith("!")]
        unwanted = [pattern[1:] for pattern in self.model_patterns if pattern.startswith("!")]
        return (not wanted or _matches(names, wanted)) and not _matches(names, unwanted)

    def applies_to(self, body: Mapping[str, Any], capabilities: Iterable[str] = ()) -> bool:
        """Whether the call has what the rule covers. Null counts as missing."""
        if capability := PARTS.get(self.parameter):
            return capability in capabilities
        value = body.get(self.parameter)
        if value is None or (self.with_parameter and body.get(self.with_parameter) is None):
            return False
        if self.only_values and not _is_among(value, self.only_values):
            return False
        return not _is_among(value, self.except_values)


def in_order(rules: Iterable[PolicyRule]) -> tuple[PolicyRule, ...]:
    """Renames come first, limits last: a renamed parameter gets the limit of its new name."""
    return tuple(sorted(rules, key=lambda rule: (_ORDER.index(rule.action), rule.name)))


def selective(rules: Iterable[PolicyRule]) -> tuple[PolicyRule, ...]:
    """The rules that rule out a model for some calls."""
    return tuple(rule for rule in rules if rule.action in (Action.AVOID, Action.REFUSE))


class ParameterChange(NamedTuple):
    """One change to a call for a model: `detail` describes it, `rule` names its rule."""

    parameter: str
    action: str
    detail: str
    rule: str


def adapted(
    body: Mapping[str, Any], rules: Sequence[PolicyRule], output_limit: int | None = None
) -> tuple[dict[str, Any], tuple[ParameterChange, ...]]:
    """The call as sent to a model with these rules (`in_order`), and the changes."""
    sent, changes = dict(body), []
    for rule in rules:
        if rule.parameter in sent and rule.applies_to(sent):
            detail = _APPLY[rule.action](rule, sent, output_limit)
            if detail:
                changes.append(ParameterChange(rule.parameter, str(rule.action), detail, rule.name))
    return sent, tuple(changes)


def objections(
    body: Mapping[str, Any], capabilities: Iterable[str], rules: Iterable[PolicyRule]
) -> dict[Action, str]:
    """The parameters for which a model with these rules is avoided or refused."""
    found: dict[Action, str] = {}
    for rule in selective(rules):
        if rule.applies_to(body, capabilities):
            found.setdefault(rule.action, rule.parameter)
    return found


def value_text(value: Any) -> str:
    """A value as rules write it: the type of an object, a plain word, else JSON."""
    if isinstance(value, Mapping):
        return str(value.get("type", ""))
    return value if isinstance(value, str) else json.dumps(value)


def _matches(names: Iterable[str], patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _is_among(value: Any, texts: Iterable[str]) -> bool:
    """Compares numbers by value: 1.0 equals 1."""
    own = value_text(value)
    return any(text == own or _number(text) == _number(own) is not None for text in texts)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _drop(rule: PolicyRule, sent: dict[str, Any], _: int | None) -> str:
    del sent[rule.parameter]
    return "left out"


def _rename(rule: PolicyRule, sent: dict[str, Any], _: int | None) -> str:
    value = sent.pop(rule.parameter)
    if sent.get(rule.replacement) is not None:
        return f"left out, since {rule.replacement} was sent too"
    sent[rule.replacement] = value
    return f"sent as {rule.replacement}"


def _replace(rule: PolicyRule, sent: dict[str, Any], _: int | None) -> str:
    before = value_text(sent[rule.parameter])
    try:
        sent[rule.parameter] = json.loads(rule.replacement)
    except json.JSONDecodeError:
        sent[rule.parameter] = rule.replacement
    return f"{before[:40]} sent as {rule.replacement}"


def _clamp(rule: PolicyRule, sent: dict[str, Any], output_limit: int | None) -> str:
    value = sent[rule.parameter]
    has_own = rule.minimum is not None or rule.maximum is not None
    most = rule.maximum if has_own else output_limit
    if isinstance(value, list) and most is not None and len(value) > most:
        sent[rule.parameter] = value[: int(most)]
        return f"the first {int(most)} of {len(value)} kept"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    bound = value
    if most is not None and value > most:
        bound = most
    if rule.minimum is not None and value < rule.minimum:
        bound = rule.minimum
    if bound == value:
        return ""
    sent[rule.parameter] = int(bound) if float(bound).is_integer() else bound
    return f"{value} lowered to {bound:g}" if bound < value else f"{value} raised to {bound:g}"


def _nothing(rule: PolicyRule, sent: dict[str, Any], _: int | None) -> str:
    return ""


_ORDER = (
    Action.RENAME,
    Action.REPLACE,
    Action.DROP,
    Action.AVOID,
    Action.REFUSE,
    Action.CLAMP,
)
_APPLY = {
    Action.DROP: _drop,
    Action.AVOID: _drop,
    Action.RENAME: _rename,
    Action.REPLACE: _replace,
    Action.CLAMP: _clamp,
    Action.REFUSE: _nothing,
}
