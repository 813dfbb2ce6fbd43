"""Another process holds SQLite or its write lock: 503 in time, never a hang."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.server import Server, locked, running_server
from tests.api.stalls import BUSY_SECONDS, recovers, refuses_everything_in_time
from tests.gateway.rows import KEY_VARIABLE, PROVIDER_KEY

pytestmark = [pytest.mark.slow, pytest.mark.server]


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"DATABASE_BUSY_SECONDS": str(BUSY_SECONDS), KEY_VARIABLE: PROVIDER_KEY}
    keys = {"OPENAI_API_KEY": "sk-none", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    with running_server(tmp_path_factory.mktemp("stalled"), **settings, **keys) as server:
        yield server


def test_a_process_that_holds_the_lock_file(hurried: Server) -> None:
    file = os.open(f"{hurried.database}-queue", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        refuses_everything_in_time(hurried)
    finally:
        os.close(file)
    recovers(hurried)


def test_a_program_that_writes_continuously(hurried: Server) -> None:
    with locked(hurried):
        refuses_everything_in_time(hurried)
    recovers(hurried)


def test_probes_answer_other_methods_and_keep_no_cache(hurried: Server) -> None:
    assert httpx.head(f"{hurried.url}/healthz").status_code == 200
    refused = httpx.post(f"{hurried.url}/readyz")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert httpx.get(f"{hurried.url}/readyz").headers["cache-control"] == "no-store"


def test_a_full_disk_is_not_ready(tmp_path: Path) -> None:
    """On a separate file system, which another program fills."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=64m tmpfs {folder} 2>/dev/null"):
        pytest.skip("needs the right to mount a file system")
    try:
        with running_server(folder) as server:
            filling = folder / "filling"
            with pytest.raises(OSError, match="No space left"):
                filling.write_bytes(b"x" * 2**27)
            httpx.get(f"{server.url}/readyz")
            response = until(server, 503)
            assert "is full" in response.json()["detail"]
            assert httpx.get(f"{server.url}/healthz").status_code == 200
            filling.unlink()
            assert until(server, 200).json()["status"] == "ready"
    finally:
        os.system(f"umount {folder}")


def until(server: Server, status: int) -> httpx.Response:
    """Responses are cached for a second."""
    for _ in range(100):
        response = httpx.get(f"{server.url}/readyz")
        if response.status_code == status:
            return response
    raise AssertionError(response.text)
