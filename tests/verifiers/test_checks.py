"""Free checks of an answer, and the equations in it."""

import pytest

from experiments.verifiers.arithmetic import equations
from experiments.verifiers.checks import check, is_truncated

OPTIONS = "Which one?\nA. first\nB. second"


def test_an_answer_that_passes() -> None:
    found = check("What is 2 + 2?", '{"reasoning": "2 + 2 = 4", "answer": "4"}')

    assert found.passed
    assert (found.json_parses, found.code_parses, found.on_format) == (1.0, None, None)


@pytest.mark.parametrize(
    ("prompt", "answer", "failed"),
    [
        ("Hi", "  ", "not_empty"),
        ("Hi", "I'm sorry, but I cannot help with that.", "not_refusing"),
        ("Hi", '{"reasoning": "it goes on and', "not_truncated"),
        ("Answer in JSON.", "The answer is 4.", "json_parses"),
        ("Write it", "```python\ndef f(:\n```", "code_parses"),
        (OPTIONS, "The answer is 42.", "on_format"),
        ("Hi", "It depends on many things.", "has_final"),
    ],
)
def test_a_check_that_fails(prompt: str, answer: str, failed: str) -> None:
    found = check(prompt, answer)

    assert getattr(found, failed) == 0.0
    assert not found.passed


def test_a_choice_is_on_format() -> None:
    assert check(OPTIONS, "The answer is B").on_format == 1.0


def test_truncated_texts() -> None:
    assert is_truncated("```python\nx = 1")
    assert is_truncated("This sentence is long enough that its end should carry a mark but does")
    assert not is_truncated("Yes")
    assert not is_truncated("")


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("He pays 3 * $12 = $36.", [True]),
        ("40 hours * 10 = 400 and 5 \u00d7 12 = 61", [True, False]),
        ("(2 + 3) * 4 = 20", [True]),
        ("1,000 / 3 = 333.33", [True]),
        ("x = 5 and y = 6", []),
        ("1 / 0 = 3", []),
    ],
)
def test_equations(text: str, holds: list[bool]) -> None:
    assert [equation.holds for equation in equations(text)] == holds
