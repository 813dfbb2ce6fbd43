"""What the page of rollouts says, and each rollout's steps as a track."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from experiments.analysis.rollout import GuardResult
from experiments.analysis.rollout_wording import amount, held, lacking, worst_case
from experiments.core.explanation import FAULT, OFF, PASSED, TAKEN, Station
from experiments.core.wording import percent, plural
from experiments.dashboards.experiment_wording import State
from experiments.dashboards.wording import Answer, listed, title
from experiments.models import Rollout
from experiments.reports.rollout_lines import RolloutLine, StepLine
from experiments.services.rollout_guards import guards_of

Rolling = Rollout.State
STATES = {
    Rolling.PENDING: State("draft", "not started"),
    Rolling.READY: State("waiting", "ready for the next step"),
    Rolling.RUNNING: State("running", "rising"),
    Rolling.HELD: State("unhealthy", "held"),
    Rolling.PAUSED: State("paused", "paused"),
    Rolling.COMPLETED: State("ship", "completed"),
    Rolling.ROLLED_BACK: State("rollback", "rolled back"),
}
POINTS = 100


class GuardLine(NamedTuple):
    """One guard in words."""

    label: str
    margin: str
    known: str
    needs: str


def state_of(rollout: Rollout) -> State:
    return STATES[Rolling(rollout.state)]


def lines(rows: Sequence[RolloutLine]) -> Answer:
    """What rises, what waits for somebody, what came back."""
    parts = []
    for state, said in (
        (Rolling.HELD, "held"),
        (Rolling.READY, "ready for the next step"),
        (Rolling.RUNNING, "rising"),
        (Rolling.PAUSED, "paused"),
        (Rolling.PENDING, "not started"),
    ):
        found = [row for row in rows if row.rollout.state == state]
        names = listed([f"{row.domain} at {_share(row)}" for row in found])
        if found:
            parts.append(f"{names} {'is' if len(found) == 1 else 'are'} {said}")
    back = [row.domain for row in rows if row.rollout.state == Rolling.ROLLED_BACK]
    if back:
        parts.append(f"{listed(back)} {'was' if len(back) == 1 else 'were'} rolled back")
    sentence = title("; ".join(parts)) if parts else "No flag is being rolled out"
    held = [row.domain for row in rows if row.rollout.state == Rolling.HELD]
    next_ = f"Next: look at why {listed(held)} is held." if held else ""
    return Answer(f"{sentence}.", next_)


def sentence(line: RolloutLine) -> str:
    """Where it stands, and why it waits."""
    rollout = line.rollout
    if rollout.state == Rolling.ROLLED_BACK:
        return f"Back at {_share(line)}: {_reason(rollout)}"
    if rollout.state == Rolling.PENDING:
        return f"At {_share(line)}, waiting to be started."
    return f"{_share(line)} of units are in. {_reason(rollout)}"


def compared(line: RolloutLine) -> str:
    """How many units are compared; before the start, what the first step can cost."""
    rollout, look = line.rollout, line.look
    if rollout.state == Rolling.PENDING:
        guards = [one.guard for one in guards_of(rollout)]
        share = float(line.steps[0].step.percentage) / POINTS if line.steps else 0.0
        return worst_case(guards, share) if line.steps else ""
    return f"{plural(look.compared, 'unit')} on the smaller side." if look else ""


def guards(line: RolloutLine) -> list[GuardLine]:
    """Each guard: its margin, what is known, and what the next step still needs."""
    look = line.look
    if look is None:
        return []
    lacks = {one.result.guard.name: lacking(one) for one in look.missing}
    return [_guard(result, lacks) for result in look.guards]


def _guard(result: GuardResult, lacks: dict[str, str]) -> GuardLine:
    guard = result.guard
    known, needs = held(result), lacks.get(guard.name, "")
    name = guard.label.lower()
    return GuardLine(
        guard.label,
        amount(guard, guard.margin),
        title(known.removeprefix(f"{name} is ").removeprefix(f"{name} ")),
        title(needs.removeprefix(f"{name}: ")) if needs else "Nothing",
    )


def stations(line: RolloutLine) -> list[Station]:
    """Each step as a station: passed, where it is, what is to come."""
    return [_station(line, index, step) for index, step in enumerate(line.steps)]


def _station(line: RolloutLine, index: int, one: StepLine) -> Station:
    rollout, step = line.rollout, one.step
    here = index == line.current
    back = here and rollout.state == Rolling.ROLLED_BACK
    return Station(
        name=_when(one.begins, later=index > line.current),
        fact=percent(float(step.percentage)),
        state=_station_state(line, index),
        details=(
            ("stays", "until an operator continues" if step.hours is None else _length(step.hours)),
            ("compared", "with all other units" if step.monitored else "no: no controls are left"),
        ),
        branches=(("rolled back", _reason(rollout)),) if back else (),
    )


def _station_state(line: RolloutLine, index: int) -> str:
    state = line.rollout.state
    if index < line.current or state == Rolling.COMPLETED:
        return PASSED
    if index > line.current or state == Rolling.PENDING:
        return OFF
    return FAULT if state in {Rolling.ROLLED_BACK, Rolling.HELD} else TAKEN


def _when(at: datetime | None, *, later: bool) -> str:
    if at is None:
        return "not reached" if later else "reached"
    day = f"{at:%Y-%m-%d}"
    return f"from {day} at the earliest" if later else f"from {day}"


def _length(hours: float) -> str:
    return f"{hours / 24:g} days" if hours >= 48 else f"{hours:g} hours"


def _reason(rollout: Rollout) -> str:
    reason = rollout.reason
    return f"{reason[:1].upper()}{reason[1:].rstrip('.')}." if reason else ""


def _share(line: RolloutLine) -> str:
    return percent(float(line.rollout.flag.percentage))
