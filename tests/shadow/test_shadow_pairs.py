"""Shadow pairs: called after the answer is sent, judged in both orders, recorded, ended once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from experiments.background import tasks
from experiments.background.tasks import cancel, run_next
from experiments.configuration.revisions import revision
from experiments.decisions.verification import verify
from experiments.limits import circuit_breakers
from experiments.limits.quotas import OWN_KEY
from experiments.models import (
    BackgroundTask,
    Circuit,
    Decision,
    Feedback,
    Flag,
    KeyUsage,
    LanguageModel,
    ModelPrice,
    OutcomeSet,
    OwnCall,
    RecordedOutcome,
    Rollup,
    ShadowPair,
    UnitSum,
)
from experiments.shadow import evaluation
from experiments.shadow.queue import TRIED_AGAIN_AFTER, expire, queue, spent
from tests.shadow.provider import FailError, Provider, provider, usual
from tests.shadow.rows import JUDGE, PROMPT, STRONG, WEAK, answered, candidate, change, set_up

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_circuits(seeded: None) -> Iterator[None]:
    """After each test the day's budget must be what a recount gives."""
    circuit_breakers.invalidate()
    yield
    circuit_breakers.invalidate()
    assert [each for each in verify().differences if each.table == "KeyUsage"] == []


@pytest.fixture
def stub() -> Iterator[Provider]:
    with provider() as running:
        yield running


def work() -> None:
    while run_next(timezone.now()):
        pass


def pair_of(row: Decision) -> ShadowPair:
    return ShadowPair.objects.get(pk=row.pk)


