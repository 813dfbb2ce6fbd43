"""The panel of a domain's target: its sentence, the strong share, and the threshold over time."""

from collections.abc import Iterator, Sequence

from plotly import graph_objects as go

from experiments.analytics.targets import (
    ENOUGH,
    RealizedPoint,
    RealizedShare,
    TargetReport,
    ThresholdPoint,
)
from experiments.dashboards.charts import (
    Chart,
    ChartColumn,
    ChartTable,
    chart,
    instant,
    number,
    word,
)
from experiments.dashboards.domain_figures import RevisionMark, with_changes
from experiments.dashboards.marks import bands, base_layout, hollow_where, moment, rule
from experiments.dashboards.palette import of_tier
from experiments.dashboards.wording import Headline
from experiments.formatting import dollars, plural, share
from experiments.models import Domain, ThresholdTable
from experiments.models.domains import TargetKind

BASES = dict(ThresholdTable.ScoreBasis.choices)
NANO = 1_000_000_000


def target_sentence(row: Domain, found: TargetReport, at_work: float | None, when: str) -> Headline:
    """What the domain aims at, what it got, and what to do where the two differ."""
    if not row.follows_target:
        fixed = (
            "No threshold is set" if at_work is None else f"The threshold is fixed at {at_work:.3f}"
        )
        return Headline(
            f"{fixed}; it does not follow a target. {realized(found.realized, when)}",
            "Next: switch “follows target” on, and the threshold keeps the share by itself.",
        )
    return Headline(
        f"{_aim(row)} {realized(found.realized, when)}{_moved(found, at_work)}", _next(row, found)
    )


def realized(one: RealizedShare, when: str) -> str:
    """'The strong model got 49 % (46 to 52 %) of 812 routed requests in the last 7 days.'"""
    if not one.decisions:
        return f"The router decided nothing {when}."
    of = f"of {plural(one.decisions, 'routed request')} {when}"
    if one.bounds is None:
        return f"The strong model got {one.strong} {of}: too few for a share."
    low, high = one.bounds
    return f"The strong model got {share(one.share)} ({share(low)} to {share(high)}) {of}."


def _aim(row: Domain) -> str:
    if row.target_kind == TargetKind.STRONG_SHARE:
        return f"The target is {share(row.target_strong_share)} for the strong model."
    value = row.target_value or 0.0
    if row.target_kind == TargetKind.QUALITY:
        return f"The target is {share(value)} of the strong model's quality."
    spent = dollars(round(value * NANO))
    if row.resolved_share is None:
        return f"The target is {spent} per 1,000 requests."
    return (
        f"The target is {spent} per 1,000 requests: at recent costs, {share(row.resolved_share)} "
        "for the strong model."
    )


def _moved(found: TargetReport, at_work: float | None) -> str:
    if at_work is None:
        return ""
    moved = f" after {plural(found.moves, 'move')}" if found.moves else ""
    return f" The threshold is {at_work:.3f} now{moved}."


def _next(row: Domain, found: TargetReport) -> str:
    is_open = row.target_kind == TargetKind.DOLLARS and row.resolved_share is None
    if is_open:
        return (
            "Next: wait for 200 scored requests with prices; the target is looked up once an hour."
        )
    if found.target is not None and not found.moves and found.realized.decisions:
        return "Next: start the background process (manage.py run_tasks), which moves thresholds."
    return ""


def charts(found: TargetReport, changes: Sequence[RevisionMark]) -> list[Chart]:
    """The realized share and, where the threshold follows a target, its moves."""
    drawn = []
    if found.shares:
        drawn.append(_share_chart(found, changes))
    if found.thresholds:
        drawn.append(_threshold_chart(found, changes))
    return drawn


def _share_chart(found: TargetReport, changes: Sequence[RevisionMark]) -> Chart:
    known = [one for one in found.shares if one.realized.bounds is not None]
    sentence = f"No hour or day has {ENOUGH} routed requests yet."
    if known:
        sentence = " ".join(_shares_text(known, found.target))
    figure = with_changes(share_figure(found), changes, daily=False)
    return chart("strong-share", "Share of the strong model", sentence, figure, _share_table(found))


def _shares_text(known: Sequence[RealizedPoint], target: float | None) -> Iterator[str]:
    values = [one.realized.share or 0.0 for one in known]
    within = 0 if target is None else sum(_holds(one, target) for one in known)
    if len(known) == 1:
        yield f"{share(values[0])} of the requests."
        if target is not None:
            where = "in" if within else "outside"
            yield f"The target of {share(target)} lies {where} its interval."
        return
    yield f"Between {share(min(values))} and {share(max(values))} of the requests."
    if target is not None:
        yield f"The target of {share(target)} lies in {within} of {len(known)} intervals."


