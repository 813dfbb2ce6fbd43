"""Checks names and passwords for the pages, after the throttle."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils import timezone

from experiments.access import logins


class ThrottledBackend(ModelBackend):
    """Django's backend with a throttle before the hash. If it refuses, `request.login_refused`
    gives the reason."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        if request is None or username is None:  # a call from a program, not a login
            return super().authenticate(request, username, password, **kwargs)
        try:
            attempt = logins.begin(username, logins.address_of(request.META), timezone.now())
        except logins.TooManyFailuresError as error:
            request.login_refused = error  # type: ignore[attr-defined]
            raise PermissionDenied from error
        user = super().authenticate(request, username, password, **kwargs)
        if user is None:
            logins.fail(attempt)
        else:
            logins.succeed(attempt)
        return user
