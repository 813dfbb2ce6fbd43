"""A trained local model as named arrays and back, for a safetensors file."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from experiments.routers.heads import (
    DenseInput,
    Gate,
    Head,
    LocalModel,
    LogitBlock,
    TreeBlock,
    WordBlock,
)
from experiments.routers.open_prior import OpenPrior

Arrays = Mapping[str, NDArray[Any]]
Block = TypeVar("Block", DenseInput, Gate, LogitBlock, OpenPrior, TreeBlock, WordBlock)

_HEAD_PARTS = (
    ("dense", DenseInput),
    ("words", WordBlock),
    ("logit", LogitBlock),
    ("trees", TreeBlock),
)
_HALF_PRECISION = frozenset({"words.rarity", "words.weights"})


def to_arrays(model: LocalModel) -> dict[str, NDArray[Any]]:
    """Every array and number of the model. Word weights are rounded to half precision."""
    arrays = {}
    for head in ("choices", "arithmetic", "open"):
        for part, _ in _HEAD_PARTS:
            for name, value in _fields(getattr(getattr(model, head), part)):
                half = f"{part}.{name}" in _HALF_PRECISION
                arrays[f"{head}.{part}.{name}"] = value.astype(np.float16) if half else value
    for name, value in _fields(model.gate):
        arrays[f"gate.{name}"] = value
    if model.prior is not None:
        for name, value in _fields(model.prior):
            arrays[f"prior.{name}"] = value
    return arrays


def from_arrays(arrays: Arrays) -> LocalModel:
    """Raises ``KeyError`` when an array is missing."""
    return LocalModel(
        choices=_head(arrays, "choices"),
        arithmetic=_head(arrays, "arithmetic"),
        open=_head(arrays, "open"),
        gate=_block(Gate, arrays, "gate"),
        prior=_block(OpenPrior, arrays, "prior") if "prior.level" in arrays else None,
    )


def _head(arrays: Arrays, name: str) -> Head:
    return Head(
        dense=_block(DenseInput, arrays, f"{name}.dense"),
        words=_block(WordBlock, arrays, f"{name}.words"),
        logit=_block(LogitBlock, arrays, f"{name}.logit"),
        trees=_block(TreeBlock, arrays, f"{name}.trees"),
    )


def _fields(block: Any) -> list[tuple[str, NDArray[Any]]]:
    names = sorted(field.name for field in dataclasses.fields(block))
    return [(name, np.ascontiguousarray(getattr(block, name))) for name in names]


def _block(kind: type[Block], arrays: Arrays, prefix: str) -> Block:
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: _value(arrays[f"{prefix}.{name}"]) for name in names})


def _value(array: NDArray[Any]) -> Any:
    if array.ndim == 0 or array.shape == (1,):
        return array.reshape(()).item()
    return array.astype(np.float32) if array.dtype == np.float16 else array
