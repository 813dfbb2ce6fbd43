"""`Authorization: Bearer <key>`: which key is calling, and what it may do."""

import time
from typing import NamedTuple, cast

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from experiments.models import APIKey
from experiments.models.keys import hash_secret

REMEMBERED_SECONDS = 1.0
_SCHEME = "bearer "


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
        header: str = request.META.get("HTTP_AUTHORIZATION", "")
        if header[: len(_SCHEME)].lower() != _SCHEME:
            if header:
                raise AuthenticationFailed("Send the key as 'Authorization: Bearer <key>'.")
            return None
        caller = find_caller(header[len(_SCHEME) :].strip())
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
