"""Work outside of requests: queued tasks and periodic jobs, both as rows."""

from django.db import models


class BackgroundTask(models.Model):
    """A background task with its name and arguments.

    The process that runs it holds a lease until `leased_until` and keeps extending it. If the
    process dies, another one runs the task again.
    """

    class TaskStatus(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    name = models.CharField(max_length=60)
    arguments = models.JSONField(default=dict)
    status = models.CharField(max_length=10, choices=TaskStatus.choices, default=TaskStatus.QUEUED)
    by = models.CharField(max_length=150, blank=True, help_text="The user who requested it.")
    queued_at = models.DateTimeField()
    run_after = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    leased_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)
    done_steps = models.PositiveIntegerField(default=0)
    all_steps = models.PositiveIntegerField(default=0, help_text="0: not known.")
    log = models.TextField(blank=True)
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-queued_at", "-id"]
        indexes = [models.Index(fields=["status", "run_after"], name="task_due")]

    def __str__(self) -> str:
        return f"{self.name} {self.pk}: {self.status}"

    @property
    def is_open(self) -> bool:
        return self.status in {self.TaskStatus.QUEUED, self.TaskStatus.RUNNING}


class PeriodicJob(models.Model):
    """The last and the next run of a periodic job, written by `experiments.background.scheduler`.

    Only the process that holds the lease runs a job.
    """

    class JobStatus(models.TextChoices):
        NEVER = "never", "Not run yet"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    name = models.CharField(max_length=60, unique=True)
    status = models.CharField(max_length=10, choices=JobStatus.choices, default=JobStatus.NEVER)
    next_run_at = models.DateTimeField(help_text="When the job is due. It starts within seconds.")
    last_started_at = models.DateTimeField(null=True)
    last_ended_at = models.DateTimeField(null=True)
    last_done_at = models.DateTimeField(
        null=True, help_text="The newest due time that was completed. Later ones are made up for."
    )
    result = models.TextField(blank=True, help_text="The report of the last run.")
    error = models.TextField(blank=True, help_text="Why the last run failed.")
    runner = models.CharField(
        max_length=100, blank=True, help_text="The process that runs the job."
    )
    leased_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
