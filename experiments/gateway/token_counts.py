"""`POST /v1/messages/count_tokens`: the provider's own count if one model is named that speaks
messages, else an estimate. Nothing is routed, stored or billed."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from experiments.core.endpoints import ApiFormat, Upstream
from experiments.gateway.call_request import key_of
from experiments.gateway.errors import UpstreamError
from experiments.gateway.model_names import requested_model
from experiments.gateway.protocols.model_call import ModelCall
from experiments.gateway.protocols.native import NativeClient, address, native_name
from experiments.limits.credentials import CredentialMissingError
from experiments.limits.credentials import key_of as provider_key_of
from experiments.models import Scope
from experiments.routing.route import configuration

BELOW = "/count_tokens"
ESTIMATED: Mapping[str, str] = {"x-switchyard-estimated": "true"}


class TokenCount(NamedTuple):
    """The answer and its headers."""

    body: dict[str, Any]
    headers: Mapping[str, str]


def counting_upstream(secret: str, call: ModelCall) -> Upstream | None:
    """The endpoint that counts for this call, if one does. Reads the database. Raises
    CallerError."""
    key = key_of(secret, Scope.ROUTE)
    policy, _ = configuration()
    model = requested_model(policy, call.model, key.name).model
    upstream = policy.upstreams.get(model) if model else None
    if upstream is None or (key.allowed_models and model not in key.allowed_models):
        return None
    return upstream if upstream.speaks(ApiFormat.MESSAGES) else None


async def count_tokens(
    client: NativeClient, call: ModelCall, upstream: Upstream | None
) -> TokenCount:
    if upstream is not None and (counted := await _counted(client, call, upstream)):
        return TokenCount(counted, {})
    return TokenCount({"input_tokens": call.input_tokens}, ESTIMATED)


async def _counted(
    client: NativeClient, call: ModelCall, upstream: Upstream
) -> dict[str, Any] | None:
    """None if the provider does not count."""
    endpoint = upstream.endpoint
    to = address(endpoint, ApiFormat.MESSAGES, call.headers, BELOW)
    body = {**call.body, "model": native_name(upstream)}
    try:
        return await client.complete_native(endpoint, provider_key_of(endpoint), body, to)
    except (UpstreamError, CredentialMissingError):
        return None
