"""/healthz and /readyz from the event loop: busy threads do not delay them."""

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from experiments.api.health import LATE, HealthResponse
from routing_site.threads import Receive, Scope, Send

FRESH_SECONDS = 1.0
HEALTHY = HealthResponse(200, {"status": "ok"})
NOT_ALLOWED = HealthResponse(405, {"status": "method_not_allowed"})


class Probes:
    """`check` runs in a thread of its own, once at a time. Callers that come while it runs, or
    within a second of its end, share its answer; none waits longer than `patience` seconds."""

    paths = ("/healthz", "/readyz")

    def __init__(self, check: Callable[[float], HealthResponse], patience: float) -> None:
        self._check = check
        self._patience = patience
        self._thread: ThreadPoolExecutor | None = None
        self._checking: asyncio.Future[HealthResponse] | None = None
        self._checked_at = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            await _answer(NOT_ALLOWED, send)
        elif scope["path"] == "/healthz":
            await _answer(HEALTHY, send)
        else:
            await _answer(await self._readiness(), send)

    async def _readiness(self) -> HealthResponse:
        checking = self._current()
        await asyncio.wait({checking}, timeout=self._patience)
        return checking.result() if checking.done() else LATE

    def _current(self) -> "asyncio.Future[HealthResponse]":
        last = self._checking
        if last is not None:
            is_fresh = time.monotonic() - self._checked_at < FRESH_SECONDS
            if not last.done() or is_fresh:
                return last
        if self._thread is None:  # not before the fork
            self._thread = ThreadPoolExecutor(1, "readiness")
        loop = asyncio.get_running_loop()
        self._checking = loop.run_in_executor(self._thread, self._check, self._patience)
        self._checking.add_done_callback(self._note_time)
        return self._checking

    def _note_time(self, _: "asyncio.Future[HealthResponse]") -> None:
        self._checked_at = time.monotonic()


async def _answer(health: HealthResponse, send: Send) -> None:
    body = json.dumps(health.body).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
    }
    if health.status == 405:
        headers["allow"] = "GET, HEAD"
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": health.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
