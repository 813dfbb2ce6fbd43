"""The life of an experiment: what each step needs, does and refuses."""

from datetime import timedelta

import pytest

from experiments.configuration.policy_store import store
from experiments.configuration.revisions import revision
from experiments.core.policy import Method
from experiments.experimentation import lifecycle
from experiments.experimentation.checklists import checklist
from experiments.experimentation.lifecycle import LifecycleError
from experiments.models import Domain, LanguageModel, ModelPrice, PolicyRevision, Router, UnitSum
from tests.experiment_rows import START, add_units, draft, rollout, running, set_flag

pytestmark = pytest.mark.usefixtures("seeded")


def failing(experiment: object) -> list[str]:
    checks = checklist(experiment, START.date())  # type: ignore[arg-type]
    return [check.name for check in checks if not check.passed]


def test_a_complete_draft_passes_every_check() -> None:
    assert failing(draft()) == []


def test_starting_makes_it_part_of_the_policy() -> None:
    experiment = running()
    policy = store.current()
    assert [e.key for e in policy.experiments] == ["cheaper"]
    assert experiment.status == "running"
    assert experiment.started_at == START
    assert experiment.tuning_sample_size == 2000
    assert PolicyRevision.objects.latest("number").note == "Started experiment cheaper"


def test_starting_opens_a_phase_with_the_arms_as_they_are() -> None:
    phase = running().phases.get()
    assert (phase.number, phase.started_at, phase.ended_at) == (1, START, None)
    assert [(arm["name"], arm["weight"], arm["policy"]["method"]) for arm in phase.arms] == [
        ("control", 0.5, "always_strong"),
        ("weak", 0.5, "always_weak"),
    ]


def test_the_tuning_size_counts_one_comparison_of_several_arms() -> None:
    arms = {"control": "always_strong", "weak": "always_weak", "classic": "domain_selector"}
    assert running(arms=arms, planned_units=3000).tuning_sample_size == 2000


def test_a_start_is_refused_with_every_reason() -> None:
    experiment = draft(arms={"control": "always_strong"}, planned_units=None)
    with pytest.raises(LifecycleError) as refused:
        lifecycle.start(experiment, "tests", START)
    assert refused.value.problems == [
        "Add at least two arms.",
        "Enter the planned units; the power calculation proposes a number.",
    ]
    experiment.refresh_from_db()
    assert experiment.status == "draft"


def test_equal_arms_are_refused() -> None:
    assert failing(draft(arms={"one": "always_weak", "other": "always_weak"})) == ["arms"]


def test_an_arm_of_routellm_needs_router_and_threshold() -> None:
    assert failing(draft(arms={"control": "always_strong", "new": "routellm"})) == ["policies"]


def test_a_disabled_router_is_refused() -> None:
    experiment = draft(arms={"control": "always_strong", "new": "routellm"})
    router = Router.objects.get(name="random")
    experiment.arms.filter(name="new").update(router=router, threshold=0.5)
    assert failing(experiment) == ["router"]


def test_a_price_is_needed_for_the_pair_that_arms_borrow() -> None:
    experiment = draft()
    usual = LanguageModel.objects.get(pk=_usual_strong())
    ModelPrice.objects.filter(model=usual).delete()
    assert failing(experiment) == ["prices"]


def _usual_strong() -> int:
    from experiments.configuration.document import load_settings

    return int(load_settings().strong_model_id or 0)


def test_a_price_that_has_run_out_does_not_count() -> None:
    experiment = draft()
    ModelPrice.objects.filter(model_id=_usual_strong()).update(
        valid_until=START.date() - timedelta(days=1)
    )
    assert failing(experiment) == ["prices"]


def test_the_primary_metric_is_cost_and_there_is_a_guardrail() -> None:
    experiment = draft()
    experiment.metrics.filter(metric="quality").delete()
    assert failing(experiment) == ["metrics"]


def test_an_unknown_metric_is_refused() -> None:
    experiment = draft()
    experiment.metrics.create(metric="happiness", role="secondary")
    assert failing(experiment) == ["metrics"]


