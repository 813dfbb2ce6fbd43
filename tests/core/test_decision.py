"""One decision, in order: domain, flags, holdout, experiment, policy, score, fallbacks, cost."""

from dataclasses import replace
from datetime import date
from math import nan

import pytest

from experiments.core.bucketing import bucket_index
from experiments.core.detection import Candidate
from experiments.core.money import Price
from experiments.core.policy import (
    FlagRule,
    Holdout,
    Method,
    PolicyArm,
    PolicyExperiment,
    PolicyRouter,
    RoutingPolicy,
    Switches,
)
from experiments.core.selection import ModelSelectionCriteria, NoEligibleModelsError
from experiments.core.values import Failure, Score
from tests.core.decision_values import (
    ALL,
    OTHER,
    ROUTED,
    STRONG,
    WEAK,
    decided,
    domain,
    failing,
    policy,
    scoring,
    unavailable,
)


def test_it_works() -> None:
    decision = decided(score=0.4)
    assert (decision.model, decision.tier, decision.method) == (WEAK, "weak", Method.ROUTELLM)
    assert decision.choice.reason == "score_below_threshold"
    assert decision.domain.name == "code"
    assert decision.scores == {"local": Score(0.4, "sha-of-local")}
    assert decision.fallbacks == ()


def test_a_score_at_the_threshold_goes_to_the_strong_model() -> None:
    decision = decided(score=0.5)
    assert (decision.model, decision.choice.reason) == (STRONG, "score_at_or_above_threshold")


def test_the_callers_domain_wins_over_detection() -> None:
    decision = decided(domain_override="general")
    assert (decision.domain.name, decision.confidence, decision.overridden) == (
        "general",
        1.0,
        True,
    )


def test_below_a_domains_minimum_it_is_general() -> None:
    decision = decided(policy(domain("code", min_confidence=0.81)))
    assert (decision.domain.name, decision.confidence) == ("general", 0.2)


def test_without_candidates_it_is_general() -> None:
    assert decided(candidates=[]).domain.name == "general"


def test_candidates_that_are_no_domain_are_passed_over() -> None:
    candidates = [Candidate("deleted", 0.9), Candidate("code", 0.5)]
    assert decided(candidates=candidates).domain.name == "code"


def test_master_flag_off_is_the_domain_selector_and_nothing_is_scored() -> None:
    rules = policy(master=FlagRule("routellm_enabled", 0, "seed-master"))
    decision = decided(rules)
    assert (decision.model, decision.tier) == (OTHER, "selected")
    assert (decision.method, decision.choice.reason) == (Method.DOMAIN_SELECTOR, "master_flag_off")
    assert decision.scores == {}


def test_domain_flag_off_is_the_domain_selector_and_local_routers_still_score() -> None:
    decision = decided(policy(domain("code", share=0)))
    assert decision.choice.reason == "domain_flag_off"
    assert decision.scores == {"local": Score(0.4, "sha-of-local")}


def test_both_flags_are_reported_with_bucket_and_percentage() -> None:
    master, own = decided(policy(domain("code", share=2500))).flags
    assert (master.key, master.on, master.percentage) == ("routellm_enabled", True, 100.0)
    assert own.bucket == bucket_index("seed-code", "user-42") / 10_000
    assert (own.percentage, own.reason) == (25.0, "rollout")


@pytest.mark.parametrize(
    ("allow", "deny", "on", "reason"),
    [
        (True, False, True, "allow_list"),
        (False, True, False, "deny_list"),
        (True, True, False, "deny_list"),
    ],
)
def test_lists_win_over_the_percentage_and_deny_over_allow(
    allow: bool, deny: bool, on: bool, reason: str
) -> None:
    me = frozenset({"hash-of-user-42"})
    flag = FlagRule(
        "routellm_code_domain",
        0 if on else ALL,
        "s",
        me if allow else frozenset(),
        me if deny else frozenset(),
    )
    decision = decided(policy(replace(domain("code"), flag=flag)))
    assert (decision.flags[1].on, decision.flags[1].reason) == (on, reason)
    assert decision.listed


