"""Experiments between routing policies, and the metrics they are judged by."""

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

KEY = RegexValidator(r"^[a-z][a-z0-9-]*\Z", "Use small letters, digits and hyphens.")
NAME = RegexValidator(r"^[a-z][a-z0-9_]*\Z", "Use small letters, digits and underscores.")
REQUEST = "request"
# Computed from decisions and outcomes, and the quality every rating may be about.
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
    """What feedback may report: a boolean, or a number within a range."""

    class Kind(models.TextChoices):
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
        help_text="As feedback names it: small letters, digits, underscores.",
    )
    description = models.TextField(blank=True, help_text="What it measures, for colleagues.")
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.NUMBER)
    minimum = models.FloatField(default=0.0, help_text="The least value accepted.")
    maximum = models.FloatField(default=1.0, help_text="The greatest value accepted.")
    better = models.CharField(max_length=10, choices=Better.choices, default=Better.HIGHER)
    level = models.CharField(
        max_length=10,
        choices=Level.choices,
        default=Level.REQUEST,
        help_text="Whether each request is rated, or a unit once.",
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
            raise ValidationError({"name": f"'{self.name}' is built in: choose another name."})
        if self.minimum >= self.maximum:
            raise ValidationError({"maximum": "It must lie above the minimum."})


class Experiment(ConfigurationRow):
    """A question about policies, and how it is answered."""

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
        help_text="Short name in links and the API: small letters, digits, hyphens.",
    )
    hypothesis = models.TextField(
        help_text="The question in one sentence: “technical prompts cost less and are no worse…”."
    )
    owner = models.CharField(max_length=150, blank=True, help_text="Who decides on the result.")
    domain = models.ForeignKey(
        "experiments.Domain",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="experiments",
        help_text="Whose prompts take part. Empty: those of all domains.",
    )
    unit_kind = models.CharField(
        max_length=20,
        default="user",
        help_text="What unit_id means: user, conversation, … `request` takes each decision alone.",
    )
    coverage = models.FloatField(
        default=1.0,
        validators=SHARE,
        help_text="Share of units that take part, 0 to 1. May only grow while it runs.",
    )
    namespace = models.CharField(
        max_length=40,
        blank=True,
        validators=[NAME],
        help_text="Experiments of one namespace never share a unit where their slots differ.",
    )
    namespace_start = models.FloatField(
        default=0.0, validators=SHARE, help_text="Where its slot of the namespace begins, 0 to 1."
    )
    namespace_end = models.FloatField(
        default=1.0, validators=SHARE, help_text="Where it ends; the end is not part of it."
    )
    alpha = models.FloatField(
        default=0.05,
        validators=[MinValueValidator(0.001), MaxValueValidator(0.5)],
        help_text="The accepted risk of a wrong verdict.",
    )
    power = models.FloatField(
        default=0.8,
        help_text="The chance that an experiment of the planned size proves what is true.",
        validators=[MinValueValidator(0.5), MaxValueValidator(0.99)],
    )
    target_effect = models.DecimalField(
        max_digits=14,
        decimal_places=9,
        default=Decimal("0.0001"),
        validators=[MinValueValidator(Decimal("0.000000001"))],
        help_text="The cost difference per request, in US dollars, below which policies cost the "
        "same for your purposes.",
    )
    expected_loss = models.FloatField(
        default=0.0,
        validators=SHARE,
        help_text="The quality loss you expect; the plan needs more units the nearer it is to "
        "the margin.",
    )
    min_units = models.PositiveIntegerField(
        "minimum units an arm",
        default=100,
        validators=[MinValueValidator(100)],
        help_text="No verdict before each arm has this many. At least 100.",
    )
    min_days = models.PositiveIntegerField(
        "minimum days",
        default=7,
        help_text="No `ship` before each arm has counted units on this many days: weekdays differ.",
    )
    planned_units = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Units the plan asks for in all; the power calculation proposes how many.",
    )
    tuning_sample_size = models.PositiveIntegerField(
        default=5000,
        editable=False,
        help_text="N*, where the always-valid interval is narrowest. Fixed at the start.",
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
        help_text="US dollars that one unit counts for at most (winsorized): requests beyond it "
        "count in proportion, so that one loop of thousands of calls decides nothing. Empty: "
        "proposed from recent units at the start, and fixed then.",
    )
    prior_sd = models.FloatField(
        "spread of effects",
        default=0.2,
        validators=[MinValueValidator(0.01), MaxValueValidator(10.0)],
        help_text="How far apart effects on cost usually are, as a standard deviation of their "
        "logarithm (tau). What to expect of an arm that ships is shrunk with it.",
    )
    window_days = models.PositiveIntegerField(
        default=7,
        validators=[MinValueValidator(1)],
        help_text="A unit that comes back is judged by its first days, this many, once they are "
        "over.",
    )
    audit_share = models.FloatField(
        default=0.0,
        validators=SHARE,
        help_text="Share of decisions marked for audit by hash, whatever the arm. When above 0, "
        "only their ratings are the quality metric.",
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
        """Whether each request is a unit of its own, whoever asked."""
        return self.unit_kind == REQUEST

    def clean(self) -> None:
        if self.namespace_start >= self.namespace_end:
            raise ValidationError({"namespace_end": "It must lie above the start of the slot."})


class Arm(RoutingPolicyRow):
    """One policy of an experiment."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="arms")
    name = models.CharField(max_length=80, validators=[KEY], help_text="Short: control, local-75.")
    weight = models.FloatField(
        default=0.5, validators=SHARE, help_text="Share of the units. Weights sum to 1."
    )
    is_control = models.BooleanField(
        "control", default=False, help_text="What the others are compared with. One arm is it."
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
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def described(self) -> str:
        """Whose step a cascade's is."""
        return f"a step of arm '{self.name}' of experiment '{self.experiment.key}'"


class ExperimentMetric(models.Model):
    """A metric's part in an experiment."""

    class Role(models.TextChoices):
        PRIMARY = "primary", "Primary: should fall"
        GUARDRAIL = "guardrail", "Guardrail: must not get worse than the margin"
        SECONDARY = "secondary", "Secondary: looked at"

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="metrics")
    metric = models.CharField(
        max_length=60,
        help_text="A built-in one (cost, saving, strong_share, latency, error_rate, "
        "fallback_rate, quality, rated_share) or one of your own.",
    )
    role = models.CharField(max_length=10, choices=Role.choices)
    margin = models.FloatField(
        null=True,
        blank=True,
        help_text="Guardrails: the worst loss accepted, in the metric's own unit, above 0.",
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
    """A stretch of an experiment with fixed arms. Results never mix two of them."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="phases")
    number = models.PositiveIntegerField()
    seed = models.CharField(max_length=64)
    arms = models.JSONField(help_text="Weights and policies, as a document.")
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
    """A day's result as it was seen then: later outcomes never change what was shown."""

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
    """How far a replay of recorded questions has come, so that an interrupted one goes on.

    `day` is the simulated day it is at, `sent` how many of that day's requests are stored; both are
    written with the requests themselves.
    """

    experiment = models.OneToOneField(Experiment, on_delete=models.CASCADE, related_name="replay")
    begin = models.DateTimeField()
    units = models.PositiveIntegerField()
    days = models.PositiveIntegerField()
    seed = models.BigIntegerField()
    questions = models.CharField(max_length=64, help_text="The sha256 of what was recorded.")
    salt = models.CharField(max_length=64)
    day = models.PositiveIntegerField(default=0)
    sent = models.PositiveIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Replay into {self.experiment}"
