"""Figures of routers on an outcome set: quality by cost, and calibration of the scores."""

from collections.abc import Sequence

from plotly import graph_objects as go

from experiments.analysis.routing.router_evaluation import Assessment, SharePoint
from experiments.core.money import NANO
from experiments.dashboards.marks import bands, base_layout, whisker
from experiments.dashboards.palette import (
    CONTROL,
    EDGE,
    INK,
    QUIET,
    STRONG,
    WEAK,
    SeriesStyle,
    of_series,
)
from experiments.lab.evaluations import MeasuredRouter, Slice

BY_COST = "cost per 1,000 prompts, $"
BY_SHARE = "share sent to the strong model, %"


def curve(part: Slice) -> go.Figure:
    """Quality against cost if costs are known, else against the strong share."""
    baselines = part.baselines
    if baselines is None:
        return go.Figure(layout=base_layout())
    priced = baselines.strong_cost is not None
    figure = go.Figure(
        layout=base_layout(
            x_title=BY_COST if priced else BY_SHARE, y_title="mean quality, 0 to 1", height=430
        )
    )
    _add_plain(figure, baselines.random, "random router", "dot", priced=priced)
    _add_plain(figure, baselines.oracle, "oracle", "dash", priced=priced)
    looks = of_series([one.name for one in part.routers])
    for one in part.routers:
        _add_router(figure, one, looks[one.name], priced=priced)
    first, last = baselines.random.curve[0], baselines.random.curve[-1]
    ends = ((first, "always weak", WEAK, "circle"), (last, "always strong", STRONG, "square"))
    for point, name, tone, symbol in ends:
        figure.add_scatter(
            x=[_x(point, priced=priced)],
            y=[point.quality],
            name=name,
            mode="markers",
            marker={"symbol": symbol, "size": 11, "color": tone.css},
            hovertemplate=f"{name}: quality %{{y:.3f}}<extra></extra>",
        )
    return figure


def _add_plain(figure: go.Figure, found: Assessment, name: str, dash: str, *, priced: bool) -> None:
    figure.add_scatter(
        x=[_x(point, priced=priced) for point in found.curve],
        y=[point.quality for point in found.curve],
        name=name,
        mode="lines",
        line={"color": CONTROL.css, "width": 1.5, "dash": dash},
        hovertemplate=f"{name}: quality %{{y:.3f}}<extra></extra>",
    )


def _add_router(figure: go.Figure, one: MeasuredRouter, look: SeriesStyle, *, priced: bool) -> None:
    points = one.assessment.curve
    xs = [_x(point, priced=priced) for point in points]
    lows, highs = [point.low for point in points], [point.high for point in points]
    figure.add_traces(bands(xs, lows, highs, look.tone))
    figure.add_scatter(
        x=xs,
        y=[point.quality for point in points],
        name=one.name,
        mode="lines",
        line={"color": look.tone.css, "width": 2.5, "dash": look.dash},
        customdata=[[point.low, point.high, 100 * point.share] for point in points],
        hovertemplate=f"{one.name}: quality %{{y:.3f}} (%{{customdata[0]:.3f}} to "
        "%{customdata[1]:.3f}), %{customdata[2]:.0f} % strong<extra></extra>",
    )
    if one.operating is not None:
        at = one.operating
        x = 1000 * (at.cost or 0) / NANO if priced else 100 * at.strong_share
        figure.add_scatter(
            x=[x],
            y=[at.quality],
            name=f"{one.name} today",
            mode="markers",
            marker={"symbol": "diamond", "size": 12, "color": INK},
            hovertemplate=f"threshold {at.threshold:.3f}: quality %{{y:.3f}}<extra></extra>",
        )


def _x(point: SharePoint, *, priced: bool) -> float:
    return 1000 * (point.cost or 0) / NANO if priced else 100 * point.share


def reliability(routers: Sequence[MeasuredRouter]) -> go.Figure:
    """On the diagonal a score of 0.7 means that the strong model is better in 70 of 100."""
    figure = go.Figure(
        layout=base_layout(
            x_title="score, 0 to 1", y_title="how often the strong model was better", height=380
        )
    )
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        name="perfect calibration",
        mode="lines",
        line={"color": EDGE, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
    )
    looks = of_series([one.name for one in routers])
    for one in routers:
        found, look = one.assessment.reliability, looks[one.name]
        if found is None:
            continue
        bins = found.bins
        error = {
            **whisker(0, 0, 0, look.tone),
            "array": [b.high - b.observed for b in bins],
            "arrayminus": [b.observed - b.low for b in bins],
        }
        figure.add_scatter(
            x=[b.score for b in bins],
            y=[b.observed for b in bins],
            name=one.name,
            mode="lines+markers",
            line={"color": look.tone.css, "width": 1.5, "dash": look.dash},
            marker={"symbol": look.symbol, "size": 8, "color": look.tone.css},
            error_y=error,
            customdata=[[b.n] for b in bins],
            hovertemplate=f"{one.name}: score %{{x:.2f}}, better in %{{y:.2f}} of "
            "%{customdata[0]:,}<extra></extra>",
        )
    figure.update_xaxes(range=[0, 1.02], tickfont={"color": QUIET})
    figure.update_yaxes(range=[0, 1.03])
    return figure
