"""Weights that do not sum to 1 within 0.0001 are refused everywhere."""

from typing import Any

import pytest

from experiments.configuration.apply import ConfigurationError, apply
from experiments.configuration.document import experiment_document
from experiments.core.bucketing import arm_ranges, sum_to_one
from experiments.experimentation.checklists import checklist
from experiments.models import Experiment
from tests.api.client import API
from tests.experiment_rows import START, draft

WRONG = ([0.5, 0.4998], [0.5, 0.5002], [0.33, 0.33, 0.33], [0.5, 0.5, 0.01], [0.6, 0.6])
RIGHT = ([0.5, 0.5], [0.3333, 0.3333, 0.3333], [0.5, 0.50005], [0.1, 0.2, 0.7])


def policies(weights: list[float]) -> list[dict[str, Any]]:
    methods = ("always_strong", "always_weak", "domain_selector")
    return [
        {
            "name": method.replace("_", "-"),
            "weight": weight,
            "is_control": method == "always_strong",
            "policy": {"method": method},
        }
        for method, weight in zip(methods, weights, strict=False)
    ]


@pytest.mark.parametrize("weights", WRONG)
def test_rest_refuses_weights(api: API, weights: list[float]) -> None:
    body = {"key": "cheaper", "hypothesis": "?", "arms": policies(weights)}
    answer = api.post("/api/v1/experiments", body)
    assert answer.fault == (400, "arms", "invalid_value")
    assert "make them sum to 1" in answer.error["message"]
    assert not Experiment.objects.exists()


@pytest.mark.parametrize("weights", RIGHT)
def test_rest_takes_weights(api: API, weights: list[float]) -> None:
    body = {"key": "cheaper", "hypothesis": "?", "arms": policies(weights)}
    answer = api.post("/api/v1/experiments", body)
    assert [arm["weight"] for arm in answer.data["arms"]] == weights


@pytest.mark.parametrize("weights", WRONG)
def test_an_edit_refuses_weights(api: API, weights: list[float]) -> None:
    draft()
    answer = api.patch("/api/v1/experiments/cheaper", {"arms": policies(weights)})
    assert answer.fault == (400, "arms", "invalid_value")
    assert Experiment.objects.get().arms.count() == 2


def file_of(weights: list[float]) -> dict[str, Any]:
    document = experiment_document(draft())
    Experiment.objects.all().delete()
    arms = [
        {**arm, "policy": {**document["arms"][0]["policy"], **arm["policy"]}}
        for arm in policies(weights)
    ]
    return {"experiments": {"cheaper": {**document, "arms": arms}}}


@pytest.mark.parametrize("weights", WRONG)
def test_a_file_refuses_weights_by_path(seeded: None, weights: list[float]) -> None:
    document = file_of(weights)
    with pytest.raises(ConfigurationError) as refused:
        apply(document, "tests", "")
    assert refused.value.problems[0].startswith("experiments.cheaper.arms: The weights sum to")
    assert not Experiment.objects.exists()


@pytest.mark.parametrize("weights", RIGHT)
def test_a_file_takes_weights(seeded: None, weights: list[float]) -> None:
    apply(file_of(weights), "tests", "")
    arms = Experiment.objects.get().arms.all()
    assert [arm.weight for arm in arms] == weights


def test_a_file_may_leave_a_weight_out(seeded: None) -> None:
    document = file_of([0.5, 0.5])
    for arm in document["experiments"]["cheaper"]["arms"]:
        del arm["weight"]
    apply(document, "tests", "")
    assert [arm.weight for arm in Experiment.objects.get().arms.all()] == [0.5, 0.5]


def test_the_checklist_refuses_weights_that_were_stored_before(seeded: None) -> None:
    experiment = draft()
    experiment.arms.update(weight=0.498)
    checks = {check.name: check for check in checklist(experiment, START.date())}
    assert not checks["weights"].passed
    assert (
        checks["weights"].message == "The weights sum to 0.996: make them sum to 1 (within 0.0001)."
    )


def test_stored_weights_are_bucketed_within_a_hundredth_as_before() -> None:
    assert not sum_to_one([0.5, 0.495])
    assert arm_ranges(2, 1.0, [0.5, 0.495]) == [(0.0, 0.5), (0.5, 0.995)]
    assert arm_ranges(2, 1.0, [0.5, 0.4]) == [(0.0, 0.5), (0.5, 1.0)]
