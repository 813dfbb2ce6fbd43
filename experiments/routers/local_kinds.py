"""Routers that need neither RouteLLM nor a network: their interface, and loading."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from experiments.routers.checkpoints import CheckpointError
from experiments.routers.complexity import KIND as COMPLEXITY
from experiments.routers.complexity import ComplexityRouter
from experiments.routers.errors import RouterConfigurationError
from experiments.routers.features import Features
from experiments.routers.learned import KIND as LEARNED
from experiments.routers.learned import LearnedRouter
from experiments.routers.local import KIND as LOCAL
from experiments.routers.local import LocalRouter, shipped_folder
from experiments.routers.local_mf import LocalMFRouter
from experiments.routers.per_model import KNN, LINEAR, PerModelRouter

_SHIPPED: dict[str, type[LocalRouter] | type[LocalMFRouter]] = {
    "local": LocalRouter,
    "local_mf": LocalMFRouter,
}
_TRAINED = (KNN, LINEAR)
_MORE_ARGUMENTS = {KNN: ("pair",), LINEAR: ("pair",), LEARNED: ("domain",)}


class LocalScorer(Protocol):
    """The interface of `LocalRouter` and `LocalMFRouter`."""

    def score(self, features: Features) -> float:
        """The strong model's estimated win rate, in [0, 1]."""
        ...


class LoadedLocal(NamedTuple):
    scorer: LocalScorer
    checkpoint: str


def load_local(
    kind: str, arguments: Mapping[str, object], pinned: str | None = None
) -> LoadedLocal:
    """Load a router from `checkpoint_path`; `local` and `local_mf` also as shipped, where `pinned`
    may name an earlier version.

    Raises RouterConfigurationError.
    """
    if kind == COMPLEXITY:
        return _complexity(arguments)
    takes = {"checkpoint_path", *_MORE_ARGUMENTS.get(kind, ())}
    unknown = sorted(set(arguments) - takes)
    if unknown:
        raise RouterConfigurationError(
            f"A router of kind '{kind}' has no argument '{unknown[0]}'. It takes "
            f"{' and '.join(sorted(takes))}, the folder that `manage.py train_router` wrote; "
            "local and local_mf are shipped with one."
        )
    path = arguments.get("checkpoint_path")
    try:
        folder = Path(str(path)) if path else shipped_folder(pinned) if kind == LOCAL else None
        scorer = _load(kind, folder, arguments.get("pair"))
    except CheckpointError as error:
        raise RouterConfigurationError(str(error)) from error
    return LoadedLocal(scorer, scorer.sha256)


def _complexity(arguments: Mapping[str, object]) -> LoadedLocal:
    if arguments:
        raise RouterConfigurationError(
            f"A router of kind '{COMPLEXITY}' takes no arguments: its rules come with LiteLLM."
        )
    scorer = ComplexityRouter.load()
    return LoadedLocal(scorer, scorer.sha256)


def _load(
    kind: str, folder: Path | None, pair: object
) -> LocalRouter | LocalMFRouter | PerModelRouter | LearnedRouter:
    if kind == LEARNED:
        if folder is None:
            raise RouterConfigurationError(
                "A router of kind 'learned' is not shipped. Switch learning on: the loop creates "
                "its checkpoints."
            )
        return LearnedRouter.load(folder)
    if kind not in _TRAINED:
        router_class = _SHIPPED[kind]
        return router_class.load(folder) if folder else router_class.load()
    if folder is None:
        raise RouterConfigurationError(
            f"A router of kind '{kind}' is not shipped. Train one: "
            f"`manage.py train_router NAME --kind {kind} --outcomes SET`."
        )
    named = [str(model) for model in pair] if isinstance(pair, list | tuple) else []
    return PerModelRouter.load(folder, kind, named)
