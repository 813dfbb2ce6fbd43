"""What a verifier looks at, as numbers: the prompt, the weak model's answer, a second answer.

`NAMES` names the numbers, `GROUPS` says which verifier each belongs to. What is not known (no
second answer, no log-probability) is 0 and its flag says so.
"""

import re
from collections import Counter
from collections.abc import Iterable
from math import exp, log, log1p
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.verifiers.arithmetic import equations, last_number
from experiments.verifiers.checks import Checks, check, has_options
from experiments.verifiers.final_answers import (
    AnswerKind,
    FinalAnswer,
    final_answer,
    numbers_in,
    plain_words,
    reasoning_of,
    same_answer,
)

Floats = NDArray[np.float64]
_WORD = re.compile(r"\w+")
_HEDGES = re.compile(
    r"\b(?:however|but|actually|wait|although|unless|assum\w+|approximately|about|roughly|maybe|"
    r"perhaps|possibl[ey]|probably|might|seems?|appears?|unclear|not sure|likely|mistake|incorrect|"
    r"correction|re-?check|re-?evaluate|error|contradict\w*|not possible|impossible|typo)\b",
    re.IGNORECASE,
)
_LOOPS = re.compile(r"\b(?:for|while|if|elif|else|return|lambda|def)\b")
_CALLS = re.compile(r"\.\w+\(|\b\w+\(")
_LATEX = re.compile(r"\\[a-zA-Z]+|\^|_\{")
_STEP = re.compile(r"^\s*(?:\d+[.)]|[-*]|step\b)", re.IGNORECASE | re.MULTILINE)
_FIRST, _LAST = 6_000, 2_000


class AnswerSample(NamedTuple):
    """One answer to verify. `logprob` is the log-probability of its tokens (mean or sum, the same
    for all), `similarity` the cosine of the embeddings of both final answers, `router` a prompt
    router's score in [0, 1]; None where not known."""

    prompt: str
    answer: str
    second: str | None = None
    logprob: float | None = None
    similarity: float | None = None
    router: float | None = None


def features(sample: AnswerSample) -> Floats:
    """One finite number for each of `NAMES`. Any texts work, also empty or very long ones: the
    first 6,000 and the last 2,000 characters of each count."""
    prompt, answer = visible(sample.prompt), visible(sample.answer)
    final, reasoning = final_answer(answer), reasoning_of(answer)
    values = (
        *_of_checks(check(prompt, answer)),
        *_of_prompt(prompt),
        *_of_answer(prompt, answer, reasoning),
        *_of_final(prompt, reasoning, final),
        *_of_arithmetic(reasoning, final),
        *_of_logprob(sample.logprob),
        *_of_agreement(sample, final, reasoning),
        _of_router(sample.router),
    )
    return np.array(values, dtype=np.float64)


def visible(text: str) -> str:
    return text if len(text) <= _FIRST + _LAST else f"{text[:_FIRST]}\n{text[-_LAST:]}"


def matrix(samples: Iterable[AnswerSample]) -> Floats:
    """One row a sample."""
    return np.stack([features(sample) for sample in samples])


def _of_checks(checks: Checks) -> tuple[float, ...]:
    """What does not apply counts as passed."""
    return tuple(1.0 if value is None else value for value in checks)


def _of_prompt(prompt: str) -> tuple[float, ...]:
    words = _WORD.findall(prompt)
    numbers = numbers_in(prompt)
    lines = prompt.splitlines()
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    return (
        log1p(len(words)),
        log1p(len(numbers)),
        log1p(max((abs(number) for number in numbers), default=0.0)),
        log1p(len(lines)),
        log1p(max(indents, default=0)),
        log1p(len(_LOOPS.findall(prompt))),
        log1p(len(_CALLS.findall(prompt))),
        log1p(len(_LATEX.findall(prompt))),
        float(has_options(prompt)),
        log1p(prompt.count("?")),
    )


def _of_answer(prompt: str, answer: str, reasoning: str) -> tuple[float, ...]:
    words = [word.lower() for word in _WORD.findall(reasoning)]
    size = 1 + len(words)
    threes = Counter(zip(words, words[1:], words[2:], strict=False))
    hedges = len(_HEDGES.findall(reasoning))
    asked, used = set(numbers_in(prompt)), set(numbers_in(reasoning))
    return (
        log1p(len(words)),
        log1p(len(words)) - log1p(len(_WORD.findall(prompt))),
        log1p(len(_STEP.findall(reasoning))),
        log1p(hedges),
        hedges / size,
        sum(count - 1 for count in threes.values()) / size,
        len(set(words)) / size,
        log1p(len(used)),
        len(asked & used) / max(1, len(asked)),
        log1p(len(answer) - len(reasoning)) if len(answer) > len(reasoning) else 0.0,
    )