def test_a_key_with_sums_of_a_deleted_experiment_is_refused() -> None:
    experiment = draft()
    add_units(experiment, "weak", 1)
    assert failing(experiment) == ["key"]
    assert UnitSum.objects.count() == 1


def test_a_domain_whose_flag_is_off_has_no_traffic() -> None:
    assert failing(draft(domain="medical")) == ["traffic"]


def test_without_the_ab_switch_no_unit_would_be_enrolled() -> None:
    experiment = draft()
    set_flag("routellm_a_b_testing", 0)
    assert failing(experiment) == ["traffic"]


def test_two_experiments_on_one_domain_clash() -> None:
    running()
    assert failing(draft("second")) == ["overlap"]


def test_an_experiment_on_all_domains_clashes_with_one_of_a_domain() -> None:
    running()
    assert failing(draft("second", domain=None)) == ["overlap"]


def test_disjoint_slots_of_a_namespace_do_not_clash() -> None:
    running(namespace="pricing", namespace_end=0.5)
    assert failing(draft("second", namespace="pricing", namespace_start=0.5)) == []
    assert failing(draft("third", namespace="pricing", namespace_start=0.4)) == ["overlap"]


def test_slots_do_not_keep_requests_apart_from_users() -> None:
    running(namespace="pricing", namespace_end=0.5)
    other = draft("second", namespace="pricing", namespace_start=0.5, unit_kind="request")
    assert failing(other) == ["overlap"]


def test_a_paused_experiment_keeps_its_units() -> None:
    lifecycle.pause(running(), "tests")
    assert failing(draft("second")) == ["overlap"]


def test_a_guarded_rollout_of_its_flag_stands_in_the_way() -> None:
    from experiments.rollouts import lifecycle as rollouts

    rollouts.start(rollout(steps=[(10, 24)]), "tests", START)
    assert failing(draft(domain="medical")) == ["rollouts"]
    assert failing(draft("elsewhere")) == []
    assert failing(draft("everywhere", domain=None)) == ["rollouts"]


def test_pausing_takes_everybody_out_and_resuming_brings_them_back() -> None:
    experiment = running()
    seed = experiment.seed
    lifecycle.pause(experiment, "tests")
    assert store.current().experiments == ()
    lifecycle.resume(experiment, "tests")
    assert [(e.seed, e.phase) for e in store.current().experiments] == [(seed, 1)]


def test_stopping_records_who_why_and_the_verdict() -> None:
    experiment = running()
    later = START + timedelta(days=3)
    lifecycle.stop(experiment, "olga", later, reason="Prices changed", verdict="keep_running")
    experiment.refresh_from_db()
    assert experiment.status == "stopped"
    assert (experiment.stopped_by, experiment.stopped_at) == ("olga", later)
    assert (experiment.stop_reason, experiment.verdict) == ("Prices changed", "keep_running")
    assert experiment.phases.get().ended_at == later


def test_shipping_writes_the_policy_into_the_domain_as_one_revision() -> None:
    experiment = running()
    number = PolicyRevision.objects.latest("number").number
    lifecycle.ship(experiment, "weak", "olga", START, verdict="ship")
    assert Domain.objects.get(name="technical").method == Method.ALWAYS_WEAK
    assert Domain.objects.get(name="creative").method == Method.ROUTELLM
    assert PolicyRevision.objects.latest("number").number == number + 1
    experiment.refresh_from_db()
    assert (experiment.status, experiment.shipped_arm) == ("stopped", "weak")


def test_shipping_from_an_experiment_on_all_domains_reaches_all() -> None:
    lifecycle.ship(running(domain=None), "weak", "olga", START, verdict="ship")
    assert {domain.method for domain in Domain.objects.all()} == {Method.ALWAYS_WEAK}


def test_shipping_an_arm_without_a_pair_keeps_the_domains_own() -> None:
    domain = Domain.objects.get(name="technical")
    first, second = LanguageModel.objects.filter(prices__isnull=False).distinct()[:2]
    with revision("tests"):
        domain.strong_model, domain.weak_model = first, second
        domain.save()
    lifecycle.ship(running(), "weak", "olga", START, verdict="ship")
    domain.refresh_from_db()
    assert (domain.strong_model, domain.weak_model) == (first, second)


