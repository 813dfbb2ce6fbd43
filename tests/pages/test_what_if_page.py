"""`/lab/what-if/`: sentence, curve, numbers, and what an answer is turned into."""

from datetime import UTC, datetime

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from experiments.dashboards import lab_filters, what_if
from experiments.models import Decision, Domain, Experiment, PolicyRevision, Router
from experiments.routers.local_mf import CHECKPOINT
from tests.explored_traffic import (
    let_ten_carry_a_third_of_the_weak_cost,
    send,
    set_policy,
)
from tests.pages.conftest import text

PAGE = "/lab/what-if/"
WEAK = f"{PAGE}?domain=technical&method=always_weak"


def traffic(count: int = 300, epsilon: float = 0.3) -> None:
    set_policy(epsilon=epsilon)
    send(count, until=datetime.now(UTC), days=3)


def test_it_works(viewer: Client) -> None:
    traffic()
    page = text(viewer, WEAK)
    assert "Had “always weak” run in technical, 1,000 requests would have cost $" in page
    assert 'data-chart="curve"' in page
    assert "rated decisions went where the candidate would have sent them" in page
    assert "data-what-if-input" in page
    assert "Draft an experiment" not in page


def test_a_cost_that_ten_requests_carry_is_said(viewer: Client) -> None:
    traffic()
    let_ten_carry_a_third_of_the_weak_cost()
    sentence = "The ten largest requests carry 34 % of the cost: the true cost may lie above this"
    assert sentence in text(viewer, WEAK)


def test_queries_do_not_grow_with_decisions(
    viewer: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    traffic(60)
    viewer.get(WEAK)
    with django_assert_max_num_queries(12):
        viewer.get(WEAK)


def test_a_page_reads_the_newest_and_more_when_asked(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic(100)
    monkeypatch.setattr(lab_filters, "AT_ONCE", 60)
    page = text(viewer, WEAK)
    assert "Based on the newest 60 decisions in this time." in page
    assert "read=more" in page
    whole = text(viewer, f"{WEAK}&read=more")
    assert "Based on the newest" not in whole


def test_without_traffic_it_says_what_it_will_show(viewer: Client) -> None:
    page = text(viewer, PAGE)
    assert "This page will show: the estimated cost and quality of another threshold" in page


def test_an_invalid_address_is_reported(viewer: Client) -> None:
    traffic(20)
    page = text(viewer, f"{PAGE}?domain=cooking&threshold=hot&method=magic&router=%00")
    assert "Unknown domain &#x27;cooking&#x27;" in page
    assert "got “hot”" in page
    assert "got “magic”" in page


def test_a_router_that_never_scored_is_refused_with_the_reason(viewer: Client) -> None:
    traffic(20)
    Router.objects.create(name="late", kind="local_mf", enabled=False)
    page = text(viewer, f"{PAGE}?domain=technical&router=late&threshold=0.5")
    assert "The log cannot answer this question." in page
    assert "needs stored prompts or features" in page
    page = text(viewer, f"{PAGE}?domain=technical&router=unknown&threshold=0.5")
    assert "Unknown router &#x27;unknown&#x27;" in page


def test_a_router_that_never_scored_scores_what_is_kept(viewer: Client) -> None:
    set_policy(epsilon=0.3, prompt_storage="text")
    send(40, until=datetime.now(UTC), days=3)
    set_policy(prompt_storage="none")
    send(10, until=datetime.now(UTC), days=3, seed=2)
    Router.objects.create(name="late", kind="local_mf", enabled=False)
    page = text(viewer, f"{PAGE}?domain=technical&router=late&threshold=0.5")
    assert "<option selected>late</option>" in page
    assert "Of these 50 decisions “late” scored 0 at the time and 40 now" in page
    assert "the other 10 cannot be scored and are left out." in page
    assert "80 %</dd>" in page
    assert "Only requests with a score are included." in page


def test_the_page_scores_so_many_and_says_so(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(what_if, "MOST_SCORED_ON_A_PAGE", 15)
    set_policy(epsilon=0.3, prompt_storage="text")
    send(40, until=datetime.now(UTC), days=3)
    page = text(viewer, f"{PAGE}?domain=technical&router={CHECKPOINT}&threshold=0.5")
    assert f"Of these 15 decisions “{CHECKPOINT}” scored 0 at the time and 15 now" in page
    assert "Only the newest 15 decisions were read: `manage.py what_if` reads all." in page


def test_a_folder_is_no_arm_of_an_experiment(operator: Client) -> None:
    set_policy(epsilon=0.3, prompt_storage="text")
    send(10, until=datetime.now(UTC), days=3)
    asked = f"?domain=technical&router={CHECKPOINT}&threshold=0.5"
    page = operator.post(f"{PAGE}experiment/{asked}", follow=True).content.decode()
    assert not Experiment.objects.exists()
    assert f"unknown router &#x27;{CHECKPOINT}&#x27;" in page


def test_all_domains_have_a_table(viewer: Client) -> None:
    traffic(60)
    page = text(viewer, f"{PAGE}?method=always_weak")
    assert "By domain" in page
    assert "Choose a domain to draft an experiment." in page


def test_an_answer_becomes_a_draft_experiment(operator: Client) -> None:
    traffic(60)
    assert "Draft an experiment" in text(operator, f"{PAGE}?domain=technical&threshold=0.7")
    response = operator.post(f"{PAGE}experiment/?domain=technical&threshold=0.7")
    made = Experiment.objects.get()
    assert response.headers["Location"] == f"/experiments/{made.key}/"
    assert made.key == "technical-what-if"
    assert made.is_draft
    control, candidate = made.arms.all()
    domain = Domain.objects.get(name="technical")
    assert control.is_control
    assert control.routing_policy() == domain.routing_policy()
    assert candidate.threshold == 0.7
    assert candidate.router == domain.router
    assert {metric.metric for metric in made.metrics.all()} == {"cost", "quality"}
    operator.post(f"{PAGE}experiment/?domain=technical&method=always_weak")
    assert Experiment.objects.filter(key="technical-what-if-2").exists()


def test_exploration_is_turned_on_by_a_revision(operator: Client) -> None:
    traffic(60, epsilon=0.0)
    page = text(operator, WEAK)
    assert "Next: turn on exploration of 2 % for technical: it" in page
    assert "Explore 2 %" in page
    before = PolicyRevision.objects.count()
    operator.post(f"{PAGE}explore/?domain=technical&method=always_weak")
    assert Domain.objects.get(name="technical").epsilon == 0.02
    assert PolicyRevision.objects.count() == before + 1


@pytest.mark.parametrize("action", ["experiment", "explore"])
def test_a_viewer_turns_it_into_nothing(viewer: Client, action: str) -> None:
    traffic(5)
    assert viewer.post(f"{PAGE}{action}/?domain=technical&threshold=0.7").status_code == 403
    assert not Experiment.objects.exists()
    assert Domain.objects.get(name="technical").epsilon == 0.3


def test_without_a_domain_no_step_is_taken(operator: Client) -> None:
    traffic(5)
    operator.post(f"{PAGE}experiment/?method=always_weak")
    assert not Experiment.objects.exists()
    assert operator.post(f"{PAGE}nonsense/").status_code == 404
    assert operator.get(f"{PAGE}experiment/").status_code == 405


def test_only_decisions_that_know_their_odds_are_asked(viewer: Client) -> None:
    traffic(5)
    Decision.objects.update(odds="")
    assert "This page will show" in text(viewer, WEAK)
