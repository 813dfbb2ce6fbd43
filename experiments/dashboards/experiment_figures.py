"""Figures of an experiment: a forest plot of its effects, and the effects over time."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

from plotly import graph_objects as go

from experiments.analytics.chart_rows import EffectRow, EstimatePoint
from experiments.dashboards.marks import axis, bands, base_layout, mark, moment, rule, whisker
from experiments.dashboards.palette import EDGE, INK, QUIET, WORSE, SeriesStyle

_ARM_PIXELS, _TITLE_PIXELS, _AXIS_PIXELS = 38, 44, 34


class _Row(NamedTuple):
    """One metric's stripe of the forest plot; `top` and `bottom` are pixels from the plot's top."""

    number: int
    effects: list[EffectRow]
    top: int
    bottom: int


def effects_forest(effects: Sequence[EffectRow], looks: dict[str, SeriesStyle]) -> go.Figure:
    """A stripe for each metric: estimates with intervals; the range beyond the margin is shaded.

    Each stripe has its own unit and a range symmetric about zero, so that all zeros are aligned.
    The number of units is on the right. `effects` are grouped by metric.
    """
    rows = _rows(effects)
    height = rows[-1].bottom if rows else 0
    layout = base_layout(height=height + 44, showlegend=len(looks) > 1)
    layout["margin"] = {"l": 8, "r": 84, "t": 36, "b": 8}
    figure = go.Figure(layout=layout)
    for row in rows:
        _add_row(figure, row, height, looks)
    _name_arms(figure, looks, effects)
    return figure


def _rows(effects: Sequence[EffectRow]) -> list[_Row]:
    rows: list[_Row] = []
    top = 0
    for number, (_, group) in enumerate(groupby(effects, key=lambda one: one.metric), start=1):
        members = list(group)
        bottom = top + _TITLE_PIXELS + _ARM_PIXELS * len(members) + _AXIS_PIXELS
        rows.append(_Row(number, members, top, bottom))
        top = bottom
    return rows


def _add_row(figure: go.Figure, row: _Row, height: int, looks: dict[str, SeriesStyle]) -> None:
    suffix = "" if row.number == 1 else str(row.number)
    reach = _reach(row.effects)
    # Without an estimate or a margin the axis has no meaningful range.
    drawn = any(one.estimate is not None or one.margin is not None for one in row.effects)
    stripe = [
        1 - (row.bottom - _AXIS_PIXELS) / height,
        1 - (row.top + _TITLE_PIXELS) / height,
    ]
    count = len(row.effects)
    figure.update_layout(
        {
            f"xaxis{suffix}": axis(
                grid=drawn,
                showticklabels=drawn,
                showline=False,
                range=[-reach, reach],
                nticks=5,
                anchor=f"y{suffix}",
            ),
            f"yaxis{suffix}": axis(
                grid=False,
                domain=stripe,
                range=[count - 0.5, -0.5],
                visible=False,
                anchor=f"x{suffix}",
            ),
        }
    )
    for title in _titles(row.effects[0], stripe[1]):
        figure.add_annotation(title)
    for place, effect in enumerate(row.effects):
        _add_effect(figure, effect, place, suffix, looks[effect.arm])
    for shape in _shapes(row.effects[0], suffix, reach):
        figure.add_shape(shape)


def _reach(effects: Sequence[EffectRow]) -> float:
    """Half the stripe's range: all that it shows, and a little space."""
    ends = [
        abs(end) for one in effects for end in (one.low, one.high, one.margin) if end is not None
    ]
    return 1.15 * max(ends, default=1.0)


def _titles(effect: EffectRow, top: float) -> list[dict[str, Any]]:
    """Two lines above a stripe. Not markup in one line: Plotly would style it inline."""
    better = "more is better" if effect.higher_is_better else "less is better"
    allowed = "" if effect.margin is None else f"; margin {effect.margin:g}"
    place = {"x": 0, "y": top, "xref": "paper", "yref": "paper", "showarrow": False}
    place |= {"xanchor": "left", "yanchor": "bottom", "align": "left", "xshift": -3}
    return [
        {"text": effect.metric, "font": {"weight": 600}, "yshift": 16, **place},
        {"text": f"{effect.unit} ({better}{allowed})", "font": {"color": QUIET}, **place},
    ]


