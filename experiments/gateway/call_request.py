"""Authenticates a chat call and turns it into a call to admit."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from django.utils import timezone

from experiments.core.endpoints import ApiFormat
from experiments.core.policy import Policy
from experiments.gateway.admission import Asking, Call, KeyRules, rules_of
from experiments.gateway.errors import CallerError
from experiments.gateway.model_names import registered, requested_model, unaliased, unknown
from experiments.gateway.protocols.model_call import ModelCall
from experiments.limits.api_keys import HOW_TO_SEND, NotAKeyError, find_caller, secret_in
from experiments.models import APIKey, Scope
from experiments.routing.route import RouteRequest

KEY_HEADERS = ("authorization", "x-api-key")


def secret_of(headers: Mapping[str, str]) -> str:
    """The key in these headers. Raises CallerError."""
    try:
        secret = secret_in(*map(headers.get, KEY_HEADERS))
    except NotAKeyError as error:
        raise _no_key(str(error), "invalid_api_key") from None
    if secret is None:
        raise _no_key(f"Send an API key as {HOW_TO_SEND}.", "missing_api_key")
    return secret


def key_of(secret: str, *scopes: Scope) -> APIKey:
    """The key, if it has one of the scopes. At most one query per second and key. Raises
    CallerError."""
    caller = find_caller(secret)
    if caller is None or not caller.key.is_valid_at(timezone.now()):
        text = "This API key is unknown, switched off or expired. Create one in the admin."
        raise _no_key(text, "invalid_api_key")
    if not any(caller.may(scope) for scope in scopes):
        raise CallerError(
            403,
            f"This key lacks the scope '{scopes[0]}'. Add it in the admin, or use a key with it.",
            code="forbidden",
        )
    return caller.key


class Principal(NamedTuple):
    """The caller. A user of the chat page has no key, but all scopes."""

    key_id: int | None
    rules: KeyRules
    key_name: str = ""


def by_key(secret: str) -> Principal:
    """Raises CallerError."""
    key = key_of(secret, Scope.ROUTE)
    return Principal(key.pk, rules_of(key), key.name)


def asking(call: ModelCall, secret: str, request_id: str) -> Asking:
    """Builds the call in the database thread. The result raises CallerError when it is called."""
    return call_factory(call, partial(by_key, secret), request_id)


def call_factory(call: ModelCall, identify: Callable[[], Principal], request_id: str) -> Asking:
    """The same for the caller that `identify` returns."""

    def ask(policy: Policy) -> Call:
        who = identify()
        requested = requested_model(policy, call.model, who.key_name)
        if call.api_format is ApiFormat.EMBEDDINGS and not requested.model:
            text = "Embeddings are not routed: name a model that embeds."
            raise CallerError(400, text, code="invalid_value", param="model")
        listed = tuple(_registered(policy, name, who.key_name) for name in call.listed)
        return Call(
            request=RouteRequest(
                text=call.text,
                unit_id=call.unit_id,
                domain=requested.domain,
                metadata=call.metadata,
                input_tokens=call.input_tokens,
                key_id=who.key_id,
                request_id=request_id,
                asked=requested.asked,
            ),
            rules=who.rules,
            capabilities=call.capabilities,
            output_limit=call.output_limit,
            named=(requested.model, *listed) if requested.model else (),
            listed=listed,
            parameters=call.parameters,
            api_format=call.api_format,
            obstacle=call.obstacle,
            stores=call.stores is True,
        )

    return ask


def _registered(policy: Policy, name: str, key: str) -> str:
    model = registered(policy, unaliased(policy, name, key))
    if model is None:
        raise unknown(policy, name, "models")
    return model


def _no_key(message: str, code: str) -> CallerError:
    return CallerError(401, message, code=code, headers={"WWW-Authenticate": "Bearer"})
