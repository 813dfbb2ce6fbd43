"""API keys at the REST API: identifies the key, checks its scope and limits its requests."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from experiments.limits.api_keys import HOW_TO_SEND, Caller, NotAKeyError, find_caller, secret_in
from experiments.limits.budgets import count_request
from experiments.models import Scope

if TYPE_CHECKING:  # the framework imports this module before that one is complete
    from rest_framework.views import APIView


class KeyAuthentication(BaseAuthentication):
    """Keys are cached for a second: a key that is switched off works that long."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        caller = authenticate(request.META)
        return None if caller is None else (caller, None)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def authenticate(headers: Mapping[str, Any]) -> Caller | None:
    """The valid key in a request's headers (WSGI's names); None if it sends none. Raises
    AuthenticationFailed."""
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
    return caller


def caller_of(request: Request) -> Caller:
    """The key of an authenticated request."""
    return cast("Caller", request.user)


class HasScope(BasePermission):
    def has_permission(self, request: Request, view: "APIView") -> bool:
        if request.user is None:
            raise NotAuthenticated(f"Send an API key as {HOW_TO_SEND}.")
        require(caller_of(request), getattr(view, "scope", Scope.MANAGE))
        return True


def require(caller: Caller, scope: Scope) -> None:
    """Raises PermissionDenied, naming the scope, if the key does not have it."""
    if not caller.may(scope):
        raise PermissionDenied(
            f"This key lacks the scope '{scope}'. Add it in the admin, or use a key that has it."
        )


MINUTE = 60


class KeyThrottle(BaseThrottle):
    """The key's own limit, else API_KEY_REQUESTS_PER_MINUTE; 0 means no limit."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        caller: Caller | None = getattr(request, "user", None)
        return caller is None or count_request(caller.key, timezone.now())

    def wait(self) -> float:
        return seconds_to_next_minute(timezone.now())


def seconds_to_next_minute(now: datetime) -> float:
    """When a key that has used up its requests may call again."""
    return MINUTE - now.second - now.microsecond / 1e6
