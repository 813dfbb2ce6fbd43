"""ASGI entry point: chat calls in the event loop, everything else in threads.

docs/decisions/0030-an-event-loop-in-front.md says why.
"""

import os
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routing_site.settings")
pages = get_wsgi_application()  # first: what follows needs Django to be set up

from django.conf import settings  # noqa: E402

from experiments.gateway.app import gateway  # noqa: E402
from routing_site.threads import Receive, Scope, Send, ThreadedWSGI  # noqa: E402

_GATEWAY = "/v1/"
_threaded = ThreadedWSGI(pages, settings.WEB_THREADS)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["type"] == "http":
        app: Any = gateway if scope["path"].startswith(_GATEWAY) else _threaded
        await app(scope, receive, send)
    else:
        await send({"type": "websocket.close"})


async def _live(receive: Receive, send: Send) -> None:
    """Answers the server's start, and at its end books what has not been booked yet."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await gateway.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
