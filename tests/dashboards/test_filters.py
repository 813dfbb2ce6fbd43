"""The part of the traffic an address asks for."""

from datetime import UTC, date, datetime

import pytest

from experiments.analytics.traffic import Baseline
from experiments.dashboards.filters import Dates, Filters
from experiments.decisions.rollup_queries import Span

NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("query", "span"),
    [
        ({}, Span(at(2026, 11, 16), at(2026, 11, 23))),
        ({"range": "24h"}, Span(at(2026, 11, 21, 15), at(2026, 11, 22, 15))),
        ({"range": "30d"}, Span(at(2026, 10, 24), at(2026, 11, 23))),
        ({"range": "90d"}, Span(at(2026, 8, 25), at(2026, 11, 23))),
        (
            {"range": "custom", "from": "2026-11-01", "to": "2026-11-03"},
            Span(at(2026, 11, 1), at(2026, 11, 4)),
        ),
    ],
)
def test_range(query: dict[str, str], span: Span) -> None:
    filters = Filters.from_request(query)
    assert filters.problems == ()
    assert filters.span(NOW) == span


def test_days_the_wrong_way_round_are_turned() -> None:
    query = {"range": "custom", "from": "2026-11-03", "to": "2026-11-01"}
    assert Filters.from_request(query).dates == Dates(date(2026, 11, 1), date(2026, 11, 3))


def test_a_range_of_years_is_cut_and_said() -> None:
    query = {"range": "custom", "from": "2020-01-01", "to": "2026-11-01"}
    filters = Filters.from_request(query)
    assert filters.dates == Dates(date(2025, 9, 28), date(2026, 11, 1))
    assert filters.problems == ("The longest range is 400 days. Using those up to 2026-11-01.",)


@pytest.mark.parametrize(
    "query",
    [
        {"range": "x"},
        {"range": "custom"},
        {"range": "custom", "from": "2026-11-01", "to": "later"},
        {"range": "custom", "from": "0001-01-01", "to": "9999-12-31"},
        {"baseline": "free"},
        {"domain": "\x00"},
        {"domain": "x" * 201},
    ],
)
def test_what_is_wrong_is_named_and_the_default_stands_in(query: dict[str, str]) -> None:
    filters = Filters.from_request(query)
    assert len(filters.problems) == 1
    assert filters.span(NOW) == Filters().span(NOW)
    assert (filters.baseline, filters.domain) == (Baseline.ALWAYS_STRONG, "")


def test_the_query_comes_back() -> None:
    query = "?range=custom&from=2026-11-01&to=2026-11-03&baseline=random&domain=legal&experiment=e"
    pairs = dict(part.split("=") for part in query[1:].split("&"))
    assert Filters.from_request(pairs).query() == query


def test_defaults_stay_out_of_the_address() -> None:
    assert Filters.from_request({"range": "7d", "baseline": "always_strong"}).query() == ""
    assert Filters().query(range="30d") == "?range=30d"


def test_only_what_reaches_now_is_live() -> None:
    assert Filters().is_live(NOW)
    past = {"range": "custom", "from": "2026-11-01", "to": "2026-11-03"}
    assert not Filters.from_request(past).is_live(NOW)
