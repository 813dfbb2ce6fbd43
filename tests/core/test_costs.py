"""What a decision is expected to cost."""

from datetime import date

import pytest

from experiments.core.costs import estimate_tokens
from experiments.core.money import Price
from experiments.core.policy import Switches
from tests.core.decision_values import OTHER, STRONG, WEAK, decided, policy


def test_it_works() -> None:
    # 1,000 tokens in and 300 out at 1 and 3 dollars a million, and at 10 and 30.
    costs = decided(score=0.4).costs
    assert (costs.chosen, costs.weak) == (1_900_000, 1_900_000)
    assert (costs.strong, costs.baseline, costs.saving) == (19_000_000, 19_000_000, 17_100_000)
    assert costs.baseline_model == STRONG
    assert costs.priced


def test_expected_tokens_are_per_domain_and_model() -> None:
    costs = decided(score=0.4, output_tokens={("code", WEAK): 100, ("general", WEAK): 999}).costs
    assert costs.chosen == 1_300_000
    assert costs.output_tokens == {WEAK: 100, STRONG: 300}


def test_an_unknown_price_is_not_zero() -> None:
    costs = decided(score=0.4, unavailable=frozenset({WEAK})).costs
    assert (costs.chosen, costs.saving, costs.priced) == (None, None, False)
    assert costs.strong == 19_000_000


def test_a_saving_may_be_negative() -> None:
    costs = decided(policy(baseline="always_weak"), score=0.9).costs
    assert (costs.baseline_model, costs.saving) == (WEAK, -17_100_000)


def test_the_baseline_may_be_any_model() -> None:
    costs = decided(policy(baseline=OTHER), score=0.4).costs
    assert (costs.baseline_model, costs.baseline, costs.priced) == (OTHER, None, False)


def test_prices_hold_for_their_days() -> None:
    old = Price(1, 1, valid_until=date(2026, 11, 22))
    new = Price(1_000_000, 0, valid_from=date(2026, 11, 22))
    costs = decided(policy(prices={WEAK: (old, new)}), score=0.4).costs
    assert costs.chosen == 1_000


def test_without_cost_tracking_nothing_is_recorded() -> None:
    costs = decided(policy(switches=Switches(cost_tracking=False))).costs
    assert (costs.chosen, costs.baseline, costs.prices) == (None, None, {})


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 1), ("abcd", 1), ("a" * 4000, 1000), ("é" * 4, 2), ("\ud800", 1)]
)
def test_tokens_are_estimated_from_bytes(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens
