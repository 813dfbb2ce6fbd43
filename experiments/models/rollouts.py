"""Guarded rollouts: a flag's percentage raised in steps, each watched."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from experiments.models.base import new_seed


class Rollout(models.Model):
    """One flag on its way up."""

    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        READY = "ready", "Ready for the next step"
        RUNNING = "running", "Running"
        HELD = "held", "Held"
        PAUSED = "paused", "Paused"
        COMPLETED = "completed", "Completed"
        ROLLED_BACK = "rolled_back", "Rolled back"

    flag = models.ForeignKey(
        "experiments.Flag",
        on_delete=models.CASCADE,
        related_name="rollouts",
        help_text="Whose percentage is raised.",
    )
    key = models.CharField(max_length=80, unique=True, editable=False)
    steps = models.JSONField(
        default=list,
        help_text="Percentages and hours to wait at each: [[1, 24], [5, 24], [25, 48], [100, 0]]. "
        "Without hours (null) a step waits until somebody goes on.",
    )
    margin = models.FloatField(
        default=0.05,
        validators=[MinValueValidator(0.0001)],
        help_text="The worst quality loss accepted, on the scale of the quality metric.",
    )
    alpha = models.FloatField(
        default=0.05,
        validators=[MinValueValidator(0.001), MaxValueValidator(0.5)],
        help_text="The accepted risk of a wrong roll back.",
    )
    holdback_percentage = models.FloatField(
        default=5.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(50.0)],
        help_text="Above 50 % this share stays as control; 0 marks those steps unmonitored.",
    )
    state = models.CharField(
        max_length=12, choices=State.choices, default=State.PENDING, editable=False
    )
    step = models.IntegerField(default=-1, editable=False, help_text="Index of the step it is at.")
    step_started_at = models.DateTimeField(null=True, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)
    reason = models.CharField(max_length=500, blank=True, editable=False)
    before_percentage = models.DecimalField(
        max_digits=5, decimal_places=2, default=0, editable=False
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["flag"],
                condition=models.Q(state__in=["pending", "ready", "running", "held", "paused"]),
                name="one_open_rollout_a_flag",
            )
        ]

    def __str__(self) -> str:
        return self.key

    def save(self, *args: object, **kwargs: object) -> None:
        self.key = self.key or f"rollout-{new_seed()}"
        super().save(*args, **kwargs)  # type: ignore[arg-type]


class RolloutStep(models.Model):
    """What a rollout did, when and why."""

    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="history")
    at = models.DateTimeField()
    percentage = models.DecimalField(max_digits=5, decimal_places=2)
    state = models.CharField(max_length=12)
    reason = models.CharField(max_length=500)
    monitored = models.BooleanField(default=True)

    class Meta:
        ordering = ["rollout", "at", "pk"]

    def __str__(self) -> str:
        return f"{self.rollout.key}: {self.percentage} %"
