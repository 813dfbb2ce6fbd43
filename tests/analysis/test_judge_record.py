"""A judge's record against people: literal cases, and the worth measured on simulated labels."""

import numpy as np
import pytest

from experiments.analysis.errors import GradeError
from experiments.analysis.judge_record import (
    JudgedPair,
    JudgeRecord,
    judge_bias,
    judge_record,
    labels_worth,
)
from experiments.analysis.ratings import Estimate


def pairs_of(rng: np.random.Generator, agreement: float, size: int) -> list[JudgedPair]:
    people, other = rng.choice([-1.0, 0.0, 1.0], p=[0.2, 0.6, 0.2], size=(2, size))
    judge = np.where(rng.random(size) < agreement, people, other)
    return [JudgedPair(float(a), float(b)) for a, b in zip(people, judge, strict=True)]


def test_the_same_winner_and_a_tie_for_both_agree() -> None:
    record = judge_record(
        [JudgedPair(1, 0.5), JudgedPair(0, 0), JudgedPair(-0.5, 0), JudgedPair(-1, 1)]
    )
    assert record.pairs == 4
    assert record.agreement is not None
    assert record.agreement.value == 0.5
    assert record.lead is not None
    assert record.lead.value == pytest.approx((-0.5 + 0 + 0.5 + 2) / 4)
    assert record.correlation is None  # fewer than 30 pairs


def test_of_no_pairs_there_is_no_record() -> None:
    assert judge_record([]) == JudgeRecord(0, None, None, None)


def test_a_judge_that_always_says_the_same_has_no_correlation() -> None:
    assert judge_record([JudgedPair(at % 3 - 1, 1) for at in range(60)]).correlation is None


def test_interval_of_the_correlation_of_wins_and_losses() -> None:
    """For -1 and 1 alone the influence is x y - r, and its deviation sqrt(1 - r^2)."""
    people = [1.0] * 51 + [-1.0] * 51
    judge = [1.0] * 38 + [-1.0] * 13 + [1.0] * 13 + [-1.0] * 38
    pairs = [JudgedPair(a, b) for a, b in zip(people, judge, strict=True)]
    found = judge_record(pairs).correlation
    assert found is not None
    r = (76 - 26) / 102
    half = 1.959964 / np.sqrt(102 * (1 - r * r))
    assert found.value == pytest.approx(r)
    assert found.low == pytest.approx(np.tanh(np.arctanh(r) - half), abs=1e-6)
    assert found.high == pytest.approx(np.tanh(np.arctanh(r) + half), abs=1e-6)


def test_intervals_of_the_correlation_cover() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(300):
        found = judge_record(pairs_of(rng, 0.6, 120)).correlation
        assert found is not None
        covered += found.low <= 0.6 <= found.high
    assert covered >= 0.92 * 300


def test_bias_towards_the_longer_answer() -> None:
    longer = [1.0, -1.0, 1.0, 0.0, -1.0]
    pairs = [JudgedPair(0, side / 2) for side in longer]
    found = judge_bias(pairs, longer)
    assert found is not None
    assert found.value == 0.5
    assert judge_bias([JudgedPair(0, 0)], [0.0]) is None
    with pytest.raises(GradeError, match="2 properties"):
        judge_bias(pairs, [1.0, -1.0])


def record_with(r: float) -> JudgeRecord:
    return JudgeRecord(100, None, None, Estimate(r, r - 0.1, min(1.0, r + 0.1)))


def test_a_perfect_judge_replaces_everyone_and_a_random_one_no_one() -> None:
    perfect, random, opposite = (labels_worth(record_with(r), asked=0.3) for r in (1.0, 0.0, -0.8))
    assert perfect is not None
    assert random is not None
    assert opposite is not None
    assert perfect.value == pytest.approx(70)
    assert random.value == pytest.approx(0)
    assert opposite.value == pytest.approx(0)


def test_the_worth_is_what_the_variance_says() -> None:
    """With and without the judge, over simulated batches of 400 pairs, a quarter of them asked."""
    rng, asked, size, batches = np.random.default_rng(9), 0.25, 400, 3_000
    people, other = rng.choice([-1.0, 0.0, 1.0], p=[0.2, 0.6, 0.2], size=(2, batches, size))
    judge = np.where(rng.random((batches, size)) < 0.8, people, other)
    person = rng.random((batches, size)) < asked
    with_judge = (0.8 * judge + np.where(person, people - 0.8 * judge, 0) / asked).mean(axis=1)
    equal_labels = people.var() / with_judge.var()
    found = labels_worth(record_with(0.8), asked=asked, verdicts=size)
    assert found is not None
    assert found.value + asked * size == pytest.approx(equal_labels, rel=0.08)


def test_impossible_input_is_refused() -> None:
    with pytest.raises(GradeError, match="between -1 and 1"):
        judge_record([JudgedPair(1.5, 0)])
    with pytest.raises(GradeError, match="between -1 and 1"):
        judge_record([JudgedPair(float("nan"), 0)])
    with pytest.raises(GradeError, match="asked"):
        labels_worth(record_with(0.5), asked=0)
