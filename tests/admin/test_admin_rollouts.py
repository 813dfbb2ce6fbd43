"""Guarded rollouts in the admin: steps in words, buttons, history."""

import pytest
from django.test import Client
from django.urls import reverse

from experiments.models import Flag, PolicyRevision, Rollout
from tests.admin.conftest import Submit, errors_of
from tests.experiment_rows import rollout

ADD = reverse("admin:experiments_rollout_add")
MEDICAL = "routellm_medical_domain"


def page(row: Rollout) -> str:
    return reverse("admin:experiments_rollout_change", args=[row.pk])


def step(row: Rollout, name: str) -> str:
    return reverse("admin:experiments_rollout_step", args=[row.pk, name])


def medical() -> Flag:
    return Flag.objects.get(key=MEDICAL)


STEPS = "10 % for 24 hours\n25% for 2 days\n50 until an operator goes on\n100 % for 0 hours"


def test_it_works(operator: Client, submit: Submit) -> None:
    response = submit(operator, ADD, flag=medical().pk, steps=STEPS)
    assert response.status_code == 302, errors_of(response)
    row = Rollout.objects.get()
    assert row.steps == [[10.0, 24.0], [25.0, 48.0], [50.0, None], [100.0, 0.0]]

    operator.post(step(row, "start"))
    assert float(medical().percentage) == 10
    assert PolicyRevision.objects.latest("number").author_name == "olga"
    html = operator.get(page(row)).content.decode()
    assert "the flag is at 10 %" in html
    assert "50 % until an operator continues; 100 % for 0 hours, unmonitored" in html
    assert "The smaller group has 0 units." in html

    operator.post(step(row, "pause"))
    operator.post(step(row, "resume"))
    operator.post(step(row, "roll-back"), {"reason": "Complaints"})
    row.refresh_from_db()
    assert (row.state, float(medical().percentage)) == ("rolled_back", 0)
    assert "Complaints" in operator.get(page(row)).content.decode()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("ten percent", "is not a step"),
        ("50 % for 1 day\n10 % for 1 day", "must rise"),
        ("0 % for 1 day", "between 0.01 and 100"),
        ("", "at least one step"),
    ],
)
def test_steps_that_make_no_sense_are_refused(
    operator: Client, submit: Submit, steps: str, message: str
) -> None:
    response = submit(operator, ADD, flag=medical().pk, steps=steps)
    assert message in response.content.decode()
    assert not Rollout.objects.exists()


def test_guards_are_written_one_a_line(operator: Client, submit: Submit) -> None:
    guards = "error_rate 0.02\np95_latency 0.05 limit 2000"
    response = submit(operator, ADD, flag=medical().pk, steps=STEPS, guards=guards)
    assert response.status_code == 302, errors_of(response)
    row = Rollout.objects.get()
    assert row.guards == [
        {"metric": "error_rate", "margin": 0.02, "limit": None},
        {"metric": "p95_latency", "margin": 0.05, "limit": 2000.0},
    ]
    assert PolicyRevision.objects.latest("number").note == f"Rollout of {MEDICAL}: planned"
    html = operator.get(page(row)).content.decode()
    assert "Worst case of the first step, 10 % of traffic" in html
    assert "p95_latency 0.05 limit 2000" in html


@pytest.mark.parametrize(
    ("guards", "message"),
    [
        ("quality", "is not a guard"),
        ("quality little", "is not a guard"),
        ("joy 0.1", "Unknown metric"),
        ("cost 0.1", "needs a limit above 0"),
    ],
)
def test_guards_that_cannot_be_used_are_refused(
    operator: Client, submit: Submit, guards: str, message: str
) -> None:
    response = submit(operator, ADD, flag=medical().pk, steps=STEPS, guards=guards)
    assert message in response.content.decode()
    assert not Rollout.objects.exists()


def test_advancing_anyway_needs_a_reason(operator: Client) -> None:
    row = rollout()
    operator.post(step(row, "start"))
    operator.post(step(row, "advance-anyway"), {"reason": ""})
    assert float(medical().percentage) == 10
    operator.post(step(row, "advance-anyway"), {"reason": "The quarter ends"})
    assert float(medical().percentage) == 50
    operator.post(step(row, "target"), {"percentage": "60"})
    row.refresh_from_db()
    assert row.steps[-1][0] == 60.0


def test_a_flag_has_one_open_rollout(operator: Client, submit: Submit) -> None:
    rollout()
    response = submit(operator, ADD, flag=medical().pk, steps=STEPS)
    assert "This flag already has a rollout" in response.content.decode()


def test_switches_are_not_offered(operator: Client) -> None:
    html = operator.get(ADD).content.decode()
    assert MEDICAL in html
    assert "routellm_enabled" in html
    assert "routellm_cost_tracking" not in html


def test_the_plan_of_one_under_way_stays(operator: Client, submit: Submit) -> None:
    row = rollout()
    operator.post(step(row, "start"))
    form = operator.get(page(row)).context["adminform"].form
    assert not form.fields
    delete = reverse("admin:experiments_rollout_delete", args=[row.pk])
    assert operator.post(delete, {"post": "yes"}).status_code == 403


def test_a_step_that_waits_goes_on(operator: Client) -> None:
    row = rollout(steps=[(10, None), (50, 24)], state="ready", step=0)
    Flag.objects.filter(key=MEDICAL).update(percentage=10)
    operator.post(step(row, "go-on"))
    row.refresh_from_db()
    assert (row.state, row.step, float(medical().percentage)) == ("running", 1, 50)


def test_a_viewer_takes_no_step(viewer: Client) -> None:
    row = rollout()
    assert viewer.get(page(row)).status_code == 200
    assert viewer.post(step(row, "start")).status_code == 403
    row.refresh_from_db()
    assert row.state == "pending"
