"""The page of periodic jobs in the admin: last run, next run, run at once."""

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from experiments.background import scheduler
from experiments.models import PeriodicJob

LIST = "/admin/experiments/periodicjob/"


def test_a_new_installation_lists_its_jobs(viewer: Client) -> None:
    content = viewer.get(LIST).content.decode()
    assert "advance_rollouts" in content
    assert "every minute" in content
    assert "every day at 03:00 UTC" in content
    assert "Not run yet" in content


def test_a_run_shows_what_it_reported(viewer: Client) -> None:
    scheduler.run_due(timezone.now())
    job = PeriodicJob.objects.get(name="refresh_prices")
    assert "0 prices changed." in viewer.get(LIST).content.decode()
    page = viewer.get(f"{LIST}{job.pk}/change/").content.decode()
    assert "Updates prices from the installed catalogue" in page


def test_an_operator_runs_a_job_at_once(operator: Client) -> None:
    scheduler.run_due(timezone.now())
    job = PeriodicJob.objects.get(name="prune_decisions")
    assert job.next_run_at > timezone.now()
    operator.post(LIST, {"action": "run_now", "_selected_action": [job.pk]})
    job.refresh_from_db()
    assert job.next_run_at <= timezone.now() + timedelta(seconds=1)


def test_a_viewer_cannot_run_a_job(viewer: Client) -> None:
    scheduler.run_due(timezone.now())
    job = PeriodicJob.objects.get(name="prune_decisions")
    viewer.post(LIST, {"action": "run_now", "_selected_action": [job.pk]})
    job.refresh_from_db()
    assert job.next_run_at > timezone.now()
