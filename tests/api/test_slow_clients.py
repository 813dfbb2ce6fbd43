"""Clients that send or read slowly, or not at all: their connections end, others are served."""

import resource
import select
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.api.server import KEY, Server, running_server

pytestmark = [pytest.mark.slow, pytest.mark.server]
HEADER_SECONDS, BODY_SECONDS, WRITE_SECONDS = 1, 2, 1
SLACK_SECONDS = 4
PATHS = ("/api/v1/route", "/v1/chat/completions", "/admin/login/")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(
        tmp_path_factory.mktemp("slow"),
        REQUEST_HEADER_SECONDS=str(HEADER_SECONDS),
        REQUEST_BODY_SECONDS=str(BODY_SECONDS),
        RESPONSE_WRITE_SECONDS=str(WRITE_SECONDS),
    ) as found:
        yield found


def connect(server: Server, *parts: str) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=30)
    for part in parts:
        client.sendall(part.encode())
    return client


def head(path: str, length: int = 100) -> str:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n"
    )


def everything(client: socket.socket) -> bytes:
    """Until the server closes."""
    received = b""
    while data := client.recv(65_536):
        received += data
    return received


@pytest.mark.parametrize("path", PATHS)
def test_headers_that_are_never_complete(server: Server, path: str) -> None:
    started = time.monotonic()
    with connect(server, head(path)) as client:
        answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert HEADER_SECONDS <= time.monotonic() - started < HEADER_SECONDS + SLACK_SECONDS


def test_headers_that_trickle_in(server: Server) -> None:
    started = time.monotonic()
    with connect(server, head("/api/v1/route")) as client:
        while not select.select([client], [], [], 0.2)[0]:
            client.sendall(b"X-More: 1\r\n")
        answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - started < HEADER_SECONDS + SLACK_SECONDS


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("pause", [None, 0.2])
def test_a_body_that_is_never_complete(server: Server, path: str, pause: float | None) -> None:
    """Neither if nothing more arrives, nor if it trickles in."""
    started = time.monotonic()
    with connect(server, head(path, 10_000), "\r\n", '{"text": "') as client:
        while not select.select([client], [], [], pause)[0]:
            client.sendall(b"a")
        answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert BODY_SECONDS <= time.monotonic() - started < BODY_SECONDS + SLACK_SECONDS


def test_a_large_body_over_a_slow_line_is_accepted(server: Server) -> None:
    """Longer than REQUEST_BODY_SECONDS, but with 100 KB a second."""
    body = '{"text": "' + "a" * 90_000 + '"}' + " " * 400_000
    started = time.monotonic()
    with connect(server, head("/api/v1/route", len(body)), "\r\n") as client:
        for start in range(0, len(body), 50_000):
            client.sendall(body[start : start + 50_000].encode())
            time.sleep(0.5)
        assert time.monotonic() - started > BODY_SECONDS + 1
        assert client.recv(100).startswith(b"HTTP/1.1 201 ")


def test_a_second_request_on_the_same_connection_has_the_same_limit(server: Server) -> None:
    with connect(server, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        time.sleep(BODY_SECONDS + 1)  # idle between two requests: keep-alive, not a slow client
        started = time.monotonic()
        client.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert everything(client).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - started < HEADER_SECONDS + SLACK_SECONDS


def test_a_connection_that_sends_nothing_is_closed_silently(server: Server) -> None:
    with connect(server) as client:
        assert everything(client) == b""


@pytest.mark.slow
def test_an_answer_that_is_not_read(server: Server) -> None:
    """The script is larger than what the sockets buffer."""
    with connect(server) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(b"GET /static/plotly.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(WRITE_SECONDS + SLACK_SECONDS)
        assert all_that_comes(client) < 4_000_000


def all_that_comes(client: socket.socket) -> int:
    """The number of bytes until the connection ends in any way."""
    received = 0
    try:
        while data := client.recv(65_536):
            received += len(data)
    except ConnectionResetError:
        pass
    return received


def test_2300_half_sent_requests_are_all_closed_and_others_are_served(server: Server) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    clients = []
    try:
        for number in range(2300):
            client = connect(server, head(PATHS[number % 3]), "\r\n{" if number % 2 else "")
            clients.append(client)
        started = time.monotonic()
        assert server.post("/api/v1/route", {"text": "Fix my loop."}).status_code == 201
        assert time.monotonic() - started < 5
        deadline = time.monotonic() + BODY_SECONDS + SLACK_SECONDS + 5
        waiting = set(clients)
        while waiting and time.monotonic() < deadline:
            time.sleep(0.2)
            waiting = {client for client in waiting if not is_closed(client)}
        assert len(waiting) == 0
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def is_closed(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        while client.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def test_over_the_limit_idle_connections_are_closed_and_busy_ones_are_not(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("few")
    with running_server(folder, WEB_CONCURRENCY="1", WEB_CONNECTIONS="5") as server:
        idle = [connect(server) for _ in range(20)]
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        busy = [connect(server, head("/api/v1/route"), "\r\n{") for _ in range(5)]
        time.sleep(0.5)
        refused = httpx.get(f"{server.url}/healthz")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        for client in (*idle, *busy):
            client.close()
        time.sleep(0.5)
        assert httpx.get(f"{server.url}/healthz").status_code == 200
