"""`POST /api/v1/route` without Django's request handling, which takes a quarter of its time.

docs/decisions/0070-route-without-django.md gives the reasons. The view in `routing.py` stays: it
answers unusual requests, and all requests that are refused.
"""

import io
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone
from rest_framework.exceptions import APIException, Throttled

from experiments.api.authentication import authenticate, require, seconds_to_next_minute
from experiments.api.errors import APIError, problem_of
from experiments.api.parsers import MAX_BODY, parse_json
from experiments.api.requests import route_request
from experiments.decisions.payload import decision_payload
from experiments.limits.api_keys import Caller
from experiments.limits.budgets import count_request
from experiments.middleware import request_id_from
from experiments.models import Decision, Scope
from experiments.routing.route import RouteRequest, route

PATH = "/api/v1/route"
Environ = dict[str, Any]
Headers = Sequence[tuple[str, str]]
StartResponse = Callable[..., Any]
WSGI = Callable[[Environ, StartResponse], Iterable[bytes]]

# These change what the middleware does, so Django handles such requests.
_UNUSUAL = ("HTTP_COOKIE", "HTTP_ORIGIN", "HTTP_TRANSFER_ENCODING", "QUERY_STRING", "SCRIPT_NAME")
_OWN_HEADERS = ("content-length", "x-request-id")
_MOST_ORIGINS = 64
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class _Origin(NamedTuple):
    """What the middleware's headers depend on, apart from `_UNUSUAL`."""

    scheme: str
    host: str
    server: tuple[str, str]
    forwarded_scheme: str


class _Accepted(NamedTuple):
    caller: Caller
    request: RouteRequest


class _Reply(NamedTuple):
    status: int
    body: bytes
    headers: Headers = ()


class DirectRoute:
    """A WSGI application around Django's.

    The first request of an origin passes through Django. If it succeeds, the headers of its
    response are those of the next ones: so the host is checked, redirects to HTTPS are kept and the
    security headers are the same, without a second definition of them.
    """

    def __init__(self, django: WSGI) -> None:
        self._django = django
        self._headers: OrderedDict[_Origin, Headers] = OrderedDict()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not _is_usual(environ):
            return self._django(environ, start_response)
        origin = _origin_of(environ)
        headers = self._headers.get(origin)
        if headers is None:
            return self._django(environ, self._remembering(origin, start_response))
        raw = environ["wsgi.input"].read(MAX_BODY + 1)
        environ["wsgi.input"] = io.BytesIO(raw)
        close_old_connections()
        request_id = request_id_from(environ.get("HTTP_X_REQUEST_ID", ""))
        reply = _reply_to(environ, raw, request_id)
        if reply is None:
            return self._django(environ, start_response)
        sent = [
            *headers,
            *reply.headers,
            ("Content-Length", str(len(reply.body))),
            ("X-Request-Id", request_id),
        ]
        start_response(_STATUS_LINES[reply.status], sent)
        return [reply.body]

    def _remembering(self, origin: _Origin, start_response: StartResponse) -> StartResponse:
        def started(status: str, headers: Headers, *rest: Any) -> Any:
            if status.startswith("201"):
                kept = [each for each in headers if each[0].lower() not in _OWN_HEADERS]
                self._headers[origin] = kept
                if len(self._headers) > _MOST_ORIGINS:
                    self._headers.popitem(last=False)
            return start_response(status, headers, *rest)

        return started


def _is_usual(environ: Environ) -> bool:
    return (
        environ["PATH_INFO"] == PATH
        and environ["REQUEST_METHOD"] == "POST"
        and environ.get("CONTENT_TYPE", "").partition(";")[0].strip() == "application/json"
        and environ.get("CONTENT_LENGTH", "").isdecimal()
        and int(environ["CONTENT_LENGTH"]) <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        and not any(map(environ.get, _UNUSUAL))
    )


def _origin_of(environ: Environ) -> _Origin:
    return _Origin(
        environ["wsgi.url_scheme"],
        environ.get("HTTP_HOST", ""),
        (environ["SERVER_NAME"], environ["SERVER_PORT"]),
        environ.get("HTTP_X_FORWARDED_PROTO", ""),
    )


def _reply_to(environ: Environ, raw: bytes, request_id: str) -> _Reply | None:
    """The decision, or the error that kept it from being made; None where Django has to answer."""
    try:
        accepted = _accepted(environ, raw, request_id)
        if accepted is None:
            return None
        decision = _decide(accepted)
    except Exception as error:
        problem = problem_of(error)
        headers = tuple(problem.headers.items())
        return _Reply(problem.status, orjson.dumps(problem.body), headers)
    status = 200 if accepted.request.dry_run else 201
    return _Reply(status, orjson.dumps(decision_payload(decision)))


def _accepted(environ: Environ, raw: bytes, request_id: str) -> _Accepted | None:
    """A request of a valid key that can be decided; None if it has to be refused. Raises what the
    database raises."""
    try:
        caller = authenticate(environ)
        if caller is None:
            return None
        require(caller, Scope.ROUTE)
        return _Accepted(caller, route_request(parse_json(raw), caller, request_id))
    except (APIError, APIException):
        return None


def _decide(accepted: _Accepted) -> Decision:
    now = timezone.now()
    if not count_request(accepted.caller.key, now):
        raise Throttled(seconds_to_next_minute(now))
    return route(accepted.request)
