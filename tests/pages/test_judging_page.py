"""`/judging/`, and what a decision's page shows of its pair."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments.background.tasks import run_next
from experiments.configuration.revisions import revision
from experiments.decisions.outcomes import Rating, record_feedback
from experiments.decisions.rollup_queries import Span
from experiments.limits import circuit_breakers
from experiments.models import Decision, Domain, OwnCall, RoutingSettings, ShadowPair
from experiments.shadow.report import judging
from tests.shadow.provider import Provider, provider
from tests.shadow.rows import STRONG, answered, change, set_up

PAGE = "/judging/"


@pytest.fixture(autouse=True)
def _fresh_circuits() -> Iterator[None]:
    circuit_breakers.invalidate()
    yield
    circuit_breakers.invalidate()


@pytest.fixture
def stub(viewer: Client) -> Iterator[Provider]:
    with provider() as running:
        yield running


def work() -> None:
    while run_next(timezone.now()):
        pass


def rate(row: Decision, value: float, source: str = "user") -> None:
    now = datetime.now(UTC)
    assert record_feedback([Rating(row.pk, "quality", value, source, now)], now) == [None]


def text(client: Client, path: str = PAGE) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_an_empty_page_says_what_to_do(viewer: Client) -> None:
    page = text(viewer)
    assert "Nothing here yet" in page
    assert "Set the shadow share of a domain" in page
    assert "No domain makes shadow calls." in page


def test_it_is_a_tab_of_models(viewer: Client) -> None:
    assert f'<a href="{PAGE}">Judging</a>' in text(viewer, "/models/")


def test_it_says_whose_answers_are_better_and_what_that_cost(
    viewer: Client, stub: Provider
) -> None:
    set_up(stub.url)
    answered()
    work()
    page = text(viewer)
    assert (
        "The judge compared 1 pair of answers in the last 7 days: the strong model was "
        "better in 100 %, the weak model in 0 %, neither in 0 %. None of them was rated by a "
        "person." in page
    )
    assert "The judge is stub/judge." in page
    each = 100 * 2_000 + 10 * 8_000
    assert OwnCall.objects.count() * each == 840_000
    assert "$0.00084 in the last 7 days, not included in the costs" in page
    assert "$0.00084 of $1.00 used today (UTC)." in page
    assert f"{STRONG} is better" in page


def test_agreement_is_a_word_while_there_are_few(viewer: Client, stub: Provider) -> None:
    set_up(stub.url)
    rows = [answered(f"Prompt {number}") for number in range(3)]
    work()
    for row in rows:
        rate(row, 0.0)
    page = text(viewer)
    assert "Too few decisions with a clear verdict of both: 3 of 30." in page
    assert "Too few were rated by people to compare: 3 of 30." in page


def test_agreement_has_its_interval_and_what_chance_would_give(
    viewer: Client, stub: Provider
) -> None:
    """The judge is for none of these answers; people are for eight of the forty."""
    set_up(stub.url)
    rows = [answered(f"Prompt {number}") for number in range(41)]
    work()
    for number, row in enumerate(rows):
        rate(row, 0.5 if number == 40 else float(number < 8))
    page = text(viewer)
    assert (
        "They agreed on 32 of 40: 80 % (95 % interval: 65 % to 90 %). Agreement by chance would "
        "be 80 %. 1 decision left out, because one side was undecided." in page
    )


def test_judges_do_not_agree_with_themselves(viewer: Client, stub: Provider) -> None:
    """Quality reported by a judge is no person's."""
    set_up(stub.url)
    row = answered()
    work()
    rate(row, 0.0, source="judge")
    assert "No judged decision was rated by a person." in text(viewer)


def test_a_used_up_budget_is_said(viewer: Client, stub: Provider) -> None:
    set_up(stub.url)
    change(shadow_budget=0)
    answered()
    page = text(viewer)
    assert "Today&#x27;s budget is used up. Raise it" in page
    assert "no more calls until midnight" in page
    assert "Skipped" in page


def test_a_judge_of_the_pair_is_warned_of(viewer: Client, stub: Provider) -> None:
    set_up(stub.url)
    with revision("tests"):
        row = RoutingSettings.objects.get()
        row.judge_model = row.strong_model
        row.save()
    answered()
    assert "models prefer their own answers" in text(viewer)


def test_domains_are_filtered(viewer: Client, stub: Provider) -> None:
    set_up(stub.url)
    answered()
    work()
    assert "compared no answers" in text(viewer, f"{PAGE}?domain=legal")


def test_it_asks_a_few_questions_of_the_database_however_many_pairs(
    viewer: Client, stub: Provider, django_assert_max_num_queries: Any
) -> None:
    set_up(stub.url)
    for number in range(12):
        answered(f"Prompt {number}")
    work()
    now = timezone.now()
    with django_assert_max_num_queries(8):
        judging(Span(now - timedelta(days=1), now + timedelta(days=1)))


# A decision's page


def test_a_decision_shows_both_answers_where_text_is_kept(viewer: Client, stub: Provider) -> None:
    set_up(stub.url, prompt_storage="text")
    row = answered(answer="Badly answered <b>.")
    work()
    page = text(viewer, f"/decisions/{row.pk}/")
    assert 'id="shadow-head"' in page
    assert "Badly answered &lt;b&gt;." in page
    assert "Well answered." in page
    assert page.count("One of them is right.") == 2
    assert f"<strong>{STRONG} is better</strong>" in page


def test_a_decision_says_why_it_shows_no_answers(viewer: Client, stub: Provider) -> None:
    set_up(stub.url)
    row = answered()
    work()
    page = text(viewer, f"/decisions/{row.pk}/")
    assert "The answers are not stored, because the domain technical does not store" in page
    assert "Well answered" not in page


def test_a_decision_without_a_pair_shows_none(viewer: Client, stub: Provider) -> None:
    set_up(stub.url)
    row = answered()
    ShadowPair.objects.all().delete()
    assert 'id="shadow-head"' not in text(viewer, f"/decisions/{row.pk}/")


def test_a_change_of_the_rubric_is_a_revision(viewer: Client) -> None:
    with revision("tests") as publication:
        Domain.objects.filter(name="legal").update(rubric="Cite the law.", shadow_share=0.1)
    assert publication.revision is not None
    paths = {change["path"] for change in publication.revision.difference}
    assert {"domains.legal.rubric", "domains.legal.shadow_share"} <= paths
