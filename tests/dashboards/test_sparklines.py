"""Lines the size of a word."""

from experiments.dashboards.sparklines import sparkline


def test_the_line_spans_the_cell() -> None:
    spark = sparkline([0.0, 5.0, 10.0], label="rose")
    assert spark.paths == ("M2 22L48 12L94 2",)
    assert spark.last == (94.0, 2.0)


def test_a_gap_parts_the_line() -> None:
    spark = sparkline([1.0, None, 2.0], label="")
    assert spark.paths == ("M2 22", "M94 2")


def test_a_gap_at_the_end_marks_the_newest_known_value() -> None:
    assert sparkline([1.0, 2.0, None], label="").last == (48.0, 2.0)


def test_no_values_draw_nothing() -> None:
    spark = sparkline([None, None], label="nothing yet")
    assert (spark.paths, spark.last, spark.label) == ((), None, "nothing yet")


def test_values_that_are_all_equal_lie_flat() -> None:
    assert sparkline([3.0, 3.0], label="").paths == ("M2 22L94 22",)


def test_one_value_is_a_point() -> None:
    assert sparkline([3.0], label="").last == (2.0, 22.0)