def test_the_holdout_gets_the_domain_selector_and_no_experiment() -> None:
    rules = policy(holdout=Holdout(ALL, "h"), experiments=(experiment(),))
    decision = decided(rules)
    assert decision.choice.reason == "holdout"
    assert decision.assignment is None


def experiment(**values: object) -> PolicyExperiment:
    arms = (
        PolicyArm(
            "control", RoutingPolicy(Method.ALWAYS_STRONG, strong=STRONG, weak=WEAK), 0.5, True
        ),
        PolicyArm("treatment", RoutingPolicy(Method.ALWAYS_WEAK, strong=STRONG, weak=WEAK), 0.5),
    )
    fields: dict[str, object] = {"key": "e", "phase": 1, "seed": "e:1", "arms": arms}
    return PolicyExperiment(**{**fields, **values})  # type: ignore[arg-type]


def test_the_arm_of_a_running_experiment_replaces_the_domains_policy() -> None:
    decision = decided(policy(experiments=(experiment(),)))
    assert decision.assignment is not None
    arm = "control" if bucket_index("e:1", "user-42") < 5000 else "treatment"
    assert decision.assignment.arm.name == arm
    assert decision.method == {"control": "always_strong", "treatment": "always_weak"}[arm]


def test_a_units_domain_flag_off_is_in_no_experiment() -> None:
    assert decided(policy(domain("code", 0), experiments=(experiment(),))).assignment is None


def test_an_experiment_of_the_domain_comes_before_one_of_all() -> None:
    both = (experiment(key="all", seed="x"), experiment(key="own", seed="y", domain="code"))
    assignment = decided(policy(experiments=both)).assignment
    assert assignment is not None
    assert assignment.experiment.key == "own"


def test_experiments_switched_off_hold_no_unit() -> None:
    rules = policy(experiments=(experiment(),), switches=Switches(ab_testing=False))
    assert decided(rules).assignment is None


def test_a_forced_arm_is_taken_and_not_counted() -> None:
    for name, method in (("control", "always_strong"), ("treatment", "always_weak")):
        decision = decided(policy(experiments=(experiment(),)), force_arm=name)
        assert decision.method == method
        assert decision.assignment is not None
        assert not decision.assignment.counted
        assert decision.propensity.reason == "forced"


@pytest.mark.parametrize("reason", ["router_failed", "router_timeout", "router_not_ready"])
def test_a_router_that_fails_falls_back_and_says_why(reason: str) -> None:
    decision = decided(score=failing(reason))
    assert (decision.model, decision.method) == (OTHER, Method.DOMAIN_SELECTOR)
    assert decision.choice.reason == reason
    assert decision.fallbacks[0][:2] == ("router", reason)


@pytest.mark.parametrize("value", [nan, -0.01, 1.01])
def test_a_score_that_is_no_win_rate_falls_back(value: float) -> None:
    decision = decided(score=scoring(value))
    assert decision.choice.reason == "invalid_score"
    assert isinstance(decision.scores["local"], Failure)


@pytest.mark.parametrize(
    "broken",
    [
        replace(ROUTED, router=None),
        replace(ROUTED, threshold=None),
        replace(ROUTED, threshold=1.5),
        replace(ROUTED, router="deleted"),
        replace(ROUTED, strong="a/deleted"),
        replace(ROUTED, strong=None),
    ],
)
def test_a_broken_policy_falls_back_and_says_what_is_wrong(broken: RoutingPolicy) -> None:
    decision = decided(policy(domain("code", policy=broken)))
    assert decision.method is Method.DOMAIN_SELECTOR
    assert decision.fallbacks[0].reason == "broken_configuration"
    assert decision.fallbacks[0].detail


