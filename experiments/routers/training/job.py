"""Training a router of any kind with its setting searched for, measured by nested folds.

The setting is searched again inside the training rows of every fold; rows held out never take part
in that choice. The same data, seed and versions give the same bytes: everything runs on one
thread, which is also faster next to a server than many threads that wait for each other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from experiments.analysis.off_policy.ipw import MOST_WEIGHT, effective
from experiments.analysis.routing.measures import measure
from experiments.analysis.routing.usefulness import shortcoming
from experiments.routers import local, local_mf
from experiments.routers.checkpoints import Manifest, write_checkpoint, write_prompt_hashes
from experiments.routers.embedding import default_embedding, embedding_sha256
from experiments.routers.model_files import to_arrays
from experiments.routers.outcomes import OutcomesError
from experiments.routers.per_model import KNN, LINEAR
from experiments.routers.training.calibration import domain_thresholds, fit_win_rate
from experiments.routers.training.crossval import GROUPS, QUESTIONS, held_out_scores
from experiments.routers.training.examples import prepare
from experiments.routers.training.fit import TooFewPromptsError
from experiments.routers.training.folds import N_FOLDS, Folds, group_folds, question_folds
from experiments.routers.training.hyperparameter_search import (
    Fitter,
    LinearFitter,
    LocalFitter,
    MFFitter,
    NeighbourFitter,
    Searched,
)
from experiments.routers.training.training_data import TrainingSet
from experiments.routers.training.versions import installed

KINDS = (local.KIND, local_mf.KIND, KNN, LINEAR)
STRONG_SHARE = 0.5
LEAST = 65

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """What to train. `source` says in the manifest where the outcomes came from."""

    kind: str
    data: TrainingSet
    source: str
    seed: int = 0
    licence: str = "Yours: trained on your own outcomes."
    advance: Callable[[int, int], object] = field(default=lambda done, total: None)
    log: Callable[[str], object] = field(default=lambda line: None)

    def steps(self) -> int:
        return N_FOLDS * len(self._schemes()) + 2

    def run(self, folder: Path) -> Manifest:
        """Raises TooFewPromptsError, and OutcomesError where this kind cannot learn from them."""
        self._check()
        with threadpool_limits(limits=1):
            return self._run(folder)

    def _run(self, folder: Path) -> Manifest:
        data = self.data
        progress = _Progress(self.advance, self.steps())
        self.log(f"Reading {len(data):,} prompts once.")
        searched = Searched(self._fitter(), data, self.seed)
        progress()
        measured, gains, poor = {}, np.zeros(len(data)), ""
        for name, folds in self._schemes().items():
            held_out = held_out_scores(searched, folds, progress)[:, 0]
            if name == QUESTIONS:
                gains = held_out
                poor = shortcoming(held_out, *data.judged, folds, seed=self.seed)
            seen = np.isfinite(held_out)
            strong, weak = (column[seen] for column in data.judged)
            apgr = measure(held_out[seen], strong, weak).apgr
            if apgr is not None:
                measured[name] = {"apgr": round(apgr, 4), "by_seed": [round(apgr, 4)]}
            self.log(f"Held out over {name}: APGR {_figure(apgr)}.")
        value = searched.best(np.arange(len(data)))
        self.log(f"{searched.fitter.setting} {value:g} was best of {list(searched.fitter.grid)}.")
        arrays, scores = self._arrays(searched.fitter, value, gains)
        manifest = self._manifest(
            searched.fitter, value, measured, domain_thresholds(scores, data.domains, STRONG_SHARE)
        )
        manifest = replace(manifest, shortcoming=poor)
        write_checkpoint(folder, arrays, manifest)
        write_prompt_hashes(folder, (prompt for prompt in data.prompts if prompt))
        progress()
        return manifest

    def _check(self) -> None:
        if len(self.data) < LEAST:
            raise TooFewPromptsError(
                f"{len(self.data)} prompts are too few. Training needs at least {LEAST}."
            )
        if self.kind in (KNN, LINEAR):
            return
        if not self.data.complete:
            raise OutcomesError(
                f"A router of kind '{self.kind}' needs both models' answers to every prompt, and "
                f"only one is known here. Train one of kind {LINEAR} or {KNN}."
            )
        if self.kind == local.KIND and self.data.kept_embeddings:
            raise OutcomesError(
                f"A router of kind '{local.KIND}' needs the prompts' text, and of "
                f"{len(self.data.kept_embeddings):,} only the embedding was kept. Train one of "
                f"kind {LINEAR}, {KNN} or {local_mf.KIND}."
            )

    def _schemes(self) -> dict[str, Folds]:
        """Over questions; over whole groups too where there are five of them."""
        found = {QUESTIONS: question_folds(len(self.data), self.seed)}
        if len(set(self.data.groups)) >= N_FOLDS:
            everybody = np.ones(len(self.data), dtype=bool)
            found[GROUPS] = group_folds(self.data.groups, everybody, self.seed)
        return found

    def _fitter(self) -> Fitter:
        if self.kind == local.KIND:
            return LocalFitter(prepare(self.data.outcomes(), default_embedding()), self.seed)
        fitters: Mapping[str, Callable[[TrainingSet, int], Fitter]] = {
            local_mf.KIND: MFFitter,
            KNN: NeighbourFitter,
            LINEAR: LinearFitter,
        }
        return fitters[self.kind](self.data, self.seed)

    def _arrays(self, fitter: Fitter, value: float, gains: Floats) -> tuple[Arrays, Floats]:
        """The weights, and the scores that rows held out would have got."""
        rows = np.arange(len(self.data))
        strong, weak = self.data.judged
        if isinstance(fitter, MFFitter):
            fitted = fitter.fit(value, rows)
            arrays: Arrays = {
                "P.weight": fitted.models,
                "text_proj.0.weight": fitted.text_projection,
                "classifier.0.weight": fitted.classifier,
                "pair": np.array([fitted.strong, fitted.weak]),
            }
            return arrays, 1 / (1 + np.exp(-gains))
        win_rate = fit_win_rate(gains, strong, weak)
        scores = np.array([win_rate(gain) for gain in gains])
        if isinstance(fitter, LocalFitter):
            arrays = to_arrays(fitter.fit(value, rows))
            arrays[local.READS_QUESTION] = np.ones(1)
            return arrays | {"win_rate": np.array([win_rate.slope, win_rate.offset])}, scores
        if isinstance(fitter, LinearFitter | NeighbourFitter):
            arrays = dict(fitter.fit(value, rows).arrays())
            return arrays | {"win_rate": self._win_rates(win_rate.slope, win_rate.offset)}, scores
        raise TypeError(fitter)

    def _win_rates(self, slope: float, offset: float) -> Floats:
        """One curve for every pair of models, that of the pair it was measured on; turned round
        where the weaker one of two is asked about."""
        count = len(self.data.models)
        rates = np.empty((count, count, 2))
        for strong in range(count):
            for weak in range(count):
                rates[strong, weak] = (slope, offset if strong < weak else -offset)
        return rates

    def _manifest(
        self,
        fitter: Fitter,
        value: float,
        measured: Mapping[str, object],
        thresholds: Mapping[str, float],
    ) -> Manifest:
        data = self.data
        return Manifest(
            kind=self.kind,
            made_from=f"{len(data)} prompts of {self.source}",
            command=f"manage.py train_router NAME --kind {self.kind} --outcomes {self.source} "
            f"--seed {self.seed}",
            licence=self.licence,
            embedding_sha256=embedding_sha256(),
            seed=self.seed,
            data={
                "sha256": data.sha256(),
                "prompts": len(data),
                "models": list(data.models),
                **self.evidence(),
            },
            folds={"folds": N_FOLDS, **dict.fromkeys(self._schemes(), 1), "nested": True},
            measured=measured,
            thresholds=thresholds,
            settings={fitter.setting: value, "searched": list(fitter.grid)},
            versions=installed("numpy", "scipy", "scikit-learn", "torch", "routellm"),
        )

    def evidence(self) -> dict[str, object]:
        """Of one-sided outcomes: what the weights were cut at, and what is left of the sample."""
        data = self.data
        if data.complete:
            return {}
        weights = np.minimum(1 / data.propensity, MOST_WEIGHT)
        known = ~np.isnan(data.quality)
        return {
            "weights_cut_at": MOST_WEIGHT,
            "weights_cut": round(float(np.mean(1 / data.propensity > MOST_WEIGHT)), 4),
            "effective_prompts": {
                model: round(effective(weights[known[:, column]]), 1)
                for column, model in enumerate(data.models)
            },
        }


@dataclass
class _Progress:
    advance: Callable[[int, int], object]
    total: int
    done: int = 0

    def __call__(self) -> None:
        self.done += 1
        self.advance(self.done, self.total)


def _figure(apgr: float | None) -> str:
    return "undefined: the strong model is not surely better" if apgr is None else f"{apgr:.3f}"
