"""Tells ratings by people from ratings by models: people's ratings take precedence."""

import re

JUDGES = (
    r"judge|llm|grader|evaluator|classifier|"
    r"(^|[^a-z0-9])(ai|auto|automatic|automated|bot|machine|model|gpt|claude|gemini|mistral|llama"
    r"|openai|anthropic)([^a-z]|$)"
)
"""Names of sources that are models, in any case: "judge", "LLM-judge", "gpt-4.1", "auto"."""
_JUDGES = re.compile(JUDGES, re.IGNORECASE)


def is_judge(source: str) -> bool:
    """Whether the source is a model; any other name is a person's."""
    return _JUDGES.search(source) is not None
