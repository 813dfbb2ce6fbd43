"""The sentences at the top of pages about traffic, from literal rows."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from experiments.analysis.ratings import Estimate
from experiments.analytics.detection import Moved
from experiments.analytics.traffic import (
    Baseline,
    CostComparison,
    DomainTraffic,
    Quality,
    QualityStatus,
    Traffic,
)
from experiments.dashboards import wording
from experiments.dashboards.filters import Filters
from experiments.decisions.rollup_queries import RollupSums, Span

DOLLAR = 1_000_000_000
WEEK = Filters()
SPAN = Span(datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))


def domain(name: str, held: QualityStatus = QualityStatus.YES, saving: int = 10) -> DomainTraffic:
    gap = Estimate(-0.012, -0.034, 0.011)
    return DomainTraffic(
        name=name,
        sums=RollupSums(decisions=100, priced=100, paired=100),
        tiers={},
        compared=CostComparison(100, 20 * DOLLAR, (20 + saving) * DOLLAR),
        random=CostComparison(100, 20 * DOLLAR, 21 * DOLLAR),
        quality=Quality(held, Estimate(0.9, 0.88, 0.92), gap, 400, 12),
        costs=(),
    )


def traffic(
    *domains: DomainTraffic, baseline: Baseline = Baseline.ALWAYS_STRONG, random: int = 389
) -> Traffic:
    compared = CostComparison(1000, 672 * DOLLAR, 1084 * DOLLAR)
    return Traffic(
        span=SPAN,
        baseline=baseline,
        sums=RollupSums(decisions=1000),
        tiers={},
        compared=compared,
        random=CostComparison(1000, 672 * DOLLAR, (1084 - random) * DOLLAR),
        domains=domains,
        days=(),
        quality=(),
    )


def test_the_overview_in_one_sentence() -> None:
    few = domain("legal", QualityStatus.TOO_FEW)
    found = traffic(domain("technical"), domain("creative"), few)
    answer = wording.overview(found, WEEK)
    assert answer.sentence == (
        "Routing saved $412.00 (38 %) in the last 7 days against always strong. "
        "A random router with the same strong share would have saved $389.00. "
        "Quality held in 2 of 3 routed domains; legal has too few ratings."
    )
    assert answer.next == "Next: send ratings for legal with POST /api/v1/feedback."


def test_a_random_router_that_saves_more_is_mentioned() -> None:
    sentence = wording.overview(traffic(domain("technical"), random=450), WEEK).sentence
    assert "would have saved $450.00; routing must make up the difference with quality." in sentence


def test_the_random_baseline_is_not_compared_with_itself() -> None:
    found = traffic(domain("technical"), baseline=Baseline.RANDOM)
    sentence = wording.overview(found, replace(WEEK, baseline=Baseline.RANDOM)).sentence
    assert "against random at the same strong share." in sentence
    assert "A random router" not in sentence


@pytest.mark.parametrize(
    ("compared", "sentence"),
    [
        (
            CostComparison(10, 5 * DOLLAR, 20 * DOLLAR),
            "Routing saved $15.00 (75 %) in the last 7 days against always strong.",
        ),
        (
            CostComparison(10, 30 * DOLLAR, 20 * DOLLAR),
            "Routing cost $10.00 more (50 % more) in the last 7 days against always strong.",
        ),
        (
            CostComparison(10, 20 * DOLLAR, 20 * DOLLAR),
            "Routing saved $0 (0 %) in the last 7 days against always strong.",
        ),
        (
            CostComparison(0, 0, 0),
            "The saving in the last 7 days is unknown: no request has prices for both of its "
            "models.",
        ),
    ],
)
def test_saving(compared: CostComparison, sentence: str) -> None:
    assert wording.saving(compared, Baseline.ALWAYS_STRONG, WEEK.when) == sentence


def test_quality_names_what_fell_and_what_is_open() -> None:
    rows = [
        domain("technical"),
        domain("creative", QualityStatus.NO),
        domain("legal", QualityStatus.UNCLEAR),
        domain("medical", QualityStatus.TOO_FEW),
        domain("general", QualityStatus.TOO_FEW),
        domain("financial", QualityStatus.NOT_ROUTED),
    ]
    assert wording.quality_held(rows) == (
        "Quality held in 1 of 5 routed domains; creative has lower quality; legal is too close to "
        "call; medical and general have too few ratings."
    )


def test_where_no_domain_has_enough_ratings_none_is_listed() -> None:
    rows = [domain(name, QualityStatus.TOO_FEW) for name in ("legal", "medical", "creative")]
    assert wording.quality_held([*rows, domain("financial", QualityStatus.NOT_ROUTED)]) == (
        "Not enough ratings to compare quality yet: all 3 routed domains have too few."
    )


def test_quality_nowhere_comparable() -> None:
    assert wording.quality_held([domain("technical", QualityStatus.NOT_ROUTED)]) == (
        "Quality cannot be compared: no domain has answers of both models."
    )


def test_what_to_do_first_is_about_what_fell() -> None:
    found = traffic(domain("legal", QualityStatus.TOO_FEW), domain("creative", QualityStatus.NO))
    assert wording.overview(found, WEEK).next == (
        "Next: lower the threshold of creative, or switch its flag off."
    )
    both = traffic(domain("legal", QualityStatus.NO), domain("creative", QualityStatus.NO))
    assert wording.overview(both, WEEK).next == (
        "Next: lower the threshold of legal and creative, or switch their flags off."
    )


def test_verdicts_come_before_what_ratings_suggest() -> None:
    found = traffic(domain("creative", QualityStatus.NO))
    verdicts = ["weak should roll back", "local can ship"]
    assert wording.overview(found, WEEK, verdicts).next == (
        "Next: weak should roll back; local can ship."
    )


def test_one_domain() -> None:
    assert wording.domain(domain("technical"), WEEK) == (
        "Technical saved $10.00 (33 %) in the last 7 days against always strong. Quality held in "
        "technical: the weak model's answers are rated \N{MINUS SIGN}0.01 (between "
        "\N{MINUS SIGN}0.03 and +0.01) against the strong model's.",
        "",
    )


def test_domains_name_the_best_and_the_one_that_costs() -> None:
    found = traffic(domain("technical", saving=12), domain("legal", saving=-2))
    assert wording.domains(found, WEEK).sentence.startswith(
        "Technical saved the most in the last 7 days against always strong: $12.00 of $412.00. "
        "Legal cost $2.00 more."
    )


def test_a_threshold_that_is_at_work_and_one_that_is_tried() -> None:
    move = Moved(0.45, 0.41, 3_100_000_000)
    assert wording.threshold(move, 0.45) == (
        "At 0.45, 41 % go to the strong model: about $3.10 per 1,000 requests."
    )
    assert wording.threshold(move, 0.38) == (
        "At 0.45, 41 % would go to the strong model: about $3.10 per 1,000 requests."
    )
    assert wording.threshold(Moved(0.5, 0.4, None), None) == (
        "At 0.50, 40 % would go to the strong model."
    )


@pytest.mark.parametrize(
    ("names", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_listed(names: list[str], text: str) -> None:
    assert wording.listed(names) == text
