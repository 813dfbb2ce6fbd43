"""ASGI entry point: chat calls and probes in the event loop, everything else in threads.

docs/decisions/0030-an-event-loop-in-front.md says why.
"""

import asyncio
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routing_site.settings")
pages = get_wsgi_application()  # first: the imports below need Django

from django.conf import settings  # noqa: E402

from experiments.api.direct_route import DirectRoute  # noqa: E402
from experiments.api.health import check_outside_requests  # noqa: E402
from experiments.gateway.app import gateway  # noqa: E402
from experiments.routing.runtime import tables  # noqa: E402
from experiments.storage.deadlines import waiting_budget  # noqa: E402
from routing_site.probes import Probes  # noqa: E402
from routing_site.threads import Receive, Scope, Send, ThreadedWSGI  # noqa: E402

_GATEWAY = "/v1/"
# Paths that applications call while their users wait. Pages and reports may take longer.
_HURRIED = tuple(f"/api/v1/{name}" for name in ("route", "feedback", "decisions"))


def _limited(path: str, waited: float) -> AbstractContextManager[object]:
    """Waiting for a thread and waiting for the database share one budget."""
    most = settings.DATABASE_BUSY_SECONDS
    left = max(most - waited, most / 10)
    return waiting_budget(left) if path.startswith(_HURRIED) else nullcontext()


_threaded = ThreadedWSGI(
    DirectRoute(pages), settings.WEB_THREADS, settings.DATABASE_BUSY_SECONDS, _limited
)
# Hashing a password takes most of a second of processor time, on purpose. One thread does it, with
# a lower priority: many logins wait for each other, and the API's threads for none of them.
_HASHES_PASSWORDS = ("/admin/login/", "/admin/password_change/", "/admin/auth/user/")
_passwords = ThreadedWSGI(pages, 1, settings.DATABASE_BUSY_SECONDS, _limited, niceness=10)
_probes = Probes(check_outside_requests, settings.READINESS_SECONDS)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["type"] == "http":
        await _app_for(scope)(scope, receive, send)
    else:
        await send({"type": "websocket.close"})


def _app_for(scope: Scope) -> Any:
    path = scope["path"]
    if path.startswith(_GATEWAY):
        return gateway
    if scope["method"] == "POST" and path.startswith(_HASHES_PASSWORDS):
        return _passwords
    return _probes if path in _probes.paths else _threaded


async def _live(receive: Receive, send: Send) -> None:
    """Starts to poll for threshold tables, and at the end books what has not been booked yet."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await asyncio.to_thread(tables.start_polling)
            await send({"type": "lifespan.startup.complete"})
        else:
            await gateway.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
