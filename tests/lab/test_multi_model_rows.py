"""A cascade as configuration: checked on save, in the revision, decided with, and exported."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from experiments.configuration.policy_store import store
from experiments.configuration.revisions import revision
from experiments.models import Domain, LanguageModel, PolicyRevision
from experiments.routing.route import RouteRequest, route
from experiments.routing.runtime import engine

pytestmark = pytest.mark.usefixtures("seeded")


def between(model: str, **values: Any) -> list[dict[str, Any]]:
    return [{"model": model, "router": "local_mf", "threshold": 0.0, **values}]


def middle() -> str:
    pair = {"openai/gpt-4.1", "openai/gpt-4.1-mini"}
    return LanguageModel.objects.exclude(name__in=pair).filter(is_available=True)[0].name


def save(steps: Any) -> None:
    domain = Domain.objects.get(name="technical")
    domain.threshold = 1.0
    domain.between = steps
    domain.full_clean()
    with revision("test"):
        domain.save()


def test_the_web_application_decides_between_three() -> None:
    save(between(middle()))
    engine.warm_up(store.current())

    row = route(RouteRequest("Fix my loop.", "u", domain="technical"))

    assert row.reason == "step_reached"
    assert row.intended_model == middle()
    assert (row.router, row.threshold) == ("local_mf", 0.0)
    assert row.propensity == 1.0


def test_it_is_part_of_the_document_only_where_there_is_one() -> None:
    save(between(middle()))
    policies = PolicyRevision.objects.latest("number").document["domains"]
    assert policies["technical"]["policy"]["between"] == between(middle())
    assert "between" not in policies["legal"]["policy"]
    assert store.current().domains["technical"].policy.steps[0].model == middle()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("local", "Enter a list of steps"),
        ([{"model": "x"}], "Step 1 must have the form"),
        (between("unknown"), "unknown model 'unknown'"),
        (between("openai/gpt-4.1", router="unknown"), "unknown router 'unknown'"),
        (between("openai/gpt-4.1", threshold=2), "must be between 0 and 1"),
        (between("openai/gpt-4.1", threshold="high"), "must be a number"),
    ],
)
def test_what_is_no_cascade_is_refused(steps: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        save(steps)
