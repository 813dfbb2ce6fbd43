"""POST experiments/{key}/ship: only if the verdict is to ship, or with a reason; once."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from experiments.experimentation import lifecycle
from experiments.models import Domain, Experiment, PolicyRevision
from tests.api.client import API
from tests.experiment_rows import add_units, draft, running

CHEAPER = "/api/v1/experiments/cheaper"
SHIP = f"{CHEAPER}/ship"
ANYWAY = {"arm": "weak", "anyway": True, "reason": "The budget decides"}


def ready(**values: Any) -> Experiment:
    start = timezone.now() - timedelta(days=10)
    experiment = running(now=start, margin=0.15, min_days=2, **values)
    add_units(experiment, "control", 800, cost=10_000_000, day=start.date(), spread_days=2)
    add_units(experiment, "weak", 800, day=start.date(), spread_days=2)
    return experiment


def unhealthy() -> Experiment:
    experiment = ready()
    start = timezone.now() - timedelta(days=10)
    add_units(experiment, "control", 700, day=start.date(), domain="creative")
    return experiment


def method() -> str:
    return Domain.objects.get(name="technical").method


def test_an_arm_whose_verdict_is_to_ship_ships_without_confirmation(api: API) -> None:
    ready()
    answer = api.post(SHIP, {"arm": "weak"})
    assert (answer.status, answer.data["shipped_arm"], answer.data["verdict"]) == (
        200,
        "weak",
        "ship",
    )
    assert (answer.data["ship_reason"], answer.data["stop_reason"]) == ("", "Shipped weak")
    assert method() == "always_weak"


def test_without_a_single_unit_nothing_is_shipped(api: API) -> None:
    running()
    before, revisions = method(), PolicyRevision.objects.count()
    answer = api.post(SHIP, {"arm": "weak"})
    assert answer.fault == (409, None, "not_ready_to_ship")
    assert "not_enough_data" in answer.error["message"]
    assert (method(), PolicyRevision.objects.count()) == (before, revisions)
    assert Experiment.objects.get().status == "running"


def test_the_refusal_shows_the_change_and_the_prediction(api: API) -> None:
    running()
    message = api.post(SHIP, {"arm": "weak"}).error["message"]
    assert "technical: from local for 50 % strong to always the weak model." in message
    assert "strong share 0 %, today" in message
    assert "cost of 1,000 requests $" in message


def test_an_unhealthy_experiment_is_not_shipped(api: API) -> None:
    unhealthy()
    answer = api.post(SHIP, {"arm": "weak"})
    assert answer.fault == (409, None, "not_ready_to_ship")
    assert "Do not trust these results yet" in answer.error["message"]


def test_another_arm_than_the_one_to_ship_is_not_shipped(api: API) -> None:
    ready()
    assert api.post(SHIP, {"arm": "control"}).fault == (409, None, "not_ready_to_ship")
    assert api.post(SHIP, {"arm": "weak"}).status == 200


def test_with_a_reason_it_is_shipped_anyway_and_the_reason_is_stored(api: API) -> None:
    unhealthy()
    answer = api.post(SHIP, ANYWAY)
    assert (answer.status, answer.data["verdict"]) == (200, "unhealthy")
    assert answer.data["ship_reason"] == "The budget decides"
    assert answer.data["stop_reason"] == "Shipped weak anyway: The budget decides"
    note = PolicyRevision.objects.latest("number").note
    assert note == (
        "Shipped arm weak although the verdict was unhealthy (The budget decides) of experiment "
        "cheaper"
    )


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"arm": "weak", "anyway": True}, (400, "reason", "missing")),
        ({"arm": "weak", "anyway": True, "reason": " "}, (400, "reason", "empty")),
        ({"arm": "weak", "anyway": "yes"}, (400, "anyway", "invalid_type")),
        ({"arm": "weak", "anyway": False}, (409, None, "not_ready_to_ship")),
        ({"arm": "weak", "reason": "The budget"}, (400, "reason", "invalid_value")),
    ],
)
def test_anyway_needs_a_reason(api: API, body: dict[str, Any], fault: tuple[Any, ...]) -> None:
    running()
    assert api.post(SHIP, body).fault == fault
    assert Experiment.objects.get().shipped_arm == ""


def test_a_second_ship_is_always_refused(api: API) -> None:
    ready()
    api.post(SHIP, {"arm": "weak"})
    for body in ({"arm": "weak"}, {**ANYWAY, "arm": "control"}):
        answer = api.post(SHIP, body)
        assert answer.fault == (409, None, "not_possible_now")
        assert "was shipped already" in answer.error["message"]
    assert (Experiment.objects.get().shipped_arm, method()) == ("weak", "always_weak")


def test_a_stopped_experiment_is_shipped_by_its_verdict_too(api: API) -> None:
    experiment = running()
    lifecycle.stop(experiment, "tests", timezone.now(), reason="Enough", verdict="ship")
    assert api.post(SHIP, {"arm": "weak"}).fault == (409, None, "not_ready_to_ship")
    answer = api.post(SHIP, ANYWAY)
    assert (answer.data["stop_reason"], answer.data["ship_reason"]) == (
        "Enough",
        "The budget decides",
    )


def test_a_draft_is_not_shipped(api: API) -> None:
    draft()
    assert api.post(SHIP, ANYWAY).fault == (409, None, "not_possible_now")


def test_a_shipped_policy_applies_although_thresholds_follow_a_target(api: API) -> None:
    ready()
    Domain.objects.filter(name="technical").update(calibrated_threshold=0.7)
    api.post(SHIP, {"arm": "weak"})
    assert Domain.objects.get(name="technical").calibrated_threshold is None
