"""Decisions, outcomes and feedback. They have no foreign key to configuration, so they remain when
configuration is deleted."""

from django.db import models


class Decision(models.Model):
    """One stored decision. Columns are for filters and sums; `detail` contains the rest.

    Money is in nano-dollars. `detail` has the keys of `experiments.decisions.decision_rows.Detail`.
    """

    id = models.UUIDField(primary_key=True)
    created_at = models.DateTimeField()
    revision = models.PositiveIntegerField()
    unit_hash = models.CharField(max_length=32)
    sticky = models.BooleanField()
    domain = models.CharField(max_length=40)
    confidence = models.FloatField()
    method = models.CharField(max_length=20)
    reason = models.CharField(max_length=60)
    tier = models.CharField(max_length=10)
    model = models.CharField(max_length=200)
    intended_model = models.CharField(max_length=200)
    strong_model = models.CharField(max_length=200, blank=True)
    weak_model = models.CharField(max_length=200, blank=True)
    baseline_model = models.CharField(max_length=200, blank=True)
    router = models.CharField(max_length=40, blank=True)
    score = models.FloatField(null=True)
    threshold = models.FloatField(null=True)
    experiment = models.CharField(max_length=80, blank=True)
    arm = models.CharField(max_length=80, blank=True)
    phase = models.PositiveIntegerField(null=True)
    rollout = models.CharField(max_length=80, blank=True)
    rollout_arm = models.CharField(max_length=10, blank=True)
    counted = models.BooleanField()
    audited = models.BooleanField(default=False)
    explored = models.BooleanField()
    epsilon = models.FloatField()
    propensity = models.FloatField(null=True)
    propensity_given_arm = models.FloatField(null=True)
    fallback = models.CharField(max_length=60, blank=True)
    input_tokens = models.PositiveIntegerField()
    priced = models.BooleanField()
    cost = models.BigIntegerField(null=True)
    cost_strong = models.BigIntegerField(null=True)
    cost_weak = models.BigIntegerField(null=True)
    cost_baseline = models.BigIntegerField(null=True)
    latency_us = models.PositiveIntegerField(null=True)
    key_id = models.BigIntegerField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    text = models.TextField(null=True)  # noqa: DJ001 - not stored is not the same as empty
    # Copies of parts of `detail`, so that what-if reads a million decisions from an index:
    # P(model) by model and the score by router, as JSON; empty if there is none.
    odds = models.TextField(default="", db_default="", blank=True)
    scores = models.TextField(default="", db_default="", blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["-created_at", "-id"]
        permissions = [("use_chat", "Can chat through the gateway on the page")]
        indexes = [
            # Everything pages filter by, so that matches are found without reading rows.
            models.Index(
                fields=[
                    "created_at",
                    "id",
                    "domain",
                    "model",
                    "method",
                    "reason",
                    "fallback",
                    "experiment",
                    "arm",
                    "revision",
                    "cost",
                ],
                name="decision_list",
            ),
            # Everything that what-if reads, for the same reason.
            models.Index(
                fields=[
                    "created_at",
                    "domain",
                    "unit_hash",
                    "revision",
                    "intended_model",
                    "strong_model",
                    "weak_model",
                    "odds",
                    "scores",
                    "cost",
                    "cost_strong",
                    "cost_weak",
                    "input_tokens",
                    "audited",
                    "experiment",
                    "phase",
                    "id",
                ],
                name="decision_log",
                condition=~models.Q(odds=""),
            ),
            models.Index(
                fields=["experiment", "arm", "created_at"],
                name="decision_experiment_arm",
                condition=~models.Q(experiment=""),
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Outcome(models.Model):
    """The outcome of a decision, and its costs at the decision's prices."""

    decision = models.OneToOneField(
        Decision, on_delete=models.CASCADE, primary_key=True, related_name="outcome"
    )
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    latency_ms = models.FloatField(null=True)
    success = models.BooleanField(null=True)
    error = models.CharField(max_length=500, blank=True)
    model = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="The model that answered, if not the chosen one.",
    )
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    cost = models.BigIntegerField(null=True)
    cost_strong = models.BigIntegerField(null=True)
    cost_weak = models.BigIntegerField(null=True)
    cost_baseline = models.BigIntegerField(null=True)

    class Meta:
        indexes = [models.Index(fields=["received_at"], name="outcome_received")]

    def __str__(self) -> str:
        return f"Outcome of {self.decision_id}"


class Feedback(models.Model):
    """One rating: the newest value of a decision, metric and source."""

    decision = models.ForeignKey(Decision, on_delete=models.CASCADE, related_name="feedback")
    metric = models.CharField(max_length=60)
    source = models.CharField(max_length=60)
    value = models.FloatField()
    comment = models.TextField(blank=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "feedback"
        constraints = [
            models.UniqueConstraint(
                fields=["decision", "metric", "source"], name="feedback_one_per_metric_and_source"
            )
        ]

    def __str__(self) -> str:
        return f"{self.metric} {self.value} of {self.decision_id}"


class PrunedTotal(models.Model):
    """Totals of pruned decisions of one UTC day; reports add them to the live rows.

    Costs are those of the outcome if there is one (`actual` counts these), else the estimate.
    `cost` and `cost_baseline` are totals of the `priced` decisions; `cost_paired`, `cost_strong`
    and `cost_weak` of the `paired` ones, whose choice and both models of the pair have a price.
    """

    day = models.DateField()
    domain = models.CharField(max_length=40)
    method = models.CharField(max_length=20)
    tier = models.CharField(max_length=10)
    model = models.CharField(max_length=200)
    decisions = models.BigIntegerField()
    priced = models.BigIntegerField()
    fallbacks = models.BigIntegerField()
    actual = models.BigIntegerField(default=0)
    cost = models.BigIntegerField()
    cost_baseline = models.BigIntegerField()
    paired = models.BigIntegerField(default=0)
    cost_paired = models.BigIntegerField(default=0)
    cost_strong = models.BigIntegerField()
    cost_weak = models.BigIntegerField()
    latency_us = models.BigIntegerField()
    latency_count = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["day", "domain", "method", "tier", "model"], name="pruned_total_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.domain} {self.model}"


class PruneMark(models.Model):
    """Decisions made before this time are pruned: their ids return 410."""

    pruned_before = models.DateTimeField()
    pruned_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"Pruned before {self.pruned_before:%Y-%m-%d}"
