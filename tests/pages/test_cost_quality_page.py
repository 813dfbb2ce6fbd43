"""`/cost-and-quality/`: does a policy do worse than a coin?"""

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


def test_worse_than_a_coin_is_said_by_name(viewer: Client) -> None:
    ends()
    hour(tier="strong", at=NOW, experiment="e", arm="router", liked=600, rated=1000)
    page = viewer.get("/cost-and-quality/").content.decode()
    assert "e: router" in page
    assert "worse than a coin: rated lower than what tossing one" in page


def test_nothing_worse_than_a_coin(viewer: Client) -> None:
    ends()
    page = viewer.get("/cost-and-quality/").content.decode()
    assert "Nothing is shown to do worse than a coin: 3 of 3 points have a line" in page


def test_the_first_run_invites(viewer: Client) -> None:
    assert "<code>make demo</code>" in viewer.get("/cost-and-quality/").content.decode()


def test_queries(viewer: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    ends()
    with django_assert_num_queries(7):
        viewer.get("/cost-and-quality/")
