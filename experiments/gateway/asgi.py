"""Plain ASGI: reads a body, sends a response or a stream, and detects a client that disconnects."""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, NamedTuple, TypeVar

from django.conf import settings

from experiments.access.cors import cors_headers
from experiments.gateway.errors import CallerError, GatewayError
from experiments.gateway.provider_json import dumps
from experiments.gateway.sse import event

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Result = TypeVar("Result")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class ClientDisconnectedError(Exception):
    """The caller closed the connection."""


class ErrorForm(NamedTuple):
    """How errors are written in a client's protocol: as a body and as an event of a stream."""

    body: Callable[[GatewayError, str], dict[str, Any]]
    event: Callable[[GatewayError, str], bytes]


OPENAI_ERRORS = ErrorForm(lambda error, _: error.body, lambda error, _: event(error.body))


class Request:
    """One HTTP request and its response. Header names are in lower case."""

    error_form = OPENAI_ERRORS

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        given = self.headers.get("x-request-id", "")
        self.id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        self.has_begun = False
        self.always: Mapping[str, str] = {}  # headers of every response
        self._receive = receive
        self._send = send

    async def body(self) -> bytes:
        """Raises CallerError (413), HungUpError."""
        chunks, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnectedError
            chunk = message.get("body", b"")
            chunks.append(chunk)
            size += len(chunk)
            if size > settings.GATEWAY_MAX_BODY_BYTES:
                most = settings.GATEWAY_MAX_BODY_BYTES
                text = f"The body is larger than {most:,} bytes (GATEWAY_MAX_BODY_BYTES)."
                raise CallerError(413, text, code="body_too_large")
            if not message.get("more_body"):
                return b"".join(chunks)

    async def unless_hung_up(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`, which runs in this task and is cancelled if the client disconnects.
        Raises ClientDisconnectedError."""
        task = asyncio.current_task()
        watch = asyncio.ensure_future(self._hang_up())
        is_over = has_hung_up = False

        def cancel(_: object) -> None:
            nonlocal has_hung_up
            if not is_over and task is not None:
                has_hung_up = True
                task.cancel()

        watch.add_done_callback(cancel)
        try:
            return await work
        except asyncio.CancelledError:
            if has_hung_up and task is not None and task.uncancel() == 0:
                raise ClientDisconnectedError from None
            raise
        finally:
            is_over = True
            watch.cancel()

    async def answer(self, status: int, data: Any, headers: Mapping[str, str]) -> None:
        body = dumps(data)
        length = {"content-type": "application/json", "content-length": str(len(body))}
        await self._begin(status, {**length, **headers})
        await self._send({"type": "http.response.body", "body": body})

    async def answer_error(
        self, error: GatewayError, headers: Mapping[str, str], own: Mapping[str, Any]
    ) -> None:
        body = {**self.error_form.body(error, self.id), **own}
        await self.answer(error.status, body, {**headers, **error.headers})

    def error_event(self, error: GatewayError) -> bytes:
        return self.error_form.event(error, self.id)

    async def answer_nothing(self, headers: Mapping[str, str]) -> None:
        await self._begin(204, headers)
        await self._send({"type": "http.response.body", "body": b""})

    async def begin_stream(self, headers: Mapping[str, str]) -> None:
        events = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
        }
        await self._begin(200, {**events, **headers})

    async def write(self, chunk: bytes) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end_stream(self, last: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": last, "more_body": False})

    async def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.has_begun = True
        allowed = cors_headers(self.headers.get("origin"))
        named = {**self.always, **allowed, **headers, "x-request-id": self.id}
        encoded = [(name.lower().encode(), _clean(value)) for name, value in named.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def _hang_up(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _clean(value: str) -> bytes:
    """A valid header value: no line breaks, only Latin-1."""
    if value.isascii() and value.isprintable():
        return value.encode()
    return re.sub(r"[\x00-\x1f\x7f]", " ", value).encode("latin-1", errors="replace")
