"""The learned router: how much better the strong model's answer is, from pairs and ratings.

A Gaussian process (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006,
chapter 2), which is ridge regression on the kernel's features. A prompt x has a level m(x), the
mean quality of both answers, and a gain g(x). The strong model's answer has quality m + g/2, the
weak one's m - g/2. A pair shows both; chosen feedback shows one of them, and the level carries what
it says about the other. Given the features, who was chosen depends on the prompt only, so feedback
needs no weights while the model holds; the comparison with the shipped router uses the pairs' known
odds.

The gain's mean before any label is a multiple of the shipped router's score: with few labels the
learned router orders prompts as the shipped one does.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.learning.prompt_kernel import Matrix, PromptKernel, Rows

MOST_LABELS = 2_500

_JITTER = 1e-3
_DOTS_AT_A_TIME = 4_096


@dataclass(frozen=True)
class GainPrior:
    """Variances before any label, in squared quality, and the shipped router's part.

    `gain` and `level` scale the kernel; no feature explains `gain_noise` and `level_noise`.
    `shipped_slope` is the expected gain for one unit of the standardized shipped score, with the
    standard deviation `shipped_doubt`; `level_slope` the level's variance in that direction.
    """

    gain: float = 0.06
    level: float = 0.10
    gain_noise: float = 0.25
    level_noise: float = 0.10
    shipped_slope: float = 0.08
    shipped_doubt: float = 0.15
    level_slope: float = 0.01


class Labels(NamedTuple):
    """One row a rating: which prompt, whether the strong model's answer was rated, its quality."""

    rows: Rows
    strong: NDArray[np.bool_]
    quality: Matrix


class Gains(NamedTuple):
    """Expected gains. `fresh`: of all prompts; `held_out`: each without the labels of its unit.

    `residuals`: each label's quality minus what the other units' labels let expect. `coefficients`:
    each label's part in the sum of kernels that `fresh` is.
    """

    fresh: Matrix
    held_out: Matrix
    residuals: Matrix
    coefficients: Matrix


@dataclass(frozen=True, eq=False)
class GainModel:
    """What all rounds share: the kernel, each prompt's unit and standardized shipped score."""

    kernel: PromptKernel
    shipped: Matrix
    units: Rows
    prior: GainPrior = field(default_factory=GainPrior)

    def gains(self, labels: Labels, rows: Rows) -> Gains:
        """Fit on `labels` and estimate the gains of `rows`, with and without their own unit."""
        prior_gain = np.float32(self.prior.shipped_slope) * self.shipped
        if not len(labels.rows):
            nothing = np.zeros(0, dtype=np.float32)
            return Gains(prior_gain[rows], prior_gain[rows], nothing, nothing)
        side = np.where(labels.strong, 0.5, -0.5).astype(np.float32)
        level = labels.quality.mean()
        residual = labels.quality - level - side * prior_gain[labels.rows]
        # Scoring imports this module, and does without SciPy.
        from scipy.linalg import cho_factor, cho_solve, lapack  # noqa: PLC0415

        factor = cho_factor(self._covariance(labels.rows, side), lower=True, check_finite=False)
        alpha = cho_solve(factor, residual, check_finite=False)
        cross = self._gain_kernel(rows, labels.rows) * side
        fresh = prior_gain[rows] + cross @ alpha
        lower, _ = lapack.spotri(factor[0], lower=1)
        inverse = np.tril(lower) + np.tril(lower, -1).T
        units, label_units = self.units[rows], self.units[labels.rows]
        residuals = _residuals(inverse, alpha, label_units)
        own = _own_part(inverse, residuals, cross, units, label_units)
        return Gains(fresh, fresh - own, residuals, side * alpha)

    def _covariance(self, rows: Rows, side: Matrix) -> Matrix:
        """Of the ratings: kernel of level and gain, and noise that ratings of one prompt share."""
        prior = self.prior
        kernel = self.kernel(rows, rows)
        sides = side[:, None] * side
        slopes = self.shipped[rows][:, None] * self.shipped[rows]
        same = rows[:, None] == rows
        covariance = kernel * (prior.level + prior.gain * sides)
        covariance += slopes * (prior.level_slope + prior.shipped_doubt**2 * sides)
        covariance += same * (prior.level_noise + prior.gain_noise * sides)
        covariance[np.diag_indices(len(rows))] += _JITTER
        return np.asarray(covariance, dtype=np.float32)

    def _gain_kernel(self, rows: Rows, columns: Rows) -> Matrix:
        slopes = self.shipped[rows][:, None] * self.shipped[columns]
        kernel = self.prior.gain * self.kernel(rows, columns)
        return np.asarray(kernel + self.prior.shipped_doubt**2 * slopes, dtype=np.float32)


def newest(labels: Labels, paired: NDArray[np.bool_]) -> Labels:
    """At most 2,500 labels, oldest first: those of pairs before others, new before old."""
    if len(labels.rows) <= MOST_LABELS:
        return labels
    order = np.lexsort((labels.rows, paired[labels.rows]))[-MOST_LABELS:]
    order.sort()
    return Labels(labels.rows[order], labels.strong[order], labels.quality[order])


def _own_part(
    inverse: Matrix, residuals: Matrix, cross: Matrix, units: Rows, label_units: Rows
) -> Matrix:
    """What each prompt's own unit adds to its estimate (the closed form of refitting)."""
    own = np.zeros(len(units), dtype=np.float32)
    at, label = _same_unit(units, label_units)
    for start in range(0, len(at), _DOTS_AT_A_TIME):
        part = slice(start, start + _DOTS_AT_A_TIME)
        dots = np.einsum("ij,ij->i", cross[at[part]], inverse[label[part]])
        np.add.at(own, at[part], dots * residuals[label[part]])
    return own


def _residuals(inverse: Matrix, alpha: Matrix, units: Rows) -> Matrix:
    """For each unit I: the solution of inverse[I, I] x = alpha[I]. Units of one size at once."""
    residuals = np.empty_like(alpha)
    order = np.argsort(units, kind="stable")
    _, starts, sizes = np.unique(units[order], return_index=True, return_counts=True)
    for size in np.unique(sizes):
        members = order[starts[sizes == size][:, None] + np.arange(size)]
        blocks = inverse[members[:, :, None], members[:, None, :]]
        residuals[members] = np.linalg.solve(blocks, alpha[members][:, :, None])[:, :, 0]
    return residuals


def _same_unit(units: Rows, label_units: Rows) -> tuple[Rows, Rows]:
    """All (prompt, label) with the same unit, as two arrays of positions."""
    order = np.argsort(label_units, kind="stable")
    ordered = label_units[order]
    first = np.searchsorted(ordered, units, side="left")
    count = np.searchsorted(ordered, units, side="right") - first
    at = np.repeat(np.arange(len(units)), count)
    offset = np.arange(len(at)) - np.repeat(np.cumsum(count) - count, count)
    return at, order[np.repeat(first, count) + offset]
