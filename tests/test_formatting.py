"""Numbers as text, from literal cases."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from experiments import formatting
from experiments.formatting import (
    age,
    comparison,
    dollars,
    hours,
    interval,
    milliseconds,
    number,
    percentage,
    plain_dollars,
    plain_share,
    plural,
    share,
    share_interval,
    signed,
)

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 0, "0"),
        (1234.5, 2, "1,234.50"),
        (1234567, 0, "1,234,567"),
        (-0.25, 2, f"{MINUS}0.25"),
        (-0.001, 2, "0.00"),
    ],
)
def test_number(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.123, 2, "+0.12"),
        (-0.05, 2, f"{MINUS}0.05"),
        (-0.0001, 2, "+0.00"),
        (0.0, 1, "+0.0"),
        (1200, 0, "+1,200"),
    ],
)
def test_signed(value: float, digits: int, text: str) -> None:
    assert signed(value, digits) == text


@pytest.mark.parametrize(
    ("count", "words", "text"),
    [
        (1, ("unit",), "1 unit"),
        (0, ("unit",), "0 units"),
        (1200, ("unit",), "1,200 units"),
        (2, ("query", "queries"), "2 queries"),
    ],
)
def test_plural(count: int, words: tuple[str, ...], text: str) -> None:
    assert plural(count, *words) == text


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "$0"),
        (120_000, "$0.00012"),
        (1_900_000, "$0.0019"),
        (12_300_000_000, "$12.30"),
        (1_234_567_000_000, "$1,234.57"),
        (-450_000, "-$0.00045"),
        (250_000_000, "$0.25"),
        (999_999_999, "$1.00"),
    ],
)
def test_dollars(nano: int, text: str) -> None:
    assert dollars(nano) == text


@pytest.mark.parametrize(
    ("nano", "digits", "text"),
    [
        (12_300_000_000, 2, "12.30"),
        (1_900_000, 4, "0.0019"),
        (-2_000_000_000, 2, f"{MINUS}2.00"),
        (1_234_567_000_000, 0, "1,235"),
    ],
)
def test_plain_dollars(nano: float, digits: int, text: str) -> None:
    assert plain_dollars(nano, digits) == text


@pytest.mark.parametrize(("value", "text"), [(25.0, "25 %"), (0.01, "0.01 %"), (12.5, "12.5 %")])
def test_percentage(value: float, text: str) -> None:
    assert percentage(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (0.0, "0 %"),
        (0.004, "0.4 %"),
        (0.07, "7 %"),
        (0.384, "38 %"),
        (1.0, "100 %"),
        (-0.05, f"{MINUS}5 %"),
        (-0.052, f"{MINUS}5.2 %"),
    ],
)
def test_share(value: float | None, text: str) -> None:
    assert share(value) == text


def test_an_unknown_share_can_be_named() -> None:
    assert share(None, "not rated") == "not rated"


@pytest.mark.parametrize(
    ("value", "digits", "text"), [(0.384, 1, "38.4"), (1.0, 0, "100"), (-0.05, 1, f"{MINUS}5.0")]
)
def test_plain_share(value: float, digits: int, text: str) -> None:
    assert plain_share(value, digits) == text


def test_intervals() -> None:
    assert interval(0.812, 0.79, 0.834) == "0.81 (0.79 to 0.83)"
    assert interval(0.0, -0.0004, 1234.0, digits=3) == "0.000 (0.000 to 1,234.000)"
    assert interval(-0.5, -1.0, 0.25, digits=1) == f"{MINUS}0.5 ({MINUS}1.0 to 0.2)"
    assert share_interval(0.38, 0.345, 0.412) == "38 % (95 % interval: 34 % to 41 %)"


@pytest.mark.parametrize(
    ("microseconds", "text"), [(1234, "1.2"), (0, "0.0"), (2_500_000, "2,500.0")]
)
def test_milliseconds(microseconds: float, text: str) -> None:
    assert milliseconds(microseconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(24, "24 hours"), (0.5, "0.5 hours"), (48, "2 days"), (60, "2.5 days")]
)
def test_hours(value: float, text: str) -> None:
    assert hours(value) == text


@pytest.mark.parametrize(
    ("day", "text"), [(29, "less than a day old"), (28, "1 day old"), (2, "27 days old")]
)
def test_age(day: int, text: str) -> None:
    now = datetime(2026, 11, 29, 12, tzinfo=UTC)
    assert age(datetime(2026, 11, day, 12, tzinfo=UTC), now) == text


@pytest.mark.parametrize(
    ("score", "threshold", "shown"),
    [
        (0.31, 0.38, ("0.31", "<", "0.38")),
        (0.5, 0.5, ("0.50", "≥", "0.50")),
        (0.38001, 0.38, ("0.38001", "≥", "0.38000")),
    ],
)
def test_comparison(score: float, threshold: float, shown: tuple[str, str, str]) -> None:
    assert comparison(score, threshold) == shown


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (formatting.in_dollars(1234.5, 2), "$1,234.50"),
        (formatting.in_dollars(0.000123456), "$0.0001235"),
        (formatting.in_dollars(-0.00123, significant=2), "-$0.0012"),
        (formatting.exact_dollars(Decimal("0.5000")), "$0.5"),
        (formatting.exact_share(0.3), "30.0 %"),
        (formatting.exact_share(0.384, 0), "38 %"),
        (formatting.share_between(0.384, 0.35, 0.412), "38.4 % (35.0 % to 41.2 %)"),
        (formatting.percentage(Decimal("12.50")), "12.5 %"),
    ],
)
def test_amounts_of_commands_and_sentences(found: str, shown: str) -> None:
    assert found == shown
