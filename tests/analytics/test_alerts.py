"""What needs a hand, most urgent first."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from experiments.analytics.alerts import Attention, NotReady, Subject, attention
from experiments.configuration.policy_store import store
from experiments.configuration.revisions import revision
from experiments.decisions.rollup_queries import Span
from experiments.models import DailyResult, LanguageModel, ModelPrice, ThresholdTable
from tests.experiment_rows import rollout, running
from tests.rollup_rows import hour

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded")]
SPAN = Span(datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))


def found(*routers: NotReady) -> tuple[Attention, ...]:
    return attention(SPAN, store.current(), routers)


def judged(key: str, verdict: str, domain: str, phase: int = 1) -> None:
    DailyResult.objects.create(
        experiment=running(key, domain=domain),
        phase=phase,
        day=date(2026, 11, 21),
        verdict=verdict,
        result={"sentence": f"{key} in words."},
    )


def test_a_new_installation_needs_nothing(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    policy = store.current()
    with django_assert_num_queries(7):
        assert attention(SPAN, policy, ()) == ()
    with django_assert_num_queries(5):  # drift is looked at every ten minutes
        assert attention(SPAN, policy, ()) == ()


def test_scores_that_jumped_within_a_day() -> None:
    cut = {"share": 0.5, "wanted": 0.5, "threshold": 0.7, "tie_share": 1.0}
    for number, (age, jump) in enumerate([(30, 0.9), (3, 0.41), (2, 0.38), (1, None)], start=1):
        ThresholdTable.objects.create(
            domain="technical",
            router="local",
            number=number,
            at=timezone.now() - timedelta(hours=age),
            cuts=[cut],
            basis="domain",
            scores=200,
            jump=jump,
        )
    one = found()[0]
    assert (one.subject, one.key) == (Subject.DOMAIN, "technical")
    assert one.title == "Scores of technical jumped"
    assert "differed from those before by 41 % of the prompts" in one.why


def test_verdicts_in_the_order_of_urgency() -> None:
    judged("good", "ship", "technical")
    judged("bad", "roll_back", "creative")
    judged("sick", "unhealthy", "educational")
    judged("going", "keep_running", "scientific")
    assert [(one.state, one.title) for one in found()] == [
        ("unhealthy", "sick is unhealthy"),
        ("rollback", "bad should roll back"),
        ("ship", "good can ship"),
    ]
    assert found()[0].why == "sick in words."


def test_a_verdict_says_the_moment_it_is_of() -> None:
    judged("sick", "unhealthy", "educational")
    assert found()[0].when == "At the end of 2026-11-21 (UTC):"


def test_a_verdict_of_an_earlier_phase_is_over() -> None:
    judged("good", "ship", "technical", phase=2)
    assert found() == ()


def test_a_held_rollout() -> None:
    row = rollout()
    type(row).objects.update(state="held", reason="Quality fell.")
    assert [(one.subject, one.state, one.why) for one in found()] == [
        (Subject.ROLLOUT, "paused", "Quality fell.")
    ]


def test_a_model_without_a_price_that_answered() -> None:
    hour(model="acme/new", decisions=12)
    assert [(one.title, one.why) for one in found()] == [
        ("acme/new has no price", "The saving of 12 decisions that it answered is unknown.")
    ]


def test_a_model_of_a_pair_whose_price_ended() -> None:
    with revision("tests"):
        model = LanguageModel.objects.get(name=store.current().default_pair.strong)
        ModelPrice.objects.filter(model=model).update(valid_until=date(2026, 1, 1))
    hour(model=model.name, decisions=1)
    assert [one.key for one in found()] == [model.name]


def test_a_router_that_is_not_ready() -> None:
    (one,) = found(NotReady("bert", "No checkpoint."))
    assert one.title == "Router bert is not ready"
    assert one.why == "No checkpoint. Its decisions fall back to the domain selector."
