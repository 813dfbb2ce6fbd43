"""Charts of cost against quality: all domains, then each domain with its arms."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from experiments.analytics.cost_quality import Place, Plane
from experiments.analytics.traffic import MIN_DRAWN
from experiments.dashboards import plane_wording, wording
from experiments.dashboards.charts import (
    Cell,
    Chart,
    ChartColumn,
    ChartTable,
    chart,
    money,
    number,
    word,
)
from experiments.dashboards.palette import SeriesStyle
from experiments.dashboards.plane_figures import (
    NamedPoint,
    Ranges,
    arms_plane,
    domains_plane,
    ranges,
)
from experiments.formatting import signed


class PlaneCharts(NamedTuple):
    """`domains` is None if there is only one domain: its own panel shows it."""

    domains: Chart | None
    panels: tuple[Chart, ...]


def plane_charts(found: Plane, looks: Mapping[str, SeriesStyle]) -> PlaneCharts:
    """`looks` by the name of an arm's point. Domains without arms have no panel."""
    points = [place.point for place in (*found.domains, *found.arms)]
    within = ranges(points, found.baselines)
    alone = len(found.domains) == 1
    panels = [_panel(place, found, looks, within) for place in found.domains]
    return PlaneCharts(
        None if alone else _domains(found),
        tuple(panel for panel, arms in panels if arms or alone),
    )


def _domains(found: Plane) -> Chart:
    return chart(
        "plane",
        "Every domain: cost against rated quality",
        plane_wording.key(found.domains, found.baselines),
        domains_plane([place.point for place in found.domains], found.baselines),
        _table(found.domains),
        size="tall",
    )


def _panel(
    place: Place, found: Plane, looks: Mapping[str, SeriesStyle], within: Ranges
) -> tuple[Chart, int]:
    arms = [arm for arm in found.arms if arm.domain == place.domain]
    baseline = next((one for one in found.baselines if one.name == place.domain), None)
    several = len({arm.experiment for arm in arms}) > 1
    names = {arm.point.name: arm.point.name if several else arm.arm for arm in arms}
    drawn = [NamedPoint(names[arm.point.name], arm.point) for arm in arms]
    figure = arms_plane(place.point, drawn, looks, baseline, within)
    return (
        chart(
            f"plane-{place.domain}",
            wording.title(place.domain),
            plane_wording.against_random(place, arms, found.unrated.get(place.domain, ())),
            figure,
            _table([place, *arms]),
        ),
        len(arms),
    )


def _table(places: Sequence[Place]) -> ChartTable:
    columns = (
        ChartColumn("domain or arm"),
        ChartColumn("cost per 1,000", "$", numeric=True),
        ChartColumn("from", "$", numeric=True),
        ChartColumn("to", "$", numeric=True),
        ChartColumn("quality", "0 to 1", numeric=True),
        ChartColumn("from", numeric=True),
        ChartColumn("to", numeric=True),
        ChartColumn("rated", numeric=True),
        ChartColumn("against random", "quality", numeric=True),
    )
    return ChartTable("Cost and quality with 95 % intervals", columns, tuple(map(_row, places)))


def _row(place: Place) -> tuple[Cell, ...]:
    point = place.point
    gap = place.gap
    return (
        word(point.name),
        money(point.cost, 3),
        money(point.cost_low, 3),
        money(point.cost_high, 3),
        number(point.quality, 3, otherwise=f"too few: {point.rated} of {MIN_DRAWN}"),
        number(point.quality_low, 3, otherwise=""),
        number(point.quality_high, 3, otherwise=""),
        number(point.rated),
        Cell(signed(gap.value, 3), exact=repr(gap.value), numeric=True)
        if gap
        else Cell("no line", numeric=True),
    )
