"""Who is a judge: people's ratings come first, so a model must not pass for a person."""

import pytest

from experiments.core.sources import is_judge


@pytest.mark.parametrize(
    "source",
    [
        *("judge", "Judge", "JUDGE", "llm-judge", "judge:gpt-4.1", "judge_v2", "LLM", "my-llm"),
        *("autograder", "AI", "ai-rater", "auto", "Automatic", "gpt-4.1", "openai/gpt-4.1-mini"),
        *("claude-sonnet", "model", "toxicity classifier", "evaluator 3", "bot"),
    ],
)
def test_models_are_judges_whatever_the_case(source: str) -> None:
    assert is_judge(source)


@pytest.mark.parametrize(
    "source",
    ["human", "user", "", "support", "Aileen", "maintainer", "autumn", "Robot Ltd", "qa team"],
)
def test_all_other_names_are_people(source: str) -> None:
    assert not is_judge(source)
