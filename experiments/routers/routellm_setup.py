"""Imports RouteLLM late and safely: nothing here or in `experiments.routers` loads it by itself.

RouteLLM makes an OpenAI client while it is imported, which needs a key and fixes the address, and
LiteLLM downloads a price table unless told not to. The import takes seconds and half a gigabyte.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

from experiments.routers.errors import RouterConfigurationError
from experiments.routers.kinds import kind_of

PLACEHOLDER_KEY = "placeholder-not-a-key"

_OPENAI_HOST = "api.openai.com"


@contextmanager
def import_environment() -> Iterator[None]:
    """What must be in the environment while RouteLLM is imported. Never overwrites what is set.

    The placeholder key is taken out again, so that nobody else takes it for a real one.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    # A tokenizer's own threads do not survive gunicorn's fork, and it warns about that at length.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if not os.environ.get("OPENAI_BASE_URL"):
        os.environ.pop("OPENAI_BASE_URL", None)  # an empty one would be taken for an address
    if os.environ.get("OPENAI_API_KEY"):
        yield
        return
    os.environ["OPENAI_API_KEY"] = PLACEHOLDER_KEY
    try:
        yield
    finally:
        os.environ.pop("OPENAI_API_KEY", None)


def require_routellm(purpose: str) -> None:
    """Raises RouterConfigurationError where RouteLLM or PyTorch is not installed."""
    missing = [name for name in ("routellm", "torch") if find_spec(name) is None]
    if missing:
        raise RouterConfigurationError(
            f"{purpose} needs RouteLLM with PyTorch, and {' and '.join(missing)} cannot be "
            "imported. Install them with: pip install 'switchyard-router[routellm]'. Routers of "
            "kind 'local' need neither."
        )


def bridge() -> ModuleType:
    """RouteLLM's classes with ours registered. The first call imports RouteLLM."""
    require_routellm("This router")
    from experiments.routers import routellm_adapter as module  # noqa: PLC0415 - takes seconds, see above

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
