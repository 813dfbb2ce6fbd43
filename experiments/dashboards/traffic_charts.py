"""Charts about traffic, with their sentences and tables."""

from collections.abc import Sequence
from datetime import date, datetime

from experiments.analytics.chart_rows import CostDay, QualityPoint, ScoreBin
from experiments.analytics.detection import Moved, latency_within
from experiments.analytics.traffic import MIN_DRAWN, Traffic
from experiments.dashboards import wording
from experiments.dashboards.charts import (
    Cell,
    Chart,
    ChartColumn,
    ChartTable,
    chart,
    instant,
    money,
    number,
    word,
)
from experiments.dashboards.domain_figures import (
    RevisionMark,
    confidence,
    cost_per_request,
    runners_up,
    with_changes,
)
from experiments.dashboards.figures import (
    TIER_NAMES,
    cost_by_day,
    quality_by_tier,
    score_histogram,
)
from experiments.dashboards.filters import BASELINES
from experiments.formatting import plural, share


def costs(traffic: Traffic) -> Chart:
    baseline = BASELINES[traffic.baseline]
    unit = traffic.span.step
    return chart(
        "cost",
        f"Cost per {unit}",
        wording.cost_over_time(traffic, unit),
        cost_by_day(traffic.days, baseline=baseline),
        _cost_table(traffic.days, baseline),
    )


def cost_of_requests(traffic: Traffic, changes: Sequence[RevisionMark]) -> Chart:
    baseline = BASELINES[traffic.baseline]
    return chart(
        "cost",
        "Cost per 1,000 requests",
        wording.cost_over_time(traffic, traffic.span.step, "the two lines"),
        cost_per_request(traffic.days, baseline=baseline, changes=changes),
        _cost_table(traffic.days, baseline),
    )


def quality(traffic: Traffic, changes: Sequence[RevisionMark] = ()) -> Chart:
    figure = with_changes(quality_by_tier(traffic.quality), changes, daily=False)
    return chart(
        "quality",
        "Rated quality by model tier",
        wording.quality_by_tier(traffic),
        figure,
        _quality_table(traffic.quality),
    )


def _cost_table(rows: Sequence[CostDay], baseline: str) -> ChartTable:
    columns = (
        ChartColumn("from"),
        ChartColumn("requests", numeric=True),
        ChartColumn("strong model", "$", numeric=True),
        ChartColumn("weak model", "$", numeric=True),
        ChartColumn("domain selector", "$", numeric=True),
        ChartColumn(baseline, "$", numeric=True),
    )
    cells = tuple(
        (
            _when(row.day),
            number(row.requests),
            money(row.strong),
            money(row.weak),
            money(row.selected),
            money(row.baseline),
        )
        for row in rows
    )
    return ChartTable("Cost over time by tier, and of the baseline", columns, cells)


def _when(day: date) -> Cell:
    return instant(day) if isinstance(day, datetime) else word(day.isoformat())


def _quality_table(rows: Sequence[QualityPoint]) -> ChartTable:
    columns = (
        ChartColumn("from"),
        ChartColumn("tier"),
        ChartColumn("mean", numeric=True),
        ChartColumn("low", numeric=True),
        ChartColumn("high", numeric=True),
        ChartColumn("rated", numeric=True),
    )
    cells = tuple(
        (
            instant(row.at),
            word(TIER_NAMES[row.tier]),
            number(row.mean, 3, otherwise=f"too few: {row.rated} of {MIN_DRAWN}"),
            number(row.low, 3, otherwise=""),
            number(row.high, 3, otherwise=""),
            number(row.rated),
        )
        for row in rows
    )
    return ChartTable("Mean rated quality over time, by tier, with 95 % intervals", columns, cells)


def scores(
    router: str, bins: Sequence[ScoreBin], moves: Sequence[Moved], at_work: float | None
) -> Chart:
    """The histogram with the current threshold; the table has a row for other thresholds."""
    threshold = 0.5 if at_work is None else at_work
    here = min(moves, key=lambda move: abs(move.threshold - threshold))
    return chart(
        "scores",
        f"Scores of router {router}",
        wording.threshold(here, at_work),
        score_histogram(bins, threshold=threshold),
        _threshold_table(moves),
    )


def _threshold_table(moves: Sequence[Moved]) -> ChartTable:
    columns = (
        ChartColumn("threshold", numeric=True),
        ChartColumn("to the strong model", "%", numeric=True),
        ChartColumn("cost per 1,000", "$, about", numeric=True),
    )
    cells = tuple(
        (
            number(move.threshold, 2),
            number(100 * move.strong_share, 1),
            money(move.cost, 4),
        )
        for move in moves[::5]
    )
    return ChartTable("Effect of each threshold", columns, cells)


def detection(bins: Sequence[ScoreBin], name: str, minimum: float) -> Chart:
    total = sum(one.decisions for one in bins)
    sure = sum(one.decisions for one in bins if one.low >= 0.8)
    columns = (ChartColumn("from"), ChartColumn("to"), ChartColumn("decisions", numeric=True))
    cells = tuple(
        (word(f"{one.low:.1f}"), word(f"{one.high:.1f}"), number(one.decisions)) for one in bins
    )
    return chart(
        "confidence",
        "Detection confidence",
        f"{share(sure / total if total else None)} of the {name} prompts were detected "
        "with a confidence of 0.8 or more.",
        confidence(bins, minimum=minimum),
        ChartTable("Decisions by confidence", columns, cells),
    )


def seconds(rows: Sequence[tuple[str, int]], name: str) -> Chart:
    total = sum(count for _, count in rows)
    first, count = rows[0]
    columns = (ChartColumn("domain"), ChartColumn("decisions", numeric=True))
    return chart(
        "runners-up",
        "Second most likely domain",
        f"{first} was second for {share(count / total)} of "
        f"{plural(total, 'prompt')} that had another candidate than {name}.",
        runners_up(rows),
        ChartTable("Runner-up domains", columns, tuple((word(n), number(c)) for n, c in rows)),
    )


def routing_time(counts: Sequence[int]) -> str:
    """The 95th percentile of the routing time: "≤ 3 ms", or why it is not known."""
    within = latency_within(counts, 0.95)
    if within is None:
        return "not timed"
    return "over 100 ms" if within == float("inf") else f"≤ {within:g} ms"
