"""Replays recorded questions through an experiment and compares its verdict with the truth.

Decisions, outcomes and ratings go through the code of the API, on simulated past days that end now.
Each simulated day's result is stored, so that you can follow the verdict. An interrupted replay
continues with the same draws and sends nothing twice.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.utils import timezone

from experiments.analysis.experiment.effects import EffectInterval
from experiments.analysis.experiment.verdict import Verdict
from experiments.decisions.outcomes import (
    OutcomeReport,
    Rating,
    record_feedback,
    record_outcomes,
)
from experiments.experimentation import lifecycle
from experiments.experimentation.daily_results import record
from experiments.experimentation.effects import MetricEffect
from experiments.experimentation.recorded_traffic import (
    RecordedQuestion,
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
from experiments.experimentation.results import results
from experiments.experimentation.study import window_of
from experiments.models import Decision, Experiment, Replay, UnitSum
from experiments.models.base import new_seed
from experiments.routers.outcomes import PromptOutcome
from experiments.routing.route import route_batch

AUTHOR = "replay"
SOURCE = "recorded"
BATCH = 200
TRUE_METRICS = ("cost", "quality")


class ReplaySize(NamedTuple):
    """The number of units and days, and the seed of the draws."""

    units: int
    days: int
    seed: int = 0


class ReportedEffect(NamedTuple):
    """One reported difference to the control, and the true one.

    `looked_once` is the interval of a single look, `looked_daily` the one that holds at every look.
    """

    arm: str
    metric: str
    true: float
    reported: float | None
    looked_once: EffectInterval | None
    looked_daily: EffectInterval | None

    @property
    def is_covered_once(self) -> bool:
        return _holds(self.looked_once, self.true)

    @property
    def is_covered_daily(self) -> bool:
        return _holds(self.looked_daily, self.true)


class Replayed(NamedTuple):
    """The experiment's final results compared with the truth."""

    decisions: int
    truths: dict[str, Truth]
    compared: tuple[ReportedEffect, ...]
    verdict: Verdict | None
    sentence: str


class Day(NamedTuple):
    """A finished simulated day, and the experiment's verdict at its end."""

    number: int
    verdict: str
    sentence: str


def begin_of(experiment: Experiment, size: ReplaySize, now: datetime) -> datetime:
    """The first simulated midnight, chosen so that the last unit's window closes today."""
    days = size.days + window_of(experiment)
    return datetime.combine(now.astimezone(UTC).date() - timedelta(days=days), time(), UTC)


def prepare(experiment: Experiment, begin: datetime) -> None:
    """Starts a draft at `begin`, or moves the start of an experiment without units there. An
    experiment with an interrupted replay does not change.

    Raises ReplayError, LifecycleError.
    """
    if experiment.is_running and interrupted(experiment) is not None:
        return
    if UnitSum.objects.filter(experiment=experiment.key).exists():
        raise ReplayError(
            f"Experiment '{experiment.key}' already has units, which a replay would mix with. "
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
    experiment: Experiment, questions: Sequence[PromptOutcome], size: ReplaySize, begin: datetime
) -> Iterator[Day]:
    """Sends each day's requests, outcomes and ratings; yields at the end of each day.

    Raises ReplayError if an interrupted replay used other recordings, or if another one is running.
    """
    run = _run(experiment, questions, size, begin)
    window = window_of(experiment)
    drawn = draw(questions, size.units, size.days, window or 1, random.Random(size.seed))
    asked = days_of(drawn)
    for number in range(run.day, size.days + window):
        at = noon(run.begin, number)
        todays = asked.get(number, [])
        for start in range(run.sent, len(todays), BATCH):
            _send(run, todays[start : start + BATCH], at, start)
            _note(run, number, min(start + BATCH, len(todays)))
        seen = record(experiment, datetime.combine(at.date() + timedelta(days=1), time(), UTC))
        _note(run, number + 1, 0)
        if seen is not None:
            yield Day(number + 1, seen.verdict, seen.result["sentence"])
    run.finished_at = timezone.now()
    run.save(update_fields=["finished_at"])


