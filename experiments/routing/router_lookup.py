"""Finds a router by name for the lab.

A name is a configured router, `policy:DOMAIN` for the current router and threshold of a domain,
`random`, or the folder of a checkpoint. Scores of a checkpoint can be stored: the key identifies
its weights.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.core.policy import Method
from experiments.core.policy import PolicyRouter as CoreRouter
from experiments.models import Domain, Router
from experiments.routers.building import build
from experiments.routers.checkpoints import MANIFEST_FILE, CheckpointError, read_manifest_kind
from experiments.routers.features import Features
from experiments.routers.fingerprint import fingerprint
from experiments.routers.kinds import kind_of
from experiments.routers.loading import RANDOM, RandomRouter
from experiments.storage.lab_files import with_local_paths

POLICY = "policy:"


class NoRouterError(LookupError):
    """No router has that name; the message lists the known ones."""


class LabRouter(NamedTuple):
    """A router to measure. `key` is "" if its scores are not stored; `threshold` is that of a
    policy. `ties`: True if a tie counts half in what a score means; None: no meaning."""

    name: str
    key: str
    kind: str
    load: Callable[[], Callable[[Features], float]]
    threshold: float | None = None

    @property
    def by_embedding(self) -> bool:
        """Whether it can score a prompt from the embedding alone."""
        return kind_of(self.kind).by_embedding

    @property
    def ties(self) -> bool | None:
        kind = kind_of(self.kind)
        return kind.counts_ties if kind.win_rate else None


def find_scorer(name: str, seed: int = 0) -> LabRouter:
    """Raises NoRouterError."""
    if name.startswith(POLICY):
        return _of_policy(name)
    if row := Router.objects.filter(name=name).first():
        return of_row(row)
    if name == RANDOM:
        random = RandomRouter(np.random.default_rng(seed))
        return LabRouter(RANDOM, "", RANDOM, lambda: random.score)
    if (Path(name) / MANIFEST_FILE).is_file():
        return of_folder(Path(name))
    names = ", ".join([*Router.objects.values_list("name", flat=True), RANDOM])
    raise NoRouterError(
        f"Unknown router '{name}'. Use {names}, {POLICY}DOMAIN, or a folder with a "
        f"{MANIFEST_FILE} that `manage.py train_router` wrote."
    )


def of_row(row: Router) -> LabRouter:
    """A configured router, enabled or not. Scores of the random router are not stored."""
    arguments = with_local_paths(row.arguments)
    core = CoreRouter(row.name, row.kind, row.is_local, row.checkpoint or None, arguments=arguments)
    weights = row.checkpoint or _hash(row.arguments)
    models = _hash(row.arguments.get("pair")) if row.arguments.get("pair") else ""
    key = "" if row.kind == RANDOM else f"{row.kind}:{weights}{models[:8]}"
    return LabRouter(row.name, key, row.kind, lambda: build(core).score)


def of_folder(folder: Path) -> LabRouter:
    """Raises NoRouterError."""
    try:
        kind = read_manifest_kind(folder)
        core = CoreRouter(folder.name, kind, True, arguments={"checkpoint_path": str(folder)})
        weights = fingerprint([folder / "weights.safetensors"])
    except (CheckpointError, OSError) as error:
        raise NoRouterError(str(error)) from error
    return LabRouter(str(folder), f"{kind}:{weights}", kind, lambda: build(core).score)


def _of_policy(name: str) -> LabRouter:
    domain = Domain.objects.select_related("router").filter(name=name.removeprefix(POLICY)).first()
    if domain is None:
        names = ", ".join(Domain.objects.values_list("name", flat=True))
        raise NoRouterError(f"Unknown domain in '{name}'. Known domains: {names}.")
    if domain.method != Method.ROUTELLM or domain.router is None:
        raise NoRouterError(
            f"The policy of '{domain}' uses no router: its method is {domain.method}. "
            "Every evaluation includes always strong and always weak."
        )
    return of_row(domain.router)._replace(name=name, threshold=domain.threshold)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
