"""The final answer of a text: a number, a choice, a literal of code, or words.

An answer states its result in one of a few places: a field `answer` of a JSON object, after `####`
or "the answer is", in `\\boxed{}`, or as the last number or the last line. The first place that is
found counts, in that order.
"""

import ast
import json
import math
import re
import warnings
from enum import StrEnum
from typing import Any, NamedTuple

_JSON_KEYS = ("answer", "final_answer", "result", "output")
_FENCE = re.compile(r"```[\w+-]*[ \t]*\n(.*?)```", re.DOTALL)
_FIELD = re.compile(r'"(?:final_)?answer"\s*:\s*("(?:[^"\\]|\\.)*"|[^,}\n]+)', re.IGNORECASE)
_HASHES = re.compile(r"####[ \t]*([^\n]+)")
_BOXED = re.compile(r"\\boxed\s*\{")
_STATED = re.compile(
    r"\b(?:final answer|correct answer|answer|result|output|total)\b"
    r"[ \t]*(?:is|are|=|:|would be|should be)[ \t:]*([^\n]{1,200})",
    re.IGNORECASE,
)
_ASSERTED = re.compile(r"\bassert\b[^\n]*==\s*([^\n]+)")
_NUMBER = re.compile(
    r"(?<![\w.])-?\$?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|-?\$?\d+(?:\.\d+)?|-?\$?\.\d+"
)
_DECORATION = re.compile(r"[$,+]")
_FRACTION = re.compile(r"^\\?[dt]?frac\{?\s*(-?\d+)\s*\}?\{?\s*(\d+)\s*\}?$|^(-?\d+)\s*/\s*(\d+)$")
_CHOICE = re.compile(r"^\(?([A-Ja-j])(?:[).:]|\s*$)")
_AROUND = " \t\n*_`\"'.$"
_MOST_LITERAL = 5_000
_LONGEST_NUMBER = 60


class AnswerKind(StrEnum):
    NONE = "none"
    NUMBER = "number"
    CHOICE = "choice"
    LITERAL = "literal"
    WORDS = "words"


class FinalAnswer(NamedTuple):
    """`text` as it stands there. `value` is a float for a number, the letter for a choice, the
    Python value for a literal, and lower-case words otherwise. `stated`: the text marks it as its
    answer; else it is the last number or line."""

    kind: AnswerKind
    text: str = ""
    value: Any = None
    stated: bool = False


NOTHING = FinalAnswer(AnswerKind.NONE)


def final_answer(text: str) -> FinalAnswer:
    """Any text works, an empty one too."""
    found = _stated(text)
    if found is not None:
        return _read(found, stated=True)
    numbers = numbers_in(text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return NOTHING
    choice = _CHOICE.match(lines[-1])
    if choice:
        return FinalAnswer(AnswerKind.CHOICE, choice[1], choice[1].upper())
    if numbers:
        return FinalAnswer(AnswerKind.NUMBER, str(numbers[-1]), numbers[-1])
    return _read(lines[-1], stated=False)


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, in a code fence or not; None where there is none."""
    for candidate in (text.strip(), *_FENCE.findall(text), _braces(text)):
        if candidate.lstrip().startswith("{"):
            try:
                found = json.loads(candidate, strict=False)
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict):
                return found
    return None


def reasoning_of(text: str) -> str:
    """What leads to the final answer: the field `reasoning` of a JSON object, else all of it."""
    found = json_object(text)
    if found is None:
        return text.partition("####")[0]
    texts = [value for key, value in found.items() if key not in _JSON_KEYS]
    return "\n".join(value for value in texts if isinstance(value, str)) or text


def numbers_in(text: str) -> list[float]:
    """The numbers of a text in their order, thousands separators and currency signs removed."""
    found = (_DECORATION.sub("", match) for match in _NUMBER.findall(text))
    return [float(number) for number in found if len(number) <= _LONGEST_NUMBER]


def as_number(text: str) -> float | None:
    """A number or a plain fraction; None for anything else."""
    if len(text) > _LONGEST_NUMBER:
        return None
    bare = text.strip(_AROUND).replace("\u2212", "-").replace("$", "").rstrip("%").strip()
    fraction = _FRACTION.match(bare.replace("\\", "").replace(" ", ""))
    if fraction:
        above, below = (fraction[1], fraction[2]) if fraction[1] else (fraction[3], fraction[4])
        return float(above) / float(below) if float(below) else None
    try:
        number = float(bare.replace(",", ""))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def as_literal(text: str) -> tuple[bool, Any]:
    """Whether a text is a literal of Python, and its value. Nothing is executed."""
    if not text or len(text) > _MOST_LITERAL:
        return False, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return True, ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False, None


def same_answer(one: FinalAnswer, other: FinalAnswer) -> bool:
    """Whether two final answers say the same."""
    if AnswerKind.NONE in (one.kind, other.kind):
        return False
    if one.kind == other.kind == AnswerKind.NUMBER:
        return math.isclose(one.value, other.value, rel_tol=1e-6, abs_tol=1e-9)
    if one.kind == other.kind != AnswerKind.WORDS:
        try:
            return bool(one.value == other.value)
        except RecursionError:
            return False
    return plain_words(one.text) == plain_words(other.text) != ""


def plain_words(text: str) -> str:
    """Lower case, without quotes, marks and extra spaces around and between."""
    return re.sub(r"[\s\\{}$]+", " ", text.strip(_AROUND).lower()).strip()


def _stated(text: str) -> str | None:
    found = json_object(text)
    if found is not None:
        for key in _JSON_KEYS:
            if key in found:
                value = found[key]
                return value if isinstance(value, str) else json.dumps(value)
    field = _FIELD.search(text)
    if field:
        return field[1].strip().strip('"')
    for pattern in (_HASHES, _ASSERTED):
        matches = pattern.findall(text)
        if matches:
            return str(matches[-1]).strip()
    if (boxed := _boxed(text)) is not None:
        return boxed
    matches = _STATED.findall(text)
    return str(matches[-1]).strip() if matches else None


def _boxed(text: str) -> str | None:
    """What the last `\\boxed{}` holds."""
    starts = [match.end() for match in _BOXED.finditer(text)]
    if not starts:
        return None
    depth = 1
    for at in range(starts[-1], len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[starts[-1] : at]
    return text[starts[-1] :]


def _braces(text: str) -> str:
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else ""


def _read(text: str, *, stated: bool) -> FinalAnswer:
    bare = text.strip()
    number = as_number(bare)
    if number is not None and not bare.startswith(("'", '"')):
        return FinalAnswer(AnswerKind.NUMBER, bare, number, stated)
    is_literal, value = as_literal(bare)
    if is_literal and not isinstance(value, int | float):
        return FinalAnswer(AnswerKind.LITERAL, bare, value, stated)
    if bare in ("True", "False"):
        return FinalAnswer(AnswerKind.LITERAL, bare, bare == "True", stated)
    choice = _CHOICE.match(bare)
    if choice:
        return FinalAnswer(AnswerKind.CHOICE, bare, choice[1].upper(), stated)
    numbers = numbers_in(bare)
    if stated and len(numbers) == 1 and len(bare) < 60:
        return FinalAnswer(AnswerKind.NUMBER, bare, numbers[0], stated)
    words = plain_words(bare)
    return FinalAnswer(AnswerKind.WORDS, bare, words, stated) if words or stated else NOTHING
