"""What a judge is asked, and what its words mean."""

from typing import Any

import pytest

from experiments.core.judging import (
    JudgeVerdict,
    MalformedVerdictError,
    judge_messages,
    preference,
    read_verdict,
)

A, B, TIE = JudgeVerdict(1.0, "", ""), JudgeVerdict(0.0, "", ""), JudgeVerdict(0.5, "", "")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('{"winner": "A", "criterion": "correct", "reason": "Right."}', (1.0, "correct", "Right.")),
        ('{"winner": "b", "criterion": "Clear "}', (0.0, "clear", "")),
        ('{"winner": " Tie ", "criterion": "beauty", "reason": 7}', (0.5, "other", "")),
        ('Sure:\n```json\n{"winner": "B"}\n```\nHope it helps {sincerely}', (0.0, "other", "")),
        ('<think>{"winner": "A"}? No.</think>{"winner": "B"}', (0.0, "other", "")),
        ('{"winner": "A", "more": {"winner": "B"}}', (1.0, "other", "")),
        ('{"winner": "A", "reason": "two\\n lines"}', (1.0, "other", "two lines")),
    ],
)
def test_a_verdict_is_found_in_what_models_write(
    text: str, verdict: tuple[float, str, str]
) -> None:
    assert read_verdict(text) == verdict


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A is better.",
        '{"winner": "C"}',
        '{"winner": null}',
        '{"winner": ["A"]}',
        '["A"]',
        '{"winner": "A"',
        "{" * 3_000,
        '{"a":' * 3_000,
    ],
)
def test_anything_else_is_malformed(text: str) -> None:
    with pytest.raises(MalformedVerdictError):
        read_verdict(text)


@pytest.mark.parametrize(
    ("given_first", "given_second", "value"),
    [(A, B, 1.0), (B, A, 0.0), (A, A, 0.5), (B, B, 0.5), (TIE, TIE, 0.5), (A, TIE, 0.75)],
)
def test_two_orders_make_one_preference(
    given_first: JudgeVerdict, given_second: JudgeVerdict, value: float
) -> None:
    assert preference(given_first, given_second) == value


def test_no_answer_can_close_the_marks_around_it() -> None:
    """They are random, and new for each prompt."""
    prompts = [judge_messages([{"role": "user", "content": "Hi"}], "x", "y", "") for _ in range(2)]
    marks = [
        {line for line in prompt[1]["content"].splitlines() if line.startswith("<<")}
        for prompt in prompts
    ]
    assert [len(found) for found in marks] == [1, 1]
    assert marks[0] != marks[1]
    assert next(iter(marks[0])) in prompts[0][0]["content"]


def test_the_whole_conversation_is_read_and_pictures_are_named() -> None:
    conversation: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look"}}]},
        {
            "role": "user",
            "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url"}, "odd"],
        },
        {"role": "tool"},
    ]
    material = judge_messages(conversation, "first", "second", " By rhyme. ")[1]["content"]
    for words in ("[system]\nBe brief.", '"name": "look"', "What is it?\n(image_url)"):
        assert words in material
    assert material.index("first") < material.index("second")


def test_a_rubric_of_ones_own_takes_the_place_of_ours() -> None:
    own, ours = (judge_messages([], "x", "y", rubric)[0]["content"] for rubric in ("By rhyme.", ""))
    assert "By rhyme." in own
    assert "Correct comes first" not in own
    assert "Correct comes first" in ours
