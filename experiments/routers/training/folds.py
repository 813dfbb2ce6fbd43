"""Folds: single questions, or whole groups (MMLU subjects)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Folds = NDArray[np.int64]

NEVER_HELD_OUT = -1
N_FOLDS = 5


def question_folds(n: int, seed: int) -> Folds:
    """A fold number from 0 to 4 for each of n rows, as equal in size as can be."""
    return _dealt(n, seed)


def group_folds(groups: Sequence[str], held_out: NDArray[np.bool_], seed: int) -> Folds:
    """Rows of one group share a fold. Rows that are not held out are always training rows."""
    names = np.array(groups)
    candidates = np.unique(names[held_out])
    fold_of = dict(zip(candidates.tolist(), _dealt(len(candidates), seed).tolist(), strict=True))
    dealt = [fold_of.get(name, NEVER_HELD_OUT) for name in names.tolist()]
    return np.where(held_out, np.array(dealt, dtype=np.int64), NEVER_HELD_OUT)


def _dealt(n: int, seed: int) -> Folds:
    folds = np.empty(n, dtype=np.int64)
    folds[np.random.default_rng(seed).permutation(n)] = np.arange(n) % N_FOLDS
    return folds
