"""The configuration of a running experiment cannot be changed, by any interface."""

from collections.abc import Callable
from typing import Any

import pytest

from experiments.configuration.apply import ConfigurationError, apply, roll_back
from experiments.configuration.document import current_document
from experiments.configuration.experiment_locks import LockedError
from experiments.configuration.revisions import revision
from experiments.experimentation import lifecycle
from experiments.models import (
    Domain,
    DomainExample,
    Experiment,
    Flag,
    LanguageModel,
    PolicyRevision,
    Router,
    RoutingSettings,
)
from tests.experiment_rows import START, draft, running

pytestmark = pytest.mark.usefixtures("seeded")


def changed(change: Callable[[], object]) -> None:
    with revision("tests"):
        change()


def set_domain(name: str = "technical", **values: Any) -> None:
    Domain.objects.filter(name=name).update(**values)


def set_experiment(**values: Any) -> None:
    Experiment.objects.update(**values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("unit_kind", "request"),
        ("namespace", "pricing"),
        ("namespace_end", 0.5),
        ("audit_share", 0.2),
        ("alpha", 0.1),
        ("target_effect", "0.5"),
        ("min_units", 500),
        ("min_days", 1),
        ("cost_cap", "0.5"),
        ("prior_sd", 0.1),
        ("planned_units", 9000),
        ("tuning_sample_size", 9000),
        ("window_days", 1),
    ],
)
def test_the_plan_is_locked(name: str, value: object) -> None:
    running()
    with pytest.raises(LockedError, match=f"'cheaper' is running: its {name} cannot change"):
        changed(lambda: set_experiment(**{name: value}))
    assert PolicyRevision.objects.latest("number").note == "Started experiment cheaper"


def test_a_metric_is_locked() -> None:
    experiment = running()
    with pytest.raises(LockedError, match="its metrics cannot change"):
        changed(lambda: experiment.metrics.filter(metric="quality").update(margin=0.5))


def test_coverage_may_only_grow() -> None:
    running(coverage=0.4)
    changed(lambda: set_experiment(coverage=0.6))
    with pytest.raises(LockedError, match="its coverage can only grow"):
        changed(lambda: set_experiment(coverage=0.5))


def test_question_and_owner_stay_free() -> None:
    running()
    changed(lambda: set_experiment(hypothesis="Better worded.", owner="olga"))


def test_weights_and_policies_need_a_new_phase() -> None:
    experiment = running()
    with pytest.raises(LockedError, match="changing its arms starts a new phase"):
        changed(lambda: experiment.arms.update(weight=0.4))
    with pytest.raises(LockedError, match="changing its seed starts a new phase"):
        changed(lambda: set_experiment(seed="another"))


def test_a_paused_experiment_is_locked_too() -> None:
    lifecycle.pause(running(), "tests")
    with pytest.raises(LockedError, match="its alpha cannot change"):
        changed(lambda: set_experiment(alpha=0.2))


def test_a_revision_from_before_a_field_locks_nothing_it_does_not_know() -> None:
    """After an upgrade the first change is compared with a document of the release before."""
    running()
    newest = PolicyRevision.objects.latest("number")
    for name in ("cost_cap", "prior_sd"):
        del newest.document["experiments"]["cheaper"][name]
    newest.save(update_fields=["document"])
    changed(lambda: set_experiment(owner="olga"))
    assert PolicyRevision.objects.latest("number").number == newest.number + 1


def test_a_stopped_experiment_keeps_the_plan_it_was_judged_by() -> None:
    experiment = running()
    lifecycle.stop(experiment, "tests", START, reason="Done", verdict="")
    with pytest.raises(LockedError, match="is stopped: its arms cannot change"):
        changed(lambda: experiment.arms.update(weight=0.4))


def test_deleting_a_running_experiment_is_refused() -> None:
    running()
    with pytest.raises(LockedError, match="Stop it before you delete"):
        changed(lambda: Experiment.objects.all().delete())


@pytest.mark.parametrize(
    ("name", "value"),
    [("keywords", ["new"]), ("patterns", ["new"]), ("min_confidence", 0.9)],
)
def test_the_detection_of_its_domain_is_locked(name: str, value: Any) -> None:
    running()
    with pytest.raises(LockedError, match=f"the {name} of 'technical' are locked"):
        changed(lambda: set_domain(**{name: value}))
    changed(lambda: set_domain("creative", **{name: value}))


def test_examples_of_its_domain_are_locked() -> None:
    running()
    domain = Domain.objects.get(name="technical")
    with pytest.raises(LockedError, match="the examples of 'technical' are locked"):
        changed(lambda: DomainExample.objects.create(domain=domain, text="How do I fix this bug?"))


def test_the_detector_is_locked() -> None:
    running()
    with pytest.raises(LockedError, match="the detector is locked"):
        changed(lambda: RoutingSettings.objects.update(detector="classic"))


def test_an_experiment_on_all_domains_locks_the_detection_of_all() -> None:
    running(domain=None)
    with pytest.raises(LockedError, match="the keywords of 'creative' are locked"):
        changed(lambda: set_domain("creative", keywords=["new"]))


