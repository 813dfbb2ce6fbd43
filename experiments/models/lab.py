"""Recorded outcomes: grades of two or more models on the same prompts."""

from django.db import models
from django.db.models import Q


class OutcomeSet(models.Model):
    """A named collection of prompts with known outcomes."""

    class Source(models.TextChoices):
        IMPORTED = "imported", "Imported from a file"
        SHADOW = "shadow", "Shadow pairs of production traffic"
        SIMULATED = "simulated", "Simulated"

    name = models.SlugField(max_length=60, unique=True)
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.IMPORTED)
    origin = models.CharField(max_length=200, blank=True, help_text="The file's name, or a note.")
    strong_model = models.CharField(max_length=200, blank=True)
    weak_model = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class RecordedOutcome(models.Model):
    """One prompt of a set. Scores are in [0, 1]; money is in nano-dollars.

    `digest` identifies the row in its set, so that importing twice changes nothing. If the prompt
    is not stored, `prompt` is empty and `embedding` contains the routers' input. With more than
    two models, `scores` and `costs` have the values of each model by name. A cost is `computed` if
    it comes from the answer's tokens and the model's price instead of the file.
    """

    outcome_set = models.ForeignKey(OutcomeSet, on_delete=models.CASCADE, related_name="rows")
    digest = models.CharField(max_length=64)
    prompt = models.TextField(blank=True)
    embedding = models.JSONField(null=True)
    domain = models.CharField(max_length=40, blank=True)
    group = models.CharField(max_length=100, blank=True)
    strong_score = models.FloatField()
    weak_score = models.FloatField()
    strong_cost = models.BigIntegerField(null=True)
    weak_cost = models.BigIntegerField(null=True)
    strong_output_tokens = models.PositiveIntegerField(null=True)
    weak_output_tokens = models.PositiveIntegerField(null=True)
    strong_cost_computed = models.BooleanField(default=False)
    weak_cost_computed = models.BooleanField(default=False)
    scores = models.JSONField(default=dict)
    costs = models.JSONField(default=dict)

    class Meta:
        ordering = ["outcome_set", "id"]
        constraints = [
            models.UniqueConstraint(fields=["outcome_set", "digest"], name="outcome_once_in_a_set"),
            models.CheckConstraint(
                condition=Q(strong_score__gte=0, strong_score__lte=1)
                & Q(weak_score__gte=0, weak_score__lte=1),
                name="recorded_scores_are_shares",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome_set}: {self.digest[:12]}"


class OutcomeScores(models.Model):
    """One router's scores of a set's rows, in the order of their ids, as packed 64-bit floats.

    They cover the first `count` rows up to `last_id`, not later ones.
    """

    outcome_set = models.ForeignKey(
        OutcomeSet, on_delete=models.CASCADE, related_name="router_scores"
    )
    router_key = models.CharField(max_length=120, help_text="Kind and sha256 of the checkpoint.")
    values = models.BinaryField()
    count = models.PositiveIntegerField()
    last_id = models.BigIntegerField()
    microseconds = models.FloatField(help_text="Average time to score one prompt.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["outcome_set", "router_key"], name="scored_once_by_a_checkpoint"
            )
        ]

    def __str__(self) -> str:
        return f"{self.outcome_set} scored by {self.router_key}"
