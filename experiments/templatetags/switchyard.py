"""Template tags and filters of the pages."""

from datetime import datetime
from typing import NamedTuple

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from experiments import formatting
from experiments.analysis.ratings import Estimate
from experiments.dashboards import marks
from experiments.dashboards import wording as page_wording

register = template.Library()

RAIL = (
    ("overview", "Overview"),
    ("domains", "Domains"),
    ("experiments", "Experiments"),
    ("rollouts", "Rollouts"),
    ("decisions", "Decisions"),
    ("lab", "Lab"),
    ("playground", "Playground"),
    ("models", "Models"),
)
"""The navigation: url name in the namespace "dashboards" (also a page's `section`), label."""

TABS = {
    "domains": (("domains", "Each domain"), ("cost_quality", "Cost and quality")),
    "lab": (
        ("lab", "Outcomes"),
        ("lab_evaluation", "Evaluation"),
        ("lab_calibration", "Calibration"),
        ("lab_training", "Training"),
        ("lab_what_if", "What if?"),
    ),
    "models": (("models", "Use and prices"), ("judging", "Judging")),
    "playground": (("playground", "Decide"), ("chat", "Chat")),
}
"""The tabs of a section with several pages, in order."""


class Entry(NamedTuple):
    href: str
    label: str
    current: bool


@register.simple_tag
def rail(section: str = "") -> list[Entry]:
    """The navigation entries whose page is installed; `section` is the current one."""
    return _entries(RAIL, section)


@register.simple_tag
def tabs(section: str = "", tab: str = "") -> list[Entry]:
    """The tabs of a section, `tab` is the current one; empty if it has one page."""
    entries = _entries(TABS.get(section, ()), tab)
    return entries if len(entries) > 1 else []


def _entries(named: tuple[tuple[str, str], ...], current: str) -> list[Entry]:
    return [
        Entry(href, label, name == current)
        for name, label in named
        if (href := _href(name)) is not None
    ]


def _href(name: str) -> str | None:
    try:
        return reverse(f"dashboards:{name}")
    except NoReverseMatch:
        return None


@register.filter
def moment(at: datetime) -> str:
    """An instant for `<time datetime>`; the page's script shows it in the reader's time zone."""
    return marks.moment(at)


@register.filter
def words(name: str) -> str:
    """A name with underscores as words."""
    return name.replace("_", " ")


@register.filter
def age(at: datetime) -> str:
    """The age in days."""
    return formatting.age(at, timezone.now())


@register.filter
def count(value: int) -> str:
    return formatting.number(value)


@register.filter
def dollars(nano: int | None) -> str:
    return "no price" if nano is None else formatting.dollars(nano)


@register.filter
def plain_money(nano: float | None, places: int = 2) -> str:
    """Without the sign, for columns whose header has the unit."""
    return "no price" if nano is None else formatting.plain_dollars(nano, places)


@register.filter
def per_thousand(nano: float | None) -> str:
    """The cost of 1,000 such requests in dollars."""
    return plain_money(None if nano is None else 1000 * nano, 3)


@register.filter
def usd_per_thousand(dollars: float) -> str:
    """Dollars per request as dollars per 1,000 requests."""
    return formatting.number(1000 * dollars, 3)


@register.filter
def share(value: float | None) -> str:
    return formatting.share(value)


@register.filter
def plain_share(value: float | None) -> str:
    """Without the sign, for columns whose header has it."""
    return "none" if value is None else formatting.plain_share(value)


@register.filter
def signed_share(value: float) -> str:
    return f"{formatting.signed(100 * value, 1)} %"


@register.filter
def signed_points(value: float) -> str:
    """Without the unit, for labels that have it."""
    return formatting.signed(100 * value, 1)


@register.filter
def part_of(part: int, whole: int) -> str:
    return formatting.share(part / whole if whole else None)


@register.filter
def between(estimate: Estimate | None) -> str:
    return page_wording.between(estimate)


@register.filter
def milliseconds(microseconds: int) -> str:
    return formatting.milliseconds(microseconds)
