"""The values of `model` that callers may send, and what each requests."""

import re
from typing import NamedTuple

from experiments.core.aliases import alias_of
from experiments.core.policy import Policy
from experiments.core.values import RequestedTarget
from experiments.gateway.errors import CallerError
from experiments.routers.kinds import KINDS

AUTO = "router-auto"
DOMAIN = "router/"
ROUTER = "router-"
_THRESHOLD = re.compile(r"\d+(\.\d+)?|\.\d+")


class RequestedModel(NamedTuple):
    """What a model name requests: a domain, a router with its threshold, or a registered model."""

    domain: str | None = None
    asked: RequestedTarget | None = None
    model: str | None = None


def requested_model(policy: Policy, sent: str, key: str = "") -> RequestedModel:
    """What the name requests with the API key of that name. Raises CallerError (404) that lists
    the known names."""
    name = unaliased(policy, sent, key)
    if name == AUTO:
        return RequestedModel()
    if name.startswith(DOMAIN):
        domain = name.removeprefix(DOMAIN)
        if domain in policy.domains:
            return RequestedModel(domain=domain)
    elif name.startswith(ROUTER):
        asked = _router(policy, name.removeprefix(ROUTER))
        if asked:
            return RequestedModel(asked=asked)
    elif model := registered(policy, name):
        return RequestedModel(model=model)
    raise unknown(policy, name)


def unaliased(policy: Policy, name: str, key: str) -> str:
    """What the name stands for with the API key of that name."""
    alias = alias_of(policy.aliases, name, key)
    return alias.target if alias else name


def registered(policy: Policy, name: str) -> str | None:
    """The registered model of that name, or the only model that its endpoint calls so: an
    application can keep the name it already uses."""
    if name in policy.models:
        return name
    found = [model for model, upstream in policy.upstreams.items() if upstream.name == name]
    return found[0] if len(found) == 1 else None


def unknown(policy: Policy, name: str, param: str = "model") -> CallerError:
    return CallerError(
        404,
        f"The model '{name}' is unknown. Known models: {', '.join(names(policy))}, and "
        f"router-<router>-<threshold> with one of: {', '.join(_routers(policy))}.",
        code="model_not_found",
        param=param,
    )


def names(policy: Policy, key: str = "") -> list[str]:
    """Every name without a number; aliases as far as they are for the key."""
    aliases = {
        alias.pattern for alias in policy.aliases if alias.applies_to(key) and not alias.is_pattern
    }
    domains = (f"{DOMAIN}{domain}" for domain in sorted(policy.domains))
    return list(dict.fromkeys((AUTO, *domains, *sorted(policy.upstreams), *sorted(aliases))))


def _router(policy: Policy, rest: str) -> RequestedTarget | None:
    """Parses `mf-0.11593`. A RouteLLM router that is not enabled here is accepted: the decision
    falls back and records that, so clients work before it is set up."""
    router, _, threshold = rest.rpartition("-")
    if router not in _routers(policy) or not _THRESHOLD.fullmatch(threshold):
        return None
    value = float(threshold)
    return RequestedTarget(router=router, threshold=value) if value <= 1 else None


def _routers(policy: Policy) -> list[str]:
    return list(dict.fromkeys([*policy.routers, *KINDS]))
