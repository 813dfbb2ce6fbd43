"""How alike two prompts are, for the gain model: a sum of four kernels.

A constant, the cosine of word and word-pair counts, a function of the cosine of the embeddings, and
a squared exponential of the distance in structure. Prompts of one task have the same wording and
structure, so a few labels say something about all of them.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Rows = NDArray[np.intp]

_MOST_CACHED_ROWS = 6_000


@dataclass(frozen=True)
class KernelShape:
    """Weights of the parts, and how far apart prompts are still alike (in their own units)."""

    constant: float = 0.3
    words: float = 0.7
    embedding: float = 0.3
    structure: float = 0.5
    domain: float = 0.3
    embedding_scale: float = 0.7
    structure_scale: float = 0.7


@dataclass(frozen=True, eq=False)
class PromptVectors:
    """One row a prompt: unit-length embedding and word counts, standard structure / sqrt(columns).

    `domains` holds a number for each prompt's domain; the same one everywhere if none is known.
    """

    words: Matrix
    embedding: Matrix
    structure: Matrix
    domains: Rows

    def __len__(self) -> int:
        return len(self.words)


@dataclass(frozen=True, eq=False)
class PromptKernel:
    """The kernel between rows of `vectors`; computed once for up to 6,000 prompts."""

    vectors: PromptVectors
    shape: KernelShape = field(default_factory=KernelShape)

    def __call__(self, rows: Rows, columns: Rows) -> Matrix:
        """The matrix of shape (rows, columns)."""
        if len(self.vectors) <= _MOST_CACHED_ROWS:
            return self._whole[np.ix_(rows, columns)]
        return self._block(rows, columns)

    @cached_property
    def _whole(self) -> Matrix:
        every = np.arange(len(self.vectors))
        return self._block(every, every)

    def _block(self, rows: Rows, columns: Rows) -> Matrix:
        shape, vectors = self.shape, self.vectors
        kernel = shape.words * (vectors.words[rows] @ vectors.words[columns].T)
        cosine = vectors.embedding[rows] @ vectors.embedding[columns].T
        kernel += shape.embedding * np.exp((cosine - 1) / np.float32(shape.embedding_scale**2))
        left, right = vectors.structure[rows], vectors.structure[columns]
        distance = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2 * left @ right.T
        scale = np.float32(2 * shape.structure_scale**2)
        kernel += shape.structure * np.exp(-np.maximum(distance, 0) / scale)
        same = vectors.domains[rows][:, None] == vectors.domains[columns]
        kernel += np.float32(shape.constant) + np.float32(shape.domain) * same
        return np.asarray(kernel, dtype=np.float32)
