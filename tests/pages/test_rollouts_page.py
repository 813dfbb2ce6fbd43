"""`/rollouts/`: how far each flag is open, who is in, why it waits, and the steps to take."""

from datetime import timedelta
from decimal import Decimal

from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from experiments.models import Flag, Rollout
from experiments.rollouts import lifecycle
from tests.pages.conftest import text

PAGE = "/rollouts/"
STEPS = [[5, 72], [25, 72], [100, 0]]


def underway(domain: str = "medical") -> Rollout:
    row = Rollout.objects.create(
        flag=Flag.objects.get(domain__name=domain), key=f"rollout-{domain}", steps=STEPS
    )
    lifecycle.start(row, "tests", timezone.now() - timedelta(hours=2))
    return row


def test_every_flag_is_there_without_a_rollout(viewer: Client) -> None:
    page = text(viewer, PAGE)
    assert "No flag is being rolled out." in page
    assert "routellm_medical_domain" in page


def test_the_steps_and_shares_are_shown(viewer: Client) -> None:
    underway()
    page = text(viewer, PAGE)
    assert "Medical at 5 % is rising." in page
    assert "The flag is on for 5 % of units." in page
    assert "5 % with the flag" in page
    assert "95 % control" in page
    assert "% neither" not in page
    assert "at the earliest" in page


def test_a_rollout_costs_few_queries(
    viewer: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    underway()
    with django_assert_max_num_queries(14):
        text(viewer, PAGE)


def test_a_viewer_cannot_move_it(viewer: Client) -> None:
    underway()
    assert "Roll back now" not in text(viewer, PAGE)
    assert viewer.post(f"{PAGE}rollout-medical/pause/").status_code == 403


def test_it_is_paused_and_resumed(operator: Client) -> None:
    row = underway()
    operator.post(f"{PAGE}{row.key}/pause/")
    row.refresh_from_db()
    assert row.state == "paused"
    operator.post(f"{PAGE}{row.key}/resume/")
    row.refresh_from_db()
    assert row.state == "running"


def test_it_is_rolled_back_with_a_reason_only(operator: Client) -> None:
    row = underway()
    response = operator.post(f"{PAGE}{row.key}/roll-back/", {"reason": ""}, follow=True)
    assert "Give a reason for rolling back" in response.content.decode()
    operator.post(f"{PAGE}{row.key}/roll-back/", {"reason": "Wrong doses"})
    assert Flag.objects.get(domain__name="medical").percentage == Decimal(0)
    page = text(operator, PAGE)
    assert "medical was rolled back." in page.lower()
    assert "Back at 0 %: Wrong doses." in page


def test_a_pending_one_can_be_started_where_nothing_stands_against_it(operator: Client) -> None:
    row = Rollout.objects.create(
        flag=Flag.objects.get(domain__name="medical"), key="rollout-medical", steps=[]
    )
    response = operator.post(f"{PAGE}{row.key}/start/", follow=True)
    assert "Add at least one step" in response.content.decode()
    row.steps = STEPS
    row.save()
    operator.post(f"{PAGE}{row.key}/start/")
    row.refresh_from_db()
    assert row.state == "running"


def test_each_guard_says_what_is_known_and_what_is_missing(viewer: Client) -> None:
    underway()
    page = text(viewer, PAGE)
    assert "Has no values to compare" in page
    assert "calls with a reported outcome, and none arrive at present" in page
    assert "2.0 points" in page


def test_the_worst_case_is_shown_before_the_start(operator: Client) -> None:
    Rollout.objects.create(
        flag=Flag.objects.get(domain__name="medical"), key="rollout-medical", steps=STEPS
    )
    assert "Worst case of the first step, 5 % of traffic" in text(operator, PAGE)


def test_it_advances_anyway_with_a_reason_only(operator: Client) -> None:
    row = underway()
    response = operator.post(f"{PAGE}{row.key}/advance-anyway/", {"reason": " "}, follow=True)
    assert "Give a reason" in response.content.decode()
    operator.post(f"{PAGE}{row.key}/advance-anyway/", {"reason": "The quarter ends"})
    assert Flag.objects.get(domain__name="medical").percentage == 25
    assert "Advanced without evidence: The quarter ends (olga); now 25 %." in text(operator, PAGE)


def test_its_target_is_lowered(operator: Client) -> None:
    row = underway()
    for wrong in ("", "ten", "1", "nan"):
        operator.post(f"{PAGE}{row.key}/target/", {"percentage": wrong})
        row.refresh_from_db()
        assert row.steps == STEPS
    operator.post(f"{PAGE}{row.key}/target/", {"percentage": "20"})
    row.refresh_from_db()
    assert row.steps == [[5, 72], [20.0, 72]]


def test_a_step_that_does_not_exist_is_refused(operator: Client) -> None:
    row = underway()
    assert operator.post(f"{PAGE}{row.key}/explode/").status_code == 404
    assert operator.get(f"{PAGE}{row.key}/pause/").status_code == 405
