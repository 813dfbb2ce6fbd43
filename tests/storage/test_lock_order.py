"""Every write path locks tables, and rows of a table, in one order."""

import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments.background import tasks
from experiments.background.tasks import Running
from experiments.configuration.apply import apply, roll_back
from experiments.configuration.document import current_document
from experiments.core.parameters import Action, PolicyRule
from experiments.decisions.attempts import Attempted
from experiments.decisions.folding import fold_all
from experiments.decisions.outcomes import OutcomeReport, Rating, record_feedback, record_outcome
from experiments.decisions.pruning import prune
from experiments.decisions.rebuilding import rebuild
from experiments.decisions.verification import verify
from experiments.experimentation import lifecycle
from experiments.experimentation.edits import edit
from experiments.gateway import in_flight, processes
from experiments.gateway.admission import Admitted, admit
from experiments.gateway.call_request import asking
from experiments.gateway.in_flight import sweep_abandoned_calls
from experiments.gateway.protocols.chat import read_chat
from experiments.gateway.settlement import Settlement, settle
from experiments.lab.actions import explore
from experiments.lab.share_calibration import calibrate
from experiments.limits import budgets, circuit_breakers
from experiments.limits.learned_parameters import ParameterRefusal, remember
from experiments.limits.quotas import Limits, Reservation
from experiments.models import (
    APIKey,
    BackgroundTask,
    Circuit,
    Decision,
    Domain,
    Experiment,
    InFlightCall,
    KeyUsage,
    Metric,
    MetricSum,
    ModelPrice,
    OwnCall,
    Rollout,
    Rollup,
    RollupBin,
    Scope,
    ShadowPair,
    UnitSum,
)
from experiments.models.lock_order import LOCK_ORDER
from experiments.models.sums import counters_of
from experiments.rollouts import lifecycle as rollouts
from experiments.routing.route import RouteRequest, route, route_batch
from experiments.shadow import evaluation
from experiments.shadow.queue import (
    SHADOW_CALLS,
    Material,
    defer,
    end_interrupted,
    expire,
    hold_up,
    put_back,
    queue,
    waiting,
)
from tests.experiment_rows import START, draft, rollout, running
from tests.installation import install
from tests.shadow.rows import candidate, set_up
from tests.statement_recorder import Transaction, recorded

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
CHAT = '{"model": "router/%s", "user": "%s", "messages": [{"role": "user", "content": "Sort it."}]}'


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none-at-all")
    install()
    circuit_breakers.invalidate()
    Metric.objects.create(name="helpful", kind="boolean")
    yield
    circuit_breakers.invalidate()


def _routed(**values: Any) -> Decision:
    return route(RouteRequest("Sort a list.", **{"unit_id": "ada", **values}))


def _secret() -> str:
    limits = {"requests_per_minute": 500, "tokens_per_minute": 9_000_000, "budget_day": Decimal(5)}
    return APIKey.issue("limited", [Scope.ROUTE], **limits).secret


def _admitted(secret: str, count: int = 3) -> list[Admitted]:
    chats = [read_chat((CHAT % ("technical", f"u{n}")).encode(), None) for n in range(count)]
    found = admit([asking(chat, secret, "r") for chat in chats])
    assert all(isinstance(each, Admitted) for each in found), found
    return [each for each in found if isinstance(each, Admitted)]


def _settlement(call: Admitted, status: str = "ok") -> Settlement:
    row = call.decision
    attempt = Attempted(row.model, "openai", False, NOW, 5.0, status, cost=70, error=status)
    report = OutcomeReport(datetime.now(UTC), 100, 20, 9.0, success=status == "ok")
    return Settlement(row, call.charge, (attempt,), report, row.model, 120, 70)


def _swept(calls: list[Admitted]) -> list[Admitted]:
    InFlightCall.objects.update(process_id=uuid4())
    assert sweep_abandoned_calls() == len(calls)
    return calls


def _rated(row: Decision, metric: str) -> None:
    record_feedback([Rating(row.pk, metric, 1.0, "human", NOW)], NOW)


def _settled() -> Callable[[], object]:
    calls = _admitted(_secret(), 8)
    return lambda: settle([_settlement(c, "ok" if n else "cut") for n, c in enumerate(calls)])


