"""Proposing thresholds on a real database, applying them, and noticing when they drift."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from experiments.analytics.alerts import Subject, attention
from experiments.analytics.drift import drifts
from experiments.configuration.policy_store import store
from experiments.decisions.decision_rows import compact
from experiments.decisions.rollup_queries import Span
from experiments.lab.actions import LabError, apply_threshold, draft_experiment, roll_out
from experiments.lab.candidates import CannotAskError
from experiments.lab.text.calibration import basis, condition, promise, rows, sentence
from experiments.lab.threshold_proposals import Proposal, ThresholdGoal, propose, units_of
from experiments.models import (
    Calibration,
    Decision,
    Domain,
    Experiment,
    Flag,
    OutcomeSet,
    PolicyRevision,
    RecordedOutcome,
    Rollout,
    RollupBin,
)
from tests.experiment_rows import set_flag
from tests.explored_traffic import NOW, send, set_policy

pytestmark = pytest.mark.usefixtures("seeded")

Aim = Calibration.Aim
SPAN = Span(NOW - timedelta(days=7), NOW)


def proposed(wanted: ThresholdGoal, domain: str = "technical") -> Proposal:
    return propose(store.current(), domain, SPAN, wanted)


def traffic(count: int = 250, epsilon: float = 0.0) -> np.ndarray:
    set_policy(epsilon=epsilon)
    send(count)
    return np.array([row.detail["scores"]["local"]["value"] for row in Decision.objects.all()])


def outcome_set(prompts: int = 800, weak: float = 1.0, groups: int = 0) -> None:
    """Both models are right, or the weak one fails on every prompt."""
    found = OutcomeSet.objects.create(name="graded", created_at=NOW, updated_at=NOW)
    RecordedOutcome.objects.bulk_create(
        RecordedOutcome(
            outcome_set=found,
            digest=f"{number:064d}",
            prompt=f"Explain case {number}. " + "Show code. " * (number % 9),
            domain="technical",
            group=f"customer {number % groups}" if groups and number < 700 else "",
            strong_score=1.0,
            weak_score=weak,
        )
        for number in range(prompts)
    )


def test_a_strong_share_is_the_kth_largest_score() -> None:
    scores = traffic()
    found = proposed(ThresholdGoal(Aim.SHARE, 0.2))
    assert found.threshold == np.sort(scores)[-50]
    assert found.expected is not None
    assert found.expected.strong_share.value == pytest.approx(np.mean(scores >= found.threshold))
    assert found.today is not None
    assert found.today.threshold == Domain.objects.get(name="technical").threshold
    assert sentence(found).startswith(
        f"In technical a threshold of {found.threshold:.4f} gives a strong share of 20 %: 20 %"
    )
    assert basis(found) == "From 250 recent scores of router local."
    assert [row[0] for row in rows(found)] == ["today", "proposed"]


def test_a_budget_is_kept_at_the_prices_of_the_decisions() -> None:
    traffic()
    stored = list(Decision.objects.all())
    strong = np.array([row.cost_strong for row in stored], float)
    weak = np.array([row.cost_weak for row in stored], float)
    budget = 1000 / 1e9 * float(0.3 * strong.mean() + 0.7 * weak.mean())
    found = proposed(ThresholdGoal(Aim.BUDGET, budget))
    assert found.expected is not None
    assert found.expected.cost.value is not None
    assert found.expected.cost.value <= budget * 1e6
    assert found.expected.strong_share.value == pytest.approx(0.3, abs=0.05)


def test_a_budget_nothing_keeps_to_says_what_the_weak_model_costs() -> None:
    traffic()
    found = proposed(ThresholdGoal(Aim.BUDGET, 0.000001))
    assert found.threshold is None
    assert found.problem.startswith("Even the weak model alone costs $")


def test_a_promise_is_tested_on_graded_prompts() -> None:
    traffic()
    outcome_set(weak=1.0)
    found = proposed(ThresholdGoal(Aim.QUALITY, 0.95, source="graded"))
    assert found.walk is not None
    assert found.graded == 800
    assert found.expected is not None
    assert found.expected.strong_share.value is not None
    assert found.expected.strong_share.value < 0.05
    assert found.expected.quality.value == 1.0
    assert "keeps at least 95 % of the strong model's quality" in sentence(found)
    assert "tested on 800 prompts of 800 units (graded)" in basis(found)


def test_prompts_of_a_group_are_one_unit_of_the_promise() -> None:
    traffic()
    outcome_set(weak=1.0, groups=50)
    found = proposed(ThresholdGoal(Aim.QUALITY, 0.95, source="graded"))
    assert found.walk is not None
    # Fifty customers, and a hundred prompts without a customer.
    assert (found.graded, found.walk.units, found.split) == (800, 150, 0)
    assert "tested on 800 prompts of 150 units (graded)" in basis(found)


def test_groups_too_few_to_be_units_are_reported() -> None:
    traffic()
    outcome_set(700, weak=1.0, groups=12)
    found = proposed(ThresholdGoal(Aim.QUALITY, 0.95, source="graded"))
    assert found.walk is not None
    assert (found.graded, found.walk.units, found.split) == (700, 700, 12)
    assert "They belong to only 12 groups, too few to be units" in basis(found)


@pytest.mark.parametrize(
    ("groups", "units", "split"),
    [
        ([], [], 0),
        (["", "", ""], [0, 1, 2], 0),
        (["a"] * 40, list(range(40)), 1),
        ([f"g{n % 30}" for n in range(60)], None, 0),
        (["", *["a"] * 40], list(range(41)), 1),
    ],
)
def test_units_of_graded_prompts(groups: list[str], units: list[int] | None, split: int) -> None:
    found, split_into = units_of(groups)
    assert split_into == split
    assert len(found) == len(groups)
    if units is None:
        assert len(set(found.tolist())) == 30
    else:
        assert found.tolist() == units


def test_a_weak_model_that_fails_gets_next_to_nothing() -> None:
    traffic()
    outcome_set(weak=0.0)
    found = proposed(ThresholdGoal(Aim.QUALITY, 0.95, source="graded"))
    assert found.expected is not None
    assert (found.expected.strong_share.value or 0) > 0.85


def test_without_exploration_ratings_support_nothing_and_it_says_so() -> None:
    traffic()
    found = proposed(ThresholdGoal(Aim.QUALITY, 0.95))
    assert found.threshold is None
    assert "could have gone to one model only" in found.problem
    assert found.expected is None
    assert sentence(found).startswith("technical: The data cannot support any threshold")


def test_ratings_of_a_domain_that_explores_can_support_a_promise() -> None:
    traffic(600, epsilon=0.5)
    found = proposed(ThresholdGoal(Aim.QUALITY, 0.5))
    assert found.walk is not None
    assert found.threshold is not None
    assert "(production ratings)" in basis(found)


def test_a_promise_is_per_request_and_the_strong_models_own_quality_is_next_to_it() -> None:
    """Fifty customers of 14 prompts, and a hundred single ones on which the weak model fails."""
    traffic()
    outcome_set(weak=1.0, groups=50)
    RecordedOutcome.objects.filter(group="").update(weak_score=0.0)
    found = proposed(ThresholdGoal(Aim.QUALITY, 0.8, source="graded"))
    assert found.expected is not None
    assert found.strong is not None
    assert found.strong.quality.value == 1.0
    assert (found.expected.quality.value or 0.0) >= 0.8
    assert "of the strong model's quality per request, with" in sentence(found)
    assert [row[0] for row in rows(found)] == ["today", "proposed", "always strong"]
    promised = promise(found)
    assert promised.startswith("The promise is per request: the mean quality over all requests")
    assert "the strong model alone 1.000" in promised
    assert condition(found) == ""


def test_a_busy_customer_is_reported() -> None:
    traffic()
    outcome_set(weak=1.0)
    first = RecordedOutcome.objects.order_by("digest")[:400]
    RecordedOutcome.objects.filter(pk__in=[row.pk for row in first]).update(group="busy")
    found = proposed(ThresholdGoal(Aim.QUALITY, 0.9, source="graded"))
    assert found.walk is not None
    assert (found.walk.units, found.walk.busy) == (401, 1)
    assert "1 unit made so many requests that it counts in blocks" in promise(found)


def test_prompts_whose_model_was_certain_are_left_out_counted_and_reported() -> None:
    traffic(600, epsilon=0.5)
    one = Decision.objects.order_by("created_at")[300]
    Decision.objects.filter(pk=one.pk).update(odds=compact({one.strong_model: 1.0}))
    found = proposed(ThresholdGoal(Aim.QUALITY, 0.5))
    assert found.threshold is not None
    assert (found.left_out, found.graded) == (1, 599)
    assert "1 more prompt (0.2 %) could have gone to one model only" in basis(found)


def test_a_promise_from_ratings_says_its_condition_and_the_way_out() -> None:
    traffic(600, epsilon=0.5)
    found = proposed(ThresholdGoal(Aim.QUALITY, 0.5))
    assert "good and bad answers must be rated equally often" in condition(found)
    assert "audit a random share" in condition(found)
    Decision.objects.update(audited=True)
    audited = proposed(ThresholdGoal(Aim.QUALITY, 0.5))
    assert condition(audited).startswith("Quality is from random audits alone")
    assert condition(proposed(ThresholdGoal(Aim.SHARE, 0.5))) == ""


def test_all_of_the_quality_is_refused_with_what_to_do() -> None:
    traffic()
    with pytest.raises(CannotAskError, match="choose the method “always strong”"):
        proposed(ThresholdGoal(Aim.QUALITY, 1.0))
    assert proposed(ThresholdGoal(Aim.SHARE, 1.0)).threshold is not None


@pytest.mark.parametrize("source", ["nothing", "graded"])
def test_an_outcome_set_without_prompts_of_the_domain_says_so(source: str) -> None:
    traffic()
    OutcomeSet.objects.create(name="graded", created_at=NOW, updated_at=NOW)
    found = proposed(ThresholdGoal(Aim.QUALITY, 0.9, source=source))
    assert f"the outcome set “{source}” has no prompt of technical" in found.problem


def test_too_few_scores_propose_nothing() -> None:
    traffic(20)
    assert proposed(ThresholdGoal(Aim.SHARE, 0.3)).problem == "Too few scores, 20 of 200."
    assert proposed(ThresholdGoal(Aim.SHARE, 0.3), "medical").problem == "Too few scores, 0 of 200."


@pytest.mark.parametrize(
    "wanted",
    [
        ThresholdGoal(Aim.SHARE, 1.2),
        ThresholdGoal(Aim.QUALITY, 0.0),
        ThresholdGoal(Aim.BUDGET, -1.0),
        ThresholdGoal(Aim.BUDGET, float("nan")),
        ThresholdGoal(Aim.BUDGET, float("inf")),
        ThresholdGoal(Aim.SHARE, float("nan")),
        ThresholdGoal(Aim.QUALITY, 0.9, float("nan")),
        ThresholdGoal(Aim.QUALITY, 0.9, 0.0),
    ],
)
def test_wishes_that_cannot_be_are_refused(wanted: ThresholdGoal) -> None:
    with pytest.raises(CannotAskError):
        proposed(wanted)


def test_applying_is_a_revision_and_keeps_what_was_expected() -> None:
    traffic()
    found = proposed(ThresholdGoal(Aim.SHARE, 0.2))
    before = PolicyRevision.objects.count()
    apply_threshold(found.as_calibration("olga", NOW), "olga")
    assert PolicyRevision.objects.count() == before + 1
    domain = Domain.objects.get(name="technical")
    assert domain.threshold == domain.calibrated_threshold == found.threshold
    kept = Calibration.objects.get()
    assert kept.strong_share == pytest.approx(0.2, abs=0.01)
    assert kept.low < kept.strong_share < kept.high
    assert sum(kept.scores) == 250
    assert (kept.author, kept.source) == ("olga", "recent scores")


def test_a_proposal_becomes_an_arm() -> None:
    traffic()
    found = proposed(ThresholdGoal(Aim.SHARE, 0.2))
    made = draft_experiment(found.candidate, "olga")
    assert made.arms.get(is_control=False).threshold == found.threshold
    assert Experiment.objects.get().is_draft


def test_a_guarded_rollout_needs_a_control() -> None:
    traffic()
    found = proposed(ThresholdGoal(Aim.SHARE, 0.2)).as_calibration("olga", NOW)
    assert Flag.objects.get(domain__name="technical").percentage == 100
    with pytest.raises(LabError, match="on for everybody"):
        roll_out(found, "olga")
    assert not Rollout.objects.exists()
    set_flag("routellm_technical_domain", 5)
    planned = roll_out(found, "olga")
    assert planned.state == Rollout.State.PENDING
    assert [step[0] for step in planned.steps] == [10, 50, 100]
    assert Domain.objects.get(name="technical").threshold == found.threshold


def day_of_scores(day: datetime, counts: dict[int, int]) -> None:
    for place, count in counts.items():
        RollupBin.objects.create(
            hour=day.replace(hour=10),
            domain="technical",
            kind="score:local",
            bin=f"{place:02d}",
            count=count,
        )


TODAY = datetime(2026, 11, 22, tzinfo=UTC)


def fortnight(last: dict[int, int]) -> None:
    for back in range(2, 15):
        wobble = 3 * (back % 3)
        day_of_scores(TODAY - timedelta(days=back), {4: 100 + wobble, 9: 100, 14: 100 - wobble})
    day_of_scores(TODAY - timedelta(days=1), last)


def test_a_quiet_domain_is_not_reported() -> None:
    fortnight({4: 101, 9: 99, 14: 100})
    assert drifts(store.current(), NOW) == ()


def test_moved_scores_are_reported_everywhere() -> None:
    fortnight({4: 30, 9: 100, 14: 170})
    (found,) = drifts(store.current(), NOW)
    assert found.domain == "technical"
    assert found.scores_moved
    assert not found.left_band
    assert found.sentence.startswith("Its scores shifted on 2026-11-21, by up to 24 points")


def test_a_share_out_of_its_band_is_reported() -> None:
    set_policy(follows_target=False)
    fortnight({4: 101, 9: 99, 14: 100})
    Calibration.objects.create(
        domain="technical",
        router="local",
        aim=Aim.SHARE,
        wanted=0.5,
        threshold=0.7,
        strong_share=0.5,
        low=0.45,
        high=0.55,
        at=NOW - timedelta(days=20),
        source="recent scores",
    )
    (found,) = drifts(store.current(), NOW)
    assert found.left_band
    assert "On 2026-11-21 33 % of the prompts reached the threshold; expected were 45 to 55 %" in (
        found.sentence
    )


def test_attention_lists_a_domain_that_drifted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.analytics.alerts.timezone.now", lambda: NOW)
    fortnight({4: 30, 9: 100, 14: 170})
    needs = attention(SPAN, store.current(), [])
    assert [one.title for one in needs if one.subject is Subject.DOMAIN] == ["technical drifted"]
