"""/healthz: the process is alive. /readyz: it can decide and store decisions. Neither needs a
key."""

import logging
import os
import secrets
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from experiments.configuration.policy_store import NoPolicyError, store
from experiments.core.policy import Policy
from experiments.models import WriteProbe
from experiments.routing.runtime import engine
from experiments.storage.deadlines import deadline, deadline_in
from experiments.storage.transactions import database_file, write_transaction

log = logging.getLogger("switchyard.server")

# More than a page of any database, in characters that no database compresses.
FILLING_BYTES = 6 * 1024
# Below this, SQLite soon cannot store decisions, even while its log still has room for a few.
LEAST_FREE_BYTES = 16 * 1024 * 1024


class HealthResponse(NamedTuple):
    status: int
    body: dict[str, Any]


class NotReadyError(Exception):
    """Why decisions cannot be made or stored now."""


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """The server answers this itself (`routing_site.probes`); this view is for other servers."""
    status, body = check(settings.READINESS_SECONDS)
    return JsonResponse(body, status=status)


def check(patience: float) -> HealthResponse:
    """200 if there is a configuration, its local routers are loaded and a row can be written;
    within `patience` seconds.

    Other routers are reported but not required: without them decisions fall back and record
    that."""
    try:
        with deadline(deadline_in(patience)):
            _require_room()
            _write()
            policy = store.current()
    except (NoPolicyError, NotReadyError) as error:
        return _health(str(error), [])
    except (DatabaseError, InterfaceError) as error:
        log.warning("Not ready: the database cannot be written", extra={"detail": str(error)})
        return _health("The database cannot be written.", [])
    except Exception:
        log.exception("Not ready: the check failed")
        return _health("The check failed; the log says why.", [])
    statuses = engine.statuses()
    missing = [s.name for s in statuses if not s.ready and _is_needed(policy, s.name)]
    detail = f"Not loaded yet: {', '.join(missing)}." if missing else None
    return _health(detail, [status._asdict() for status in statuses])


def check_outside_requests(patience: float) -> HealthResponse:
    """The same in a thread that serves no requests, where Django does not close connections."""
    close_old_connections()
    try:
        return check(patience)
    finally:
        close_old_connections()


def _health(problem: str | None, routers: list[dict[str, Any]]) -> HealthResponse:
    body = {"status": "not_ready" if problem else "ready", "detail": problem, "routers": routers}
    return HealthResponse(503 if problem else 200, body)


LATE = _health("The check timed out: the database is slow, locked or away.", [])


def _require_room() -> None:
    file = database_file()
    if file is None:
        return
    folder = os.statvfs(Path(file).absolute().parent)
    free = folder.f_bavail * folder.f_frsize
    if free < LEAST_FREE_BYTES:
        raise NotReadyError(f"The disk of the database is full: {free:,} bytes are free.")


def _write() -> None:
    with write_transaction():
        WriteProbe.objects.create(filling=secrets.token_hex(FILLING_BYTES)).delete()


def _is_needed(policy: Policy, name: str) -> bool:
    router = policy.routers.get(name)
    return router is not None and router.local and name in policy.routers_in_use
