"""Cross-origin rules for browsers (CORS): which other sites may call the APIs, with a key.

Off unless CORS_ALLOWED_ORIGINS names origins. Cookies are never allowed: no response carries
`Access-Control-Allow-Credentials`, so another site cannot use a reader's session."""

from collections.abc import Callable, Mapping

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

ANY = "*"
METHODS = "GET, POST, PATCH, DELETE"
REMEMBERED_SECONDS = "600"
# Response headers that scripts may read, besides the few that are always allowed.
EXPOSED = ", ".join(
    (
        "x-request-id",
        "retry-after",
        "x-should-retry",
        *(
            f"x-switchyard-{name}"
            for name in (
                "decision-id",
                "model",
                "domain",
                "arm",
                "cost",
                "saving",
                "fallback",
                "overhead-ms",
                "budget",
            )
        ),
        *(
            f"x-ratelimit-{kind}-{of}"
            for of in ("requests", "tokens")
            for kind in ("limit", "remaining", "reset")
        ),
    )
)


def cors_headers(origin: str | None) -> Mapping[str, str]:
    """The headers of a response to a page of `origin`. Caches must keep origins separate."""
    allowed = settings.CORS_ALLOWED_ORIGINS
    if not allowed:
        return {}
    if ANY in allowed:
        return {"access-control-allow-origin": ANY, "access-control-expose-headers": EXPOSED}
    if origin not in allowed:
        return {"vary": "Origin"}
    return {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": EXPOSED,
        "vary": "Origin",
    }


def preflight_headers(method: str, headers: Mapping[str, str]) -> Mapping[str, str] | None:
    """The response to a preflight request; None if it is not one, or CORS is off. `headers` in
    lower case. A preflight request carries no key and needs none."""
    asked = headers.get("access-control-request-method")
    if method != "OPTIONS" or asked is None or not settings.CORS_ALLOWED_ORIGINS:
        return None
    found = dict(cors_headers(headers.get("origin")))
    if "access-control-allow-origin" not in found:
        return found
    del found["access-control-expose-headers"]
    found |= {
        "access-control-allow-methods": METHODS,
        "access-control-max-age": REMEMBERED_SECONDS,
    }
    if wanted := headers.get("access-control-request-headers"):
        found["access-control-allow-headers"] = wanted
    return found


class CorsMiddleware:
    """Lets pages of other origins call the REST API, if CORS_ALLOWED_ORIGINS names them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith("/api/"):
            return self.get_response(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        allowed = preflight_headers(request.method or "", headers)
        if allowed is not None:
            response = HttpResponse(status=204)
        else:
            response = self.get_response(request)
            allowed = cors_headers(headers.get("origin"))
        for name, value in allowed.items():
            if name == "vary":
                patch_vary_headers(response, [value])
            else:
                response[name] = value
        return response
