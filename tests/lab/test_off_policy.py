""" "What if?" on a real database: what is read, what is asked, what is refused."""

from datetime import timedelta
from uuid import UUID

import numpy as np
import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from experiments.configuration.policy_store import store
from experiments.core.policy import Method
from experiments.decisions.decision_rows import compact
from experiments.decisions.outcomes import Rating, record_feedback
from experiments.decisions.rollup_queries import Span
from experiments.lab.candidates import CandidatePolicy, CannotAskError, ask, filled
from experiments.lab.decision_log import read_log
from experiments.lab.off_policy import what_if
from experiments.lab.off_policy_payload import what_if_payload
from experiments.lab.text.off_policy import (
    advice_words,
    condition_words,
    sentence,
    tails,
    weights_words,
)
from experiments.models import Decision, Feedback, Outcome, Router
from tests.explored_traffic import (
    NOW,
    let_ten_carry_a_third_of_the_weak_cost,
    send,
    set_policy,
)

pytestmark = pytest.mark.usefixtures("seeded")

SPAN = Span(NOW - timedelta(days=7), NOW)
WEAK = CandidatePolicy(Method.ALWAYS_WEAK, domain="technical")


def explored(count: int = 300, epsilon: float = 0.3, rated: float = 1.0) -> list[Decision]:
    set_policy(epsilon=epsilon)
    return send(count, rated=rated)


def test_it_works() -> None:
    explored(400)
    found = what_if(SPAN, WEAK)
    assert found.found.decisions == 400
    assert found.found.units == 133
    assert found.found.without_overlap == 0.0
    assert found.found.strong_share.value == 0.0
    quality = found.found.quality
    assert quality.has_enough
    assert quality.doubly_robust.low is not None
    assert quality.doubly_robust.high is not None
    # Ids are random: one interval in twenty misses by a little.
    assert quality.doubly_robust.low - 0.1 < 0.6 < quality.doubly_robust.high + 0.1
    assert found.advice is None
    assert sentence(found).startswith(
        "Had “always weak” run in technical, 1,000 requests would have cost $"
    )


def test_four_queries_whatever_the_number_of_decisions() -> None:
    explored(40)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        read_log(SPAN)
    assert len(queries) == 4


def test_the_score_at_work_is_that_of_the_domains_router_at_the_time() -> None:
    explored(10)
    set_policy(router=Router.objects.get(name="local_mf"))
    send(10, seed=2)
    logged = read_log(SPAN, "technical")
    newer = logged.revisions == logged.revisions.max()
    assert newer.sum() == 10
    for rows, router in ((newer, "local_mf"), (~newer, "local")):
        assert np.array_equal(logged.score_at_work[rows], logged.scores[router][rows])
    asked = ask(logged, CandidatePolicy(router="local_mf", threshold=0.5, domain="technical"))
    assert np.array_equal(asked.log.score, logged.scores["local_mf"])
    assert asked.log.logged_score is logged.score_at_work


def test_columns_are_what_was_stored() -> None:
    rows = explored(30)
    logged = read_log(SPAN, "technical")
    stored = list(Decision.objects.order_by("-created_at"))
    models = list(logged.models)
    assert len(logged) == len(rows) == 30
    for number, row in enumerate(stored):
        assert models[logged.intended[number]] == row.intended_model
        assert models[logged.strong[number]] == row.strong_model
        assert logged.vectors[logged.odds[number]] == row.detail["propensities"]
        assert logged.scores["local"][number] == row.detail["scores"]["local"]["value"]
        assert logged.cost_strong[number] == row.cost_strong
        assert logged.cost[number] == Outcome.objects.get(pk=row.pk).cost
        assert logged.rating[number] == Feedback.objects.get(decision=row).value
    assert logged.odds_of(logged.intended) == pytest.approx([row.propensity for row in stored])


@pytest.mark.parametrize(
    "name", ['a "quoted", one', "back\\slash", "größer/模型", "NULL", "per % cent"]
)
def test_names_come_back_as_they_were_stored(name: str) -> None:
    explored(2)
    Decision.objects.update(intended_model=name, strong_model="", odds=compact({name: 0.25}))
    logged = read_log(SPAN)
    names = list(logged.models)
    assert [names[one] for one in logged.intended] == [name, name]
    assert [names[one] for one in logged.strong] == ["", ""]
    assert logged.odds_of(logged.intended).tolist() == [0.25, 0.25]


