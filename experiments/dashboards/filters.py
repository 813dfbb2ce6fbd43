"""The filters of pages about traffic, in the address, so that a link shows the same page."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from experiments.analytics.traffic import Baseline
from experiments.core.text import is_storable
from experiments.decisions.rollup_queries import DAY, HOUR, Span

RANGES = {
    "24h": "last 24 hours",
    "7d": "last 7 days",
    "30d": "last 30 days",
    "90d": "last 90 days",
    "custom": "from … to",
}
BASELINES = {
    Baseline.ALWAYS_STRONG: "always strong",
    Baseline.ALWAYS_WEAK: "always weak",
    Baseline.RANDOM: "random at the same strong share",
}
_DAYS = {"7d": 7, "30d": 30, "90d": 90}
LONGEST_DAYS = 400
DEFAULT_RANGE = "7d"


class Dates(NamedTuple):
    """First and last UTC day, both included."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Filters:
    """`problems` lists invalid parameters; the defaults replace them."""

    range: str = DEFAULT_RANGE
    dates: Dates | None = None
    domain: str = ""
    experiment: str = ""
    baseline: Baseline = Baseline.ALWAYS_STRONG
    problems: tuple[str, ...] = ()

    @classmethod
    def from_request(cls, query: Mapping[str, str]) -> "Filters":
        """Reads an address's query. Never raises."""
        reader = _Reader(query)
        chosen = reader.one_of("range", RANGES, DEFAULT_RANGE)
        dates = reader.dates() if chosen == "custom" else None
        return cls(
            range=chosen if dates or chosen != "custom" else DEFAULT_RANGE,
            dates=dates,
            domain=reader.text("domain"),
            experiment=reader.text("experiment"),
            baseline=Baseline(reader.one_of("baseline", BASELINES, Baseline.ALWAYS_STRONG)),
            problems=tuple(reader.problems),
        )

    def span(self, now: datetime) -> Span:
        """Whole UTC days up to today, or whole hours up to this one."""
        if self.dates:
            return Span(_midnight(self.dates.first), _midnight(self.dates.last) + DAY)
        if self.range == "24h":
            until = now.replace(minute=0, second=0, microsecond=0) + HOUR
            return Span(until - DAY, until)
        tomorrow = _midnight(now.astimezone(UTC).date()) + DAY
        return Span(tomorrow - timedelta(days=_DAYS[self.range]), tomorrow)

    def is_live(self, now: datetime) -> bool:
        """Whether new data can still arrive."""
        return self.span(now).until > now

    @property
    def range_label(self) -> str:
        """The label of the range; see `when` for its use in a sentence."""
        return RANGES[self.range]

    @property
    def when(self) -> str:
        """ "in the last 7 days", "from 2026-11-01 to 2026-11-03"."""
        if self.dates:
            return f"from {self.dates.first} to {self.dates.last}"
        return f"in the {RANGES[self.range]}"

    @property
    def baseline_label(self) -> str:
        return BASELINES[self.baseline]

    def query(self, **changes: Any) -> str:
        """The address's query for these filters, with `changes`: "?range=30d", or ""."""
        pairs = replace(self, **changes)._pairs() if changes else self._pairs()
        return f"?{urlencode(pairs)}" if pairs else ""

    def _pairs(self) -> dict[str, str]:
        pairs = {"range": self.range} if self.range != DEFAULT_RANGE else {}
        if self.dates:
            pairs |= {"from": str(self.dates.first), "to": str(self.dates.last)}
        if self.baseline is not Baseline.ALWAYS_STRONG:
            pairs["baseline"] = str(self.baseline)
        named = {"domain": self.domain, "experiment": self.experiment}
        return pairs | {name: value for name, value in named.items() if value}


class _Reader:
    def __init__(self, query: Mapping[str, str]) -> None:
        self._query = query
        self.problems: list[str] = []

    def text(self, name: str) -> str:
        value = self._query.get(name, "").strip()
        if not is_storable(value) or len(value) > 200:
            self.problems.append(f"“{name}” is not a valid name. It is ignored.")
            return ""
        return value

    def one_of(self, name: str, known: Mapping[Any, str], default: str) -> str:
        value = self.text(name)
        if not value or value in known:
            return value or default
        allowed = ", ".join(known)
        shown = value[:40]
        self.problems.append(f"“{name}” must be one of {allowed}; got “{shown}”. Using {default}.")
        return default

    def dates(self) -> Dates | None:
        first, last = self._day("from"), self._day("to")
        if first is None or last is None:
            self.problems.append(
                "A custom range needs “from” and “to” as days, such as 2026-11-22. "
                f"Using the {RANGES[DEFAULT_RANGE]}."
            )
            return None
        if first > last:
            first, last = last, first
        if (last - first).days >= LONGEST_DAYS:
            self.problems.append(
                f"The longest range is {LONGEST_DAYS} days. Using those up to {last}."
            )
            first = last - timedelta(days=LONGEST_DAYS - 1)
        return Dates(first, last)

    def _day(self, name: str) -> date | None:
        try:
            day = date.fromisoformat(self.text(name))
        except ValueError:
            return None
        return day if 1970 <= day.year < 9999 else None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
