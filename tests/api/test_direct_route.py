"""`POST /api/v1/route` without Django's request handling: the same answers and refusals."""

import io
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import connection

from experiments.api.direct_route import PATH, DirectRoute
from experiments.limits import api_keys
from experiments.models import APIKey, Decision, KeyUsage, Scope
from tests.api.client import API, secret_with

# Django's request handling closes connections between requests, as in a server.
pytestmark = pytest.mark.django_db(transaction=True)

PROMPT = "Write a haiku about the sea."
OF_ONE_REQUEST = ("decision_id", "latency_ms")


class Reply(NamedTuple):
    status: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def lasting(self) -> dict[str, Any]:
        return {name: value for name, value in self.data.items() if name not in OF_ONE_REQUEST}


class Caller:
    """Sends requests to both applications, and counts those that Django handles."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.handled = 0
        self.django = get_wsgi_application()
        self.direct = DirectRoute(self._counted)

    def _counted(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.handled += 1
        return self.django(environ, start_response)

    def send(self, application: Any, body: object, **changed: str | None) -> Reply:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": PATH,
            "QUERY_STRING": "",
            "SCRIPT_NAME": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "127.0.0.1:8000",
            "HTTP_AUTHORIZATION": f"Bearer {self.secret}",
            "HTTP_X_REQUEST_ID": "mine",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(raw)),
            "wsgi.input": io.BytesIO(raw),
            "wsgi.errors": io.StringIO(),
            "wsgi.url_scheme": "http",
            "wsgi.version": (1, 0),
            **changed,
        }
        begun: list[Any] = []
        parts = application(
            {name: value for name, value in environ.items() if value is not None},
            lambda status, headers, *_: begun.extend((status, headers)),
        )
        content = b"".join(parts)
        if close := getattr(parts, "close", None):
            close()
        return Reply(begun[0], {name.lower(): value for name, value in begun[1]}, content)


@pytest.fixture
def caller(api: API) -> Caller:
    """Its first request is answered: the next ones need no Django."""
    caller = Caller(api.headers["Authorization"].removeprefix("Bearer "))
    assert caller.send(caller.direct, {"text": PROMPT}).status == "201 Created"
    assert caller.handled == 1
    return caller


BODIES = [
    {"text": PROMPT, "unit_id": "user-42", "metadata": {"team": "web"}},
    {"text": PROMPT, "unit_id": "user-42", "domain": "creative", "dry_run": True},
    {"messages": [{"role": "user", "content": "Is aspirin safe?"}], "unit_id": "u"},
    {"text": PROMPT, "unit_id": "u", "criteria": {"min_accuracy_score": 0.5}},
]


@pytest.mark.parametrize("body", BODIES)
def test_the_answer_and_its_headers_are_those_of_django(caller: Caller, body: object) -> None:
    usual, direct = caller.send(caller.django, body), caller.send(caller.direct, body)

    assert caller.handled == 1
    assert direct.status == usual.status
    assert direct.lasting == usual.lasting
    assert direct.data.keys() == usual.data.keys()
    length = "content-length"
    assert {**direct.headers, length: ""} == {**usual.headers, length: ""}
    assert direct.headers[length] == str(len(direct.body))
    assert direct.headers["x-request-id"] == "mine"


def test_the_decision_is_stored_with_key_and_request(caller: Caller) -> None:
    reply = caller.send(caller.direct, BODIES[0], HTTP_X_REQUEST_ID="r-1")

    assert caller.handled == 1
    row = Decision.objects.get(pk=reply.data["decision_id"])
    assert row.request_id == "r-1"
    assert row.key_id == APIKey.objects.get().pk
    assert row.detail["metadata"] == {"team": "web"}


REFUSED: list[tuple[object, dict[str, str | None]]] = [
    ({}, {}),
    ({"text": 3}, {}),
    ({"text": PROMPT, "unknown": 1}, {}),
    ({"text": PROMPT, "domain": "nowhere"}, {}),
    ({"text": "a\x00b"}, {}),
    (b"{", {}),
    (b'{"text": "a", "text": "b"}', {}),
    (b"\xff", {}),
    (b" " * (1024 * 1024 + 1), {}),
    ({"text": PROMPT}, {"HTTP_AUTHORIZATION": None}),
    ({"text": PROMPT}, {"HTTP_AUTHORIZATION": "Bearer sy_wrong"}),
    ({"text": PROMPT}, {"HTTP_AUTHORIZATION": "Basic eDp5"}),
    ({"text": PROMPT}, {"HTTP_HOST": "elsewhere.example"}),
    ({"text": PROMPT}, {"CONTENT_TYPE": "text/plain"}),
    ({"text": PROMPT}, {"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked"}),
    ({"text": PROMPT}, {"QUERY_STRING": "a=%00"}),
    ({"text": PROMPT}, {"REQUEST_METHOD": "PUT"}),
    ({"text": PROMPT, "criteria": {"required_providers": ["x"]}}, {}),
]


@pytest.mark.parametrize(("body", "changed"), REFUSED)
def test_a_refusal_is_that_of_django(
    caller: Caller, body: object, changed: dict[str, str | None]
) -> None:
    usual = caller.send(caller.django, body, **changed)
    direct = caller.send(caller.direct, body, **changed)

    assert not usual.status.startswith("2") or changed
    assert direct.status == usual.status
    if not usual.status.startswith("2"):
        assert direct.body == usual.body
    assert direct.headers.keys() == usual.headers.keys()


def test_a_key_without_the_scope_is_refused(caller: Caller) -> None:
    caller.secret = secret_with(Scope.READ)
    usual, direct = (caller.send(app, {"text": PROMPT}) for app in (caller.django, caller.direct))
    assert direct.status == usual.status == "403 Forbidden"
    assert direct.body == usual.body


def test_a_key_counts_its_requests_once(caller: Caller) -> None:
    """Of four requests at least one is in the same minute as two others."""
    APIKey.objects.update(requests_per_minute=1)
    api_keys.invalidate()
    replies = [caller.send(caller.direct, {"text": PROMPT}) for _ in range(4)]

    assert caller.handled == 1
    refused = [reply for reply in replies if reply.status.startswith("429")]
    assert 2 <= len(refused) <= 3
    usual = caller.send(caller.django, {"text": PROMPT})
    if usual.status.startswith("429"):  # the same minute
        assert refused[-1].data["error"]["code"] == usual.data["error"]["code"]
    assert 1 <= int(refused[-1].headers["retry-after"]) <= 60
    assert KeyUsage.objects.filter(span=KeyUsage.MINUTE, requests__gt=1).count() == 0


def test_a_cookie_and_another_origin_take_the_long_way(caller: Caller) -> None:
    for name, value in (("HTTP_COOKIE", "a=b"), ("HTTP_ORIGIN", "https://app.example")):
        before = caller.handled
        assert caller.send(caller.direct, {"text": PROMPT}, **{name: value}).status[:3] == "201"
        assert caller.handled == before + 1


def test_each_host_is_checked_by_django_first(caller: Caller) -> None:
    for _ in range(2):
        before = caller.handled
        reply = caller.send(caller.direct, {"text": PROMPT}, HTTP_HOST="elsewhere.example")
        assert reply.status.startswith("400")
        assert caller.handled == before + 1
    caller.send(caller.direct, {"text": PROMPT}, HTTP_HOST="localhost:8000")
    before = caller.handled
    caller.send(caller.direct, {"text": PROMPT}, HTTP_HOST="localhost:8000")
    assert caller.handled == before


def test_a_key_that_cannot_be_read_is_an_error_of_the_database(caller: Caller) -> None:
    table = APIKey._meta.db_table
    replies = []
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER TABLE "{table}" RENAME TO gone')
    try:
        for application in (caller.django, caller.direct):
            api_keys.invalidate()
            replies.append(caller.send(application, {"text": PROMPT}))
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'ALTER TABLE gone RENAME TO "{table}"')
    usual, direct = replies
    assert caller.handled == 1
    assert usual.status.startswith("5")
    assert direct.status == usual.status
    assert direct.body == usual.body
    assert direct.headers.keys() == usual.headers.keys()