def _in_an_experiment() -> None:
    running("cheaper", now=NOW)


def _old_decisions() -> None:
    set_up("http://127.0.0.1:9")
    for unit in range(3):
        row = _routed(unit_id=f"u{unit}")
        record_outcome(row.pk, OutcomeReport(NOW, 1, 2, 3.0, success=True), NOW)
        _rated(row, "quality")
    queue([candidate(row)])
    Decision.objects.update(created_at=datetime(2026, 9, 1, tzinfo=UTC))


def _pairs(count: int = 3) -> list[ShadowPair]:
    set_up("http://127.0.0.1:9")
    rows = [_routed(unit_id=f"u{n}", domain="technical") for n in range(count)]
    queue([candidate(row) for row in rows])
    return list(ShadowPair.objects.order_by("pk"))


def _begun(*, keeps_text: bool = False) -> tuple[list[ShadowPair], Reservation]:
    if keeps_text:
        Domain.objects.update(prompt_storage="text")
    pairs = _pairs()
    charge = evaluation.charge_for(datetime.now(UTC), 10, 100)
    assert set(evaluation.begin({pair.pk: charge for pair in pairs}).values()) == {""}
    return pairs, charge


def _own_call(pair: ShadowPair) -> evaluation.Own:
    attempt = Attempted(pair.other_model, "stub", False, NOW, 5.0, "cut", cost=70)
    return evaluation.Own(pair, OwnCall.Purpose.SHADOW, (attempt,))


def _ending(pair: ShadowPair, charge: Reservation, preference: float | None) -> evaluation.Ending:
    judged = ShadowPair.PairStatus.JUDGED
    return evaluation.Ending(pair, judged, charge, 5, 50, preference=preference)


def _routed_with_shadows() -> Decision:
    set_up("http://127.0.0.1:9")
    return _routed(domain="technical")


def _spoiled() -> None:
    _rated(_routed(), "helpful")
    for model in (Rollup, RollupBin, UnitSum, MetricSum):
        column = next(reversed(counters_of(model)))
        model._default_manager.update(**{column: F(column) + 1})


def _reported(row: Decision) -> Decision:
    record_outcome(row.pk, OutcomeReport(NOW, 1, 2, 3.0, success=True), NOW)
    return row


def _refused(*parameters: str) -> list[ParameterRefusal]:
    rules = [PolicyRule("learned", name, Action.DROP) for name in parameters]
    return [ParameterRefusal("openai/gpt-4.1", rule, "Not supported.") for rule in rules]


def _learned() -> None:
    """Some existing rows, and some expired ones."""
    remember(_refused("seed", "user"), NOW)
    remember(_refused("store", "metadata"), NOW - timedelta(days=2))


def _started(row: Rollout) -> Rollout:
    rollouts.start(row, "olga", START)
    return row


def _rollout_step() -> Callable[[], object]:
    rollouts.start(rollout(steps=[(10, 24), (50, 24)]), "olga", START)
    key = Rollout.objects.get().key
    for side in ("control", "treated"):
        UnitSum.objects.create(
            experiment=key, phase=1, arm=side, unit_hash=side, domain="medical", day=START.date(),
            decisions=1, priced=1, cost=1_000_000, baseline=2_000_000, quality=1, rated=1,
        )  # fmt: skip
    return lambda: rollouts.advance_all(START + timedelta(days=1))


def _admin_submit() -> Callable[[], object]:
    from django.contrib.auth.models import User

    client = Client()
    client.force_login(User.objects.create_superuser("root", password="x"))
    domain = Domain.objects.get(name="technical")
    return lambda: client.post(f"/admin/experiments/domain/{domain.pk}/delete/", {"post": "yes"})


Path_ = Callable[[], Callable[[], object]]


def _after(prepare: Callable[[], object], write: Callable[[], object]) -> Path_:
    def path() -> Callable[[], object]:
        prepare()
        return write

    return path


def _with(prepare: Callable[[], Any], write: Callable[[Any], object]) -> Path_:
    def path() -> Callable[[], object]:
        value = prepare()
        return lambda: write(value)

    return path


def _nothing() -> None:
    pass


