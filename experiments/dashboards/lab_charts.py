"""Charts of what-if: the estimated cost and quality of each threshold, and of the log."""

from collections.abc import Sequence

from plotly import graph_objects as go

from experiments import formatting
from experiments.analysis.off_policy.curve import CurvePoint
from experiments.analysis.off_policy.estimates import Bounds, Estimates
from experiments.core.money import NANO
from experiments.dashboards.charts import Cell, Chart, ChartColumn, ChartTable, chart, number, word
from experiments.dashboards.marks import bands, base_layout, hollow_where, mark
from experiments.dashboards.palette import CONTROL, GREEN, INK, SeriesStyle
from experiments.lab.off_policy import LoggedPoint, PolicyEstimate
from experiments.lab.text.off_policy import bounds_words

THOUSAND = 1000 / NANO
CURVE, CHOSEN = SeriesStyle(GREEN, "circle", "solid"), SeriesStyle(GREEN, "diamond", "solid")
LOGGED = SeriesStyle(CONTROL, "square", "solid")
ESTIMATORS = (
    ("doubly_robust", "doubly robust"),
    ("self_normalised", "self-normalised"),
    ("inverse_propensity", "inverse propensity"),
    ("logged", "as logged"),
    ("change", "change, doubly robust"),
)


def answered(points: Sequence[CurvePoint]) -> list[CurvePoint]:
    """The points that the log can estimate."""
    return [one for one in points if one.quality.value is not None and one.cost.value is not None]


def curve_chart(answer: PolicyEstimate) -> Chart:
    known = answered(answer.points)
    title = "Every threshold and the log"
    return chart(
        "curve",
        title,
        curve_sentence(answer, known),
        curve_figure(known, answer.logged, _place(answer)),
        _curve_table(answer.points),
    )


def curve_sentence(answer: PolicyEstimate, known: Sequence[CurvePoint]) -> str:
    if not answer.points:
        return "No router scored these requests, so there is no curve."
    if not known:
        return "The log does not cover enough requests at any threshold."
    silent = len(answer.points) - len(known)
    sure = sum(one.quality.low is not None for one in known)
    text = (
        f"{len(known)} thresholds from {formatting.share(known[0].strong_share)} to "
        f"{formatting.share(known[-1].strong_share)} strong share, {sure} with an interval; ■ is "
        "the log, ◆ the candidate. Up is better, left is cheaper."
    )
    if answer.rescored and answer.rescored.left_out:
        text += " Only requests with a score are included."
    if silent:
        text += f" The log has no estimate for {silent} others."
    return text


def curve_figure(
    points: Sequence[CurvePoint], logged: LoggedPoint, chosen: tuple[float, float] | None
) -> go.Figure:
    """Cost against quality; the third trace is the candidate, which the page's script moves."""
    figure = go.Figure(
        layout=base_layout(
            x_title="cost per 1,000 requests, $",
            y_title="mean rated quality, 0 to 1",
            showlegend=False,
        )
    )
    xs = [(one.cost.value or 0.0) * THOUSAND for one in points]
    figure.add_scatter(
        x=xs,
        y=[one.quality.value for one in points],
        mode="lines+markers",
        line={"color": GREEN.css, "width": 2},
        marker=hollow_where(CURVE, [one.quality.low is not None for one in points], size=6),
        customdata=[[one.threshold, 100 * one.strong_share] for one in points],
        hovertemplate="threshold %{customdata[0]:.3f}, %{customdata[1]:.0f} % strong: $%{x:,.3f}, "
        "quality %{y:.3f}<extra></extra>",
    )
    _add_logged(figure, logged)
    figure.add_scatter(
        x=[chosen[0]] if chosen else [],
        y=[chosen[1]] if chosen else [],
        mode="markers",
        marker=mark(CHOSEN, enough=True, size=14),
        hovertemplate="the candidate: $%{x:,.3f}, quality %{y:.3f}<extra></extra>",
    )
    lows, highs = [one.quality.low for one in points], [one.quality.high for one in points]
    figure.add_traces(bands(xs, lows, highs, GREEN))
    figure.update_xaxes(tickprefix="$")
    return figure


def _add_logged(figure: go.Figure, logged: LoggedPoint) -> None:
    known = logged.cost is not None and logged.quality is not None
    figure.add_scatter(
        x=[(logged.cost or 0.0) * THOUSAND] if known else [],
        y=[logged.quality] if known else [],
        mode="markers+text",
        text=["as logged"],
        textposition="bottom right",
        textfont={"color": INK},
        marker=mark(LOGGED, enough=True, size=11),
        hovertemplate="as logged: $%{x:,.3f}, quality %{y:.3f}<extra></extra>",
    )


def _place(answer: PolicyEstimate) -> tuple[float, float] | None:
    cost = answer.found.cost.doubly_robust.value
    quality = answer.found.quality.doubly_robust.value
    return None if cost is None or quality is None else (cost * THOUSAND, quality)


def _curve_table(points: Sequence[CurvePoint]) -> ChartTable:
    columns = (
        ChartColumn("threshold", numeric=True),
        ChartColumn("strong", "%", numeric=True),
        ChartColumn("cost", "$ per 1,000", numeric=True),
        ChartColumn("quality", numeric=True),
        ChartColumn("low", numeric=True),
        ChartColumn("high", numeric=True),
        ChartColumn("overlap", "%", numeric=True),
        ChartColumn("rated explorations", numeric=True),
    )
    cells = tuple(
        (
            number(one.threshold, 4),
            number(100 * one.strong_share, 1),
            number(_scaled(one.cost), 3, otherwise="unknown"),
            number(one.quality.value, 3, otherwise="unknown"),
            number(one.quality.low, 3),
            number(one.quality.high, 3),
            number(100 * one.overlap, 1),
            number(one.explorations),
        )
        for one in points
    )
    return ChartTable("Estimated cost and quality of each threshold", columns, cells)


def _scaled(bounds: Bounds) -> float | None:
    return None if bounds.value is None else bounds.value * THOUSAND


def estimators_table(answer: PolicyEstimate) -> ChartTable:
    found = answer.found
    columns = (
        ChartColumn("estimate"),
        ChartColumn("quality, with its interval", numeric=True),
        ChartColumn("cost, with its interval", "$ per 1,000", numeric=True),
    )
    cells = tuple(
        (word(label), _bounds(found.quality, name), _bounds(found.cost, name, THOUSAND))
        for name, label in ESTIMATORS
    )
    return ChartTable("The candidate by three estimators, and the log", columns, cells)


def _bounds(estimates: Estimates, name: str, scale: float = 1.0) -> Cell:
    return Cell(bounds_words(getattr(estimates, name), scale), numeric=True)


def domains_table(answer: PolicyEstimate) -> ChartTable | None:
    if not answer.domains:
        return None
    columns = (
        ChartColumn("domain"),
        ChartColumn("decisions", numeric=True),
        ChartColumn("without overlap", "%", numeric=True),
        ChartColumn("change in quality", numeric=True),
        ChartColumn("change in cost", "$ per 1,000", numeric=True),
        ChartColumn("rated explorations", numeric=True),
        ChartColumn("effective size", numeric=True),
    )
    cells = tuple(
        (
            word(one.name),
            number(one.found.decisions),
            number(100 * one.found.without_overlap, 1),
            _bounds(one.found.quality, "change"),
            _bounds(one.found.cost, "change", THOUSAND),
            number(one.found.quality.explorations),
            number(one.found.quality.effective_size),
        )
        for one in answer.domains
    )
    return ChartTable("Estimated changes by domain", columns, cells)
