"""Parts that all figures share: layout, bands, whiskers, hollow marks, labelled lines."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from plotly import graph_objects as go

from experiments.dashboards.palette import (
    EDGE,
    HAIRLINE,
    INK,
    PAPER,
    QUIET,
    WORSE,
    SeriesStyle,
    Tone,
)

Number = float | int


def base_layout(
    *, x_title: str = "", y_title: str = "", height: int | None = None, **more: Any
) -> dict[str, Any]:
    """A plain layout: no box, one set of grid lines, the legend above the plot on the left.

    Titles contain the unit. "{zone}" in a title becomes the name of the reader's time zone.
    """
    # A dictionary with an empty template: Plotly's own adds 7 kB to each figure.
    layout: dict[str, Any] = {
        "template": {},
        "font": {"size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 12, "t": 36, "b": 8},
        "legend": {
            "orientation": "h",
            "traceorder": "normal",
            "x": 0,
            "y": 1.02,
            "xanchor": "left",
            "yanchor": "bottom",
        },
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": EDGE, "font": {"color": INK, "size": 13}},
        "dragmode": False,
        "xaxis": axis(x_title, grid=False),
        "yaxis": axis(y_title, grid=True),
    }
    if height is not None:
        layout["height"] = height
    return {**layout, **more}


def axis(title: str = "", *, grid: bool, **more: Any) -> dict[str, Any]:
    return {
        "title": {"text": title, "font": {"color": QUIET, "size": 13}, "standoff": 8},
        "showgrid": grid,
        "gridcolor": HAIRLINE,
        "zeroline": False,
        "showline": not grid,
        "linecolor": EDGE,
        "tickfont": {"color": QUIET},
        "automargin": True,
        "fixedrange": True,
        **more,
    }


def moment(at: datetime) -> str:
    """An instant in the format of the page's script, which shows it in the reader's time zone."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def bands(
    xs: Sequence[str | Number],
    lows: Sequence[Number | None],
    highs: Sequence[Number | None],
    tone: Tone,
) -> list[go.Scatter]:
    """An interval along a line, below all lines: one closed area for each part without a gap."""
    triples = list(zip(xs, lows, highs, strict=True))
    stretches = groupby(triples, key=lambda triple: None not in triple)
    return [_area(list(stretch), tone) for whole, stretch in stretches if whole]


def _area(stretch: list[tuple[Any, Any, Any]], tone: Tone) -> go.Scatter:
    there, lows, highs = zip(*stretch, strict=True)
    return go.Scatter(
        x=[*there, *reversed(there)],
        y=[*highs, *reversed(lows)],
        fill="toself",
        fillcolor=tone.band,
        mode="lines",
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        zorder=-1,
    )


def whisker(estimate: Number, low: Number, high: Number, tone: Tone) -> dict[str, Any]:
    """Plotly's error bar for one mark. Intervals need not be symmetric."""
    return {
        "type": "data",
        "array": [high - estimate],
        "arrayminus": [estimate - low],
        "color": tone.css,
        "thickness": 2,
        "width": 0,
    }


def mark(look: SeriesStyle, *, enough: bool, size: int = 9) -> dict[str, Any]:
    """Filled if the sample is large enough, else hollow."""
    return {
        "symbol": look.symbol if enough else f"{look.symbol}-open",
        "size": size,
        "color": look.tone.css,
        "line": {"width": 2, "color": look.tone.css if not enough else PAPER},
    }


def hollow_where(look: SeriesStyle, enough: Sequence[bool], *, size: int = 7) -> dict[str, Any]:
    """As `mark`, for a line of marks."""
    return {
        "symbol": [look.symbol if one else f"{look.symbol}-open" for one in enough],
        "size": size,
        "color": look.tone.css,
    }


def rule(value: str | Number, *, across: str, text: str, worse: bool = False) -> dict[str, Any]:
    """A line through the whole plot at `value` of the axis `across` ("x" or "y"), labelled."""
    along = {"x": ("x0", "x1", "y0", "y1"), "y": ("y0", "y1", "x0", "x1")}[across]
    places = dict(zip(along, (value, value, 0, 1), strict=True))
    colour = WORSE.css if worse else INK
    return {
        "type": "line",
        **places,
        **{f"{other}ref": f"{other} domain" for other in "xy" if other != across},
        f"{across}ref": across,
        "line": {"color": colour, "width": 1.5, "dash": "dash" if worse else "solid"},
        "label": {
            "text": text,
            "textposition": "end" if across == "x" else "start",
            "textangle": 0,
            "xanchor": "left",
            "yanchor": "top" if across == "x" else "bottom",
            "font": {"color": "var(--worse)" if worse else INK, "size": 13},
        },
    }
