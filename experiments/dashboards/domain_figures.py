"""Figures of one domain: cost per request over time, detection confidence, revisions."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from plotly import graph_objects as go

from experiments.analytics.chart_rows import CostDay, ScoreBin
from experiments.core.money import NANO
from experiments.dashboards.marks import axis, base_layout, moment
from experiments.dashboards.palette import CONTROL, EDGE, INK, QUIET

MOST_LABELS = 6
CLEAR = "rgba(0,0,0,0)"


class RevisionMark(NamedTuple):
    """A revision on the time axis."""

    at: datetime
    number: int


def cost_per_request(
    rows: Sequence[CostDay], *, baseline: str, changes: Sequence[RevisionMark] = ()
) -> go.Figure:
    """Cost per 1,000 requests as routed and with the baseline; the space between is the saving."""
    hourly = bool(rows) and isinstance(rows[0].day, datetime)
    figure = go.Figure(
        layout=base_layout(
            x_title="hour, {zone}" if hourly else "day, UTC",
            y_title="cost per 1,000 requests, $",
            hovermode="x unified",
        )
    )
    xs = [place(row.day) for row in rows]
    per = [1000 / NANO / row.requests if row.requests else None for row in rows]
    series = (
        (baseline, [row.baseline for row in rows], {"color": INK, "width": 2, "dash": "dot"}),
        (
            "as routed",
            [row.strong + row.weak + row.selected for row in rows],
            {"color": "var(--signal)", "width": 2.5},
        ),
    )
    for name, costs, line in series:
        ys = [
            None if factor is None else cost * factor
            for cost, factor in zip(costs, per, strict=True)
        ]
        figure.add_scatter(
            x=xs, y=ys, name=name, mode="lines", line=line, hovertemplate="$%{y:,.3f}"
        )
    figure.update_yaxes(rangemode="tozero", tickprefix="$")
    return with_changes(figure, changes, daily=not hourly)


def place(day: date) -> str:
    """A UTC day as its date, an instant for the reader's time zone."""
    return moment(day) if isinstance(day, datetime) else day.isoformat()


def with_changes(figure: go.Figure, changes: Sequence[RevisionMark], *, daily: bool) -> go.Figure:
    """A dotted line for each revision that changed the domain; labelled while there is room."""
    figure.update_layout(
        shapes=[
            *(shape.to_plotly_json() for shape in figure.layout.shapes),
            *(_line(change, daily, len(changes) <= MOST_LABELS) for change in changes),
        ]
    )
    return figure


def _line(change: RevisionMark, daily: bool, labelled: bool) -> dict[str, Any]:
    at = change.at.strftime("%Y-%m-%dT%H:%M:%S") if daily else moment(change.at)
    line: dict[str, Any] = {
        "type": "line",
        "x0": at,
        "x1": at,
        "xref": "x",
        "y0": 0,
        "y1": 1,
        "yref": "y domain",
        "layer": "below",
        "line": {"color": EDGE, "width": 1, "dash": "dot"},
    }
    if labelled:
        line["label"] = {
            "text": f"r{change.number}",
            "textposition": "end",
            "textangle": 0,
            "xanchor": "left",
            "yanchor": "top",
            "font": {"color": QUIET, "size": 12},
        }
    return line


def confidence(bins: Sequence[ScoreBin], *, minimum: float) -> go.Figure:
    """Decisions by detection confidence. Below the domain's minimum a prompt is general."""
    figure = go.Figure(
        layout=base_layout(
            x_title="detection confidence, 0 to 1",
            y_title="decisions",
            showlegend=False,
            bargap=0.08,
        )
    )
    figure.add_bar(
        x=[(one.low + one.high) / 2 for one in bins],
        y=[one.decisions for one in bins],
        width=[(one.high - one.low) * 0.92 for one in bins],
        marker={"color": CONTROL.css},
        customdata=[[one.low, one.high] for one in bins],
        hovertemplate="confidence %{customdata[0]:.1f} to %{customdata[1]:.1f}: %{y:,} decisions"
        "<extra></extra>",
    )
    figure.update_xaxes(range=[0, 1])
    if minimum:
        figure.add_vline(x=minimum, line={"color": INK, "width": 1.5})
        figure.add_annotation(
            x=minimum,
            y=1,
            yref="y domain",
            text=f"minimum {minimum:g}",
            xanchor="left",
            showarrow=False,
            xshift=4,
        )
    return figure


def runners_up(rows: Sequence[tuple[str, int]]) -> go.Figure:
    """The second most likely domains, most frequent on top."""
    layout = base_layout(
        x_title="decisions", showlegend=False, height=max(288, 90 + 30 * len(rows))
    )
    layout["xaxis"] = axis("decisions", grid=True, rangemode="tozero")
    layout["yaxis"] = axis(
        grid=False, autorange="reversed", showline=False, ticks="outside", tickcolor=CLEAR
    )
    figure = go.Figure(layout=layout)
    figure.add_bar(
        x=[count for _, count in rows],
        y=[name for name, _ in rows],
        orientation="h",
        marker={"color": CONTROL.css},
        hovertemplate="%{y}: %{x:,} decisions<extra></extra>",
    )
    return figure
