"""/healthz: the process lives. /readyz: it can decide. Neither needs a key."""

from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from experiments.core.policy import Policy
from experiments.services.engine import engine
from experiments.services.policies import NoPolicyError, store


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers, there is a configuration and its local routers are loaded.

    Other routers are reported and not waited for: without them decisions fall back and say so.
    """
    problem, routers = _problem()
    body = {"status": "not_ready" if problem else "ready", "detail": problem, "routers": routers}
    return JsonResponse(body, status=503 if problem else 200)


def _problem() -> tuple[str | None, list[dict[str, Any]]]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        policy = store.current()
    except NoPolicyError as error:
        return str(error), []
    except (DatabaseError, InterfaceError):
        return "The database does not answer.", []
    statuses = engine.statuses()
    missing = [s.name for s in statuses if not s.ready and _is_needed(policy, s.name)]
    detail = f"Not loaded yet: {', '.join(missing)}." if missing else None
    return detail, [status._asdict() for status in statuses]


def _is_needed(policy: Policy, name: str) -> bool:
    router = policy.routers.get(name)
    return router is not None and router.local
