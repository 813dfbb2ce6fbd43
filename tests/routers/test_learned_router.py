"""The learned router's checkpoint scores as the gain model that it was fitted with, and fast."""

import time
from pathlib import Path

import numpy as np
import pytest

from experiments.analysis.learning.gain_model import GainModel, Labels
from experiments.analysis.learning.prompt_kernel import PromptKernel
from experiments.routers.checkpoints import CheckpointError, Manifest, write_checkpoint
from experiments.routers.features import featurise
from experiments.routers.learned import (
    KIND,
    LearnedRouter,
    checkpoint_arrays,
    pack,
    score_of_gain,
    shipped_router,
    stacked,
    unpack,
)
from experiments.routers.learning_features import standard_score

WORDS = ("sort", "prove", "paint", "translate", "sum", "explain", "graph", "poem", "law", "cell")


def prompts(count: int) -> list[str]:
    rng = np.random.default_rng(3)
    return [f"{' '.join(rng.choice(WORDS, 6))} number {at}." for at in range(count)]


def fitted(count: int, domain: int = 1) -> tuple[GainModel, Labels, np.ndarray, np.ndarray]:
    """A model of prompts of two domains, with its labels, coefficients and fresh gains."""
    seen = [shipped_router().look(featurise(text)) for text in prompts(count)]
    domains = np.arange(count) % 2
    prior = standard_score(np.array([one.prior for one in seen]))
    model = GainModel(PromptKernel(stacked(seen, domains)), prior, np.arange(count))
    rows = np.concatenate((np.arange(0, count, 2), np.arange(0, count, 3)))
    rng = np.random.default_rng(5)
    labels = Labels(rows, rng.random(len(rows)) < 0.5, rng.random(len(rows)).astype(np.float32))
    gains = model.gains(labels, np.arange(count))
    return model, labels, gains.coefficients, gains.fresh


def written(folder: Path, count: int, **settings: str) -> LearnedRouter:
    model, labels, coefficients, _ = fitted(count)
    arrays = checkpoint_arrays(model, labels, coefficients, domain=1)
    settings = {"shipped": shipped_router().router.sha256, **settings}
    write_checkpoint(folder, arrays, Manifest(KIND, "tests", "", "", settings=settings))
    return LearnedRouter.load(folder)


def test_it_gives_the_gains_of_the_model(tmp_path: Path) -> None:
    router = written(tmp_path, 60)
    fresh = fitted(60)[3]
    for at, text in enumerate(prompts(60)):
        if at % 2 == 1:  # of the domain that the checkpoint is for
            found = router.gain(shipped_router().look(featurise(text)))
            assert found == pytest.approx(float(fresh[at]), abs=2e-5)


def test_a_score_lies_between_0_and_1_in_the_order_of_the_gains(tmp_path: Path) -> None:
    scores = [score_of_gain(gain) for gain in (-1.5, -0.1, 0.0, 0.2, 1.5)]
    assert scores == sorted(scores)
    assert scores[2] == 0.5
    assert 0 < scores[0] < scores[-1] < 1
    assert 0 < written(tmp_path, 20).score(featurise("Sort a list.")) < 1


def test_an_input_is_the_same_after_packing() -> None:
    seen = shipped_router().look(featurise("Prove that the square root of two is irrational."))
    found = unpack(pack(seen))
    assert (seen.words == found.words).all()
    assert (seen.embedding == found.embedding).all()
    assert (seen.structure == found.structure).all()
    assert seen.prior == found.prior


def test_a_packed_input_holds_no_word() -> None:
    packed = pack(shipped_router().look(featurise("perspicacious aardvark")))
    assert b"perspicacious" not in packed
    assert b"aardvark" not in packed


def test_a_checkpoint_for_another_shipped_router_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="another shipped router"):
        written(tmp_path, 20, shipped="0" * 64)


def test_scoring_takes_less_than_a_millisecond_with_the_most_labels(tmp_path: Path) -> None:
    model, labels, coefficients, _ = fitted(40)
    arrays = dict(checkpoint_arrays(model, labels, coefficients, domain=1))
    for name in ("embedding", "embedding_parts", "structure", "structure_squares"):
        arrays[name] = np.resize(arrays[name], (2_500, *arrays[name].shape[1:]))
    arrays["structure_parts"] = np.resize(arrays["structure_parts"], 2_500)
    settings = {"shipped": shipped_router().router.sha256}
    write_checkpoint(tmp_path, arrays, Manifest(KIND, "tests", "", "", settings=settings))
    router = LearnedRouter.load(tmp_path)
    # Other work on the machine makes some stretches slow: the fastest one counts.
    medians = [np.median([seconds(router, text) for text in prompts(60)]) for _ in range(6)]
    assert min(medians) < 0.001


def seconds(router: LearnedRouter, text: str) -> float:
    """Of one score, without computing the features that all routers share."""
    features = featurise(text)
    started = time.thread_time()
    router.score(features)
    return time.thread_time() - started
