"""Charts and tables of calibration: the thresholds tested, and the proposal next to today's."""

from plotly import graph_objects as go

from experiments import formatting
from experiments.analysis.routing.calibration import Guarantee
from experiments.dashboards.charts import Cell, Chart, ChartColumn, ChartTable, chart, number, word
from experiments.dashboards.marks import base_layout, hollow_where, rule
from experiments.dashboards.palette import GREEN, SeriesStyle
from experiments.lab.text.calibration import rows
from experiments.lab.threshold_proposals import Proposal

STEP = SeriesStyle(GREEN, "circle", "solid")


def proposal_table(found: Proposal) -> ChartTable:
    columns = (
        ChartColumn(""),
        ChartColumn("threshold", numeric=True),
        ChartColumn("strong share", "%", numeric=True),
        ChartColumn("cost", "$ per 1,000", numeric=True),
        ChartColumn("quality", numeric=True),
    )
    cells = tuple(
        (word(name), *(Cell(text, numeric=True) for text in numbers))
        for name, *numbers in rows(found)
    )
    return ChartTable("The proposed threshold compared with today's", columns, cells)


def walk_chart(found: Proposal) -> Chart:
    walk = found.walk
    if walk is None:
        raise ValueError("Only a proposal with a guarantee has tested thresholds.")
    return chart("walk", "Thresholds tested", _sentence(walk), walk_figure(walk), _table(walk))


def _sentence(walk: Guarantee) -> str:
    level = formatting.share(walk.promise.level)
    if walk.strong_share is None:
        return f"Even sending all prompts to the strong model fails the test at a level of {level}."
    return (
        f"The strong share is lowered from 100 % to {formatting.share(walk.strong_share)}. Filled "
        f"marks are "
        f"thresholds that passed the test at a level of {level}; the hollow one failed."
    )


def walk_figure(walk: Guarantee) -> go.Figure:
    """Strong share against the quality above the guaranteed one."""
    figure = go.Figure(
        layout=base_layout(
            x_title="strong share, %",
            y_title="quality per request above the guarantee",
            showlegend=False,
        )
    )
    figure.add_scatter(
        x=[100 * step.strong_share for step in walk.steps],
        y=[step.mean for step in walk.steps],
        mode="lines+markers",
        line={"color": GREEN.css, "width": 2},
        marker=hollow_where(STEP, [step.passed for step in walk.steps]),
        customdata=[[step.threshold, step.p_value] for step in walk.steps],
        hovertemplate="threshold %{customdata[0]:.4f}: %{y:+.3f}, p = %{customdata[1]:.3g}"
        "<extra></extra>",
    )
    figure.update_layout(shapes=[rule(0, across="y", text="guarantee")])
    figure.update_xaxes(range=[102, 0])
    return figure


def _table(walk: Guarantee) -> ChartTable:
    columns = (
        ChartColumn("threshold", numeric=True),
        ChartColumn("strong share", "%", numeric=True),
        ChartColumn("quality above the guarantee", numeric=True),
        ChartColumn("p-value", numeric=True),
        ChartColumn("passed"),
    )
    cells = tuple(
        (
            number(step.threshold, 4),
            number(100 * step.strong_share, 1),
            number(step.mean, 4),
            number(step.p_value, 4),
            word("yes" if step.passed else "no"),
        )
        for step in walk.steps
    )
    return ChartTable("Every threshold tested, in order", columns, cells)
