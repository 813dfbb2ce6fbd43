"""The rounds of a domain as a chart: how the learned router compares with the present one."""

from plotly import graph_objects as go

from experiments import formatting
from experiments.analysis.learning.comparison import RETURN_BELOW, SERVE_ABOVE
from experiments.dashboards.charts import (
    Chart,
    ChartColumn,
    ChartTable,
    chart,
    instant,
    number,
    word,
)
from experiments.dashboards.marks import base_layout, hollow_where, rule
from experiments.dashboards.palette import GREEN, SeriesStyle
from experiments.learning.status import DomainLearning
from experiments.models import LearningRound
from experiments.models.routers import LEARNED

ROUND = SeriesStyle(GREEN, "circle", "solid")


def round_chart(found: DomainLearning) -> Chart:
    rounds = [row for row in reversed(found.rounds) if row.z is not None]
    return chart(
        "rounds",
        "Rounds of learning",
        _sentence(rounds),
        rounds_figure(rounds),
        rounds_table(found),
        size="low",
    )


def _sentence(rounds: list[LearningRound]) -> str:
    newest = rounds[-1]
    claim = "" if newest.claim == "not shown" else f" It is {newest.claim}."
    return (
        f"After {formatting.plural(newest.requests, 'request')} the learned router is "
        f"{formatting.number(newest.z or 0.0, 2)} standard errors from the present one. It serves "
        f"above {SERVE_ABOVE} (filled marks) and returns below 0: a choice, not a claim.{claim}"
    )


def rounds_figure(rounds: list[LearningRound]) -> go.Figure:
    figure = go.Figure(
        layout=base_layout(x_title="requests", y_title="standard errors", showlegend=False)
    )
    serves = [row.serving_after.startswith(LEARNED) for row in rounds]
    figure.add_scatter(
        x=[row.requests for row in rounds],
        y=[row.z for row in rounds],
        mode="lines+markers",
        line={"color": GREEN.css, "width": 2},
        marker=hollow_where(ROUND, serves),
        customdata=[[row.pairs, row.reason] for row in rounds],
        hovertemplate="%{y:.2f} with %{customdata[0]} pairs<extra></extra>",
    )
    figure.update_layout(
        shapes=[
            rule(SERVE_ABOVE, across="y", text="serves above"),
            rule(RETURN_BELOW, across="y", text="returns below"),
        ]
    )
    return figure


def rounds_table(found: DomainLearning) -> ChartTable:
    columns = (
        ChartColumn("when"),
        ChartColumn("requests", numeric=True),
        ChartColumn("pairs", numeric=True),
        ChartColumn("ratings", numeric=True),
        ChartColumn("z", numeric=True),
        ChartColumn("claim"),
        ChartColumn("serves"),
        ChartColumn("why"),
        ChartColumn("duration", "ms", numeric=True),
    )
    cells = tuple(
        (
            instant(row.at),
            number(row.requests),
            number(row.pairs),
            number(row.ratings),
            number(row.z, 2, otherwise="too few pairs"),
            word(row.claim),
            word(row.serving_after or "none"),
            word(row.reason),
            number(row.milliseconds),
        )
        for row in found.rounds
    )
    return ChartTable("Rounds of learning, newest first", columns, cells)
