"""RouteLLM with our routers registered. Only this module imports RouteLLM.

After `import experiments.routers.routellm_adapter`, RouteLLM's own `Controller(routers=["local",
…])`, its model strings (`router-local-0.75`) and its calibration script know `local`, `local_mf`
and the classes named in ROUTER_CLASSES.
"""

import importlib
import logging
import warnings
from collections.abc import Sequence
from typing import Any

from experiments.routers.errors import RouterConfigurationError, describe
from experiments.routers.features import featurise
from experiments.routers.kinds import check_name, own_classes
from experiments.routers.local_kinds import LocalScorer, load_local
from experiments.routers.routellm_setup import import_environment

with import_environment():
    import datasets
    import torch
    import transformers
    from routellm import controller as upstream
    from routellm.routers.matrix_factorization.model import MODEL_IDS
    from routellm.routers.routers import NAME_TO_CLS, ROUTER_CLS, Router
    from routellm.routers.similarity_weighted.utils import OPENAI_CLIENT

__all__ = [
    "MODEL_IDS",
    "OPENAI_CLIENT",
    "ROUTER_CLS",
    "Controller",
    "Router",
    "RoutingError",
    "upstream",
]

log = logging.getLogger("switchyard.routers")

RoutingError = upstream.RoutingError

# RouteLLM's `sw_ranking` fits a regression per prompt, and scikit-learn warns of it every time.
warnings.filterwarnings(
    "ignore", "'penalty' was deprecated", FutureWarning, r"sklearn\.linear_model\._logistic"
)
# One thread a call: OpenMP's own threads do not survive gunicorn's fork, and prompts come in
# parallel anyway.
torch.set_num_threads(1)
# A thread that waits for an embedding ends earlier than after RouteLLM's half an hour.
OPENAI_CLIENT.timeout, OPENAI_CLIENT.max_retries = 30.0, 1
transformers.utils.logging.disable_progress_bar()
datasets.disable_progress_bars()


class _LocalRouter(Router):  # type: ignore[misc]
    """A router that works without RouteLLM, as a RouteLLM router."""

    NO_PARALLEL = True
    kind = ""

    def __init__(self, scorer: LocalScorer | None = None, **arguments: object) -> None:
        self._scorer = scorer or load_local(self.kind, arguments).scorer

    def calculate_strong_win_rate(self, prompt: object) -> float:
        return self._scorer.score(featurise(text_of(prompt)))


class LocalRouteLLMRouter(_LocalRouter):
    kind = "local"


class LocalMFRouteLLMRouter(_LocalRouter):
    kind = "local_mf"


class ComplexityRouteLLMRouter(_LocalRouter):
    kind = "complexity"


class LearnedRouteLLMRouter(_LocalRouter):
    kind = "learned"


class Controller(upstream.Controller):  # type: ignore[misc]
    """RouteLLM's Controller, with support for content in parts and clear errors for model names.

    `routers` are instances by name, built by `experiments.routers.building`.
    """

    def __init__(self, instances: dict[str, Any], strong_model: str, weak_model: str) -> None:
        super().__init__(routers=[], strong_model=strong_model, weak_model=weak_model)
        self.routers = instances

    def _get_routed_model_for_completion(
        self, messages: list[dict[str, Any]], router: str, threshold: float
    ) -> Any:
        last = {"content": text_of(messages[-1]["content"])}
        return super()._get_routed_model_for_completion([last], router, threshold)

    def _parse_model_name(self, model: str) -> Any:
        prefix, _, rest = model.partition("-")
        if prefix != "router" or "-" not in rest:
            raise RoutingError(
                f"Model '{model}' is not of the form 'router-<name>-<threshold>', for example "
                f"'router-{next(iter(self.routers), 'local')}-0.5'."
            )
        return super()._parse_model_name(model)


def text_of(content: object) -> str:
    """A message's text: the string itself, or the text parts of a list, one per line."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "\n".join(part["text"] for part in content if part.get("type") == "text")
    raise TypeError(f"A prompt is text or a list of parts, not {type(content).__name__}.")


def has_cuda() -> bool:
    return bool(torch.cuda.is_available())


def wrap(kind: str, scorer: LocalScorer) -> Any:
    """A local router that is already loaded, as a RouteLLM router."""
    return ROUTER_CLS[kind](scorer=scorer)


def register(name: str, router_class: type) -> None:
    """Make a subclass of RouteLLM's Router known by this name."""
    check_name(name)
    ROUTER_CLS[name] = router_class
    NAME_TO_CLS[router_class] = name


def router_class(kind: str) -> type:
    """RouteLLM's class of a kind, ours, or the one that ROUTER_CLASSES names.

    Raises RouterConfigurationError where that cannot be imported or is no router.
    """
    if kind not in ROUTER_CLS:
        register(kind, _import_router(kind, own_classes()[kind]))
    found: type = ROUTER_CLS[kind]
    return found


def _import_router(kind: str, path: str) -> type:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise RouterConfigurationError(
            f"ROUTER_CLASSES names '{path}' for kind '{kind}', which cannot be imported. "
            f"{describe(error)}."
        ) from error
    if not (isinstance(found, type) and issubclass(found, Router)):
        raise RouterConfigurationError(
            f"ROUTER_CLASSES names '{path}' for kind '{kind}', which is no subclass of "
            "routellm.routers.routers.Router. See docs/bringing-routers.md."
        )
    return found


register("local", LocalRouteLLMRouter)
register("local_mf", LocalMFRouteLLMRouter)
register("complexity", ComplexityRouteLLMRouter)
register("learned", LearnedRouteLLMRouter)
for own in own_classes():
    try:
        router_class(own)
    except RouterConfigurationError as problem:  # reported again when this router is used
        log.warning("%s", problem)
