"""Serves a WSGI application from an event loop, in a few threads that stay.

A request for which no thread is free in time is refused: it never waits without a limit.
"""

import asyncio
import io
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, NamedTuple

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Environ = dict[str, Any]
WSGI = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

# More than any page or endpoint takes: what is longer is refused by its length and never read.
LONGEST_BODY = 4 * 1024 * 1024
TOGETHER = 256 * 1024


class _Answer(NamedTuple):
    """`rest` is what is still to come after `start`."""

    status: int
    headers: list[tuple[bytes, bytes]]
    start: bytes
    rest: Iterator[bytes] | None


class ThreadedWSGI:
    """`patience` is how many seconds a request waits for a free thread. `around` is entered in that
    thread, with the request's path and how long it waited. `niceness` above 0 lets other threads
    go first where processors are short."""

    def __init__(
        self,
        app: WSGI,
        threads: int,
        patience: float = float("inf"),
        around: Callable[[str, float], AbstractContextManager[object]] = lambda *_: nullcontext(),
        niceness: int = 0,
    ) -> None:
        self._app = app
        self._threads = threads
        self._patience = patience
        self._around = around
        self._niceness = niceness
        self._pool: ThreadPoolExecutor | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            environ = to_environ(scope, await _body(receive))
        except _ClientGoneError:
            return
        loop = asyncio.get_running_loop()
        answer = await self._answer(environ)
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        )
        await send(_part(answer.start, more=answer.rest is not None))
        while answer.rest is not None:
            chunk = await loop.run_in_executor(self._workers(), _gather, answer.rest)
            await send(_part(chunk, more=bool(chunk)))
            if not chunk:
                return

    async def _answer(self, environ: Environ) -> _Answer:
        """One future and one wake-up: `asyncio.wrap_future` and `asyncio.wait` take several."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_Answer] = loop.create_future()
        running = self._workers().submit(self._deliver, loop, answer, environ, time.monotonic())

        def give_up() -> None:
            if running.cancel() and not answer.done():
                answer.set_result(_refusal(environ))

        timer = None
        if self._patience != float("inf"):
            timer = loop.call_later(self._patience, give_up)
        try:
            return await answer
        finally:
            if timer is not None:
                timer.cancel()

    def _deliver(
        self,
        loop: asyncio.AbstractEventLoop,
        answer: "asyncio.Future[_Answer]",
        environ: Environ,
        arrived: float,
    ) -> None:
        """Runs in a thread."""
        try:
            found: _Answer | BaseException = self._run(environ, arrived)
        except BaseException as error:
            found = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(_set, answer, found)

    def _workers(self) -> ThreadPoolExecutor:
        """Not before the first request: threads do not survive the server's fork."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "web", _be_nice, (self._niceness,))
        return self._pool

    def _run(self, environ: Environ, arrived: float) -> _Answer:
        with self._around(environ["PATH_INFO"], time.monotonic() - arrived):
            return self._run_app(environ)

    def _run_app(self, environ: Environ) -> _Answer:
        begun: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            begun[:] = status, headers

        chunks = _chunks(self._app(environ, start_response))
        first, second = _gather(chunks), b""
        if len(first) >= TOGETHER:
            second = _gather(chunks)
        status, headers = begun
        encoded = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers]
        rest = _after(second, chunks) if second else None
        return _Answer(int(status[:3]), encoded, first, rest)


def _set(answer: "asyncio.Future[_Answer]", found: _Answer | BaseException) -> None:
    if answer.done():
        return
    if isinstance(found, BaseException):
        answer.set_exception(found)
    else:
        answer.set_result(found)


def _be_nice(niceness: int) -> None:
    """Lowers the priority of this thread alone; Linux has one for each thread."""
    if niceness and sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + niceness)


def _chunks(result: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from result
    finally:
        if close := getattr(result, "close", None):
            close()


def _after(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from chunks


def _gather(chunks: Iterator[bytes]) -> bytes:
    """The next chunks up to a good size; nothing at the end."""
    parts, size = [], 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= TOGETHER:
            break
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


def _refusal(environ: Environ) -> _Answer:
    """In the form of the API's errors."""
    message = "All threads of the server are busy. Try again in a moment."
    error = {"type": "unavailable_error", "message": message, "param": None, "code": "server_busy"}
    is_for_programs = environ["PATH_INFO"].startswith("/api/")
    body = json.dumps({"error": error}) if is_for_programs else message
    kind = "application/json" if is_for_programs else "text/plain; charset=utf-8"
    headers = {"content-type": kind, "content-length": str(len(body)), "retry-after": "1"}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    return _Answer(503, encoded, body.encode(), None)


class _ClientGoneError(Exception):
    """The client closed the connection, or was too slow, before its request was complete."""


async def _body(receive: Receive) -> bytes:
    """The body, or as much of it as any view looks at. Raises _ClientGoneError."""
    parts, size, more = [], 0, True
    while more and size <= LONGEST_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGoneError
        part: bytes = message.get("body", b"")
        parts.append(part)
        size += len(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def to_environ(scope: Scope, body: bytes) -> Environ:
    host, port = scope.get("server") or ("localhost", 80)
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": scope.get("root_path", ""),
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        # Of a body that came in pieces too: it was read to its end, or further than any view looks.
        "CONTENT_LENGTH": str(len(body)),
    }
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        value = raw_value.decode("latin-1")
        if name == "CONTENT_LENGTH":
            environ[name] = value  # as announced: what is too long is refused by it
            continue
        if name != "CONTENT_TYPE":
            name = f"HTTP_{name}"
        if name in environ:
            value = f"{environ[name]}{'; ' if name == 'HTTP_COOKIE' else ','}{value}"
        environ[name] = value
    return environ
