"""`/v1` has the host check, the redirect to HTTPS and the security headers of the pages."""

from collections.abc import Iterator

import httpx
import pytest

from tests.api.server import KEY, Server, running_server

pytestmark = pytest.mark.server
HEADERS = (
    "strict-transport-security",
    "x-content-type-options",
    "referrer-policy",
    "cross-origin-opener-policy",
)
OVER_HTTPS = {"Host": "routing.example", "X-Forwarded-Proto": "https"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(
        tmp_path_factory.mktemp("https"),
        HTTPS="true",
        HSTS_SECONDS="31536000",
        ALLOWED_HOSTS="routing.example,.internal.example",
    ) as found:
        yield found


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with_key = {"Authorization": f"Bearer {KEY}", **named}
    return httpx.request(method, f"{server.url}{path}", headers=with_key)


def test_it_works_over_https(server: Server) -> None:
    answer = ask(server, "/v1/models", **OVER_HTTPS)
    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"] == (
        "max-age=31536000; includeSubDomains; preload"
    )


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/v1/models?page=2", "/v1/chat/completions", "/v1/nothing"])
def test_plain_http_is_sent_to_https_like_a_page(server: Server, path: str, method: str) -> None:
    answer = ask(server, path, method, Host="routing.example")
    page = ask(server, "/admin/login/", method, Host="routing.example")
    assert answer.status_code == page.status_code == 301
    assert answer.headers["location"] == f"https://routing.example{path}"
    assert page.headers["location"] == "https://routing.example/admin/login/"


@pytest.mark.parametrize("host", ["evil.example", "routing.example.evil.example", "a b", ""])
def test_a_host_that_is_not_ours_is_refused_like_on_a_page(server: Server, host: str) -> None:
    headers = {"X-Forwarded-Proto": "https", "Host": host}
    assert ask(server, "/admin/login/", **headers).status_code == 400
    for path in ("/v1/models", "/v1/chat/completions"):
        answer = ask(server, path, **headers)
        assert answer.status_code == 400
        if answer.headers["content-type"] == "application/json":  # otherwise it would not be HTTP
            assert answer.json()["error"]["code"] == "host_not_allowed"


def test_a_subdomain_of_an_allowed_domain_is_ours(server: Server) -> None:
    headers = {"X-Forwarded-Proto": "https", "Host": "a.internal.example:8443"}
    assert ask(server, "/v1/models", **headers).status_code == 200


def test_every_answer_has_the_headers_of_a_page(server: Server) -> None:
    page = ask(server, "/admin/login/", **OVER_HTTPS)
    chat = {"model": "router-auto", "messages": [{"role": "user", "content": "a"}], "stream": True}
    answers = [
        ask(server, "/v1/models", **OVER_HTTPS),
        ask(server, "/v1/nothing", **OVER_HTTPS),
        httpx.post(f"{server.url}/v1/chat/completions", json=chat, headers=OVER_HTTPS),
    ]
    for answer in answers:
        assert {name: answer.headers[name] for name in HEADERS} == {
            name: page.headers[name] for name in HEADERS
        }


def test_probes_need_neither_host_nor_https(server: Server) -> None:
    for path in ("/healthz", "/readyz"):
        assert ask(server, path, Host="10.0.0.7:8000").status_code == 200
