"""The former name of `experiments.routers.routellm_adapter`, kept for code that imports it."""

from experiments.routers.routellm_adapter import (
    MODEL_IDS,
    OPENAI_CLIENT,
    ROUTER_CLS,
    Controller,
    Router,
    RoutingError,
    upstream,
)

__all__ = [
    "MODEL_IDS",
    "OPENAI_CLIENT",
    "ROUTER_CLS",
    "Controller",
    "Router",
    "RoutingError",
    "upstream",
]
