"""One line per experiment: its state and its last verdict."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from experiments.experimentation.results import results
from experiments.models import DailyResult, Experiment

Status = Experiment.Status
ACTIVE = (Status.RUNNING, Status.PAUSED)


class ExperimentLine(NamedTuple):
    """`verdict` is the outcome's name, "" if there is none. `as_of` is the day of a stored verdict,
    `judged_at` the time of a new one.

    `units` are counted ones, of all arms; `days` are those of the current phase.
    """

    key: str
    hypothesis: str
    status: str
    domain: str | None
    verdict: str
    sentence: str
    as_of: date | None
    units: int
    planned: int | None
    days: int
    shipped_arm: str
    started_at: datetime | None
    stopped_at: datetime | None
    judged_at: datetime | None = None


class _Said(NamedTuple):
    verdict: str
    sentence: str
    as_of: date | None
    units: int
    days: int
    judged_at: datetime | None = None


NOTHING = _Said("", "", None, 0, 0)


def experiment_lines(now: datetime) -> tuple[ExperimentLine, ...]:
    """Newest first, without archived ones. Two queries, and the results of each active experiment
    without a stored result of yesterday."""
    rows = list(Experiment.objects.exclude(status=Status.ARCHIVED).select_related("domain"))
    kept = _kept(rows)
    return tuple(_line(row, _said(row, kept.get(row.pk), now)) for row in rows)


def _kept(rows: list[Experiment]) -> Mapping[int, DailyResult]:
    """The newest stored result of each experiment's current phase."""
    phases = {row.pk: row.phase for row in rows}
    found = DailyResult.objects.filter(experiment__in=phases).order_by("day")
    return {row.experiment_id: row for row in found if row.phase == phases[row.experiment_id]}


def _said(row: Experiment, kept: DailyResult | None, now: datetime) -> _Said:
    if row.status not in ACTIVE:
        return _from_kept(kept.result, kept) if kept else NOTHING
    if kept is not None and kept.day >= now.date() - timedelta(days=1):
        return _from_kept(kept.result, kept)
    found = results(row, now, series=False)
    verdict = str(found.verdict.outcome) if found.verdict else ""
    progress = found.progress
    return _Said(verdict, found.sentence, None, progress.units, progress.days, found.judged_at)


def _from_kept(result: dict[str, Any], kept: DailyResult) -> _Said:
    progress = result["progress"]
    return _Said(kept.verdict, result["sentence"], kept.day, progress["units"], progress["days"])


def _line(row: Experiment, said: _Said) -> ExperimentLine:
    return ExperimentLine(
        key=row.key,
        hypothesis=row.hypothesis,
        status=row.status,
        domain=row.domain.name if row.domain else None,
        verdict=row.verdict or said.verdict,
        sentence=_sentence(row, said),
        as_of=said.as_of,
        units=said.units,
        planned=row.planned_units,
        days=said.days,
        shipped_arm=row.shipped_arm,
        started_at=row.started_at,
        stopped_at=row.stopped_at,
        judged_at=said.judged_at,
    )


def _sentence(row: Experiment, said: _Said) -> str:
    """How the experiment ended, then the stored sentence from while it ran."""
    if row.shipped_arm:
        return f'"{row.shipped_arm}" was shipped. {said.sentence}'
    if row.status == Status.STOPPED:
        return f"Stopped: {row.stop_reason}. {said.sentence}"
    return said.sentence