def test_what_is_not_known_is_nan() -> None:
    explored(3, rated=0.0)
    Decision.objects.update(cost=None, cost_weak=None, scores="")
    Outcome.objects.all().delete()
    logged = read_log(SPAN)
    assert np.isnan([logged.cost, logged.cost_weak, logged.rating]).all()
    assert np.isfinite(logged.cost_strong).all()
    assert logged.scores == {}


def test_a_router_that_scored_some_is_nan_for_the_others() -> None:
    rows = explored(3)
    Decision.objects.update(scores="")
    Decision.objects.filter(pk=rows[0].pk).update(scores='{"local":1,"new":0.123456789012345}')
    Decision.objects.filter(pk=rows[1].pk).update(scores='{"local":0.5}')
    logged = read_log(SPAN)
    assert np.sort(logged.scores["local"])[:2].tolist() == [0.5, 1.0]
    assert np.isnan(logged.scores["local"]).sum() == 1
    assert np.nansum(logged.scores["new"]) == 0.123456789012345
    assert np.isnan(logged.scores["new"]).sum() == 2


def test_a_rating_keeps_all_its_digits() -> None:
    explored(1)
    Feedback.objects.update(value=0.1 + 0.2)
    assert read_log(SPAN).rating.tolist() == [0.1 + 0.2]


def test_people_beat_judges_and_equals_are_averaged() -> None:
    set_policy(epsilon=0.3)
    row = send(1, rated=0.0)[0]
    key = UUID(str(row.id))
    record_feedback([Rating(key, "quality", 0.0, "judge", NOW)], NOW)
    assert read_log(SPAN).rating.tolist() == [0.0]
    record_feedback([Rating(key, "quality", v, s, NOW) for v, s in ((1.0, "a"), (0.5, "b"))], NOW)
    assert read_log(SPAN).rating.tolist() == [0.75]


@pytest.mark.parametrize("source", ["Judge", "LLM-judge", "gpt-4.1"])
def test_a_judge_by_another_name_is_no_person(source: str) -> None:
    set_policy(epsilon=0.3)
    row = send(1, rated=0.0)[0]
    key = UUID(str(row.id))
    record_feedback([Rating(key, "quality", 0.0, source, NOW)], NOW)
    assert read_log(SPAN).rating.tolist() == [0.0]
    record_feedback([Rating(key, "quality", 1.0, "user", NOW)], NOW)
    assert read_log(SPAN).rating.tolist() == [1.0]


def test_a_rating_outside_its_range_is_no_rating() -> None:
    explored(2)
    Feedback.objects.filter(pk=Feedback.objects.order_by("pk")[0].pk).update(value=7.0)
    assert np.isnan(read_log(SPAN).rating).sum() == 1


def test_audits_are_read_with_their_experiment_and_phase() -> None:
    rows = explored(6)
    pks = [row.pk for row in rows]
    Decision.objects.filter(pk__in=pks[:3]).update(experiment="a", phase=1)
    Decision.objects.filter(pk__in=pks[3:5]).update(experiment="a", phase=2, audited=True)
    logged = read_log(SPAN)
    places = [UUID(name) for name in logged.ids.to_pylist()]
    order = [places.index(UUID(str(row.id))) for row in rows]
    assert logged.audited[order].tolist() == [False, False, False, True, True, False]
    groups = logged.audits[order].tolist()
    assert len(set(groups)) == 3
    assert len(set(groups[:3])) == len(set(groups[3:5])) == 1


def test_audited_ratings_count_alone_and_it_says_so() -> None:
    """Of volunteers only the unhappy rate: asked about, that is the whole quality."""
    rows = explored(600, epsilon=0.5)
    audited = [row.pk for row in rows[::2]]
    Decision.objects.filter(pk__in=audited).update(audited=True)
    pooled = what_if(SPAN, WEAK).found.ratings
    Feedback.objects.exclude(decision__in=audited).filter(value=1.0).delete()
    found = what_if(SPAN, WEAK)
    assert pooled.audited == found.found.ratings.audited == 300
    assert found.found.ratings.volunteered == 0
    assert condition_words(found.found.ratings).startswith("Quality is from random audits alone")
    quality = found.found.quality.doubly_robust
    assert quality.low is not None
    assert quality.high is not None
    assert quality.low - 0.1 < 0.6 < quality.high + 0.1


