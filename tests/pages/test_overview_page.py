"""`/`: the saving of routing, and whether quality held."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.rollup_rows import hour

NOW = timezone.now().replace(minute=0, second=0, microsecond=0)


def some_traffic() -> None:
    for domain in ("technical", "legal"):
        hour(domain, "strong", at=NOW, decisions=4000, liked=1900, rated=2000)
        hour(domain, "weak", at=NOW, decisions=6000, liked=1900, rated=2000)


def test_it_says_what_was_saved_and_whether_quality_held(viewer: Client) -> None:
    some_traffic()
    page = viewer.get("/").content.decode()
    assert "Routing saved $108.00 (54 %) in the last 7 days against always strong." in page
    assert "Quality held in all 2 routed domains." in page


def test_the_first_run_invites(viewer: Client) -> None:
    page = viewer.get("/").content.decode()
    assert "No decision in the last 7 days." in page
    assert "<code>make demo</code>" in page


def test_another_baseline_is_in_the_address(viewer: Client) -> None:
    some_traffic()
    page = viewer.get("/?baseline=always_weak&range=24h").content.decode()
    assert "Routing cost $72.00 more (360 % more) in the last 24 hours" in page
    assert 'href="/domains/technical/?range=24h&amp;baseline=always_weak"' in page


def test_what_the_address_gets_wrong_is_said_and_harmless(viewer: Client) -> None:
    page = viewer.get("/?range=99y&baseline=%00").content.decode()
    assert "“range” must be one of 24h, 7d, 30d, 90d, custom; got “99y”. Using 7d." in page
    assert "“baseline” is not a valid name." in page


@pytest.mark.parametrize("domains", [1, 8])
def test_queries_do_not_grow_with_traffic(
    viewer: Client, django_assert_num_queries: DjangoAssertNumQueries, domains: int
) -> None:
    for number in range(domains):
        for day in range(3):
            hour(f"subject{number}", at=NOW - timedelta(days=day))
            hour(f"subject{number}", "weak", at=NOW - timedelta(days=day))
    viewer.get("/")
    with django_assert_num_queries(14):
        viewer.get("/")


def test_past_days_are_not_live(viewer: Client) -> None:
    some_traffic()
    assert 'data-live="30"' in viewer.get("/").content.decode()
    assert (
        "data-live="
        not in viewer.get("/?range=custom&from=2026-01-01&to=2026-01-02").content.decode()
    )


def test_what_needs_attention_leads_to_where_one_acts(viewer: Client) -> None:
    hour(model="acme/new", at=NOW)
    page = viewer.get("/").content.decode()
    assert '<a class="state state-unhealthy" href="/models/">acme/new has no price</a>' in page
