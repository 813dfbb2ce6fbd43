"""Texts about rollouts, and each rollout's steps."""

from collections.abc import Sequence
from datetime import datetime

from experiments.dashboards.experiment_wording import StateWord
from experiments.dashboards.wording import Headline, listed, title
from experiments.decisions.text import FAULT, OFF, PASSED, TAKEN, ExplanationStep
from experiments.formatting import hours, percentage, plural
from experiments.models import Rollout
from experiments.rollouts.lifecycle import worst_case_of
from experiments.rollouts.summaries import GuardLine, RolloutLine, StepLine

Rolling = Rollout.State
STATES = {
    Rolling.PENDING: StateWord("draft", "not started"),
    Rolling.READY: StateWord("waiting", "ready for the next step"),
    Rolling.RUNNING: StateWord("running", "rising"),
    Rolling.HELD: StateWord("unhealthy", "held"),
    Rolling.PAUSED: StateWord("paused", "paused"),
    Rolling.COMPLETED: StateWord("ship", "completed"),
    Rolling.ROLLED_BACK: StateWord("rollback", "rolled back"),
}
POINTS = 100


def state_of(rollout: Rollout) -> StateWord:
    return STATES[Rolling(rollout.state)]


def lines(rows: Sequence[RolloutLine]) -> Headline:
    """Which flags rise, which wait for an operator, which were rolled back."""
    parts = []
    for state, name in (
        (Rolling.HELD, "held"),
        (Rolling.READY, "ready for the next step"),
        (Rolling.RUNNING, "rising"),
        (Rolling.PAUSED, "paused"),
        (Rolling.PENDING, "not started"),
    ):
        found = [row for row in rows if row.rollout.state == state]
        names = listed([f"{row.domain} at {_share(row)}" for row in found])
        if found:
            parts.append(f"{names} {'is' if len(found) == 1 else 'are'} {name}")
    back = [row.domain for row in rows if row.rollout.state == Rolling.ROLLED_BACK]
    if back:
        parts.append(f"{listed(back)} {'was' if len(back) == 1 else 'were'} rolled back")
    sentence = title("; ".join(parts)) if parts else "No flag is being rolled out"
    held = [row.domain for row in rows if row.rollout.state == Rolling.HELD]
    next_ = f"Next: find out why {listed(held)} is held." if held else ""
    return Headline(f"{sentence}.", next_)


def sentence(line: RolloutLine) -> str:
    """The rollout's percentage, and why it waits."""
    rollout = line.rollout
    if rollout.state == Rolling.ROLLED_BACK:
        return f"Back at {_share(line)}: {_reason(rollout)}"
    if rollout.state == Rolling.PENDING:
        return f"At {_share(line)}, not started yet."
    return f"The flag is on for {_share(line)} of units. {_reason(rollout)}"


def compared(line: RolloutLine) -> str:
    """How many units are compared, and when; before the start, the worst case of the first step."""
    rollout, seen = line.rollout, line.seen
    if rollout.state == Rolling.PENDING:
        return worst_case_of(rollout) if line.steps else ""
    if seen is None:
        return ""
    at = seen.at[:16].replace("T", " ")
    return f"The smaller group has {plural(seen.compared, 'unit')}, checked at {at} UTC."


def guards(line: RolloutLine) -> list[GuardLine]:
    """Each guard: its margin, its result so far, and what the next step needs."""
    return [_guard(one) for one in line.seen.guards] if line.seen else []


def _guard(one: GuardLine) -> GuardLine:
    """Without the name, which the table shows already."""
    name = one.label.lower()
    known = one.known.removeprefix(f"{name} is ").removeprefix(f"{name} ")
    needs = one.needs.removeprefix(f"{name}: ")
    return one._replace(known=title(known), needs=title(needs) if needs else "Nothing")


def steps(line: RolloutLine) -> list[ExplanationStep]:
    """Each step: passed, current or to come."""
    return [_step(line, index, step) for index, step in enumerate(line.steps)]


def _step(line: RolloutLine, index: int, one: StepLine) -> ExplanationStep:
    rollout, step = line.rollout, one.step
    here = index == line.current
    back = here and rollout.state == Rolling.ROLLED_BACK
    return ExplanationStep(
        name=_when(one.begins, later=index > line.current),
        fact=percentage(float(step.percentage)),
        state=_step_state(line, index),
        details=(
            ("lasts", "until an operator continues" if step.hours is None else hours(step.hours)),
            ("compared", "with all other units" if step.monitored else "no, without a control"),
        ),
        branches=(("rolled back", _reason(rollout)),) if back else (),
    )


def _step_state(line: RolloutLine, index: int) -> str:
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


def _reason(rollout: Rollout) -> str:
    reason = rollout.reason
    return f"{reason[:1].upper()}{reason[1:].rstrip('.')}." if reason else ""


def _share(line: RolloutLine) -> str:
    return percentage(float(line.rollout.flag.percentage))
