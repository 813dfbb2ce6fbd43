"""Folds, fitted blocks and calibration of the local routers."""

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression

from experiments.routers.features import Grams
from experiments.routers.outcomes import read_outcomes
from experiments.routers.training.calibration import domain_thresholds, fit_win_rate
from experiments.routers.training.crossval import held_out_scores, splits
from experiments.routers.training.estimators import (
    TreeSettings,
    WordSettings,
    fit_dense,
    fit_logit,
    fit_trees,
    fit_words,
)
from experiments.routers.training.folds import group_folds, question_folds
from tests.routers.outcome_files import make_evals

GENERATOR = np.random.default_rng(7)
DENSE = GENERATOR.normal(size=(400, 6)).astype(np.float32)
GAIN = DENSE[:, 0] + (DENSE[:, 1] > 0.5) + GENERATOR.normal(size=400)


def test_question_folds_are_equal_in_size_and_seeded() -> None:
    folds = question_folds(103, seed=1)

    assert sorted(np.bincount(folds).tolist()) == [20, 20, 21, 21, 21]
    assert folds.tolist() == question_folds(103, seed=1).tolist()
    assert folds.tolist() != question_folds(103, seed=2).tolist()


def test_group_folds_keep_groups_together() -> None:
    groups = ["a", "b", "c", "d", "e", "f", "gsm8k"] * 3
    held_out = np.array([group != "gsm8k" for group in groups])

    folds = group_folds(groups, held_out, seed=0)

    assert all(len(set(folds[np.array(groups) == group].tolist())) == 1 for group in "abcdef")
    assert set(folds[~held_out].tolist()) == {-1}
    assert set(folds[held_out].tolist()) == {0, 1, 2, 3, 4}


def test_nothing_is_scored_by_a_fit_that_saw_it(tmp_path: Path) -> None:
    outcomes = read_outcomes(make_evals(tmp_path, per_subject=4, problems=10))
    groups = np.array(outcomes.groups)

    class Spy:
        names: ClassVar[tuple[str, ...]] = ("spy",)

        def __call__(self, train: np.ndarray, held_out: np.ndarray) -> np.ndarray:
            assert not set(train.tolist()) & set(held_out.tolist())
            seen.append((train, held_out))
            return np.zeros((len(held_out), 1))

    for split in splits(outcomes, repeats=1, group_seeds=1):
        seen: list[tuple[np.ndarray, np.ndarray]] = []
        scores = held_out_scores(Spy(), split.folds)
        if split.scheme == "groups":
            assert all(not set(groups[a]) & set(groups[b]) for a, b in seen)
            assert set(groups[np.isnan(scores[:, 0])]) == {"gsm8k"}
        else:
            assert not np.isnan(scores).any()


def test_exported_trees_say_what_scikit_learn_says() -> None:
    settings = TreeSettings(trees=30, rate=0.1, depth=3, least_leaf=10)
    block = fit_trees(DENSE, GAIN, settings, seed=0)
    model = HistGradientBoostingRegressor(
        learning_rate=0.1,
        max_iter=30,
        max_depth=3,
        min_samples_leaf=10,
        l2_regularization=settings.shrinkage,
        early_stopping=False,
        random_state=0,
    ).fit(DENSE, GAIN)

    ours = [block.gain(row) for row in DENSE[:50]]
    assert ours == pytest.approx(model.predict(DENSE[:50]).tolist(), abs=1e-9)


def test_logit_is_the_difference_of_two_probabilities() -> None:
    strong, weak = (GAIN > 0).astype(float), (GAIN > 1).astype(float)
    block = fit_logit(DENSE, strong, weak, strength=1.0)
    of_strong, of_weak = (
        LogisticRegression(C=1.0, max_iter=500).fit(DENSE, right).predict_proba(DENSE[:1])[0, 1]
        for right in (strong, weak)
    )

    assert block.gain(DENSE[0]) == pytest.approx(of_strong - of_weak, abs=1e-2)


def test_a_half_right_answer_counts_half() -> None:
    half = fit_logit(DENSE, np.full(400, 0.5), np.full(400, 0.25), strength=1e-6)

    assert half.gain(DENSE[0]) == pytest.approx(0.25, abs=1e-3)


def test_words_seen_once_have_no_weight_and_unknown_ones_no_say() -> None:
    keys = np.array([5, 9, 12], dtype=np.uint32)
    counts = sp.csr_matrix(np.array([[1, 0, 0], [2, 0, 1], [0, 1, 0], [0, 2, 0]], dtype=np.float32))
    gain = np.array([1.0, 1.0, 0.0, 0.0])
    block = fit_words(counts, keys, gain, WordSettings(dampened=True, ridge=0.01))

    def estimate(*of: int) -> float:
        found = np.array(of, dtype=np.uint32)
        return block.gain(Grams(found, np.ones(len(found), dtype=np.float32)))

    assert block.keys.tolist() == [5, 9]
    assert estimate(5) == pytest.approx(1.0, abs=0.02)
    assert estimate(9) == pytest.approx(0.0, abs=0.02)
    assert estimate(12) == estimate(4_000_000_000) == estimate() == pytest.approx(0.5)


def test_dense_input_is_standardised_and_clipped() -> None:
    embedding = GENERATOR.normal(size=(400, 8)).astype(np.float32)
    dense = fit_dense(DENSE, embedding, directions=2)

    inside = dense(DENSE, embedding)
    assert inside.shape == (400, 8)
    assert inside.mean(axis=0) == pytest.approx(np.zeros(8), abs=0.01)
    assert dense(DENSE[0] + 1e6, embedding[0])[:6].tolist() == [5.0] * 6


def test_win_rate_is_the_share_of_differing_prompts_that_strong_wins() -> None:
    strong = np.array([1.0] * 30 + [0.0] * 10 + [1.0] * 60)
    weak = np.array([0.0] * 30 + [1.0] * 10 + [1.0] * 60)
    gains = np.concatenate((np.tile([0.1, 0.2, 0.3], 10), np.tile([0.1, 0.2], 5), np.zeros(60)))

    win_rate = fit_win_rate(gains, strong, weak)

    assert win_rate(-1.0) < win_rate(0.1) < win_rate(0.3) < 1.0
    differing = [win_rate(gain) for gain in gains[:40]]
    assert np.mean(differing) == pytest.approx(0.75, abs=1e-3)


def test_thresholds_need_fifty_prompts_of_a_domain() -> None:
    scores = np.arange(100) / 100
    domains = ["legal"] * 60 + ["medical"] * 40

    assert domain_thresholds(scores, domains, 0.5) == {"overall": 0.5, "legal": 0.3}


def test_scoring_imports_neither_pytorch_nor_scikit_learn_nor_routellm() -> None:
    code = (
        "import sys; from experiments.routers.loading import load_router as load;"
        "from experiments.routers.features import featurise;"
        "[load(name).score(featurise('x')) for name in ('local', 'local_mf')];"
        "print(sorted({'torch', 'sklearn', 'scipy', 'routellm', 'django'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.stderr) == ("[]", "")
