"""Targets in dollars and quality: looked up from costs and ratings, frozen during experiments."""

import pytest

from experiments.configuration.policy_store import store
from experiments.configuration.revisions import revision
from experiments.learning.targets import frozen_by, resolve_targets
from experiments.models import Calibration, Domain, PolicyRevision
from tests.experiment_rows import draft, running
from tests.explored_traffic import NOW, send, set_policy

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded")]


def aim_at(kind: str, value: float) -> None:
    with revision("tests"):
        Domain.objects.filter(name="technical").update(
            follows_target=True, target_kind=kind, target_value=value
        )


def technical() -> Domain:
    return Domain.objects.get(name="technical")


def mean_costs() -> tuple[float, float]:
    """Dollars per 1,000 requests of always weak and of always strong."""
    from experiments.models import Decision

    rows = Decision.objects.values_list("cost_weak", "cost_strong")
    weak, strong = (sum(column) / len(rows) / 1e6 for column in zip(*rows, strict=True))
    return weak, strong


def test_dollars_become_the_strong_share_that_costs_them() -> None:
    set_policy(epsilon=0.0)
    send(250)
    weak, strong = mean_costs()
    aim_at("dollars_per_1000", weak + 0.3 * (strong - weak))
    assert store.current().domains["technical"].policy.target_share is None, "not looked up yet"

    found = resolve_targets(NOW)

    assert [one.changed for one in found] == [True]
    assert "a strong share of" in found[0].sentence
    assert technical().resolved_share == pytest.approx(0.3, abs=0.1)
    followed = store.current().domains["technical"].policy.target_share
    assert followed == technical().resolved_share
    assert Calibration.objects.get().author == "target"

    before = PolicyRevision.objects.count()
    assert [one.sentence for one in resolve_targets(NOW)] == ["unchanged"]
    assert PolicyRevision.objects.count() == before


def test_quality_becomes_a_threshold_with_its_guarantee() -> None:
    set_policy(epsilon=0.4)
    send(400)
    aim_at("quality", 0.5)
    found = resolve_targets(NOW)
    assert found[0].changed, found[0].sentence
    row = Calibration.objects.get()
    assert (row.aim, row.wanted, row.delta) == ("quality", 0.5, 0.1)
    assert technical().threshold == row.threshold
    assert store.current().domains["technical"].policy.target_share is None


@pytest.mark.parametrize("kind", ["dollars_per_1000", "quality"])
def test_without_data_nothing_changes_and_the_reason_is_given(kind: str) -> None:
    aim_at(kind, 0.9)
    threshold = technical().threshold
    found = resolve_targets(NOW)
    assert [(one.domain, one.changed) for one in found] == [("technical", False)]
    assert "oo few scores" in found[0].sentence
    assert (technical().threshold, technical().resolved_share) == (threshold, None)


def test_targets_are_frozen_while_an_experiment_runs() -> None:
    set_policy(epsilon=0.0)
    send(250)
    aim_at("dollars_per_1000", 1.0)
    running("busy")
    assert frozen_by("technical") == "busy"
    assert frozen_by("legal") is None
    assert resolve_targets(NOW)[0].sentence == "unchanged while experiment busy runs"
    assert technical().resolved_share is None


def test_an_experiment_on_all_domains_freezes_each() -> None:
    draft("idle")
    assert frozen_by("technical") is None
    running("everywhere", domain=None)
    assert frozen_by("legal") == "everywhere"


def test_strong_shares_and_fixed_thresholds_are_not_looked_up() -> None:
    with revision("tests"):
        Domain.objects.filter(name="technical").update(
            follows_target=False, target_kind="quality", target_value=0.9
        )
    assert resolve_targets(NOW) == []
