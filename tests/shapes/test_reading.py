"""Reading a value into a shape: the first field that is wrong is named, with its message."""

from typing import Annotated, Any

import pytest
from pydantic import Discriminator, Tag

from experiments.shapes.fields import (
    Between,
    Count,
    Entries,
    EntryLength,
    Hint,
    Items,
    Length,
    OneOf,
    Shape,
    Share,
    Text,
    Texts,
)
from experiments.shapes.json_schema import json_schema
from experiments.shapes.reading import TAG, InvalidShapeError, read

Value = Annotated[str, EntryLength(3, "values of 3")]


class Inner(Shape):
    name: Text
    tags: Texts | None = None


class Outer(Shape):
    share: Annotated[Share, Hint("is missing. Send a number from 0 to 1.")]
    count: Count | None = None
    price: Annotated[float, Between()] | None = None
    note: Annotated[str, Length(5, empty=True)] | None = None
    on: bool | None = None
    kind: Annotated[str, OneOf(("a", "b"))] | None = None
    inner: Inner | None = None
    inners: Annotated[list[Inner], Items(2)] | None = None
    entries: Annotated[dict[str, Value], Entries(2)] | None = None
    either: (
        Annotated[
            Annotated[str, Tag(f"{TAG}text")] | Annotated[list[Inner], Tag(f"{TAG}list")],
            Discriminator(lambda value: f"{TAG}{'text' if isinstance(value, str) else 'list'}"),
        ]
        | None
    ) = None


def test_it_works() -> None:
    outer = read(Outer, {"share": 1, "count": 5.0, "inner": {"name": "n", "tags": ["x"]}})
    assert (outer.share, outer.count) == (1.0, 5)
    assert outer.inner == read(Inner, {"name": "n", "tags": ["x"]})
    assert outer.inner.tags == ("x",)


def test_null_counts_as_left_out() -> None:
    assert read(Outer, {"share": 0.5, "count": None}).count is None


@pytest.mark.parametrize(
    ("given", "param", "code", "message"),
    [
        ([], None, "invalid_type", "Send a JSON object."),
        ({}, "share", "missing", "'share' is missing. Send a number from 0 to 1."),
        ({"share": None}, "share", "missing", "'share' is missing. Send a number from 0 to 1."),
        ({"share": True}, "share", "invalid_type", "'share' must be a number."),
        ({"share": 2}, "share", "out_of_range", "'share' must lie between 0 and 1."),
        ({"share": float("nan")}, "share", "out_of_range", "'share' must lie between 0 and 1."),
        ({"price": float("nan")}, "price", "out_of_range", "'price' must be a finite number."),
        ({"count": 5.5}, "count", "invalid_type", "'count' must be a whole number."),
        (
            {"count": -1},
            "count",
            "out_of_range",
            "'count' must lie between 0 and 100,000,000.",
        ),
        ({"note": "123456"}, "note", "too_long", "'note' is longer than 5 characters. Shorten it."),
        ({"note": " "}, "note", "empty", "'note' is empty. Leave it out, or send a text."),
        ({"note": "\x1c"}, "note", "empty", "'note' is empty. Leave it out, or send a text."),
        ({"on": 1}, "on", "invalid_type", "'on' must be true or false."),
        ({"kind": "c"}, "kind", "invalid_value", "'kind' must be one of: a, b."),
        ({"kind": 1}, "kind", "invalid_type", "'kind' must be a string."),
        ({"kind": ""}, "kind", "empty", "'kind' is empty. Leave it out, or send a text."),
        ({"inner": 1}, "inner", "invalid_type", "Send a JSON object."),
        ({"inner": {}}, "inner.name", "missing", "'inner.name' is missing."),
        (
            {"inner": {"name": "n", "tag": 1}},
            "inner.tag",
            "unknown_field",
            "'inner.tag' is unknown. Known fields: name, tags.",
        ),
        (
            {"inner": {"name": "n", "tags": [1]}},
            "inner.tags",
            "invalid_type",
            "'inner.tags' must be a list of strings.",
        ),
        ({"inners": {}}, "inners", "invalid_type", "'inners' must be a list."),
        ({"inners": []}, "inners", "out_of_range", "'inners' must hold 1 to 2 items."),
        ({"inners": [None]}, "inners[0]", "invalid_type", "Send a JSON object."),
        (
            {"inners": [{"name": "n"}, {"name": 1}]},
            "inners[1].name",
            "invalid_type",
            "'inners[1].name' must be a string.",
        ),
        ({"entries": []}, "entries", "invalid_type", "'entries' must map strings to strings."),
        ({"entries": {"a": 1}}, "entries.a", "invalid_type", "'entries.a' must be a string."),
        (
            {"entries": {"a": "1234"}},
            "entries.a",
            "too_long",
            "'entries.a' takes values of 3 characters.",
        ),
        (
            {"entries": dict.fromkeys("abc", "")},
            "entries",
            "too_long",
            "'entries' takes 2 entries.",
        ),
        (
            {"either": [{"name": 1}]},
            "either[0].name",
            "invalid_type",
            "'either[0].name' must be a string.",
        ),
    ],
)
def test_the_first_wrong_field_is_named(
    given: Any, param: str | None, code: str, message: str
) -> None:
    data = {"share": 0.5, **given} if isinstance(given, dict) and given else given
    with pytest.raises(InvalidShapeError) as caught:
        read(Outer, data)
    assert (caught.value.param, caught.value.code, str(caught.value)) == (param, code, message)


def test_a_path_precedes_the_field() -> None:
    with pytest.raises(InvalidShapeError) as caught:
        read(Inner, {"name": 1}, "items[2]")
    assert caught.value.param == "items[2].name"


def test_the_document_has_the_same_limits() -> None:
    schema = json_schema(Outer)
    assert schema["required"] == ["share"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["note"] == {"type": ["string", "null"], "maxLength": 5}
    assert schema["properties"]["kind"] == {"type": ["string", "null"], "enum": ["a", "b", None]}
    assert schema["properties"]["share"]["maximum"] == 1
