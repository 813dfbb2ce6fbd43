"""A GET response can be sent back with PATCH, and optional texts can be cleared."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from experiments.experimentation import lifecycle
from experiments.models import Experiment, PolicyRevision
from tests.api.client import API
from tests.experiment_rows import draft, running

CHEAPER = "/api/v1/experiments/cheaper"


def test_a_draft_is_sent_back_as_it_was_shown(api: API) -> None:
    draft(owner="", namespace="")
    shown = api.get(CHEAPER).data
    before = PolicyRevision.objects.count()
    answer = api.patch(CHEAPER, shown)
    assert (answer.status, answer.data) == (200, shown)
    assert PolicyRevision.objects.count() == before


def test_a_running_experiment_is_sent_back_as_it_was_shown(api: API) -> None:
    running(now=timezone.now() - timedelta(days=2))
    shown = api.get(CHEAPER).data
    answer = api.patch(CHEAPER, {**shown, "owner": "olga"})
    assert (answer.status, answer.data["owner"], answer.data["phase"]) == (200, "olga", 1)


def test_a_stopped_experiment_is_sent_back_as_it_was_shown(api: API) -> None:
    experiment = running()
    lifecycle.stop(experiment, "tests", timezone.now(), reason="Enough", verdict="mixed")
    shown = api.get(CHEAPER).data
    assert api.patch(CHEAPER, shown).data == shown


@pytest.mark.parametrize("empty", ["", None])
@pytest.mark.parametrize("field", ["namespace", "owner"])
def test_a_text_is_cleared(api: API, field: str, empty: str | None) -> None:
    draft()
    Experiment.objects.update(**{field: "pricing"})
    answer = api.patch(CHEAPER, {field: empty})
    assert (answer.status, answer.data[field]) == (200, "")
    assert getattr(Experiment.objects.get(), field) == ""


def test_a_text_that_is_left_out_stays(api: API) -> None:
    draft(namespace="pricing", owner="olga")
    answer = api.patch(CHEAPER, {"alpha": 0.1})
    assert (answer.data["namespace"], answer.data["owner"]) == ("pricing", "olga")


def test_a_question_is_never_empty(api: API) -> None:
    draft()
    assert api.patch(CHEAPER, {"hypothesis": ""}).fault == (400, "hypothesis", "empty")


@pytest.mark.parametrize(
    "change", [{"status": "running"}, {"phase": 2}, {"key": "other"}, {"shipped_arm": "weak"}]
)
def test_a_changed_read_only_field_is_refused(api: API, change: dict[str, Any]) -> None:
    draft()
    answer = api.patch(CHEAPER, {**api.get(CHEAPER).data, **change})
    assert answer.fault == (400, next(iter(change)), "read_only")


def test_a_target_effect_is_a_number_or_a_decimal_string(api: API) -> None:
    draft()
    assert api.patch(CHEAPER, {"target_effect": "0.0025"}).data["target_effect"] == "0.0025"
    assert api.patch(CHEAPER, {"target_effect": 0.5}).data["target_effect"] == "0.5"
    assert api.patch(CHEAPER, {"target_effect": "much"}).fault == (
        400,
        "target_effect",
        "invalid_type",
    )
    for amount in ("nan", "-1", "inf"):
        answer = api.patch(CHEAPER, {"target_effect": amount})
        assert answer.fault == (400, "target_effect", "out_of_range")
