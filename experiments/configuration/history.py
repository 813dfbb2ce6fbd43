"""The changes of revisions in words, for the history and for stale forms."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Q

from experiments.configuration.revisions import changes_of
from experiments.configuration.rows import keys_of
from experiments.configuration.shapes import ModelDocument
from experiments.core.differences import Change
from experiments.core.policy import domain_flag
from experiments.models import Experiment, PolicyRevision

SUBJECTS = {
    "aliases": "Model alias",
    "domains": "Domain",
    "endpoints": "Provider endpoint",
    "experiments": "Experiment",
    "flags": "Flag",
    "metrics": "Metric",
    "models": "Model",
    "parameter_rules": "Parameter rule",
    "rollouts": "Rollout",
    "routers": "Router",
    "settings": "Routing settings",
}
MODEL_KEYS = {each.key for each in keys_of(ModelDocument)}
EXPERIMENT_STEPS = {"status", "phase", "coverage"}
LONGEST = 80
MANY = 6


class ValuePlace(NamedTuple):
    """The position of a value in a document. An added or removed row has no field."""

    section: str
    name: str
    field: str


class ReadableChange(NamedTuple):
    """One change in words. For lists, `added` and `removed` contain a few entries."""

    subject: str
    field: str
    before: str
    after: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.added or self.removed:
            signed = [f"+ {entry}" for entry in self.added] + [f"- {e}" for e in self.removed]
            return f"{self.field}: {', '.join(signed)}"
        return f"{self.field}: {self.before} → {self.after}" if self.field else self.after


class Happened(NamedTuple):
    """One revision's changes to one row."""

    number: int
    author: str
    created_at: datetime
    changes: tuple[ReadableChange, ...]


def place_of(path: str) -> ValuePlace:
    """Splits the path of a change. Names of models contain dots, so their fields are listed."""
    section, _, rest = path.partition(".")
    if section == "settings":
        return ValuePlace(section, "", rest)
    if section == "models":
        name, _, field = rest.rpartition(".")
        return (
            ValuePlace(section, name, field)
            if field in MODEL_KEYS
            else ValuePlace(section, rest, "")
        )
    name, _, field = rest.partition(".")
    return ValuePlace(section, name, field)


def readable(changes: Iterable[Change]) -> tuple[ReadableChange, ...]:
    return tuple(_readable(change) for change in changes)


def changes_since(number: int, section: str, name: str) -> list[Happened]:
    """The changes of one row by revisions after `number`, oldest first. One query."""
    return list(_happened(number, section, name))


def changes_between(since: datetime, until: datetime, domain: str) -> list[Happened]:
    """The changes that affected a domain's traffic in that time, oldest first. Two queries.

    These are changes of its row and its flag, and the steps of its experiments, not their plans.
    """
    rows = PolicyRevision.objects.filter(created_at__gte=since, created_at__lt=until)
    of_domain = Q(domain__name=domain) | Q(domain=None)
    experiments = set(Experiment.objects.filter(of_domain).values_list("key", flat=True))

    def matters(change: Change) -> bool:
        section, name, field = place_of(change.path)
        if section == "experiments":
            return name in experiments and field in EXPERIMENT_STEPS
        return (section, name) in {("domains", domain), ("flags", domain_flag(domain))}

    found = []
    for row in rows.defer("document").order_by("number"):
        own = [change for change in changes_of(row) if matters(change)]
        if own:
            found.append(Happened(row.number, row.author_name, row.created_at, readable(own)))
    return found


def _happened(number: int, section: str, name: str) -> Iterator[Happened]:
    rows = PolicyRevision.objects.filter(number__gt=number).defer("document").order_by("number")
    for row in rows:
        own = [change for change in changes_of(row) if place_of(change.path)[:2] == (section, name)]
        if own:
            yield Happened(row.number, row.author_name, row.created_at, readable(own))


def _readable(change: Change) -> ReadableChange:
    place = place_of(change.path)
    subject = f"{SUBJECTS.get(place.section, place.section)} {place.name}".strip()
    field = place.field.removeprefix("policy.").replace("_", " ").replace(".", ", ")
    if not place.field:
        word = "added" if change.before is None else "removed"
        return ReadableChange(subject, "", "", word)
    if isinstance(change.before, list) and isinstance(change.after, list):
        added, removed = (
            _without(change.after, change.before),
            _without(change.before, change.after),
        )
        if added or removed:
            return ReadableChange(subject, field, "", "", _few(added), _few(removed))
        return ReadableChange(subject, field, _words(change.before), _words(change.after))
    return ReadableChange(subject, field, _words(change.before), _words(change.after))


def _without(entries: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    return [entry for entry in entries if entry not in others]


def _few(entries: Sequence[Any]) -> tuple[str, ...]:
    shown = [_words(entry) for entry in entries[:MANY]]
    more = len(entries) - MANY
    return (*shown, f"{more} more") if more > 0 else tuple(shown)


def _words(value: Any) -> str:
    """A value of a document in words."""
    if value is None or value in ("", []):
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        text = ", ".join(_words(entry) for entry in value)
    elif isinstance(value, dict):
        text = _mapping(value)
    else:
        text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _mapping(value: dict[str, Any]) -> str:
    """A listed unit as its label, other mappings as pairs of name and value."""
    if "label" in value:
        return str(value["label"])
    known = {key: inner for key, inner in value.items() if inner not in (None, "", "0")}
    return ", ".join(f"{key.replace('_', ' ')} {_words(inner)}" for key, inner in known.items())
