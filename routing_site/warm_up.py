"""What a server does before its first request: load what decides, in the process that forks."""

import gc
import logging

from django.db import DatabaseError, connections

from experiments.core.endpoints import Protocol
from experiments.core.policy import Policy
from experiments.gateway.litellm_door import load
from experiments.gateway.places import of_this_machine
from experiments.routers.features import featurise
from experiments.services.credentials import problem_of
from experiments.services.engine import engine
from experiments.services.policies import NoPolicyError, store

PROMPT = "Is the server warm?"

log = logging.getLogger("switchyard.server")


def _load_litellm(policy: Policy) -> None:
    """It takes seconds, so not in the first call that needs it; nor where none can."""
    endpoints = {upstream.endpoint for upstream in policy.upstreams.values()}
    if any(e.protocol is Protocol.LITELLM and problem_of(e) is None for e in endpoints):
        load()


def warm_up() -> None:
    """Leaves no open connection: two processes must not talk over the same one.

    Without a database or a configuration the server starts all the same and says what is missing
    at /readyz. Raises ImproperlyConfigured.
    """
    of_this_machine()
    try:
        policy = store.current()
        engine.warm_up(policy)
        engine.detect(policy, PROMPT, featurise(PROMPT))
        _load_litellm(policy)
    except (NoPolicyError, DatabaseError) as error:
        log.warning("Nothing to load yet", extra={"detail": str(error)})
    finally:
        connections.close_all()
    gc.collect()
    gc.freeze()  # what is loaded stays: the collector need not look at it, nor copy its pages
