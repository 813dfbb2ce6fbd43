"""A real pgbouncer in transaction mode in front of the PostgreSQL that the tests use."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

PROGRAM = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 100
logfile = {folder}/pgbouncer.log
{user_line}
"""


@contextmanager
def pgbouncer(url: str, pool: int = 4) -> Iterator[str]:
    """The DATABASE_URL of the same database through it; `pool` connections to the server."""
    assert PROGRAM is not None
    there = urlsplit(url)
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = probe.getsockname()[1]
        probe.close()
        folder = Path(name)
        folder.chmod(0o777)
        file = folder / "pgbouncer.ini"
        file.write_text(
            CONFIGURATION.format(
                host=there.hostname,
                port=there.port or 5432,
                user=there.username,
                password=f" password={there.password}" if there.password else "",
                listen=listen,
                pool=pool,
                folder=folder,
                user_line="user = nobody" if os.getuid() == 0 else "",  # it refuses to be root
            )
        )
        process = subprocess.Popen([PROGRAM, "--quiet", str(file)])
        try:
            through = f"postgres://{there.username}@127.0.0.1:{listen}{there.path}"
            _wait(through)
            yield through
        finally:
            process.terminate()
            process.wait(timeout=10)


def _wait(url: str) -> None:
    for _ in range(100):
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("pgbouncer did not start.")
