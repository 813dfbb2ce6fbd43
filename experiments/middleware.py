"""Middleware for all responses: the request's id, the security policy, and JSON errors for API
clients. Requests with characters that no database stores are refused."""

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict

from experiments.core.text import Unstorable, find_unstorable

HEADER = "X-Request-Id"
_ACCEPTED = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class RequestIdMiddleware:
    """Uses the caller's request id if it is plain, else creates one; the response carries it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request_id_from(request.headers.get(HEADER, ""))
        request.request_id = request_id  # type: ignore[attr-defined]
        response = self.get_response(request)
        response[HEADER] = request_id
        return response


def request_id_from(given: str) -> str:
    """The caller's own request id if it is plain, else a new one."""
    return given if _ACCEPTED.fullmatch(given) else uuid.uuid4().hex


# What OpenAI's clients request when their base URL lacks /v1.
_OPENAI = re.compile(
    r"/(chat/completions|completions|responses|embeddings|moderations|messages|models(/[^/]+)?)/?$"
)
_READS_PAGES = ("GET", "HEAD")


class UnknownAddressMiddleware:
    """Answers API clients on an unknown path with a JSON 404 that names the APIs; browsers get
    the page. A base URL without /v1 is the usual reason. Django would redirect some of these to
    a page of the same name, which requires a login."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_lost = response.status_code == 404 or _only_lacks_a_slash(request, response)
        if is_lost and not _is_json(response) and _is_from_a_program(request):
            return _nothing_here(request.path)
        return response


def _only_lacks_a_slash(request: HttpRequest, response: HttpResponse) -> bool:
    address = response.get("Location", "").partition("?")[0]
    return response.status_code == 301 and address == f"{request.path}/" and _sends_key(request)


def _is_json(response: HttpResponse) -> bool:
    return response.get("Content-Type", "").startswith("application/json")


def _sends_key(request: HttpRequest) -> bool:
    return "Authorization" in request.headers or "X-Api-Key" in request.headers


def _is_from_a_program(request: HttpRequest) -> bool:
    accepted = request.headers.get("Accept", "")
    if "text/html" in accepted and not _sends_key(request):
        return False
    return (
        _sends_key(request)
        or "json" in accepted
        or "json" in request.headers.get("Content-Type", "")
        or request.method not in _READS_PAGES
        or _OPENAI.search(request.path) is not None
    )


def _nothing_here(path: str) -> HttpResponse:
    meant = _OPENAI.search(path)
    where = f"Use /v1{meant.group().rstrip('/')}: " if meant else ""
    message = (
        f"There is nothing at {path}. {where}the base URL of OpenAI's clients ends with /v1, that "
        "of the REST API with /api/v1."
    )
    error = {"message": message, "type": "invalid_request_error", "param": None}
    return JsonResponse({"error": {**error, "code": "unknown_url"}}, status=404)


POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""docs/decisions/0003-content-security-policy.md says what each part is for."""


class ContentSecurityPolicyMiddleware:
    """One policy for pages, admin and the API's documentation, without exceptions."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response


FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class StorableTextMiddleware:
    """Refuses a path, session cookie or form with characters that no database stores: 400,
    naming the field. The parser checks JSON bodies, and the filters of pages check their query:
    they drop such a value and report it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return _refusal(request, _of_address(request)) or self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        if request.content_type not in FORMS or _is_api(request):
            return None
        return _refusal(request, _fields(request.POST))


def _of_address(request: HttpRequest) -> Iterator[tuple[str, str]]:
    yield "path", request.path
    cookie = settings.SESSION_COOKIE_NAME
    yield cookie, request.COOKIES.get(cookie, "")
    if request.path.startswith(("/api/", "/admin/")):
        yield from _fields(request.GET)


def _fields(data: QueryDict) -> Iterator[tuple[str, str]]:
    for name, values in data.lists():
        for value in (name, *values):
            yield name, str(value)


def _refusal(request: HttpRequest, fields: Iterator[tuple[str, str]]) -> HttpResponse | None:
    found = next((one for name, text in fields if (one := find_unstorable({name: text}))), None)
    if found is None:
        return None
    message = f"'{found.field}' {found}"
    if _is_api(request):
        return JsonResponse(_problem(message, found), status=400)
    return HttpResponse(message, status=400, content_type="text/plain; charset=utf-8")


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def _problem(message: str, found: Unstorable) -> dict[str, Any]:
    error = {"type": "invalid_request_error", "message": message}
    return {"error": {**error, "param": found.field, "code": found.code}}
