"""Experiments on routing policies, and their metrics."""

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from experiments.models.base import (
    SHARE,
    ConfigurationRow,
    RoutingPolicyRow,
    in_unit_interval,
    new_seed,
)

KEY = RegexValidator(r"^[a-z][a-z0-9-]*\Z", "Use lowercase letters, digits and hyphens.")
NAME = RegexValidator(r"^[a-z][a-z0-9_]*\Z", "Use lowercase letters, digits and underscores.")
REQUEST = "request"
# Computed from decisions and outcomes; `quality` from ratings.
BUILT_IN_METRICS = (
    "cost",
    "saving",
    "strong_share",
    "latency",
    "error_rate",
    "fallback_rate",
    "quality",
    "rated_share",
)


class Metric(ConfigurationRow):
    """A metric of feedback: a boolean, or a number in a range."""

    class ValueKind(models.TextChoices):
        BOOLEAN = "boolean", "Yes or no"
        NUMBER = "number", "Number"

    class Better(models.TextChoices):
        HIGHER = "higher", "Higher is better"
        LOWER = "lower", "Lower is better"

    class Level(models.TextChoices):
        REQUEST = "request", "Each request"
        UNIT = "unit", "Each unit"

    name = models.CharField(
        max_length=60,
        unique=True,
        validators=[NAME],
        help_text="The name in feedback: lowercase letters, digits, underscores.",
    )
    description = models.TextField(blank=True, help_text="What it measures.")
    kind = models.CharField(max_length=10, choices=ValueKind.choices, default=ValueKind.NUMBER)
    minimum = models.FloatField(default=0.0, help_text="The lowest accepted value.")
    maximum = models.FloatField(default=1.0, help_text="The highest accepted value.")
    better = models.CharField(max_length=10, choices=Better.choices, default=Better.HIGHER)
    level = models.CharField(
        max_length=10,
        choices=Level.choices,
        default=Level.REQUEST,
        help_text="Whether each request is rated, or each unit once.",
    )

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(minimum__lt=F("maximum")), name="metric_range_is_a_range"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.name in BUILT_IN_METRICS:
            raise ValidationError({"name": f"'{self.name}' is built in. Choose another name."})
        if self.minimum >= self.maximum:
            raise ValidationError({"maximum": "It must be above the minimum."})


