"""Literal rows in, checked traces out."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from experiments.analytics.chart_rows import (
    CostDay,
    EffectRow,
    EstimatePoint,
    PlanePoint,
    QualityPoint,
    RandomBaseline,
    ScoreBin,
)
from experiments.dashboards.experiment_figures import effects_forest, estimate_over_time
from experiments.dashboards.figures import (
    cost_by_day,
    quality_by_tier,
    score_histogram,
)
from experiments.dashboards.marks import bands
from experiments.dashboards.palette import CONTROL, of_series
from experiments.dashboards.plane_figures import NamedPoint, arms_plane, domains_plane, ranges

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
EVENING = datetime(2026, 11, 20, 18, tzinfo=UTC)
NIGHT = datetime(2026, 11, 21, 0, tzinfo=UTC)
DAYS = [
    CostDay(date(2026, 11, 20), 14_500_000_000, 2_250_000_000, 0, 36_000_000_000, 9000),
    CostDay(date(2026, 11, 21), 12_000_000_000, 2_000_000_000, 0, 30_000_000_000, 8000),
]
LOOKS = of_series(["control", "local-38"], control="control")


def quality(at: datetime, mean: float | None, rated: int) -> QualityPoint:
    low, high = (None, None) if mean is None else (mean - 0.02, mean + 0.03)
    return QualityPoint(at, "strong", mean, low, high, rated, 50)


def effect(**changes: Any) -> EffectRow:
    row = EffectRow("Quality", "points", "local-38", -0.4, -1.1, 0.3, 2.0, True, 2210, 100)
    return row._replace(**changes)


def test_cost_is_stacked_by_tier_in_dollars() -> None:
    figure = cost_by_day(DAYS, baseline="always strong")
    strong, weak, baseline = figure.data
    assert figure.layout.barmode == "stack"
    assert (strong.name, list(strong.y)) == ("strong model", [14.5, 12.0])
    assert (weak.name, list(weak.y)) == ("weak model", [2.25, 2.0])
    assert list(strong.x) == ["2026-11-20", "2026-11-21"]
    assert (baseline.type, baseline.name, list(baseline.y)) == (
        "scatter",
        "always strong",
        [36.0, 30.0],
    )


def test_a_tier_that_cost_nothing_is_left_out() -> None:
    names = [trace.name for trace in cost_by_day(DAYS, baseline="always strong").data]
    assert names == ["strong model", "weak model", "always strong"]


def test_a_figure_without_rows_is_empty_not_an_error() -> None:
    assert [list(trace.y) for trace in cost_by_day([], baseline="always strong").data] == [[]]
    assert len(quality_by_tier([]).data) == 0
    assert len(domains_plane([], []).data) == 0
    assert len(effects_forest([], {}).data) == 0


def test_quality_has_a_band_and_exact_numbers_on_hover() -> None:
    band, line = quality_by_tier([quality(NOON, 0.9, 80), quality(EVENING, 0.91, 90)]).data
    assert list(band.y) == pytest.approx([0.93, 0.94, 0.89, 0.88])
    assert band.hoverinfo == "skip"
    assert list(line.x) == ["2026-11-20T12:00:00Z", "2026-11-20T18:00:00Z"]
    assert list(line.customdata[1]) == pytest.approx([0.89, 0.94, 90])


def test_quality_under_the_minimum_is_a_hollow_mark() -> None:
    _, line = quality_by_tier([quality(NOON, 0.9, 49), quality(EVENING, 0.9, 50)]).data
    assert list(line.marker.symbol) == ["square-open", "square"]


def test_quality_without_ratings_is_a_gap_in_line_and_band() -> None:
    rows = [quality(NOON, 0.9, 80), quality(EVENING, None, 0), quality(NIGHT, 0.9, 80)]
    first, second, line = quality_by_tier(rows).data
    assert (len(first.x), len(second.x)) == (2, 2)
    assert list(line.y) == [0.9, None, 0.9]


def test_bands_do_not_join_what_a_gap_parts() -> None:
    areas = bands([1, 2, 3, 4], [0, 0, None, 0], [1, 1, None, 1], CONTROL)
    assert [list(area.x) for area in areas] == [[1, 2, 2, 1], [4, 4]]


def test_scores_change_colour_at_the_threshold() -> None:
    bins = [ScoreBin(0.0, 0.25, 10), ScoreBin(0.25, 0.5, 30), ScoreBin(0.5, 0.75, 20)]
    figure = score_histogram(bins, threshold=0.5)
    below, above = figure.data
    assert (list(below.y), below.marker.color) == ([10, 30], "var(--chart-weak)")
    assert (list(above.y), above.marker.color) == ([20], "var(--chart-strong)")
    assert list(above.x) == [0.625]


def test_a_bin_the_threshold_cuts_is_cut_in_the_picture() -> None:
    """Most scores lie in one bin: coloured as a whole it would show the wrong model for most."""
    bins = [ScoreBin(0.5, 0.75, 30), ScoreBin(0.75, 1.0, 20)]
    below, above = score_histogram(bins, threshold=0.6).data
    assert (list(below.y), list(above.y)) == ([30], [30, 20])
    seen = below.width[0], above.width[0]
    assert seen == pytest.approx((0.6 - 0.51, 0.74 - 0.6))
    assert below.x[0] + below.width[0] / 2 == pytest.approx(0.6)
    assert above.x[0] - above.width[0] / 2 == pytest.approx(0.6)
    assert list(map(list, above.customdata)) == [[0.5, 0.75], [0.75, 1.0]]


def test_the_threshold_is_a_named_line() -> None:
    (line,) = score_histogram([ScoreBin(0.0, 1.0, 1)], threshold=0.38).layout.shapes
    assert (line.name, line.x0, line.x1, line.label.text) == (
        "threshold",
        0.38,
        0.38,
        "threshold 0.38",
    )


def test_the_label_of_the_threshold_stays_inside_and_above_the_bars() -> None:
    bins = [ScoreBin(0.5, 1.0, 200)]
    anchors = [
        score_histogram(bins, threshold=at).layout.shapes[0].label.xanchor for at in (0.5, 0.95)
    ]
    assert anchors == ["left", "right"]
    assert score_histogram(bins, threshold=0.5).layout.yaxis.range == pytest.approx((0, 230))


def test_an_effect_is_a_mark_with_an_uneven_whisker() -> None:
    mark = effects_forest([effect(low=-1.1, high=0.5)], LOOKS).data[0]
    assert list(mark.x) == [-0.4]
    assert mark.error_x.arrayminus == pytest.approx((0.7,))
    assert mark.error_x.array == pytest.approx((0.9,))


def test_a_stripe_without_estimate_or_margin_has_no_numbers_on_its_axis() -> None:
    nothing = {"estimate": None, "low": None, "high": None, "units": 7}
    rows = [effect(**nothing), effect(metric="Cost", margin=None, **nothing)]
    layout = effects_forest(rows, LOOKS).layout
    assert (layout.xaxis.showticklabels, layout.xaxis2.showticklabels) == (True, False)
    assert not layout.xaxis2.showline


def test_zero_stands_in_the_middle_of_every_stripe() -> None:
    rows = [effect(), effect(metric="Cost", unit="$", low=-0.7, high=-0.5, margin=None)]
    layout = effects_forest(rows, LOOKS).layout
    assert layout.xaxis.range == pytest.approx((-2.3, 2.3))
    assert layout.xaxis2.range == pytest.approx((-0.805, 0.805))


@pytest.mark.parametrize(
    ("higher_is_better", "edge", "end"), [(True, -2.0, -2.3), (False, 2.0, 2.3)]
)
def test_what_is_beyond_the_margin_is_shaded_on_the_worse_side(
    higher_is_better: bool, edge: float, end: float
) -> None:
    figure = effects_forest([effect(higher_is_better=higher_is_better)], LOOKS)
    zero, beyond, line = figure.layout.shapes
    assert (zero.x0, beyond.x0, line.x0) == (0, edge, edge)
    assert beyond.x1 == pytest.approx(end)


def test_an_effect_without_a_margin_has_no_shade() -> None:
    assert len(effects_forest([effect(margin=None)], LOOKS).layout.shapes) == 1


def test_an_effect_of_too_few_units_is_a_word() -> None:
    row = effect(estimate=None, low=None, high=None, units=12)
    figure = effects_forest([row], LOOKS)
    assert [list(trace.x) for trace in figure.data] == [[None]]  # only the key's entry
    assert figure.layout.annotations[-1].text == "too few:<br>12 of 100"


def test_an_effect_of_few_units_is_hollow() -> None:
    assert effects_forest([effect(units=48)], LOOKS).data[0].marker.symbol == "circle-open"


def test_each_arm_is_named_once_however_many_metrics_it_has() -> None:
    figure = effects_forest([effect(), effect(metric="Cost")], LOOKS)
    assert [trace.name for trace in figure.data if trace.showlegend is not False] == ["local-38"]


def test_estimates_of_two_phases_are_not_joined() -> None:
    points = [
        EstimatePoint(NOON, "local-38", 1, -0.5, -2.0, 1.0, 300),
        EstimatePoint(EVENING, "local-38", 1, -0.4, -1.8, 1.0, 500),
        EstimatePoint(NIGHT, "local-38", 2, -0.3, -2.5, 1.9, 200),
    ]
    figure = estimate_over_time(points, LOOKS, unit="points", margin=2.0, higher_is_better=True)
    lines = [trace for trace in figure.data if trace.hoverinfo != "skip"]
    assert [list(line.y) for line in lines] == [[-0.5, -0.4], [-0.3]]
    assert [line.showlegend for line in lines] == [True, False]
    assert lines[1].mode == "lines+markers"  # a single look would leave no line to see


def test_margin_and_phases_are_lines_with_their_words() -> None:
    points = [
        EstimatePoint(NOON, "local-38", 1, -0.5, -2.0, 1.0, 300),
        EstimatePoint(NIGHT, "local-38", 2, -0.3, -2.5, 1.9, 200),
    ]
    figure = estimate_over_time(points, LOOKS, unit="points", margin=2.0, higher_is_better=True)
    zero, margin, phase = figure.layout.shapes
    assert (zero.y0, margin.y0, margin.label.text) == (0, -2.0, "margin 2")
    assert (phase.x0, phase.label.text) == ("2026-11-21T00:00:00Z", "phase 2")


def plane_point(**changes: Any) -> PlanePoint:
    row = PlanePoint(
        "legal",
        "domain",
        2_100_000_000,
        2_000_000_000,
        2_300_000_000,
        0.87,
        0.8,
        0.9,
        80,
        50,
        False,
    )
    return row._replace(**changes)


def test_a_point_of_the_plane_has_both_intervals() -> None:
    (point,) = domains_plane([plane_point()], []).data
    assert (list(point.x), list(point.y)) == ([2.1], [0.87])
    assert point.error_x.array == pytest.approx((0.2,))
    assert point.error_y.arrayminus == pytest.approx((0.07,))


def test_a_point_below_the_random_line_has_another_shape_and_colour() -> None:
    (point,) = domains_plane([plane_point(below_random=True)], []).data
    assert (point.marker.symbol, point.marker.color) == ("x", "var(--chart-worse)")


def test_a_point_with_few_ratings_is_hollow_and_one_with_none_is_left_out() -> None:
    few, none = plane_point(rated=12), plane_point(quality=None)
    (point,) = domains_plane([few, none], []).data
    assert point.marker.symbol == "circle-open"


def test_the_random_line_runs_from_always_weak_to_always_strong() -> None:
    baseline = RandomBaseline("legal", 300_000_000, 0.8, 5_100_000_000, 0.93)
    (line,) = domains_plane([], [baseline]).data
    assert (list(line.x), list(line.y)) == ([0.3, 5.1], [0.8, 0.93])
    assert list(line.text) == ["always weak", "always strong"]


def test_names_of_neighbours_stand_in_different_places() -> None:
    """Three domains close together: no name is written over another's."""
    near = [
        plane_point(name=name, cost=2_100_000_000 + 20_000_000 * i)
        for i, name in enumerate(("technical", "educational", "scientific"))
    ]
    far = plane_point(name="legal", cost=200_000_000, quality=0.7)
    figure = domains_plane([*near, far], [])
    places = [trace.textposition for trace in figure.data]
    assert len(set(places[:3])) == 3
    assert places[3] != "middle left"  # it would leave the plot


