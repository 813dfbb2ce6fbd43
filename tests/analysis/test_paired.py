"""Effects from labeled pairs: literal cases, exact error rates, other implementations."""

from dataclasses import replace
from itertools import product
from math import comb, log

import numpy as np
import pytest
import ville
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from experiments.analysis.paired import (
    BETS,
    SHARE_OF_ALPHA,
    PairedEffect,
    PairLabel,
    paired_effect,
    share_bounds,
)

LEVEL = 0.05 * (1 - SHARE_OF_ALPHA)
MANY = 10**9  # D = N = MANY: the share of disagreements is known, so bounds are those of the mean


def effect(labels: list[PairLabel], margin: float = 0.03, **plan: float) -> PairedEffect:
    return paired_effect(labels, decisions=10_000, disagreements=3_000, margin=margin, **plan)  # type: ignore[arg-type]


def of_mean(labels: list[PairLabel], margin: float = 0.1) -> PairedEffect:
    return paired_effect(labels, decisions=MANY, disagreements=MANY, margin=margin)


def singles(differences: list[float]) -> list[PairLabel]:
    """One pair a unit."""
    return [PairLabel(f"u{at}", difference) for at, difference in enumerate(differences)]


# Literal cases


def test_the_estimate_weights_by_the_inverse_of_both_odds() -> None:
    labels = [
        PairLabel("a", 1.0, odds=0.5),
        PairLabel("b", -0.5, odds=0.8, asked=0.5),
        PairLabel("c", 0.0),
    ]
    assert effect(labels).estimate == pytest.approx(0.3 * (1 / 0.5 - 0.5 / 0.4) / (2 + 2.5 + 1))


def test_a_hundred_good_labels_show_that_the_loss_is_small() -> None:
    found = effect(singles([1.0, 0.0, 0.0, 0.0] * 25))
    assert found.verdict == "non_inferior"
    assert found.estimate == pytest.approx(0.3 * 0.25)
    assert -0.03 < found.lower < 0.075 < found.upper
    assert (found.labels, found.judged) == (100, 0)


def test_forty_losses_show_that_the_policy_is_worse() -> None:
    found = effect(singles([-1.0, 0.0] * 40))
    assert found.verdict == "inferior"
    assert found.upper < -0.03


def test_ten_labels_decide_nothing() -> None:
    assert effect(singles([0.0, 1.0, -1.0, 0.0, 0.0] * 2)).verdict == "undecided"


def test_without_disagreements_the_share_decides() -> None:
    many = paired_effect([], decisions=1_000, disagreements=0, margin=0.03)
    assert (many.estimate, many.verdict) == (0.0, "non_inferior")
    assert -many.lower == many.upper == share_bounds(0, 1_000, 0.005)[1]
    few = paired_effect([], decisions=50, disagreements=0, margin=0.03)
    assert (few.estimate, few.verdict) == (0.0, "undecided")


def test_without_labels_there_is_no_estimate() -> None:
    found = effect([])
    assert found.estimate is None
    assert -found.lower == found.upper == share_bounds(3_000, 10_000, 0.005)[1]
    assert found.verdict == "undecided"


def test_without_decisions_nothing_is_known() -> None:
    found = paired_effect([], decisions=0, disagreements=0, margin=0.03)
    assert found == PairedEffect(None, -1.0, 1.0, 0, 0, "undecided")


# Skipped and waiting pairs


def test_a_skipped_pair_is_a_loss_below_and_a_win_above() -> None:
    known = singles([0.0, 1.0, 0.0, -1.0] * 10)
    skipped = effect([*known, PairLabel("s", None, skipped=True)])
    assert skipped.lower == effect([*known, PairLabel("s", -1.0)]).lower
    assert skipped.upper == effect([*known, PairLabel("s", 1.0)]).upper
    assert skipped.estimate == effect(known).estimate
    assert skipped.labels == len(known)


def test_with_skipped_pairs_alone_there_is_no_estimate() -> None:
    assert effect([PairLabel(f"s{at}", None, skipped=True) for at in range(5)]).estimate is None