class Experiment(ConfigurationRow):
    """An experiment: hypothesis, units, plan and state."""

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        RUNNING = "running", "Running"
        PAUSED = "paused", "Paused"
        STOPPED = "stopped", "Stopped"
        ARCHIVED = "archived", "Archived"

    key = models.SlugField(
        max_length=80,
        unique=True,
        validators=[KEY],
        help_text="The name in links and the API: lowercase letters, digits, hyphens.",
    )
    hypothesis = models.TextField(
        help_text="One sentence: “technical prompts cost less, and quality is not worse…”."
    )
    owner = models.CharField(
        max_length=150, blank=True, help_text="The person who decides on the result."
    )
    domain = models.ForeignKey(
        "experiments.Domain",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="experiments",
        help_text="The domain of the prompts. Empty: all domains.",
    )
    unit_kind = models.CharField(
        max_length=20,
        default="user",
        help_text="The meaning of unit_id: user, conversation, … With `request` each decision is a "
        "unit.",
    )
    coverage = models.FloatField(
        default=1.0,
        validators=SHARE,
        help_text="The share of units that take part, 0 to 1. It can only grow while the "
        "experiment "
        "runs.",
    )
    namespace = models.CharField(
        max_length=40,
        blank=True,
        validators=[NAME],
        help_text="Experiments with different slots of one namespace never share a unit.",
    )
    namespace_start = models.FloatField(
        default=0.0, validators=SHARE, help_text="The start of its slot of the namespace, 0 to 1."
    )
    namespace_end = models.FloatField(
        default=1.0, validators=SHARE, help_text="The end of the slot, not included."
    )
    alpha = models.FloatField(
        default=0.05,
        validators=[MinValueValidator(0.001), MaxValueValidator(0.5)],
        help_text="The accepted risk of a wrong verdict.",
    )
    power = models.FloatField(
        default=0.8,
        help_text="The probability that an experiment of the planned size detects a true effect.",
        validators=[MinValueValidator(0.5), MaxValueValidator(0.99)],
    )
    target_effect = models.DecimalField(
        max_digits=14,
        decimal_places=9,
        default=Decimal("0.0001"),
        validators=[MinValueValidator(Decimal("0.000000001"))],
        help_text="The smallest relevant cost difference per request, in US dollars.",
    )
    expected_loss = models.FloatField(
        default=0.0,
        validators=SHARE,
        help_text="The expected quality loss. The closer it is to the margin, the more units the "
        "plan needs.",
    )
    min_units = models.PositiveIntegerField(
        "minimum units per arm",
        default=100,
        validators=[MinValueValidator(100)],
        help_text="No verdict before each arm has this many units. At least 100.",
    )
    min_days = models.PositiveIntegerField(
        "minimum days",
        default=7,
        help_text="No `ship` before each arm has counted units on this many days, because weekdays "
        "differ.",
    )
    planned_units = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="The total number of units. The power calculation proposes a number.",
    )
    tuning_sample_size = models.PositiveIntegerField(
        default=5000,
        editable=False,
        help_text="N*, the size at which the always-valid interval is narrowest. Fixed at the "
        "start.",
    )
    cost_cap = models.DecimalField(
        max_digits=14,
        decimal_places=9,
        null=True,
        blank=True,
        validators=[
            MinValueValidator(Decimal("0.000000001")),
            MaxValueValidator(Decimal(9_000)),
        ],
        help_text="The most US dollars that one unit counts for (winsorized); costs beyond it are "
        "scaled down, so that one loop of thousands of calls does not decide the result. Empty: "
        "computed from recent units and fixed at the start.",
    )
    prior_sd = models.FloatField(
        "spread of effects",
        default=0.2,
        validators=[MinValueValidator(0.01), MaxValueValidator(10.0)],
        help_text="The usual spread of effects on cost, as a standard deviation of their logarithm "
        "(tau). The prediction for a shipped arm is shrunk with it.",
    )
    window_days = models.PositiveIntegerField(
        default=7,
        validators=[MinValueValidator(1)],
        help_text="A unit counts with its first days, this many, once they are over.",
    )
    audit_share = models.FloatField(
        default=0.0,
        validators=SHARE,
        help_text="The share of decisions marked for audit by hash, in all arms. If above 0, only "
        "their ratings count for the quality metric.",
    )
    seed = models.CharField(max_length=64, default=new_seed, editable=False)
    phase = models.PositiveIntegerField(default=1, editable=False)
    status = models.CharField(
        max_length=10, choices=Status.choices, default=Status.DRAFT, editable=False
    )
    started_at = models.DateTimeField(null=True, editable=False)
    stopped_at = models.DateTimeField(null=True, editable=False)
    stopped_by = models.CharField(max_length=150, blank=True, editable=False)
    stop_reason = models.CharField(max_length=500, blank=True, editable=False)
    verdict = models.CharField(max_length=20, blank=True, editable=False)
    shipped_arm = models.CharField(max_length=80, blank=True, editable=False)
    ship_reason = models.CharField(max_length=500, blank=True, editable=False)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=in_unit_interval("coverage"), name="experiment_coverage_is_a_share"
            ),
            models.CheckConstraint(
                condition=Q(
                    namespace_start__gte=0.0,
                    namespace_end__lte=1.0,
                    namespace_start__lt=F("namespace_end"),
                ),
                name="experiment_slot_is_a_range",
            ),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def is_running(self) -> bool:
        return self.status == self.Status.RUNNING

    @property
    def is_draft(self) -> bool:
        return self.status == self.Status.DRAFT

    @property
    def by_request(self) -> bool:
        """Whether each request is a unit."""
        return self.unit_kind == REQUEST

    def clean(self) -> None:
        if self.namespace_start >= self.namespace_end:
            raise ValidationError({"namespace_end": "It must be above the start of the slot."})


