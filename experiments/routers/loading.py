"""A router by its name, for commands that measure one: shipped, from a folder, or random."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from experiments.routers import complexity, local, local_mf
from experiments.routers.checkpoints import MANIFEST_FILE, CheckpointError, read_manifest_kind
from experiments.routers.complexity import ComplexityRouter
from experiments.routers.features import Features
from experiments.routers.learned import KIND as LEARNED
from experiments.routers.learned import LearnedRouter
from experiments.routers.local import LocalRouter
from experiments.routers.local_mf import LocalMFRouter
from experiments.routers.per_model import KNN, LINEAR, PerModelRouter

RANDOM = "random"
NAMES = (local.KIND, local_mf.KIND, complexity.KIND, RANDOM)
ORDER_ONLY = frozenset((complexity.KIND, RANDOM))  # their scores are no win rates


class Scorer(Protocol):
    """`counts_ties`: whether a score is a win rate in which a tie counts half (see `kinds`)."""

    @property
    def counts_ties(self) -> bool: ...

    def score(self, features: Features) -> float: ...


@dataclass(frozen=True, eq=False)
class RandomRouter:
    """The random router: every score is drawn at random."""

    generator: np.random.Generator
    counts_ties: bool = True

    def score(self, features: Features) -> float:
        return float(self.generator.random())


def load_router(name: str, seed: int = 0) -> Scorer:
    """One of ``NAMES``, or a folder that ``manage.py train_router`` wrote.

    Raises ``CheckpointError``, and ``RouterConfigurationError`` where LiteLLM has no heuristic.
    """
    if name == RANDOM:
        return RandomRouter(np.random.default_rng(seed))
    if name == local.KIND:
        return LocalRouter.load()
    if name == local_mf.KIND:
        return LocalMFRouter.load()
    if name == complexity.KIND:
        return ComplexityRouter.load()
    folder = Path(name)
    if not (folder / MANIFEST_FILE).is_file():
        raise CheckpointError(
            f"There is no router '{name}'. Give {', '.join(NAMES)}, or a folder with a "
            f"{MANIFEST_FILE} that `manage.py train_router` wrote."
        )
    return _load_folder(folder)


def _load_folder(folder: Path) -> Scorer:
    kind = read_manifest_kind(folder)
    if kind == LEARNED:
        return LearnedRouter.load(folder)
    if kind in (KNN, LINEAR):
        return PerModelRouter.load(folder, kind)
    return LocalMFRouter.load(folder) if kind == local_mf.KIND else LocalRouter.load(folder)
