"""Experiments in the admin: created, started, watched, changed, ended."""

import re
from datetime import timedelta
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from experiments.experimentation import lifecycle
from experiments.models import Domain, Experiment, PolicyRevision, Router
from tests.admin.conftest import Submit, errors_of
from tests.experiment_rows import add_units, draft, running

ADD = reverse("admin:experiments_experiment_add")
LIST = reverse("admin:experiments_experiment_changelist")


def page(row: Experiment) -> str:
    return reverse("admin:experiments_experiment_change", args=[row.pk])


def step(row: Experiment, name: str) -> str:
    return reverse("admin:experiments_experiment_step", args=[row.pk, name])


def text(client: Client, url: str) -> str:
    return client.get(url).content.decode()


def test_a_policy_is_one_line_without_signs_next_to_its_choices(operator: Client) -> None:
    page_of_arms = text(operator, ADD)
    arms = page_of_arms[page_of_arms.index('id="arms-group"') :]
    arms = arms[: arms.index('id="fieldset-0-1-heading"')]
    assert 'name="arms-1-router"' in arms
    assert "related-widget-wrapper-link" not in arms


def test_it_works(operator: Client, submit: Submit) -> None:
    """From an empty form to a running experiment."""
    technical = Domain.objects.get(name="technical")
    response = submit(
        operator,
        ADD,
        key="cheaper",
        hypothesis="It costs less and is no worse.",
        domain=technical.pk,
        planned_units=2000,
        **{"arms-1-router": Router.objects.get(name="local").pk, "arms-1-threshold": "0.75"},
    )
    assert response.status_code == 302, errors_of(response)
    row = Experiment.objects.get()
    assert [(a.name, a.method, a.is_control) for a in row.arms.all()] == [
        ("control", "always_strong", True),
        ("treatment", "routellm", False),
    ]
    assert {(m.metric, m.role, m.margin) for m in row.metrics.all()} == {
        ("cost", "primary", None),
        ("quality", "guardrail", 0.02),
    }
    assert "2 arms differ." in text(operator, page(row))

    assert "Units are assigned from now on" in text(operator, step(row, "start"))
    assert operator.post(step(row, "start")).status_code == 302
    row.refresh_from_db()
    assert row.status == "running"
    assert PolicyRevision.objects.latest("number").author_name == "olga"


def test_the_form_is_in_the_order_one_thinks(operator: Client) -> None:
    headings = re.findall(r"<h2[^>]*>\s*([^<]+?)\s*</h2>", text(operator, ADD))
    parts = ["Question", "Policies compared", "Units", "Metrics", "Verdict", "Sample size"]
    assert [one for one in headings if one in parts] == parts


def test_the_checklist_says_what_is_left_to_do(operator: Client) -> None:
    html = text(operator, page(draft(planned_units=None)))
    assert "A price is known for every model." in html
    assert "<strong>To do:</strong> Enter the planned units" in html


def test_a_start_that_is_refused_says_every_reason(operator: Client) -> None:
    row = draft(planned_units=None, arms={"control": "always_strong"})
    response = operator.post(step(row, "start"))
    assert response.status_code == 200
    html = response.content.decode()
    assert "Add at least two arms." in html
    assert "Enter the planned units" in html


def test_a_proposed_size_is_taken_over_with_one_click(operator: Client) -> None:
    other = draft("before", domain="creative")
    add_units(other, "control", 500, day=(timezone.now() - timedelta(days=3)).date())
    row = draft(planned_units=None, target_effect="0.001")
    html = text(operator, page(row))
    assert "decide quality with 80 % power" in html
    assert operator.post(step(row, "plan")).status_code == 302
    row.refresh_from_db()
    assert row.planned_units is not None
    assert f"Plan {row.planned_units:,} units" in html


def test_results_at_a_glance(operator: Client) -> None:
    start = timezone.now() - timedelta(days=10)
    row = running(now=start, margin=0.15, min_days=2)
    add_units(row, "control", 800, cost=10_000_000, day=start.date(), spread_days=2)
    add_units(row, "weak", 40, day=start.date(), spread_days=2)
    html = text(operator, page(row))
    assert "control (control)" in html
    assert "too few: 40 of 50" in html
    assert "840 of 2,000 units counted, day 10." in html


def test_a_verdict_is_the_first_sentence(operator: Client) -> None:
    start = timezone.now() - timedelta(days=10)
    row = running(now=start, margin=0.15, min_days=2)
    add_units(row, "control", 800, cost=10_000_000, day=start.date(), spread_days=2)
    add_units(row, "weak", 800, day=start.date(), spread_days=2)
    assert "Ship &quot;weak&quot;. It costs" in text(operator, page(row))


def test_what_is_locked_cannot_be_edited_while_it_runs(operator: Client) -> None:
    row = running()
    form = operator.get(page(row)).context["adminform"].form
    assert {"hypothesis", "owner", "coverage"} <= set(form.fields)
    assert not {"key", "domain", "alpha", "planned_units", "window_days"} & set(form.fields)


def test_less_coverage_is_refused_with_the_reason(operator: Client, submit: Submit) -> None:
    row = running(coverage=0.5)
    response = submit(operator, page(row), coverage="0.4")
    assert "its coverage can only grow" in errors_of(response)
    row.refresh_from_db()
    assert row.coverage == 0.5


def test_the_question_of_a_running_experiment_may_be_reworded(
    operator: Client, submit: Submit
) -> None:
    row = running()
    assert submit(operator, page(row), hypothesis="Better worded.").status_code == 302
    row.refresh_from_db()
    assert (row.hypothesis, row.phase) == ("Better worded.", 1)


