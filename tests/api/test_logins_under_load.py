"""Passwords are hashed outside the threads that serve the API."""

import asyncio
import os
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from routing_site.threads import ThreadedWSGI
from tests.api.server import Server, running_server

CLIENTS = 20
PROMPT = {"text": "Write a haiku about rain."}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Without a limit on failures every attempt is hashed. One thread serves everything else."""
    settings = {"LOGIN_FAILURES": "0", "WEB_THREADS": "1", "WEB_CONCURRENCY": "1"}
    with running_server(tmp_path_factory.mktemp("logins"), **settings) as running:
        yield running


def try_to_log_in(server: Server, stop: threading.Event, codes: list[int]) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        page = client.get("/admin/login/").text
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert found
        form = {"csrfmiddlewaretoken": found[1], "username": "admin", "password": "wrong"}
        while not stop.is_set():
            codes.append(client.post("/admin/login/", data=form).status_code)


@pytest.mark.slow
@pytest.mark.server
def test_routing_continues_during_many_login_attempts(server: Server) -> None:
    """A login never occupies the only web thread, so no decision waits until it times out."""
    stop, codes = threading.Event(), list[int]()
    threads = [
        threading.Thread(target=try_to_log_in, args=(server, stop, codes)) for _ in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    try:
        time.sleep(3)
        answers = [server.post("/api/v1/route", PROMPT).status_code for _ in range(30)]
    finally:
        stop.set()
        for thread in threads:
            thread.join(90)
    assert answers == [201] * 30
    assert set(codes) <= {200, 503}
    assert 200 in codes


def test_a_thread_that_hashes_has_a_lower_priority() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [str(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).encode()]

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    for niceness, expected in ((0, before), (10, before + 10)):
        answer = asyncio.run(ThreadedWSGI(app, 1, niceness=niceness)._answer({"PATH_INFO": "/"}))
        assert int(answer.start) == min(19, expected)
