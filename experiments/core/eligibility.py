"""Which models can answer a chat call, and which one answers if one of them fails. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.core.catalog import EMBEDDING
from experiments.core.endpoints import ApiFormat
from experiments.core.parameters import PARTS, Action, PolicyRule, objections
from experiments.core.policy import Policy
from experiments.core.selection import NoEligibleModelsError
from experiments.core.values import Pair

NO_ENDPOINT = "no_endpoint"
SWITCHED_OFF = "switched_off"
NOT_ALLOWED = "not_allowed_for_key"
CONTEXT = "context_window"
LACKS = "lacks_"
REFUSES = "refuses_"
AVOIDED = "does_without_"
CANNOT_CARRY = "cannot_carry_"

Learned = Mapping[str, Sequence[PolicyRule]]


class Requirements(NamedTuple):
    """What a call requires of a model. `tokens` are the input tokens plus the output limit;
    `allowed` are the models that the key may use, None for all; `parameters` is the call as it was
    sent. `obstacle` is what only an endpoint that takes requests of `api_format` can carry."""

    capabilities: frozenset[str] = frozenset()
    tokens: int = 0
    allowed: frozenset[str] | None = None
    parameters: Mapping[str, Any] = {}
    api_format: ApiFormat = ApiFormat.CHAT
    obstacle: str = ""


def ineligible_models(
    policy: Policy, needs: Requirements, learned: Learned | None = None
) -> dict[str, str]:
    """Models that cannot answer such a call, and why. `learned` are the parameters that they
    refused so far, in addition to the policy's rules."""
    found = learned or {}
    looked_at = found if _is_selective(policy, needs, found) else None
    reasons = ((name, reason_against(policy, name, needs, looked_at)) for name in policy.models)
    return {name: reason for name, reason in reasons if reason}


def _is_selective(policy: Policy, needs: Requirements, learned: Learned) -> bool:
    """Whether the call has a parameter that some model does not support. Most calls do not."""
    found = {rule.parameter for rules in learned.values() for rule in rules}
    names = policy.selective_parameters | found if found else policy.selective_parameters
    return not (names.isdisjoint(needs.parameters) and names.isdisjoint(PARTS))


def avoided(
    policy: Policy, needs: Requirements, learned: Learned, out: Collection[str]
) -> dict[str, str]:
    """Models that would answer without a parameter that others support; empty if all would."""
    if not _is_selective(policy, needs, learned):
        return {}
    found = {
        name: AVOIDED + parameter
        for name, upstream in policy.upstreams.items()
        if name not in out
        and (
            parameter := objections(
                needs.parameters, (), (*upstream.selective, *learned.get(name, ()))
            ).get(Action.AVOID)
        )
    }
    return {} if found.keys() | set(out) >= policy.models.keys() else found


def without_avoided(unavailable: Mapping[str, str]) -> dict[str, str]:
    """The models that cannot answer, without those that are only avoided."""
    return {n: reason for n, reason in unavailable.items() if not reason.startswith(AVOIDED)}


def reason_against(
    policy: Policy, name: str, needs: Requirements, learned: Learned | None
) -> str | None:
    """`learned` is None if no parameter of the call rules out a model."""
    model = policy.models[name]
    if needs.allowed is not None and name not in needs.allowed:
        return NOT_ALLOWED
    if not model.is_available or name not in policy.upstreams:
        return NO_ENDPOINT if model.is_available else SWITCHED_OFF
    if needs.obstacle and not policy.upstreams[name].speaks(needs.api_format):
        return CANNOT_CARRY + needs.obstacle
    lacked = (each for each in sorted(needs.capabilities) if not model.capabilities.has(each))
    capability = next(lacked, None)
    if capability or (model.capabilities.only_embeds and not needs.capabilities & EMBEDDING):
        return LACKS + (capability or "chat")
    if learned is not None:
        rules = (*policy.upstreams[name].selective, *learned.get(name, ()))
        refused = objections(needs.parameters, needs.capabilities, rules).get(Action.REFUSE)
        if refused:
            return REFUSES + refused
    return CONTEXT if needs.tokens > model.capabilities.context_window else None


class FallbackPlan(NamedTuple):
    """What determines the next model: the decision's domain and pair, the caller's own list, and
    whether the caller named the model itself."""

    domain: str
    pair: Pair | None
    listed: Sequence[str] = ()
    direct: bool = False


def next_model(
    policy: Policy, course: FallbackPlan, tried: Sequence[str], unavailable: Mapping[str, str]
) -> str | None:
    """The model to call after those `tried`, or None.

    The caller's list comes first. If the caller named the model, no other follows. Otherwise the
    other model of the pair, the domain's preferred models and the selector's follow, as far as the
    domain permits them.
    """
    out = frozenset(unavailable) | frozenset(tried)
    permitted = None
    for name in _candidates(policy, course, out):
        if name in out or name not in policy.models:
            continue
        if course.direct:
            return name
        if permitted is None:
            permitted = policy.permitted(policy.domains[course.domain], None, frozenset())
        if name in permitted:
            return name
    return None


def _candidates(policy: Policy, course: FallbackPlan, out: frozenset[str]) -> Iterator[str]:
    yield from course.listed
    if course.direct:
        return
    yield from course.pair or ()
    domain = policy.domains[course.domain]
    yield from domain.config.preferred_models
    try:
        yield policy.select(domain, None, out)
    except NoEligibleModelsError:
        return
