"""The final answer of a text, and whether two say the same."""

import pytest

from experiments.verifiers.final_answers import (
    AnswerKind,
    as_number,
    final_answer,
    numbers_in,
    reasoning_of,
    same_answer,
)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ('{"reasoning": "2 + 2", "answer": "4"}', AnswerKind.NUMBER, 4.0),
        ('```json\n{"reasoning": "x", "answer": 1234.5}\n```', AnswerKind.NUMBER, 1234.5),
        ('{"reasoning": "cut", "answer": "7", ', AnswerKind.NUMBER, 7.0),
        ("She pays $1,200.\n#### 1,200", AnswerKind.NUMBER, 1200.0),
        (r"so $x = 3$, thus \boxed{\frac{3}{4}}", AnswerKind.NUMBER, 0.75),
        ("The answer is 42.", AnswerKind.NUMBER, 42.0),
        ("First 3, then 5 apples", AnswerKind.NUMBER, 5.0),
        ("(B) the mitral valve\nB", AnswerKind.CHOICE, "B"),
        ('{"answer": "[(4, 1), (2, 3)]"}', AnswerKind.LITERAL, [(4, 1), (2, 3)]),
        ("assert f(1) == {'a': 2}", AnswerKind.LITERAL, {"a": 2}),
        ("The answer is Paris", AnswerKind.WORDS, "paris"),
        ("", AnswerKind.NONE, None),
    ],
)
def test_final_answer(text: str, kind: AnswerKind, value: object) -> None:
    found = final_answer(text)

    assert found.kind == kind
    assert found.value == value


def test_a_last_number_is_not_a_stated_answer() -> None:
    assert not final_answer("First 3, then 5 apples").stated
    assert final_answer("#### 5").stated


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("#### 5", "The answer is 5.0", True),
        ("#### $1,200", '{"answer": "1200"}', True),
        ("#### 5", "#### 6", False),
        ("""{"answer": "'abc'"}""", """{"answer": "abc"}""", True),
        ("""{"answer": "[1, 2]"}""", """{"answer": "[1,2]"}""", True),
        ("""{"answer": "[1, 2]"}""", """{"answer": "[2, 1]"}""", False),
        ("A", "(A) first", True),
        ("", "", False),
    ],
)
def test_same_answer(one: str, other: str, same: bool) -> None:
    assert same_answer(final_answer(one), final_answer(other)) is same


def test_numbers() -> None:
    assert numbers_in("From $1,250.50 to 3 of -7") == [1250.5, 3.0, -7.0]
    assert as_number("3/4") == 0.75
    assert as_number("1/0") is None
    assert as_number("three") is None


def test_reasoning_is_what_leads_to_the_answer() -> None:
    assert reasoning_of('{"reasoning": "2 + 2 is 4", "answer": "4"}') == "2 + 2 is 4"
    assert reasoning_of("2 + 2\n#### 4") == "2 + 2\n"


def test_nothing_in_an_answer_is_executed() -> None:
    found = final_answer("""{"answer": "__import__('os').getcwd()"}""")

    assert found.kind == AnswerKind.WORDS
