"""The responses of `GET /v1/models` and `GET /v1/models/{id}`."""

from typing import Any

from experiments.core.aliases import alias_of
from experiments.core.policy import Policy
from experiments.gateway.model_names import DOMAIN, names, registered, unknown
from experiments.models import APIKey
from experiments.routing.route import configuration

CREATED_AT = "1970-01-01T00:00:00Z"  # when a model was created is not known


def listing(key: APIKey, name: str) -> dict[str, Any]:
    """All models this key may request, or the one called `name`. Raises CallerError,
    NoPolicyError."""
    policy, _ = configuration()
    allowed = [model for model in names(policy, key.name) if _may(key, policy, model)]
    if not name:
        return {"object": "list", "data": [_model(policy, model) for model in allowed]}
    if alias_of(policy.aliases, name, key.name) is not None:
        return {**_model(policy, name), "owned_by": "switchyard"}
    found = name if name in allowed else registered(policy, name)
    if found not in allowed:
        raise unknown(policy, name)
    return _model(policy, found)


def anthropic_listing(key: APIKey, name: str) -> dict[str, Any]:
    """The same in Anthropic's form."""
    found = listing(key, name)
    if name:
        return _in_anthropics_form(found)
    models = [_in_anthropics_form(model) for model in found["data"]]
    ends = {"first_id": models[0]["id"], "last_id": models[-1]["id"]}
    return {"data": models, "has_more": False, **ends}


def _in_anthropics_form(model: dict[str, Any]) -> dict[str, Any]:
    name = model["id"]
    return {"type": "model", "id": name, "display_name": name, "created_at": CREATED_AT}


def _may(key: APIKey, policy: Policy, name: str) -> bool:
    if name.startswith(DOMAIN) and key.allowed_domains:
        return name.removeprefix(DOMAIN) in key.allowed_domains
    return name not in policy.models or not key.allowed_models or name in key.allowed_models


def _model(policy: Policy, name: str) -> dict[str, Any]:
    model = policy.models.get(name)
    owner = model.provider if model else "switchyard"
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
