"""`judge_preference` in experiments, revisions and configuration files."""

import pytest

from experiments.background.tasks import run_next
from experiments.configuration.apply import ConfigurationError, apply, roll_back
from experiments.configuration.document import current_document
from experiments.configuration.policy_store import build_policy, store
from experiments.configuration.revisions import revision
from experiments.configuration.seeding import seed
from experiments.experimentation.lifecycle import start
from experiments.experimentation.metrics import spec_of
from experiments.models import (
    Domain,
    ExperimentMetric,
    Feedback,
    Metric,
    MetricSum,
    PolicyRevision,
    RoutingSettings,
    UnitSum,
)
from tests.experiment_rows import START, draft
from tests.shadow.provider import provider
from tests.shadow.rows import answered, set_up

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded")]


def test_it_is_a_metric_from_the_start_and_an_edit_of_it_stays() -> None:
    spec = spec_of("judge_preference")
    assert (spec.better, spec.value_range, spec.from_feedback) == ("higher", (0.0, 1.0), True)
    Metric.objects.filter(name="judge_preference").update(description="Ours.")
    seed()
    assert Metric.objects.get(name="judge_preference").description == "Ours."


def test_an_experiment_counts_verdicts_and_neither_calls_nor_quality() -> None:
    from django.utils import timezone

    with provider() as stub:
        set_up(stub.url)
        experiment = draft("judged")
        ExperimentMetric.objects.create(
            experiment=experiment, metric="judge_preference", role="secondary"
        )
        start(experiment, "tests", START)
        row = answered()
        assert row.experiment == "judged"
        before = list(UnitSum.objects.values())
        while run_next(timezone.now()):
            pass
    assert Feedback.objects.get().metric == "judge_preference"
    assert list(UnitSum.objects.values()) == before
    counted = MetricSum.objects.get()
    assert (counted.metric, counted.experiment, counted.rated) == ("judge_preference", "judged", 1)


def test_an_older_revision_without_shadow_calls_still_decides_and_can_be_rolled_back_to() -> None:
    document = current_document()
    for domain in document["domains"].values():
        del domain["shadow_share"], domain["rubric"]
    for name in ("shadow_seed", "shadow_budget", "judge_model"):
        del document["settings"][name]
    policy = build_policy(1, document)
    assert (policy.shadowing.judge, policy.shadowing.budget) == (None, 0)
    assert {domain.shadow_share for domain in policy.domains.values()} == {0.0}
    PolicyRevision.objects.filter(number=1).update(document=document)
    with revision("tests"):
        Domain.objects.update(shadow_share=0.25)
    roll_back(1, "tests")
    assert set(Domain.objects.values_list("shadow_share", flat=True)) == {0.25}


def test_a_file_sets_judge_budget_share_and_rubric() -> None:
    apply(
        {
            "settings": {"judge_model": "openai/gpt-4.1", "shadow_budget": "2.5"},
        },
        "tests",
        "judge",
    )
    row = RoutingSettings.objects.get()
    assert (str(row.judge_model), str(row.shadow_budget.normalize())) == ("openai/gpt-4.1", "2.5")
    assert store.current().shadowing.budget == 2_500_000_000
    with pytest.raises(ConfigurationError, match="unheard-of"):
        apply({"settings": {"judge_model": "unheard-of"}}, "tests", "")
    with pytest.raises(ConfigurationError):
        apply({"settings": {"shadow_budget": "-1"}}, "tests", "")
