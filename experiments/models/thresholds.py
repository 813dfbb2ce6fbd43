"""Threshold tables: where each domain cuts the scores of a router to keep its strong share."""

from django.db import models

from experiments.core.values import NumberedTable, ScoreCut, TableKey, share_of_target
from experiments.models.base import in_unit_interval


class ThresholdTable(models.Model):
    """One move of a domain's threshold. Rows are only added; decisions store their `number`.

    `cuts` has an object for each strong share that a policy aims at: `share`, `threshold`,
    `tie_share`, and `wanted`, the share after correction. `basis` says whose scores they are from.
    `jump` is the distance between the newest scores and those before, where it is large.
    """

    class ScoreBasis(models.TextChoices):
        SHIPPED = "shipped", "Scores of shipped prompts"
        TRAFFIC = "traffic", "Scores of all traffic"
        DOMAIN = "domain", "The domain's own scores"

    domain = models.CharField(max_length=40)
    router = models.CharField(max_length=40)
    checkpoint = models.CharField(max_length=64, blank=True)
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    cuts = models.JSONField()
    basis = models.CharField(max_length=10, choices=ScoreBasis.choices)
    scores = models.PositiveIntegerField(help_text="How many scores the table is from.")
    jump = models.FloatField(null=True)

    class Meta:
        ordering = ["domain", "router", "checkpoint", "number"]
        constraints = [
            models.UniqueConstraint(
                fields=["domain", "router", "checkpoint", "number"],
                name="threshold_table_number_once",
            ),
            models.CheckConstraint(
                condition=in_unit_interval("jump"), name="threshold_table_jump_is_a_share"
            ),
        ]
        indexes = [
            models.Index(fields=["domain", "at"], name="threshold_table_time"),
            models.Index(
                fields=["at"],
                name="threshold_table_jump",
                condition=models.Q(jump__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.domain}, {self.router}, table {self.number}"

    @property
    def key(self) -> TableKey:
        return TableKey(self.domain, self.router, self.checkpoint)

    @property
    def is_cold(self) -> bool:
        """Whether it is from scores that are not of this installation's traffic."""
        return self.basis == self.ScoreBasis.SHIPPED

    def as_table(self) -> NumberedTable:
        """This row as decisions read it."""
        return NumberedTable(
            self.number,
            {
                share_of_target(cut["share"]): ScoreCut(cut["threshold"], cut["tie_share"])
                for cut in self.cuts
            },
        )
