"""Thresholds that follow a target: which tables are added, from which scores, and what decides."""

from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from experiments.analysis.learning.threshold_tables import ENOUGH_SCORES
from experiments.configuration.policy_store import store
from experiments.configuration.revisions import revision
from experiments.core.values import RequestedTarget, TableKey
from experiments.decisions.replay_check import check_replay
from experiments.experimentation import lifecycle
from experiments.learning.thresholds import ThresholdMover, prune_tables, write_first_table
from experiments.models import Decision, Domain, ThresholdTable
from experiments.routing.route import RouteRequest, route
from experiments.routing.runtime import engine, tables, threshold_at_work
from tests.experiment_rows import draft

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded")]

WORDS = (
    *("sum", "prime", "tree", "river", "contract", "graph", "poem", "index", "loop", "cell"),
    *("integral", "recipe", "matrix", "cache", "novel", "wave", "budget", "token", "atom", "vote"),
)


@pytest.fixture
def mover() -> ThresholdMover:
    engine.warm_up(store.current())
    return ThresholdMover()


def prompt(rng: np.random.Generator) -> str:
    return "Explain the " + " ".join(rng.choice(WORDS, rng.integers(2, 30))) + "."


def play(
    mover: ThresholdMover, count: int, domain: str = "technical", unit: str | None = None
) -> list[Decision]:
    """Routes prompts and moves after each 50, as a background process does."""
    rng, rows = np.random.default_rng(count), []
    for number in range(count):
        if number % 50 == 0:
            mover.move()
            tables.read()
        unit_id = unit or f"u{number}"
        rows.append(route(RouteRequest(prompt(rng), domain=domain, unit_id=unit_id)))
    return rows


def newest(domain: str = "technical") -> ThresholdTable:
    return ThresholdTable.objects.filter(domain=domain, router="local").latest("number")


def test_before_any_traffic_tables_come_from_shipped_prompts(mover: ThresholdMover) -> None:
    assert mover.move() == Domain.objects.count()
    table = newest()
    assert (table.number, table.basis, table.scores) == (1, "shipped", 305)
    assert table.cuts[0]["share"] == 0.5
    assert 0 < table.cuts[0]["threshold"] < 1
    assert mover.move() == 0, "nothing new"


def test_the_first_scores_are_those_of_all_traffic(mover: ThresholdMover) -> None:
    play(mover, ENOUGH_SCORES, "scientific")
    mover.move()
    assert {newest("scientific").basis, newest("technical").basis} == {"domain", "traffic"}
    assert newest("technical").scores == ENOUGH_SCORES


@pytest.mark.slow
def test_half_of_the_prompts_go_to_the_strong_model(mover: ThresholdMover) -> None:
    rows = play(mover, 300)
    strong = [row.tier == "strong" for row in rows[100:]]
    assert np.mean(strong) == pytest.approx(0.5, abs=0.06)
    assert {row.detail["tables"]["local"] for row in rows[:50]} == {1}
    assert rows[-1].detail["tables"]["local"] > 3
    assert rows[-1].threshold != rows[0].threshold
    configured = store.current().domains["technical"]
    assert threshold_at_work(configured) == rows[-1].threshold


@pytest.mark.slow
def test_every_decision_replays_with_its_own_table(mover: ThresholdMover) -> None:
    rows = play(mover, 120)
    mover.move()
    tables.read()
    for row in rows[::10]:
        checked = check_replay(Decision.objects.get(pk=row.pk))
        assert checked.same, checked.differences


def test_without_its_table_a_decision_cannot_be_replayed(mover: ThresholdMover) -> None:
    row = play(mover, 1)[0]
    ThresholdTable.objects.all().delete()
    checked = check_replay(Decision.objects.get(pk=row.pk))
    assert not checked.same
    assert "threshold table is gone" in checked.sentence


def test_forced_decisions_and_dry_runs_do_not_count(mover: ThresholdMover) -> None:
    mover.move()
    rng = np.random.default_rng(1)
    asked = RequestedTarget(router="local", threshold=0.2)
    for number in range(60):
        unit = f"u{number}"
        route(RouteRequest(prompt(rng), domain="technical", unit_id=unit, asked=asked))
        route(RouteRequest(prompt(rng), domain="technical", unit_id=unit, dry_run=True))
    assert mover.move() == 0
    assert newest().number == 1