PATHS: dict[str, Path_] = {
    "route": _after(_nothing, _routed),
    "route in an experiment": _after(_in_an_experiment, lambda: _routed(domain="technical")),
    "batch": _after(
        _in_an_experiment,
        lambda: route_batch(
            [RouteRequest("Sort.", unit_id=f"u{n}", domain="technical") for n in range(9)]
        ),
    ),
    "outcome": _with(
        _routed,
        lambda row: record_outcome(row.pk, OutcomeReport(NOW, 1, 2, 3.0, success=True), NOW),
    ),
    "second outcome": _with(
        lambda: _reported(_routed()),
        lambda row: record_outcome(
            row.pk, OutcomeReport(NOW + timedelta(1), 5, 6, 7.0, success=False), NOW
        ),
    ),
    "quality": _with(_routed, lambda row: _rated(row, "quality")),
    "learned parameters": _after(_learned, lambda: remember(_refused("user", "seed"), NOW)),
    "custom metric": _with(
        lambda: running("cheaper", now=NOW) and _routed(domain="technical"),
        lambda row: _rated(row, "helpful"),
    ),
    "admission of a key without limits": _with(
        lambda: APIKey.issue("free", [Scope.ROUTE]).secret, _admitted
    ),
    "admission of a limited key": _with(_secret, _admitted),
    "settlement": _settled,
    "late settlement": _with(
        lambda: _swept(_admitted(_secret())),
        lambda calls: settle([_settlement(call) for call in calls]),
    ),
    "sweep": _after(
        lambda: (_admitted(_secret()), InFlightCall.objects.update(process_id=uuid4())),
        sweep_abandoned_calls,
    ),
    "calls given up": _after(
        lambda: _admitted(_secret()),
        lambda: in_flight.release(set(), datetime.now(UTC) + timedelta(days=1)),
    ),
    "heartbeat": _after(_nothing, processes.beat),
    "end of a process": _after(processes.beat, processes.leave),
    "request of a limited key": _after(
        _secret, lambda: budgets.count_request(APIKey.objects.get(), NOW)
    ),
    "probe": _after(
        lambda: Circuit.objects.create(model="m", window_at=NOW, open_until=NOW),
        lambda: circuit_breakers.claim_probe("m", NOW + timedelta(seconds=1)),
    ),
    "shadow queue": _with(
        _routed_with_shadows,
        lambda row: queue([candidate(row)]),
    ),
    "shadow begin": _with(
        _pairs,
        lambda pairs: evaluation.begin(
            {pair.pk: evaluation.charge_for(datetime.now(UTC), 10, 100) for pair in pairs}
        ),
    ),
    "shadow calls": _with(_begun, lambda begun: evaluation.book(_own_call(p) for p in begun[0])),
    "shadow wait": _with(
        _begun,
        lambda begun: evaluation.wait(
            evaluation.Waiting(pair, Material({}, "a"), "why", begun[1], 5, 50) for pair in begun[0]
        ),
    ),
    "shadow end": _with(
        lambda: _begun(keeps_text=True),
        lambda begun: evaluation.end(_ending(pair, begun[1], 1.0) for pair in begun[0]),
    ),
    "shadow end of what was taken for dead": _with(
        lambda: (
            _begun(),
            ShadowPair.objects.update(task=None),
            expire(datetime.now(UTC)),
        )[0],
        lambda begun: evaluation.end(_ending(pair, begun[1], None) for pair in begun[0]),
    ),
    "shadow expiry": _after(
        lambda: (_begun(), ShadowPair.objects.update(task=None)),
        lambda: expire(datetime.now(UTC)),
    ),
    "shadow expiry of what waits": _after(
        _pairs, lambda: expire(datetime.now(UTC) + timedelta(hours=2))
    ),
    "shadow interruption": _with(
        _begun,
        lambda begun: end_interrupted(begun[0][0].task_id or 0, datetime.now(UTC)),
    ),
    "shadow defer": _with(_pairs, lambda pairs: defer(pairs[0].task_id, datetime.now(UTC))),
    "shadow hold": _with(_pairs, lambda pairs: hold_up(waiting(pairs[0].task_id), "why")),
    "shadow put back": _with(_begun, lambda begun: put_back(begun[0][0], Material({}, "a"), "why")),
    "task": _with(
        lambda: tasks.enqueue(SHADOW_CALLS, {}), lambda _: tasks.run_next(timezone.now())
    ),
    "task report": _with(
        lambda: (
            tasks.enqueue(SHADOW_CALLS, {}),
            BackgroundTask.objects.update(status="running"),
        )[0],
        lambda row: Running(row).log("x"),
    ),
    "task cancelled": _with(
        lambda: tasks.enqueue(SHADOW_CALLS, {}), lambda row: tasks.cancel(row.pk)
    ),
    "tasks sent again": _after(
        lambda: (
            tasks.enqueue(SHADOW_CALLS, {}),
            BackgroundTask.objects.update(status="running", leased_until=NOW),
        ),
        lambda: tasks.send_again(timezone.now() + timedelta(hours=1)),
    ),
    "tasks pruned": _after(
        lambda: (
            tasks.enqueue(SHADOW_CALLS, {}),
            BackgroundTask.objects.update(status="done", ended_at=NOW),
        ),
        lambda: tasks.prune(timezone.now() + timedelta(days=1)),
    ),
    "pruning": _after(
        _old_decisions,
        lambda: prune(date(2026, 9, 2)),
    ),
    "pruning of minutes": _after(
        lambda: KeyUsage.objects.create(
            key_id=1, span=KeyUsage.MINUTE, starts_at=NOW - timedelta(days=3)
        ),
        lambda: prune(date(2026, 9, 2)),
    ),
    "rebuilding": _after(_routed, rebuild),
    "folding": _after(_old_decisions, fold_all),
    "correcting": _after(_spoiled, lambda: verify(repair=True)),
    "rollout start": _with(
        lambda: rollout(steps=[(10, 24), (50, 24)]),
        lambda row: rollouts.start(row, "olga", START),
    ),
    "rollout step": _rollout_step,
    "rollout back": _with(
        lambda: _started(rollout(steps=[(10, 24), (50, 24)])),
        lambda row: rollouts.roll_back(row, "olga", START, "why"),
    ),
    "experiment start": _with(draft, lambda row: lifecycle.start(row, "tests", NOW)),
    "experiment pause": _with(running, lambda row: lifecycle.pause(row, "tests")),
    "experiment edit": _with(
        draft, lambda row: edit(row, {"hypothesis": "Another one."}, "tests", NOW)
    ),
    "experiment ship": _with(
        running,
        lambda row: lifecycle.ship(row, "weak", "tests", NOW, verdict="ship"),
    ),
    "daily results": _after(running, lambda: call_command("record_results")),
    "apply a file": _after(
        _nothing,
        lambda: apply({**current_document(), "settings": {"holdout_percentage": "1"}}, "me", "n"),
    ),
    "roll back": _after(
        lambda: apply({"settings": {"holdout_percentage": "1"}}, "me", "n"),
        lambda: roll_back(1, "me"),
    ),
    "explore": _after(_nothing, lambda: explore("technical", 0.1, "me")),
    "calibrate": _after(_nothing, lambda: calibrate(save=True)),
    "seed": _after(
        lambda: ModelPrice.objects.all().delete(), lambda: call_command("seed", verbosity=0)
    ),
    "admin": _admin_submit,
}
WRITES_NOTHING = {"calibrate"}


