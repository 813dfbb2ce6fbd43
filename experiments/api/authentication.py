"""`Authorization: Bearer <key>` or `x-api-key: <key>`: which key is calling, and what it may do."""

import time
from typing import NamedTuple, cast

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from experiments.models import APIKey
from experiments.models.keys import hash_secret

REMEMBERED_SECONDS = 1.0
HOW_TO_SEND = "'Authorization: Bearer <key>' or 'x-api-key: <key>'"
_SCHEME = "bearer "


class NotAKeyError(Exception):
    """The Authorization header holds something else, and no other header a key."""


def secret_in(authorization: str | None, x_api_key: str | None) -> str | None:
    """The key that a request sends, as OpenAI's clients do or as Anthropic's; the first where both
    do. None where it sends none. Raises NotAKeyError."""
    scheme, secret = (authorization or "")[: len(_SCHEME)], (authorization or "")[len(_SCHEME) :]
    is_bearer, other = scheme.lower() == _SCHEME, (x_api_key or "").strip()
    if is_bearer and (secret.strip() or not other):
        return secret.strip()
    if authorization and not other:
        raise NotAKeyError(f"Send the key as {HOW_TO_SEND}.")
    return other or None


class Caller(NamedTuple):
    """The key of a request, as it was at most a second ago."""

    key: APIKey
    read_at: float

    @property
    def is_authenticated(self) -> bool:
        return True

    def may(self, scope: str) -> bool:
        return scope in self.key.scopes


class KeyAuthentication(BaseAuthentication):
    """Keys are looked up once a second at most: a key that is switched off works that long."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        headers = request.META
        try:
            secret = secret_in(headers.get("HTTP_AUTHORIZATION"), headers.get("HTTP_X_API_KEY"))
        except NotAKeyError as error:
            raise AuthenticationFailed(str(error)) from None
        if secret is None:
            return None
        caller = find_caller(secret)
        if caller is None or not caller.key.is_valid_at(timezone.now()):
            raise AuthenticationFailed(
                "This API key is unknown, switched off or expired. Create one in the admin."
            )
        return caller, None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def caller_of(request: Request) -> Caller:
    """The key of a request that was let in."""
    return cast("Caller", request.user)


_callers: dict[str, Caller] = {}


def find_caller(secret: str) -> Caller | None:
    digest = hash_secret(secret)
    known = _callers.get(digest)
    if known is not None and time.monotonic() - known.read_at < REMEMBERED_SECONDS:
        return known
    key = APIKey.objects.filter(secret_hash=digest).first()
    if key is None:
        _callers.pop(digest, None)
        return None
    caller = _callers[digest] = Caller(key, time.monotonic())
    return caller


def forget() -> None:
    """The next request looks its key up anew."""
    _callers.clear()