def weights(control: float, weak: float) -> dict[str, Any]:
    return {"arms-0-weight": str(control), "arms-1-weight": str(weak)}


def test_other_weights_are_asked_about_before_a_new_phase(operator: Client, submit: Submit) -> None:
    row = running()
    response = submit(operator, page(row), **weights(0.8, 0.2))
    html = response.content.decode()
    assert "start phase 2" in html
    assert "results start at zero" in html
    row.refresh_from_db()
    assert (row.phase, {arm.weight for arm in row.arms.all()}) == (1, {0.5})


def test_confirmed_weights_are_a_new_phase_in_one_revision(
    operator: Client, submit: Submit
) -> None:
    row = running()
    seed, number = row.seed, PolicyRevision.objects.latest("number").number
    assert submit(operator, page(row), _new_phase="1", **weights(0.8, 0.2)).status_code == 302
    row.refresh_from_db()
    assert (row.phase, [arm.weight for arm in row.arms.all()]) == (2, [0.8, 0.2])
    assert row.seed != seed
    assert PolicyRevision.objects.latest("number").number == number + 1
    assert [phase.ended_at is None for phase in row.phases.order_by("number")] == [False, True]


def test_weights_that_do_not_sum_to_one_start_no_phase(operator: Client, submit: Submit) -> None:
    row = running()
    response = submit(operator, page(row), _new_phase="1", **weights(0.8, 0.8))
    assert "make them sum to 1" in errors_of(response)
    row.refresh_from_db()
    assert row.phase == 1


def test_pausing_resuming_and_stopping_with_a_reason(operator: Client) -> None:
    row = running()
    operator.post(step(row, "pause"))
    operator.post(step(row, "resume"))
    row.refresh_from_db()
    assert row.status == "running"
    assert "This field is required" in operator.post(step(row, "stop")).content.decode()
    operator.post(step(row, "stop"), {"reason": "Prices changed"})
    row.refresh_from_db()
    assert (row.status, row.stop_reason, row.stopped_by) == ("stopped", "Prices changed", "olga")


def test_shipping_an_arm(operator: Client) -> None:
    row = running()
    assert operator.post(step(row, "ship"), {"arm": "best"}).status_code == 200
    refused = operator.post(step(row, "ship"), {"arm": "weak"}).content.decode()
    assert "Verdict at" in refused
    assert Domain.objects.get(name="technical").method == "routellm"
    operator.post(step(row, "ship"), {"arm": "weak", "reason": "The budget decides"})
    assert Domain.objects.get(name="technical").method == "always_weak"
    row.refresh_from_db()
    assert row.shipped_arm == "weak"


def test_before_shipping_it_says_verdict_change_and_predicted_share(operator: Client) -> None:
    html = text(operator, step(running(), "ship"))
    assert "UTC: not_enough_data. Not enough data for" in html
    assert "weak: technical: from local for 50 % strong to always the weak model." in html
    assert "strong share 0 %, today" in html


def test_an_arm_is_shipped_once(operator: Client) -> None:
    row = running()
    operator.post(step(row, "ship"), {"arm": "weak", "reason": "The budget decides"})
    operator.post(step(row, "ship"), {"arm": "control", "reason": "Another thought"})
    row.refresh_from_db()
    assert (row.shipped_arm, Domain.objects.get(name="technical").method) == ("weak", "always_weak")


def test_cloning_leads_to_the_draft(operator: Client) -> None:
    row = running()
    response = operator.post(step(row, "clone"), {"key": "again"})
    assert response["Location"] == page(Experiment.objects.get(key="again"))
    taken = operator.post(step(row, "clone"), {"key": "again"})
    assert "already exists" in taken.content.decode()


def test_a_step_whose_moment_has_passed_is_not_taken(operator: Client) -> None:
    row = running()
    response = operator.post(step(row, "start"), follow=True)
    assert "This step is no longer available" in response.content.decode()


def test_an_archived_experiment_still_shows_what_it_found(operator: Client) -> None:
    row = running()
    lifecycle.stop(row, "tests", timezone.now(), reason="Done", verdict="")
    operator.post(step(row, "archive"))
    assert "Archived" in text(operator, page(row))


def test_only_a_draft_can_be_deleted(operator: Client) -> None:
    row = draft()
    delete = reverse("admin:experiments_experiment_delete", args=[row.pk])
    lifecycle.start(row, "tests", timezone.now())
    assert operator.post(delete, {"post": "yes"}).status_code == 403
    other = draft("other", domain="creative")
    delete = reverse("admin:experiments_experiment_delete", args=[other.pk])
    assert operator.post(delete, {"post": "yes"}).status_code == 302
    assert not Experiment.objects.filter(key="other").exists()


def test_a_viewer_sees_results_but_no_buttons(viewer: Client) -> None:
    row = running()
    html = text(viewer, page(row))
    assert "Now" in html
    assert "step/stop/" not in html
    assert viewer.post(step(row, "stop"), {"reason": "?"}).status_code == 403


def test_the_list(operator: Client) -> None:
    running()
    draft("next", domain="creative")
    html = text(operator, LIST)
    assert 'class="state state-running">Running' in html
    assert 'class="state state-draft">Draft' in html


def test_a_draft_with_weights_that_do_not_sum_to_one_is_not_saved(
    operator: Client, submit: Submit
) -> None:
    row = draft()
    response = submit(operator, page(row), **weights(0.5, 0.4998))
    assert "The weights sum to 0.9998: make them sum to 1" in errors_of(response)
    assert submit(operator, page(row), **weights(0.5, 0.49995)).status_code == 302
    assert [arm.weight for arm in row.arms.all()] == [0.5, 0.49995]
