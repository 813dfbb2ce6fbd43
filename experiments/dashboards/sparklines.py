"""A small line chart for a table cell, as SVG paths.

Not a Plotly figure: a column of them would take a second to draw, and SVG needs no script.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

WIDTH, HEIGHT, _EDGE = 96, 24, 2


class Sparkline(NamedTuple):
    """`paths` are the parts without a gap, `last` is the point of the newest value."""

    paths: tuple[str, ...]
    last: tuple[float, float] | None
    label: str
    width: int = WIDTH
    height: int = HEIGHT


def sparkline(values: Sequence[float | None], *, label: str) -> Sparkline:
    """`values` are oldest first, None if unknown; `label` describes the chart in words."""
    known = [value for value in values if value is not None]
    if not known:
        return Sparkline((), None, label)
    low, spread = min(known), (max(known) - min(known)) or 1.0
    step = (WIDTH - 2 * _EDGE) / max(len(values) - 1, 1)
    points = [
        None
        if value is None
        else (
            round(_EDGE + place * step, 1),
            round(HEIGHT - _EDGE - (value - low) / spread * (HEIGHT - 2 * _EDGE), 1),
        )
        for place, value in enumerate(values)
    ]
    stretches = groupby(points, key=lambda point: point is not None)
    paths = tuple(_path(list(stretch)) for there, stretch in stretches if there)
    return Sparkline(paths, next(point for point in reversed(points) if point), label)


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    return "M" + "L".join(f"{point[0]:g} {point[1]:g}" for point in points if point)
