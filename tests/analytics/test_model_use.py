"""What each model cost, how it was rated, and its price today."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from pytest_django import DjangoAssertNumQueries

from experiments.analytics.model_use import model_use
from experiments.decisions.rollup_queries import Span
from experiments.models import LanguageModel, ModelPrice
from tests.rollup_rows import CENT, hour

pytestmark = pytest.mark.django_db
SPAN = Span(datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
TODAY = date(2026, 11, 22)


def price(model: LanguageModel, dollars: int, source: str = ModelPrice.CATALOGUE) -> None:
    ModelPrice.objects.create(
        model=model, input_per_million=dollars, output_per_million=4 * dollars, source=source
    )


def test_it_works(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    price(LanguageModel.objects.create(name="openai/gpt-4.1", provider="openai"), 2)
    hour(
        decisions=10,
        liked=9,
        rated=10,
        outcomes=8,
        errors=2,
        reconciled=8,
        actual=12 * CENT,
        estimated=8 * CENT,
    )
    with django_assert_num_queries(3):
        (use,) = model_use(SPAN, TODAY)
    assert use.known
    assert use.cost is not None
    assert use.cost.value == 1000 * CENT
    assert use.quality is not None
    assert use.quality.value == 0.9
    assert use.estimate_error == 0.5
    assert use.error_share == 0.25
    assert use.price is not None
    assert (use.price.input, use.price.output) == (2_000_000_000, 8_000_000_000)


def test_a_model_without_requests_has_a_price_and_no_numbers() -> None:
    price(LanguageModel.objects.create(name="acme/idle", provider="acme"), 1)
    (use,) = model_use(SPAN, TODAY)
    assert (use.sums.decisions, use.cost, use.quality, use.estimate_error) == (0, None, None, None)


def test_a_model_that_was_deleted_keeps_what_it_cost() -> None:
    hour(model="acme/gone", decisions=3)
    (use,) = model_use(SPAN, TODAY)
    assert (use.name, use.known, use.price, use.sums.decisions) == ("acme/gone", False, None, 3)


def test_an_operators_price_comes_before_the_catalogues() -> None:
    model = LanguageModel.objects.create(name="acme/one", provider="acme")
    price(model, 9)
    price(model, 3, ModelPrice.OPERATOR)
    (use,) = model_use(SPAN, TODAY)
    assert use.price is not None
    assert use.price.source == "Operator"
    assert use.price.input == int(Decimal(3) * 1_000_000_000)


def test_a_price_that_ended_is_none() -> None:
    model = LanguageModel.objects.create(name="acme/one", provider="acme")
    ModelPrice.objects.create(
        model=model, input_per_million=1, output_per_million=1, valid_until=TODAY
    )
    assert model_use(SPAN, TODAY)[0].price is None
