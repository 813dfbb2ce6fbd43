"""A router whose scores were not logged, asked about decisions of which something is kept."""

import json
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import numpy as np
import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from experiments.core.policy import Method
from experiments.decisions.rollup_queries import Span
from experiments.lab import rescoring
from experiments.lab.candidates import CandidatePolicy, CannotAskError
from experiments.lab.decision_log import Rescored, read_log
from experiments.lab.off_policy import answer, question, what_if
from experiments.lab.rescoring import with_scores
from experiments.lab.text.off_policy import sentence, weights_words
from experiments.models import Decision, Router
from experiments.routers.local_mf import CHECKPOINT, LocalMFRouter
from tests.explored_traffic import NOW, send, set_policy

pytestmark = pytest.mark.usefixtures("seeded")

SPAN = Span(NOW - timedelta(days=7), NOW)
LATE = CandidatePolicy(router="late", threshold=0.5, domain="technical")


def late(kind: str = "local_mf", **arguments: object) -> Router:
    """A router that is not live and scored nothing."""
    return Router.objects.create(name="late", kind=kind, enabled=False, arguments=arguments)


def kept(count: int, storage: str, seed: int = 1) -> list[Decision]:
    set_policy(epsilon=0.3, prompt_storage=storage)
    return send(count, seed=seed)


def logged_by(router: str) -> np.ndarray:
    return read_log(SPAN, "technical").scores[router]


def test_it_works() -> None:
    kept(120, "text")
    late()
    found = with_scores(read_log(SPAN, "technical"), LATE)
    assert found.rescored == Rescored("late", logged=0, now=120, left_out=0)
    assert found.scores["late"] == pytest.approx(logged_by("local_mf"))
    answer = what_if(SPAN, LATE)
    assert answer.found.without_overlap == 0.0
    assert answer.found.strong_share.value == pytest.approx((logged_by("local_mf") >= 0.5).mean())
    assert answer.found == what_if(SPAN, replace(LATE, router="local_mf")).found
    assert "“late” scored 0 at the time and 120 now" in sentence(answer)


def test_features_are_enough_for_a_router_that_looks_at_the_embedding_alone() -> None:
    kept(60, "features")
    late()
    found = with_scores(read_log(SPAN, "technical"), LATE)
    assert found.rescored == Rescored("late", 0, 60, 0)
    # Features are kept with four digits.
    assert found.scores["late"] == pytest.approx(logged_by("local_mf"), abs=0.002)


def test_features_are_not_enough_for_one_that_needs_the_prompt() -> None:
    kept(6, "features")
    late("local")
    with pytest.raises(
        CannotAskError, match="Features of 6 are stored, but a router of kind local"
    ):
        what_if(SPAN, LATE)


def test_what_is_not_kept_is_left_out_and_counted() -> None:
    kept(90, "text")
    kept(30, "none", seed=2)
    late()
    found = what_if(SPAN, LATE)
    assert found.rescored == Rescored("late", 0, 90, 30)
    assert found.found.decisions == 120
    assert found.found.without_overlap == 0.25
    assert "the other 30 cannot be scored and are left out." in sentence(found)


def test_what_is_not_known_is_neither_strong_nor_weak() -> None:
    kept(90, "text")
    kept(30, "none", seed=2)
    late()
    log = read_log(SPAN)
    known = log.scores["local_mf"][np.isfinite(with_scores(log, LATE).scores["late"])]
    middle = float(np.median(known))
    found = what_if(SPAN, LATE.at(middle)).found
    assert found.strong_share.value == pytest.approx((known >= middle).mean())
    assert 0.49 < (found.strong_share.value or 0) < 0.53
    assert what_if(SPAN, replace(LATE, domain="")).domains[0].found.strong_share.value == 1.0


def test_logged_scores_stand_and_gaps_are_filled() -> None:
    kept(40, "text")
    late()
    rows = list(Decision.objects.order_by("-created_at")[:10])
    for row in rows:
        row.scores = json.dumps({**json.loads(row.scores), "late": 0.125})
        row.save(update_fields=["scores"])
    found = with_scores(read_log(SPAN, "technical"), LATE)
    assert found.rescored == Rescored("late", 10, 30, 0)
    assert found.scores["late"][:10].tolist() == [0.125] * 10
    assert found.scores["late"][10:] == pytest.approx(logged_by("local_mf")[10:])


def test_nothing_kept_is_refused_with_what_to_do() -> None:
    kept(5, "none")
    late()
    with pytest.raises(CannotAskError, match="change what the domain stores, or enable the router"):
        what_if(SPAN, LATE)


def test_a_folder_is_asked_as_the_evaluation_asks_it() -> None:
    kept(12, "text")
    candidate = CandidatePolicy(router=str(CHECKPOINT), threshold=0.5, domain="technical")
    found = what_if(SPAN, candidate)
    assert found.rescored == Rescored(str(CHECKPOINT), 0, 12, 0)


@pytest.mark.parametrize(
    ("kind", "arguments", "problem"),
    [
        ("linear", {"checkpoint_path": "/nowhere"}, "cannot score them now"),
        ("bert", {"checkpoint_path": "/nowhere"}, "is not used for past prompts"),
    ],
)
def test_a_router_that_cannot_be_asked_says_why(
    kind: str, arguments: dict[str, str], problem: str
) -> None:
    kept(5, "text")
    late(kind, **arguments)
    with pytest.raises(CannotAskError, match=problem):
        what_if(SPAN, LATE)