def test_shipping_an_arm_that_does_not_exist_names_those_that_do() -> None:
    experiment = running()
    with pytest.raises(LifecycleError, match=r"Unknown arm 'best'\. Known arms: control, weak\."):
        lifecycle.ship(experiment, "best", "olga", START, verdict="ship")
    experiment.refresh_from_db()
    assert experiment.status == "running"


def test_a_stopped_experiment_can_still_be_shipped() -> None:
    experiment = running()
    lifecycle.stop(experiment, "olga", START, reason="Done", verdict="ship")
    lifecycle.ship(experiment, "weak", "olga", START, verdict="ship")
    assert Domain.objects.get(name="technical").method == Method.ALWAYS_WEAK
    experiment.refresh_from_db()
    assert experiment.stop_reason == "Done"


def test_new_weights_start_a_phase_with_a_new_seed() -> None:
    experiment = running()
    seed, later = experiment.seed, START + timedelta(days=2)

    def change() -> None:
        experiment.arms.filter(name="control").update(weight=0.8)
        experiment.arms.filter(name="weak").update(weight=0.2)

    lifecycle.start_phase(experiment, "tests", later, change)
    experiment.refresh_from_db()
    assert experiment.phase == 2
    assert experiment.seed != seed
    first, second = experiment.phases.order_by("number")
    assert (first.ended_at, second.started_at, second.ended_at) == (later, later, None)
    assert [arm["weight"] for arm in second.arms] == [0.8, 0.2]
    assert [arm["weight"] for arm in first.arms] == [0.5, 0.5]


def test_a_phase_whose_weights_do_not_sum_to_one_is_refused() -> None:
    experiment = running()
    with pytest.raises(LifecycleError, match="sum to 1"):
        lifecycle.start_phase(
            experiment, "tests", START, lambda: experiment.arms.update(weight=0.9)
        )
    experiment.refresh_from_db()
    assert experiment.phase == 1
    assert {arm.weight for arm in experiment.arms.all()} == {0.5}


def test_two_operators_with_the_same_button_the_second_gets_an_error() -> None:
    experiment = running()
    stale = type(experiment).objects.get(pk=experiment.pk)
    lifecycle.pause(experiment, "olga")
    with pytest.raises(LifecycleError, match="is paused; it must be running"):
        lifecycle.pause(stale, "carl")


@pytest.mark.parametrize("step", [lifecycle.pause, lifecycle.resume])
def test_a_draft_can_be_neither_paused_nor_resumed(step: object) -> None:
    with pytest.raises(LifecycleError, match="is draft"):
        step(draft(), "tests")  # type: ignore[operator]


def test_only_a_stopped_experiment_or_a_draft_is_archived() -> None:
    experiment = running()
    with pytest.raises(LifecycleError, match="must be stopped or draft"):
        lifecycle.archive(experiment, "tests")
    lifecycle.stop(experiment, "tests", START, reason="Done", verdict="")
    lifecycle.archive(experiment, "tests")
    experiment.refresh_from_db()
    assert experiment.status == "archived"


def test_a_clone_asks_the_same_with_a_seed_of_its_own() -> None:
    experiment = running(margin=0.03, audit_share=0.1)
    twin = lifecycle.clone(experiment, "again", "tests")
    assert (twin.status, twin.phase, twin.started_at) == ("draft", 1, None)
    assert twin.seed != experiment.seed
    assert twin.audit_share == 0.1
    policies = [(a.name, a.routing_policy(), a.is_control) for a in twin.arms.all()]
    assert policies == [(a.name, a.routing_policy(), a.is_control) for a in experiment.arms.all()]
    assert [(m.metric, m.role, m.margin) for m in twin.metrics.all()] == [
        ("quality", "guardrail", 0.03),
        ("cost", "primary", None),
    ]
