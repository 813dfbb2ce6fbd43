"""The current state of guarded rollouts: steps with times, shares of units, guards."""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Prefetch

from experiments.configuration.shapes import WATCHED, is_counted
from experiments.models import Rollout, RolloutStep
from experiments.rollouts.monitoring import seen_by
from experiments.rollouts.steps import PlannedStep, steps_of

State = Rollout.State
ENDED = (State.COMPLETED, State.ROLLED_BACK)
SHOWN_ENDED = 5


class StepLine(NamedTuple):
    """A step and its start, or its earliest possible start; None: unknown."""

    step: PlannedStep
    begins: datetime | None


class Shares(NamedTuple):
    """Percent of units with the flag, of controls, and of neither."""

    treated: float
    control: float

    @property
    def control_from(self) -> float:
        """The controls are the units with the highest buckets."""
        return 100.0 - self.control

    @property
    def neither(self) -> float:
        return 100.0 - self.treated - self.control


class GuardLine(NamedTuple):
    """One guard as text: its margin, its result, what the next step still needs."""

    metric: str
    label: str
    margin: str
    known: str
    needs: str


class LastCheck(NamedTuple):
    """The result of the last check. `compared` is the number of units on the smaller side."""

    at: str
    compared: int
    guards: tuple[GuardLine, ...]


class RolloutLine(NamedTuple):
    """`seen` is None while no units are compared; `current` is the index of the current step."""

    rollout: Rollout
    domain: str
    steps: tuple[StepLine, ...]
    current: int
    shares: Shares
    seen: LastCheck | None
    history: tuple[RolloutStep, ...]

    @property
    def is_open(self) -> bool:
        return self.rollout.state not in ENDED


def rollout_lines(now: datetime) -> tuple[RolloutLine, ...]:
    """Open ones first, then the newest that ended. Two queries, and one for each watched one that
    was not checked yet."""
    rows = Rollout.objects.select_related("flag__domain").prefetch_related(
        Prefetch("history", queryset=RolloutStep.objects.order_by("at", "pk"))
    )
    underway = [row for row in rows if row.state not in ENDED]
    ended = [row for row in rows if row.state in ENDED][:SHOWN_ENDED]
    return tuple(_line(row, now) for row in (*underway, *ended))


def _line(row: Rollout, now: datetime) -> RolloutLine:
    steps = steps_of(row)
    history = tuple(row.history.all())
    watched = row.state in WATCHED and 0 <= row.step < len(steps)
    return RolloutLine(
        rollout=row,
        domain=row.flag.domain.name if row.flag.domain else row.flag.key,
        steps=tuple(_timed(row, steps, history)),
        current=row.step,
        shares=_shares(row),
        seen=_seen(row, now) if watched else None,
        history=history,
    )


def _seen(row: Rollout, now: datetime) -> LastCheck:
    seen = seen_by(row, now)
    guards = tuple(
        GuardLine(
            guard["metric"], guard["title"], guard["margin_text"], guard["known"], guard["needs"]
        )
        for guard in seen["guards"]
    )
    return LastCheck(seen["at"], seen["compared"], guards)


def _timed(
    row: Rollout, steps: list[PlannedStep], history: tuple[RolloutStep, ...]
) -> list[StepLine]:
    """Start of past steps from the history, of later ones from the planned hours."""
    found: list[StepLine] = []
    begins: datetime | None = None
    for index, step in enumerate(steps):
        if index <= row.step:
            begins = _entered(step, history) or (row.step_started_at if index == row.step else None)
        elif begins is not None:
            hours = steps[index - 1].hours
            begins = (
                None if hours is None or row.state in ENDED else begins + timedelta(hours=hours)
            )
        found.append(StepLine(step, begins))
    return found


def _entered(step: PlannedStep, history: tuple[RolloutStep, ...]) -> datetime | None:
    return next((one.at for one in history if one.percentage == step.percentage), None)


def _shares(row: Rollout) -> Shares:
    control = float(row.control_percentage) if is_counted(row) else 0.0
    return Shares(float(row.flag.percentage), control)