def test_the_router_of_an_arm_is_locked() -> None:
    experiment = running(arms={"control": "always_strong", "local": "always_weak"})
    lifecycle.start_phase(
        experiment,
        "tests",
        START,
        lambda: experiment.arms.filter(name="local").update(
            method="routellm", router=Router.objects.get(name="local"), threshold=0.75
        ),
    )
    with pytest.raises(LockedError, match="its router 'local' is locked"):
        changed(lambda: Router.objects.filter(name="local").update(checkpoint="f" * 64))
    changed(lambda: Router.objects.filter(name="random").update(timeout_seconds=2.0))


def test_the_pair_that_arms_borrow_is_locked() -> None:
    running()
    other = LanguageModel.objects.exclude(pk__in=_usual_pair()).first()
    with pytest.raises(LockedError, match="uses the pair of 'technical'"):
        changed(lambda: RoutingSettings.objects.update(weak_model=other))
    with pytest.raises(LockedError, match="uses the pair of 'technical'"):
        changed(lambda: set_domain(strong_model=other, weak_model=_usual_pair()[1]))


def test_a_pair_of_its_own_does_not_lock_the_usual_one() -> None:
    strong, weak = _usual_pair()
    experiment = running()
    lifecycle.start_phase(
        experiment,
        "tests",
        START,
        lambda: experiment.arms.update(strong_model=strong, weak_model=weak),
    )
    other = LanguageModel.objects.exclude(pk__in=[strong, weak]).first()
    changed(lambda: RoutingSettings.objects.update(weak_model=other))


def _usual_pair() -> tuple[int, int]:
    settings = RoutingSettings.objects.get()
    return int(settings.strong_model_id or 0), int(settings.weak_model_id or 0)


def test_what_the_selector_asks_of_a_model_is_locked_where_an_arm_selects() -> None:
    experiment = running(arms={"control": "domain_selector", "weak": "always_weak"})
    with pytest.raises(LockedError, match="the min_accuracy_score of 'technical' are locked"):
        changed(lambda: set_domain(min_accuracy_score=0.1))
    lifecycle.stop(experiment, "tests", START, reason="Done", verdict="")
    changed(lambda: set_domain(min_accuracy_score=0.1))


def judged() -> None:
    """A running experiment that counts verdicts, with a judge chosen before."""
    experiment = draft()
    experiment.metrics.create(metric="judge_preference", role="secondary")
    changed(lambda: RoutingSettings.objects.update(judge_model=_a_model("openai/gpt-4.1")))
    lifecycle.start(experiment, "tests", START)


def _a_model(name: str) -> LanguageModel:
    return LanguageModel.objects.get(name=name)


def test_judge_and_rubric_are_locked_where_verdicts_are_a_metric() -> None:
    judged()
    with pytest.raises(LockedError, match="the judge model is locked"):
        changed(lambda: RoutingSettings.objects.update(judge_model=None))
    with pytest.raises(LockedError, match="the judge model is locked"):
        changed(lambda: RoutingSettings.objects.update(judge_model=_a_model("openai/gpt-5-mini")))
    with pytest.raises(LockedError, match=r"'cheaper'.*the rubric of 'technical'"):
        changed(lambda: set_domain(rubric="The answer must rhyme."))
    changed(lambda: set_domain("creative", rubric="The answer must rhyme."))
    changed(lambda: set_domain(shadow_share=0.5))
    changed(lambda: RoutingSettings.objects.update(shadow_budget="0.5"))


def test_judge_and_rubric_are_free_where_they_are_not() -> None:
    running()
    changed(lambda: RoutingSettings.objects.update(judge_model=_a_model("openai/gpt-4.1-mini")))
    changed(lambda: set_domain(rubric="The answer must rhyme."))


def test_the_holdout_cannot_grow_and_keeps_its_seed() -> None:
    running()
    with pytest.raises(LockedError, match=r"holdout cannot grow.*cheaper"):
        changed(lambda: RoutingSettings.objects.update(holdout_percentage=1))
    with pytest.raises(LockedError, match="holdout cannot grow"):
        changed(lambda: RoutingSettings.objects.update(holdout_seed="another"))


def test_the_kill_switch_always_works() -> None:
    running()
    changed(lambda: Flag.objects.filter(key="routellm_enabled").update(percentage=0))
    changed(lambda: Flag.objects.filter(key="routellm_technical_domain").update(percentage=0))


def test_a_configuration_file_is_held_to_the_same_rules() -> None:
    running()
    document = current_document()
    document["domains"]["technical"]["keywords"] = ["other"]
    with pytest.raises(ConfigurationError, match="keywords of 'technical' are locked"):
        apply(document, "tests", "A file")


def test_rolling_back_to_another_detection_is_refused() -> None:
    before = PolicyRevision.objects.latest("number").number
    changed(lambda: set_domain(keywords=["other"]))
    running()
    with pytest.raises(ConfigurationError, match="keywords of 'technical' are locked"):
        roll_back(before, "tests")


def test_a_refused_change_leaves_nothing_behind() -> None:
    running()
    with pytest.raises(LockedError):
        changed(lambda: set_domain(keywords=["other"], label="Renamed"))
    assert Domain.objects.get(name="technical").label == "Technical"
