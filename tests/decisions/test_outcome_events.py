"""Outcomes and ratings: late, twice and out of order they leave the same."""

import random
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from experiments.configuration.policy_store import store
from experiments.decisions.folding import fold_all
from experiments.decisions.outcomes import (
    OutcomeReport,
    Rating,
    actual_costs,
    record_feedback,
    record_outcome,
)
from experiments.models import Decision, Feedback, Outcome, Rollup, UnitSum
from experiments.routing.route import RouteRequest, route
from experiments.routing.runtime import engine

pytestmark = pytest.mark.usefixtures("seeded")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def decision(seeded: None) -> Decision:
    engine.warm_up(store.current())
    row = route(RouteRequest("Fix my loop.", unit_id="u", domain="technical"))
    return Decision.objects.get(pk=row.pk)


def sums() -> list[dict[str, Any]]:
    """Every sum there is, without its key's surrogate."""
    fold_all()
    return [
        {k: v for k, v in row.items() if k != "id"}
        for model in (UnitSum, Rollup)
        for row in model._default_manager.order_by("domain").values()
    ]


def test_an_outcome_prices_the_decision_again_at_its_own_prices(decision: Decision) -> None:
    detail = decision.detail
    detail["prices"] = {
        name: {"input": nano * 1_000_000, "output": nano * 2_000_000, "request": 5, "source": ""}
        for name, nano in ((decision.strong_model, 10), (decision.weak_model, 1))
    }
    decision.save(update_fields=["detail"])
    record_outcome(decision.pk, OutcomeReport(NOW, input_tokens=100, output_tokens=50), NOW)

    row = Outcome.objects.get()
    chosen = {"strong": 2005, "weak": 205}[decision.tier]
    assert (row.cost, row.cost_strong, row.cost_weak) == (chosen, 2005, 205)
    assert row.cost_baseline == 2005


def test_an_unreported_count_stays_as_expected(decision: Decision) -> None:
    costs = actual_costs(decision, None, decision.detail["output_tokens"][decision.model])
    assert costs.cost == decision.cost
    assert actual_costs(decision, decision.input_tokens, None).cost == decision.cost


def test_without_any_count_nothing_is_priced_again(decision: Decision) -> None:
    assert actual_costs(decision, None, None) == (None, None, None, None)


def test_without_a_price_the_cost_stays_unknown(decision: Decision) -> None:
    del decision.detail["prices"][decision.model]
    assert actual_costs(decision, 1, 1).cost is None


REPORTS = [
    OutcomeReport(NOW, input_tokens=10, output_tokens=20, success=True),
    OutcomeReport(NOW, input_tokens=10, output_tokens=30, success=False),
    OutcomeReport(NOW - timedelta(hours=1), output_tokens=99, latency_ms=5.0),
    OutcomeReport(NOW - timedelta(hours=1), error="lost"),
]


@pytest.mark.parametrize("order", list(permutations(range(4)))[::5])
def test_any_order_of_outcomes_leaves_the_same_row_and_sums(
    decision: Decision, order: tuple[int, ...]
) -> None:
    for index in (*order, *order[::2]):
        record_outcome(decision.pk, REPORTS[index], NOW)
    row = Outcome.objects.get()
    assert (row.output_tokens, row.success) == (30, False)
    (unit, rollup) = sums()
    assert (unit["outcomes"], unit["errors"], unit["latency_count"]) == (1, 1, 0)
    assert unit["cost"] == row.cost
    assert rollup["cost"] == row.cost


def test_ratings_in_any_order_leave_the_same_rows_and_sums(decision: Decision) -> None:
    ratings = [
        Rating(decision.pk, "quality", value, source, NOW + timedelta(hours=hour))
        for hour, source, value in ((1, "human", 0.2), (2, "human", 0.8), (0, "judge", 0.1))
    ]
    seen = []
    for seed in range(5):
        random.Random(seed).shuffle(ratings)
        for rating in ratings:
            assert record_feedback([rating], NOW) == [None]
        assert record_feedback(ratings, NOW) == [None] * 3
        seen.append((list(Feedback.objects.order_by("source").values_list("value")), sums()))
    assert seen == [seen[0]] * 5
    assert seen[0][0] == [(0.8,), (0.1,)]
    assert seen[0][1][0]["quality"] == 800_000  # people beat judges


def test_a_rating_of_another_metric_leaves_quality_alone(decision: Decision) -> None:
    record_feedback([Rating(decision.pk, "stars", 5.0, "human", NOW)], NOW)
    assert sums()[0]["rated"] == 0


def test_one_refused_rating_does_not_stop_the_others(decision: Decision) -> None:
    unknown = UUID("01a2054b-6f51-7f5d-8191-d22b854ec5e8")
    ratings = [
        Rating(unknown, "quality", 0.5, "human", NOW),
        Rating(decision.pk, "quality", 0.5, "human", NOW),
        Rating(decision.pk, "quality", 7.0, "judge", NOW),
    ]
    refused = record_feedback(ratings, NOW)
    assert [type(refusal).__name__ for refusal in refused] == [
        "DecisionNotFoundError",
        "NoneType",
        "OutOfRangeError",
    ]
    assert Feedback.objects.count() == 1
