"""The equations that a text writes out, and whether they are right: "3 * $12 = $36"."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from experiments.verifiers.final_answers import numbers_in

_OPERATORS = {
    "\u00d7": "*",
    "\u2715": "*",
    "\\times": "*",
    "\\cdot": "*",
    "\u00f7": "/",
    "\\div": "/",
}
_WORDS = re.compile(r"(?<=\d)[ \t]+[A-Za-z][A-Za-z ]{0,30}(?=[ \t]*[-+*/=)]|$)")
_SIDES = re.compile(
    r"(?P<left>[-(]*\d[\d.,]*\)*(?:\s*[-+*/x]\s*\(*-?\d[\d.,]*\)*)+)\s*=\s*(?P<right>-?\d[\d,]*(?:\.\d+)?)"
)
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[-+*/()]")
_MOST_CHARACTERS = 20_000
_TOLERANCE = 0.006


class Equation(NamedTuple):
    """Both sides' values."""

    left: float
    right: float

    @property
    def holds(self) -> bool:
        """Equal up to the rounding of two decimals or half a percent."""
        near = math.isclose(self.left, self.right, rel_tol=5e-3, abs_tol=_TOLERANCE)
        return near or round(self.left) == self.right


def equations(text: str) -> list[Equation]:
    """Equations of numbers with + - * / and brackets; units and currency signs are ignored."""
    return list(_found(text[:_MOST_CHARACTERS]))


def last_number(text: str) -> float | None:
    numbers = numbers_in(text[-_MOST_CHARACTERS:])
    return numbers[-1] if numbers else None


def _found(text: str) -> Iterator[Equation]:
    for name, sign in _OPERATORS.items():
        text = text.replace(name, sign)
    text = _WORDS.sub(" ", text.replace("$", "").replace("%", ""))
    for match in _SIDES.finditer(text):
        left = _value(match["left"])
        if left is not None:
            yield Equation(left, float(match["right"].replace(",", "")))


def _value(expression: str) -> float | None:
    """By recursive descent; None where it is no whole expression."""
    tokens = _TOKEN.findall(re.sub(r"(?<=\d),(?=\d{3})", "", expression).replace("x", "*"))
    reader = _Reader(tokens)
    try:
        value = reader.sum()
    except (ValueError, IndexError, ZeroDivisionError, RecursionError):
        return None
    return value if reader.done and math.isfinite(value) else None


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._tokens)

    def sum(self) -> float:
        value = self._product()
        while self._next() in ("+", "-"):
            value += self._product() if self._take() == "+" else -self._product()
        return value

    def _product(self) -> float:
        value = self._factor()
        while self._next() in ("*", "/"):
            if self._take() == "*":
                value *= self._factor()
            else:
                value /= self._factor()
        return value

    def _factor(self) -> float:
        sign = self._take()
        if sign == "-":
            return -self._factor()
        if sign != "(":
            return float(sign)
        value = self.sum()
        if self._next() == ")":
            self._take()
        return value

    def _next(self) -> str | None:
        return None if self.done else self._tokens[self._at]

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]