def test_a_skipped_pair_with_a_judge_is_bounded_too() -> None:
    known = [
        PairLabel(f"u{at}", d, asked=0.5, judge=d) for at, d in enumerate([1.0, 0.0, -1.0] * 10)
    ]
    skipped = PairLabel("s", None, asked=0.5, judge=0.5, skipped=True)
    worst, best = (replace(skipped, difference=d, skipped=False) for d in (-1.0, 1.0))
    assert effect([*known, skipped]).lower == effect([*known, worst]).lower
    assert effect([*known, skipped]).upper == effect([*known, best]).upper


def test_a_unit_enters_when_none_of_its_pairs_waits() -> None:
    known = singles([1.0, 0.0, -1.0])
    waiting = [PairLabel("w", 1.0), PairLabel("w", None)]
    with_waiting = effect([*known, *waiting], pairs_per_unit=2)
    assert with_waiting == effect(known, pairs_per_unit=2)


# Units


def test_the_first_three_pairs_of_a_unit_enter() -> None:
    three = [*singles([1.0, 0.0]), *[PairLabel("many", d) for d in (1.0, 0.0, -1.0)]]
    more = [*three, PairLabel("many", -1.0), PairLabel("many", -1.0, odds=0.1)]
    assert effect(more) == effect(three)


def test_pairs_of_one_unit_are_weaker_evidence_than_pairs_of_many() -> None:
    pattern = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0] * 10
    clustered = [PairLabel(f"u{at // 3}", d) for at, d in enumerate(pattern)]
    apart, together = effect(singles(pattern), pairs_per_unit=3), effect(clustered)
    assert together.estimate == apart.estimate
    assert together.lower < apart.lower


def test_units_may_be_interleaved() -> None:
    a = [PairLabel("a", d) for d in (1.0, 0.0, 0.5)]
    b = [PairLabel("b", d) for d in (-1.0, 0.5, 0.0)]
    mixed = [label for both in zip(a, b, strict=True) for label in both]
    assert effect(mixed).lower == pytest.approx(effect([*a, *b]).lower, abs=1e-9)


def test_a_plan_with_more_pairs_or_smaller_odds_bets_less() -> None:
    labels = singles([1.0, 1.0, 0.0, -1.0, 1.0] * 20)
    assert effect(labels, pairs_per_unit=1) == effect(labels)
    assert effect(labels, floor=0.1).lower < effect(labels).lower
    assert effect(labels, pairs_per_unit=3).lower != effect(labels).lower


def test_the_first_labels_do_not_show_what_the_plan_allows() -> None:
    """Twenty wins count in full; before, the bets allow for smaller odds and larger units."""
    wins = singles([1.0] * 20)
    plan = {"floor": 1.0, "pairs_per_unit": 1}
    worst = {"floor": 0.1, "pairs_per_unit": 3}
    assert effect(wins) == effect(wins, **plan)
    assert effect(wins[:19]) == effect(wins[:19], **worst)
    assert effect(wins[:19]).lower < effect(wins[:19], **plan).lower


# The judge


def judged(agreement: float, asked: float, pairs: int = 400, seed: int = 5) -> list[PairLabel]:
    rng = np.random.default_rng(seed)
    values = rng.choice([-1.0, 0.0, 1.0], p=[0.175, 0.6, 0.225], size=(2, pairs))
    judge = np.where(rng.random(pairs) < agreement, values[0], values[1])
    person = rng.random(pairs) < asked
    return [
        PairLabel(f"u{at}", float(values[0, at]) if person[at] else None, 1.0, asked, float(j))
        for at, j in enumerate(judge)
    ]


def without_judge(labels: list[PairLabel]) -> list[PairLabel]:
    return [replace(label, judge=None) for label in labels if label.difference is not None]


def test_a_good_judge_narrows_the_bounds_and_a_random_one_hardly_widens_them() -> None:
    def width(labels: list[PairLabel]) -> float:
        found = effect(labels)
        return found.upper - found.lower

    good, random = judged(0.9, 0.3), judged(0.0, 0.3)
    assert width(good) < 0.8 * width(without_judge(good))
    assert width(random) < 1.2 * width(without_judge(random))


def test_judge_and_people_are_counted() -> None:
    labels = judged(0.9, 0.3)
    found = effect(labels)
    assert found.judged == 400
    assert found.labels == sum(label.difference is not None for label in labels)


