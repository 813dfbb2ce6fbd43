"""Running totals as exact integers: analyses read these instead of decisions.

Money is in nano-dollars, latency in microseconds, quality and custom metrics in millionths.

A key has one row with its sum, where `folded` is true, and a row for each change that is not
folded into it yet, where `folded` is null. Requests only insert changes; a background process folds
them (`experiments.decisions.folding`). So the value of a counter is its sum over all rows of a
key: one row alone is not enough.
"""

from collections.abc import Sequence

from django.db import models

FIXED_POINT = 1_000_000
SCORE_BINS = 20
CONFIDENCE_BINS = 10
# Upper ends of the routing latency's bins, in microseconds; the last bin is open.
LATENCY_ENDS = (250, 500, 1_000, 1_500, 2_000, 3_000, 4_000, 6_000, 8_000, 12_000, 25_000, 100_000)


def _counter() -> "models.BigIntegerField[int, int]":
    """A total with a database default of 0, so that an upsert names only the changed columns."""
    return models.BigIntegerField(default=0, db_default=0)


def folded_column() -> "models.BooleanField[bool | None, bool | None]":
    """Part of the unique key. Nulls never conflict: a key has any number of changes."""
    return models.BooleanField(null=True, default=True, db_default=True, editable=False)


def changes_index(name: str) -> models.Index:
    """Finds the changes that are not folded yet, oldest first."""
    return models.Index(fields=["id"], condition=models.Q(folded__isnull=True), name=name)


def key_columns(model: type[models.Model]) -> Sequence[str]:
    """The columns that name one sum of this table."""
    [key] = (c for c in model._meta.constraints if isinstance(c, models.UniqueConstraint))
    return tuple(name for name in key.fields if name != "folded")


def counters_of(model: type[models.Model]) -> tuple[str, ...]:
    """The names of a model's totals, without its key."""
    numbers = (f for f in model._meta.concrete_fields if isinstance(f, models.BigIntegerField))
    return tuple(field.name for field in numbers if not field.primary_key)


class UnitSum(models.Model):
    """Totals of one unit on one UTC day in one arm and domain.

    Without an experiment the first three columns are empty: these rows are a unit's history before
    its first exposure.
    """

    experiment = models.CharField(max_length=80, blank=True)
    phase = models.PositiveIntegerField(default=0)
    arm = models.CharField(max_length=80, blank=True)
    unit_hash = models.CharField(max_length=32)
    domain = models.CharField(max_length=40)
    day = models.DateField()
    folded = folded_column()
    decisions = _counter()
    priced = _counter()
    cost = _counter()
    baseline = _counter()
    strong = _counter()
    fallbacks = _counter()
    outcomes = _counter()
    errors = _counter()
    latency = _counter()
    latency_count = _counter()
    slow = _counter()
    quality = _counter()
    rated = _counter()
    audited = _counter()
    audited_quality = _counter()
    audited_rated = _counter()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["experiment", "phase", "arm", "unit_hash", "domain", "day", "folded"],
                name="unit_sum_key",
            )
        ]
        indexes = [
            models.Index(fields=["unit_hash", "day"], name="unit_sum_history"),
            changes_index("unit_sum_changes"),
        ]

    def __str__(self) -> str:
        return f"{self.experiment}/{self.arm} {self.unit_hash} {self.day}"


class MetricSum(models.Model):
    """The totals of a custom metric of one unit on one UTC day in one arm and domain."""

    experiment = models.CharField(max_length=80, blank=True)
    phase = models.PositiveIntegerField(default=0)
    arm = models.CharField(max_length=80, blank=True)
    unit_hash = models.CharField(max_length=32)
    domain = models.CharField(max_length=40)
    day = models.DateField()
    metric = models.CharField(max_length=60)
    folded = folded_column()
    total = _counter()
    rated = _counter()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "experiment", "phase", "arm", "unit_hash", "domain", "day", "metric", "folded",
                ],
                name="metric_sum_key",
            )
        ]  # fmt: skip
        indexes = [changes_index("metric_sum_changes")]

    def __str__(self) -> str:
        return f"{self.experiment}/{self.arm} {self.unit_hash} {self.metric}"


class Rollup(models.Model):
    """Totals of one UTC hour by the groups of pages, which read these instead of decisions.

    `cost_squares` are in square micro-dollars, `quality_squares` in square millionths. `actual` and
    `estimated` are the actual and the estimated cost of decisions with known tokens.
    """

    hour = models.DateTimeField()
    domain = models.CharField(max_length=40)
    experiment = models.CharField(max_length=80, blank=True)
    arm = models.CharField(max_length=80, blank=True)
    tier = models.CharField(max_length=10)
    model = models.CharField(max_length=200)
    method = models.CharField(max_length=20)
    folded = folded_column()
    decisions = _counter()
    priced = _counter()
    cost = _counter()
    cost_squares = _counter()
    baseline = _counter()
    paired = _counter()
    paired_cost = _counter()
    strong_cost = _counter()
    weak_cost = _counter()
    fallbacks = _counter()
    explored = _counter()
    routing_us = _counter()
    timed = _counter()
    outcomes = _counter()
    errors = _counter()
    actual = _counter()
    estimated = _counter()
    reconciled = _counter()
    input_tokens = _counter()
    output_tokens = _counter()
    response_us = _counter()
    responses = _counter()
    quality = _counter()
    quality_squares = _counter()
    rated = _counter()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "hour", "domain", "experiment", "arm", "tier", "model", "method", "folded",
                ],
                name="rollup_key",
            )
        ]  # fmt: skip
        indexes = [
            models.Index(fields=["domain", "hour"], name="rollup_domain_hour"),
            changes_index("rollup_changes"),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.domain} {self.model}"


class RollupBin(models.Model):
    """Histograms by hour and domain: scores, confidence, routing latency, runner-up domains.

    `kind` is `score:<router>`, `confidence`, `latency` or `runner_up`; `bin` its index or name.
    """

    hour = models.DateTimeField()
    domain = models.CharField(max_length=40)
    kind = models.CharField(max_length=60)
    bin = models.CharField(max_length=40)
    folded = folded_column()
    count = _counter()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["hour", "domain", "kind", "bin", "folded"], name="rollup_bin_key"
            )
        ]
        indexes = [
            models.Index(fields=["domain", "kind", "hour"], name="rollup_bin_kind"),
            changes_index("rollup_bin_changes"),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.domain} {self.kind} {self.bin}"
