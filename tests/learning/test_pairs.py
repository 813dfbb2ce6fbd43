"""Consent to learning, and the pairs that it draws: odds, budgets, and what is kept of a prompt."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone
from uuid6 import uuid7

from experiments.analysis.learning.schedule import PAIRS_AT_FULL_RATE
from experiments.background.tasks import run_next
from experiments.configuration.policy_store import load_policy, store
from experiments.configuration.revisions import revision
from experiments.core.bucketing import bucket_index
from experiments.core.shadowing import is_shadowed, learns, shadow_odds
from experiments.learning.consent import budget_of, costs, switch_off, switch_on, switch_on_all
from experiments.learning.inputs import input_row, read
from experiments.limits import circuit_breakers
from experiments.models import Decision, Domain, LearningInput, PolicyRevision, ShadowPair
from experiments.routers.features import featurise
from experiments.routers.learned import shipped_router
from experiments.routing.route import RouteRequest, route
from experiments.shadow.queue import ShadowCandidate, queue, spent_in
from tests.shadow.provider import Provider, provider
from tests.shadow.rows import STRONG, WEAK, set_up

pytestmark = pytest.mark.django_db

SECRET_WORDS = "perspicacious aardvark"


@pytest.fixture(autouse=True)
def _fresh_circuits(seeded: None) -> Iterator[None]:
    circuit_breakers.invalidate()
    yield
    circuit_breakers.invalidate()


@pytest.fixture
def stub() -> Iterator[Provider]:
    with provider() as running:
        yield running


def work() -> None:
    while run_next(timezone.now()):
        pass


def asked(number: int, domain: str = "technical") -> Decision:
    """A decision that the weak model answered and that the gateway offers as a pair."""
    text = f"{SECRET_WORDS} {number}"
    store.invalidate()
    row = route(RouteRequest(text, unit_id=f"unit-{number}", domain=domain))
    body = {"messages": [{"role": "user", "content": text}]}
    queue([ShadowCandidate(row, WEAK, STRONG, body, "Badly answered.", text)])
    return row


def test_nothing_learns_in_a_new_installation() -> None:
    policy = store.current()
    assert not any(learns(policy, name) for name in policy.domains)


def test_one_switch_leaves_out_the_domains_where_errors_do_most_harm() -> None:
    switched = switch_on_all("ada")
    policy = store.current()
    assert {name for name in policy.domains if learns(policy, name)} == set(switched)
    assert set(policy.domains) - set(switched) == {"medical", "legal", "financial"}


def test_a_careful_domain_is_switched_on_itself_and_off_again() -> None:
    switch_on("legal", "ada")
    assert learns(store.current(), "legal")
    assert not learns(store.current(), "technical")
    newest = PolicyRevision.objects.latest("number")
    assert (newest.author_name, newest.note) == ("ada", "Learning in legal: on")
    switch_off("legal", "ada")
    assert not learns(store.current(), "legal")


def test_the_switch_states_both_costs() -> None:
    assert costs(budget_of()) == (
        "10 % of prompts are also answered by the other model, at most $1 a day; texts stay "
        "encrypted and are deleted after judging."
    )
    with revision("tests"):
        Domain.objects.filter(name="legal").update(learning_budget=Decimal("0.25"))
    assert "at most $0.25 a day" in costs(budget_of(Domain.objects.get(name="legal")))


def test_a_tenth_of_the_calls_are_drawn_by_the_hash_of_their_id(stub: Provider) -> None:
    set_up(stub.url, share=0.0)
    switch_on("technical", "ada")
    rows = [asked(number) for number in range(120)]
    seed = store.current().shadowing.seed
    drawn = {str(row.pk) for row in rows if bucket_index(seed, str(row.pk)) < 1_000}
    assert 3 <= len(drawn) <= 25
    pairs = ShadowPair.objects.all()
    assert {str(pair.pk) for pair in pairs} == drawn
    assert {pair.odds for pair in pairs} == {0.10}


def test_half_as_many_are_drawn_once_a_domain_has_its_pairs(stub: Provider) -> None:
    set_up(stub.url, share=0.0)
    switch_on("technical", "ada")
    first = asked(0)
    ShadowPair.objects.all().delete()
    copies = [_copy(first, number) for number in range(PAIRS_AT_FULL_RATE)]
    Decision.objects.bulk_create(copies)
    ShadowPair.objects.bulk_create(_judged(row) for row in copies)
    rows = [asked(number) for number in range(1, 200)]
    found = ShadowPair.objects.filter(pk__in=[row.pk for row in rows])
    seed = store.current().shadowing.seed
    assert {pair.odds for pair in found} == {0.05}
    assert all(bucket_index(seed, str(pair.pk)) < 500 for pair in found)
    between = [row for row in rows if 500 <= bucket_index(seed, str(row.pk)) < 1_000]
    assert between
    policy = store.current()
    assert is_shadowed(policy, "technical", str(between[0].pk))
    assert not is_shadowed(policy, "technical", str(between[0].pk), enough_pairs=True)


def test_a_larger_shadow_share_of_the_domain_counts(stub: Provider) -> None:
    set_up(stub.url, share=0.3)
    switch_on("technical", "ada")
    assert shadow_odds(store.current(), "technical") == 0.3


def test_without_a_judge_learning_draws_no_pairs(stub: Provider) -> None:
    set_up(stub.url, share=0.0, judge=False)
    switch_on("technical", "ada")
    assert shadow_odds(store.current(), "technical") == 0.0


def test_a_domain_stops_at_its_own_budget(stub: Provider) -> None:
    set_up(stub.url, share=1.0, learning_budget=Decimal("0.0001"))
    switch_on("technical", "ada")
    asked(1)
    work()
    assert spent_in("technical", timezone.now()) > 100_000
    asked(2)
    work()
    states = ShadowPair.objects.order_by("created_at").values_list("status", "detail")
    assert list(states) == [("judged", ""), ("skipped", "budget_day")]
    assert len(stub.asked("strong")) == 1


def test_a_pair_waits_for_the_budget_that_others_used_up(stub: Provider) -> None:
    set_up(stub.url, share=1.0, learning_budget=Decimal("0.0001"))
    switch_on("technical", "ada")
    asked(1)
    work()
    with revision("tests"):
        Domain.objects.update(learning_budget=None)
    asked(2)
    with revision("tests"):
        Domain.objects.update(learning_budget=Decimal("0.0001"))
    store.invalidate()
    work()
    assert ShadowPair.objects.latest("created_at").detail == "The day's budget is used up."


@pytest.mark.parametrize("storage", ["none", "features", "text"])
def test_a_judged_pair_keeps_its_input_and_no_text(stub: Provider, storage: str) -> None:
    set_up(stub.url, share=1.0, prompt_storage=storage)
    switch_on("technical", "ada")
    row = asked(1)
    assert not LearningInput.objects.exists()
    work()
    kept = LearningInput.objects.get()
    assert (kept.pk, kept.domain) == (row.pk, "technical")
    assert (kept.strong_model, kept.weak_model) == (STRONG, WEAK)
    assert SECRET_WORDS not in kept.sealed
    expected = shipped_router().look(featurise(f"{SECRET_WORDS} 1"))
    found = read(kept)
    assert (found.words == expected.words).all()
    assert (found.embedding == expected.embedding).all()
    assert ShadowPair.objects.get().sealed == ""


def test_a_domain_that_does_not_learn_keeps_no_input(stub: Provider) -> None:
    set_up(stub.url, share=1.0)
    asked(1)
    work()
    assert ShadowPair.objects.get().status == "judged"
    assert not LearningInput.objects.exists()


def test_an_input_goes_with_its_decision(stub: Provider) -> None:
    set_up(stub.url)
    row = asked(1)
    input_row(row, "Anything.").save()
    Decision.objects.all().delete()
    assert not LearningInput.objects.exists()


def test_a_domain_that_stores_features_stores_what_learning_needs_only_if_it_learns(
    stub: Provider,
) -> None:
    set_up(stub.url, prompt_storage="features")
    assert "learning" not in asked(1).detail["features"]
    switch_on("technical", "ada")
    stored = asked(2).detail["features"]["learning"]
    assert stored["shipped"] == shipped_router().router.sha256
    assert SECRET_WORDS not in str(stored)


def test_revisions_from_before_learning_still_load() -> None:
    row = PolicyRevision.objects.latest("number")
    for domain in row.document["domains"].values():
        for name in ("learning", "learning_mode", "learning_budget"):
            del domain[name]
    del row.document["flags"]["routellm_learning"]
    row.save()
    policy = load_policy(row.number)
    assert not any(learns(policy, name) for name in policy.domains)


def test_a_configuration_file_switches_learning_on(tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    call_command("export_config", "--output", str(file))
    text = file.read_text(encoding="utf-8")
    assert "learning_budget: null" in text
    changed = text.replace("learning: false", "learning: true").replace(
        "learning_budget: null", "learning_budget: '0.5'"
    )
    file.write_text(changed, encoding="utf-8")
    call_command("apply_config", str(file))
    assert set(Domain.objects.values_list("learning", "learning_budget")) == {
        (True, Decimal("0.5"))
    }


def _copy(row: Decision, number: int) -> Decision:

    values = {
        field.attname: getattr(row, field.attname) for field in Decision._meta.concrete_fields
    }
    return Decision(**{**values, "id": uuid7(), "request_id": str(number)})


def _judged(row: Decision) -> ShadowPair:
    return ShadowPair(
        decision_id=row.pk,
        domain=row.domain,
        model=WEAK,
        other_model=STRONG,
        status="judged",
        created_at=row.created_at,
        preference=0.5,
    )
