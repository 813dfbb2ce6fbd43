"""Figures of cost against quality: one of all domains, and one of the arms of each domain."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from plotly import graph_objects as go

from experiments.analytics.chart_rows import PlanePoint, RandomBaseline
from experiments.core.money import NANO
from experiments.dashboards.marks import base_layout, mark, whisker
from experiments.dashboards.palette import EDGE, INK, STRONG, WEAK, WORSE, SeriesStyle, Tone

EVERYTHING = SeriesStyle(Tone("ink", "#1c2126", "#e7eaed"), "circle", "solid")
"""All requests of a domain, in the colour of the text."""
LABEL_WIDTH, LABEL_HEIGHT = 0.011, 0.07
"""The approximate width of a letter and height of a line, as shares of the plot."""
LABEL_PLACES = {
    "top center": (0.0, 0.6),
    "bottom center": (0.0, -0.6),
    "middle right": (0.5, 0.0),
    "middle left": (-0.5, 0.0),
    "top right": (0.5, 0.6),
    "bottom left": (-0.5, -0.6),
    "top left": (-0.5, 0.6),
    "bottom right": (0.5, -0.6),
}
"""Positions of a label, and the distance of its middle in label widths and heights."""


class NamedPoint(NamedTuple):
    """A point and its name in the legend."""

    label: str
    point: PlanePoint


class Ranges(NamedTuple):
    """Ranges of both axes: dollars per 1,000 requests, and quality. All panels share them."""

    cost: tuple[float, float]
    quality: tuple[float, float]


def ranges(points: Iterable[PlanePoint], baselines: Iterable[RandomBaseline]) -> Ranges:
    """Contains every line and every whisker, except those of hollow points."""
    drawn = [point for point in points if point.quality is not None]
    costs = [point.cost_high for point in drawn] + [one.strong_cost for one in baselines]
    ends = [end for one in baselines for end in (one.weak_quality, one.strong_quality)]
    for point in drawn:
        enough = point.rated >= point.minimum
        seen = (point.quality, *((point.quality_low, point.quality_high) if enough else ()))
        ends += [end for end in seen if end is not None]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    room = max(0.08 * (high - low), 0.005)
    return Ranges((0.0, 1.06 * max(costs, default=NANO) / NANO), (low - room, high + room))


def domains_plane(points: Sequence[PlanePoint], baselines: Sequence[RandomBaseline]) -> go.Figure:
    """Each domain as a named point with its intervals, over the lines of random routers."""
    within = ranges(points, baselines)
    figure = _plane(within, legend=False)
    for baseline in baselines:
        _add_baseline(figure, baseline)
    drawn = [point for point in points if point.quality is not None]
    for point, label_at in zip(drawn, _label_places(drawn, within), strict=True):
        _add_point(figure, point, EVERYTHING, label=point.name, label_at=label_at)
    return figure


def arms_plane(
    domain: PlanePoint,
    arms: Sequence[NamedPoint],
    looks: Mapping[str, SeriesStyle],
    baseline: RandomBaseline | None,
    within: Ranges,
) -> go.Figure:
    """One domain: its arms in their colours, all its requests, and the random baseline if known."""
    figure = _plane(within, legend=True)
    if baseline is not None:
        _add_baseline(figure, baseline, legend=True)
    for label, point in arms:
        if point.quality is not None:
            _add_point(figure, point, looks.get(point.name, EVERYTHING), label=label)
    if domain.quality is not None:
        _add_point(figure, domain, EVERYTHING, label="all its requests")
    return figure


def _plane(within: Ranges, *, legend: bool) -> go.Figure:
    figure = go.Figure(
        layout=base_layout(
            x_title="cost per 1,000 requests, $",
            y_title="mean rated quality, 0 to 1",
            showlegend=legend,
        )
    )
    figure.update_xaxes(range=within.cost, tickprefix="$")
    figure.update_yaxes(range=within.quality)
    return figure


def _add_baseline(figure: go.Figure, line: RandomBaseline, *, legend: bool = False) -> None:
    figure.add_scatter(
        x=[line.weak_cost / NANO, line.strong_cost / NANO],
        y=[line.weak_quality, line.strong_quality],
        name="random router" if legend else f"random router, {line.name}",
        mode="lines+markers",
        line={"color": EDGE, "width": 1.5, "dash": "dot"},
        marker={"symbol": ["circle", "square"], "color": [WEAK.css, STRONG.css], "size": 7},
        text=["always weak", "always strong"],
        hovertemplate=f"{line.name}, %{{text}}: $%{{x:,.4f}}, quality %{{y:.3f}}<extra></extra>",
    )


def _add_point(
    figure: go.Figure, point: PlanePoint, look: SeriesStyle, *, label: str, label_at: str = ""
) -> None:
    quality = point.quality or 0.0
    if point.below_random:
        look = SeriesStyle(WORSE, "x", "solid")
    cost = (point.cost / NANO, point.cost_low / NANO, point.cost_high / NANO)
    colour = INK if look is EVERYTHING else look.tone.css
    marker = mark(look, enough=point.rated >= point.minimum, size=11)
    hollow = point.rated < point.minimum
    marker |= {"color": colour} | ({"line": {"width": 2, "color": colour}} if hollow else {})
    error_x = {**whisker(*cost, look.tone), "color": colour}
    error_y = None
    if point.quality_low is not None and point.quality_high is not None:
        error_y = whisker(quality, point.quality_low, point.quality_high, look.tone)
        error_y["color"] = colour
    figure.add_scatter(
        x=[cost[0]],
        y=[quality],
        name=label,
        mode="markers+text" if label_at else "markers",
        text=[label],
        textposition=label_at or "top center",
        textfont={"color": INK},
        marker=marker,
        error_x=error_x,
        error_y=error_y,
        hovertemplate=f"{point.name}: $%{{x:,.4f}} per 1,000, quality %{{y:.3f}}, "
        f"{point.rated:,} rated<extra></extra>",
    )


class _Box(NamedTuple):
    """A label or a mark in shares of the plot: its middle and half its sides."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: "_Box") -> float:
        wide = self.width + other.width - abs(self.x - other.x)
        high = self.height + other.height - abs(self.y - other.y)
        return wide * high if min(wide, high) > 0 else 0.0

    def outside(self) -> bool:
        return self.x + self.width > 1 or self.x - self.width < 0


def _label_places(points: Sequence[PlanePoint], within: Ranges) -> list[str]:
    """For each point the label position with the least overlap with marks and earlier labels."""
    spots = [_spot(point, within) for point in points]
    taken = [_Box(x, y, 0.008, 0.02) for x, y in spots]
    chosen = []
    for point, (x, y) in zip(points, spots, strict=True):
        half = LABEL_WIDTH * len(point.name) / 2
        boxes = {
            place: _Box(x + right * 2.2 * half, y + up * LABEL_HEIGHT, half, LABEL_HEIGHT / 2)
            for place, (right, up) in LABEL_PLACES.items()
        }

        def cost(place: str, boxes: Mapping[str, _Box] = boxes) -> float:
            box = boxes[place]
            return sum(box.overlap(other) for other in taken) + box.outside()

        best = min(LABEL_PLACES, key=cost)
        taken.append(boxes[best])
        chosen.append(best)
    return chosen


def _spot(point: PlanePoint, within: Ranges) -> tuple[float, float]:
    (left, right), (low, high) = within
    x = (point.cost / NANO - left) / (right - left)
    return x, ((point.quality or 0.0) - low) / (high - low)