def test_where_some_scores_were_logged_a_lost_checkpoint_takes_none_of_them() -> None:
    rows = kept(10, "text")
    late("linear", checkpoint_path="/nowhere")
    first = Decision.objects.get(pk=rows[0].pk)
    first.scores = json.dumps({"late": 0.9})
    first.save(update_fields=["scores"])
    found = what_if(SPAN, LATE)
    assert found.rescored is None
    assert found.found.without_overlap == pytest.approx(0.9)


def test_one_that_fails_on_a_prompt_leaves_that_out() -> None:
    """Features of an embedding with other dimensions, and what is no number at all."""
    rows = kept(8, "features")
    for row, embedding in zip(rows, ([0.5, 0.5], ["words"]), strict=False):
        stored = Decision.objects.get(pk=row.pk)
        stored.detail["features"]["embedding"] = embedding
        stored.detail["features"].pop("question_embedding", None)
        stored.save(update_fields=["detail"])
    late()
    assert what_if(SPAN, LATE).rescored == Rescored("late", 0, 6, 2)


def test_one_that_fails_on_all_of_them_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    kept(4, "text")
    late()
    monkeypatch.setattr(LocalMFRouter, "score", lambda self, features: float("nan"))
    with pytest.raises(CannotAskError, match="failed on each of the 4 with stored data"):
        what_if(SPAN, LATE)


def test_a_bound_ends_the_log_where_scoring_ends() -> None:
    kept(50, "text")
    late()
    found = with_scores(read_log(SPAN, "technical"), LATE, most=20)
    assert (len(found), found.is_whole) == (20, False)
    assert found.rescored == Rescored("late", 0, 20, 0)
    whole = read_log(SPAN, "technical")
    assert found.units.tolist() == whole.units[:20].tolist()
    assert found.ids.to_pylist() == whole.ids.to_pylist()[:20]
    assert found.scores["late"] == pytest.approx(whole.scores["local_mf"][:20])


def test_asking_again_scores_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept(10, "text")
    late()
    log = read_log(SPAN, "technical")
    once = with_scores(log, LATE, most=100)
    monkeypatch.setattr(LocalMFRouter, "score", lambda self, features: 1 / 0)
    again = with_scores(log, LATE.at(0.7), most=100)
    assert again.scores["late"].tolist() == once.scores["late"].tolist()


def test_only_what_came_since_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    kept(10, "text")
    late()
    with_scores(read_log(SPAN, "technical"), LATE, most=100)
    kept(3, "text", seed=2)
    monkeypatch.setattr(LocalMFRouter, "score", lambda self, features: 0.125)
    found = with_scores(read_log(SPAN, "technical"), LATE, most=100)
    assert found.rescored == Rescored("late", 0, 13, 0)
    assert (found.scores["late"] == 0.125).sum() == 3


def test_no_more_is_remembered_than_what_was_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    kept(10, "text")
    late()
    monkeypatch.setattr(rescoring, "MOST_REMEMBERED", 8)
    found = with_scores(read_log(SPAN, "technical"), LATE, most=6)
    assert found.rescored == Rescored("late", 0, 6, 0)
    assert with_scores(read_log(SPAN, "technical"), LATE, most=10).rescored == Rescored(
        "late", 0, 10, 0
    )


def test_a_router_that_scored_everything_costs_no_query() -> None:
    kept(10, "text")
    log = read_log(SPAN, "technical")
    with CaptureQueriesContext(connection) as queries:
        assert with_scores(log, CandidatePolicy(router="local", threshold=0.5)) is log
        assert with_scores(log, CandidatePolicy(Method.ALWAYS_WEAK, "late")) is log
    assert len(queries) == 0


def test_prompts_are_read_by_the_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    kept(25, "text")
    late()
    monkeypatch.setattr(rescoring, "_CHUNK", 10)
    found = with_scores(read_log(SPAN, "technical"), LATE)
    assert found.scores["late"] == pytest.approx(logged_by("local_mf"))


def test_the_command_says_it_in_words_and_as_json() -> None:
    kept(30, "text")
    kept(10, "none", seed=2)
    late()
    asked = {"until": NOW, "days": 7, "domain": "technical", "router": "late", "threshold": 0.5}
    out = StringIO()
    call_command("what_if", json=True, stdout=out, **asked)
    found = json.loads(out.getvalue())
    assert found["scores"] == {"logged": 0, "made_now": 30, "left_out": 10}
    assert found["all"]["without_overlap"] == 0.25
    out = StringIO()
    call_command("what_if", stdout=out, **asked)
    assert "“late” scored 0 at the time and 30 now" in out.getvalue()


def test_a_cut_log_says_that_the_command_reads_all() -> None:
    kept(30, "text")
    late()
    cut = with_scores(read_log(SPAN, "technical"), LATE, most=12)
    found = answer(question(cut, LATE), LATE)
    assert "Only the newest 12 decisions were read" in weights_words(found)
