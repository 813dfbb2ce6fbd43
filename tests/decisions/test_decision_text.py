"""The explanation of a decision: summary, steps, text."""

from dataclasses import replace

import pytest

from experiments.core.assignment import FlagState
from experiments.core.detection import Candidate
from experiments.core.facts import DecisionView, Report, ShownRating
from experiments.core.values import Failure, Fallback, Score
from experiments.decisions.text import as_text, steps, summary
from experiments.formatting import comparison

STRONG, WEAK = "openai/gpt-4.1", "openai/gpt-4.1-mini"
ON = FlagState("routellm_enabled", True, "rollout", 0.5, 100.0)
FACTS = DecisionView(
    input_tokens=142,
    text=None,
    unit="ab12…",
    sticky=True,
    metadata={},
    domain="technical",
    confidence=0.91,
    candidates=[Candidate("technical", 0.91), Candidate("scientific", 0.05)],
    overridden=False,
    detector="classic",
    flags=[ON, FlagState("routellm_technical_domain", True, "rollout", 0.1234, 25.0)],
    experiment="",
    arm="",
    phase=None,
    counted=False,
    method="routellm",
    reason="score_below_threshold",
    router="local",
    score=0.31,
    threshold=0.38,
    scores={"local": Score(0.31)},
    explored=False,
    epsilon=0.0,
    propensity=0.25,
    tier="weak",
    model=WEAK,
    intended=WEAK,
    strong=STRONG,
    weak=WEAK,
    baseline=STRONG,
    cost=200_000,
    cost_strong=2_100_000,
    cost_weak=200_000,
    cost_baseline=2_100_000,
    fallbacks=[],
    report=None,
    ratings=[],
)


def step_of(facts: DecisionView, name: str) -> tuple[str, str]:
    found = next(s for s in steps(facts) if s.name == name)
    return found.fact, found.state


def test_weak_model_below_threshold() -> None:
    assert summary(FACTS) == (
        "Sent to openai/gpt-4.1-mini: score 0.31 is below the threshold 0.38 of technical; "
        "saves $0.0019 against always strong."
    )


def test_strong_model_at_threshold() -> None:
    facts = replace(FACTS, model=STRONG, intended=STRONG, tier="strong", score=0.38, cost=2_100_000)
    assert summary(facts) == (
        "Sent to openai/gpt-4.1: score 0.38 is at or above the threshold 0.38 of technical; "
        "costs the same as always strong."
    )


def test_close_scores_get_the_digits_that_tell_them_apart() -> None:
    assert comparison(0.37996, 0.38) == ("0.37996", "<", "0.38000")
    assert comparison(0.42, 0.38) == ("0.42", "≥", "0.38")


def test_answer_of_another_model_is_shown() -> None:
    report = Report(140, 212, 800.0, True, "", 300_000, 2_300_000, "b/stand-in")
    facts = replace(FACTS, report=report)
    assert "; it failed, so b/stand-in answered; saved" in summary(facts)
    assert steps(facts)[-1].fact.startswith("by b/stand-in, 212 output tokens")


def test_outcome_reprices_the_saving() -> None:
    report = Report(140, 212, 800.0, True, "", 300_000, 2_300_000)
    facts = replace(FACTS, report=report, ratings=[ShownRating("quality", 1.0, "human")])
    assert summary(facts).endswith("saved $0.0020 against always strong.")
    assert step_of(facts, "outcome") == (
        "212 output tokens, $0.00030, quality 1 (human)",
        "passed",
    )


def test_unpriced_claims_nothing() -> None:
    facts = replace(FACTS, cost=None)
    assert "the saving is unknown" in summary(facts)
    assert step_of(facts, "model") == ("openai/gpt-4.1-mini, price unknown", "taken")


def test_a_cost_above_the_baseline_is_shown() -> None:
    facts = replace(FACTS, cost=3_100_000, baseline=WEAK)
    assert summary(facts).endswith("costs $0.0010 more than always weak.")


@pytest.mark.parametrize(
    ("percentage", "fact", "why"),
    [
        (
            0.0,
            "off for everybody",
            "the flag of technical is off for everybody, so the domain selector chose",
        ),
        (
            5.0,
            "off at 5 %, bucket 62.11",
            "the flag of technical is off for this unit (bucket 62.11 is not below 5 %), "
            "so the domain selector chose",
        ),
    ],
)
def test_flag_off(percentage: float, fact: str, why: str) -> None:
    off = FlagState("routellm_technical_domain", False, "rollout", 0.6211, percentage)
    facts = replace(FACTS, flags=[ON, off], method="domain_selector", reason="domain_flag_off")
    assert f": {why}; " in summary(facts)
    assert step_of(facts, "flag") == (fact, "passed")


