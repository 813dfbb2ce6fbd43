"""`Authorization: Bearer <key>` or `x-api-key: <key>`: identifies the key and its scopes."""

from typing import cast

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from experiments.limits.api_keys import Caller, NotAKeyError, find_caller, secret_in


class KeyAuthentication(BaseAuthentication):
    """Keys are cached for a second: a key that is switched off works that long."""

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
    """The key of an authenticated request."""
    return cast("Caller", request.user)
