"""Stores each finished day's result once, as shown on that day; later outcomes do not change it."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

from experiments.experimentation.result_payloads import seen_payload
from experiments.experimentation.results import results
from experiments.models import DailyResult, Experiment

ACTIVE = (Experiment.Status.RUNNING, Experiment.Status.PAUSED)


def record_all(now: datetime, report: Callable[[str], None] = lambda _: None) -> None:
    """The day before `now`, of every experiment under way; `report` gets a line for each."""
    for experiment in Experiment.objects.filter(status__in=ACTIVE).order_by("key"):
        row = record(experiment, now)
        if row is not None:
            report(f"{experiment.key} on {row.day}: {row.verdict}. {row.result['sentence']}")


def record(experiment: Experiment, now: datetime) -> DailyResult | None:
    """Yesterday's result from today's data. A stored result does not change; None if its phase had
    not begun."""
    end = datetime.combine(now.astimezone(UTC).date(), time(), UTC) - timedelta(microseconds=1)
    phase = experiment.phases.filter(number=experiment.phase, started_at__lte=end).first()
    if phase is None:
        return None
    key = {"experiment": experiment, "phase": phase.number, "day": end.date()}
    kept = DailyResult.objects.filter(**key).first()
    if kept is not None:
        return kept
    found = results(experiment, end, series=False)
    row, _ = DailyResult.objects.get_or_create(
        **key,
        defaults={
            "verdict": str(found.verdict.outcome) if found.verdict else "",
            "result": seen_payload(found),
        },
    )
    return row
