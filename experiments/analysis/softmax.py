"""Penalized softmax regression by L-BFGS, from given logits.

scikit-learn's LogisticRegression has no offsets: it cannot start from another model's logits, draw
weights towards a prior, or fit some of the classes only. Use it where none of these is needed.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[Any]


class LinearFit(NamedTuple):
    """One column for each fitted class."""

    weights: Floats
    offset: Floats


def softmax_regression(
    inputs: Any,
    target: Floats,
    start: Floats,
    shares: Floats,
    *,
    columns: NDArray[np.intp],
    penalty: float,
    offset_penalty: float = 0.0,
    iterations: int,
) -> LinearFit:
    """What to add to the logits `start` of the classes `columns`, to fit `target`.

    `inputs` is a dense or sparse matrix with one row per sample; `target` and `start` have one row
    per sample and one column per class; `shares` weigh the samples. Minimizes the cross-entropy
    plus ``penalty / 2 * |weights|^2 + offset_penalty / 2 * |offset|^2``, in the precision of
    `start`.
    """
    shape = (inputs.shape[1] + 1, len(columns))
    transposed = inputs.T.tocsr() if sp.issparse(inputs) else inputs.T

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        both = flat.astype(start.dtype).reshape(shape)
        weights, offset = both[:-1], both[-1]
        scores = start.copy()
        scores[:, columns] += inputs @ weights + offset
        scores -= scores.max(axis=1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        slope = ((np.exp(logs) - target) * shares[:, None])[:, columns]
        value = -float(shares @ (target * logs).sum(axis=1))
        value += penalty / 2 * float((weights**2).sum())
        value += offset_penalty / 2 * float((offset**2).sum())
        of_offset = slope.sum(axis=0) + offset_penalty * offset
        gradient = np.vstack((transposed @ slope + penalty * weights, of_offset))
        return value, gradient.ravel().astype(np.float64)

    options = {"maxiter": iterations}
    found = minimize(
        loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options=options
    ).x
    both = found.astype(start.dtype).reshape(shape)
    return LinearFit(both[:-1], both[-1])
