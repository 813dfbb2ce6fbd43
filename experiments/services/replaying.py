"""Replays recorded questions through an experiment, and holds its verdict against the truth.

Decisions, outcomes and ratings go through the services of the API, on simulated days of the past
that end now. Each simulated day is kept as it was seen, so that the verdict can be watched.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from uuid import UUID

from experiments.analysis.effects import Interval
from experiments.analysis.verdict import Verdict
from experiments.models import Decision, Experiment, UnitSum
from experiments.models.base import new_seed
from experiments.reports.effects import MetricEffect
from experiments.reports.experiments import results
from experiments.reports.study import window_of
from experiments.routers.outcomes import Outcome
from experiments.services import experiments as lifecycle
from experiments.services.daily_results import record
from experiments.services.outcomes import (
    OutcomeReport,
    Rating,
    record_feedback,
    record_outcomes,
)
from experiments.services.recordings import (
    Asked,
    ReplayError,
    Truth,
    days_of,
    draw,
    noon,
    output_tokens,
    quality_of,
    request_of,
    truth_of,
)
from experiments.services.routing import route_batch

AUTHOR = "replay"
SOURCE = "recorded"
BATCH = 200
TRUE_METRICS = ("cost", "quality")


class Size(NamedTuple):
    """How many units come, over how many days, and the seed they are drawn with."""

    units: int
    days: int
    seed: int = 0


class Compared(NamedTuple):
    """One reported difference to the control beside the true one.

    `looked_once` is the interval of a single look, `looked_daily` the one that holds at every look.
    """

    arm: str
    metric: str
    true: float
    reported: float | None
    looked_once: Interval | None
    looked_daily: Interval | None

    @property
    def is_covered_once(self) -> bool:
        return _holds(self.looked_once, self.true)

    @property
    def is_covered_daily(self) -> bool:
        return _holds(self.looked_daily, self.true)


class Replayed(NamedTuple):
    """What the experiment says in the end, against what is true."""

    decisions: int
    truths: dict[str, Truth]
    compared: tuple[Compared, ...]
    verdict: Verdict | None
    sentence: str


class Day(NamedTuple):
    """A simulated day that is over, and what the experiment said at its end."""

    number: int
    verdict: str
    sentence: str


def begin_of(experiment: Experiment, size: Size, now: datetime) -> datetime:
    """The midnight the simulated days start at, so that the last unit's window closes today."""
    days = size.days + window_of(experiment)
    return datetime.combine(now.astimezone(UTC).date() - timedelta(days=days), time(), UTC)


def prepare(experiment: Experiment, begin: datetime) -> None:
    """Starts a draft at `begin`, or moves the start of one without units there.

    Raises ReplayError, LifecycleError.
    """
    if UnitSum.objects.filter(experiment=experiment.key).exists():
        raise ReplayError(
            f"Experiment '{experiment.key}' has units already, and a replay would mix with them. "
            "Clone it and replay the clone."
        )
    if experiment.is_draft:
        lifecycle.start(experiment, AUTHOR, begin)
    elif experiment.is_running:
        experiment.phases.update(started_at=begin)
        experiment.started_at = begin
        experiment.save(update_fields=["started_at"])
    else:
        raise ReplayError(
            f"Experiment '{experiment.key}' is {experiment.status}. Clone it and replay the clone."
        )


def replay(
    experiment: Experiment, questions: Sequence[Outcome], size: Size, begin: datetime
) -> Iterator[Day]:
    """Sends each day's requests and what became of them; yields as each day ends."""
    window = window_of(experiment)
    drawn = draw(questions, size.units, size.days, window or 1, random.Random(size.seed))
    asked, salt = days_of(drawn), new_seed()
    for number in range(size.days + window):
        at = noon(begin, number)
        todays = asked.get(number, [])
        for start in range(0, len(todays), BATCH):
            _send(experiment, todays[start : start + BATCH], at, salt)
        seen = record(experiment, datetime.combine(at.date() + timedelta(days=1), time(), UTC))
        if seen is not None:
            yield Day(number + 1, seen.verdict, seen.result["sentence"])


def compare(
    experiment: Experiment,
    questions: Sequence[Outcome],
    now: datetime,
    on_progress: Callable[[Iterable[Outcome]], Iterable[Outcome]] = lambda rows: rows,
) -> Replayed:
    """The reported differences beside the true ones, over all questions."""
    truths = {
        arm.name: truth_of(experiment, arm.name, on_progress(questions), now)
        for arm in experiment.arms.all()
    }
    control = experiment.arms.get(is_control=True).name
    found = results(experiment, now, series=False)
    compared = tuple(
        _compared(effect, truths[effect.arm], truths[control])
        for effect in found.effects
        if effect.metric in TRUE_METRICS
    )
    decisions = Decision.objects.filter(experiment=experiment.key).count()
    return Replayed(decisions, truths, compared, found.verdict, found.sentence)


def _send(experiment: Experiment, batch: Sequence[Asked], at: datetime, salt: str) -> None:
    """Decisions, outcomes and ratings of some requests, each kind in a transaction of its own."""
    rows = route_batch([request_of(asked, experiment, at, salt) for asked in batch])
    made = [
        (row, asked.question)
        for row, asked in zip(rows, batch, strict=True)
        if isinstance(row, Decision) and row.experiment == experiment.key
    ]
    reports = {_id(row): _report(row, question, at) for row, question in made}
    record_outcomes(reports, at)
    record_feedback([_rating(row, question, at) for row, question in made], at)


def _report(row: Decision, question: Outcome, at: datetime) -> OutcomeReport:
    return OutcomeReport(
        at, input_tokens=row.input_tokens, output_tokens=output_tokens(question), success=True
    )


def _rating(row: Decision, question: Outcome, at: datetime) -> Rating:
    return Rating(_id(row), "quality", quality_of(question, row), SOURCE, at)


def _id(row: Decision) -> UUID:
    return UUID(str(row.id))


def _compared(effect: MetricEffect, treatment: Truth, control: Truth) -> Compared:
    name = effect.metric
    return Compared(
        effect.arm,
        name,
        getattr(treatment, name) - getattr(control, name),
        effect.effect.estimate,
        effect.effect.confidence_interval,
        effect.effect.sequential_interval,
    )


def _holds(interval: Interval | None, value: float) -> bool:
    return interval is not None and interval.lower <= value <= interval.upper
