"""The definition of metrics: which sums they divide, which direction is better, their range."""

from typing import NamedTuple

from experiments.analysis.experiment.effects import EffectInterval
from experiments.analysis.experiment.plan import SHARE, Direction
from experiments.models import Metric
from experiments.models.sums import FIXED_POINT

NANO = 1_000_000_000
MICROSECONDS = 1_000


class MetricSpec(NamedTuple):
    """A metric as a ratio of two counters of a unit's sums.

    `scale` converts the numerator's integers to the metric's unit. `rated` names the counter of
    decisions with a value, for metrics that come from feedback. `per_unit` metrics have one value
    per unit, the mean of its ratings.
    """

    name: str
    label: str
    numerator: str
    denominator: str
    better: Direction
    scale: int = 1
    unit: str | None = None
    boolean: bool = False
    value_range: EffectInterval | None = None
    from_feedback: bool = False
    per_unit: bool = False


def _built_in(*specs: MetricSpec) -> dict[str, MetricSpec]:
    return {spec.name: spec for spec in specs}


LOWER, HIGHER = Direction.LOWER, Direction.HIGHER
BUILT_IN = _built_in(
    MetricSpec("cost", "Cost per request", "cost", "priced", LOWER, NANO, "USD"),
    MetricSpec("saving", "Saving per request", "saving", "priced", HIGHER, NANO, "USD"),
    MetricSpec("strong_share", "Strong share", "strong", "decisions", LOWER, boolean=True),
    MetricSpec("latency", "Latency", "latency", "latency_count", LOWER, MICROSECONDS, "ms"),
    MetricSpec("error_rate", "Error rate", "errors", "outcomes", LOWER, boolean=True),
    MetricSpec("fallback_rate", "Fallback rate", "fallbacks", "decisions", LOWER, boolean=True),
    MetricSpec(
        "quality",
        "Quality",
        "quality",
        "rated",
        HIGHER,
        FIXED_POINT,
        value_range=SHARE,
        from_feedback=True,
    ),
    MetricSpec("rated_share", "Share rated", "rated", "decisions", HIGHER, boolean=True),
)
QUALITY = BUILT_IN["quality"]
AUDITED_QUALITY = QUALITY._replace(
    numerator="audited_quality", denominator="audited_rated", from_feedback=False
)


class UnknownMetricError(LookupError):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"Unknown metric '{name}'. Built-in metrics: {', '.join(BUILT_IN)}. Add others under "
            "Metrics in the admin."
        )


def spec_of(name: str, *, audited: bool = False) -> MetricSpec:
    """Built in, or a row of Metric: one query then. Raises UnknownMetricError."""
    if name == QUALITY.name and audited:
        return AUDITED_QUALITY
    if name in BUILT_IN:
        return BUILT_IN[name]
    row = Metric.objects.filter(name=name).first()
    if row is None:
        raise UnknownMetricError(name)
    return MetricSpec(
        name=name,
        label=name.replace("_", " ").capitalize(),
        numerator=f"metric:{name}:total",
        denominator=f"metric:{name}:rated",
        better=Direction(row.better),
        scale=FIXED_POINT,
        boolean=row.kind == Metric.ValueKind.BOOLEAN,
        value_range=EffectInterval(row.minimum, row.maximum),
        from_feedback=True,
        per_unit=row.level == Metric.Level.UNIT,
    )
