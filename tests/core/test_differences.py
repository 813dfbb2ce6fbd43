"""What changed between two documents: each leaf once, in the order of its path."""

from experiments.core.differences import Change, difference


def test_equal_documents_differ_in_nothing() -> None:
    assert difference({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}) == []


def test_each_leaf_that_differs_is_named_by_its_path() -> None:
    before = {"b": 1, "a": {"x": 1, "same": 0}}
    after = {"b": 2, "a": {"x": 3, "same": 0}}
    assert difference(before, after) == [Change("a.x", 1, 3), Change("b", 1, 2)]
    assert difference(before, after, "policy")[0].path == "policy.a.x"


def test_a_list_is_one_leaf() -> None:
    assert difference({"a": [1, 2]}, {"a": [1, 3]}) == [Change("a", [1, 2], [1, 3])]


def test_what_was_added_or_removed_is_none_on_the_other_side() -> None:
    assert difference({"old": 1}, {"new": 2}) == [Change("new", None, 2), Change("old", 1, None)]


def test_a_section_in_place_of_a_value() -> None:
    assert difference({"a": 1}, {"a": {"b": 1}}) == [Change("a", 1, {"b": 1})]
    assert difference({"a": {"b": 1}}, {"a": 1}) == [Change("a", {"b": 1}, 1)]


def test_a_change_reads_as_one_line() -> None:
    assert str(Change("a.b", None, "größer")) == 'a.b: nothing → "größer"'
    assert str(Change("on", True, False)) == "on: true → false"


def test_values_are_cut_at_120_characters() -> None:
    """Quotes count: 118 letters fit, 119 do not."""
    assert str(Change("a", "x" * 118, None)) == f'a: "{"x" * 118}" → nothing'
    assert str(Change("a", "x" * 119, None)) == f'a: "{"x" * 118}… → nothing'