@pytest.mark.slow
def test_a_busy_unit_does_not_move_the_threshold_of_the_others(mover: ThresholdMover) -> None:
    play(mover, 200)
    before = newest().cuts[0]["threshold"]
    hard = "Prove that every bounded sequence of real numbers has a convergent subsequence. "
    for number in range(400):
        text = f"{hard}{number}"
        route(RouteRequest(text, domain="technical", unit_id="batch job"))
    mover.move()
    assert newest().cuts[0]["threshold"] == pytest.approx(before, abs=0.02)


@pytest.mark.slow
def test_traffic_of_one_unit_alone_keeps_its_share(mover: ThresholdMover) -> None:
    rows = play(mover, 300, unit="the only customer")
    assert np.mean([row.tier == "strong" for row in rows[100:]]) == pytest.approx(0.5, abs=0.07)


@pytest.mark.slow
def test_a_router_that_knows_nothing_routes_at_random(
    mover: ThresholdMover, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments.core.values import Score

    monkeypatch.setattr(engine, "score", lambda name, features: Score(0.7, "flat"))
    rows = play(mover, 300)
    assert np.mean([row.tier == "strong" for row in rows[100:]]) == pytest.approx(0.5, abs=0.07)
    drawn = [row for row in rows if row.reason == "drawn_at_threshold"]
    assert len(drawn) > 200
    assert drawn[-1].propensity not in (0.0, 1.0)


@pytest.mark.slow
def test_arms_share_the_domains_tables(mover: ThresholdMover) -> None:
    experiment, router = draft("shares"), Domain.objects.get(name="technical").router
    with revision("tests"):
        experiment.arms.filter(is_control=True).update(
            method="routellm", router=router, threshold=0.6
        )
        experiment.arms.filter(is_control=False).update(
            method="routellm",
            router=router,
            threshold=None,
            target_share=0.2,
        )
    lifecycle.start(experiment, "tests", timezone.now())
    rows = play(mover, 300)
    assert {cut["share"] for cut in newest().cuts} == {0.2, 0.5}
    treated = [row for row in rows[100:] if row.arm != "control"]
    assert np.mean([row.tier == "strong" for row in treated]) == pytest.approx(0.2, abs=0.1)
    assert {row.threshold for row in rows if row.arm == "control"} == {0.6}
    for row in rows[100:110]:
        checked = check_replay(Decision.objects.get(pk=row.pk))
        assert checked.same, checked.differences


def test_two_movers_do_not_repeat_each_other(mover: ThresholdMover) -> None:
    other = ThresholdMover()
    play(mover, 60)
    assert mover.move() + other.move() == other.move() + 1 == 1


def test_a_mover_that_starts_goes_on_where_the_last_one_ended(mover: ThresholdMover) -> None:
    play(mover, 120)
    number = newest().number
    rng = np.random.default_rng(9)
    route(RouteRequest(prompt(rng), domain="technical", unit_id="after"))
    assert ThresholdMover().move() == 1
    assert newest().number == number + 1
    assert newest().basis == "domain"


def test_a_fixed_threshold_gets_no_table(mover: ThresholdMover) -> None:
    with revision("tests"):
        Domain.objects.update(follows_target=False)
    row = play(mover, 1)[0]
    assert not ThresholdTable.objects.exists()
    assert "tables" not in row.detail


def test_a_learned_checkpoint_gets_its_first_table_and_then_moves(mover: ThresholdMover) -> None:
    key = TableKey("technical", "learned", "sha")
    first = write_first_table(
        store.current(), key, [0.1, 0.4, 0.6, 0.9] * 50, (0.5,), timezone.now()
    )
    assert (first.number, first.basis) == (1, "domain")
    assert (first.cuts[0]["threshold"], first.cuts[0]["tie_share"]) == (0.6, 1.0)


def test_pruning_keeps_the_newest_table_of_each_series(mover: ThresholdMover) -> None:
    play(mover, 101)
    mover.move()
    last = newest().number
    prune_tables(timezone.now() + timedelta(days=1))
    assert list(ThresholdTable.objects.filter(domain="technical").values_list("number")) == [
        (last,)
    ]
