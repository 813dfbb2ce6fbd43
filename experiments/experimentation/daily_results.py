"""Each finished day's result as it was seen, kept once: later outcomes never change it."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

from experiments.experimentation.result_payloads import seen_payload
from experiments.experimentation.results import results
from experiments.models import DailyResult, Experiment

ACTIVE = (Experiment.Status.RUNNING, Experiment.Status.PAUSED)


def record_all(now: datetime, told: Callable[[str], None] = lambda _: None) -> None:
    """The day before `now`, of every experiment under way; `told` hears a line for each."""
    for experiment in Experiment.objects.filter(status__in=ACTIVE).order_by("key"):
        row = record(experiment, now)
        if row is not None:
            told(f"{experiment.key} on {row.day}: {row.verdict}. {row.result['sentence']}")


def record(experiment: Experiment, now: datetime) -> DailyResult | None:
    """Yesterday's result with what is known now. One that was kept before stays as it is; None
    where its phase had not begun."""
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
