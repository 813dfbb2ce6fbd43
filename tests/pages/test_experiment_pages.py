"""`/experiments/` and one experiment: the verdict in words, the numbers, the steps to take."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from experiments.experimentation import lifecycle
from experiments.experimentation.daily_results import record
from experiments.models import Domain, Experiment
from tests.experiment_rows import add_units, draft, running
from tests.pages.conftest import text

LIST, PAGE = "/experiments/", "/experiments/cheaper/"


def to_ship() -> Experiment:
    """Twenty days old: half the price, the same quality."""
    start = timezone.now() - timedelta(days=20)
    experiment = running(now=start)
    for arm, cost in (("control", 2_000_000), ("weak", 1_000_000)):
        add_units(experiment, arm, 700, cost=cost, rated=3, day=start.date(), spread_days=10)
    return experiment


def test_an_empty_list_invites(viewer: Client) -> None:
    page = text(viewer, LIST)
    assert "No experiments yet" in page
    assert "make demo" in page


def test_the_list_says_what_to_do(viewer: Client) -> None:
    to_ship()
    draft("later", domain="general")
    page = text(viewer, LIST)
    assert '<p class="answer">Ship cheaper.' in page
    assert "can ship" in page
    assert "Waiting for a decision" in page
    assert "Drafts" in page
    assert "1,400 of 2,000 units" in page


@pytest.mark.usefixtures("seeded")
def test_the_list_costs_few_queries(
    viewer: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(8):
        experiment = draft(f"one-{number}")
        experiment.status = Experiment.Status.STOPPED
        experiment.save()
    with django_assert_max_num_queries(8):
        text(viewer, LIST)


def test_the_verdict_and_its_reasons_are_shown(viewer: Client) -> None:
    to_ship()
    page = text(viewer, PAGE)
    assert "Ship &quot;weak&quot;. It costs" in page
    assert "This is day 21" in page
    assert "early looks are accounted for" in page
    assert "The cost of 1,000 requests is at least $" in page
    assert "the margin is 5.0 points" in page
    assert "Units fall into the arms as planned." in page


def test_one_page_stays_within_its_queries(
    viewer: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    to_ship()
    with django_assert_max_num_queries(24):
        text(viewer, PAGE)


def test_a_viewer_has_no_buttons_and_no_steps(viewer: Client) -> None:
    to_ship()
    assert "Ship weak" not in text(viewer, PAGE)
    assert viewer.post(f"{PAGE}pause/").status_code == 403
    assert Experiment.objects.get().status == "running"


def test_an_unknown_key_leads_to_the_list(viewer: Client) -> None:
    response = viewer.get("/experiments/nothing/")
    assert response.status_code == 404
    assert "The experiment “nothing” does not exist" in response.content.decode()


def test_a_draft_shows_its_checklist_and_starts(operator: Client) -> None:
    draft()
    page = text(operator, PAGE)
    assert "Ready to start: all 14 checks passed." in page
    response = operator.post(f"{PAGE}start/", follow=True)
    assert "cheaper is running." in response.content.decode()
    assert Experiment.objects.get().status == "running"


def test_a_draft_that_is_not_ready_has_no_start(operator: Client) -> None:
    draft(planned_units=None)
    page = text(operator, PAGE)
    assert "Not ready to start: 1 of 14 checks failed." in page
    assert "Start now" not in page
    response = operator.post(f"{PAGE}start/", follow=True)
    assert "Enter the planned units" in response.content.decode()
    assert Experiment.objects.get().status == "draft"


def test_it_is_paused_and_resumed(operator: Client) -> None:
    to_ship()
    operator.post(f"{PAGE}pause/")
    assert Experiment.objects.get().status == "paused"
    assert "Paused: no units are enrolled." in text(operator, PAGE)
    operator.post(f"{PAGE}resume/")
    assert Experiment.objects.get().status == "running"


def test_it_is_stopped_with_a_reason_only(operator: Client) -> None:
    to_ship()
    response = operator.post(f"{PAGE}stop/", {"reason": " "}, follow=True)
    assert "Give a reason for stopping" in response.content.decode()
    operator.post(f"{PAGE}stop/", {"reason": "Prices changed"})
    stopped = Experiment.objects.get()
    assert (stopped.status, stopped.stopped_by, stopped.verdict) == ("stopped", "olga", "ship")
    assert "Prices changed" in text(operator, PAGE)


def test_an_arm_is_shipped_to_its_domain(operator: Client) -> None:
    to_ship()
    operator.post(f"{PAGE}ship/", {"arm": "weak"})
    assert Experiment.objects.get().shipped_arm == "weak"
    assert Domain.objects.get(name="technical").method == "always_weak"
    assert "&quot;weak&quot; was shipped." in text(operator, PAGE)


def test_shipping_is_confirmed_with_verdict_change_and_predicted_share(operator: Client) -> None:
    to_ship()
    page = text(operator, PAGE)
    assert "UTC: ship. Ship &quot;weak&quot;." in page
    assert "weak: technical: from local for 50 % strong to always the weak model." in page
    assert "strong share 0 %, today" in page


def test_what_is_not_to_ship_needs_a_reason(operator: Client) -> None:
    running()
    assert 'name="reason" required' in text(operator, PAGE)
    refused = operator.post(f"{PAGE}ship/", {"arm": "weak"}, follow=True).content.decode()
    assert "The verdict" in refused or "Verdict at" in refused
    assert Experiment.objects.get().shipped_arm == ""
    operator.post(f"{PAGE}ship/", {"arm": "weak", "reason": "The budget decides"})
    row = Experiment.objects.get()
    assert (row.shipped_arm, row.ship_reason) == ("weak", "The budget decides")


def test_what_was_shipped_is_not_shipped_again(operator: Client) -> None:
    to_ship()
    operator.post(f"{PAGE}ship/", {"arm": "weak"})
    assert f"{PAGE}ship/" not in text(operator, PAGE)
    again = operator.post(f"{PAGE}ship/", {"arm": "control", "reason": "Other"}, follow=True)
    assert "was shipped already" in again.content.decode()
    assert Experiment.objects.get().shipped_arm == "weak"


def test_what_ships_says_what_to_expect(viewer: Client) -> None:
    to_ship()
    assert "Expect cost to be about" in text(viewer, PAGE)


def test_the_cost_cap_and_the_units_that_reached_it_are_shown(viewer: Client) -> None:
    to_ship()
    Experiment.objects.update(cost_cap="0.003")
    page = text(viewer, PAGE)
    assert "$0.003 per unit; costs beyond it are scaled down" in page
    assert " cut</span>" in page


def test_every_view_says_when_it_was_judged(viewer: Client) -> None:
    experiment = to_ship()
    assert "Computed at 20" in text(viewer, PAGE)
    assert "Judged on <time" in text(viewer, LIST)
    record(experiment, timezone.now())
    yesterday = timezone.now().date() - timedelta(days=1)
    assert f"At the end of {yesterday} (UTC)." in text(viewer, LIST)
    assert f"At the end of {yesterday} (UTC): Ship" in text(viewer, "/")


def test_an_ended_experiment_says_what_it_was_when_it_was_stopped(viewer: Client) -> None:
    experiment = to_ship()
    lifecycle.stop(experiment, "tests", timezone.now(), reason="Done", verdict="mixed")
    page = text(viewer, PAGE)
    assert "The verdict at the stop, 20" in page
    assert "was: mixed." in page


def test_an_arm_that_is_not_there_is_not_shipped(operator: Client) -> None:
    to_ship()
    response = operator.post(f"{PAGE}ship/", {"arm": "other"}, follow=True)
    assert "Unknown arm &#x27;other&#x27;" in response.content.decode()


def test_a_step_that_does_not_exist_and_a_get_are_refused(operator: Client) -> None:
    to_ship()
    assert operator.post(f"{PAGE}explode/").status_code == 404
    assert operator.get(f"{PAGE}stop/").status_code == 405


def test_an_archived_one_leaves_the_list_and_keeps_its_page(operator: Client) -> None:
    experiment = to_ship()
    lifecycle.stop(experiment, "tests", timezone.now(), reason="Done", verdict="ship")
    operator.post(f"{PAGE}archive/")
    assert PAGE not in text(operator, LIST)
    assert "Its decisions" in text(operator, PAGE)


def test_domains_are_shown_as_exploration(viewer: Client) -> None:
    start = timezone.now() - timedelta(days=20)
    experiment = running(domain=None, now=start)
    for arm in ("control", "weak"):
        for domain in ("technical", "creative"):
            add_units(experiment, arm, 200, domain=domain, day=start.date())
    page = text(viewer, PAGE)
    assert "By domain (exploratory" in page
    assert "they do not affect this verdict" in page
    table = page[page.index('id="domains-head"') :]
    cost = table[table.index("cost, $ per 1,000") :]
    figures = re.findall(r"<data value=[^>]*>([^<]*)</data>", cost)[:4]
    assert all(re.fullmatch(r"\N{MINUS SIGN}?\d+\.\d\d", one) for one in figures[:3]), figures
    assert re.fullmatch(r"< 0\.001|\d\.\d{3}|&lt; 0\.001", figures[3])


def test_too_few_units_are_a_word_not_a_number(viewer: Client) -> None:
    start = timezone.now() - timedelta(days=20)
    experiment = running(now=start)
    for arm in ("control", "weak"):
        add_units(experiment, arm, 12, day=start.date())
    page = text(viewer, PAGE)
    assert page.count('colspan="2">too few: 12 of 50</td>') == 2
    assert "could still be" not in page
    assert "can be estimated when 100 units have cost and quality." in page


def test_the_plan_speaks_in_the_units_of_the_results(viewer: Client) -> None:
    experiment = draft(margin=0.04)
    experiment.metrics.create(metric="error_rate", role="secondary")
    page = text(viewer, PAGE)
    assert "Quality, at most 4 points worse" in page
    assert "<dd>Error rate</dd>" in page


def test_over_time_every_arm_is_shown(viewer: Client) -> None:
    start = timezone.now() - timedelta(days=20)
    arms = {"control": "always_strong", "weak": "always_weak", "other": "domain_selector"}
    experiment = running(arms=arms, now=start)
    for arm, cost in (("control", 2_000_000), ("weak", 1_000_000), ("other", 1_500_000)):
        add_units(experiment, arm, 300, cost=cost, rated=3, day=start.date(), spread_days=10)
    page = text(viewer, PAGE)
    assert re.search(r"weak is between \S+ and \S+ \$ per 1,000; other is between", page)