def test_unknown_language_names_the_more_cautious_domain() -> None:
    off = FlagState("routellm_medical_domain", False, "rollout", 0.1, 0.0)
    facts = replace(
        FACTS,
        flags=[*FACTS.flags, off],
        method="domain_selector",
        reason="unknown_language",
        cautious="medical",
    )
    assert "it may be medical, whose flag is off, so the domain selector chose" in summary(facts)
    domain = next(step for step in steps(facts) if step.name == "domain")
    assert ("Language", "unknown to the detector, so decided like medical") in domain.details
    assert step_of(facts, "flag") == ("off for everybody", "passed")


def test_deny_list() -> None:
    off = FlagState("routellm_technical_domain", False, "deny_list", 0.1, 100.0)
    facts = replace(FACTS, flags=[ON, off], method="domain_selector", reason="domain_flag_off")
    assert "is off for this unit (on the deny list)" in summary(facts)
    assert step_of(facts, "flag") == ("off, deny list", "passed")


def test_master_flag_off_names_routellm() -> None:
    off = FlagState("routellm_enabled", False, "rollout", 0.5, 0.0)
    facts = replace(FACTS, flags=[off], method="domain_selector", reason="master_flag_off")
    assert "RouteLLM is off for everybody, so the domain selector chose" in summary(facts)


def test_holdout_has_a_step() -> None:
    facts = replace(FACTS, method="domain_selector", reason="holdout")
    assert "global holdout" in summary(facts)
    assert step_of(facts, "holdout") == ("held out", "passed")


def test_experiment_arm_owns_the_threshold() -> None:
    facts = replace(FACTS, experiment="pricing-2", arm="treatment", phase=1, counted=True)
    assert "threshold 0.38 of arm treatment" in summary(facts)
    assert step_of(facts, "experiment") == ("pricing-2, arm treatment", "passed")


def test_exploration_is_said_first() -> None:
    facts = replace(FACTS, explored=True, epsilon=0.02)
    assert summary(facts).startswith(
        "Sent to openai/gpt-4.1-mini, the other model of the pair, for exploration "
        "(2 % of prompts): "
    )


def test_router_that_failed() -> None:
    failure = Failure("router_timeout", "No answer within 1 s.")
    facts = replace(
        FACTS,
        method="domain_selector",
        reason="router_timeout",
        score=None,
        threshold=None,
        scores={"mf": failure},
        fallbacks=[Fallback("router", "router_timeout", failure.detail, WEAK)],
    )
    assert "router mf did not answer in time, so the domain selector chose" in summary(facts)
    assert step_of(facts, "score") == ("none", "fault")
    assert step_of(facts, "fallback") == ("router timeout", "fault")


def test_model_that_cannot_answer() -> None:
    facts = replace(
        FACTS,
        intended=STRONG,
        fallbacks=[Fallback("model", "model_unavailable", f"{STRONG} cannot answer now.", WEAK)],
    )
    assert "openai/gpt-4.1 was intended but is unavailable" in summary(facts)
    model = next(s for s in steps(facts) if s.name == "model")
    assert model.branches == ((STRONG, "intended, but unavailable"),)


def test_roads_not_taken_say_why() -> None:
    roads = {s.name: s.branches for s in steps(FACTS)}
    assert roads["domain"] == (("scientific", "0.05"),)
    assert roads["flag"] == (("domain selector", "for the other 75 % of units"),)
    assert roads["model"] == ((STRONG, "strong, not chosen: $0.0021"),)


def test_better_candidate_under_its_minimum() -> None:
    facts = replace(FACTS, domain="general", confidence=0.2, candidates=[Candidate("legal", 0.4)])
    assert steps(facts)[1].branches == (("legal", "0.40, below its minimum"),)


def test_unused_score_is_in_the_details() -> None:
    facts = replace(FACTS, method="always_weak", reason="always_weak", score=None, threshold=None)
    score = next(s for s in steps(facts) if s.name == "score")
    assert (score.fact, score.state) == ("not used", "off")
    assert ("Router local", "0.3100") in score.details
    assert "the policy of technical always uses the weak model" in summary(facts)


def test_text_for_the_terminal() -> None:
    assert as_text(FACTS).splitlines() == [
        summary(FACTS),
        "",
        "  ● prompt      142 tokens",
        "  ● domain      technical 0.91",
        "  │   ╲ scientific: 0.05",
        "  ● flag        on at 25 %, bucket 12.34",
        "  │   ╲ domain selector: for the other 75 % of units",
        "  ○ experiment  none",
        "  ● score       0.31 < 0.38",
        "  ◉ model       openai/gpt-4.1-mini, $0.00020",
        "  │   ╲ openai/gpt-4.1: strong, not chosen: $0.0021",
        "  ○ outcome     not reported yet",
    ]
