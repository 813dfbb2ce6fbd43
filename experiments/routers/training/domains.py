"""Training and measuring the learned domain detector.

Measured twice: on new questions of known subjects (five folds, questions on one passage together)
and on whole unseen subjects (five folds of subjects). Written prompts are in every training half.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from experiments.analysis.routing.detection import detection_quality
from experiments.routers.checkpoints import Manifest, write_checkpoint
from experiments.routers.domain_head import DomainHead, Matrix, to_arrays
from experiments.routers.embedding import embedding_sha256
from experiments.routers.training.domain_fit import batch_logits, fit_head
from experiments.routers.training.domain_rows import Positions, Progress, RowKind, Rows
from experiments.routers.training.versions import installed

FOLDS = 5
LICENCE = "Apache-2.0"


class HeldOut(NamedTuple):
    """Logits of held-out rows."""

    at: Positions
    logits: Matrix


class TrainedDetector(NamedTuple):
    head: DomainHead
    measured: dict[str, object]


def train(rows: Rows, *, seed: int, progress: Progress) -> TrainedDetector:
    """Measure with cross-validation, calibrate on what was held out, then fit on everything."""
    questions = _cross_validate(rows, question_folds(rows, seed), progress, "questions")
    subjects = _cross_validate(rows, subject_folds(rows, seed), progress, "subjects")
    temperature = best_temperature(rows, (questions, subjects))
    progress("Fitting on everything")
    head = fit_head(rows, np.arange(len(rows.label)))
    measured: dict[str, object] = {
        "questions": figures(rows, questions, temperature),
        "subjects": figures(rows, subjects, temperature),
    }
    return TrainedDetector(replace(head, temperature=temperature), measured)


def save(trained: TrainedDetector, rows: Rows, folder: Path, *, seed: int, data_sha256: str) -> str:
    kinds = {kind.name.lower(): int((rows.kind == kind).sum()) for kind in RowKind}
    manifest = Manifest(
        kind="domains",
        made_from="Questions of MMLU and GSM8K as in RouteLLM's evaluation folder, labelled by "
        "subject, and the hand-written prompts in experiments/fixtures/domain_prompts",
        command="manage.py train_domains DATA --domains subject_domains.csv",
        licence=LICENCE,
        embedding_sha256=embedding_sha256(),
        seed=seed,
        data={"sha256": data_sha256, **kinds},
        folds={"questions": FOLDS, "subjects": FOLDS},
        measured=trained.measured,
        versions=installed("numpy", "scipy"),
    )
    return write_checkpoint(folder, to_arrays(trained.head), manifest)


def question_folds(rows: Rows, seed: int) -> list[Positions]:
    """Recorded questions in random fifths; those on one passage stay together."""
    recorded = rows.recorded()
    passages = np.unique(rows.passage[recorded])
    return _fifths(recorded, rows.passage[recorded], passages, seed)


def subject_folds(rows: Rows, seed: int) -> list[Positions]:
    """Recorded questions in fifths of whole subjects."""
    recorded = rows.recorded()
    subjects = rows.subject[recorded]
    return _fifths(recorded, subjects, np.unique(subjects), seed)


def figures(rows: Rows, held_out: HeldOut, temperature: float) -> dict[str, float]:
    truth = [rows.names[label] for label in rows.label[held_out.at]]
    found = [rows.names[column] for column in held_out.logits.argmax(axis=1)]
    quality = detection_quality(truth, found)
    right = np.array(truth) == np.array(found)
    subjects = rows.subject[held_out.at]
    by_subject = [float(right[subjects == subject].mean()) for subject in np.unique(subjects)]
    named = {f"recall_{name}": value for name, value in quality.recall.items()}
    values = {
        "n": quality.n,
        "accuracy": quality.accuracy,
        "mean_of_subjects": float(np.mean(by_subject)),
        **{name: value for name, value in named.items() if value is not None},
        "calibration_error": _calibration_error(rows, held_out, temperature),
    }
    return {name: round(float(value or 0), 4) for name, value in values.items()}


def _fifths(at: Positions, labels: np.ndarray, distinct: np.ndarray, seed: int) -> list[Positions]:
    shuffled = np.random.default_rng(seed).permutation(distinct)
    return [at[np.isin(labels, shuffled[fold::FOLDS])] for fold in range(FOLDS)]


def _cross_validate(
    rows: Rows, folds: Sequence[Positions], progress: Progress, name: str
) -> HeldOut:
    def each() -> Iterator[Matrix]:
        for number, held_out in enumerate(folds, start=1):
            progress(f"Cross-validating over {name}: fold {number} of {len(folds)}")
            head = fit_head(rows, rows.training_for(held_out))
            yield batch_logits(head, rows, held_out)

    return HeldOut(np.concatenate(folds), np.concatenate(list(each())))


def best_temperature(rows: Rows, held_out: Sequence[HeldOut]) -> float:
    """The one that makes held-out probabilities most likely, both kinds of folds weighing alike."""

    def loss(log_temperature: float) -> float:
        cooled = (_log_softmax(part.logits / np.exp(log_temperature)) for part in held_out)
        return -sum(
            float(logs[np.arange(len(part.at)), rows.label[part.at]].mean())
            for part, logs in zip(held_out, cooled, strict=True)
        )

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x))


def _calibration_error(rows: Rows, held_out: HeldOut, temperature: float, bins: int = 10) -> float:
    """Mean distance of confidence and share of right answers, over ten bins of confidence."""
    probabilities = np.exp(_log_softmax(held_out.logits / temperature))
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == rows.label[held_out.at]
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    inside = [bin_of == number for number in range(bins)]
    gaps = [abs(confidence[i].mean() - right[i].mean()) * i.mean() for i in inside if i.any()]
    return float(sum(gaps))


def _log_softmax(logits: Matrix) -> Matrix:
    lowered = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(lowered - np.log(np.exp(lowered).sum(axis=1, keepdims=True)))
