"""Traffic of the proof is what `decide` would have answered, drawn by the product's own hash."""

import numpy as np
import pytest

from benchmarks import simulations
from benchmarks.logged_traffic import (
    LoggingPolicy,
    Questions,
    Rated,
    Traffic,
    bucket_indexes,
    read_questions,
)
from benchmarks.off_policy import Setting, candidates, details, measure, summary
from experiments.analysis.off_policy.estimates import STRONG, WEAK
from experiments.core.bucketing import bucket_index
from experiments.core.policy import Method, RoutingPolicy
from experiments.routers.outcomes import PromptOutcome, from_rows

EXPLORING = RoutingPolicy(Method.ROUTELLM, "local", 0.5, "strong/model", "weak/model", epsilon=0.25)


@pytest.fixture(scope="module")
def questions() -> Questions:
    rows = [
        PromptOutcome(
            f"What is {n} times {n}? " + "Explain. " * (n % 5), 1.0, float(n % 2), "", f"g{n % 3}"
        )
        for n in range(30)
    ]
    return read_questions(from_rows(rows), [100] * 30)


def test_many_buckets_at_once_are_the_products_own() -> None:
    ids = np.random.default_rng(1).integers(97, 123, (500, 12)).astype(np.uint8)
    wanted = [bucket_index("some seed", bytes(row).decode()) for row in ids]
    assert bucket_indexes("some seed", ids).tolist() == wanted


def test_traffic_goes_where_its_odds_say(questions: Questions) -> None:
    traffic = Traffic(questions, LoggingPolicy("explores", EXPLORING))
    drawn = traffic.draw(np.random.default_rng(2), 4000, Rated(1.0))
    log = drawn.log
    usual = questions.scores["local"][drawn.question] >= 0.5
    assert set(np.unique(log.odds)) == {0.25, 0.75}
    assert (log.odds[:, STRONG] == np.where(usual, 0.75, 0.25)).all()
    explored = (log.took == STRONG) != usual
    assert explored.mean() == pytest.approx(0.25, abs=0.01)
    assert set(log.took) == {WEAK, STRONG}
    rated = np.isfinite(log.rating)
    rows = np.arange(len(log))[rated]
    assert (log.rating[rated] == questions.quality[drawn.question, log.took][rows]).all()


def test_ten_policies_are_held_against_the_truth(questions: Questions) -> None:
    setting = Setting(LoggingPolicy("explores", EXPLORING), 300, Rated(0.9))
    lines = measure(questions, setting, 3, np.random.default_rng(3))
    assert len(candidates(questions)) == 10
    assert len(lines) == 20
    strong = next(
        one for one in lines if (one.candidate, one.metric) == ("always strong", "quality")
    )
    assert strong.truth == 1.0
    assert len([*summary(lines)]) == 2 + 2
    assert len([*details(lines)]) == 2 + 20


def test_tables_of_calibration_have_their_rows() -> None:
    rng = np.random.default_rng(4)
    assert len(list(simulations.TABLES["drift"].rows(rng, 2))) == 1 + 8
