"""Work that takes longer than a request: queued as rows, so that it survives a restart."""

from django.db import models


class BackgroundTask(models.Model):
    """One piece of work. `name` says which, `arguments` with what.

    Whoever runs it holds it until `leased_until` and keeps moving that time; a task whose holder
    is gone is taken up again by the next one.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    name = models.CharField(max_length=60)
    arguments = models.JSONField(default=dict)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    by = models.CharField(max_length=150, blank=True, help_text="Who asked for it.")
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
        return self.status in {self.Status.QUEUED, self.Status.RUNNING}
