"""Providers' almost-JSON is parsed and sent on as valid JSON."""

import json
import math
from functools import partial
from typing import Any

import pytest

from experiments.core.text import load_provider_json
from experiments.gateway.provider_json import TextJoiner, dumps

loads = partial(load_provider_json, halves=True)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"logprob": NaN}', {"logprob": None}),
        (b'{"logprob": -Infinity}', {"logprob": -9999.0}),
        (b'{"logprob": Infinity}', {"logprob": None}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'["NaN", NaN, 18446744073709551616]', ["NaN", None, 1.8446744073709552e19]),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
    ],
)
def test_read(raw: bytes, value: Any) -> None:
    assert loads(raw) == value
    assert json.loads(dumps(loads(raw))) == value


@pytest.mark.parametrize(
    "raw", [b"{", b"", b"[1,]", b"'a'", b"[" * 100_000, b"[" * 255 + b"]" * 255, b"NaN" * 2]
)
def test_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        loads(raw)


def test_as_deep_as_can_be_written() -> None:
    raw = b"[" * 254 + b"]" * 254
    assert dumps(loads(raw)) == raw


def test_infinity_is_null_to_callers() -> None:
    assert dumps([math.inf, loads(b"[1e400, NaN]")]) == b"[null,[null,null]]"


def test_lone_surrogates_become_replacement_characters() -> None:
    data = {"a\ud83d": ["x\ude00y", "\ud83d\ude00", "ok"], "b": 1}
    clean = {"a\ufffd": ["x\ufffdy", "\U0001f600", "ok"], "b": 1}
    assert json.loads(dumps(data)) == clean
    assert load_provider_json(json.dumps(data).encode()) == clean


def texts(*contents: str, **more: str) -> list[str]:
    joiner = TextJoiner()
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": text, **more}}]} for text in contents
    ]
    return [joiner.joined(chunk)["choices"][0]["delta"]["content"] for chunk in chunks]


def test_halves_of_a_character_are_joined() -> None:
    assert texts("a\ud83d", "\ude00b") == ["a", "\U0001f600b"]
    assert texts("\ud83d", "", "\ude00") == ["", "", "\U0001f600"]


def test_half_without_its_other_half() -> None:
    assert texts("\ud83d", "b", "\ude00") == ["", "\ufffdb", "\ufffd"]


def test_choices_and_tools_have_halves_of_their_own() -> None:
    joiner = TextJoiner()

    def tool(index: int, text: str) -> Any:
        calls = [{"index": index, "function": {"arguments": text}}]
        chunk = {"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}
        joined = joiner.joined(chunk)["choices"][0]["delta"]["tool_calls"]
        return joined[0]["function"]["arguments"]

    assert [tool(0, "\ud83d"), tool(1, "\ude00"), tool(0, "\ude00")] == ["", "\ufffd", "\U0001f600"]


def test_chunks_without_choices_pass() -> None:
    for chunk in ({}, {"choices": None}, {"choices": [None, {"delta": None}]}):
        assert TextJoiner().joined(dict(chunk)) == chunk
