"""Which router is meant by a name, where the lab measures one.

A name is that of a router as configured, `policy:DOMAIN` for the router and threshold that a
domain uses today, `random`, or a checkpoint's folder. A checkpoint's scores can be kept: its key
says which weights they are from.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.core.policy import Method
from experiments.core.policy import Router as CoreRouter
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
    """No router goes by that name; the message says which there are."""


class Scorer(NamedTuple):
    """A router to be measured. `key` is "" where its scores are not kept; `threshold` is that of
    a policy. `ties` says what a score means: with them a tie counts half, None: nothing."""

    name: str
    key: str
    kind: str
    load: Callable[[], Callable[[Features], float]]
    threshold: float | None = None

    @property
    def by_embedding(self) -> bool:
        """Whether it can score a prompt of which only the embedding is kept."""
        return kind_of(self.kind).by_embedding

    @property
    def ties(self) -> bool | None:
        return None if self.kind == RANDOM else kind_of(self.kind).counts_ties


def find_scorer(name: str, seed: int = 0) -> Scorer:
    """Raises NoRouterError."""
    if name.startswith(POLICY):
        return _of_policy(name)
    if row := Router.objects.filter(name=name).first():
        return of_row(row)
    if name == RANDOM:
        coin = RandomRouter(np.random.default_rng(seed))
        return Scorer(RANDOM, "", RANDOM, lambda: coin.score)
    if (Path(name) / MANIFEST_FILE).is_file():
        return of_folder(Path(name))
    names = ", ".join([*Router.objects.values_list("name", flat=True), RANDOM])
    raise NoRouterError(
        f"There is no router '{name}'. Give {names}, {POLICY}DOMAIN, or a folder with a "
        f"{MANIFEST_FILE} that `manage.py train_router` wrote."
    )


def of_row(row: Router) -> Scorer:
    """A configured router, enabled or not. A coin is drawn anew for each row, so not kept."""
    arguments = with_local_paths(row.arguments)
    core = CoreRouter(row.name, row.kind, row.is_local, row.checkpoint or None, arguments=arguments)
    weights = row.checkpoint or _hash(row.arguments)
    models = _hash(row.arguments.get("pair")) if row.arguments.get("pair") else ""
    key = "" if row.kind == RANDOM else f"{row.kind}:{weights}{models[:8]}"
    return Scorer(row.name, key, row.kind, lambda: build(core).score)


def of_folder(folder: Path) -> Scorer:
    """Raises NoRouterError."""
    try:
        kind = read_manifest_kind(folder)
        core = CoreRouter(folder.name, kind, True, arguments={"checkpoint_path": str(folder)})
        weights = fingerprint([folder / "weights.safetensors"])
    except (CheckpointError, OSError) as error:
        raise NoRouterError(str(error)) from error
    return Scorer(str(folder), f"{kind}:{weights}", kind, lambda: build(core).score)


def _of_policy(name: str) -> Scorer:
    domain = Domain.objects.select_related("router").filter(name=name.removeprefix(POLICY)).first()
    if domain is None:
        names = ", ".join(Domain.objects.values_list("name", flat=True))
        raise NoRouterError(f"'{name}' names no domain. There are {names}.")
    if domain.method != Method.ROUTELLM or domain.router is None:
        raise NoRouterError(
            f"The policy of '{domain}' asks no router: its method is {domain.method}. "
            "Always strong and always weak stand beside every evaluation."
        )
    return of_row(domain.router)._replace(name=name, threshold=domain.threshold)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
