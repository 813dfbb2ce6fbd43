"""The whole training: from outcomes to checkpoints with measured figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from experiments.analysis.routing.usefulness import shortcoming
from experiments.routers import local, local_mf
from experiments.routers.checkpoints import Manifest, write_checkpoint, write_prompt_hashes
from experiments.routers.embedding import default_embedding, embedding_sha256
from experiments.routers.model_files import to_arrays
from experiments.routers.outcomes import Outcomes
from experiments.routers.training.calibration import (
    domain_thresholds,
    fit_win_rate,
    mixed_thresholds,
)
from experiments.routers.training.candidates import LocalCandidate, MFCandidate
from experiments.routers.training.crossval import (
    QUESTIONS,
    CandidateFit,
    Figure,
    Remembered,
    Split,
    cross_validate,
    held_out_scores,
    splits,
)
from experiments.routers.training.examples import TrainingData, prepare
from experiments.routers.training.fit import fit_local
from experiments.routers.training.folds import N_FOLDS, question_folds
from experiments.routers.training.mf import fit_mf
from experiments.routers.training.open_prior import read_open_prompts
from experiments.routers.training.versions import installed

STRONG_SHARE = 0.5
KINDS = (local.KIND, local_mf.KIND)

_LICENCE = (
    "Apache-2.0: weights trained on recorded outcomes of RouteLLM's evaluation (Apache-2.0) "
    "over questions of MMLU (MIT) and GSM8K (MIT)"
)


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """What to train on and how to measure it. ``left_out`` names groups already removed.
    ``open_prior``: open prompts are expected to differ from the outcomes."""

    outcomes: Outcomes
    seed: int
    repeats: int
    group_seeds: int
    left_out: Sequence[str] = ()
    licence: str = _LICENCE
    open_prior: bool = False
    advance: Callable[[], object] = field(default=lambda: None)

    def splits(self) -> list[Split]:
        return list(splits(self.outcomes, self.repeats, self.group_seeds))

    def steps(self) -> int:
        """How often ``advance`` is called while one router is trained."""
        return N_FOLDS * (len(self.splits()) + 1)


def train_local(plan: TrainingPlan, data: TrainingData, folder: Path) -> Manifest:
    """Fit on all rows, and measure and calibrate on rows held out from other fits."""
    outcomes = plan.outcomes
    read = read_open_prompts(default_embedding()) if plan.open_prior else None
    candidate = Remembered(LocalCandidate(data, plan.seed, read))
    measured = _measured(candidate, plan)
    folds = question_folds(len(outcomes), plan.seed)
    gains = held_out_scores(candidate, folds, plan.advance)[:, 0]
    win_rate = fit_win_rate(gains, outcomes.strong, outcomes.weak)
    scores = np.array([win_rate(gain) for gain in gains])
    model = fit_local(data, np.arange(len(outcomes)), plan.seed, open_prompts=read)
    thresholds = domain_thresholds(scores, outcomes.domains, STRONG_SHARE)
    if read is not None:
        usual = np.array([win_rate(model.gain(seen, has_options=False)) for seen in read.usual])
        thresholds = mixed_thresholds(scores, outcomes.domains, usual, read.domains, STRONG_SHARE)
    arrays = to_arrays(model)
    arrays["win_rate"] = np.array([win_rate.slope, win_rate.offset])
    arrays[local.READS_QUESTION] = np.ones(1)
    poor = shortcoming(gains, outcomes.strong, outcomes.weak, folds, seed=plan.seed)
    manifest = replace(_manifest(local.KIND, plan, measured, thresholds), shortcoming=poor)
    write_checkpoint(folder, arrays, manifest)
    write_prompt_hashes(folder, outcomes.prompts)
    return manifest


def train_mf(plan: TrainingPlan, data: TrainingData, folder: Path) -> Manifest:
    outcomes, full = plan.outcomes, data.full
    candidate = Remembered(MFCandidate(data, plan.seed))
    measured = _measured(candidate, plan)
    folds = question_folds(len(outcomes), plan.seed)
    logits = held_out_scores(candidate, folds, plan.advance)[:, 0]
    thresholds = domain_thresholds(1 / (1 + np.exp(-logits)), outcomes.domains, STRONG_SHARE)
    weights = fit_mf(full.embedding, outcomes.strong, outcomes.weak, plan.seed)
    arrays = {
        "P.weight": weights.models,
        "text_proj.0.weight": weights.text_projection,
        "classifier.0.weight": weights.classifier,
        "pair": np.array([weights.strong, weights.weak]),
    }
    poor = shortcoming(logits, outcomes.strong, outcomes.weak, folds, seed=plan.seed)
    manifest = replace(_manifest(local_mf.KIND, plan, measured, thresholds), shortcoming=poor)
    write_checkpoint(folder, arrays, manifest)
    write_prompt_hashes(folder, outcomes.prompts)
    return manifest


TRAINERS = {local.KIND: train_local, local_mf.KIND: train_mf}


def prepare_data(outcomes: Outcomes) -> TrainingData:
    return prepare(outcomes, default_embedding())


def _measured(candidate: CandidateFit, plan: TrainingPlan) -> dict[str, Figure]:
    return cross_validate(candidate, plan.outcomes, plan.splits(), plan.advance)[candidate.names[0]]


def _manifest(
    kind: str, plan: TrainingPlan, measured: dict[str, Figure], thresholds: dict[str, float]
) -> Manifest:
    options = " --domains DOMAINS" if any(plan.outcomes.domains) else ""
    options += "".join(f" --leave-out {group}" for group in plan.left_out)
    options += " --open-prior" if plan.open_prior and kind == local.KIND else ""
    return Manifest(
        kind=kind,
        made_from=f"{len(plan.outcomes)} prompts with both models' recorded outcomes",
        command=f"manage.py train_router OUTCOMES --kind {kind} --seed {plan.seed}{options}",
        licence=plan.licence,
        embedding_sha256=embedding_sha256(),
        seed=plan.seed,
        data={
            "sha256": plan.outcomes.sha256(),
            "prompts": len(plan.outcomes),
            "left_out": list(plan.left_out),
        },
        folds={"folds": N_FOLDS, QUESTIONS: plan.repeats, "groups": plan.group_seeds},
        measured={
            name: {"apgr": round(figure.mean, 4), "by_seed": [round(x, 4) for x in figure.by_seed]}
            for name, figure in measured.items()
        },
        thresholds=thresholds,
        versions=installed("numpy", "scipy", "scikit-learn", "torch", "routellm"),
    )
