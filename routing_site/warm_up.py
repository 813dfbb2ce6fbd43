"""Prepares a server before its first request: loads routers and modules before the fork.

Modules imported here are shared by the workers. A module that a worker imports later is its own,
and the first caller waits for it.
"""

import gc
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connections

from experiments.analytics.chart_rows import CostDay, QualityPoint, ScoreBin
from experiments.configuration.policy_store import NoPolicyError, store
from experiments.core.endpoints import Protocol
from experiments.core.policy import Policy
from experiments.dashboards import figures
from experiments.gateway.concurrency import of_this_machine
from experiments.gateway.litellm_client import load
from experiments.limits.credentials import problem_of
from experiments.routers.features import featurise
from experiments.routing.route import RouteRequest, decide_one
from experiments.routing.runtime import engine
from experiments.routing.token_estimates import expected_output_tokens
from routing_site.asgi import pages
from routing_site.threads import Scope, to_environ

PROMPT = "Is the server warm?"

log = logging.getLogger("switchyard.server")


def _load_litellm(policy: Policy) -> None:
    """It takes seconds, so not in the first call that needs it; nor where none can."""
    endpoints = {upstream.endpoint for upstream in policy.upstreams.values()}
    if any(e.protocol is Protocol.LITELLM and problem_of(e) is None for e in endpoints):
        load()


# Requests that import what pages, forms, the API and its errors need.
REHEARSED = (
    ("GET", "/healthz"),
    ("GET", "/admin/login/"),
    ("POST", "/api/v1/route"),
)


def rehearse() -> None:
    """Runs requests that need no account through the whole application."""
    for method, path in REHEARSED:
        environ = to_environ(_scope(method, path), b"")
        response = pages(environ, _ignore)
        b"".join(response)
        if close := getattr(response, "close", None):
            close()
    _draw()
    cache.get("rehearsed")


def _ignore(status: str, headers: Sequence[tuple[str, str]], exc_info: object = None, /) -> Any:
    """A WSGI `start_response` without effect."""


def _draw() -> None:
    """Plotly imports each part of a figure when it is first used."""
    now = datetime.now(UTC)
    figures.cost_by_day([CostDay(now.date(), 1, 1, 1, 3, 3)], baseline="always strong")
    figures.quality_by_tier([QualityPoint(now, "strong", 0.8, 0.7, 0.9, 10, 5)])
    figures.score_histogram([ScoreBin(0.4, 0.6, 1)], threshold=0.5)


def _scope(method: str, path: str) -> Scope:
    """A request that passes the host check and, behind a proxy, the redirect to HTTPS."""
    host = settings.ALLOWED_HOSTS[0].lstrip(".").replace("*", "localhost")
    headers = {"host": host, "x-forwarded-proto": "https", "content-type": "application/json"}
    return {
        "method": method,
        "path": path,
        "query_string": b"",
        "http_version": "1.1",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }


def warm_up() -> None:
    """Closes all connections: two processes must not share one.

    Without a database or a configuration the server still starts, and /readyz says what is
    missing. Raises ImproperlyConfigured.
    """
    of_this_machine()
    try:
        policy = store.current()
        engine.warm_up(policy)
        engine.detect(policy, PROMPT, featurise(PROMPT))
        _load_litellm(policy)
        decide_one(policy, expected_output_tokens(), RouteRequest(PROMPT, dry_run=True))
        rehearse()
    except (NoPolicyError, DatabaseError) as error:
        log.warning("Nothing to load yet", extra={"detail": str(error)})
    finally:
        connections.close_all()
    gc.collect()
    gc.freeze()  # loaded objects are permanent: the collector skips them and copies no pages
