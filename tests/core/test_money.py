"""Money in whole nano-dollars."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.core.money import Price, price_on, usd


def test_it_works() -> None:
    # 2.5 and 10 dollars a million, and 0.001 dollars a request.
    price = Price(2_500_000_000, 10_000_000_000, 1_000_000)
    assert price.cost(1_000, 500) == 8_500_000


@pytest.mark.parametrize(("tokens", "nano"), [(1, 0), (499_999, 0), (500_000, 1), (1_500_000, 2)])
def test_a_cost_is_rounded_half_up_to_a_nano_dollar(tokens: int, nano: int) -> None:
    assert Price(1, 0).cost(tokens, 0) == nano


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0"),
        (120_000, "0.00012"),
        (1, "0.000000001"),
        (1_000_000_000, "1"),
        (20_000_000_000, "20"),
        (-1_500_000_000, "-1.5"),
        (None, None),
    ],
)
def test_dollars_are_written_plainly(nano: int | None, text: str | None) -> None:
    assert usd(nano) == text


@given(st.integers(-(10**18), 10**18))
def test_nothing_is_lost_in_writing(nano: int) -> None:
    from decimal import Decimal

    text = usd(nano)
    assert text is not None
    assert Decimal(text) * 10**9 == nano
    assert "E" not in text


def test_the_first_price_that_holds_is_taken() -> None:
    operator = Price(1, 1, source="operator", valid_until=date(2026, 1, 1))
    catalogue = Price(2, 2, source="catalogue")
    prices = (operator, catalogue)
    assert price_on(prices, date(2025, 12, 31)) is operator
    assert price_on(prices, date(2026, 1, 1)) is catalogue
    assert price_on((operator,), date(2026, 1, 1)) is None


def test_tokens_read_from_a_cache_have_their_own_price() -> None:
    price = Price(2_000_000_000, 8_000_000_000, cached_per_million=500_000_000)
    assert price.cost(1000, 100, cached_tokens=600) == 400 * 2000 + 600 * 500 + 100 * 8000


def test_reasoning_has_a_price_of_its_own() -> None:
    price = Price(2_000_000_000, 8_000_000_000, reasoning_per_million=3_000_000_000)
    assert price.cost(1000, 500, reasoning_tokens=400) == 1000 * 2000 + 400 * 3000 + 100 * 8000
    assert Price(0, 8_000_000_000).cost(0, 500, reasoning_tokens=400) == 500 * 8000


def test_without_a_price_of_their_own_cached_tokens_cost_as_much_as_others() -> None:
    assert Price(2_000_000_000, 0).cost(1000, 0, cached_tokens=600) == 2_000_000
