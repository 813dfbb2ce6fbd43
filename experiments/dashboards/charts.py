"""A chart on a page: its sentence, its figure, and its numbers as a table."""

from datetime import datetime
from typing import Any, Literal, NamedTuple

from plotly import graph_objects as go

from experiments import formatting
from experiments.core.money import usd
from experiments.dashboards.marks import moment


class ChartColumn(NamedTuple):
    label: str
    unit: str = ""
    numeric: bool = False


class Cell(NamedTuple):
    """`text` is shown; the CSV gets `utc` or `exact` if there is one."""

    text: str
    exact: str = ""
    utc: str = ""
    numeric: bool = False


class ChartTable(NamedTuple):
    caption: str
    columns: tuple[ChartColumn, ...]
    cells: tuple[tuple[Cell, ...], ...]


class Chart(NamedTuple):
    """`id` is unique on the page and names the downloads; `size` is "", "low" or "tall"."""

    id: str
    title: str
    sentence: str
    figure: dict[str, Any]
    table: ChartTable | None = None
    size: Literal["", "low", "tall"] = ""


def chart(
    name: str,
    title: str,
    sentence: str,
    figure: go.Figure,
    table: ChartTable | None = None,
    size: Literal["", "low", "tall"] = "",
) -> Chart:
    return Chart(name, title, sentence, figure.to_plotly_json(), table, size)


def word(text: str) -> Cell:
    return Cell(text)


def number(value: float | None, places: int = 0, *, otherwise: str = "too few") -> Cell:
    """`otherwise` says why there is no number, for example "too few: 12 of 100"."""
    if value is None:
        return Cell(otherwise, numeric=True)
    return Cell(formatting.number(value, places), exact=repr(value), numeric=True)


def money(nano: int | None, places: int = 2, *, otherwise: str = "no price") -> Cell:
    """Dollars without the sign: the column's header has the unit."""
    if nano is None:
        return Cell(otherwise, numeric=True)
    return Cell(formatting.plain_dollars(nano, places), exact=usd(nano) or "", numeric=True)


def instant(at: datetime) -> Cell:
    return Cell(at.strftime("%Y-%m-%d %H:%M UTC"), utc=moment(at))