def test_without_audits_the_condition_and_the_way_out_are_said() -> None:
    explored(100)
    answer = what_if(SPAN, WEAK)
    shown = what_if_payload(answer)["condition"]
    assert "good and bad answers must be rated equally often" in shown
    assert "audit a random share of an experiment's decisions" in shown


def test_forced_decisions_have_no_propensity_and_are_not_read() -> None:
    explored(5)
    Decision.objects.filter(pk=Decision.objects.first().pk).update(odds="")  # type: ignore[union-attr]
    assert len(read_log(SPAN)) == 4


def test_only_the_newest_where_there_is_a_limit() -> None:
    explored(20)
    logged = read_log(SPAN, limit=8)
    assert len(logged) == 8
    assert not logged.is_whole
    newest = Decision.objects.order_by("-created_at")[:8]
    assert logged.tokens.tolist() == [row.input_tokens for row in newest]
    assert logged.span.since == newest[7].created_at


def test_without_exploration_the_answer_is_to_explore() -> None:
    set_policy(threshold=0.877, follows_target=False)
    explored(200, epsilon=0.0, rated=0.5)
    found = what_if(SPAN, WEAK)
    assert 0 < found.found.without_overlap < 1
    assert found.advice is not None
    assert found.advice.days is not None
    shown = advice_words(found.advice, "technical")
    assert shown.startswith("Next: turn on exploration of 2 % for technical: it ")
    assert shown.endswith(f"answers this in about {found.advice.days:,} days.")
    assert "for the other" in sentence(found)
    assert [point for point in found.points if point.quality.value is None]


def test_too_few_explorations_have_no_interval_and_say_how_many() -> None:
    explored(120, epsilon=0.05)
    found = what_if(SPAN, WEAK)
    quality = found.found.quality
    assert quality.doubly_robust.low is None
    assert (
        f"too little data on its quality: {quality.explorations} of 60 rated explorations"
        in sentence(found)
    )
    assert found.advice is not None


def test_good_ratings_alone_have_an_interval_that_leaves_a_doubt() -> None:
    explored(300)
    Feedback.objects.update(value=1.0)
    quality = what_if(SPAN, WEAK).found.quality
    assert quality.explorations >= 60
    assert quality.change.low is not None
    assert quality.change.low < -0.01
    assert quality.change.high is not None
    assert quality.change.high > 0.01


def test_no_decision_says_so() -> None:
    found = what_if(SPAN, WEAK)
    assert found.found.decisions == 0
    assert "no estimate is possible" in sentence(found)
    assert found.points == ()


def test_curve_has_the_log_on_it() -> None:
    explored(400)
    found = what_if(SPAN, filled(CandidatePolicy(domain="technical"), store.current()))
    shares = [point.strong_share for point in found.points]
    assert shares[0] == 1.0
    assert shares[-1] == 0.0
    rows = Decision.objects.all()
    strong = sum(row.intended_model == row.strong_model for row in rows)
    assert found.logged.strong_share == pytest.approx(strong / 400)
    # Ids are random, and some sixty explorations say it to about 0.06.
    at_work = found.found.quality
    assert at_work.doubly_robust.value == pytest.approx(found.found.quality.logged.value, abs=0.2)


def test_another_router_is_asked_by_its_logged_scores() -> None:
    explored(150)
    found = what_if(SPAN, CandidatePolicy(router="local_mf", threshold=0.5, domain="technical"))
    scores = [row.detail["scores"]["local_mf"]["value"] for row in Decision.objects.all()]
    assert found.found.strong_share.value == pytest.approx(np.mean(np.array(scores) >= 0.5))


def test_another_pair_is_known_only_where_it_was_logged() -> None:
    explored(50)
    row = Decision.objects.first()
    assert row is not None
    swapped = CandidatePolicy(
        Method.ALWAYS_WEAK, strong=row.strong_model, weak="unknown/model", domain="technical"
    )
    assert what_if(SPAN, swapped).found.without_overlap == 1.0
    same = CandidatePolicy(
        Method.ALWAYS_WEAK, strong=row.strong_model, weak=row.weak_model, domain="technical"
    )
    assert what_if(SPAN, same).found == what_if(SPAN, WEAK).found


