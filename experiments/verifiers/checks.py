"""Free checks of an answer: is it there, whole, willing, and in the form that it claims?

A check needs no model and no call. 1.0: passed, 0.0: failed, None: it does not apply.
"""

import ast
import re
from typing import NamedTuple

from experiments.verifiers.final_answers import AnswerKind, final_answer, json_object

_REFUSALS = re.compile(
    r"\b(?:I(?:'m| am) (?:sorry|unable|not able)|I (?:cannot|can't|can not|won't)|as an AI\b|"
    r"(?:cannot|can't|unable to) (?:answer|determine|provide|help|assist|be determined)|"
    r"not (?:enough|sufficient) information|insufficient information|no correct answer)",
    re.IGNORECASE,
)
_CODE = re.compile(r"```(?:python|py)[ \t]*\n(.*?)```", re.DOTALL)
_OPTIONS = re.compile(r"^[ \t]{0,8}\(?[A-Ja-j][.):]\s", re.MULTILINE)
_WANTS_JSON = re.compile(r"\bJSON\b")
_ENDS = (".", "!", "?", "}", "]", ")", '"', "'", "`", "$", "*", ":", "\u3002", "|", ">")


class Checks(NamedTuple):
    """In the order in which a reader would ask them."""

    not_empty: float
    not_truncated: float
    not_refusing: float
    json_parses: float | None
    code_parses: float | None
    on_format: float | None
    has_final: float

    @property
    def passed(self) -> bool:
        """Whether no check that applies failed."""
        return all(value != 0.0 for value in self)


def check(prompt: str, answer: str) -> Checks:
    """Any texts work."""
    final = final_answer(answer)
    return Checks(
        not_empty=float(bool(answer.strip())),
        not_truncated=float(not is_truncated(answer)),
        not_refusing=float(not _REFUSALS.search(answer[:300] + answer[-300:])),
        json_parses=_json_parses(prompt, answer),
        code_parses=_code_parses(answer),
        on_format=_on_format(prompt, final.kind),
        has_final=float(final.stated),
    )


def is_truncated(answer: str) -> bool:
    """It ends inside a code fence, a JSON object or a sentence."""
    text = answer.rstrip()
    if not text:
        return False
    if text.count("```") % 2:
        return True
    if text.startswith(("{", "```json")) and json_object(text) is None:
        return not text.rstrip("` \n").endswith("}")
    last = text.splitlines()[-1].strip()
    return len(last) > 60 and not last.endswith(_ENDS) and not last[-1].isdigit()


def has_options(prompt: str) -> bool:
    """Whether a prompt lists at least two options to choose from."""
    return len(_OPTIONS.findall(prompt)) >= 2


def _json_parses(prompt: str, answer: str) -> float | None:
    claims = answer.lstrip().startswith(("{", "```json")) or bool(_WANTS_JSON.search(prompt))
    return float(json_object(answer) is not None) if claims else None


def _code_parses(answer: str) -> float | None:
    blocks = _CODE.findall(answer)
    if not blocks:
        return None
    try:
        for block in blocks:
            ast.parse(block)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return 0.0
    return 1.0


def _on_format(prompt: str, kind: AnswerKind) -> float | None:
    return float(kind == AnswerKind.CHOICE) if has_options(prompt) else None
