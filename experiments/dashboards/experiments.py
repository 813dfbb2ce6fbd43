"""`/experiments/`: all experiments and results; `/experiments/<key>/`: one, with its verdict."""

from datetime import datetime
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from experiments.analysis.experiment.health import MINIMUM_SHOWN
from experiments.analysis.experiment.verdict import ReasonCode, Verdict
from experiments.dashboards import experiment_charts, experiment_wording
from experiments.dashboards.experiment_actions import CHANGE, actions_of
from experiments.dashboards.experiment_wording import Note, StateWord, state_of
from experiments.dashboards.pages import page, show
from experiments.dashboards.palette import SeriesStyle
from experiments.experimentation.checklists import Check, checklist
from experiments.experimentation.planning import propose
from experiments.experimentation.results import ArmSummary, Results, results
from experiments.experimentation.summaries import ExperimentLine, experiment_lines
from experiments.experimentation.text import health_message, plan_sentence, verdict_expectation
from experiments.models import Arm, Experiment

READ = "experiments.view_experiment"
SECTION = "experiments"


class LineRow(NamedTuple):
    line: ExperimentLine
    state: StateWord


class Group(NamedTuple):
    """Experiments that need the same from the reader."""

    title: str
    rows: list[LineRow]


class ArmRow(NamedTuple):
    arm: ArmSummary
    policy: str
    look: SeriesStyle


@page(READ)
def experiments(request: HttpRequest) -> HttpResponse:
    lines = experiment_lines(timezone.now())
    context = {
        "answer": experiment_wording.lines(lines),
        "groups": _groups(lines),
        "add": address("admin:experiments_experiment_add"),
    }
    return show(request, "pages/experiments.html", SECTION, context)


def _groups(lines: tuple[ExperimentLine, ...]) -> list[Group]:
    titles = ("Waiting for a decision", "Running", "Drafts", "Ended")
    groups: dict[str, list[LineRow]] = {title: [] for title in titles}
    for line in lines:
        row = LineRow(line, state_of(line.status, line.verdict, line.shipped_arm))
        groups[titles[_place(line)]].append(row)
    groups[titles[0]].sort(key=lambda row: experiment_wording.TO_DO_ORDER.index(row.line.verdict))
    return [Group(title, rows) for title, rows in groups.items() if rows]


def _place(line: ExperimentLine) -> int:
    if line.status == Experiment.Status.DRAFT:
        return 2
    if line.status == Experiment.Status.STOPPED:
        return 3
    decided = line.verdict in experiment_wording.TO_DO_ORDER
    return 0 if decided and line.status == Experiment.Status.RUNNING else 1


@page(READ)
def experiment(request: HttpRequest, key: str) -> HttpResponse:
    row = Experiment.objects.select_related("domain").filter(key=key).first()
    if row is None:
        context = {"key": key, "href": reverse("dashboards:experiments")}
        return show(request, "pages/no_experiment.html", SECTION, context, status=404)
    return show(request, "pages/experiment.html", SECTION, _context(request, row, timezone.now()))


def _context(request: HttpRequest, row: Experiment, now: datetime) -> dict[str, Any]:
    found = results(row, now)
    outcome = str(found.verdict.outcome) if found.verdict else ""
    checks = _checks(row, now)
    may_change = request.user.has_perm(CHANGE)
    return {
        "experiment": row,
        "results": found,
        "state": state_of(row.status, outcome, row.shipped_arm),
        "sentence": experiment_wording.ready(checks) or found.sentence,
        "looked_at": experiment_wording.looked_at(found.progress, row.status),
        "expectation": verdict_expectation(found.verdict) if found.verdict else "",
        "judged": experiment_wording.judged(row, found),
        "reasons": _reasons(found.verdict, found),
        "effects": experiment_charts.effects(found),
        "over_time": experiment_charts.over_time(found),
        "arms": _arms(row, found),
        "minimum_shown": MINIMUM_SHOWN,
        "health": _health(found),
        "domains": experiment_charts.domain_table(found),
        "progress": _progress(row, found, now),
        "checks": checks,
        "plan": experiment_wording.plan(
            row,
            {one.metric: one.label for one in found.effects},
            sum(arm.cut for arm in found.arms),
        ),
        "phases": row.phases.all(),
        "actions": actions_of(row, found.verdict, checks) if may_change else [],
        "edit": address("admin:experiments_experiment_change", row.pk),
    }


def _reasons(verdict: Verdict | None, found: Results) -> list[Note]:
    """All reasons except health, which is listed separately."""
    reasons = verdict.reasons if verdict else ()
    return [
        experiment_wording.reason(one, found.effects)
        for one in reasons
        if one.code is not ReasonCode.HEALTH
    ]


def _arms(row: Experiment, found: Results) -> list[ArmRow]:
    arms = row.arms.select_related("router", "strong_model", "weak_model")
    policies: dict[str, Arm] = {arm.name: arm for arm in arms}
    looks = experiment_charts.looks_of(found)
    return [
        ArmRow(arm, experiment_wording.policy(policies.get(arm.name)), looks[arm.name])
        for arm in found.arms
    ]


def _health(found: Results) -> list[Note]:
    """Each message once, also if it is about several arms."""
    states = experiment_wording.HEALTH_STATES
    checks = (Note(states[check.status], health_message(check)) for check in found.health.checks)
    return list(dict.fromkeys(checks))


def _progress(row: Experiment, found: Results, now: datetime) -> str:
    """The progress; of a draft, the proposal of the power calculation."""
    if not row.is_draft:
        return experiment_wording.progress_sentence(found.progress)
    planned = f"{row.planned_units:,} units are planned." if row.planned_units else ""
    return f"{planned} {plan_sentence(propose(row, now.date()))}".strip()


def _checks(row: Experiment, now: datetime) -> list[Check]:
    """The checklist of a draft; empty for others."""
    return checklist(row, now.date()) if row.is_draft else []


def address(name: str, *args: object) -> str | None:
    """A page of the admin, if it is installed."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return None
