"""API keys: how a request sends one, and which key a secret belongs to. Cached for a second."""

import time
from typing import NamedTuple

from experiments.models import APIKey
from experiments.models.keys import hash_secret

REMEMBERED_SECONDS = 1.0
HOW_TO_SEND = "'Authorization: Bearer <key>' or 'x-api-key: <key>'"
_SCHEME = "bearer "


class NotAKeyError(Exception):
    """The Authorization header is not a bearer token, and no other header contains a key."""


def secret_in(authorization: str | None, x_api_key: str | None) -> str | None:
    """The key of a request, as OpenAI's or Anthropic's clients send it; the first if both are
    sent. None if there is none. Raises NotAKeyError."""
    scheme, secret = (authorization or "")[: len(_SCHEME)], (authorization or "")[len(_SCHEME) :]
    is_bearer, other = scheme.lower() == _SCHEME, (x_api_key or "").strip()
    if is_bearer and (secret.strip() or not other):
        return secret.strip()
    if authorization and not other:
        raise NotAKeyError(f"Send the key as {HOW_TO_SEND}.")
    return other or None


class Caller(NamedTuple):
    """The key of a request, at most one second old."""

    key: APIKey
    read_at: float

    @property
    def is_authenticated(self) -> bool:
        return True

    def may(self, scope: str) -> bool:
        return scope in self.key.scopes


_callers: dict[str, Caller] = {}


def find_caller(secret: str) -> Caller | None:
    """The key with this secret, None if it is unknown. Cached for a second."""
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


def invalidate() -> None:
    """Clears the cache: the next request reads its key from the database."""
    _callers.clear()