def everything_stored() -> str:
    """Every value of every table, as text."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            found.append(repr(cursor.fetchall()))
    return "".join(found)


def test_the_judge_compares_both_answers_in_both_orders(stub: Provider) -> None:
    set_up(stub.url)
    row = answered()
    work()
    pair = pair_of(row)
    assert (pair.status, pair.preference, pair.detail) == ("judged", 0.0, "")
    assert (pair.model, pair.other_model, pair.judge_model) == (WEAK, STRONG, JUDGE)
    calls = OwnCall.objects.values_list("purpose", "given_first", "winner", "criterion", "status")
    assert sorted(calls, key=str) == [
        ("judge", False, "other", "correct", "ok"),
        ("judge", True, "other", "correct", "ok"),
        ("shadow", None, "", "", "ok"),
    ]
    assert [body["model"] for body in stub.bodies] == ["strong", "judge", "judge"]
    assert stub.bodies[0]["temperature"] == 0
    assert "stream" not in stub.bodies[0]


def test_the_verdict_is_a_separate_metric_and_not_quality(stub: Provider) -> None:
    set_up(stub.url)
    row = answered()
    work()
    rating = Feedback.objects.get(decision=row)
    assert (rating.metric, rating.source, rating.value) == ("judge_preference", "judge", 0.0)


def test_decisions_and_totals_exclude_shadow_calls(stub: Provider) -> None:
    set_up(stub.url)
    answered()
    before = [list(model.objects.values()) for model in (Decision, Rollup, UnitSum)]
    work()
    assert [list(model.objects.values()) for model in (Decision, Rollup, UnitSum)] == before


def test_a_judge_that_prefers_the_first_answer_gives_a_tie(stub: Provider) -> None:
    def first(model: str, body: dict[str, Any]) -> str:
        return '{"winner": "A"}' if model == "judge" else usual(model, body)

    with provider(first) as partial:
        set_up(partial.url)
        row = answered()
        work()
    assert pair_of(row).preference == 0.5


@pytest.mark.parametrize("storage", ["none", "features"])
def test_no_text_is_stored_if_the_domain_stores_none(storage: str) -> None:
    """Neither while the pair waits nor afterwards: no prompt, answers or reason."""

    def telling(model: str, body: dict[str, Any]) -> str:
        text = usual(model, body)
        return text.replace("One of them is right.", "sesquipedalian") if model == "judge" else text

    with provider(telling) as stub:
        set_up(stub.url, prompt_storage=storage)
        row = answered("A perspicacious prompt", "An obstreperous answer")
        waiting = everything_stored()
        assert pair_of(row).sealed
        work()
    for stored in (waiting, everything_stored()):
        for word in ("perspicacious", "obstreperous", "sesquipedalian", "Well answered"):
            assert word not in stored
    assert (pair_of(row).status, pair_of(row).sealed) == ("judged", "")


def test_a_domain_that_keeps_prompts_keeps_both_answers_and_the_reasons(stub: Provider) -> None:
    set_up(stub.url, prompt_storage="text")
    row = answered(answer="Badly\x00 answered. \ud800")
    work()
    pair = pair_of(row)
    assert (pair.answer, pair.other_answer) == ("Badly\ufffd answered. \ufffd", "Well answered.")
    assert set(pair.calls.values_list("reason", flat=True)) == {"", "One of them is right."}


def test_the_domains_rubric_is_what_the_judge_reads(stub: Provider) -> None:
    set_up(stub.url, rubric="The answer must rhyme.")
    answered()
    work()
    asked = stub.asked("judge")
    assert len(asked) == 2
    assert all("The answer must rhyme." in body["messages"][0]["content"] for body in asked)


def test_wrong_budget_of_shadow_calls_is_named_and_corrected(stub: Provider) -> None:
    set_up(stub.url)
    answered()
    work()
    before = spent(datetime.now(UTC))
    assert before > 0
    days = KeyUsage.objects.filter(key_id=OWN_KEY, span=KeyUsage.DAY)
    KeyUsage.objects.filter(pk=days[0].pk).update(cost=F("cost") + 7)
    [found] = verify().differences
    assert (found.column, found.stored - found.counted, found.counted) == ("cost", 7, before)
    verify(repair=True)
    assert spent(datetime.now(UTC)) == before
    days.delete()
    verify(repair=True)
    assert spent(datetime.now(UTC)) == before


def test_without_a_judge_the_answers_are_stored_uncompared(stub: Provider) -> None:
    set_up(stub.url, judge=False)
    row = answered()
    work()
    assert (pair_of(row).status, pair_of(row).preference) == ("answered", None)
    assert not Feedback.objects.exists()


def test_a_judge_without_the_domains_certification_reads_nothing(stub: Provider) -> None:
    set_up(stub.url, required_certifications=["HIPAA"])
    with revision("tests"):
        LanguageModel.objects.filter(name__in=[STRONG, WEAK]).update(certifications=["HIPAA"])
    row = answered()
    work()
    assert pair_of(row).detail == "The judge may not read prompts of this domain."
    assert stub.asked("judge") == []


# Failures


def test_a_malformed_verdict_is_retried_and_billed() -> None:
    said = iter(
        ["I like them both.", '{"winner": "C"}', "{", '```json\n{"winner": "tie"}\n```'] * 9
    )

    def rambling(model: str, body: dict[str, Any]) -> str:
        return next(said) if model == "judge" else usual(model, body)

    with provider(rambling) as stub:
        set_up(stub.url)
        row = answered()
        work()
    assert pair_of(row).status == "failed"
    assert "has no verdict" in pair_of(row).detail
    # Two orders in each of three rounds: in the second round one of them got its verdict.
    assert OwnCall.objects.filter(purpose="judge").count() == 5
    assert sum(row.cost for row in KeyUsage.objects.all()) == 6 * (100 * 2_000 + 10 * 8_000)
    assert not Feedback.objects.exists()


def waited_out() -> None:
    """The wait of open circuit breakers is over."""
    opened = Circuit.objects.filter(open_until__isnull=False)
    opened.update(open_until=timezone.now() - timedelta(seconds=1))
    circuit_breakers.invalidate()


def work_later() -> None:
    """The tasks that were postponed until now, but not those postponed again."""
    later = timezone.now() + TRIED_AGAIN_AFTER
    while run_next(later):
        pass


def test_pairs_wait_for_the_judges_circuit_breaker_and_no_call_is_repeated() -> None:
    is_up = False

    def broken(model: str, body: dict[str, Any]) -> str:
        if model == "judge" and not is_up:
            raise FailError(500)
        return usual(model, body)

    with provider(broken) as stub:
        set_up(stub.url)
        rows = [answered(f"{PROMPT} {number}") for number in range(4)]
        work()
        assert Circuit.objects.get(model=JUDGE).open_until is not None
        pairs = [pair_of(row) for row in rows]
        assert {pair.status for pair in pairs} == {"waiting"}
        assert all(pair.sealed and JUDGE in pair.detail for pair in pairs)
        each = 100 * 2_000 + 10 * 8_000
        assert spent(datetime.now(UTC)) == 4 * each  # the other model's answers, and no estimate
        asked = len(stub.asked("judge"))
        late = answered("Once more")
        work_later()
        assert len(stub.asked("judge")) == asked
        assert pair_of(late).status == "waiting"
        assert BackgroundTask.objects.filter(status="queued").count() == 1
        is_up = True
        waited_out()
        for _ in range(3):
            work_later()
        assert {pair_of(row).status for row in [*rows, late]} == {"judged"}
        assert {pair_of(row).detail for row in rows} == {""}
        assert len(stub.asked("strong")) == 5
        assert spent(datetime.now(UTC)) == 15 * each


def test_one_call_at_a_time_probes_a_failing_judge() -> None:
    def broken(model: str, body: dict[str, Any]) -> str:
        if model == "judge":
            raise FailError(500)
        return usual(model, body)

    with provider(broken) as stub:
        set_up(stub.url)
        for number in range(4):
            answered(f"{PROMPT} {number}")
        work()
        asked = len(stub.asked("judge"))
        waited_out()
        work_later()
        assert len(stub.asked("judge")) == asked + 1


def test_a_verdict_from_before_the_judge_failed_still_counts() -> None:
    judged = 0

    def dying(model: str, body: dict[str, Any]) -> str:
        nonlocal judged
        if model == "judge":
            judged += 1
            if judged > 1:
                raise FailError(500)
        return usual(model, body)

    with provider(dying) as stub:
        set_up(stub.url)
        row = answered()
        now = timezone.now()
        Circuit.objects.create(model=JUDGE, window_at=now, calls=4, failures=4)
        work()
        assert (pair_of(row).status, judged) == ("waiting", 2)
        judged = -1
        waited_out()
        work_later()
        assert (pair_of(row).status, pair_of(row).preference, judged) == ("judged", 0.0, 0)


def test_pairs_that_waited_an_hour_for_their_model_say_so(stub: Provider) -> None:
    set_up(stub.url)
    later = timezone.now() + timedelta(minutes=1)
    row = answered()
    Circuit.objects.create(model=STRONG, window_at=timezone.now(), open_until=later, trips=1)
    circuit_breakers.invalidate()
    work()
    assert stub.bodies == []
    assert expire(timezone.now() + timedelta(hours=2)) == 1
    assert pair_of(row).detail == (
        f"Not processed within an hour. {STRONG} is temporarily unavailable (circuit breaker open)."
    )


def test_an_other_model_that_does_not_answer_fails_the_pair() -> None:
    def broken(model: str, body: dict[str, Any]) -> str:
        raise FailError(500)

    with provider(broken) as stub:
        set_up(stub.url)
        row = answered()
        work()
    assert (pair_of(row).status, pair_of(row).sealed) == ("failed", "")
    assert OwnCall.objects.get().status == "failed"


def test_with_feedback_off_only_the_pair_stores_the_verdict(stub: Provider) -> None:
    set_up(stub.url)
    with revision("tests"):
        Flag.objects.filter(key="routellm_quality_feedback").update(percentage=0)
    row = answered()
    work()
    assert pair_of(row).status == "judged"
    assert not Feedback.objects.exists()


def test_pruning_a_decision_deletes_its_pair(stub: Provider) -> None:
    set_up(stub.url)
    answered().delete()
    work()
    assert BackgroundTask.objects.get().status == "done"
    assert stub.bodies == []


# The budget


def test_internal_calls_are_recorded_separately_at_their_actual_cost(stub: Provider) -> None:
    set_up(stub.url)
    answered()
    work()
    each = 100 * 2_000 + 10 * 8_000
    assert list(OwnCall.objects.values_list("cost", flat=True)) == [each] * 3
    assert spent(datetime.now(UTC)) == 3 * each


def test_a_used_up_budget_stops_the_calls_and_says_so(stub: Provider) -> None:
    set_up(stub.url)
    first = answered()
    work()
    change(shadow_budget="0.0001")
    second = answered("Another one")
    work()
    assert (pair_of(first).status, pair_of(second).status) == ("judged", "skipped")
    assert (pair_of(second).detail, pair_of(second).sealed) == ("budget_day", "")
    assert len(stub.bodies) == 3


def test_the_budget_limits_the_pairs_called_together(stub: Provider) -> None:
    set_up(stub.url)
    rows = [answered(f"{PROMPT} {number}") for number in range(6)]
    expected = 2_000 * 10 + 8_000 * 500  # one answer of the usual length alone
    change(shadow_budget=f"{3 * expected / 1e9:.4f}")
    work()
    statuses = [pair_of(row).status for row in rows]
    assert statuses.count("judged") < 3
    assert statuses.count("judged") + statuses.count("skipped") == 6
    assert spent(datetime.now(UTC)) <= 3 * expected


def test_without_a_price_nothing_is_called(stub: Provider) -> None:
    """Otherwise the budget could not be enforced."""
    set_up(stub.url)
    with revision("tests"):
        ModelPrice.objects.filter(model__name=JUDGE).delete()
    row = answered()
    work()
    assert "no price" in pair_of(row).detail
    assert stub.bodies == []


# The queue


def test_pairs_gather_in_the_task_that_has_not_begun(stub: Provider) -> None:
    set_up(stub.url)
    first, second = answered(), answered("Another one")
    task = BackgroundTask.objects.get()
    assert pair_of(first).task_id == pair_of(second).task_id == task.pk
    work()
    task.refresh_from_db()
    assert (task.status, task.result, task.arguments) == ("done", {"judged": 2}, {})


def test_a_task_that_has_begun_takes_no_more_pairs(stub: Provider) -> None:
    set_up(stub.url)
    answered()
    BackgroundTask.objects.update(status="running", leased_until=timezone.now())
    second = answered("Another one")
    assert pair_of(second).task_id == BackgroundTask.objects.get(status="queued").pk


def test_a_resumed_task_calls_only_for_pairs_that_had_not_ended(stub: Provider) -> None:
    set_up(stub.url)
    done, left = answered(), answered("Another one")
    ShadowPair.objects.filter(pk=done.pk).update(status="judged", sealed="", preference=1.0)
    gone = timezone.now() - timedelta(minutes=5)
    BackgroundTask.objects.update(status="running", leased_until=gone, attempts=1)
    work()
    assert (pair_of(done).preference, pair_of(left).preference) == (1.0, 0.0)
    assert len(stub.bodies) == 3


def test_a_started_pair_is_not_called_again_after_its_process_died(
    stub: Provider,
) -> None:
    set_up(stub.url)
    begun, left = answered(), answered("Another one")
    ShadowPair.objects.filter(pk=begun.pk).update(status="asking", sealed="", charged=900_000)
    OwnCall.objects.create(
        pair=pair_of(begun),
        purpose="shadow",
        model=STRONG,
        started_at=timezone.now(),
        ended_ms=1.0,
        status="ok",
        cost=280_000,
    )
    gone = timezone.now() - timedelta(minutes=5)
    BackgroundTask.objects.update(status="running", leased_until=gone, attempts=1)
    work()
    assert (pair_of(begun).status, pair_of(left).status) == ("lost", "judged")
    assert "No call is repeated" in pair_of(begun).detail
    call = OwnCall.objects.get(status="interrupted")
    assert (call.pair_id, call.estimated, call.cost) == (begun.pk, True, 620_000)
    assert len(stub.bodies) == 3


def test_a_started_pair_is_lost_if_its_task_fails(stub: Provider) -> None:
    set_up(stub.url)
    row = answered()
    ShadowPair.objects.update(status="asking", sealed="", charged=None)
    BackgroundTask.objects.update(status="failed")
    assert expire(timezone.now()) == 1
    assert (pair_of(row).status, OwnCall.objects.get().cost) == ("lost", None)


def test_two_processes_do_not_process_the_same_pair(stub: Provider) -> None:
    set_up(stub.url)
    first, second = answered(), answered("Another one")
    now = timezone.now()
    claims = {row.pk: evaluation.charge_for(now, 10, 1_000) for row in (first, second)}
    assert evaluation.begin({first.pk: claims[first.pk]}) == {first.pk: ""}
    assert evaluation.begin(claims) == {second.pk: ""}
    assert spent(now) == 2_000


def test_unprocessed_pairs_are_deleted_after_an_hour(stub: Provider) -> None:
    set_up(stub.url)
    row = answered()
    assert expire(timezone.now()) == 0
    assert expire(timezone.now() + timedelta(hours=2)) == 1
    assert (pair_of(row).status, pair_of(row).sealed) == ("lost", "")
    assert "run_tasks" in pair_of(row).detail


def test_a_cancelled_task_deletes_its_prompts(stub: Provider) -> None:
    set_up(stub.url)
    row = answered()
    cancel(pair_of(row).task_id or 0)
    expire(timezone.now())
    assert (pair_of(row).status, pair_of(row).sealed) == ("lost", "")


def test_another_secret_key_cannot_decrypt(stub: Provider, settings: Any) -> None:
    set_up(stub.url)
    row = answered()
    settings.SECRET_KEY = "another-" + "y" * 50
    work()
    assert (pair_of(row).status, pair_of(row).sealed) == ("lost", "")
    assert stub.bodies == []


def test_a_pair_is_queued_once(stub: Provider) -> None:
    """A settlement that is written again after a failure must not queue a second call."""
    set_up(stub.url)
    row = answered()
    with pytest.raises(Exception, match=r"(?i)unique"):
        queue([candidate(row)])


# The lab


@pytest.mark.parametrize("storage", ["text", "features"])
def test_judged_pairs_become_lab_data(stub: Provider, storage: str) -> None:
    set_up(stub.url, prompt_storage=storage)
    row = answered()
    work()
    outcomes = OutcomeSet.objects.get()
    assert (outcomes.name, outcomes.source) == ("shadow-technical", "shadow")
    assert (outcomes.strong_model, outcomes.weak_model) == (STRONG, WEAK)
    recorded = RecordedOutcome.objects.get()
    assert (recorded.strong_score, recorded.weak_score) == (1.0, 0.0)
    assert recorded.strong_cost == 100 * 2_000 + 10 * 8_000
    assert recorded.group == row.unit_hash
    assert (recorded.prompt == PROMPT) == (storage == "text")
    assert (recorded.embedding is None) == (storage == "text")


def test_a_domain_that_stores_no_text_gives_no_lab_data(stub: Provider) -> None:
    set_up(stub.url)
    answered()
    work()
    assert not RecordedOutcome.objects.exists()


def test_old_tasks_are_pruned() -> None:
    old = timezone.now() - timedelta(days=3)
    BackgroundTask.objects.create(
        name="x", status="done", queued_at=old, run_after=old, ended_at=old
    )
    BackgroundTask.objects.create(name="x", queued_at=old, run_after=old)
    assert tasks.prune(timezone.now()) == 1
    assert BackgroundTask.objects.get().status == "queued"
