"""/api/v1/rollouts: plan, start, watch and end a guarded rollout."""

from typing import Any

import pytest

from experiments.models import Flag, PolicyRevision, Rollout
from experiments.rollouts.lifecycle import advance_all
from tests.api.client import API
from tests.experiment_rows import START, rollout, running

ROLLOUTS = "/api/v1/rollouts"
BODY: dict[str, Any] = {
    "flag": "routellm_medical_domain",
    "steps": [[10, 24], [50, None], [100, 0]],
    "margin": 0.03,
}


def percentage() -> float:
    return float(Flag.objects.get(key="routellm_medical_domain").percentage)


def test_it_works(api: API) -> None:
    created = api.post(ROLLOUTS, BODY)
    assert created.status == 201
    assert (created.data["state"], created.data["step"]) == ("pending", None)
    assert created.data["steps"][1] == {"percentage": 50.0, "hours": None, "monitored": True}
    path = f"{ROLLOUTS}/{created.data['key']}"

    started = api.post(f"{path}/start", {})
    assert (started.data["state"], started.data["percentage"]) == ("running", 10.0)
    assert api.post(f"{path}/pause", {}).data["state"] == "paused"
    assert api.post(f"{path}/resume", {}).data["state"] == "running"
    back = api.post(f"{path}/roll-back", {"reason": "Complaints"})
    assert (back.data["state"], back.data["reason"]) == ("rolled_back", "Complaints")
    assert [event["state"] for event in back.data["history"]] == [
        "running",
        "paused",
        "running",
        "rolled_back",
    ]
    assert percentage() == 0
    assert PolicyRevision.objects.latest("number").author_name.startswith("API key")


def test_a_rollout_shows_its_checks(api: API) -> None:
    path = f"{ROLLOUTS}/{api.post(ROLLOUTS, BODY).data['key']}"
    assert api.get(path).data["look"] is None
    api.post(f"{path}/start", {})
    look = api.get(path).data["look"]
    assert (look["compared"], look["outcome"]) == (0, "not_enough_data")
    assert {check["code"] for check in look["checks"]} == {"multiple_exposures", "sample_ratio"}


def test_a_waiting_step_continues_on_request(api: API) -> None:
    row = rollout(steps=[(10, None), (50, 24)], state="ready", step=0, started_at=START)
    Flag.objects.filter(pk=row.flag_id).update(percentage=10)
    answer = api.post(f"{ROLLOUTS}/{row.key}/go-on", {})
    assert (answer.data["state"], answer.data["step"]) == ("running", 1)
    assert percentage() == 50


def test_a_rollout_started_here_moves_with_the_rounds(api: API) -> None:
    path = f"{ROLLOUTS}/{api.post(ROLLOUTS, BODY).data['key']}"
    api.post(f"{path}/start", {})
    row = Rollout.objects.get()
    assert row.step_started_at is not None
    advance_all(row.step_started_at)
    assert "Waits until" in api.get(path).data["reason"]


def test_guards_are_a_list_and_the_worst_case_is_shown_before_the_start(api: API) -> None:
    guards = [
        {"metric": "error_rate", "margin": 0.02},
        {"metric": "p95_latency", "margin": 0.05, "limit": 2000},
    ]
    created = api.post(ROLLOUTS, {**BODY, "guards": guards})
    assert created.data["guards"] == [
        {"metric": "error_rate", "margin": 0.02, "limit": None},
        {"metric": "p95_latency", "margin": 0.05, "limit": 2000.0},
    ]
    assert api.get(f"{ROLLOUTS}/{created.data['key']}").data["worst_case"] == (
        "Worst case of the first step, 10 % of traffic, over all traffic until harm is shown: "
        "error rate 10.0 points (margin 2.0 points), share of slow calls 10.0 points (margin 5.0 "
        "points)."
    )
    without = {key: value for key, value in BODY.items() if key != "flag"}
    seeded = api.post(ROLLOUTS, {**without, "flag": "routellm_legal_domain"})
    assert [guard["metric"] for guard in seeded.data["guards"]] == ["error_rate", "quality"]
    assert seeded.data["guards"][1]["margin"] == 0.03


