"""`/cost-and-quality/`: does a policy do worse than a random router?"""

from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.rollup_rows import hour

NOW = timezone.now().replace(minute=0, second=0, microsecond=0)


def ends() -> None:
    hour(
        tier="strong",
        at=NOW,
        method="always_strong",
        experiment="e",
        arm="s",
        liked=950,
        rated=1000,
    )
    hour(tier="weak", at=NOW, method="always_weak", experiment="e", arm="w", liked=750, rated=1000)


def test_without_a_line_it_says_how_to_get_one(viewer: Client) -> None:
    hour(at=NOW, liked=90, rated=100)
    page = viewer.get("/cost-and-quality/").content.decode()
    assert "no domain has ratings of both always strong and always weak" in page
    assert "Next: start an experiment with those two as arms." in page


def test_worse_than_random_is_said_by_name(viewer: Client) -> None:
    ends()
    hour(tier="strong", at=NOW, experiment="e", arm="router", liked=600, rated=1000)
    page = viewer.get("/cost-and-quality/").content.decode()
    assert "e: router" in page
    assert "worse than a random router: a random choice between the two models" in page


def test_nothing_worse_than_random(viewer: Client) -> None:
    ends()
    page = viewer.get("/cost-and-quality/").content.decode()
    assert "Nothing does worse than a random router. Compared in technical." in page


def test_better_than_random_is_said_by_name(viewer: Client) -> None:
    ends()
    hour(tier="strong", at=NOW, experiment="e", arm="router", liked=990, rated=1000)
    hour("legal", at=NOW, liked=90, rated=100)
    page = viewer.get("/cost-and-quality/").content.decode()
    assert "e: router does better than a random router, and nothing does worse." in page
    assert "Only technical can be compared: 1 other domain lacks ratings" in page
    assert "Router does better than a random router" in page  # its domain's panel


def test_each_domain_with_arms_has_a_panel(viewer: Client) -> None:
    ends()
    hour("legal", at=NOW, liked=90, rated=100)
    page = viewer.get("/cost-and-quality/").content.decode()
    assert 'data-chart="plane"' in page
    assert 'data-chart="plane-technical"' in page
    assert 'data-chart="plane-legal"' not in page
    alone = viewer.get("/cost-and-quality/?domain=legal").content.decode()
    assert 'data-chart="plane"' not in alone
    assert (
        "No random router to compare with: always weak and always strong are hardly rated." in alone
    )


def test_the_first_run_invites(viewer: Client) -> None:
    assert "<code>make demo</code>" in viewer.get("/cost-and-quality/").content.decode()


def test_queries(viewer: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    ends()
    with django_assert_num_queries(8):
        viewer.get("/cost-and-quality/")


def test_without_a_random_baseline_the_arms_are_compared_with_each_other(viewer: Client) -> None:
    hour(tier="strong", at=NOW, experiment="e", arm="half", liked=950, rated=1000)
    hour(tier="weak", at=NOW, experiment="e", arm="third", liked=900, rated=1000)
    page = viewer.get("/cost-and-quality/").content.decode()
    assert (
        "third costs 90 % less than half; the difference in quality is \N{MINUS SIGN}0.050. No"
        in page
    )
