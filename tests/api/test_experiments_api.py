"""/api/v1/experiments: create, edit, and every state change."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from experiments.experimentation import lifecycle
from experiments.models import Domain, Experiment, PolicyRevision, Scope
from tests.api.client import API, Document, secret_with
from tests.experiment_rows import add_units, draft, running

EXPERIMENTS = "/api/v1/experiments"
CHEAPER = f"{EXPERIMENTS}/cheaper"

BODY: dict[str, Any] = {
    "key": "cheaper",
    "hypothesis": "Technical prompts cost less and are no worse.",
    "domain": "technical",
    "planned_units": 2000,
    "target_effect": 0.0005,
    "arms": [
        {"name": "control", "is_control": True, "policy": {"method": "always_strong"}},
        {
            "name": "local-75",
            "policy": {"method": "routellm", "router": "local", "threshold": 0.75},
        },
    ],
    "metrics": [
        {"metric": "cost", "role": "primary"},
        {"metric": "quality", "role": "guardrail", "margin": 0.02},
    ],
}


@pytest.fixture
def reader(seeded: None, openapi: Document) -> API:
    return API(openapi, secret_with(Scope.READ))


@pytest.fixture
def manager(seeded: None, openapi: Document) -> API:
    return API(openapi, secret_with(Scope.MANAGE))


def test_it_works(api: API) -> None:
    created = api.post(EXPERIMENTS, BODY)
    assert created.status == 201
    assert created.data["status"] == "draft"
    assert created.data["target_effect"] == "0.0005"
    assert created.data["arms"][1] == {
        "name": "local-75",
        "weight": 0.5,
        "is_control": False,
        "policy": {
            "method": "routellm",
            "router": "local",
            "threshold": 0.75,
            "strong_model": None,
            "weak_model": None,
            "epsilon": 0.0,
        },
    }

    assert api.get(f"{CHEAPER}/checklist").data["ready"] is True
    started = api.post(f"{CHEAPER}/start", {})
    assert (started.status, started.data["status"], started.data["phase"]) == (200, "running", 1)
    decision = api.route("Sort a list.", domain="technical", unit_id="user-1")
    assert decision["experiment"]["key"] == "cheaper"
    assert api.post(f"{CHEAPER}/pause", {}).data["status"] == "paused"
    assert api.post(f"{CHEAPER}/resume", {}).data["status"] == "running"
    stopped = api.post(f"{CHEAPER}/stop", {"reason": "Enough seen"})
    assert stopped.data["status"] == "stopped"
    assert stopped.data["stop_reason"] == "Enough seen"
    assert stopped.data["verdict"] == "not_enough_data"
    assert stopped.data["stopped_by"] == "API key route-feedback-read-manage"
    assert api.post(f"{CHEAPER}/archive", {}).data["status"] == "archived"


def test_an_arm_may_decide_between_more_than_two_models(api: API) -> None:
    step = {"model": "openai/gpt-4.1-mini", "router": "local", "threshold": 0.2}
    control, treatment = BODY["arms"]
    arm = {**treatment, "policy": {**treatment["policy"], "between": [step]}}
    created = api.post(EXPERIMENTS, {**BODY, "arms": [control, arm]})
    assert created.data["arms"][1]["policy"]["between"] == [step]
    same = api.patch(CHEAPER, {"arms": created.data["arms"]})
    assert same.data["arms"] == created.data["arms"]


@pytest.mark.parametrize(
    ("step", "param"),
    [
        ({"router": "local", "threshold": 0.2}, "arms[1].policy.between[0].model"),
        (
            {"model": "openai/gpt-4.1-mini", "router": "local", "threshold": 2},
            "arms[1].policy.between[0].threshold",
        ),
    ],
)
def test_a_step_that_cannot_work_is_refused_by_its_path(
    api: API, step: dict[str, Any], param: str
) -> None:
    control, treatment = BODY["arms"]
    arm = {**treatment, "policy": {**treatment["policy"], "between": [step]}}
    refused = api.post(EXPERIMENTS, {**BODY, "arms": [control, arm]})
    assert (refused.status, refused.data["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"key": "chea\nper"}, "key"),
        ({"key": "cheaper\n"}, "key"),
        ({"arms": [{**BODY["arms"][0], "name": "con\x1ftrol"}, BODY["arms"][1]]}, "arms[0].name"),
    ],
)
def test_names_hold_no_control_characters(api: API, changed: dict[str, Any], param: str) -> None:
    refused = api.post(EXPERIMENTS, {**BODY, **changed})
    assert (refused.status, refused.data["error"]["param"]) == (400, param)


def test_an_arm_needs_a_model_registered_by_exactly_that_name(api: API) -> None:
    control, treatment = BODY["arms"]
    policy = {**treatment["policy"], "strong_model": "openai/gpt-4.1\n"}
    refused = api.post(EXPERIMENTS, {**BODY, "arms": [control, {**treatment, "policy": policy}]})
    assert refused.status == 400


def test_every_step_is_a_revision_by_the_key(api: API) -> None:
    api.post(EXPERIMENTS, BODY)
    api.post(f"{CHEAPER}/start", {})
    newest = PolicyRevision.objects.latest("number")
    assert newest.author_name == "API key route-feedback-read-manage"
    assert newest.note == "Started experiment cheaper"


def test_a_step_needs_no_body(api: API) -> None:
    draft()
    assert api.send(f"{CHEAPER}/start", b"").status == 200


def test_reading_takes_the_scope_read_and_writing_manage(reader: API, manager: API) -> None:
    draft()
    assert reader.get(EXPERIMENTS).status == 200
    assert reader.get(f"{CHEAPER}/results").status == 200
    for refused in (
        reader.post(EXPERIMENTS, BODY),
        reader.patch(CHEAPER, {}),
        reader.post(f"{CHEAPER}/start", {}),
    ):
        assert refused.fault == (403, None, "forbidden")
    assert manager.post(f"{CHEAPER}/start", {}).status == 200
    assert manager.get(EXPERIMENTS).status == 403


def test_without_a_key_nothing_is_disclosed(stranger: API) -> None:
    assert stranger.get(EXPERIMENTS).status == 401


def test_the_list_leaves_archived_ones_out_unless_asked(api: API) -> None:
    lifecycle.archive(draft("old"), "tests")
    running("now")
    draft("next", domain="creative")
    assert [row["key"] for row in api.get(EXPERIMENTS).data["results"]] == ["next", "now"]
    by_status = {s: api.get(EXPERIMENTS, status=s).data["results"] for s in ("archived", "draft")}
    assert [row["key"] for row in by_status["archived"]] == ["old"]
    assert [row["key"] for row in by_status["draft"]] == ["next"]
    assert api.get(EXPERIMENTS, status="sleeping").fault == (400, "status", "invalid_value")


def test_an_unknown_experiment_is_404(api: API) -> None:
    for path in ("", "/results", "/checklist", "/plan"):
        assert api.get(f"{EXPERIMENTS}/unknown{path}").fault == (404, None, "not_found")
    assert api.post(f"{EXPERIMENTS}/unknown/start", {}).status == 404
    assert api.patch(f"{EXPERIMENTS}/unknown", {}).status == 404


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"key": None}, ("key", "missing")),
        ({"key": "Not A Key"}, ("key", "invalid_value")),
        ({"coverage": 1.5}, ("coverage", "out_of_range")),
        ({"coverage": "all"}, ("coverage", "invalid_type")),
        ({"alpha": 0.9}, ("alpha", "out_of_range")),
        ({"min_units": 50}, ("min_units", "out_of_range")),
        ({"target_effect": 0}, ("target_effect", "out_of_range")),
        ({"namespace": "No!"}, ("namespace", "invalid_value")),
        ({"namespace_start": 0.6, "namespace_end": 0.4}, ("namespace_end", "invalid_value")),
        ({"domain": "astrology"}, ("domain", "unknown_name")),
        ({"owner": 5}, ("owner", "invalid_type")),
        ({"hypotesis": "?"}, ("hypotesis", "unknown_field")),
        ({"hypothesis": None}, ("hypothesis", "invalid_value")),
        ({"arms": []}, ("arms", "out_of_range")),
        ({"arms": [{"name": "a"}]}, ("arms[0].policy", "missing")),
        ({"arms": [{"name": "a", "policy": "weak"}]}, ("arms[0].policy", "invalid_type")),
        ({"arms": [{"name": "a", "policy": {}}]}, ("arms[0].policy.method", "missing")),
        (
            {"arms": [{"name": "a", "policy": {"method": "magic"}}]},
            ("arms[0].policy.method", "invalid_value"),
        ),
        (
            {"arms": [{"name": "a", "policy": {"method": "routellm", "router": "oracle"}}]},
            ("arms[0].policy.router", "unknown_name"),
        ),
        ({"arms": [BODY["arms"][0], BODY["arms"][0]]}, ("arms", "invalid_value")),
        ({"metrics": [{"metric": "cost"}]}, ("metrics[0].role", "missing")),
        (
            {"metrics": [{"metric": "quality", "role": "guardrail"}]},
            ("metrics[0].margin", "missing"),
        ),
        (
            {"metrics": [{"metric": "quality", "role": "guardrail", "margin": 0}]},
            ("metrics[0].margin", "missing"),
        ),
    ],
)
def test_invalid_values_are_refused_naming_the_field(
    api: API, change: dict[str, Any], fault: tuple[str, str]
) -> None:
    answer = api.post(EXPERIMENTS, {**BODY, **change})
    assert answer.fault == (400, *fault), answer.error
    assert not Experiment.objects.exists()


def test_a_key_is_taken_once(api: API) -> None:
    draft()
    answer = api.post(EXPERIMENTS, BODY)
    assert answer.fault == (409, None, "not_possible_now")
    assert "Experiment 'cheaper' already exists" in answer.error["message"]


def test_a_start_is_refused_with_every_reason(api: API) -> None:
    api.post(EXPERIMENTS, {"key": "cheaper", "hypothesis": "?"})
    answer = api.post(f"{CHEAPER}/start", {})
    assert answer.fault == (409, None, "not_possible_now")
    for reason in ("Add at least two arms.", "Mark exactly one arm as control.", "planned"):
        assert reason in answer.error["message"]
    checks = api.get(f"{CHEAPER}/checklist").data
    assert checks["ready"] is False
    assert checks["checks"][0] == {
        "name": "arms",
        "passed": False,
        "message": "Add at least two arms.",
    }


def test_a_draft_is_edited_freely(api: API) -> None:
    draft()
    answer = api.patch(
        CHEAPER, {"domain": None, "planned_units": None, "alpha": 0.1, "arms": BODY["arms"]}
    )
    assert answer.status == 200
    assert (answer.data["domain"], answer.data["planned_units"]) == (None, None)
    assert answer.data["alpha"] == 0.1
    assert [arm["name"] for arm in answer.data["arms"]] == ["control", "local-75"]


def test_editing_locked_fields_of_a_running_experiment_is_409_with_every_reason(api: API) -> None:
    running()
    answer = api.patch(CHEAPER, {"alpha": 0.2, "min_days": 1, "coverage": 0.5})
    assert answer.fault == (409, None, "locked")
    for reason in ("alpha cannot change", "min_days cannot change", "coverage can only grow"):
        assert reason in answer.error["message"]
    assert Experiment.objects.get().alpha == 0.05


def test_other_arms_of_a_running_experiment_start_a_phase(api: API) -> None:
    running()
    answer = api.patch(CHEAPER, {"arms": BODY["arms"], "owner": "olga"})
    assert answer.status == 200
    assert (answer.data["phase"], answer.data["owner"]) == (2, "olga")
    assert [phase["number"] for phase in answer.data["phases"]] == [1, 2]
    assert answer.data["phases"][0]["ended_at"] is not None


def test_the_same_arms_again_start_no_phase(api: API) -> None:
    running()
    arms = api.get(CHEAPER).data["arms"]
    assert api.patch(CHEAPER, {"arms": arms, "owner": "olga"}).data["phase"] == 1


def test_an_archived_experiment_is_not_edited(api: API) -> None:
    lifecycle.archive(draft(), "tests")
    assert api.patch(CHEAPER, {"owner": "olga"}).fault == (409, None, "not_possible_now")


def test_stopping_needs_a_reason(api: API) -> None:
    running()
    assert api.post(f"{CHEAPER}/stop", {}).fault == (400, "reason", "missing")
    assert Experiment.objects.get().status == "running"


def test_invalid_state_changes_are_409(api: API) -> None:
    draft()
    for step in ("pause", "resume"):
        assert api.post(f"{CHEAPER}/{step}", {}).fault == (409, None, "not_possible_now")


def test_shipping_writes_the_policy_into_the_domain(api: API) -> None:
    running()
    assert api.post(f"{CHEAPER}/ship", {"arm": "best"}).status == 409
    assert api.post(f"{CHEAPER}/ship", {}).fault == (400, "arm", "missing")
    answer = api.post(f"{CHEAPER}/ship", {"arm": "weak", "anyway": True, "reason": "The budget"})
    assert (answer.data["status"], answer.data["shipped_arm"]) == ("stopped", "weak")
    assert Domain.objects.get(name="technical").method == "always_weak"


def test_cloning_makes_a_draft(api: API) -> None:
    running()
    answer = api.post(f"{CHEAPER}/clone", {"key": "again"})
    assert (answer.status, answer.data["key"], answer.data["status"]) == (201, "again", "draft")
    assert api.post(f"{CHEAPER}/clone", {"key": "again"}).fault == (400, "key", "invalid_value")
    assert api.post(f"{CHEAPER}/clone", {}).fault == (400, "key", "missing")


def test_a_plan_says_what_is_missing(api: API) -> None:
    draft()
    plan = api.get(f"{CHEAPER}/plan").data
    assert plan["possible"] is False
    assert plan["missing"] == ["cost", "quality"]


def test_a_plan_from_recent_units(api: API) -> None:
    other = draft("before", domain="creative")
    recent = (timezone.now() - timedelta(days=3)).date()
    add_units(other, "control", 500, day=recent)
    draft(target_effect="0.001")
    plan = api.get(f"{CHEAPER}/plan").data
    assert plan["possible"] is True
    assert plan["units"] > 1000
    assert plan["limiting"] == "quality"
    assert plan["sentence"].startswith(f"{plan['units']:,} units, about {plan['days']:,} days,")


def test_results_are_data_and_a_sentence(api: API) -> None:
    start = timezone.now() - timedelta(days=10)
    experiment = running(now=start, margin=0.15, min_days=2)
    add_units(experiment, "control", 800, cost=10_000_000, day=start.date(), spread_days=2)
    add_units(experiment, "weak", 800, day=start.date(), spread_days=2)
    data = api.get(f"{CHEAPER}/results").data
    assert data["verdict"]["outcome"] == "ship"
    assert data["verdict"]["arm"] == "weak"
    assert data["sentence"] == data["verdict"]["sentence"]
    assert {reason["code"] for reason in data["verdict"]["reasons"]} == {
        "primary_better",
        "guardrail_inside",
    }
    assert data["health"]["healthy"] is True
    assert [(arm["name"], arm["units"]) for arm in data["arms"]] == [
        ("control", 800),
        ("weak", 800),
    ]
    cost = next(effect for effect in data["effects"] if effect["metric"] == "cost")
    assert cost["sequential_interval"][1] < 0
    assert (cost["unit"], cost["better"], cost["observed"]) == ("USD", "lower", 800)
    assert {point["metric"] for point in data["series"]} == {"cost", "quality"}
    assert data["progress"]["planned"] == 2000
    assert data["progress"]["remaining"]["sentence"].startswith(("About", "The planned"))


def test_results_of_a_draft(api: API) -> None:
    draft()
    data = api.get(f"{CHEAPER}/results").data
    assert (data["status"], data["verdict"], data["effects"]) == ("draft", None, [])
    assert data["sentence"].startswith("Not started yet")
