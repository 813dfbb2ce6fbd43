"""What a domain's threshold follows: its target, its calibrated threshold, or nothing."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from experiments.configuration.apply import apply
from experiments.configuration.document import current_document
from experiments.configuration.policy_store import build_policy
from experiments.configuration.revisions import revision
from experiments.core.policy import Policy
from experiments.experimentation import lifecycle
from experiments.models import Arm, Domain, Flag
from tests.experiment_rows import START, draft

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded")]


def policy() -> Policy:
    return build_policy(1, current_document())


def technical(**values: object) -> Domain:
    row = Domain.objects.get(name="technical")
    for name, value in values.items():
        setattr(row, name, value)
    return row


def test_new_installations_follow_a_strong_share() -> None:
    assert {one.policy.target_share for one in policy().domains.values()} == {0.5}


def test_a_control_equal_to_the_domains_policy_does_not_follow_its_calibrated_threshold() -> None:
    Flag.objects.filter(key="routellm_dynamic_threshold").update(percentage=Decimal(100))
    row = technical(follows_target=False, threshold=0.6, calibrated_threshold=0.7)
    row.save()
    experiment = draft()
    experiment.arms.filter(is_control=True).update(
        method="routellm", router=row.router, threshold=0.6
    )
    experiment.status = "running"
    experiment.save()
    found = policy()
    control = found.experiments[0].arms[0]
    assert found.domains["technical"].policy.threshold == 0.7
    assert (control.policy.threshold, control.policy.target_share) == (0.6, None)


@pytest.mark.parametrize(
    ("values", "share"),
    [
        ({"target_strong_share": 0.2}, 0.2),
        ({"follows_target": False}, None),
        ({"target_kind": "dollars_per_1000", "target_value": 2.5}, None),
        ({"target_kind": "dollars_per_1000", "target_value": 2.5, "resolved_share": 0.3}, 0.3),
        ({"target_kind": "quality", "target_value": 0.95}, None),
    ],
)
def test_the_share_that_a_threshold_follows(values: dict[str, object], share: float | None) -> None:
    row = technical(**values)
    row.full_clean()
    row.save()
    assert policy().domains["technical"].policy.target_share == share


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"target_kind": "dollars_per_1000"}, "a number above 0"),
        ({"target_kind": "quality", "target_value": 1.0}, "between 0 and 1"),
    ],
)
def test_a_target_without_a_usable_value_is_refused(
    values: dict[str, object], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        technical(**values).full_clean()


def test_a_file_from_before_targets_fixes_the_threshold() -> None:
    document = current_document()["domains"]
    old = {
        name: {key: value for key, value in one.items() if not key.startswith("follows")}
        for name, one in document.items()
    }
    apply({"domains": old}, "tests", "")
    assert policy().domains["technical"].policy.target_share is None
    apply({"domains": document}, "tests", "")
    assert policy().domains["technical"].policy.target_share == 0.5


def test_an_arms_target_share_is_exported_and_applied() -> None:
    experiment = draft(arms={"control": "always_strong", "half": "routellm"})
    with revision("tests"):
        experiment.arms.filter(name="half").update(
            router=technical().router, threshold=None, target_share=0.0
        )
    document = current_document()
    policies = [arm["policy"] for arm in document["experiments"]["cheaper"]["arms"]]
    assert ["target_share" in one for one in policies] == [False, True]
    Arm.objects.all().delete()
    apply({"experiments": document["experiments"]}, "tests", "")
    assert Arm.objects.get(name="half").target_share == 0.0
    assert current_document()["experiments"] == document["experiments"]


def test_revisions_from_before_targets_have_fixed_thresholds() -> None:
    document = current_document()
    for one in document["domains"].values():
        for key in ("follows_target", "target_kind", "target_value", "resolved_share"):
            del one[key]
    found = build_policy(1, document)
    assert {one.policy.target_share for one in found.domains.values()} == {None}


def test_shipping_an_arm_gives_the_domain_its_target() -> None:
    experiment = draft()
    Arm.objects.filter(name="weak").update(
        method="routellm", router=technical().router, threshold=None, target_share=0.3
    )
    lifecycle.start(experiment, "tests", START)
    lifecycle.ship(experiment, "weak", "tests", START, verdict="", anyway="a test")
    row = technical()
    assert (row.follows_target, row.target_kind, row.target_strong_share) == (
        True,
        "strong_share",
        0.3,
    )
