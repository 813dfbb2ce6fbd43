"""gunicorn's ASGI worker, except that no client holds a connection without using it.

gunicorn itself sets no time limit on the headers of a first request, lets a body trickle in without
end and does not count connections (`worker_connections` has no effect with this worker).
"""

import asyncio
import resource
from typing import Any, NamedTuple

from django.conf import settings
from gunicorn.asgi import protocol
from gunicorn.workers import gasgi

# A body may take longer the more of it has arrived: large ones may come over slow lines.
BODY_BYTES_PER_SECOND = 16 * 1024
# Files, sockets to providers and the database also need descriptors.
OTHER_FILES = 256
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 30\r\n\r\nToo many connections are open.\n"
)


class Limits(NamedTuple):
    """Seconds, and how many connections a worker holds."""

    header: float
    body: float
    write: float
    connections: int


def limits() -> Limits:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Limits(
        settings.REQUEST_HEADER_SECONDS,
        settings.REQUEST_BODY_SECONDS,
        settings.RESPONSE_WRITE_SECONDS,
        max(1, min(settings.WEB_CONNECTIONS, allowed - OTHER_FILES)),
    )


_ASGIProtocol: Any = protocol.ASGIProtocol  # its stubs leave out what is used here


class Protocol(_ASGIProtocol):  # type: ignore[misc]
    """One connection. `_timer` runs while the server waits for the client."""

    def __init__(self, worker: "Worker") -> None:
        super().__init__(worker)
        self._limits = worker.limits
        self._open = worker.open_connections
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._body_bytes = 0
        self._body_started = 0.0
        self._has_answered = False
        self._has_begun = False

    def connection_made(self, transport: Any) -> None:
        if len(self._open) >= self._limits.connections and not self._make_room():
            self.transport = transport
            self.worker.nr_conns += 1  # connection_lost removes it
            transport.write(BUSY)
            transport.close()
            return
        self._open[self] = None
        super().connection_made(transport)
        self._start_timer(self._limits.header, self._on_header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.pop(self, None)
        self._stop_timer()
        self._stop_write_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._has_begun = True
        super().data_received(data)
        if not self._closed:
            self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.worker.loop.call_later(self._limits.write, self._on_write_timeout)

    def resume_writing(self) -> None:
        self._stop_write_timer()
        super().resume_writing()

    @property
    def is_idle(self) -> bool:
        """Whether the request headers are still incomplete."""
        return self._body_receiver is None and not self._finishing_calls

    @property
    def _has_body(self) -> bool:
        request = self._current_request
        return request is not None and bool(request.content_length or request.chunked)

    def _watch(self) -> None:
        """The part of a request that the client has not sent yet."""
        receiver = self._body_receiver
        if receiver is None:
            if self._timer is None:
                self._has_answered = False  # the previous response is complete
                self._start_timer(self._limits.header, self._on_header_timeout)
        elif receiver._complete or not self._has_body:
            self._stop_timer()
        elif self._body_started == 0.0:
            self._stop_timer()
            self._body_started = self.worker.loop.time()
            self._start_timer(self._limits.body, self._on_body_timeout)

    def _on_headers_complete(self) -> Any:
        self._has_begun = self._has_answered = False
        self._body_bytes, self._body_started = 0, 0.0
        return super()._on_headers_complete()

    def _on_body(self, chunk: bytes) -> None:
        self._body_bytes += len(chunk)
        super()._on_body(chunk)

    def _send_response_start(self, *args: Any, **kwargs: Any) -> Any:
        self._has_answered = True
        return super()._send_response_start(*args, **kwargs)

    def _on_header_timeout(self) -> None:
        if self._has_begun:
            self._refuse("The headers did not arrive in time.")
        else:
            self._end()  # a spare connection, as browsers open them

    def _on_body_timeout(self) -> None:
        allowed = self._limits.body + self._body_bytes / BODY_BYTES_PER_SECOND
        left = self._body_started + allowed - self.worker.loop.time()
        if left > 0:
            self._start_timer(left, self._on_body_timeout)
        else:
            self._refuse("The body did not arrive in time.")

    def _on_write_timeout(self) -> None:
        """Drops the buffered output, which no one reads."""
        self.transport.abort()

    def _refuse(self, why: str) -> None:
        if not self._has_answered:
            self._send_error_response(408, why)
        self._end()

    def _end(self) -> None:
        self._close_transport()
        self._request_ready.set()  # the task that waits for a request ends

    def _make_room(self) -> bool:
        """Closes the connection that has waited longest without a request."""
        for other in self._open:
            if other.is_idle:
                del self._open[other]
                other.transport.abort()
                return True
        return False

    def _start_timer(self, seconds: float, on_timeout: Any) -> None:
        self._stop_timer()
        self._timer = self.worker.loop.call_later(seconds, on_timeout)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


class Worker(gasgi.ASGIWorker):
    def init_process(self) -> None:
        self.limits = limits()
        self.open_connections: dict[Protocol, None] = {}
        # The worker has no other way to name its protocol.
        vars(gasgi)["ASGIProtocol"] = Protocol
        super().init_process()
