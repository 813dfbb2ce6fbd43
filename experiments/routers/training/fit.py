"""Fitting a whole local model on chosen rows of the training data."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from experiments.routers.heads import Head, LocalModel
from experiments.routers.training.estimators import (
    TreeSettings,
    WordSettings,
    fit_dense,
    fit_gate,
    fit_logit,
    fit_trees,
    fit_words,
)
from experiments.routers.training.examples import Examples, Rows, TrainingData
from experiments.routers.training.open_prior import OpenPrompts, fit_prior

Floats = NDArray[np.float64]


class HeadSettings(NamedTuple):
    words: WordSettings
    strength: float
    trees: TreeSettings
    directions: int = 8


CHOICES = HeadSettings(
    words=WordSettings(dampened=True, ridge=10.0),
    strength=0.002,
    trees=TreeSettings(trees=100, rate=0.05),
)
ARITHMETIC = HeadSettings(
    words=WordSettings(dampened=False, ridge=5.0),
    strength=0.005,
    trees=TreeSettings(trees=40, rate=0.04, least_leaf=40),
)
OPEN = HeadSettings(
    words=WordSettings(dampened=True, ridge=10.0),
    strength=0.003,
    trees=TreeSettings(trees=60, rate=0.05, depth=2, least_leaf=100),
)

_TOO_FEW = 50
_LEVELED = 2_000


class TooFewPromptsError(ValueError):
    """Too few prompts for training."""


def fit_local(
    data: TrainingData,
    rows: Rows,
    seed: int,
    *,
    ridge_scale: float = 1.0,
    open_prompts: OpenPrompts | None = None,
) -> LocalModel:
    """Fit the three heads and the gate, and with `open_prompts` what is expected of such prompts.

    All prompts train the head for options, its words only those with options. Recorded prompts
    without options train the head for word problems. The head for open prompts gets all prompts,
    options cut off, and the assumed ones. Without enough prompts of a kind, all stand in for it.
    `ridge_scale` shrinks word weights more than usual (above 1) or less.
    """
    if len(rows) < _TOO_FEW:
        raise TooFewPromptsError(
            f"{len(rows)} prompts are too few. Training needs at least {_TOO_FEW}."
        )
    is_problem = ~data.full.has_options[rows]
    problems, with_options = _or_all(rows, is_problem), _or_all(rows, ~is_problem)
    with_assumed = np.concatenate((rows, data.assumed))
    is_problem = np.concatenate((is_problem, np.zeros(len(data.assumed), dtype=np.bool_)))
    choices, arithmetic, for_open = (
        head._replace(words=head.words._replace(ridge=head.words.ridge * ridge_scale))
        for head in (CHOICES, ARITHMETIC, OPEN)
    )
    gated = data.open.embedding[with_assumed]
    if open_prompts is not None:
        others = open_prompts.embeddings
        gated = np.concatenate((gated, others))
        is_problem = np.concatenate((is_problem, np.zeros(len(others), dtype=np.bool_)))
    model = LocalModel(
        choices=fit_head(data.full, rows, choices, seed, word_rows=with_options),
        arithmetic=fit_head(data.open, problems, arithmetic, seed),
        open=fit_head(data.open, with_assumed, for_open, seed),
        gate=fit_gate(gated, is_problem),
    )
    if open_prompts is None:
        return model
    level = float(np.median(gains(model, data.full, rows[:: max(1, len(rows) // _LEVELED)])))
    return replace(model, prior=fit_prior(model.open, open_prompts, level))


def fit_head(
    examples: Examples,
    rows: Rows,
    settings: HeadSettings,
    seed: int,
    word_rows: Rows | None = None,
) -> Head:
    """``word_rows`` are the rows that words and pairs are fitted on, where not all of ``rows``."""
    spoken = rows if word_rows is None else word_rows
    gain = examples.strong - examples.weak
    strong, weak = examples.strong[rows], examples.weak[rows]
    structure, embedding = examples.structure[rows], examples.embedding[rows]
    dense_input = fit_dense(structure, embedding, settings.directions)
    dense = dense_input(structure, embedding)
    counts = sp.csr_matrix(examples.counts[spoken])
    return Head(
        dense=dense_input,
        words=fit_words(counts, examples.keys, gain[spoken], settings.words),
        logit=fit_logit(dense, strong, weak, settings.strength),
        trees=fit_trees(dense, gain[rows], settings.trees, seed),
    )


def _or_all(rows: Rows, of_kind: NDArray[np.bool_]) -> Rows:
    return rows[of_kind] if np.count_nonzero(of_kind) >= _TOO_FEW else rows


def gains(model: LocalModel, examples: Examples, rows: Rows) -> Floats:
    """The gain of each row, as for a live prompt."""
    return np.array(
        [
            model.gain(examples.inputs[row], has_options=bool(examples.has_options[row]))
            for row in rows
        ],
        dtype=np.float64,
    )


def gains_by_part(model: LocalModel, examples: Examples, rows: Rows) -> Floats:
    """One row a prompt: the gains by words, logistic and trees."""
    parts = [
        model.parts(examples.inputs[row], has_options=bool(examples.has_options[row]))
        for row in rows
    ]
    return np.array(parts, dtype=np.float64).reshape(len(rows), 3)
