"""The filters of `/decisions/`: an address's query as `DecisionFilter`, and back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from experiments.core.money import NANO
from experiments.core.policy import MASTER_FLAG, Method, domain_flag
from experiments.core.text import is_storable
from experiments.dashboards.filters import Filters
from experiments.decisions.queries import DecisionFilter, Mark
from experiments.models import Domain, Experiment, LanguageModel

REASONS = {
    "score_at_or_above_threshold": "score at or above the threshold",
    "score_below_threshold": "score below the threshold",
    "drawn_at_threshold": "score equal to the threshold, drawn",
    "step_reached": "score at or above a step's threshold",
    "always_strong": "always strong",
    "always_weak": "always weak",
    "policy": "domain selector by policy",
    "master_flag_off": "master flag off",
    "domain_flag_off": "domain flag off",
    "unknown_language": "unknown language",
    "holdout": "global holdout",
    "router_failed": "router failed",
    "router_timeout": "router timeout",
    "router_not_ready": "router not ready",
    "invalid_score": "invalid score",
    "broken_configuration": "broken configuration",
}
TEXTS = ("model", "method", "reason", "arm", "flag")
MOST_DOLLARS = Decimal(1_000_000)
LARGEST_REVISION = 2_000_000_000


class Choices(NamedTuple):
    """The choices of the form. They come from the configuration, never from decisions."""

    domains: tuple[str, ...]
    models: tuple[str, ...]
    experiments: tuple[str, ...]
    methods: tuple[tuple[str, str], ...]
    reasons: tuple[tuple[str, str], ...]
    flags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class DecisionFilters:
    """The shared filters and the list's own. Texts stay as typed, for the form."""

    shared: Filters
    texts: Mapping[str, str]
    revision: str
    cost_from: str
    cost_to: str
    problems: tuple[str, ...]

    def wanted(self, now: datetime) -> DecisionFilter:
        span = self.shared.span(now)
        flag, _, position = self.texts["flag"].partition(":")
        return DecisionFilter(
            since=span.since,
            until=span.until,
            domain=self.shared.domain,
            experiment=self.shared.experiment,
            model=self.texts["model"],
            method=self.texts["method"],
            reason=self.texts["reason"],
            arm=self.texts["arm"],
            flag=flag,
            flag_on=position != "off",
            revision=int(self.revision) if self.revision else None,
            cost_from=_nano(self.cost_from),
            cost_to=_nano(self.cost_to),
        )

    @property
    def are_set(self) -> bool:
        own = (*self.texts.values(), self.revision, self.cost_from, self.cost_to)
        return any(own) or bool(self.shared.domain or self.shared.experiment)

    def query(self, **more: str) -> str:
        """The address's query, with `more` at the end."""
        own = {
            **self.texts,
            "revision": self.revision,
            "cost_from": self.cost_from,
            "cost_to": self.cost_to,
            **more,
        }
        head = self.shared.query()
        tail = urlencode({name: value for name, value in own.items() if value})
        return "&".join(part for part in (head or "?", tail) if part).replace("?&", "?")


def read(query: Mapping[str, str]) -> DecisionFilters:
    """Reads an address's query. Invalid parameters are ignored and listed in `problems`."""
    shared = Filters.from_request(query)
    problems = list(shared.problems)
    texts = {name: _text(query, name, problems) for name in TEXTS}
    revision = _checked(query, "revision", _is_revision, "a revision number", problems)
    cost_from = _checked(
        query, "cost_from", _is_cost, "an amount in dollars, such as 0.001", problems
    )
    cost_to = _checked(query, "cost_to", _is_cost, "an amount in dollars, such as 0.001", problems)
    return DecisionFilters(shared, texts, revision, cost_from, cost_to, tuple(problems))


def marks(query: Mapping[str, str]) -> tuple[Mark | None, Mark | None]:
    """`before` and `after`: where the page begins. An invalid mark is ignored."""
    return _mark(query.get("before", "")), _mark(query.get("after", ""))


def mark_text(mark: Mark) -> str:
    return f"{mark.created_at.isoformat()}_{mark.id}"


def choices() -> Choices:
    """Three queries."""
    domains = tuple(Domain.objects.values_list("name", flat=True))
    flags = (MASTER_FLAG, *map(domain_flag, domains))
    return Choices(
        domains=domains,
        models=tuple(LanguageModel.objects.values_list("name", flat=True)),
        experiments=tuple(Experiment.objects.values_list("key", flat=True).order_by("key")),
        methods=tuple((str(method), method.replace("_", " ")) for method in Method),
        reasons=tuple(REASONS.items()),
        flags=tuple((f"{key}:{at}", f"{key} {at}") for key in flags for at in ("on", "off")),
    )


def _mark(text: str) -> Mark | None:
    at, _, decision_id = text.partition("_")
    try:
        mark = Mark(datetime.fromisoformat(at), UUID(decision_id))
    except ValueError:
        return None
    return mark if mark.created_at.tzinfo else None


def _text(query: Mapping[str, str], name: str, problems: list[str]) -> str:
    value = query.get(name, "").strip()
    if not is_storable(value) or len(value) > 200:
        problems.append(f"“{name}” is not a valid name. It is ignored.")
        return ""
    return value


def _checked(
    query: Mapping[str, str],
    name: str,
    is_right: Callable[[str], bool],
    what: str,
    problems: list[str],
) -> str:
    value = _text(query, name, problems)
    if value and not is_right(value):
        problems.append(f"“{name}” must be {what}; got “{value[:40]}”. It is ignored.")
        return ""
    return value


def _is_revision(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) <= LARGEST_REVISION


def _is_cost(text: str) -> bool:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return False
    return amount.is_finite() and 0 <= amount <= MOST_DOLLARS


def _nano(text: str) -> int | None:
    return int(Decimal(text) * NANO) if text else None
