"""Loads RouteLLM on first use, and checks its OpenAI client: the key and the address."""

import os
from types import ModuleType

from experiments.routers.errors import RouterConfigurationError
from experiments.routers.kinds import kind_of
from experiments.routers.routellm_setup import PLACEHOLDER_KEY, require_routellm

_OPENAI_HOST = "api.openai.com"


def bridge() -> ModuleType:
    """RouteLLM's classes with ours registered. The first call imports RouteLLM."""
    require_routellm("This router")
    from experiments.routers import routellm_adapter as module  # noqa: PLC0415 - takes seconds

    return module


def require_openai(kind: str) -> None:
    """Raises RouterConfigurationError where this kind would call OpenAI without a real key."""
    if not kind_of(kind).calls_openai:
        return
    client = bridge().OPENAI_CLIENT
    if base_url := os.environ.get("OPENAI_BASE_URL"):
        _require_same_address(kind, base_url, str(client.base_url))
    elif client.api_key == PLACEHOLDER_KEY and client.base_url.host == _OPENAI_HOST:
        raise RouterConfigurationError(
            f"A router of kind '{kind}' asks OpenAI for an embedding of every prompt, and "
            "OPENAI_API_KEY is not set. Set it, or OPENAI_BASE_URL for a server of your own, and "
            "restart; kind 'local' needs neither."
        )


def _require_same_address(kind: str, wanted: str, used: str) -> None:
    if wanted.rstrip("/") != used.rstrip("/"):
        raise RouterConfigurationError(
            f"A router of kind '{kind}' would call {used}, not OPENAI_BASE_URL={wanted}: that was "
            "set after RouteLLM had been imported. Set it in .env and restart."
        )
