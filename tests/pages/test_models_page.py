"""`/models/`: what each model cost, and where its price comes from."""

from datetime import timedelta

from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from experiments.models import ModelPrice
from tests.rollup_rows import CENT, hour

NOW = timezone.now().replace(minute=0, second=0, microsecond=0)


def test_it_says_what_was_spent_and_how_good_the_estimates_were(viewer: Client) -> None:
    hour(at=NOW, decisions=90, reconciled=90, actual=110 * CENT, estimated=100 * CENT)
    hour(tier="weak", at=NOW, decisions=100)
    page = viewer.get("/models/").content.decode()
    assert "2 models answered in the last 7 days for $1.00." in page
    assert "openai/gpt-4.1 accounts for 90 % of it." in page
    assert "Where tokens were reported, cost was 10 % above the estimate." in page


def test_a_model_without_a_price_is_said_by_name(viewer: Client) -> None:
    hour(at=NOW)
    ModelPrice.objects.filter(model__name="openai/gpt-4.1").delete()
    page = viewer.get("/models/").content.decode()
    assert "openai/gpt-4.1 has no price." in page
    assert "no current price" in page


def test_without_traffic_there_still_are_prices(viewer: Client) -> None:
    page = viewer.get("/models/").content.decode()
    assert "No model answered in the last 7 days." in page
    assert "genai-prices catalogue" in page


def test_prices_say_how_old_they_are(viewer: Client) -> None:
    ModelPrice.objects.filter(model__name="openai/gpt-4.1").update(
        fetched_at=timezone.now() - timedelta(days=40, hours=1)
    )
    page = viewer.get("/models/").content.decode()
    assert page.count("40 days old") == 1
    assert "less than a day old" in page


def test_queries(viewer: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    hour(at=NOW)
    with django_assert_num_queries(9):
        viewer.get("/models/")