def test_a_step_without_enough_data_lists_what_is_missing(api: API) -> None:
    path = f"{ROLLOUTS}/{api.post(ROLLOUTS, BODY).data['key']}"
    api.post(f"{path}/start", {})
    assert api.post(f"{path}/go-on", {}).fault == (409, None, "not_possible_now")
    look = api.get(path).data["look"]
    assert look["next_percentage"] == 50
    assert [(one["metric"], one["least_gain"]) for one in look["guards"]] == [
        ("error_rate", -1.0),
        ("quality", -1.0),
    ]
    assert [one["metric"] for one in look["missing"]] == ["error_rate", "quality"]
    assert all(one["units"] > 100 and one["days"] is None for one in look["missing"])


def test_a_reason_advances_anyway(api: API) -> None:
    path = f"{ROLLOUTS}/{api.post(ROLLOUTS, BODY).data['key']}"
    api.post(f"{path}/start", {})
    assert api.post(f"{path}/go-on", {"anyway": True}).fault == (400, "reason", "missing")
    assert api.post(f"{path}/go-on", {"anyway": "yes"}).fault == (400, "anyway", "invalid_type")
    answer = api.post(f"{path}/go-on", {"anyway": True, "reason": "A contract ends"})
    assert (answer.data["state"], answer.data["percentage"]) == ("running", 50.0)
    assert "A contract ends" in answer.data["history"][-1]["without_evidence"]
    assert answer.data["history"][0]["without_evidence"] is None


def test_the_target_is_lowered(api: API) -> None:
    path = f"{ROLLOUTS}/{api.post(ROLLOUTS, BODY).data['key']}"
    api.post(f"{path}/start", {})
    assert api.post(f"{path}/target", {}).fault == (400, "percentage", "missing")
    assert api.post(f"{path}/target", {"percentage": 5}).fault[0] == 409
    answer = api.post(f"{path}/target", {"percentage": 25})
    assert [step["percentage"] for step in answer.data["steps"]] == [10.0, 25.0]


def test_the_list(api: API) -> None:
    assert api.get(ROLLOUTS).data["results"] == []
    api.post(ROLLOUTS, BODY)
    assert [row["flag"] for row in api.get(ROLLOUTS).data["results"]] == [BODY["flag"]]


def test_an_unknown_rollout_is_404(api: API) -> None:
    assert api.get(f"{ROLLOUTS}/none").fault == (404, None, "not_found")
    assert api.post(f"{ROLLOUTS}/none/start", {}).status == 404


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"guards": []}, ("guards", "out_of_range")),
        ({"guards": "quality"}, ("guards", "invalid_type")),
        ({"guards": [{"metric": "joy", "margin": 1}]}, ("guards", "invalid_value")),
        ({"guards": [{"metric": "cost", "margin": 0.1}]}, ("guards", "invalid_value")),
        ({"flag": None}, ("flag", "missing")),
        ({"flag": "routellm_astrology_domain"}, ("flag", "unknown_name")),
        ({"steps": None}, ("steps", "missing")),
        ({"steps": [[50, 1], [10, 1]]}, ("steps", "invalid_value")),
        ({"steps": [[50]]}, ("steps", "invalid_value")),
        ({"steps": [["x", {}]]}, ("steps", "invalid_value")),
        ({"margin": 0}, ("margin", "out_of_range")),
        ({"holdback_percentage": 80}, ("holdback_percentage", "out_of_range")),
        ({"speed": "slow"}, ("speed", "unknown_field")),
    ],
)
def test_invalid_values_are_refused_naming_the_field(
    api: API, change: dict[str, Any], fault: tuple[str, str]
) -> None:
    assert api.post(ROLLOUTS, {**BODY, **change}).fault == (400, *fault)


def test_a_flag_has_one_open_rollout(api: API) -> None:
    api.post(ROLLOUTS, BODY)
    answer = api.post(ROLLOUTS, BODY)
    assert answer.fault == (409, None, "not_possible_now")
    assert "already has a rollout" in answer.error["message"]


def test_an_experiment_on_its_domain_blocks_a_rollout(api: API) -> None:
    running()
    body = {**BODY, "flag": "routellm_technical_domain", "steps": [[100, 0]]}
    path = f"{ROLLOUTS}/{api.post(ROLLOUTS, body).data['key']}"
    answer = api.post(f"{path}/start", {})
    assert answer.fault == (409, None, "not_possible_now")
    assert "cheaper" in answer.error["message"]


def test_invalid_state_changes_are_409(api: API) -> None:
    path = f"{ROLLOUTS}/{api.post(ROLLOUTS, BODY).data['key']}"
    for step in ("pause", "resume", "go-on"):
        assert api.post(f"{path}/{step}", {}).status == 409
