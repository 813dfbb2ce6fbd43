"""The routers that need neither RouteLLM nor a network: what they offer, and how they load."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from experiments.routers.checkpoints import CheckpointError
from experiments.routers.errors import RouterConfigurationError
from experiments.routers.features import Features
from experiments.routers.local import LocalRouter
from experiments.routers.local_mf import LocalMFRouter

_CLASSES: dict[str, type[LocalRouter] | type[LocalMFRouter]] = {
    "local": LocalRouter,
    "local_mf": LocalMFRouter,
}


class LocalScorer(Protocol):
    """What `LocalRouter` and `LocalMFRouter` offer."""

    def score(self, features: Features) -> float:
        """The strong model's estimated win rate, in [0, 1]."""
        ...


class LoadedLocal(NamedTuple):
    scorer: LocalScorer
    checkpoint: str


def load_local(kind: str, arguments: Mapping[str, object]) -> LoadedLocal:
    """Load `local` or `local_mf` from `checkpoint_path`, or as shipped.

    Raises RouterConfigurationError.
    """
    unknown = sorted(set(arguments) - {"checkpoint_path"})
    if unknown:
        raise RouterConfigurationError(
            f"A router of kind '{kind}' has no argument '{unknown[0]}'. It takes checkpoint_path, "
            "the folder that `manage.py train_router` wrote; without it the shipped one is used."
        )
    router_class = _CLASSES[kind]
    path = arguments.get("checkpoint_path")
    try:
        scorer = router_class.load(Path(str(path))) if path else router_class.load()
    except CheckpointError as error:
        raise RouterConfigurationError(str(error)) from error
    return LoadedLocal(scorer, scorer.sha256)
