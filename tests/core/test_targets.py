"""A policy with a target strong share reads its threshold from the newest table."""

from collections import Counter
from dataclasses import replace

import pytest

from experiments.core.assignment import HashedBuckets, Unit
from experiments.core.policy import ModelStep, Policy, PolicyArm, PolicyExperiment, RoutingPolicy
from experiments.core.values import NumberedTable, ScoreCut, TableKey, Tables
from tests.core.decision_values import OTHER, ROUTED, STRONG, WEAK, decided, domain, policy

HALF = replace(ROUTED, target_share=0.5)
KEY = TableKey("code", "local", "sha-of-local")


def table(number: int = 3, **cuts: ScoreCut) -> Tables:
    """Cuts by share: `at_50` is the one of 50 %."""
    return {KEY: NumberedTable(number, {int(k[3:]) / 100: cut for k, cut in cuts.items()})}


def rules(wanted: RoutingPolicy = HALF, **values: object) -> Policy:
    return policy(domain("code", policy=wanted), **values)


AT_60 = table(at_50=ScoreCut(0.6, 0.25))


@pytest.mark.parametrize(
    ("score", "model", "reason"),
    [
        (0.5999, WEAK, "score_below_threshold"),
        (0.6001, STRONG, "score_at_or_above_threshold"),
    ],
)
def test_scores_are_compared_with_the_threshold_of_the_table(
    score: float, model: str, reason: str
) -> None:
    decision = decided(rules(), score=score, tables=AT_60)
    assert (decision.model, decision.choice.reason) == (model, reason)
    assert decision.choice.threshold == 0.6
    assert decision.tables == {"local": 3}
    assert decision.propensity.by_model == {
        STRONG: float(model == STRONG),
        WEAK: 1.0 - (model == STRONG),
    }


def test_ties_are_drawn_by_the_decision_with_the_tables_share() -> None:
    drawn = [
        decided(rules(), score=0.6, tables=AT_60, decision_id=f"d{number}")
        for number in range(4000)
    ]
    assert {one.choice.reason for one in drawn} == {"drawn_at_threshold"}
    assert Counter(one.model for one in drawn)[STRONG] / 4000 == pytest.approx(0.25, abs=0.02)
    assert drawn[0].propensity.by_model == {STRONG: 0.25, WEAK: 0.75}
    for one in drawn[:20]:
        assert one.propensity.intended == (0.25 if one.model == STRONG else 0.75)
        assert one.propensity.given_arm == one.propensity.intended


def test_ties_and_exploration_are_drawn_apart() -> None:
    explores = rules(replace(HALF, epsilon=0.1))
    found = Counter(
        (one.choice.model, one.explored)
        for number in range(4000)
        if (one := decided(explores, score=0.6, tables=AT_60, decision_id=f"d{number}"))
    )
    assert found[STRONG, True] / 4000 == pytest.approx(0.025, abs=0.01)
    decision = decided(explores, score=0.6, tables=AT_60)
    assert decision.propensity.by_model == pytest.approx({STRONG: 0.3, WEAK: 0.7})


def test_another_seed_draws_other_ties() -> None:
    def models(seed: str) -> list[str]:
        seeded = replace(rules(), tie_seed=seed)
        return [
            decided(seeded, score=0.6, tables=AT_60, decision_id=f"d{n}").model for n in range(40)
        ]

    assert models("a") == models("a") != models("b")


def test_below_a_tie_the_steps_are_asked() -> None:
    wanted = replace(HALF, steps=(ModelStep(OTHER, "local", 0.3),))
    decision = decided(rules(wanted), score=0.6, tables=AT_60)
    assert decision.propensity.by_model == pytest.approx({STRONG: 0.25, OTHER: 0.75, WEAK: 0.0})


def test_without_a_table_the_fixed_threshold_counts() -> None:
    for tables in ({}, table(at_30=ScoreCut(0.9)), {KEY._replace(checkpoint="x"): AT_60[KEY]}):
        decision = decided(rules(), score=0.5, tables=tables)
        assert (decision.model, decision.choice.threshold) == (STRONG, 0.5)


def test_without_table_and_threshold_the_share_is_drawn() -> None:
    wanted = replace(HALF, threshold=None, target_share=0.3)
    drawn = [decided(rules(wanted), score=0.9, decision_id=f"d{n}") for n in range(4000)]
    assert Counter(one.model for one in drawn)[STRONG] / 4000 == pytest.approx(0.3, abs=0.02)
    assert drawn[0].propensity.by_model == pytest.approx({STRONG: 0.3, WEAK: 0.7})
    assert drawn[0].tables == {}


def test_an_arm_with_a_fixed_threshold_does_not_move_with_the_domains_table() -> None:
    """Not even one whose threshold is that of the domain."""
    arms = (PolicyArm("control", ROUTED, 0.5, True), PolicyArm("half", HALF, 0.5))
    tested = rules(experiments=(PolicyExperiment("e", 1, "e:1", arms),))
    found: Counter[tuple[str, float | None]] = Counter()
    for number in range(200):
        unit = Unit(HashedBuckets(f"u{number}"), f"h{number}")
        decision = decided(tested, score=0.55, tables=AT_60, unit=unit)
        assert decision.assignment is not None
        assert decision.propensity.by_model == {STRONG: 0.5, WEAK: 0.5}
        assert decision.tables == {"local": 3}, "also where the arm that decides has no table"
        found[decision.assignment.arm.name, decision.choice.threshold] += 1
    assert set(found) == {("control", 0.5), ("half", 0.6)}


def test_arms_with_other_shares_read_the_same_table() -> None:
    arms = (
        PolicyArm("half", HALF, 0.5, True),
        PolicyArm("few", replace(HALF, target_share=0.2), 0.5),
    )
    tested = rules(experiments=(PolicyExperiment("e", 1, "e:1", arms),))
    tables = table(at_50=ScoreCut(0.6), at_20=ScoreCut(0.8))
    decision = decided(tested, score=0.7, tables=tables)
    assert decision.propensity.by_model == {STRONG: 0.5, WEAK: 0.5}


def test_forced_decisions_store_the_table_that_they_used() -> None:
    arms = (PolicyArm("half", HALF, 1.0, True),)
    tested = rules(ROUTED, experiments=(PolicyExperiment("e", 1, "e:1", arms),))
    decision = decided(tested, score=0.7, tables=AT_60, force_arm="half")
    assert (decision.choice.threshold, decision.tables) == (0.6, {"local": 3})
    assert decision.propensity.reason == "forced"
