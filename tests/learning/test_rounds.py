"""Live rounds: the same results as the replay on the same labels, served, returned and undone."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.analysis.learning.claims import Claim
from experiments.analysis.learning.replay import Chances, Played, Rules, play
from experiments.configuration.policy_store import store
from experiments.configuration.revisions import revision
from experiments.decisions.decision_rows import replay
from experiments.lab.learning_replay import prepare_traffic
from experiments.learning import checkpoints, serving
from experiments.learning.rounds import ALL, BEGAN, groups, newest_round, run_rounds
from experiments.learning.serving import RouterChoice
from experiments.models import (
    Decision,
    Domain,
    Experiment,
    LearnedCheckpoint,
    LearningRound,
    PolicyRevision,
    Router,
    ServingChange,
)
from experiments.routers.learned import shipped_router
from experiments.routers.outcomes import Outcomes
from experiments.routing.runtime import engine
from experiments.storage.lab_files import in_lab
from tests.learning.stream import Asked, asked, learning_on, moment, send

pytestmark = pytest.mark.django_db

BLOCK = 50


@pytest.fixture(autouse=True)
def _lab(seeded: None, settings: Any, tmp_path: Path) -> None:
    settings.LAB_DIR = str(tmp_path)


def outcomes(requests: list[Asked]) -> Outcomes:
    return Outcomes(
        prompts=tuple(one.text for one in requests),
        strong=np.array([one.strong for one in requests]),
        weak=np.array([one.weak for one in requests]),
        domains=("technical",) * len(requests),
        groups=tuple(f"unit-{number}" for number in range(len(requests))),
    )


def played(requests: list[Asked], pairs: float = 0.2) -> Played:
    traffic = prepare_traffic(outcomes(requests))
    rng = np.random.default_rng(3)
    count = len(requests)
    chances = Chances(rng.random(count), rng.random(count))
    return play(traffic, np.arange(count), Rules(pairs=pairs), chances)


def play_live(requests: list[Asked], one: Played) -> list[LearningRound]:
    """The same stream through the live loop: a tick after every 50 requests."""
    run_rounds(moment(-1))
    for start in range(0, len(requests), BLOCK):
        stop = start + BLOCK
        send(
            requests[start:stop],
            start,
            strong=one.learned[start:stop].tolist(),
            paired=one.pairs[start:stop].tolist(),
        )
        run_rounds(moment(stop - 1) + timedelta(seconds=5))
        store.invalidate()
    return list(LearningRound.objects.filter(domain=ALL, requests__gt=0).order_by("requests"))


@pytest.mark.slow
def test_live_rounds_give_the_results_of_the_replay() -> None:
    requests = asked(300)
    one = played(requests)
    learning_on()
    rounds = play_live(requests, one)
    assert [row.requests for row in rounds] == [50, 100, 150, 200, 250, 300]
    for row, line in zip(rounds, one.rounds, strict=False):  # the replay has none after the last
        assert (row.requests, row.pairs) == (line.requests, line.pairs)
        assert row.claim == line.claim
        assert (row.serving_after == "learned") == line.serving
        if line.compared is None:
            assert row.z is None
        else:
            assert row.z == pytest.approx(line.compared.z, abs=0.01)
            assert row.difference == pytest.approx(line.compared.difference, abs=1e-4)
    assert any(line.serving for line in one.rounds)


def stream_until_served(count: int = 450, **values: Any) -> None:
    requests = asked(count)
    learning_on(**values)
    engine.warm_up(store.current())
    run_rounds(moment(-1))
    for start in range(0, count, BLOCK):
        engine.warm_up(store.current())
        paired = [number % 4 == 0 for number in range(BLOCK)]
        send(requests[start : start + BLOCK], start, paired=paired)
        run_rounds(moment(start + BLOCK - 1) + timedelta(seconds=5))
        store.invalidate()


@pytest.mark.slow
def test_a_checkpoint_scores_in_shadow_and_then_serves() -> None:
    stream_until_served()
    domain = Domain.objects.select_related("router").get(name="technical")
    assert domain.router is not None
    assert domain.router.kind == "learned"
    change = ServingChange.objects.get(state="applied")
    assert (change.by, change.router_before, change.router_after) == (
        "learning",
        "local",
        domain.router.name,
    )
    assert "The learned router looks better; z = " in change.reason
    first = LearnedCheckpoint.objects.earliest("created_at")
    assert (first.router, first.state) == (domain.router.name, "serving")
    assert change.revision is not None
    revision_row = PolicyRevision.objects.get(number=change.revision)
    assert revision_row.author_name == "learning"
    pinned = revision_row.document["routers"][domain.router.name]
    assert pinned["checkpoint"] == first.sha256
    # 200 decisions were scored before it served, and those after it was served are its own.
    scored = checkpoints.shadow_scores(first)
    assert len(scored) == 200
    newest = Decision.objects.latest("created_at")
    assert newest.router == domain.router.name
    assert newest.detail["scores"][domain.router.name]["checkpoint"] == first.sha256
    assert replay(newest).choice.model == newest.intended_model
    undo_with_one_step()


def undo_with_one_step() -> None:
    """The router before serves again, and later changes wait for approval."""
    domain = Domain.objects.select_related("router").get(name="technical")
    before = ServingChange.objects.get(state="applied")
    serving.undo(domain, "ada", moment(1000))
    domain = Domain.objects.select_related("router").get(name="technical")
    assert domain.router is not None
    assert (domain.router.name, domain.learning_mode) == ("local", "approval")
    assert domain.threshold == before.threshold_before
    undone = ServingChange.objects.first()
    assert undone is not None
    assert (undone.by, undone.reason) == ("ada", f"Undid: {before.reason}")
    send(asked(BLOCK, seed=9), 1001)
    run_rounds(moment(1100))
    assert serving.present(Domain.objects.get(name="technical")).router == "local"
    assert serving.proposal("technical") is not None


@pytest.mark.slow
def test_with_approval_nothing_serves_until_an_operator_agrees() -> None:
    stream_until_served(learning_mode="approval")
    domain = Domain.objects.select_related("router").get(name="technical")
    assert serving.present(domain).router == "local"
    open_ = serving.proposal("technical")
    assert open_ is not None
    serving.approve(domain, "ada", moment(1000))
    domain = Domain.objects.select_related("router").get(name="technical")
    assert serving.present(domain).router == open_.router_after
    assert serving.proposal("technical") is None
    assert ServingChange.objects.get(state="applied").by == "ada"


@pytest.mark.slow
def test_it_returns_once_the_learned_router_is_shown_worse() -> None:
    stream_until_served()
    newest = LearningRound.objects.filter(domain="technical")[0]
    LearningRound.objects.filter(pk=newest.pk).update(
        bets={**newest.bets, "worse": [5.0] * len(newest.bets["worse"])}
    )
    send(asked(BLOCK, seed=9), 1000)
    run_rounds(moment(1100))
    domain = Domain.objects.select_related("router").get(name="technical")
    assert serving.present(domain).router == "local"
    returned, served = ServingChange.objects.filter(state="applied")
    assert "The learned router is shown to be worse" in returned.reason
    assert returned.threshold_after == served.threshold_before


@pytest.mark.slow
def test_nothing_changes_while_an_experiment_runs() -> None:
    Experiment.objects.create(key="other", status="running", domain=None)
    stream_until_served()
    assert serving.present(Domain.objects.get(name="technical")).router == "local"
    newest = LearningRound.objects.filter(domain="technical")[0]
    assert "Waits until experiment other ends." in newest.reason


def test_a_checkpoint_of_another_shipped_router_no_longer_serves() -> None:
    learning_on()
    send(asked(60), 0, paired=[True] * 30)
    run_rounds(moment(-1))
    send(asked(60, seed=2), 60)
    run_rounds(moment(200))
    store.invalidate()
    row = LearnedCheckpoint.objects.get()
    domain = Domain.objects.select_related("router").get(name="technical")
    serving.change(domain, RouterChoice(row.router, 0.5), "ada", moment(201), "It looks better.")
    router = Router.objects.get(name=row.router)
    manifest = Path(in_lab(router.arguments["checkpoint_path"])) / "manifest.json"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace(shipped_router().router.sha256, "0" * 64), encoding="utf-8")
    store.invalidate()
    run_rounds(moment(300))
    domain = Domain.objects.select_related("router").get(name="technical")
    assert serving.present(domain).router == "local"
    assert "The shipped router was updated" in ServingChange.objects.all()[0].reason
    assert LearnedCheckpoint.objects.get().state == "retired"


def test_requests_count_from_the_moment_learning_began() -> None:
    send(asked(10), -100)
    learning_on()
    run_rounds(moment(-1))
    assert {row.reason for row in LearningRound.objects.all()} == {BEGAN}
    send(asked(49), 0)
    assert run_rounds(moment(60)) == 0
    send(asked(1), 61)
    assert run_rounds(moment(70)) == 1
    assert LearningRound.objects.filter(domain="technical")[0].requests == 50


def test_a_domain_with_few_pairs_follows_the_pairs_of_all_domains() -> None:
    learning_on()
    learning_on("creative")
    run_rounds(moment(-1))
    send(asked(60), 0, paired=[True] * 30)
    send(asked(60, seed=2), 60, paired=[True] * 2, domain="creative")
    assert run_rounds(moment(200)) == 1
    pair = groups(store.current())[0].pair
    few, many = newest_round("creative", pair), newest_round("technical", pair)
    assert few is not None
    assert many is not None
    assert (few.basis, many.basis) == ("all", "domain")
    assert few.z is not None
    assert "on the pairs of all domains" in few.reason


def test_a_domain_that_is_switched_off_runs_no_rounds() -> None:
    learning_on()
    run_rounds(moment(-1))
    with revision("tests"):
        Domain.objects.update(learning=False)
    store.invalidate()
    send(asked(60), 0)
    assert run_rounds(moment(100)) == 0


def test_a_round_that_another_process_wrote_is_not_written_twice() -> None:
    learning_on()
    run_rounds(moment(-1))
    send(asked(60), 0, paired=[True] * 20)
    last = LearningRound.objects.filter(domain=ALL)[0]
    assert run_rounds(moment(100)) == 1
    LearningRound.objects.filter(requests__gt=0).update(at=last.at - timedelta(days=1))
    assert run_rounds(moment(101)) == 0  # its mark looks older, and the same round is due again
    assert LearningRound.objects.filter(domain=ALL, requests=60).count() == 1


def test_without_labels_a_round_says_what_is_missing() -> None:
    learning_on()
    run_rounds(moment(-1))
    send(asked(60), 0, rated=False)
    assert run_rounds(moment(100)) == 1
    row = LearningRound.objects.filter(domain="technical")[0]
    assert row.reason == "No comparison yet: 0 pairs, it needs 10."
    assert row.claim == Claim.NONE


def test_ratings_count_only_where_the_domain_stores_enough() -> None:
    learning_on()
    with revision("tests"):
        Domain.objects.filter(name="technical").update(prompt_storage="none")
    store.invalidate()
    run_rounds(moment(-1))
    send(asked(60), 0)
    run_rounds(moment(100))
    row = LearningRound.objects.filter(domain="technical")[0]
    assert (row.requests, row.ratings) == (60, 0)


@pytest.mark.slow
def test_retired_routers_leave_the_configuration() -> None:
    stream_until_served(700)
    rows = LearnedCheckpoint.objects.filter(domain="technical")
    retired = set(rows.filter(state="retired").values_list("router", flat=True))
    kept = set(Router.objects.filter(kind="learned").values_list("name", flat=True))
    assert len(rows) >= 3
    assert len(kept) <= 3
    assert not retired & kept or len(retired & kept) == 1  # dropped with the next checkpoint
