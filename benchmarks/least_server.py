"""The least a server has to do: the denominators of `make bench`, on the same gunicorn worker.

`POST /route` reads a prompt, embeds it and stores one row in SQLite, in a thread of a small pool.
`POST /v1/chat/completions` passes the body to the stub provider and its answer back, unchanged.
Nothing is checked, decided, counted or logged. `LEAST_DATABASE` is the file of the rows and
`LEAST_PROVIDER` the stub's address.
"""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import aiohttp
import orjson

from experiments.routers.features import featurise

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

JSON = [(b"content-type", b"application/json")]
_pool = ThreadPoolExecutor(4)
_local = threading.local()
_sessions: list[aiohttp.ClientSession] = []

featurise("Loads the embedding before the server forks.")


def _connection() -> sqlite3.Connection:
    if not hasattr(_local, "connection"):
        connection = sqlite3.connect(
            os.environ["LEAST_DATABASE"], timeout=20, isolation_level="IMMEDIATE"
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("CREATE TABLE IF NOT EXISTS decision (id TEXT PRIMARY KEY, data BLOB)")
        _local.connection = connection
    found: sqlite3.Connection = _local.connection
    return found


def _store(raw: bytes) -> bytes:
    body = orjson.loads(raw)
    features = featurise(body["text"])
    decision = {"decision_id": str(uuid4()), "size": float(features.embedding[0])}
    answer = orjson.dumps(decision)
    with _connection() as connection:
        connection.execute("INSERT INTO decision VALUES (?, ?)", (decision["decision_id"], answer))
    return answer


async def _pass_through(raw: bytes, send: Send) -> None:
    if not _sessions:
        _sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
    url = f"{os.environ['LEAST_PROVIDER']}/chat/completions"
    headers = {"Content-Type": "application/json"}
    async with _sessions[0].post(url, data=raw, headers=headers) as response:
        kind = response.headers["Content-Type"].encode()
        start = {"status": response.status, "headers": [(b"content-type", kind)]}
        await send({"type": "http.response.start", **start})
        async for chunk in response.content.iter_any():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _body(receive: Receive) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        return
    raw = await _body(receive)
    if scope["path"] == "/v1/chat/completions":
        await _pass_through(raw, send)
        return
    status, answer = 200, b"{}"
    if scope["path"] == "/route":
        status = 201
        answer = await asyncio.get_running_loop().run_in_executor(_pool, _store, raw)
    await send({"type": "http.response.start", "status": status, "headers": JSON})
    await send({"type": "http.response.body", "body": answer})
