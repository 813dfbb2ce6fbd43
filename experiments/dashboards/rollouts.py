"""`/rollouts/`: the percentage of each domain's flag, and the state of each rollout."""

from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from experiments.dashboards import rollout_wording
from experiments.dashboards.actions import PageAction
from experiments.dashboards.experiment_wording import StateWord
from experiments.dashboards.experiments import address
from experiments.dashboards.pages import page, show
from experiments.dashboards.rollout_actions import CHANGE, actions_of
from experiments.decisions.text import ExplanationStep
from experiments.rollouts.states import rollout_states
from experiments.rollouts.summaries import GuardLine, RolloutLine, rollout_lines

READ = "experiments.view_rollout"


class RolloutRow(NamedTuple):
    """One rollout on the page."""

    line: RolloutLine
    state: StateWord
    sentence: str
    compared: str
    guards: list[GuardLine]
    steps: list[ExplanationStep]
    actions: list[PageAction]


@page(READ)
def rollouts(request: HttpRequest) -> HttpResponse:
    lines = rollout_lines(timezone.now())
    rows = [_row(line, may_change=request.user.has_perm(CHANGE)) for line in lines]
    context = {
        "answer": rollout_wording.lines(lines),
        "open": [row for row in rows if row.line.is_open],
        "ended": [row for row in rows if not row.line.is_open],
        "flags": sorted(rollout_states().values(), key=lambda one: one.domain),
        "add": address("admin:experiments_rollout_add"),
    }
    return show(request, "pages/rollouts.html", "rollouts", context)


def _row(line: RolloutLine, *, may_change: bool) -> RolloutRow:
    return RolloutRow(
        line=line,
        state=rollout_wording.state_of(line.rollout),
        sentence=rollout_wording.sentence(line),
        compared=rollout_wording.compared(line),
        guards=rollout_wording.guards(line),
        steps=rollout_wording.steps(line),
        actions=actions_of(line.rollout) if may_change else [],
    )