def test_a_model_switched_off_gives_way_to_the_next_preferred_one() -> None:
    rules = policy()
    config = replace(rules.domains["code"].config, preferred_models=(WEAK, STRONG))
    rules = policy(replace(rules.domains["code"], config=config))
    decision = decided(unavailable(rules, WEAK), score=0.4)
    assert (decision.intended, decision.model, decision.tier) == (WEAK, STRONG, "strong")
    assert decision.fallbacks[0][:2] == ("model", "model_unavailable")


def test_a_model_that_cannot_answer_now_gives_way_to_the_selectors() -> None:
    decision = decided(unavailable=frozenset({WEAK}))
    assert (decision.intended, decision.model, decision.tier) == (WEAK, OTHER, "selected")


def test_the_other_of_the_pair_stands_in_where_the_situation_says_so() -> None:
    decision = decided(unavailable=frozenset({WEAK}), pair_stands_in=True)
    assert (decision.intended, decision.model, decision.tier) == (WEAK, STRONG, "strong")
    assert decision.fallbacks[0][:2] == ("model", "model_unavailable")


def test_a_pair_that_cannot_answer_now_gives_way_to_the_selectors() -> None:
    decision = decided(unavailable=frozenset({STRONG, WEAK}), pair_stands_in=True)
    assert (decision.intended, decision.model, decision.tier) == (WEAK, OTHER, "selected")


def test_an_excluded_model_is_never_the_answer() -> None:
    criteria = ModelSelectionCriteria(excluded_models=[WEAK])
    assert decided(criteria=criteria).model == OTHER


def test_no_model_at_all_is_an_error_not_a_guess() -> None:
    with pytest.raises(NoEligibleModelsError):
        decided(unavailable=frozenset({STRONG, WEAK, OTHER}))


def test_a_remote_router_is_asked_only_where_the_policy_wants_it() -> None:
    asked: list[str] = []

    def score(name: str) -> Score:
        asked.append(name)
        return Score(0.9)

    routers = {"local": PolicyRouter("local", "local", True), "mf": PolicyRouter("mf", "mf", False)}
    decided(policy(routers=routers), score=score)
    assert asked == ["local"]
    wants_mf = domain("code", policy=replace(ROUTED, router="mf"))
    decided(policy(wants_mf, routers=routers), score=score)
    assert asked == ["local", "local", "mf"]


def test_exploration_takes_the_other_model_of_the_pair() -> None:
    explores = domain("code", policy=replace(ROUTED, epsilon=1.0))
    decision = decided(policy(explores), score=0.4)
    assert decision.explored
    assert (decision.choice.model, decision.intended, decision.model) == (WEAK, STRONG, STRONG)


def test_exploration_follows_the_decision_and_not_the_unit() -> None:
    explores = policy(domain("code", policy=replace(ROUTED, epsilon=0.5)))
    explored = {decided(explores, decision_id=f"d{i}").explored for i in range(20)}
    assert explored == {True, False}


def test_the_selector_ranks_by_the_prices_of_the_day() -> None:
    dear, cheap = Price(9_000_000_000, 9_000_000_000), Price(1_000_000_000, 1_000_000_000)
    prices = {
        STRONG: (replace(dear, valid_until=date(2026, 11, 22)), replace(cheap, per_request=1)),
        WEAK: (replace(dear, valid_from=date(2026, 11, 23)), replace(cheap, per_request=2)),
        OTHER: (dear,),
    }
    rules = policy(prices=prices, master=FlagRule("routellm_enabled", 0, "seed"))
    cheapest = ModelSelectionCriteria(selection_strategy="cost_optimized")
    chosen = [decided(rules, day=date(2026, 11, d), criteria=cheapest).model for d in (21, 22, 23)]
    assert chosen == [WEAK, STRONG, STRONG]


def test_a_model_that_costs_nothing_is_the_cheapest() -> None:
    prices = {STRONG: (Price(1, 1),), OTHER: (Price(0, 0, valid_from=date(2026, 1, 1)),)}
    rules = policy(prices=prices, master=FlagRule("routellm_enabled", 0, "seed"))
    cheapest = ModelSelectionCriteria(selection_strategy="cost_optimized")
    assert decided(rules, criteria=cheapest).model == OTHER
