"""What no database stores: found by its field, or replaced."""

from typing import Any

import orjson
import pytest

from experiments.core.text import (
    NestedTooDeeplyError,
    UnstorableError,
    find_unstorable,
    is_storable,
    load_json,
    load_provider_json,
    storable,
    storable_value,
)

NUL = "a NUL character (U+0000)"


@pytest.mark.parametrize(
    ("value", "field", "what", "code"),
    [
        ("a\x00", "", NUL, "nul_character"),
        ({"metadata": {"a": "b\x00"}}, "metadata.a", NUL, "nul_character"),
        ({"metadata": {"a\x00": "b"}}, "metadata.a\ufffd", NUL, "nul_character"),
        ({"items": [{"text": "x"}, {"text": "\x00"}]}, "items[1].text", NUL, "nul_character"),
        ({"a": "\ud800"}, "a", "half a surrogate pair (U+D800)", "malformed_json"),
        ({"a": ["x", ("y", "é\udfff")]}, "a[1][1]", "half a surrogate pair (U+DFFF)", None),
        ({"a": float("nan")}, "a", "nan, which is not a number", "not_finite"),
        ({"a": {"b": float("-inf")}}, "a.b", "-inf, which is not a number", "not_finite"),
        ({"first": "\x00", "second": "\ud800"}, "first", NUL, "nul_character"),
    ],
)
def test_the_first_field_is_found(value: Any, field: str, what: str, code: str | None) -> None:
    found = find_unstorable(value, numbers=True)
    assert found is not None
    assert (found.field, found.what) == (field, what)
    assert code is None or found.code == code


@pytest.mark.parametrize(
    "value",
    ["", "größer", "🙂", "\x01\x7f\x85\ufffe\uffff", None, 5, True, {"a": [1.5, None]}, b"\x00"],
)
def test_everything_else_is_storable(value: Any) -> None:
    assert find_unstorable(value, numbers=True) is None
    assert not isinstance(value, str) or is_storable(value)


def test_depth_is_no_matter() -> None:
    value: Any = "\x00"
    for _ in range(5000):
        value = [value]
    found = find_unstorable(value)
    assert found is not None
    assert found.field == "[0]" * 5000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x00b", "a\ufffdb"),
        ("\ud800", "\ufffd"),
        ("x\udc00y", "x\ufffdy"),
        ("\ud83d\ude42", "🙂"),
        ("\ude42\ud83d", "\ufffd\ufffd"),
        ("größer 🙂", "größer 🙂"),
    ],
)
def test_text_is_replaced(text: str, expected: str) -> None:
    assert storable(text) == expected
    assert storable(expected) == expected


def test_everything_nested_is_replaced() -> None:
    value = {"a\x00": ["b\ud800", {"c": ("d\x00", 1.5, float("inf"), None, True)}]}
    assert storable_value(value) == {
        "a\ufffd": ["b\ufffd", {"c": ["d\ufffd", 1.5, None, None, True]}]
    }


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (rb'{"metadata": {"a": "b\u0000"}}', "metadata.a"),
        (rb'{"a": ["\ud800"]}', "a[0]"),
        (b'{"a": "\xed\xa0\x80"}', "a"),
        (rb'{"\u0000": 1}', "\ufffd"),
    ],
)
def test_json_of_a_caller_names_the_field(raw: bytes, field: str) -> None:
    with pytest.raises(UnstorableError) as refused:
        load_json(raw)
    assert refused.value.found.field == field


@pytest.mark.parametrize("raw", [rb'"\ud83d\ude42"', rb'"\\u0000"', b'{"a": [1]}'])
def test_json_that_only_looks_like_it_is_taken(raw: bytes) -> None:
    assert load_json(raw) == orjson.loads(raw)


@pytest.mark.parametrize("raw", [b"{", b'{"a": NaN}', b"\xff", b"[" * 5000])
def test_what_is_no_json_stays_a_syntax_error(raw: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        load_json(raw)


def test_json_of_a_provider_is_mended() -> None:
    raw = rb'{"content": "a\u0000b\ud800", "logprob": NaN, "ok": "\ud83d\ude42"}'
    assert load_provider_json(raw) == {"content": "a\ufffdb\ufffd", "logprob": None, "ok": "🙂"}


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"[" * 100_000])
def test_what_a_provider_sends_that_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each parser has its own words
        load_provider_json(raw)


@pytest.mark.parametrize("raw", [b"[" * 255 + b"]" * 255, b'{"a":' * 300 + b"1" + b"}" * 300])
def test_json_that_could_not_be_written_again_is_refused(raw: bytes) -> None:
    with pytest.raises(NestedTooDeeplyError, match="nested deeper than 254 levels"):
        load_json(raw)
    with pytest.raises(NestedTooDeeplyError):
        load_provider_json(raw)


def test_as_deep_as_can_be_written() -> None:
    raw = b"[" * 254 + b"]" * 254
    assert orjson.dumps(load_json(raw)) == raw


def test_brackets_next_to_each_other_are_not_deep() -> None:
    raw = b"[" + b",".join([b"[[]]"] * 1000) + b"]"
    assert orjson.dumps(load_json(raw)) == raw
