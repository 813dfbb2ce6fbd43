"""Random audits: alone where they suffice, so that it does not matter who volunteers."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.analysis.errors import GradeError
from experiments.analysis.off_policy.audits import MIN_AUDITED, seen_ratings
from experiments.analysis.off_policy.curve import curve
from experiments.analysis.off_policy.estimates import STRONG, Log, WhatIf, estimate, evidence
from experiments.analysis.off_policy.nuisance import cells_of
from tests.analysis.logged_worlds import World, world


def audited(seed: int, share: float = 0.1, done: float = 1.0, units: int = 3000) -> World:
    """Unhappy users volunteer five times as often; an audit asks a share of all decisions."""
    rng = np.random.default_rng(seed)
    big = world(rng, units=units, epsilon=0.5, rated=1.0)
    n = len(big.log)
    quality = big.quality[np.arange(n), big.log.took]
    volunteers = rng.random(n) < np.where(quality > 0.5, 0.1, 0.5)
    drawn = rng.random(n) < share
    rated = np.where(drawn, rng.random(n) < done, volunteers)
    rating = np.where(rated, quality, np.nan)
    log = replace(big.log, rating=rating, audited=drawn, audits=np.zeros(n, np.int64))
    return big._replace(log=log)


def ask(log: Log) -> WhatIf:
    return estimate(evidence(log), log.score >= 0.5)


@pytest.mark.parametrize("done", [1.0, 0.7], ids=["all rated", "seven of ten rated"])
def test_intervals_of_audits_hold_the_truth_where_the_unhappy_volunteer(done: float) -> None:
    hits = {"audits": 0, "all": 0}
    runs = 60
    truth = float(np.mean([_truth(audited(seed)) for seed in range(900, 930)]))
    for seed in range(runs):
        log = audited(seed, done=done).log
        for name, asked in (("audits", log), ("all", replace(log, audited=None, audits=None))):
            found = ask(asked).quality.doubly_robust
            assert found.low is not None
            assert found.high is not None
            hits[name] += found.low <= truth <= found.high
    assert hits["audits"] >= 0.87 * runs  # 95 % less three standard errors
    assert hits["all"] <= 0.1 * runs


def _truth(big: World) -> float:
    return big.truth(big.log.score >= 0.5)[0]


def test_what_is_expected_is_learned_from_audits_alone() -> None:
    """Volunteers are mostly unhappy: with them in it, expectations would be 0.2 too low."""
    big = audited(6, done=0.7)
    expected = evidence(big.log).quality.predicted[:, STRONG].mean()
    assert expected == pytest.approx(float(big.quality[:, STRONG].mean()), abs=0.05)


def test_it_says_whose_ratings_count() -> None:
    log = audited(1).log
    found = ask(log).ratings
    assert log.audited is not None
    assert found.audited == int(log.audited.sum())
    assert (found.volunteered, found.not_audited) == (0, 0)
    without = ask(replace(log, audited=None, audits=None)).ratings
    assert without.audited == 0
    assert without.volunteered == int(np.isfinite(log.rating).sum())


def test_too_few_audits_count_like_any_rating() -> None:
    log = audited(2, share=0.004).log
    assert log.audited is not None
    assert 0 < int(log.audited.sum()) < MIN_AUDITED
    assert ask(log) == ask(replace(log, audited=None, audits=None))


def test_what_no_audit_could_draw_is_not_spoken_of() -> None:
    """An experiment audits the second half; before it there were volunteers only."""
    log = audited(3).log
    n = len(log)
    late = np.arange(n) >= n // 2
    assert log.audited is not None
    log = replace(log, audited=log.audited & late, audits=late.astype(np.int64))
    known = evidence(log)
    assert known.quality.rows.tolist() == late.tolist()
    assert known.cost.rows.all()
    found = estimate(known, np.ones(n, bool))
    assert found.ratings.not_audited == n // 2
    assert found.without_overlap == 0.0
    point = curve(known, [0.0])[0]
    assert point.quality == pytest.approx(found.quality.doubly_robust)
    assert point.overlap == 1.0


def test_domains_without_audits_keep_their_volunteers() -> None:
    log = audited(4).log
    n = len(log)
    other = np.arange(n) >= n // 2
    assert log.audited is not None
    log = replace(log, audited=log.audited & ~other, domains=other.astype(np.int64))
    known = evidence(replace(log, audits=other.astype(np.int64)))
    rated = np.isfinite(log.rating)
    assert log.audited is not None
    assert known.quality.seen.tolist() == np.where(other, rated, rated & log.audited).tolist()
    assert known.quality.rows.all()


def test_the_odds_of_an_audit_are_the_share_drawn_in_its_phase() -> None:
    n = 4000
    phase = (np.arange(n) >= n // 2).astype(np.int64)
    drawn = np.where(phase, np.arange(n) % 4 == 0, np.arange(n) % 20 == 0)
    none = np.zeros(n, np.int64)
    cells = cells_of(np.arange(n), none, np.linspace(0, 1, n), np.full(n, 100.0))
    found = seen_ratings(cells, none + STRONG, none, drawn.copy(), drawn, phase)
    assert found.rate[phase == 0, STRONG] == pytest.approx(np.full(n // 2, 0.05), rel=0.01)
    assert found.rate[phase == 1, STRONG] == pytest.approx(np.full(n // 2, 0.25), rel=0.01)


@pytest.mark.parametrize("grade", [1.5, -0.1, np.inf])
def test_ratings_outside_their_range_are_refused(grade: float) -> None:
    log = audited(5, units=100).log
    rating = log.rating.copy()
    rating[0] = grade
    with pytest.raises(GradeError, match="1 ratings lie outside 0 to 1"):
        evidence(replace(log, rating=rating))
