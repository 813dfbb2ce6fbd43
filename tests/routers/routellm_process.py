"""What runs in the process with RouteLLM: the tests' functions, and the making of checkpoints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "prove", "that", "hello", "##s", "?", "the"]
MODELS = ["gpt-4-1106-preview", "mixtral-8x7b-instruct-v0.1", "llama-13b", "vicuna-7b"]
BATTLES = 60


class ForeignError(Exception):
    """A third party's exception: unpickling the original would import RouteLLM into the tests."""


def run(function: Callable[..., Result], *arguments: object) -> Result:
    try:
        return function(*arguments)
    except Exception as error:
        if type(error).__module__.partition(".")[0] in {"builtins", "experiments"}:
            raise
        raise ForeignError(f"{type(error).__name__}: {error}") from None


def make_checkpoints(folder: Path, dimensions: int) -> None:
    """`mf`, `bert`, `battles` and `embeddings`, the same every time."""
    make_mf(folder / "mf", dimensions)
    make_bert(folder / "bert")
    make_battles(folder / "battles", folder / "embeddings", dimensions)


def make_mf(folder: Path, dimensions: int) -> None:
    import torch
    from routellm.routers.matrix_factorization.model import MFModel

    torch.manual_seed(0)
    model = MFModel(dim=8, num_models=64, text_dim=dimensions, num_classes=1, use_proj=True)
    model.save_pretrained(folder)


def make_bert(folder: Path) -> None:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=64,
        num_labels=3,
    )
    BertForSequenceClassification(shape).save_pretrained(folder)
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    BertTokenizerFast(vocab=vocabulary, model_max_length=64).save_pretrained(folder)


def make_battles(battles: Path, embeddings: Path, dimensions: int) -> None:
    import pandas as pd

    random = np.random.default_rng(0)
    rows = []
    for number in range(BATTLES):
        first, second = random.choice(len(MODELS), 2, replace=False)
        winner = random.integers(3)
        rows.append(
            {
                "model_a": MODELS[first],
                "model_b": MODELS[second],
                "prompt": json.dumps([f"Question number {number}, long enough to be kept."]),
                "winner_model_a": int(winner == 0),
                "winner_model_b": int(winner == 1),
                "winner_tie": int(winner == 2),
            }
        )
    vectors = random.normal(size=(BATTLES, dimensions))
    for path, frame in (
        (battles, pd.DataFrame(rows)),
        (embeddings, pd.DataFrame({"embeddings": list(vectors)})),
    ):
        path.mkdir()
        frame.to_parquet(path / "train.parquet")
