"""Static embedding of a prompt: the mean of one stored vector per word piece, at unit length.

The vectors are distilled from all-MiniLM-L6-v2 (``manage.py distill_embedding``) and stored as
eight-bit integers with one scale per row. Looking them up needs no lock: a loaded embedding is
never changed, apart from a dictionary of words already split, whose single writes are atomic.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.routers.checkpoints import (
    SHIPPED,
    CheckpointError,
    Manifest,
    read_checkpoint,
    read_manifest,
    write_checkpoint,
)

Vector = NDArray[np.float32]

KIND = "embedding"
CHECKPOINT = SHIPPED / KIND
VOCABULARY_FILE = "vocabulary.txt"

_REMEMBERED_WORDS = 50_000
_LONGEST_WORD = 100


@dataclass(frozen=True, eq=False)
class StaticEmbedding:
    """Word pieces to vectors. ``rows[i] * scales[i]`` is the vector of piece number ``i``."""

    pieces: dict[str, int]
    rows: NDArray[np.int8]
    scales: Vector
    longest_piece: int
    _split: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False)

    @property
    def dimensions(self) -> int:
        return int(self.rows.shape[1])

    def embed(self, tokens: Sequence[str]) -> Vector:
        """The unit-length mean vector of these tokens; all zeros when none of them is known."""
        known = self._split
        ids: list[int] = []
        for token in tokens:
            found = known.get(token)
            ids += self.ids(token) if found is None else found
        if not ids:
            return np.zeros(self.dimensions, dtype=np.float32)
        at = np.array(ids, dtype=np.intp)
        total = self.scales.take(at) @ self.rows.take(at, axis=0)
        length = float(np.sqrt(total @ total))
        return np.asarray(total / length if length > 0 else total, dtype=np.float32)

    def ids(self, word: str) -> tuple[int, ...]:
        """The numbers of a word's pieces, from frequent (low) to rare; none for an unknown word."""
        known = self._split.get(word)
        if known is None:
            known = tuple(self._pieces_of(word))
            if len(self._split) < _REMEMBERED_WORDS:
                self._split[word] = known
        return known

    def _pieces_of(self, word: str) -> Iterator[int]:
        """WordPiece: the longest known beginning, then the longest known continuations.

        A word with a part that is not in the vocabulary has no pieces at all, as in BERT.
        """
        if word in self.pieces:
            return iter((self.pieces[word],))
        found: list[int] = []
        start = 0
        while start < len(word) <= _LONGEST_WORD:
            end = self._end_of_piece(word, start)
            if end == start:
                return iter(())
            found.append(self.pieces[_piece(word, start, end)])
            start = end
        return iter(found)

    def _end_of_piece(self, word: str, start: int) -> int:
        for end in range(min(len(word), start + self.longest_piece), start, -1):
            if _piece(word, start, end) in self.pieces:
                return end
        return start


def _piece(word: str, start: int, end: int) -> str:
    return word[start:end] if start == 0 else f"##{word[start:end]}"


def from_float_rows(vocabulary: Sequence[str], vectors: Vector) -> StaticEmbedding:
    """Round each row to eight bits; the largest absolute value of a row becomes 127."""
    scales = np.maximum(np.abs(vectors).max(axis=1), 1e-12).astype(np.float32) / np.float32(127)
    rows = np.rint(vectors / scales[:, None]).astype(np.int8)
    return _assemble(vocabulary, rows, scales)


def save_embedding(embedding: StaticEmbedding, folder: Path, manifest: Manifest) -> None:
    write_checkpoint(folder, {"rows": embedding.rows, "scales": embedding.scales}, manifest)
    (folder / VOCABULARY_FILE).write_text("\n".join(embedding.pieces) + "\n", encoding="utf-8")


def load_embedding(folder: Path = CHECKPOINT) -> StaticEmbedding:
    """Read and verify. Raises ``CheckpointError``."""
    arrays = read_checkpoint(folder, KIND).arrays
    text = (folder / VOCABULARY_FILE).read_text(encoding="utf-8")
    vocabulary = text.split("\n")[:-1]
    if len(vocabulary) != len(arrays["rows"]):
        raise CheckpointError(
            f"{folder / VOCABULARY_FILE} has {len(vocabulary)} lines for {len(arrays['rows'])} "
            "vectors. Restore it from the repository or run `manage.py distill_embedding`."
        )
    return _assemble(vocabulary, arrays["rows"], arrays["scales"])


@functools.cache
def default_embedding() -> StaticEmbedding:
    """The shipped embedding, read once per process."""
    return load_embedding()


@functools.cache
def embedding_sha256() -> str:
    return read_manifest(CHECKPOINT, KIND).sha256


def require_same_embedding(folder: Path, sha256: str) -> None:
    """Weights trained on another embedding would give meaningless scores."""
    if sha256 != embedding_sha256():
        raise CheckpointError(
            f"{folder} was trained on another embedding. Train it again with `manage.py "
            "train_router`, or restore the embedding it was trained on."
        )


def _assemble(vocabulary: Sequence[str], rows: NDArray[np.int8], scales: Vector) -> StaticEmbedding:
    pieces = {piece: index for index, piece in enumerate(vocabulary)}
    longest = max(len(piece.removeprefix("##")) for piece in vocabulary)
    return StaticEmbedding(pieces, rows, scales, longest)