def only_postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer and locks no rows: its statements show no order")


@pytest.mark.parametrize("name", PATHS)
def test_write_path_keeps_the_lock_order(name: str) -> None:
    only_postgresql()
    write = PATHS[name]()
    with recorded() as transactions, redirect_stdout(io.StringIO()):
        write()
    assert transactions or name in WRITES_NOTHING
    assert [problem for each in transactions for problem in each.problems()] == []


def test_import_keeps_the_lock_order(tmp_path: Path) -> None:
    only_postgresql()
    file = tmp_path / "outcomes.csv"
    file.write_text("prompt,strong_score,weak_score\none,1,0\ntwo,1,1\n")
    with recorded() as transactions:
        call_command("import_outcomes", str(file), name="some", verbosity=0)
    assert [problem for each in transactions for problem in each.problems()] == []
    assert ["OutcomeSet", "RecordedOutcome"] in [each.names for each in transactions]


def test_replay_keeps_the_lock_order(tmp_path: Path) -> None:
    only_postgresql()
    file = tmp_path / "outcomes.csv"
    file.write_text("prompt,strong_score,weak_score\none,1,0\ntwo,1,1\n")
    draft(min_days=1, window_days=1)
    with recorded() as transactions, redirect_stdout(io.StringIO()):
        call_command("replay", str(file), experiment="cheaper", units=5, days=1)
    assert Experiment.objects.get().daily.exists()
    assert [problem for each in transactions for problem in each.problems()] == []


