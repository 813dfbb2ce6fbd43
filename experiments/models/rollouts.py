"""Guarded rollouts: a flag's percentage raised in monitored steps."""

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from experiments.models.base import new_seed

ERROR_MARGIN = 0.02


def seeded_guards(margin: float) -> list[dict[str, Any]]:
    """The default guards. The error rate needs no ratings."""
    return [
        {"metric": "error_rate", "margin": ERROR_MARGIN, "limit": None},
        {"metric": "quality", "margin": margin, "limit": None},
    ]


class Rollout(models.Model):
    """The guarded rollout of one flag.

    A phase is a part with fixed shares: `treated_percentage` and `control_percentage`.
    """

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
        help_text="The flag whose percentage is raised.",
    )
    key = models.CharField(max_length=80, unique=True, editable=False)
    steps = models.JSONField(
        default=list,
        help_text="Percentages and the hours to wait at each: [[1, 24], [5, 24], [25, 48], [100, "
        "0]]. "
        "Without hours (null) a step waits for an operator.",
    )
    guards = models.JSONField(
        default=list,
        blank=True,
        help_text="Metrics that must not get worse, each with its margin. Empty: error rate within "
        "2 points, and quality within the margin below.",
    )
    margin = models.FloatField(
        default=0.05,
        validators=[MinValueValidator(0.0001)],
        help_text="The worst accepted quality loss, on the scale of the quality metric. Used if no "
        "guards are listed.",
    )
    alpha = models.FloatField(
        default=0.05,
        validators=[MinValueValidator(0.001), MaxValueValidator(0.5)],
        help_text="The accepted risk of a wrong rollback, and of a step that loses more than a "
        "margin.",
    )
    holdback_percentage = models.FloatField(
        default=5.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(50.0)],
        help_text="Steps between 50 and 100 % leave out this percentage of units as control. With "
        "0 they "
        "are not monitored.",
    )
    state = models.CharField(
        max_length=12, choices=State.choices, default=State.PENDING, editable=False
    )
    step = models.IntegerField(default=-1, editable=False, help_text="Index of the current step.")
    step_started_at = models.DateTimeField(null=True, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)
    reason = models.TextField(blank=True, editable=False)
    phase = models.PositiveIntegerField(default=0, editable=False)
    treated_percentage = models.DecimalField(
        max_digits=5, decimal_places=2, default=0, editable=False
    )
    control_percentage = models.DecimalField(
        max_digits=5, decimal_places=2, default=0, editable=False
    )
    seen = models.JSONField(
        default=dict, editable=False, help_text="The result of the last check in this phase."
    )
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
        self.guards = self.guards or seeded_guards(self.margin)
        super().save(*args, **kwargs)  # type: ignore[arg-type]


class RolloutStep(models.Model):
    """One entry of a rollout's history.

    `without_evidence` is the operator's reason for a step that the guards did not allow.
    """

    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="history")
    at = models.DateTimeField()
    percentage = models.DecimalField(max_digits=5, decimal_places=2)
    state = models.CharField(max_length=12)
    reason = models.TextField()
    monitored = models.BooleanField(default=True)
    phase = models.PositiveIntegerField(default=0)
    control_percentage = models.DecimalField(max_digits=5, decimal_places=2, default=0)
    without_evidence = models.TextField(blank=True)

    class Meta:
        ordering = ["rollout", "at", "pk"]

    def __str__(self) -> str:
        return f"{self.rollout.key}: {self.percentage} %"
