"""Cost, saving and quality from roll-ups: literal sums in, literal answers out."""

import random
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db.models import Sum
from django.db.models.functions import Coalesce
from pytest_django import DjangoAssertNumQueries

from experiments.analytics.traffic import Baseline, CostComparison, QualityStatus, traffic
from experiments.decisions.rollup_queries import Span
from experiments.models import Decision
from tests.decisions import recount
from tests.rollup_rows import CENT, HOUR, hour

pytestmark = pytest.mark.django_db
SPAN = Span(datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))


def test_it_works() -> None:
    hour(tier="strong", decisions=40)
    hour(tier="weak", decisions=60)
    found = traffic(SPAN, Baseline.ALWAYS_STRONG)
    assert found.sums.decisions == 100
    assert found.strong_share == 0.4
    # 40 at a cent and 60 at a tenth of one, where always strong is 100 at a cent.
    assert found.compared == CostComparison(100, 46 * CENT, 100 * CENT)
    assert found.compared.saving == 54 * CENT
    assert found.compared.share == 0.54


def test_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for domain in ("technical", "legal", "medical"):
        hour(domain)
    with django_assert_num_queries(1):
        traffic(SPAN, Baseline.RANDOM)


def test_always_weak_makes_the_strong_model_a_cost() -> None:
    hour(tier="strong", decisions=40)
    hour(tier="weak", decisions=60)
    found = traffic(SPAN, Baseline.ALWAYS_WEAK)
    assert found.compared == CostComparison(100, 46 * CENT, 10 * CENT)
    assert found.compared.saving == -36 * CENT


def test_the_random_baseline_has_the_same_share_in_each_domain_for_decisions_of_a_pair() -> None:
    hour(tier="strong", decisions=25, strong_cost=4 * CENT)
    hour(tier="weak", decisions=75)
    hour(tier="selected", decisions=50)
    found = traffic(SPAN, Baseline.RANDOM)
    # Expensive prompts went to the strong model: 25 at 4 cents, 75 at a tenth. A random router
    # sends a quarter of all: 0.25 * (25 * 4 + 75) + 0.75 * 10 = 51.25.
    assert found.compared.decisions == 100
    assert found.compared.cost == 107.5 * CENT
    assert found.compared.baseline == 51.25 * CENT


def test_a_price_that_is_missing_is_left_out_and_counted() -> None:
    hour(decisions=10)
    hour(tier="weak", decisions=30, priced=False)
    found = traffic(SPAN, Baseline.ALWAYS_STRONG)
    assert found.sums.decisions == 40
    assert found.compared.decisions == 10


def test_nothing_is_nothing() -> None:
    found = traffic(SPAN, Baseline.ALWAYS_STRONG)
    assert found.domains == ()
    assert found.compared == CostComparison(0, 0, 0)
    assert found.compared.share is None


def test_days_without_traffic_are_on_the_axis() -> None:
    hour(decisions=10)
    found = traffic(SPAN, Baseline.ALWAYS_STRONG)
    assert [row.day for row in found.days] == [date(2026, 11, 16 + n) for n in range(7)]
    assert [row.requests for row in found.days] == [0, 0, 0, 0, 10, 0, 0]
    assert found.days[4].baseline == 10 * CENT


def test_the_days_add_up_to_the_whole() -> None:
    for number in range(5):
        for tier in ("strong", "weak"):
            hour(tier=tier, at=HOUR - timedelta(days=number), decisions=7 + number)
    for baseline in Baseline:
        found = traffic(SPAN, baseline)
        assert sum(row.baseline for row in found.days) == found.compared.baseline
        assert sum(row.strong + row.weak for row in found.days) == found.compared.cost


def test_a_short_span_has_hours() -> None:
    hour(decisions=3)
    found = traffic(
        Span(datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)),
        Baseline.ALWAYS_STRONG,
    )
    assert len(found.days) == 24
    assert found.days[10].day == HOUR
    assert found.days[10].requests == 3


def test_a_bucket_of_another_domain_is_not_counted() -> None:
    hour("technical", decisions=5)
    hour("legal", decisions=7)
    assert traffic(SPAN, Baseline.ALWAYS_STRONG, "legal").sums.decisions == 7


@pytest.mark.parametrize(
    ("strong", "weak", "held"),
    [
        ((950, 1000), (945, 1000), QualityStatus.YES),
        ((950, 1000), (800, 1000), QualityStatus.NO),
        ((95, 100), (90, 100), QualityStatus.UNCLEAR),
        ((90, 100), (89, 99), QualityStatus.TOO_FEW),
    ],
)
def test_quality_held(strong: tuple[int, int], weak: tuple[int, int], held: QualityStatus) -> None:
    hour(tier="strong", liked=strong[0], rated=strong[1])
    hour(tier="weak", liked=weak[0], rated=weak[1])
    assert traffic(SPAN, Baseline.ALWAYS_STRONG).domains[0].quality.held is held


def test_quality_of_one_model_has_nothing_to_be_compared_with() -> None:
    hour(tier="selected", liked=900, rated=1000)
    quality = traffic(SPAN, Baseline.ALWAYS_STRONG).domains[0].quality
    assert quality.held is QualityStatus.NOT_ROUTED
    assert quality.mean is not None
    assert quality.mean.value == 0.9


def test_points_merge_days_until_most_have_enough_ratings() -> None:
    for number in range(14):
        for tier in ("strong", "weak"):
            hour(tier=tier, at=SPAN.until - timedelta(days=number + 1), liked=16, rated=16)
    span = Span(SPAN.until - timedelta(days=14), SPAN.until)
    found = [p for p in traffic(span, Baseline.ALWAYS_STRONG).quality if p.tier == "strong"]
    # A filled mark needs 30, two days bring 32.
    assert [point.rated for point in found] == [32] * 7
    assert found[1].at == span.since + timedelta(days=2)


def test_points_never_cover_so_much_that_fewer_than_four_are_left() -> None:
    hour(tier="strong", liked=1, rated=1)
    assert len(traffic(SPAN, Baseline.ALWAYS_STRONG).quality) == 7


def test_a_point_with_too_few_ratings_has_no_number() -> None:
    hour(at=SPAN.since, liked=9, rated=9)
    point = traffic(SPAN, Baseline.ALWAYS_STRONG).quality[0]
    assert (point.mean, point.low, point.high, point.rated) == (None, None, None, 9)


@pytest.mark.usefixtures("seeded")
def test_pages_say_what_the_raw_rows_add_up_to() -> None:
    recount.prepare()
    chance = random.Random(11)
    recount.report(chance, recount.decide(chance, 200), 300)
    now = Decision.objects.latest("created_at").created_at
    span = Span(
        now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3),
        now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1),
    )
    found = traffic(span, Baseline.ALWAYS_STRONG)
    rows = Decision.objects.all()
    assert found.sums.decisions == rows.count() == 200
    cost = rows.filter(priced=True).aggregate(n=Sum(Coalesce("outcome__cost", "cost")))["n"]
    assert found.sums.cost == cost
    for one in found.domains:
        own = rows.filter(domain=one.name)
        assert one.sums.decisions == own.count()
        assert one.tiers.keys() == set(own.values_list("tier", flat=True))
