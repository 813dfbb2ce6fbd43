"""Serves a WSGI application from an event loop, in a few threads that stay."""

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
    def __init__(self, app: WSGI, threads: int) -> None:
        self._app = app
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        environ = to_environ(scope, await _body(receive))
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._workers(), self._run, environ)
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        )
        await send(_part(answer.start, more=answer.rest is not None))
        while answer.rest is not None:
            chunk = await loop.run_in_executor(self._workers(), _gather, answer.rest)
            await send(_part(chunk, more=bool(chunk)))
            if not chunk:
                return

    def _workers(self) -> ThreadPoolExecutor:
        """Not before the first request: threads do not survive the server's fork."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "web")
        return self._pool

    def _run(self, environ: Environ) -> _Answer:
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


async def _body(receive: Receive) -> bytes:
    """The body, or as much of it as any view looks at."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body") and len(body) <= LONGEST_BODY:
        message = await receive()
        body += message.get("body", b"")
    return body


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
