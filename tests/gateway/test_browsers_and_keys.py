"""Calls from pages of other origins, keys in Anthropic's header, paths without /v1."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.api.server import running_server
from tests.gateway.chats import turns
from tests.gateway.conftest import FILL, Gateway
from tests.gateway.rows import KEY_VARIABLE, LANES, PROVIDER_KEY, secret_of
from tests.gateway.running_totals import StoredRows
from tests.gateway.stub import Stub

pytestmark = pytest.mark.server
HERE, ELSEWHERE = "https://app.example.com", "https://evil.example.com"
BODY = {"model": LANES["plain"].model, "messages": turns()}
KEY = {"Authorization": f"Bearer {secret_of('plain')}"}
ASKS = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
}


@pytest.fixture(scope="module")
def open_gateway(
    tmp_path_factory: pytest.TempPathFactory, stub_process: Stub, full: str
) -> Iterator[Gateway]:
    """A gateway that pages of one other origin may call."""
    with running_server(
        tmp_path_factory.mktemp("open"),
        prepare=(FILL.format(url=stub_process.url, full=full),),
        **{KEY_VARIABLE: PROVIDER_KEY, "CORS_ALLOWED_ORIGINS": HERE},
    ) as server:
        yield Gateway(server, StoredRows(server.database))


def cors_of(response: httpx.Response) -> dict[str, str]:
    return {k: v for k, v in response.headers.items() if k.startswith("access-control")}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/api/v1/route"])
def test_preflight(open_gateway: Gateway, path: str) -> None:
    url = open_gateway.server.url + path
    response = httpx.options(url, headers={**ASKS, "Origin": HERE})
    assert (response.status_code, response.content) == (204, b"")
    found = cors_of(response)
    assert found["access-control-allow-origin"] == HERE
    assert found["access-control-allow-headers"] == ASKS["Access-Control-Request-Headers"]
    assert "POST" in found["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in found
    refused = httpx.options(url, headers={**ASKS, "Origin": ELSEWHERE})
    assert (refused.status_code, cors_of(refused)) == (204, {})


@pytest.mark.parametrize("streams", [False, True])
def test_answers(open_gateway: Gateway, streams: bool) -> None:
    url = f"{open_gateway.base_url}/chat/completions"
    for origin, allowed in ((HERE, HERE), (ELSEWHERE, None)):
        headers = {**KEY, "Origin": origin}
        response = httpx.post(url, json={**BODY, "stream": streams}, headers=headers, timeout=20)
        assert response.status_code == 200
        found = cors_of(response)
        assert found.get("access-control-allow-origin") == allowed
        assert response.headers["vary"] == "Origin"
        exposed = found.get("access-control-expose-headers", "")
        assert ("x-switchyard-decision-id" in exposed) is (allowed is not None)


def test_errors_are_readable_across_origins(open_gateway: Gateway) -> None:
    url = f"{open_gateway.base_url}/chat/completions"
    response = httpx.post(url, json={}, headers={"Origin": HERE})
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == HERE


def test_off_unless_set(gateway: Gateway) -> None:
    url = f"{gateway.base_url}/chat/completions"
    asked = httpx.options(url, headers={**ASKS, "Origin": HERE})
    assert (asked.status_code, cors_of(asked)) == (405, {})
    response = httpx.post(url, json=BODY, headers={**KEY, "Origin": HERE}, timeout=20)
    assert cors_of(response) == {}
    assert "vary" not in response.headers


def test_cookies_of_another_origin_do_not_authenticate(open_gateway: Gateway) -> None:
    url = f"{open_gateway.base_url}/chat/completions"
    headers = {"Origin": HERE, "Cookie": "sessionid=x"}
    assert httpx.post(url, json=BODY, headers=headers).status_code in {401, 403}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic dTpw"}])
def test_key_as_anthropics_clients_send_it(gateway: Gateway, headers: dict[str, str]) -> None:
    named = {**headers, "x-api-key": secret_of("plain")}
    url = f"{gateway.base_url}/chat/completions"
    assert httpx.post(url, json=BODY, headers=named, timeout=20).status_code == 200
    assert httpx.get(f"{gateway.base_url}/models", headers=named).status_code == 200


def test_wrong_key_in_that_header(gateway: Gateway) -> None:
    url = f"{gateway.base_url}/chat/completions"
    for headers in ({"x-api-key": "sy_wrong"}, {"x-api-key": ""}):
        response = httpx.post(url, json=BODY, headers=headers, timeout=20)
        assert response.status_code == 401
    assert "x-api-key" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/v1/chat/completions", "/v1/nothing"])
def test_unknown_path(gateway: Gateway, path: str) -> None:
    response = httpx.post(gateway.server.url + path, json=BODY, headers=KEY)
    assert response.status_code == 404
    error = response.json()["error"]
    assert error["code"] == "unknown_url"
    assert "/v1/chat/completions" in error["message"]


def nested(depth: int) -> bytes:
    body = json.dumps({**BODY, "unknown": "X"}).encode()
    return body.replace(b'"X"', b'{"a":' * (depth - 1) + b"1" + b"}" * (depth - 1))


@pytest.mark.parametrize("depth", [255, 300, 1000, 1024, 1025, 50_000])
@pytest.mark.parametrize("lane", ["plain", "translated"])
def test_body_nested_too_deeply(gateway: Gateway, depth: int, lane: str) -> None:
    url = f"{gateway.base_url}/chat/completions"
    content = nested(depth).replace(b"router/plain", f"router/{lane}".encode())
    response = httpx.post(url, content=content, headers=KEY)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "malformed_json"
    assert "nested deeper than 254 levels" in error["message"]


@pytest.mark.parametrize("lane", ["plain", "translated"])
def test_body_nested_as_deeply_as_can_be_passed_on(gateway: Gateway, stub: Stub, lane: str) -> None:
    url = f"{gateway.base_url}/chat/completions"
    content = nested(254).replace(b"router/plain", f"router/{lane}".encode())
    response = httpx.post(url, content=content, headers=KEY, timeout=20)
    assert response.status_code == 200, response.text
    assert len(stub.calls(LANES[lane].strong_name)) == 1


@pytest.mark.parametrize("number", [b"1e400", b"9" * 400, b"-1e999", b"NaN", b"Infinity"])
def test_nan_is_refused(gateway: Gateway, number: bytes) -> None:
    url = f"{gateway.base_url}/chat/completions"
    content = json.dumps({**BODY, "seed": "X"}).encode().replace(b'"X"', number)
    response = httpx.post(url, content=content, headers=KEY)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "malformed_json"


def test_last_of_two_equal_names_counts_as_before(gateway: Gateway) -> None:
    url = f"{gateway.base_url}/chat/completions"
    content = b'{"model": "nothing", ' + json.dumps(BODY).encode()[1:]
    assert httpx.post(url, content=content, headers=KEY, timeout=20).status_code == 200
