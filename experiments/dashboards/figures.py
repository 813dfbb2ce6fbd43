"""Figures about traffic: rows of a report in, a Plotly figure out. Nothing here queries."""

from collections.abc import Sequence
from datetime import datetime
from math import inf
from typing import NamedTuple

from plotly import graph_objects as go

from experiments.analytics.chart_rows import CostDay, QualityPoint, ScoreBin, Tier
from experiments.core.money import NANO
from experiments.dashboards.marks import (
    bands,
    base_layout,
    hollow_where,
    moment,
    rule,
)
from experiments.dashboards.palette import INK, STRONG, WEAK, SeriesStyle, of_tier

GAP = 0.08
"""The gap between two bars of a histogram, as a share of a bin; threshold.js has the same."""
FAR_RIGHT, HEADROOM = 0.85, 1.15
"""From which threshold the label is left of its line; space for it above the bars."""
TIERS: tuple[Tier, ...] = ("strong", "weak", "selected")
TIER_NAMES: dict[Tier, str] = {
    "strong": "strong model",
    "weak": "weak model",
    "selected": "domain selector",
}


def cost_by_day(rows: Sequence[CostDay], *, baseline: str) -> go.Figure:
    """Cost per day (or hour) by tier, and the cost of `baseline` as a line."""
    hourly = bool(rows) and isinstance(rows[0].day, datetime)
    figure = go.Figure(
        layout=base_layout(
            x_title="hour, {zone}" if hourly else "day, UTC",
            y_title="cost per hour, $" if hourly else "cost per day, $",
            barmode="stack",
            bargap=0.3,
            hovermode="x unified",
        )
    )
    days = [row.day.isoformat() for row in rows]
    for tier in TIERS:
        dollars = [getattr(row, tier) / NANO for row in rows]
        if any(dollars):
            figure.add_bar(
                x=days,
                y=dollars,
                name=TIER_NAMES[tier],
                marker={"color": of_tier(tier).tone.css},
                hovertemplate="$%{y:,.2f}",
            )
    figure.add_scatter(
        x=days,
        y=[row.baseline / NANO for row in rows],
        name=baseline,
        mode="lines",
        line={"color": INK, "width": 2, "shape": "hvh"},
        hovertemplate="$%{y:,.2f}",
    )
    figure.update_yaxes(rangemode="tozero", tickprefix="$")
    return figure


def quality_by_tier(rows: Sequence[QualityPoint]) -> go.Figure:
    """Mean quality over time, with a line and a band for each tier; hollow marks: few ratings."""
    figure = go.Figure(
        layout=base_layout(
            x_title="time, {zone}", y_title="mean rated quality, 0 to 1", hovermode="x unified"
        )
    )
    for tier in TIERS:
        points = [row for row in rows if row.tier == tier]
        if points:
            _add_quality(figure, points, of_tier(tier), TIER_NAMES[tier])
    if not any(row.rated for row in rows):
        figure.update_yaxes(range=[0, 1])
    return figure


def _add_quality(
    figure: go.Figure, points: Sequence[QualityPoint], look: SeriesStyle, name: str
) -> None:
    xs = [moment(point.at) for point in points]
    lows, highs = [point.low for point in points], [point.high for point in points]
    figure.add_traces(bands(xs, lows, highs, look.tone))
    figure.add_scatter(
        x=xs,
        y=[point.mean for point in points],
        name=name,
        mode="lines+markers",
        line={"color": look.tone.css, "width": 2, "dash": look.dash},
        marker=hollow_where(look, [point.rated >= point.minimum for point in points]),
        customdata=[[point.low, point.high, point.rated] for point in points],
        hovertemplate="%{y:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f}, "
        "%{customdata[2]:,} rated)",
    )


def score_histogram(bins: Sequence[ScoreBin], *, threshold: float) -> go.Figure:
    """Decisions by score: the weak model's colour below the threshold, the strong model's above.

    A bin that contains the threshold is cut there, in proportion. The threshold is the figure's
    only shape, named "threshold", so that a page can move it.
    """
    figure = go.Figure(
        layout=base_layout(
            x_title="score: probability that the strong model is better, 0 to 1",
            y_title="decisions",
            barmode="overlay",
            bargap=0.08,
        )
    )
    sides = (
        (WEAK, TIER_NAMES["weak"], -inf, threshold),
        (STRONG, TIER_NAMES["strong"], threshold, inf),
    )
    for tone, name, start, end in sides:
        bars = [bar for one in bins if (bar := _bar(one, start, end))]
        figure.add_bar(
            x=[bar.middle for bar in bars],
            y=[bar.of.decisions for bar in bars],
            width=[bar.width for bar in bars],
            name=name,
            marker={"color": tone.css},
            customdata=[[bar.of.low, bar.of.high] for bar in bars],
            hovertemplate="score %{customdata[0]:.2f} to %{customdata[1]:.2f}: %{y:,} decisions"
            "<extra></extra>",
        )
    line = rule(threshold, across="x", text=f"threshold {threshold:.2f}")
    line["label"]["xanchor"] = "left" if threshold < FAR_RIGHT else "right"
    figure.update_layout(shapes=[{**line, "name": "threshold"}])
    figure.update_xaxes(range=[0, 1])
    tallest = max((one.decisions for one in bins), default=0)
    figure.update_yaxes(range=[0, (tallest or 1) * HEADROOM])
    return figure


class _Bar(NamedTuple):
    """The part of a bin on one side of the threshold."""

    of: ScoreBin
    middle: float
    width: float


def _bar(one: ScoreBin, start: float, end: float) -> _Bar | None:
    gap = (one.high - one.low) * GAP / 2
    low, high = max(one.low + gap, start), min(one.high - gap, end)
    return _Bar(one, (low + high) / 2, high - low) if low < high else None
