"""What arms would do is predicted before the start; arms that choose alike are refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import pytest

from experiments.configuration.document import current_document
from experiments.configuration.policy_store import build_policy
from experiments.core.policy import Method, RoutingPolicy
from experiments.experimentation import lifecycle
from experiments.experimentation.checklists import Check, checklist
from experiments.experimentation.forecasts import Forecast, forecast
from experiments.experimentation.lifecycle import LifecycleError
from experiments.models import (
    Decision,
    Experiment,
    OutcomeScores,
    OutcomeSet,
    RecordedOutcome,
    Router,
)
from experiments.routing.router_lookup import of_row
from tests.experiment_rows import START, draft

pytestmark = pytest.mark.usefixtures("seeded")
TODAY = START.date()


def decisions(scores: list[float], *, domain: str = "technical", tokens: int = 100) -> None:
    Decision.objects.bulk_create(
        Decision(
            id=UUID(int=number + 1),
            created_at=datetime(2026, 8, 30, tzinfo=UTC) + timedelta(seconds=number),
            revision=1,
            unit_hash="u",
            sticky=True,
            domain=domain,
            confidence=1.0,
            method="routellm",
            reason="test",
            tier="weak",
            model="openai/gpt-4.1-mini",
            intended_model="openai/gpt-4.1-mini",
            counted=True,
            explored=False,
            epsilon=0.0,
            input_tokens=tokens,
            priced=False,
            odds="{}",
            scores=orjson.dumps({"local": score}).decode(),
        )
        for number, score in enumerate(scores)
    )


def at(threshold: float, **values: Any) -> RoutingPolicy:
    return RoutingPolicy(Method.ROUTELLM, "local", threshold, **values)


STRONG = RoutingPolicy(Method.ALWAYS_STRONG)
WEAK = RoutingPolicy(Method.ALWAYS_WEAK)


def predicted(*wanted: RoutingPolicy, domain: str = "technical") -> Forecast:
    policy = build_policy(0, current_document())
    found = forecast(policy, [policy.domains[domain]], wanted, TODAY)
    assert found is not None
    return found


def with_arms(*thresholds: float | None, **values: Any) -> Experiment:
    """None is always strong."""
    experiment = draft(arms={f"arm-{i}": Method.ALWAYS_STRONG for i in range(len(thresholds))})
    local = Router.objects.get(name="local")
    for arm, threshold in zip(experiment.arms.all(), thresholds, strict=True):
        if threshold is not None:
            arm.method, arm.router, arm.threshold = Method.ROUTELLM, local, threshold
        for name, value in values.items():
            setattr(arm, name, value)
        arm.save()
    return experiment


def line(experiment: Experiment) -> Check:
    found = [one for one in checklist(experiment, TODAY) if one.name == "forecast"]
    assert len(found) == 1
    return found[0]


def test_shares_and_costs_come_from_recent_scores() -> None:
    """At .7 a quarter of the scores reach the threshold. A hundred tokens in and 300 out cost
    $0.0026 at gpt-4.1 ($2 and $8 a million) and $0.00052 at its mini ($0.4 and $1.6)."""
    decisions([0.62, 0.65, 0.69, 0.70] * 50)
    found = predicted(STRONG, at(0.70), WEAK)
    assert [one.strong_share for one in found.policies] == [1.0, 0.25, 0.0]
    assert [one.cost for one in found.policies] == pytest.approx([0.0026, 0.00104, 0.00052])
    assert found.sample.source == "200 recent prompts"
    assert found.same == ()


def test_exploration_is_part_of_it() -> None:
    decisions([0.6] * 200)
    found = predicted(at(0.7), at(0.7, epsilon=0.1))
    assert [one.strong_share for one in found.policies] == pytest.approx([0.0, 0.1])
    assert found.same == ()


def test_policies_that_choose_alike_are_found() -> None:
    decisions([0.62, 0.65, 0.69, 0.70] * 50)
    assert predicted(STRONG, at(0.38)).same == ((0, 1),)
    assert predicted(at(0.66), at(0.68)).same == ((0, 1),)
    assert predicted(WEAK, at(0.71), at(0.65)).same == ((0, 1),)


def test_the_same_choice_from_another_pair_is_not_the_same_model() -> None:
    decisions([0.62] * 200)
    other = replace(STRONG, strong="openai/gpt-4.1-mini", weak="openai/gpt-5-nano")
    assert predicted(STRONG, other).same == ()
    assert predicted(WEAK, other).same == ((0, 1),)  # the one's weak model is the other's strong


def test_other_domains_do_not_count() -> None:
    decisions([0.9] * 200, domain="creative")
    assert "example prompts" in predicted(STRONG, at(0.75)).sample.source


def test_without_traffic_an_outcome_set_is_asked() -> None:
    outcome_set = OutcomeSet.objects.create(name="trial", created_at=START, updated_at=START)
    RecordedOutcome.objects.bulk_create(
        RecordedOutcome(
            outcome_set=outcome_set,
            digest=str(number),
            prompt="Fix my loop.",
            domain="technical",
            strong_score=1,
            weak_score=0,
        )
        for number in range(150)
    )
    OutcomeScores.objects.create(
        outcome_set=outcome_set,
        router_key=of_row(Router.objects.get(name="local")).key,
        values=np.linspace(0.6, 0.8, 150).tobytes(),
        count=150,
        last_id=outcome_set.rows.latest("id").pk,
        microseconds=1.0,
    )
    found = predicted(STRONG, at(0.7))
    assert found.sample.source == "150 prompts of the outcome set trial"
    assert found.policies[1].strong_share == 0.5


def test_without_either_the_example_prompts_are_scored() -> None:
    found = predicted(STRONG, at(0.38), at(0.75))
    assert "example prompts (too few recent ones)" in found.sample.source
    assert found.policies[1].strong_share == 1.0
    share = found.policies[2].strong_share
    assert share is not None
    assert 0.2 < share < 0.8


def test_a_router_without_scores_is_not_predicted() -> None:
    Router.objects.create(name="far", kind="mf")
    policy = build_policy(0, current_document())
    far = RoutingPolicy(Method.ROUTELLM, "far", 0.5)
    assert forecast(policy, [policy.domains["technical"]], [STRONG, far], TODAY) is None


def test_the_checklist_predicts_each_arm() -> None:
    decisions([0.62, 0.65, 0.69, 0.70] * 50)
    check = line(with_arms(None, 0.7))
    assert check.passed
    assert check.message == (
        "Predicted from 200 recent prompts: 'arm-0' 100 % strong, $2.6 per 1,000 requests; "
        "'arm-1' 25 % strong, $1.04 per 1,000 requests."
    )
    assert [(arm.arm, arm.strong_share) for arm in check.arms] == [("arm-0", 1.0), ("arm-1", 0.25)]


def test_the_checklist_refuses_arms_that_choose_alike_and_says_what_to_choose() -> None:
    decisions([0.62, 0.65, 0.69, 0.70] * 50)
    check = line(with_arms(None, 0.38))
    assert not check.passed
    assert check.message == (
        "'arm-0' and 'arm-1' would send the same prompts to the same models: each of 200 recent "
        "prompts goes to openai/gpt-4.1 in both. Scores of local lie between 0.620 and 0.700; "
        "half of them reach 0.690: choose a threshold in between."
    )


def test_a_start_with_such_arms_is_refused() -> None:
    experiment = with_arms(None, 0.38)
    with pytest.raises(LifecycleError, match="same prompts to the same models"):
        lifecycle.start(experiment, "tests", START)


def test_so_is_a_new_phase() -> None:
    experiment = with_arms(None, 0.75)
    lifecycle.start(experiment, "tests", START)

    def change() -> None:
        experiment.arms.filter(name="arm-1").update(threshold=0.38)

    with pytest.raises(LifecycleError, match="same prompts to the same models"):
        lifecycle.start_phase(experiment, "tests", START, change)


def test_arms_that_are_not_complete_are_not_predicted() -> None:
    experiment = with_arms(None, None)
    assert [one.name for one in checklist(experiment, TODAY) if one.name == "forecast"] == []