def test_all_domains_have_a_row_each() -> None:
    explored(60)
    set_policy("general", epsilon=0.3)
    send(30, domain="general", seed=2)
    found = what_if(SPAN, CandidatePolicy(Method.ALWAYS_WEAK))
    assert [(one.name, one.found.decisions) for one in found.domains] == [
        ("general", 30),
        ("technical", 60),
    ]
    assert "all domains" in sentence(found)


def test_a_clipped_rate_and_a_limit_are_shown() -> None:
    explored(100)
    found = what_if(SPAN, WEAK, limit=50)
    assert "Only the newest 50 decisions were read" in weights_words(found)
    shown = weights_words(found._replace(found=found.found._replace(clipped=0.031)))
    assert "clipped for 3.1 % of the ratings" in shown


@pytest.mark.parametrize(
    ("candidate", "problem"),
    [
        (CandidatePolicy(router="bert", threshold=0.5), "Unknown router 'bert'"),
        (CandidatePolicy(router="local"), "needs a threshold"),
        (CandidatePolicy(router="local", threshold=1.5), "needs a threshold"),
        (CandidatePolicy(Method.DOMAIN_SELECTOR), "cannot be estimated"),
        (CandidatePolicy(Method.ALWAYS_WEAK, strong="a"), "needs both of its models"),
    ],
)
def test_questions_nothing_could_answer_are_refused(
    candidate: CandidatePolicy, problem: str
) -> None:
    explored(5)
    with pytest.raises(CannotAskError, match=problem):
        what_if(SPAN, candidate)


def test_an_unknown_domain_is_refused() -> None:
    with pytest.raises(CannotAskError, match="Unknown domain 'cooking'"):
        filled(CandidatePolicy(domain="cooking"), store.current())


TAIL = "he ten largest requests carry 34 % of the cost: the true cost may lie above this interval."


def test_costs_that_ten_requests_carry_are_named_of_the_whole_and_of_the_domain() -> None:
    explored(300)
    let_ten_carry_a_third_of_the_weak_cost()
    everywhere = CandidatePolicy(Method.ALWAYS_WEAK)
    found = what_if(SPAN, everywhere)
    assert tails(found).startswith(f"T{TAIL} ")
    assert tails(found).endswith(f"In technical: t{TAIL}")
    payload = what_if_payload(found)
    assert payload["tails"] == tails(found)
    assert payload["all"]["cost"]["tail"] == f"T{TAIL}"
    assert payload["all"]["cost"]["ten_largest"] == pytest.approx(0.34, abs=0.0001)
    assert payload["all"]["cost"]["heavy_tail"] is True
    assert payload["domains"]["technical"]["cost"]["heavy_tail"] is True
    assert payload["curve"][-1]["cost"]["heavy_tail"] is True
    assert set(payload["all"]["quality"]["doubly_robust"]) == {"value", "low", "high"}


def test_even_costs_are_shown_without_a_note_on_tails() -> None:
    explored(300)
    Outcome.objects.update(cost=1_000_000)
    Decision.objects.update(cost=1_000_000, cost_weak=1_000_000, cost_strong=1_000_000)
    payload = what_if_payload(what_if(SPAN, WEAK))
    assert payload["tails"] is None
    assert payload["all"]["cost"]["heavy_tail"] is False
    assert payload["all"]["cost"]["tail"] is None


def test_a_tail_that_only_the_log_has_is_said_of_the_log() -> None:
    explored(300)
    let_ten_carry_a_third_of_the_weak_cost()
    strong = Decision.objects.filter(intended_model=F("strong_model")).values("pk")
    Outcome.objects.filter(pk__in=strong).update(cost=400_000)
    Decision.objects.update(cost_strong=400_000)
    shown = tails(what_if(SPAN, CandidatePolicy(Method.ALWAYS_STRONG, domain="technical")))
    assert shown.startswith("The ten largest requests carry ")
    assert " of the cost as logged: the true cost as logged may lie above its interval" in shown