def _add_effect(
    figure: go.Figure, effect: EffectRow, place: int, suffix: str, look: SeriesStyle
) -> None:
    enough = effect.units >= effect.minimum
    note = (
        f"n {effect.units:,}" if enough else f"too few:<br>{effect.units:,} of {effect.minimum:,}"
    )
    figure.add_annotation(
        text=note,
        x=1,
        y=place,
        xref="paper",
        yref=f"y{suffix}",
        xanchor="left",
        align="left",
        xshift=8,
        showarrow=False,
        font={"color": QUIET},
    )
    if effect.estimate is None or effect.low is None or effect.high is None:
        return
    figure.add_scatter(
        x=[effect.estimate],
        y=[place],
        xaxis=f"x{suffix}",
        yaxis=f"y{suffix}",
        name=effect.arm,
        mode="markers",
        marker=mark(look, enough=enough, size=11),
        error_x=whisker(effect.estimate, effect.low, effect.high, look.tone),
        showlegend=False,
        hovertemplate=f"{effect.arm}: %{{x:+.4g}} {effect.unit}, between {effect.low:+.4g} and "
        f"{effect.high:+.4g}<extra></extra>",
    )


def _shapes(effect: EffectRow, suffix: str, reach: float) -> list[dict[str, Any]]:
    place = {"xref": f"x{suffix}", "yref": f"y{suffix} domain", "y0": 0, "y1": 1, "layer": "below"}
    zero = {"type": "line", "x0": 0, "x1": 0, "line": {"color": INK, "width": 1.5}, **place}
    if effect.margin is None:
        return [zero]
    side = -1 if effect.higher_is_better else 1
    edge = side * effect.margin
    beyond = {"type": "rect", "x0": edge, "x1": side * reach, "fillcolor": WORSE.band, **place}
    margin = {"type": "line", "x0": edge, "x1": edge, **place}
    return [
        zero,
        {**beyond, "line": {"width": 0}},
        {**margin, "line": {"color": WORSE.css, "width": 1.5, "dash": "dash"}},
    ]


def _name_arms(
    figure: go.Figure, looks: dict[str, SeriesStyle], effects: Sequence[EffectRow]
) -> None:
    """One legend entry for each arm, for all metrics together."""
    drawn = {effect.arm for effect in effects}
    for arm, look in looks.items():
        if arm in drawn:
            figure.add_scatter(
                x=[None], y=[None], name=arm, mode="markers", marker=mark(look, enough=True)
            )


def estimate_over_time(
    points: Sequence[EstimatePoint],
    looks: dict[str, SeriesStyle],
    *,
    unit: str,
    margin: float | None,
    higher_is_better: bool,
) -> go.Figure:
    """The effect at each look, with its always-valid band, the margin and the phases.

    A line breaks where a phase ends: results of two phases are never mixed.
    """
    figure = go.Figure(
        layout=base_layout(
            x_title="time, {zone}",
            y_title=f"difference from control, {unit}",
            hovermode="x unified",
        )
    )
    named: set[str] = set()
    for (arm, _), group in groupby(points, key=lambda one: (one.arm, one.phase)):
        _add_estimates(figure, list(group), looks[arm], named=arm in named)
        named.add(arm)
    figure.update_layout(shapes=_time_shapes(points, margin, higher_is_better))
    return figure


def _add_estimates(
    figure: go.Figure, points: Sequence[EstimatePoint], look: SeriesStyle, *, named: bool
) -> None:
    xs = [moment(point.at) for point in points]
    lows, highs = [point.low for point in points], [point.high for point in points]
    figure.add_traces(bands(xs, lows, highs, look.tone))
    figure.add_scatter(
        x=xs,
        y=[point.estimate for point in points],
        name=points[0].arm,
        legendgroup=points[0].arm,
        showlegend=not named,
        mode="lines+markers" if len(points) == 1 else "lines",
        line={"color": look.tone.css, "width": 2, "dash": look.dash},
        customdata=[[point.low, point.high, point.units] for point in points],
        hovertemplate="%{y:+.4g} (%{customdata[0]:+.4g} to %{customdata[1]:+.4g}, "
        "%{customdata[2]:,} units)",
    )


def _time_shapes(
    points: Sequence[EstimatePoint], margin: float | None, higher_is_better: bool
) -> list[dict[str, Any]]:
    shapes = [rule(0, across="y", text="")]
    if margin is not None:
        allowed = -margin if higher_is_better else margin
        line = rule(allowed, across="y", text=f"margin {margin:g}", worse=True)
        away = "top" if higher_is_better else "bottom"
        shapes.append({**line, "label": {**line["label"], "yanchor": away}})
    starts: dict[int, str] = {}
    for point in points:
        starts.setdefault(point.phase, moment(point.at))
    for phase, start in starts.items():
        if phase > 1:
            line = rule(start, across="x", text=f"phase {phase}")
            shapes.append({**line, "line": {"color": EDGE, "width": 1, "dash": "dot"}})
    return shapes
