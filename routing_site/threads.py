"""Serves a WSGI application from an event loop, in a few permanent threads.

A request for which no thread is free in time is refused: it never waits without a limit.
"""

import asyncio
import io
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Environ = dict[str, Any]
WSGI = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Work = Callable[[], None]
Call = Callable[[], Work]  # returns the function that delivers its result
Result = TypeVar("Result")

# More than any page or endpoint accepts: longer bodies are refused by length and never read.
LONGEST_BODY = 4 * 1024 * 1024
TOGETHER = 256 * 1024


class _Answer(NamedTuple):
    """`rest` follows after `start`."""

    status: int
    headers: list[tuple[bytes, bytes]]
    start: bytes
    rest: Iterator[bytes] | None


class ThreadStack:
    """Threads of an event loop. The one that became free last works next: its database connection
    and the processor's caches are warm. A `ThreadPoolExecutor` takes any, so each of four
    connections has to read again what the others have written."""

    def __init__(self, most: int, niceness: int = 0) -> None:
        self._most = most
        self._niceness = niceness
        self._lock = threading.Lock()
        self._count = 0
        self._free: list[SimpleQueue[Call]] = []
        self._waiting: deque[Call] = deque()

    async def call(
        self,
        work: Callable[[], Result],
        patience: float = float("inf"),
        instead: Callable[[], Result] | None = None,
    ) -> Result:
        """The result of `work`. If no thread is free within `patience` seconds, the result of
        `instead`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()

        def run() -> Work:
            found, error = None, None
            try:
                found = work()
            except BaseException as raised:
                error = raised
            return partial(_deliver, loop, answer, found, error)

        def give_up() -> None:
            if instead is not None and self._withdraw(run) and not answer.done():
                answer.set_result(instead())

        self._start(run)
        timer = None if instead is None else loop.call_later(patience, give_up)
        try:
            return await answer
        finally:
            if timer is not None:
                timer.cancel()

    def _start(self, work: Call) -> None:
        with self._lock:
            if self._free:
                self._free.pop().put(work)
            elif self._count < self._most:
                # Not before the first request: threads do not survive the server's fork.
                self._count += 1
                threading.Thread(target=self._work, args=(work,), name="web", daemon=True).start()
            else:
                self._waiting.append(work)

    def _withdraw(self, work: Call) -> bool:
        """Whether it was still waiting."""
        with self._lock:
            try:
                self._waiting.remove(work)
            except ValueError:
                return False
            return True

    def _work(self, work: Call) -> None:
        _be_nice(self._niceness)
        own: SimpleQueue[Call] = SimpleQueue()
        while True:
            deliver = work()
            with self._lock:
                if self._waiting:
                    own.put(self._waiting.popleft())
                else:
                    self._free.append(own)  # before the caller can send its next request
            deliver()
            work = own.get()


def _deliver(
    loop: asyncio.AbstractEventLoop,
    answer: "asyncio.Future[Any]",
    found: Any,
    error: BaseException | None,
) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(_set, answer, found, error)


def _set(answer: "asyncio.Future[Any]", found: Any, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(found)
    else:
        answer.set_exception(error)


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
        self._threads = ThreadStack(threads, niceness)
        self._patience = patience
        self._around = around

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            environ = to_environ(scope, await _body(receive))
        except _ClientGoneError:
            return
        answer = await self._answer(environ)
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        )
        await send(_part(answer.start, more=answer.rest is not None))
        while (rest := answer.rest) is not None:
            chunk = await self._threads.call(partial(_gather, rest))
            await send(_part(chunk, more=bool(chunk)))
            if not chunk:
                return

    async def _answer(self, environ: Environ) -> _Answer:
        arrived = time.monotonic()
        return await self._threads.call(
            lambda: self._run(environ, arrived), self._patience, lambda: _refusal(environ)
        )

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
    """The body, or as much of it as any view reads. Raises _ClientGoneError."""
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
        # Also of a body in pieces: it was read to its end, or further than any view reads.
        "CONTENT_LENGTH": str(len(body)),
    }
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        value = raw_value.decode("latin-1")
        if name == "CONTENT_LENGTH":
            environ[name] = value  # as announced: a body that is too long is refused by it
            continue
        if name != "CONTENT_TYPE":
            name = f"HTTP_{name}"
        if name in environ:
            value = f"{environ[name]}{'; ' if name == 'HTTP_COOKIE' else ','}{value}"
        environ[name] = value
    return environ