def test_a_judge_alone_estimates_nothing() -> None:
    alone = [PairLabel(f"u{at}", None, 1.0, 0.5, 1.0) for at in range(50)]
    found = effect(alone)
    assert (found.estimate, found.labels, found.judged) == (None, 0, 50)
    assert found.verdict == "undecided"


def test_a_judge_changes_nothing_where_every_pair_is_asked() -> None:
    labels = judged(0.9, 1.0)
    assert effect(labels).lower == pytest.approx(effect(without_judge(labels)).lower, abs=1e-9)
    assert effect(labels).estimate == effect(without_judge(labels)).estimate


def test_a_unit_does_not_choose_its_own_judge_weight() -> None:
    """If its own difference moved the weight, the estimate would not be linear in it."""
    earlier = judged(0.7, 0.3, pairs=60)
    own = PairLabel("own", None, 1.0, 0.3, 1.0)
    minus, tie, plus = (
        effect([*earlier, replace(own, difference=d), replace(own, difference=d)]).estimate or 0
        for d in (-1.0, 0.0, 1.0)
    )
    assert plus - tie == pytest.approx(tie - minus, rel=1e-9)
    assert plus > tie


# What cannot be


@pytest.mark.parametrize(
    ("labels", "plan", "message"),
    [
        ([], {"decisions": 10, "disagreements": 11}, "Disagreements"),
        ([], {"decisions": 10, "disagreements": -1}, "Disagreements"),
        (singles([0.0] * 4), {"decisions": 10, "disagreements": 3}, "4 labels"),
        ([PairLabel("a", 1.0, odds=0.0)], {}, "odds"),
        ([PairLabel("a", 1.0, odds=1.1)], {}, "odds"),
        ([PairLabel("a", 1.0, odds=float("nan"))], {}, "odds"),
        ([PairLabel("a", 1.0, asked=0.0)], {}, "asked"),
        ([PairLabel("a", 1.0, asked=1.5)], {}, "asked"),
        ([PairLabel("a", 1.01)], {}, "difference"),
        ([PairLabel("a", -2.0)], {}, "difference"),
        ([PairLabel("a", None, judge=1.5)], {}, "judge"),
        ([PairLabel("a", 1.0, skipped=True)], {}, "skipped"),
        ([PairLabel("a", 1.0, odds=1.0), PairLabel("b", 1.0, odds=0.09)], {}, "10-fold"),
        ([PairLabel("a", 1.0, odds=0.5)], {"floor": 0.6}, "floor"),
        ([PairLabel("a", 1.0)] * 2, {"pairs_per_unit": 1}, "Pairs per unit"),
        ([PairLabel("a", 1.0)], {"pairs_per_unit": 4}, "Pairs per unit"),
        ([], {"margin": -0.1}, "margin"),
        ([], {"margin": 1.0}, "margin"),
        ([], {"alpha": 0.0}, "Alpha"),
        ([], {"alpha": 1.0}, "Alpha"),
    ],
)
def test_impossible_input_is_refused(
    labels: list[PairLabel], plan: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        paired_effect(labels, **{"decisions": 10, "disagreements": 5, "margin": 0.03, **plan})  # type: ignore[arg-type]


def test_weights_may_differ_tenfold() -> None:
    labels = [PairLabel("a", 1.0, odds=0.5), PairLabel("b", 0.0, odds=0.5, asked=0.1)]
    assert effect(labels).labels == 2


# Properties

GRADES = st.integers(-4, 4).map(lambda quarter: quarter / 4)
LABELS = st.lists(
    st.builds(
        PairLabel,
        unit=st.integers(0, 40).map(str),
        difference=GRADES,
        odds=st.sampled_from([0.25, 0.5, 1.0]),
        asked=st.sampled_from([0.4, 1.0]),
        judge=st.none() | GRADES,
    ),
    max_size=60,
)


@given(labels=LABELS)
def test_the_estimate_lies_between_the_bounds(labels: list[PairLabel]) -> None:
    found = effect(labels)
    assert -1 <= found.lower <= found.upper <= 1
    if found.estimate is not None:
        assert found.lower - 1e-9 <= found.estimate <= found.upper + 1e-9


@given(labels=LABELS)
def test_swapping_the_policies_mirrors_the_bounds(labels: list[PairLabel]) -> None:
    swapped = [
        replace(
            label,
            difference=None if label.difference is None else -label.difference,
            judge=None if label.judge is None else -label.judge,
        )
        for label in labels
    ]
    assert effect(swapped).lower == pytest.approx(-effect(labels).upper, abs=1e-8)
    assert effect(swapped).upper == pytest.approx(-effect(labels).lower, abs=1e-8)


@given(labels=LABELS.filter(bool), better=st.integers(0, 59))
def test_a_better_answer_never_lowers_a_bound(labels: list[PairLabel], better: int) -> None:
    plain = [replace(label, judge=None) for label in labels]
    at = better % len(plain)
    raised = [*plain]
    raised[at] = replace(plain[at], difference=1.0)
    assert effect(raised).lower >= effect(plain).lower - 1e-8
    assert effect(raised).upper >= effect(plain).upper - 1e-8


# Exact error rates and other implementations


def test_exact_error_rate_at_the_margin_over_all_looks() -> None:
    """Wins and losses only, loss exactly at the margin: the chance of ever being wrong, summed."""
    win, ever_wrong, alive = 0.45, 0.0, {0: 1.0}
    for n in range(1, 121):
        step: dict[int, float] = {}
        for wins, mass in alive.items():
            step[wins + 1] = step.get(wins + 1, 0.0) + mass * win
            step[wins] = step.get(wins, 0.0) + mass * (1 - win)
        wrong_from = fewest_wins(n)
        ever_wrong += sum(mass for wins, mass in step.items() if wins >= wrong_from)
        alive = {wins: mass for wins, mass in step.items() if wins < wrong_from}
    assert 0.01 < ever_wrong < LEVEL


def fewest_wins(n: int) -> int:
    """The fewest of n wins that are called non-inferior at a margin of .1, by bisection."""
    low, high = 0, n + 1
    while low < high:
        wins = (low + high) // 2
        labels = singles([1.0] * wins + [-1.0] * (n - wins))
        if of_mean(labels).verdict == "non_inferior":
            high = wins
        else:
            low = wins + 1
    return low


@pytest.mark.parametrize("n", [1, 2, 5, 12, 30])
def test_the_lower_bound_is_never_above_the_exact_binomial_one(n: int) -> None:
    """Clopper and Pearson's is the largest that a single look allows."""
    for wins in range(n + 1):
        exact = 2 * float(beta.ppf(LEVEL, wins, n - wins + 1)) - 1 if wins else -1.0
        found = of_mean(singles([1.0] * wins + [-1.0] * (n - wins)))
        assert found.lower <= exact + 1e-9
        assert found.lower > -1 or not wins


def test_expected_wealth_is_one_with_weights_units_and_a_judge() -> None:
    """Every outcome of a small design, summed: at the true mean the bets are fair.

    Two units of two and one pairs. Pairs are drawn by their odds, people asked by theirs, and odds
    and judge depend on the same text as the difference does. `paired_effect` refutes the true mean
    when the average of the products is at least 1 / LEVEL, so its average must be 1.
    """
    design = [("a", 0.5, 0.5, 1.0), ("a", 1.0, 0.8, -0.5), ("b", 0.6, 0.5, 0.0)]
    chances = [(0.6, 0.2), (0.1, 0.5), (0.3, 0.3)]  # of a win, of a loss
    mean = sum(win - loss for win, loss in chances) / 3
    expected = 0.0
    for outcome in product(("undrawn", "unasked", "1", "0", "-1"), repeat=3):
        mass, labels = 1.0, []
        for (unit, odds, asked, judge), (win, loss), what in zip(
            design, chances, outcome, strict=True
        ):
            of = {"1": win, "-1": loss, "0": 1 - win - loss}
            if what == "undrawn":
                mass *= 1 - odds
            elif what == "unasked":
                mass *= odds * (1 - asked)
                labels.append(PairLabel(unit, None, odds, asked, judge))
            else:
                mass *= odds * asked * of[what]
                labels.append(PairLabel(unit, float(what), odds, asked, judge))
        expected += mass * wealth(labels, mean, scale=3 / 0.25, control=0.8 * 0.5)
    assert expected == pytest.approx(1.0, abs=1e-12)


def wealth(labels: list[PairLabel], mean: float, scale: float, control: float) -> float:
    """The average product at `mean`, written out pair by pair."""
    total = 0.0
    for fraction in BETS:
        bet = fraction / (scale * ((1 + mean) + control * (1 - mean)))
        factors: dict[str, float] = {}
        for label in labels:
            w = judge_weight(label.unit, labels)
            judge = w * ((label.judge or 0.0) - mean) / label.odds
            term = judge
            if label.difference is not None:
                rest = (label.difference - mean) / label.odds - judge
                term += rest / label.asked
            factors[label.unit] = factors.get(label.unit, 1.0) + bet * term
        assert min(factors.values(), default=1.0) > 0
        total += float(np.prod(list(factors.values())))
    return total / len(BETS)


def judge_weight(unit: str, labels: list[PairLabel]) -> float:
    together = squares = 0.0
    for label in labels:
        if label.unit == unit:
            break
        if label.difference is not None and label.judge is not None:
            together += label.difference * label.judge
            squares += label.judge**2
    return min(0.8, max(0.0, together / (squares + 5)))


def test_the_lower_bound_is_where_the_written_out_wealth_crosses_the_level() -> None:
    labels = [
        PairLabel(
            f"u{at // 2}",
            (None if at % 3 == 0 else (-1.0, 0.0, 1.0, 1.0)[at % 4]),
            odds=(0.5, 1.0)[at % 2],
            asked=0.5,
            judge=(0.5, -1.0, 1.0)[at % 3],
        )
        for at in range(60)
    ]
    lower = of_mean(labels).lower / share_bounds(MANY, MANY, 0.005)[1]
    assert wealth(labels, lower, scale=3 / 0.25, control=0.8 * 0.5) == pytest.approx(
        1 / LEVEL, rel=1e-5
    )


@pytest.mark.parametrize("odds", [1.0, 0.2])
def test_the_lower_bound_agrees_with_ville(odds: float) -> None:
    """A bet of ville's is capped at c / (m + 1): with a tiny alpha the cap is the bet."""
    rng = np.random.default_rng(11)
    differences = rng.choice([-1.0, 0.0, 0.5, 1.0], size=150)
    labels = [PairLabel(f"u{at}", float(d), odds) for at, d in enumerate(differences)]
    lower = of_mean(labels).lower
    tests = [
        ville.BettingTest(lower, (-1, 1), "greater", alpha=1e-300, c=c).fit(differences)
        for c in BETS
    ]
    average = np.mean([test.e_values_[-1] for test in tests])
    assert average == pytest.approx(1 / LEVEL, rel=1e-5)


@pytest.mark.parametrize(("part", "whole"), [(0, 40), (40, 40), (3, 10), (300, 1_000)])
def test_the_bounds_on_a_share_agree_with_ville(part: int, whole: int) -> None:
    stream = np.r_[np.ones(part), np.zeros(whole - part)]
    theirs = ville.BernoulliCS(alpha=0.005, prior=(0.5, 0.5), intersect=False).fit(stream)
    assert share_bounds(part, whole, 0.005) == pytest.approx(theirs.interval(), abs=1e-9)


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_exact_error_rate_of_the_bounds_on_a_share(share: float) -> None:
    """The chance that any of 150 looks misses the true share, summed over all paths."""
    missed, alive = 0.0, {0: 1.0}
    for n in range(1, 151):
        step: dict[int, float] = {}
        for part, mass in alive.items():
            step[part + 1] = step.get(part + 1, 0.0) + mass * share
            step[part] = step.get(part, 0.0) + mass * (1 - share)
        alive = {}
        for part, mass in step.items():
            low, high = share_bounds(part, n, 0.05)
            if low <= share <= high:
                alive[part] = mass
            else:
                missed += mass
    assert 0 < missed < 0.05


def test_bounds_without_disagreements_solve_their_equation() -> None:
    high = share_bounds(0, 30, 0.05)[1]
    middle = comb(60, 30) / 4**30  # B(1/2, 30 + 1/2) / B(1/2, 1/2)
    assert 30 * log(1 - high) == pytest.approx(log(middle) + log(0.05), rel=1e-9)
