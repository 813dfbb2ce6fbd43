"""Whether a trained router may be offered."""

import numpy as np

from experiments.analysis.routing.usefulness import CONSTANT, NO_BETTER_THAN_RANDOM, shortcoming

FOLDS = np.arange(400) % 5


def outcomes(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The strong model is right, the weak one for half of the prompts."""
    return np.ones(400), np.random.default_rng(seed).integers(0, 2, 400).astype(float)


def test_a_router_that_finds_the_hard_prompts_has_none() -> None:
    strong, weak = outcomes()
    noise = np.random.default_rng(1).normal(size=400)
    assert shortcoming(strong - weak + noise, strong, weak, FOLDS, seed=0) == ""


def test_noise_is_no_better_than_random() -> None:
    strong, weak = outcomes()
    noise = np.random.default_rng(1).normal(size=400)
    assert shortcoming(noise, strong, weak, FOLDS, seed=0) == NO_BETTER_THAN_RANDOM


def test_a_reversed_order_is_no_better_than_random() -> None:
    strong, weak = outcomes()
    assert shortcoming(weak - strong, strong, weak, FOLDS, seed=0) == NO_BETTER_THAN_RANDOM


def test_one_score_a_fold_is_constant() -> None:
    strong, weak = outcomes()
    assert shortcoming(FOLDS.astype(float), strong, weak, FOLDS, seed=0) == CONSTANT


def test_no_gap_between_the_models_is_needed() -> None:
    """Each model is right on half of the prompts, and the router knows which."""
    weak = outcomes()[1]
    noise = np.random.default_rng(1).normal(size=400)
    assert shortcoming(1 - 2 * weak + noise, 1 - weak, weak, FOLDS, seed=0) == ""


def test_rows_that_were_never_held_out_do_not_count() -> None:
    strong, weak = outcomes()
    scores = strong - weak
    scores[:350] = np.nan
    assert shortcoming(scores, strong, weak, FOLDS, seed=0) == ""