def test_arms_have_the_colours_of_their_experiments_page() -> None:
    arms = [
        plane_point(name="e: control", kind="arm"),
        plane_point(name="e: local-38", kind="arm", rated=12),
        plane_point(name="e: silent", kind="arm", quality=None),
    ]
    looks = {f"e: {name}": look for name, look in LOOKS.items()}
    baseline = RandomBaseline("legal", 300_000_000, 0.8, 5_100_000_000, 0.93)
    within = ranges([plane_point(), *arms], [baseline])
    named = [NamedPoint(arm.name.removeprefix("e: "), arm) for arm in arms]
    line, control, local, whole = arms_plane(plane_point(), named, looks, baseline, within).data
    assert (control.name, local.name) == ("control", "local-38")
    assert line.name == "random router"
    assert (control.marker.color, control.marker.symbol) == ("var(--chart-control)", "square")
    assert (local.marker.color, local.marker.symbol) == ("var(--chart-green)", "circle-open")
    assert (whole.name, whole.marker.color) == ("all its requests", "var(--ink)")


def test_all_panels_have_the_same_axes_and_hold_their_whiskers() -> None:
    hollow = plane_point(rated=12, quality_low=0.1)
    baseline = RandomBaseline("legal", 300_000_000, 0.75, 5_100_000_000, 0.93)
    within = ranges([plane_point(), hollow], [baseline])
    assert within.cost == pytest.approx((0, 5.406))
    assert within.quality == pytest.approx((0.75 - 0.0144, 0.93 + 0.0144))


def test_no_figure_carries_plotlys_own_template() -> None:
    layout = cost_by_day(DAYS, baseline="always strong").to_plotly_json()["layout"]
    assert "layout" not in layout["template"]
