"""Charts of an experiment's results: effects, effects over time, exploratory results by domain."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

from experiments.analytics.chart_rows import EffectRow, EstimatePoint
from experiments.dashboards import experiment_wording as wording
from experiments.dashboards.charts import Cell, Chart, ChartColumn, ChartTable, chart, number, word
from experiments.dashboards.experiment_figures import effects_forest, estimate_over_time
from experiments.dashboards.palette import SeriesStyle, of_series
from experiments.experimentation.effects import DomainEffect, MetricEffect
from experiments.experimentation.results import Results

EFFECT_COLUMNS = (
    ChartColumn("metric"),
    ChartColumn("arm"),
    ChartColumn("unit"),
    ChartColumn("difference", numeric=True),
    ChartColumn("from", "always-valid", numeric=True),
    ChartColumn("to", "always-valid", numeric=True),
    ChartColumn("change", "%", numeric=True),
    ChartColumn("margin", numeric=True),
    ChartColumn("units", "control", numeric=True),
    ChartColumn("units", "arm", numeric=True),
)


def looks_of(results: Results) -> dict[str, SeriesStyle]:
    """An arm's style in every chart: it depends on the arm's position in the experiment."""
    control = next((arm.name for arm in results.arms if arm.is_control), None)
    return of_series([arm.name for arm in results.arms], control=control)


def effects(results: Results) -> Chart | None:
    """All metrics against zero and their margins. None without an arm to compare."""
    if not results.effects:
        return None
    looks = {name: look for name, look in looks_of(results).items() if name in _treated(results)}
    return chart(
        "effects",
        "Effects",
        wording.effects_sentence(results.effects),
        effects_forest(_grouped(results), looks),
        ChartTable(
            "Each arm against the control", EFFECT_COLUMNS, tuple(map(_cells, results.effects))
        ),
    )


def over_time(results: Results) -> list[Chart]:
    """Cost and each guardrail at the end of each day."""
    metrics = dict.fromkeys(one.metric for one in results.series)
    charts = (_over_time(results, metric) for metric in metrics)
    return [one for one in charts if one is not None]


def domain_table(results: Results) -> ChartTable | None:
    """Exploratory results by domain; None if there is only one domain."""
    if not results.breakdown:
        return None
    columns = (
        ChartColumn("domain"),
        ChartColumn("arm"),
        ChartColumn("metric"),
        ChartColumn("difference", numeric=True),
        ChartColumn("from", "always-valid", numeric=True),
        ChartColumn("to", "always-valid", numeric=True),
        ChartColumn("p", "corrected", numeric=True),
        ChartColumn("units", numeric=True),
    )
    cells = tuple(_domain_cells(one) for one in results.breakdown)
    return ChartTable("Differences by domain (exploratory)", columns, cells)


def _treated(results: Results) -> set[str]:
    return {arm.name for arm in results.arms if not arm.is_control}


def _grouped(results: Results) -> list[EffectRow]:
    """By metric as the experiment lists them, and by arm within."""
    metrics = dict.fromkeys(one.metric for one in results.effects)
    return [_effect(one) for metric in metrics for one in results.effects if one.metric == metric]


def _effect(one: MetricEffect) -> EffectRow:
    scale, interval = wording.scale_of(one), one.effect.sequential_interval
    return EffectRow(
        metric=one.label,
        unit=wording.unit_of(one),
        arm=one.arm,
        estimate=_scaled(one.effect.estimate, scale),
        low=_scaled(interval.lower if interval else None, scale),
        high=_scaled(interval.upper if interval else None, scale),
        margin=_scaled(one.margin, scale),
        higher_is_better=one.better == "higher",
        units=one.observed,
        minimum=one.minimum,
    )


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else scale * value


def _cells(one: MetricEffect) -> tuple[Cell, ...]:
    effect, scale = one.effect, wording.scale_of(one)
    interval = effect.sequential_interval
    few = f"too few: {one.observed} of {one.minimum}"
    digits = 1 if one.unit is None else 2
    return (
        word(one.label),
        word(one.arm),
        word(wording.unit_of(one)),
        number(_scaled(effect.estimate, scale), digits, otherwise=few),
        number(_scaled(interval.lower, scale) if interval else None, digits, otherwise=""),
        number(_scaled(interval.upper, scale) if interval else None, digits, otherwise=""),
        number(_scaled(effect.relative, 100), 1, otherwise=""),
        number(_scaled(one.margin, scale), digits, otherwise=""),
        number(effect.n_control),
        number(effect.n_treatment),
    )


def _over_time(results: Results, metric: str) -> Chart | None:
    known = next((one for one in results.effects if one.metric == metric), None)
    points = list(_points(results, metric, wording.scale_of(known))) if known else []
    if known is None or not points:
        return None
    margin = _scaled(known.margin, wording.scale_of(known))
    figure = estimate_over_time(
        points,
        looks_of(results),
        unit=wording.unit_of(known),
        margin=margin,
        higher_is_better=known.better == "higher",
    )
    table = ChartTable(f"{known.label} day by day", TIME_COLUMNS, tuple(map(_time_cells, points)))
    title = f"{known.label} over time"
    sentence = wording.over_time_sentence(known, points)
    return chart(f"time-{metric}", title, sentence, figure, table)


TIME_COLUMNS = (
    ChartColumn("day"),
    ChartColumn("phase", numeric=True),
    ChartColumn("arm"),
    ChartColumn("difference", numeric=True),
    ChartColumn("from", "always-valid", numeric=True),
    ChartColumn("to", "always-valid", numeric=True),
    ChartColumn("units", numeric=True),
)


def _points(results: Results, metric: str, scale: float) -> Iterator[EstimatePoint]:
    for one in results.series:
        effect = one.point.effect
        interval = effect.sequential_interval
        if one.metric != metric or effect.estimate is None or interval is None:
            continue
        yield EstimatePoint(
            at=datetime.combine(one.point.day, time(), UTC) + timedelta(days=1),
            arm=one.arm,
            phase=one.point.phase,
            estimate=scale * effect.estimate,
            low=scale * interval.lower,
            high=scale * interval.upper,
            units=effect.n_control + effect.n_treatment,
        )


def _time_cells(point: EstimatePoint) -> tuple[Cell, ...]:
    return (
        word((point.at - timedelta(days=1)).date().isoformat()),
        number(point.phase),
        word(point.arm),
        number(point.estimate, 2),
        number(point.low, 2),
        number(point.high, 2),
        number(point.units),
    )


def _domain_cells(one: DomainEffect) -> tuple[Cell, ...]:
    effect, scale = one.answer.effect, 1000.0 if one.metric == "cost" else 100.0
    interval = effect.sequential_interval
    unit = "$ per 1,000" if one.metric == "cost" else "points"
    digits = 2 if one.metric == "cost" else 1
    return (
        word(one.domain),
        word(one.arm),
        word(f"{one.metric}, {unit}"),
        number(
            _scaled(effect.estimate, scale),
            digits,
            otherwise=f"too few: {one.observed} of {one.minimum}",
        ),
        number(_scaled(interval.lower, scale) if interval else None, digits, otherwise=""),
        number(_scaled(interval.upper, scale) if interval else None, digits, otherwise=""),
        _p_value(one.answer.adjusted_p_value),
        number(effect.n_control + effect.n_treatment),
    )


def _p_value(p: float | None) -> Cell:
    if p is not None and p < 0.001:
        return Cell("< 0.001", exact=repr(p), numeric=True)
    return number(p, 3, otherwise="")