def test_recorder_finds_a_table_locked_too_late() -> None:
    """A deadlock that admission and settlement once had."""
    found = Transaction()
    found.add('INSERT INTO "experiments_rollup" (a) VALUES (1)')
    found.add('INSERT INTO "experiments_keyusage" (a) VALUES (1)')
    assert found.names == ["Rollup", "KeyUsage"]
    assert len(list(found.problems())) == 1
    good = Transaction()
    good.add('SELECT "a" FROM "experiments_decision" WHERE x FOR NO KEY UPDATE')
    good.add('INSERT INTO "experiments_rollup" (a) VALUES (1)')
    good.add('UPDATE "experiments_decision" SET a = 1')
    assert (good.names, list(good.problems())) == (["Decision", "Rollup"], [])


def test_admission_and_settlement_lock_in_the_documented_order() -> None:
    only_postgresql()
    calls = _admitted(_secret())
    with recorded() as transactions:
        settle([_settlement(call) for call in calls])
    [settlement] = [each for each in transactions if "KeyUsage" in each.names]
    assert settlement.names == [
        "KeyUsage", "Decision", "Attempt", "InFlightCall", "Outcome", "Rollup", "UnitSum", "Circuit"
    ]  # fmt: skip


def test_keys_are_locked_in_one_order_for_any_order_of_calls() -> None:
    """A batch across the end of a minute; the key without limits is not locked."""
    only_postgresql()
    noon = datetime(2026, 11, 30, 12, 0, 59, tzinfo=UTC)
    charges = [
        Reservation(2, Limits(requests=9), noon, 1, 1),
        Reservation(1, Limits(day=99), noon + timedelta(seconds=2), 1, 1),
        Reservation(1, Limits(tokens=99), noon + timedelta(seconds=2), 1, 1),
        Reservation(2, Limits(requests=9), noon + timedelta(seconds=2), 1, 1),
        Reservation(3, Limits(), noon, 1, 1),
    ]
    locks: list[str] = []
    for some in (charges, charges[::-1]):
        with CaptureQueriesContext(connection) as queries:
            admitted_all(some)
        locks += [each["sql"] for each in queries if "switchyard-usage" in each["sql"]]
    assert len(locks) == 2
    assert all("unnest('{1,2}'" in lock for lock in locks), locks


def test_requests_do_not_wait_for_sums_that_others_hold() -> None:
    """Every sum is locked by another connection, for as long as it takes."""
    only_postgresql()
    secret, running_experiment = _secret(), running("cheaper", now=NOW)
    assert running_experiment.key == "cheaper"
    settle([_settlement(call) for call in _admitted(secret)])
    _rated(_routed(domain="technical"), "helpful")
    fold_all()
    tables = [KeyUsage, MetricSum, Rollup, RollupBin, UnitSum]
    assert all(model._default_manager.filter(folded=True).exists() for model in tables)
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            for model in tables:
                cursor.execute(f'SELECT 1 FROM "{model._meta.db_table}" FOR UPDATE')
        row = _routed(domain="technical")
        _reported(row)
        _rated(row, "helpful")
        settle([_settlement(call) for call in _admitted(secret)])
        assert budgets.count_request(APIKey.objects.get(), NOW)
    finally:
        other.close()
    # The attempts of these tests have no tokens, so what keys used differs from them.
    assert {each.table for each in verify().differences} <= {"KeyUsage"}


def admitted_all(charges: list[Reservation]) -> None:
    from experiments.storage.transactions import run_transaction

    run_transaction(lambda: budgets.reserve(charges))


def test_every_listed_table_is_listed_once() -> None:
    listed = [model for group in LOCK_ORDER for model in group]
    assert len(listed) == len(set(listed))
