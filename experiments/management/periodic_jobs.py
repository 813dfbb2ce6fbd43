"""All periodic work of an installation. `manage.py run_tasks` and Celery's beat run it.

Importing this module registers the jobs.
"""

from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings

from experiments.access import logins
from experiments.background import tasks
from experiments.background.scheduler import Daily, Every, Report, ScheduledJob, register
from experiments.configuration.experiment_locks import LockedError
from experiments.configuration.prices import refresh_prices
from experiments.configuration.revisions import revision
from experiments.decisions.folding import fold_all
from experiments.decisions.pruning import prune
from experiments.experimentation.daily_results import record_all
from experiments.formatting import plural
from experiments.gateway import stored_responses
from experiments.gateway.in_flight import sweep_abandoned_calls
from experiments.lab.share_calibration import calibrate
from experiments.learning.rounds import run_rounds
from experiments.learning.targets import resolve_targets
from experiments.learning.thresholds import move_tables, prune_tables
from experiments.models import Flag
from experiments.rollouts import lifecycle
from experiments.shadow import queue

LOGINS_KEPT = timedelta(days=90)
DYNAMIC_THRESHOLD = "routellm_dynamic_threshold"


def retained_from(today: date) -> date | None:
    """The oldest UTC day whose decisions are kept; None if they are never deleted."""
    days = settings.DECISION_RETENTION_DAYS
    return today - timedelta(days=days) if days else None


def _prune(due: datetime, report: Report) -> None:
    before = retained_from(due.date())
    if before is None:
        report("DECISION_RETENTION_DAYS is 0: decisions are never deleted.")
        return
    deleted = prune(before)
    limit = datetime.combine(before, time.min, UTC)
    tasks.prune(limit)
    prune_tables(limit - timedelta(days=1))
    report(f"Pruned {plural(deleted, 'decision')} made before {before}.")


def _prune_logins(due: datetime, report: Report) -> None:
    report(f"Deleted {plural(logins.prune(due - LOGINS_KEPT), 'login attempt')}.")


def _prune_responses(due: datetime, report: Report) -> None:
    report(f"Deleted {plural(stored_responses.prune(due), 'stored response')}.")


def _refresh_prices(due: datetime, report: Report) -> None:
    with revision("prices", "Prices refreshed from the catalogue"):
        refreshed = refresh_prices()
    report(f"{plural(len(refreshed.changed), 'price')} changed.")


def _calibrate(due: datetime, report: Report) -> None:
    if not Flag.objects.filter(key=DYNAMIC_THRESHOLD, percentage__gt=0).exists():
        report(f"The flag {DYNAMIC_THRESHOLD} is off: thresholds do not change.")
        return
    try:
        for result in calibrate(save=True):
            report(str(result))
    except LockedError as error:
        report(f"Thresholds do not change. {error}")


def _expire_shadow_calls(due: datetime, report: Report) -> None:
    if ended := queue.expire(due):
        report(f"Ended {plural(ended, 'shadow call')} that waited too long.")


def _sweep_abandoned_calls(due: datetime, report: Report) -> None:
    if settled := sweep_abandoned_calls():
        report(f"Settled {plural(settled, 'abandoned chat call')} with estimated costs.")


def _resend_tasks(due: datetime, report: Report) -> None:
    if settings.CELERY_BROKER_URL and (sent := tasks.send_again(due)):
        report(f"Sent {plural(sent, 'task')} to the broker again.")


def _resolve_targets(due: datetime, report: Report) -> None:
    for one in resolve_targets(due):
        report(f"{one.domain}: {one.sentence}")


def _move_thresholds(due: datetime, report: Report) -> None:
    if moved := move_tables():
        report(f"Moved {plural(moved, 'threshold')}.")


def _fold_totals(due: datetime, report: Report) -> None:
    if folded := fold_all():
        report(f"Folded {plural(folded, 'change')} of running sums.")


JOBS = (
    ScheduledJob(
        "advance_rollouts",
        Every(60),
        "Checks every guarded rollout, and advances, holds or rolls it back.",
        lifecycle.advance_all,
    ),
    ScheduledJob(
        "record_results",
        Daily(0, 5),
        "Stores each running experiment's result at the end of the previous day.",
        record_all,
        catches_up=True,
    ),
    ScheduledJob(
        "prune_decisions",
        Daily(3, 0),
        "Deletes decisions older than DECISION_RETENTION_DAYS; totals remain.",
        _prune,
    ),
    ScheduledJob(
        "prune_logins",
        Daily(3, 30),
        f"Deletes login attempts older than {LOGINS_KEPT.days} days.",
        _prune_logins,
    ),
    ScheduledJob(
        "prune_responses",
        Daily(3, 45),
        "Deletes responses kept longer than RESPONSE_RETENTION_DAYS.",
        _prune_responses,
    ),
    ScheduledJob(
        "refresh_prices",
        Daily(4, 0),
        "Updates prices from the installed catalogue; operators' prices do not change.",
        _refresh_prices,
    ),
    ScheduledJob(
        "calibrate_thresholds",
        Daily(5, 0),
        f"Adjusts thresholds to recent scores while the flag {DYNAMIC_THRESHOLD} is on.",
        _calibrate,
    ),
    ScheduledJob(
        "expire_shadow_calls",
        Every(30),
        "Ends shadow calls that waited for more than an hour, and deletes their prompts.",
        _expire_shadow_calls,
    ),
    ScheduledJob(
        "sweep_abandoned_calls",
        Every(60),
        "Settles chat calls whose process has died, with their estimated costs.",
        _sweep_abandoned_calls,
    ),
    ScheduledJob(
        "resend_tasks",
        Every(30),
        "Resends background tasks that Celery's broker did not deliver.",
        _resend_tasks,
    ),
    ScheduledJob(
        "learn",
        Every(5),
        "Runs a round of learning after every 50 requests of the domains that learn.",
        run_rounds,
    ),
    ScheduledJob(
        "fold_totals",
        Every(30),
        "Folds changes into running sums, where no background process does so every second.",
        _fold_totals,
    ),
    ScheduledJob(
        "resolve_targets",
        Every(3600),
        "Looks up what targets in dollars and quality mean for thresholds.",
        _resolve_targets,
    ),
    ScheduledJob(
        "move_thresholds",
        Every(30),
        "Moves thresholds that follow a target, where no background process does so every second.",
        _move_thresholds,
    ),
)
register(*JOBS)
