"""Authenticates users of the chat page: by the session of the pages, never by a key.

A browser sends a session cookie whichever site makes the request. So such a call must also carry
Django's CSRF token in a header, which no other site can read."""

import io
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.base import SessionBase
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.module_loading import import_string

from experiments.gateway.admission import KeyRules
from experiments.gateway.call_request import Principal
from experiments.gateway.errors import CallerError
from experiments.limits.quotas import limits_of_person, user_account

PERMISSION = "experiments.use_chat"
# The headers and addresses that identify the caller and the origin.
TELLING = {b"cookie", b"host", b"origin", b"referer", b"x-csrftoken", b"x-forwarded-proto"}
Scope = dict[str, Any]


def has_session(scope: Scope) -> bool:
    return settings.SESSION_COOKIE_NAME in _request(scope).COOKIES


def session_cookie(scope: Scope) -> Iterator[tuple[str, str]]:
    """Its name and value, if sent. A quoted cookie can contain any character."""
    name = settings.SESSION_COOKIE_NAME
    if any(header.lower() == b"cookie" for header, _ in scope["headers"]):
        yield name, _request(scope).COOKIES.get(name, "")


def by_session(scope: Scope) -> Principal:
    """Reads the session and its user: three queries. Raises CallerError."""
    request = _request(scope)
    _check_token(request)
    request.session = _session(request)
    user = get_user(request)
    if not user.is_authenticated:
        raise CallerError(401, "You are logged out. Log in again.", code="logged_out")
    if not user.has_perm(PERMISSION):
        text = "Your account may not chat. Ask an administrator for the role operator."
        raise CallerError(403, text, code="forbidden")
    return Principal(
        None, KeyRules(user_account(int(user.pk)), limits_of_person(), frozenset(), frozenset())
    )


def _request(scope: Scope) -> Any:
    """The request as Django sees it, without a body."""
    headers = [(name, value) for name, value in scope["headers"] if name.lower() in TELLING]
    return ASGIRequest({**scope, "headers": headers}, io.BytesIO())


def _check_token(request: HttpRequest) -> None:
    check = CsrfViewMiddleware(_nothing)
    check.process_request(request)
    if check.process_view(request, _nothing, (), {}) is not None:
        text = "This call did not come from the page. Reload the page and try again."
        raise CallerError(403, text, code="csrf_failed")


def _nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def _session(request: HttpRequest) -> SessionBase:
    store: type[SessionBase] = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    return store(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
