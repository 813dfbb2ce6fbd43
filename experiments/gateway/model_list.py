"""The response of `GET /v1/models`."""

from typing import Any

from experiments.core.policy import Policy
from experiments.gateway.model_names import DOMAIN, names, registered, unknown
from experiments.models import APIKey
from experiments.routing.route import configuration


def listing(key: APIKey, name: str) -> dict[str, Any]:
    """All models this key may request, or the one called `name`. Raises CallerError,
    NoPolicyError."""
    policy, _ = configuration()
    allowed = [model for model in names(policy) if _may(key, policy, model)]
    if not name:
        return {"object": "list", "data": [_model(policy, model) for model in allowed]}
    found = name if name in allowed else registered(policy, name)
    if found not in allowed:
        raise unknown(policy, name)
    return _model(policy, found)


def _may(key: APIKey, policy: Policy, name: str) -> bool:
    if name.startswith(DOMAIN) and key.allowed_domains:
        return name.removeprefix(DOMAIN) in key.allowed_domains
    return name not in policy.models or not key.allowed_models or name in key.allowed_models


def _model(policy: Policy, name: str) -> dict[str, Any]:
    model = policy.models.get(name)
    owner = model.provider if model else "switchyard"
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
