"""The question to the log in the address of `/lab/what-if/`, so that a link repeats it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from experiments.core.policy import Method, Policy
from experiments.core.text import is_storable
from experiments.dashboards.filters import Filters
from experiments.lab.candidates import ASKABLE, CandidatePolicy, CannotAskError, filled
from experiments.lab.decision_log import AT_ONCE, MOST_ON_A_PAGE

METHODS = {
    Method.ROUTELLM: "a router with a threshold",
    Method.ALWAYS_STRONG: "always the strong model",
    Method.ALWAYS_WEAK: "always the weak model",
}


class More(NamedTuple):
    """A page read only the newest `read` decisions; at `href` it reads `most`."""

    read: int
    most: int
    href: str

    @classmethod
    def of(cls, read: int, href: str) -> "More":
        return cls(read, MOST_ON_A_PAGE, href if read < MOST_ON_A_PAGE else "")


def most_read(query: Mapping[str, str]) -> int:
    """How many decisions the page may read. More take seconds, so the reader must ask for them."""
    return MOST_ON_A_PAGE if query.get("read") == "more" else AT_ONCE


def reading(most: int) -> dict[str, str]:
    """The parameter for `most` in an address."""
    return {"read": "more"} if most > AT_ONCE else {}


@dataclass(frozen=True, slots=True)
class WhatIfQuery:
    """A candidate and a time range. `problems` lists invalid parameters."""

    candidate: CandidatePolicy
    filters: Filters
    problems: tuple[str, ...] = ()
    most: int = AT_ONCE

    @classmethod
    def from_request(cls, query: Mapping[str, str], policy: Policy) -> "WhatIfQuery":
        """Reads an address's query. Never raises."""
        filters = Filters.from_request(query)
        problems = list(filters.problems)
        method = _method(query, problems)
        wanted = CandidatePolicy(
            method=method,
            router=_text(query, "router"),
            threshold=_threshold(query, problems),
            strong=_text(query, "strong"),
            weak=_text(query, "weak"),
            domain=filters.domain,
        )
        try:
            candidate = filled(wanted, policy)
        except CannotAskError as error:
            problems.append(str(error))
            candidate = filled(CandidatePolicy(method=method), policy)
        return cls(candidate, filters, tuple(problems), most_read(query))

    def query(self, threshold: float | None = None, most: int | None = None) -> str:
        """The address's query, also for another threshold or more decisions."""
        candidate = self.candidate if threshold is None else self.candidate.at(threshold)
        named = {
            "domain": candidate.domain,
            "method": str(candidate.method),
            "router": candidate.router,
            "threshold": "" if candidate.threshold is None else f"{candidate.threshold:.6g}",
            "strong": candidate.strong,
            "weak": candidate.weak,
            "range": self.filters.range,
            **reading(most or self.most),
        }
        if self.filters.dates:
            named |= {"from": str(self.filters.dates.first), "to": str(self.filters.dates.last)}
        return f"?{urlencode({name: value for name, value in named.items() if value})}"


def _text(query: Mapping[str, str], name: str) -> str:
    value = query.get(name, "").strip()
    return value[:200] if is_storable(value) else ""


def _method(query: Mapping[str, str], problems: list[str]) -> Method:
    value = _text(query, "method")
    if value and value not in ASKABLE:
        problems.append(f"“method” must be one of {', '.join(ASKABLE)}; got “{value[:40]}”.")
        return Method.ROUTELLM
    return Method(value) if value else Method.ROUTELLM


def _threshold(query: Mapping[str, str], problems: list[str]) -> float | None:
    value = _text(query, "threshold")
    if not value:
        return None
    try:
        found = float(value)
    except ValueError:
        found = -1.0
    if 0.0 <= found <= 1.0:
        return found
    problems.append(f"“threshold” must be from 0 to 1; got “{value[:40]}”.")
    return None
