"""The host check, the redirect to HTTPS and the security headers, as on the pages.

Django's own middleware decides, from the same settings; it receives only the parts it reads."""

import io
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.middleware.security import SecurityMiddleware

from experiments.gateway.errors import CallerError

Scope = dict[str, Any]
LOOKED_AT = {
    name.encode() for name in ("host", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port")
}


class Checked(NamedTuple):
    """`redirects`: to HTTPS first. `headers` go on every response."""

    redirects: bool
    headers: Mapping[str, str]


def security_headers(scope: Scope) -> Mapping[str, str]:
    """The headers of every response to this request. Raises CallerError for a different
    response: 400 for an unknown host, 301 to HTTPS."""
    headers = tuple((name, value) for name, value in scope["headers"] if name in LOOKED_AT)
    scheme, server = scope.get("scheme", "http"), tuple(scope.get("server") or ("localhost", 80))
    checked = _check(headers, scheme, server)
    if checked is None:
        raise CallerError(
            400,
            "This server does not answer to the host of this request. An operator can add it to "
            "ALLOWED_HOSTS.",
            code="host_not_allowed",
        )
    if checked.redirects:
        location = _location(_request(headers, scheme, server, scope))
        raise CallerError(301, "Use HTTPS.", code="https_required", headers={"Location": location})
    return checked.headers


@lru_cache(maxsize=256)
def _check(
    headers: tuple[tuple[bytes, bytes], ...], scheme: str, server: tuple[Any, ...]
) -> Checked | None:
    """Cached, because hosts repeat. None: the host is not allowed."""
    request = _request(headers, scheme, server)
    try:
        request.get_host()
    except DisallowedHost:
        return None
    middleware = SecurityMiddleware(_nothing)
    redirects = middleware.process_request(request) is not None
    response = middleware.process_response(request, _nothing(request))
    found = dict(response.headers)
    found.pop("Content-Type", None)
    return Checked(redirects, {name.lower(): value for name, value in found.items()})


def _location(request: HttpRequest) -> str:
    response: Any = SecurityMiddleware(_nothing).process_request(request)
    return str(response["Location"])


def _request(
    headers: tuple[tuple[bytes, bytes], ...],
    scheme: str,
    server: tuple[Any, ...],
    scope: Mapping[str, Any] | None = None,
) -> HttpRequest:
    parts = {name: scope[name] for name in ("path", "query_string")} if scope else {}
    return ASGIRequest(
        {
            "type": "http",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            **parts,
            "headers": list(headers),
            "scheme": scheme,
            "server": server,
        },
        io.BytesIO(),
    )


def _nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse()