def _of_final(prompt: str, reasoning: str, final: FinalAnswer) -> tuple[float, ...]:
    number = final.value if final.kind == AnswerKind.NUMBER else None
    size = abs(number) if number is not None else 0.0
    text = plain_words(final.text)
    last = last_number(reasoning)
    return (
        float(final.kind == AnswerKind.NUMBER),
        float(final.kind == AnswerKind.LITERAL),
        float(final.kind == AnswerKind.CHOICE),
        float(final.kind == AnswerKind.WORDS),
        float(isinstance(final.value, list | tuple | dict)),
        float(number is not None and number == int(number)),
        float(number is not None and number < 0),
        log1p(size),
        _decimals(number),
        log1p(len(final.text)),
        log1p(final.text.count(",")),
        float(number is not None and number in numbers_in(prompt)),
        float(bool(text) and text in prompt.lower()),
        float(bool(text) and text in plain_words(reasoning[-300:])),
        log1p(plain_words(reasoning).count(text)) if text else 0.0,
        float(number is not None and last is not None and abs(number - last) < 1e-6),
    )


def _decimals(number: float | None) -> float:
    if number is None or number == int(number):
        return 0.0
    return float(len(f"{number:.6f}".rstrip("0").partition(".")[2]))


def _of_arithmetic(reasoning: str, final: FinalAnswer) -> tuple[float, ...]:
    found = equations(reasoning)
    wrong = sum(not equation.holds for equation in found)
    results = [equation.right for equation in found]
    ends_in_final = bool(results) and final.kind == AnswerKind.NUMBER and final.value == results[-1]
    fractional = sum(result != int(result) for result in results)
    return (
        log1p(len(found)),
        float(wrong > 0),
        wrong / max(1, len(found)),
        float(ends_in_final),
        float(final.kind == AnswerKind.NUMBER and final.value in results),
        fractional / max(1, len(found)),
    )


def _of_logprob(logprob: float | None) -> tuple[float, ...]:
    if logprob is None:
        return 0.0, 0.0, 0.0
    held = min(0.0, logprob)
    return 1.0, -log1p(-held), exp(held)


def _of_router(score: float | None) -> float:
    """The log-odds of its score, held within 4."""
    if score is None:
        return 0.0
    held = min(0.982, max(0.018, score))
    return log(held / (1 - held))


def _of_agreement(sample: AnswerSample, final: FinalAnswer, reasoning: str) -> tuple[float, ...]:
    if sample.second is None:
        return (0.0,) * 10
    seen = visible(sample.second)
    other, second = final_answer(seen), reasoning_of(seen)
    same = same_answer(final, other)
    ours, theirs = set(numbers_in(reasoning)), set(numbers_in(second))
    overlap = len(ours & theirs) / max(1, len(ours | theirs))
    found = float(bool(other.text) and plain_words(other.text) in plain_words(reasoning))
    return (
        1.0,
        1.0 if same else -1.0,
        float(same and final.kind == AnswerKind.NUMBER),
        float(same and final.kind == AnswerKind.LITERAL),
        1.0 if other.kind == final.kind else -1.0,
        _nearness(final, other),
        overlap,
        found if not same else 0.0,
        sample.similarity or 0.0,
        log1p(len(second)) - log1p(len(reasoning)),
    )


def _nearness(one: FinalAnswer, other: FinalAnswer) -> float:
    """1 for the same number, towards 0 the further apart; for texts the shared words."""
    if one.kind == other.kind == AnswerKind.NUMBER:
        return 1 / (1 + abs(log((1 + abs(one.value)) / (1 + abs(other.value)))) * 5)
    ours, theirs = set(_WORD.findall(one.text.lower())), set(_WORD.findall(other.text.lower()))
    return len(ours & theirs) / max(1, len(ours | theirs))


CHECKS = (
    *("not_empty", "not_truncated", "not_refusing", "json_parses", "code_parses"),
    *("on_format", "has_final"),
)
PROMPT = (
    *("prompt_words", "prompt_numbers", "prompt_largest", "prompt_lines", "prompt_indent"),
    *("prompt_branches", "prompt_calls", "prompt_formulas", "prompt_options", "prompt_questions"),
)
ANSWER = (
    *("words", "words_to_prompt", "steps", "hedges", "hedge_rate", "repetition", "variety"),
    *("numbers", "numbers_used", "outside_reasoning"),
    *("is_number", "is_literal", "is_choice", "is_words", "is_collection", "is_whole"),
    *("is_negative", "magnitude", "decimals", "final_length", "final_commas", "final_in_numbers"),
    *("final_in_prompt", "final_at_end", "final_repeated", "final_is_last"),
)
ARITHMETIC = (
    *("equations", "equation_wrong", "equations_wrong_share", "ends_in_final"),
    *("final_computed", "fractional"),
)
LOGPROB = ("logprob_known", "logprob_scale", "token_probability")
ROUTER = ("router_log_odds",)
AGREEMENT = (
    *("second_known", "agrees", "agrees_number", "agrees_literal", "same_kind", "nearness"),
    *("shared_numbers", "second_in_reasoning", "similarity", "second_longer"),
)
GROUPS = {
    "checks": CHECKS,
    "prompt": PROMPT,
    "answer": ANSWER,
    "arithmetic": ARITHMETIC,
    "logprob": LOGPROB,
    "agreement": AGREEMENT,
    "router": ROUTER,
}
NAMES = tuple(name for group in GROUPS.values() for name in group)