class Arm(RoutingPolicyRow):
    """One policy of an experiment."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="arms")
    name = models.CharField(
        max_length=80, validators=[KEY], help_text="A short name: control, local-75."
    )
    weight = models.FloatField(
        default=0.5, validators=SHARE, help_text="The share of units. Weights sum to 1."
    )
    is_control = models.BooleanField(
        "control",
        default=False,
        help_text="The arm that others are compared with. Exactly one arm.",
    )
    target_share = models.FloatField(
        "target strong share",
        null=True,
        blank=True,
        validators=SHARE,
        help_text="Instead of a fixed threshold: the threshold follows the domain's scores so that "
        "this share of prompts goes to the strong model.",
    )
    position = models.PositiveIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["experiment", "position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "name"], name="arm_name_once"),
            models.UniqueConstraint(
                fields=["experiment"], condition=Q(is_control=True), name="one_control_at_most"
            ),
            models.CheckConstraint(
                condition=in_unit_interval("threshold"), name="arm_threshold_is_a_share"
            ),
            models.CheckConstraint(
                condition=in_unit_interval("weight"), name="arm_weight_is_a_share"
            ),
            models.CheckConstraint(
                condition=in_unit_interval("target_share"), name="arm_target_share_is_a_share"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def followed_share(self) -> float | None:
        return self.target_share

    @property
    def described(self) -> str:
        """The owner of a step, for messages."""
        return f"a step of arm '{self.name}' of experiment '{self.experiment.key}'"


class ExperimentMetric(models.Model):
    """A metric and its role in an experiment."""

    class Role(models.TextChoices):
        PRIMARY = "primary", "Primary: should fall"
        GUARDRAIL = "guardrail", "Guardrail: must not get worse than the margin"
        SECONDARY = "secondary", "Secondary: only shown"

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="metrics")
    metric = models.CharField(
        max_length=60,
        help_text="A built-in metric (cost, saving, strong_share, latency, error_rate, "
        "fallback_rate, quality, rated_share) or your own.",
    )
    role = models.CharField(max_length=10, choices=Role.choices)
    margin = models.FloatField(
        null=True,
        blank=True,
        help_text="For guardrails: the worst accepted loss, in the metric's unit, above 0.",
    )

    class Meta:
        ordering = ["experiment", "role", "metric"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "metric"], name="metric_once"),
            models.CheckConstraint(
                condition=~Q(role="guardrail") | Q(margin__gt=0), name="guardrail_has_a_margin"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.metric} ({self.role})"

    def clean(self) -> None:
        if self.role == self.Role.GUARDRAIL and not (self.margin and self.margin > 0):
            raise ValidationError({"margin": "A guardrail needs a margin above 0."})


class Phase(models.Model):
    """A part of an experiment with fixed arms. Results never mix two phases."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="phases")
    number = models.PositiveIntegerField()
    seed = models.CharField(max_length=64)
    arms = models.JSONField(help_text="Weights and policies as a document.")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["experiment", "number"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "number"], name="phase_number_once")
        ]

    def __str__(self) -> str:
        return f"{self.experiment.key} phase {self.number}"


class DailyResult(models.Model):
    """The result of a day as it was then; later outcomes do not change it."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="daily")
    phase = models.PositiveIntegerField()
    day = models.DateField()
    verdict = models.CharField(max_length=20)
    result = models.JSONField()

    class Meta:
        ordering = ["experiment", "day"]
        constraints = [
            models.UniqueConstraint(
                fields=["experiment", "phase", "day"], name="daily_result_once_a_day"
            )
        ]

    def __str__(self) -> str:
        return f"{self.experiment.key} on {self.day}"


class Replay(models.Model):
    """The progress of a replay of recorded prompts, so that an interrupted one can continue.

    `day` is the current simulated day, `sent` the number of its requests that are stored. Both are
    written together with the requests.
    """

    experiment = models.OneToOneField(Experiment, on_delete=models.CASCADE, related_name="replay")
    begin = models.DateTimeField()
    units = models.PositiveIntegerField()
    days = models.PositiveIntegerField()
    seed = models.BigIntegerField()
    questions = models.CharField(max_length=64, help_text="The sha256 of the recording.")
    salt = models.CharField(max_length=64)
    day = models.PositiveIntegerField(default=0)
    sent = models.PositiveIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Replay into {self.experiment}"
