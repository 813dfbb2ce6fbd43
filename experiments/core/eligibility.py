"""Which models can answer a chat call, and who answers when one of them fails. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from experiments.core.policy import Policy
from experiments.core.selection import NoEligibleModelsError
from experiments.core.values import Pair

NO_ENDPOINT = "no_endpoint"
SWITCHED_OFF = "switched_off"
NOT_ALLOWED = "not_allowed_for_key"
CONTEXT = "context_window"
LACKS = "lacks_"


class Needs(NamedTuple):
    """What a call needs of a model. `tokens` are those read and at most written; `allowed` are the
    models its key may use, None for all."""

    capabilities: frozenset[str] = frozenset()
    tokens: int = 0
    allowed: frozenset[str] | None = None


def unfit(policy: Policy, needs: Needs) -> dict[str, str]:
    """Models that cannot answer such a call, and why."""
    reasons = ((name, reason_against(policy, name, needs)) for name in policy.models)
    return {name: reason for name, reason in reasons if reason}


def reason_against(policy: Policy, name: str, needs: Needs) -> str | None:
    model = policy.models[name]
    if needs.allowed is not None and name not in needs.allowed:
        return NOT_ALLOWED
    if not model.is_available:
        return SWITCHED_OFF
    if name not in policy.upstreams:
        return NO_ENDPOINT
    for capability in sorted(needs.capabilities):
        if not model.capabilities.has(capability):
            return LACKS + capability
    return CONTEXT if needs.tokens > model.capabilities.context_window else None


class Course(NamedTuple):
    """What decides who is asked next: the decision's domain and pair, the caller's own list, and
    whether the caller named the model itself."""

    domain: str
    pair: Pair | None
    listed: Sequence[str] = ()
    direct: bool = False


def next_model(
    policy: Policy, course: Course, tried: Sequence[str], unavailable: Mapping[str, str]
) -> str | None:
    """The model to ask after those `tried`, or None.

    The caller's list comes first. Who named the model gets no other; else the other model of the
    pair, the domain's preferred ones and the selector's follow, none of which goes beyond what the
    domain permits.
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


def _candidates(policy: Policy, course: Course, out: frozenset[str]) -> Iterator[str]:
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
