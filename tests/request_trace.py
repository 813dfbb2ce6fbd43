"""Which of our files one request passes: `python -m tests.request_trace STUB_URL` prints them as
JSON, for a routed prompt and a chat call.

It runs the server's ASGI application in this process, with a profile function in every thread. Each
request is sent twice, with another prompt, and the second one counts: the first loads what a server
has loaded.
"""

import asyncio
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = tuple(str(ROOT / name) + os.sep for name in ("experiments", "routing_site"))

_passed: set[str] = set()


def _note(frame: Any, event: str, argument: Any) -> None:
    if event == "call" and (name := frame.f_code.co_filename).startswith(PACKAGES):
        _passed.add(name)


def _files() -> list[str]:
    """Those passed since the last call."""
    found = sorted(str(Path(name).relative_to(ROOT)) for name in _passed)
    _passed.clear()
    return found


async def _send(path: str, body: dict[str, Any], secret: str) -> None:
    from routing_site.asgi import application

    raw = json.dumps(body).encode()
    headers = {
        "host": "127.0.0.1",
        "authorization": f"Bearer {secret}",
        "content-type": "application/json",
        "content-length": str(len(raw)),
    }
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1234),
    }
    sent: list[dict[str, Any]] = []
    parts = [{"type": "http.request", "body": raw, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if parts:
            return parts.pop()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    if sent[0]["status"] not in (200, 201):
        raise SystemExit(f"{path} answered {sent[0]['status']}: {sent[1].get('body')!r}")


async def _trace(secret: str, model: str) -> dict[str, list[str]]:
    found = {}
    for name in ("route", "chat"):
        for count in ("two", "three"):
            await asyncio.sleep(0.5)  # the outcome of a chat call is recorded a moment later
            _files()
            text = f"Write a function that merges {count} sorted lists, for a {name} call."
            if name == "route":
                await _send("/api/v1/route", {"text": text, "unit_id": "user-1"}, secret)
            else:
                turns = [{"role": "user", "content": text}]
                body = {"model": model, "messages": turns}
                await _send("/v1/chat/completions", body, secret)
        await asyncio.sleep(0.5)
        found[name] = _files()
    return found


def main(stub_url: str) -> None:
    from django.core.management import call_command

    from routing_site.asgi import application  # noqa: F401

    call_command("migrate", verbosity=0)
    call_command("seed", verbosity=0)
    from experiments.configuration.policy_store import store
    from experiments.routing.runtime import engine
    from tests.gateway.rows import fill, secret_of

    fill(stub_url, stub_url)
    engine.warm_up(store.current())
    threading.setprofile(_note)
    sys.setprofile(_note)
    print(json.dumps(asyncio.run(_trace(secret_of("plain"), "router-auto"))))


if __name__ == "__main__":
    main(sys.argv[1])