def interrupted(experiment: Experiment) -> Replay | None:
    """Its unfinished replay, if there is one."""
    return Replay.objects.filter(experiment=experiment, finished_at=None).first()


def _run(
    experiment: Experiment, questions: Sequence[PromptOutcome], size: ReplaySize, begin: datetime
) -> Replay:
    digest = hashlib.sha256(repr([tuple(q) for q in questions]).encode()).hexdigest()
    wanted = {"units": size.units, "days": size.days, "seed": size.seed, "questions": digest}
    run = interrupted(experiment)
    if run is None:
        return Replay.objects.create(experiment=experiment, begin=begin, salt=new_seed(), **wanted)
    if any(getattr(run, name) != value for name, value in wanted.items()):
        raise ReplayError(
            f"A replay into '{experiment.key}' was interrupted on day {run.day + 1}. Continue "
            f"with the same recordings, --units {run.units} --days {run.days} --seed {run.seed}, "
            "or clone the experiment and replay the clone."
        )
    return run


def _note(run: Replay, day: int, sent: int) -> None:
    """Stores the progress. Raises ReplayError if another process has advanced it."""
    at = {"day": run.day, "sent": run.sent}
    if not Replay.objects.filter(pk=run.pk, **at).update(day=day, sent=sent):
        raise ReplayError(f"Another replay into '{run.experiment.key}' is under way.")
    run.day, run.sent = day, sent


def compare(
    experiment: Experiment,
    questions: Sequence[PromptOutcome],
    now: datetime,
    on_progress: Callable[[Iterable[PromptOutcome]], Iterable[PromptOutcome]] = lambda rows: rows,
) -> Replayed:
    """The reported and the true differences, over all questions."""
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


def _send(run: Replay, batch: Sequence[RecordedQuestion], at: datetime, start: int) -> None:
    """Decisions, outcomes and ratings of a batch, each kind in its own transaction.

    Each decision has its position in the replay as its key, so that a continued replay finds those
    already stored; reporting the same outcome and rating again changes nothing.
    """
    experiment = run.experiment
    places = [f"replay-{run.pk}-{run.day}-{start + index}" for index in range(len(batch))]
    stored = Decision.objects.filter(created_at=at, request_id__in=places)
    rows: dict[str, Any] = {row.request_id: row for row in stored}
    missing = [(at_, asked) for at_, asked in zip(places, batch, strict=True) if at_ not in rows]
    sent = route_batch(
        [
            request_of(asked, experiment, at, run.salt)._replace(request_id=place)
            for place, asked in missing
        ]
    )
    rows |= {place: row for (place, _), row in zip(missing, sent, strict=True)}
    made = [
        (row, asked.question)
        for row, asked in zip((rows[place] for place in places), batch, strict=True)
        if isinstance(row, Decision) and row.experiment == experiment.key
    ]
    reports = {_id(row): _report(row, question, at) for row, question in made}
    record_outcomes(reports, at)
    record_feedback([_rating(row, question, at) for row, question in made], at)


def _report(row: Decision, question: PromptOutcome, at: datetime) -> OutcomeReport:
    return OutcomeReport(
        at, input_tokens=row.input_tokens, output_tokens=output_tokens(question), success=True
    )


def _rating(row: Decision, question: PromptOutcome, at: datetime) -> Rating:
    return Rating(_id(row), "quality", quality_of(question, row), SOURCE, at)


def _id(row: Decision) -> UUID:
    return UUID(str(row.id))


def _compared(effect: MetricEffect, treatment: Truth, control: Truth) -> ReportedEffect:
    name = effect.metric
    return ReportedEffect(
        effect.arm,
        name,
        getattr(treatment, name) - getattr(control, name),
        effect.effect.estimate,
        effect.effect.confidence_interval,
        effect.effect.sequential_interval,
    )


def _holds(interval: EffectInterval | None, value: float) -> bool:
    return interval is not None and interval.lower <= value <= interval.upper