def _holds(one: RealizedPoint, target: float) -> bool:
    low, high = one.realized.bounds or (0.0, 1.0)
    return low <= target <= high


def share_figure(found: TargetReport) -> go.Figure:
    """The realized share with its interval; hollow marks have too few requests."""
    look = of_tier("strong")
    figure = go.Figure(
        layout=base_layout(
            x_title="time, {zone}",
            y_title="share of the strong model, %",
            hovermode="x unified",
            showlegend=False,
        )
    )
    points = found.shares
    xs = [moment(one.at) for one in points]
    bounds = [one.realized.bounds for one in points]
    lows = [None if one is None else 100 * one[0] for one in bounds]
    highs = [None if one is None else 100 * one[1] for one in bounds]
    figure.add_traces(bands(xs, lows, highs, look.tone))
    figure.add_scatter(
        x=xs,
        y=[100 * (one.realized.share or 0.0) for one in points],
        name="realized",
        mode="lines+markers",
        line={"color": look.tone.css, "width": 2},
        marker=hollow_where(look, [one is not None for one in bounds]),
        customdata=[[one.realized.decisions] for one in points],
        hovertemplate="%{y:.0f} % of %{customdata[0]:,} requests<extra></extra>",
    )
    if found.target is not None:
        line = rule(100 * found.target, across="y", text=f"target {share(found.target)}")
        figure.update_layout(shapes=[line])
    figure.update_yaxes(range=[0, 100])
    return figure


def _share_table(found: TargetReport) -> ChartTable:
    columns = (
        ChartColumn("from"),
        ChartColumn("requests", numeric=True),
        ChartColumn("strong model", "%", numeric=True),
        ChartColumn("low", "%", numeric=True),
        ChartColumn("high", "%", numeric=True),
    )
    cells = []
    for one in found.shares:
        bounds = one.realized.bounds
        few = f"too few: {one.realized.decisions} of {ENOUGH}"
        low, high = (None, None) if bounds is None else (100 * bounds[0], 100 * bounds[1])
        value = None if bounds is None else 100 * (one.realized.share or 0.0)
        cells.append(
            (
                instant(one.at),
                number(one.realized.decisions),
                number(value, 1, otherwise=few),
                number(low, 1, otherwise=""),
                number(high, 1, otherwise=""),
            )
        )
    return ChartTable(
        "The strong model's share over time, with 95 % intervals", columns, tuple(cells)
    )


def _threshold_chart(found: TargetReport, changes: Sequence[RevisionMark]) -> Chart:
    values = [one.threshold for one in found.thresholds]
    sentence = (
        f"The threshold moved {plural(found.moves, 'time')}, between {min(values):.3f} and "
        f"{max(values):.3f}."
    )
    if any(one.jumped for one in found.thresholds):
        sentence += " Where the mark is a triangle, the scores had jumped."
    figure = with_changes(threshold_figure(found.thresholds), changes, daily=False)
    return chart(
        "threshold-moves",
        "Threshold over time",
        sentence,
        figure,
        _threshold_table(found.thresholds),
    )


def threshold_figure(points: Sequence[ThresholdPoint]) -> go.Figure:
    """The threshold of each table, which counts until the next one."""
    look = of_tier("strong")
    figure = go.Figure(
        layout=base_layout(
            x_title="time, {zone}", y_title="threshold, 0 to 1", hovermode="x unified"
        )
    )
    figure.add_scatter(
        x=[moment(one.at) for one in points],
        y=[one.threshold for one in points],
        name="threshold",
        mode="lines",
        line={"color": look.tone.css, "width": 2, "shape": "hv"},
        customdata=[[one.number, BASES[one.basis].lower()] for one in points],
        hovertemplate="%{y:.4f} (table %{customdata[0]}, %{customdata[1]})<extra></extra>",
        showlegend=False,
    )
    jumps = [one for one in points if one.jumped]
    if jumps:
        figure.add_scatter(
            x=[moment(one.at) for one in jumps],
            y=[one.threshold for one in jumps],
            name="scores jumped",
            mode="markers",
            marker={"symbol": "triangle-up", "size": 10, "color": look.tone.css},
            hoverinfo="skip",
        )
    return figure


def _threshold_table(points: Sequence[ThresholdPoint]) -> ChartTable:
    columns = (
        ChartColumn("from"),
        ChartColumn("table", numeric=True),
        ChartColumn("threshold", numeric=True),
        ChartColumn("scores"),
    )
    cells = tuple(
        (
            instant(one.at),
            number(one.number),
            number(one.threshold, 4),
            word(BASES[one.basis] + (", jumped" if one.jumped else "")),
        )
        for one in points
    )
    return ChartTable("Thresholds, each until the next one", columns, cells)
