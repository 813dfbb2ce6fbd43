"""The classic domain detector: keywords and patterns, without machine learning.

A domain's confidence is the larger of two values: the share of its keywords found, and 1.2 times
the share of its patterns found; at most 1. RE2 compiles the patterns. It does not backtrack, so
an operator's pattern cannot hang a process.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import re2

PATTERN_WEIGHT = 1.2


class Candidate(NamedTuple):
    """A possible domain of a prompt, with confidence in [0, 1]."""

    name: str
    confidence: float


class InvalidPatternError(ValueError):
    """RE2 cannot compile a pattern. The message has the pattern and the reason."""


class InvalidDomainError(ValueError):
    """An invalid domain: no name, or a minimum accuracy outside [0, 1]."""


@dataclass(frozen=True)
class DomainConfig:
    """A subject: how its prompts are recognized and what its answers require.

    Raises InvalidPatternError or InvalidDomainError, so an invalid domain cannot be registered.
    """

    name: str
    keywords: Sequence[str] = field(default_factory=list)
    patterns: Sequence[str] = field(default_factory=list)
    preferred_models: Sequence[str] = field(default_factory=list)
    required_capabilities: Sequence[str] = field(default_factory=list)
    required_certifications: Sequence[str] = field(default_factory=list)
    min_accuracy_score: float = 0.0

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InvalidDomainError("A domain needs a name.")
        if not 0.0 <= self.min_accuracy_score <= 1.0:
            raise InvalidDomainError(
                f"Domain '{self.name}' has min_accuracy_score {self.min_accuracy_score}. "
                "Give a number from 0 to 1."
            )
        for pattern in self.patterns:
            try:
                compile_pattern(pattern)
            except InvalidPatternError as error:
                raise InvalidPatternError(f"Domain '{self.name}': {error}") from None

    def matches_text(self, text: str) -> float:
        """The classic detector's confidence in [0, 1] that the text belongs to this domain."""
        return _confidence(_Prompt.of(text), self)


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> Any:
    """Compiles the pattern with RE2, ignoring case. Raises InvalidPatternError."""
    if not pattern.strip():
        raise InvalidPatternError("A pattern is empty, so it would match everything. Remove it.")
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise InvalidPatternError(f"The pattern {pattern!r} {_reason(error)}") from None
    except UnicodeEncodeError:
        raise InvalidPatternError(f"The pattern {pattern!r} is not valid Unicode.") from None


def detect(text: str, domains: Iterable[DomainConfig]) -> list[Candidate]:
    """Every domain with confidence above 0, best first; ties keep the given order."""
    prompt = _Prompt.of(text)
    found = [Candidate(domain.name, _confidence(prompt, domain)) for domain in domains]
    return sorted((c for c in found if c.confidence > 0), key=lambda c: -c.confidence)


class _Prompt(NamedTuple):
    """A text prepared once for all domains."""

    text: str
    folded: str
    words: frozenset[str]

    @classmethod
    def of(cls, text: str) -> "_Prompt":
        # RE2 reads UTF-8, which cannot encode half a surrogate pair.
        text = text.encode("utf-8", "replace").decode("utf-8")
        folded = text.casefold()
        return cls(text, folded, frozenset(_WORD.findall(folded)))


_WORD = re.compile(r"\w+")


def _confidence(prompt: _Prompt, domain: DomainConfig) -> float:
    keywords = {folded for word in domain.keywords if (folded := word.strip().casefold())}
    hits = sum(_holds_keyword(prompt, keyword) for keyword in keywords)
    matches = sum(
        compile_pattern(pattern).search(prompt.text) is not None for pattern in domain.patterns
    )
    by_keywords = hits / len(keywords) if keywords else 0.0
    by_patterns = matches / len(domain.patterns) * PATTERN_WEIGHT if domain.patterns else 0.0
    return min(1.0, max(by_keywords, by_patterns))


def _holds_keyword(prompt: _Prompt, keyword: str) -> bool:
    """Matches whole words only: `art` is not in `start`. Keywords may be phrases or contain signs
    (`c++`)."""
    if keyword in prompt.words:
        return True
    return not keyword.isalnum() and _whole_phrase(keyword).search(prompt.folded) is not None


@lru_cache(maxsize=4096)
def _whole_phrase(keyword: str) -> re.Pattern[str]:
    # Any white space may separate words, so a phrase is found across a line break.
    phrase = r"\s+".join(re.escape(word) for word in keyword.split())
    return re.compile(rf"(?<!\w){phrase}(?!\w)")


def _reason(error: Exception) -> str:
    """RE2's own message, with a hint about syntax that Python has and RE2 does not."""
    detail = error.args[0] if error.args else error
    words = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
    hint = ""
    if "perl operator" in words or "escape sequence: \\" in words:
        hint = " Look-arounds and back-references are not available: patterns run in linear time."
    return f"does not compile: {words}.{hint}"
