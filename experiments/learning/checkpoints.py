"""Checkpoints of learned routers: each is a file with its sha256 and a router row of its own.

So a revision pins what serves, a threshold table belongs to one checkpoint, and a stored decision
names the checkpoint that scored it. A new one scores decisions in shadow before it may serve.
"""

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import orjson
from django.conf import settings

from experiments.analysis.learning.gain_model import Labels
from experiments.analysis.learning.prompt_kernel import Matrix
from experiments.analysis.learning.schedule import SHADOW_SCORES
from experiments.core.policy import PolicyRouter
from experiments.learning.labels import LabeledTraffic
from experiments.models import Arm, Decision, Domain, LearnedCheckpoint, Router, ServingChange
from experiments.models.base import steps_naming
from experiments.models.routers import LEARNED
from experiments.routers.checkpoints import (
    CheckpointError,
    Manifest,
    read_manifest,
    write_checkpoint,
)
from experiments.routers.learned import SHIPPED_SETTING, checkpoint_arrays, shipped_router
from experiments.storage.lab_files import with_local_paths, with_stored_paths

State = LearnedCheckpoint.CheckpointState

KEPT_FOLDERS = 20
GROWTH = 1.1
"""A new checkpoint needs a tenth more labels than the newest one: scores in shadow cost time."""


class Written(NamedTuple):
    """A checkpoint on disk that no row names yet."""

    folder: Path
    sha256: str
    labels: int


def write(traffic: LabeledTraffic, labels: Labels, coefficients: Matrix, domain: str) -> Written:
    """Writes the fit for prompts of one domain. The same fit has the same folder."""
    number = traffic.domain_numbers.get(domain, -1)
    arrays = checkpoint_arrays(traffic.model, labels, coefficients, number)
    manifest = Manifest(
        kind=LEARNED,
        made_from=f"{len(labels.rows)} labels of this installation's traffic",
        command="the learning loop",
        licence="",
        settings={SHIPPED_SETTING: shipped_router().router.sha256, "domain": domain},
    )
    base = _base(domain)
    building = base / "building"
    sha256 = write_checkpoint(building, arrays, manifest)
    folder = base / sha256[:12]
    if folder.exists():
        shutil.rmtree(building)
    else:
        building.rename(folder)
    return Written(folder, sha256, len(labels.rows))


def is_worth_writing(domain: str, labels: int) -> bool:
    """Whether no checkpoint scores in shadow now, and there are enough new labels."""
    newest = LearnedCheckpoint.objects.filter(domain=domain).first()
    if newest is None:
        return True
    return newest.state != State.SHADOW and labels >= GROWTH * newest.labels


def register(domain: str, written: Written, now: datetime) -> LearnedCheckpoint:
    """The router row of a checkpoint, inside the caller's revision. It scores from then on."""
    count = LearnedCheckpoint.objects.filter(domain=domain).count()
    name = f"learned_{domain[:25]}_{count + 1}"
    arguments = {"checkpoint_path": str(written.folder), "domain": domain}
    router = Router(
        name=name,
        kind=LEARNED,
        arguments=with_stored_paths(arguments),
        checkpoint=written.sha256,
    )
    router.full_clean()
    router.save()
    return LearnedCheckpoint.objects.create(
        router=name,
        domain=domain,
        sha256=written.sha256,
        labels=written.labels,
        created_at=now,
    )


def update_states(domain: str, serving: str) -> LearnedCheckpoint | None:
    """Marks what has scored enough, what serves and what is retired. Returns the newest checkpoint
    that may serve."""
    active = list(
        LearnedCheckpoint.objects.filter(domain=domain, state__in=LearnedCheckpoint.ACTIVE)
    )
    best: LearnedCheckpoint | None = None
    for row in active:  # newest first
        wanted = row.state
        if row.router == serving:
            wanted = State.SERVING
        elif best is not None:
            wanted = State.RETIRED
        elif row.state == State.SERVING or (row.state == State.SHADOW and has_scored(row)):
            wanted = State.READY
        if wanted in {State.READY, State.SERVING} and best is None:
            best = row
        if wanted != row.state:
            row.state = wanted
            row.save(update_fields=["state"])
    return best


def has_scored(row: LearnedCheckpoint) -> bool:
    """Whether it has scored 200 decisions of its domain in shadow."""
    return len(shadow_scores(row)) >= SHADOW_SCORES


def shadow_scores(row: LearnedCheckpoint) -> list[float]:
    """Its newest scores of decisions, at most 200."""
    found = Decision.objects.filter(
        domain=row.domain, created_at__gte=row.created_at, scores__contains=f'"{row.router}":'
    )
    texts = found.order_by("-created_at").values_list("scores", flat=True)[:SHADOW_SCORES]
    return [float(orjson.loads(text)[row.router]) for text in texts]


def threshold_for_share(scores: Sequence[float], share: float) -> float:
    """The k-th largest score, k = ceil(share n): used while there is no threshold table."""
    ordered = sorted(scores, reverse=True)
    if not ordered:
        return 0.5
    at = min(len(ordered), max(1, -int(-share * len(ordered) // 1)))
    return round(ordered[at - 1], 6)


def drop_retired(domain: str) -> list[str]:
    """Deletes the router rows of retired checkpoints that nothing uses, inside the caller's
    revision. Their files stay for a while, so that a revision can be rolled back."""
    names = LearnedCheckpoint.objects.filter(domain=domain, state=State.RETIRED)
    dropped = []
    for router in Router.objects.filter(kind=LEARNED, name__in=names.values("router")):
        if not _is_used(router):
            router.delete()
            dropped.append(router.name)
    return dropped


def _is_used(router: Router) -> bool:
    return bool(
        Domain.objects.filter(router=router).exists()
        or Arm.objects.filter(router=router).exists()
        or ServingChange.objects.filter(
            state=ServingChange.ChangeState.PROPOSED,
            router_after=router.name,
        ).exists()
        or steps_naming([router])
    )


def prune_folders(domain: str) -> int:
    """Deletes the oldest folders that no router row names; keeps the newest 20."""
    base = _base(domain)
    if not base.is_dir():
        return 0
    used = {
        Path(str(with_local_paths(row.arguments).get("checkpoint_path", ""))).name
        for row in Router.objects.filter(kind=LEARNED)
    }
    folders = sorted(base.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
    old = [one for one in folders[KEPT_FOLDERS:] if one.name not in used]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return len(old)


def retire_outdated(routers: Mapping[str, PolicyRouter]) -> list[str]:
    """Retires the checkpoints that were learned with another shipped router; their names."""
    rows = LearnedCheckpoint.objects.filter(
        state__in=LearnedCheckpoint.ACTIVE, router__in=list(routers)
    )
    outdated = [row.pk for row in rows if not _fits(routers[row.router])]
    names = list(rows.filter(pk__in=outdated).values_list("router", flat=True))
    LearnedCheckpoint.objects.filter(pk__in=outdated).update(state=State.RETIRED)
    return names


def _fits(router: PolicyRouter) -> bool:
    try:
        manifest = read_manifest(Path(str(router.arguments.get("checkpoint_path", ""))), LEARNED)
    except CheckpointError:
        return False
    return manifest.settings.get(SHIPPED_SETTING) == shipped_router().router.sha256


def _base(domain: str) -> Path:
    return Path(settings.LAB_DIR) / "learned" / domain
