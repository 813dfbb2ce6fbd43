"""The environment for importing RouteLLM, and whether it is installed. Does not import it.

RouteLLM creates an OpenAI client when it is imported, which needs a key and fixes the address, and
LiteLLM downloads a price table by default. The import takes seconds and half a gigabyte.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from experiments.routers.errors import RouterConfigurationError

PLACEHOLDER_KEY = "placeholder-not-a-key"


@contextmanager
def import_environment() -> Iterator[None]:
    """Sets the environment while RouteLLM is imported. Never overwrites a variable.

    The placeholder key is removed afterwards, so that no other code uses it as a real one.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    # A tokenizer's own threads do not survive gunicorn's fork, and it warns about that at length.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if not os.environ.get("OPENAI_BASE_URL"):
        os.environ.pop("OPENAI_BASE_URL", None)  # an empty one would count as an address
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
