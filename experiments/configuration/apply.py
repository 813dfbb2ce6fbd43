"""Applies a document to the rows, for `apply_config` and rollbacks.

Both use `apply`, which refuses unknown keys, writes only rows that differ, and publishes one
revision.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from experiments.configuration.document import SECTIONS, current_document, load_settings
from experiments.configuration.experiment_locks import LockedError
from experiments.configuration.experiment_section import problems_of, write_experiments
from experiments.configuration.metric_use import metrics_in_use
from experiments.configuration.revisions import Author, changes_of, revision
from experiments.configuration.rows import placed, write
from experiments.configuration.shapes import Document, FlagDocument, SettingsDocument
from experiments.configuration.validation import nesting_problem, problems_of_document
from experiments.core.detection import InvalidDomainError, InvalidPatternError
from experiments.core.differences import Change
from experiments.core.selection import GENERAL
from experiments.core.text import find_unstorable
from experiments.models import Domain, Flag, Metric, PolicyRevision
from experiments.storage.transactions import retried

# In the order of their references.
PLAIN_SECTIONS = (
    "endpoints",
    "parameter_rules",
    "models",
    "routers",
    "domains",
    "aliases",
    "metrics",
)


class ConfigurationError(Exception):
    """A document that cannot be applied. `problems` lists each problem with its path."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


@retried
def plan(document: Document) -> list[Change]:
    """The changes that applying `document` would make. Applies it and rolls back, so it refuses the
    same documents as `apply`. Raises ConfigurationError."""
    with transaction.atomic():
        changes = apply(document, "plan", "")
        transaction.set_rollback(True)
    return changes


@retried
def apply(document: Document, author: Author, note: str) -> list[Change]:
    """Makes the rows match `document`; missing sections do not change.

    Rows that a section does not contain are deleted. Raises ConfigurationError; then nothing was
    changed.
    """
    _refuse_problems(document)
    locked = list(problems_of(document.get("experiments", {}), current_document()["experiments"]))
    if locked:
        raise ConfigurationError(locked)
    try:
        with revision(author, note) as published:
            _write(document)
    except ValidationError as error:
        raise ConfigurationError(error.messages) from error
    except (InvalidDomainError, InvalidPatternError) as error:
        raise ConfigurationError([str(error)]) from error
    except (models.ProtectedError, IntegrityError) as error:
        raise ConfigurationError([str(error.args[0])]) from error
    except LockedError as error:
        raise ConfigurationError(error.problems) from error
    return changes_of(published.revision) if published.revision else []


def plan_roll_back(number: int) -> list[Change]:
    """The changes of a rollback. Raises ConfigurationError, PolicyRevision.DoesNotExist."""
    return plan(_earlier(number))


def roll_back(number: int, author: Author) -> list[Change]:
    """Applies the document of an earlier revision as a new one. Experiments do not change.

    Raises ConfigurationError, PolicyRevision.DoesNotExist.
    """
    return apply(_earlier(number), author, f"Rolled back to revision {number}")


def _earlier(number: int) -> Document:
    document = dict(PolicyRevision.objects.get(number=number).document)
    document.pop("experiments", None)
    if "metrics" in document:  # metrics of experiments do not change
        now = current_document()["metrics"]
        document["metrics"] |= {name: now[name] for name in metrics_in_use() if name in now}
    return document


def _refuse_problems(document: Any) -> None:
    if not isinstance(document, dict):
        raise ConfigurationError(["The file is not a configuration: it must be a mapping."])
    if problem := nesting_problem(document):
        raise ConfigurationError([problem])
    if found := find_unstorable(document):
        raise ConfigurationError([f"{found.field} {found}"])
    if problems := problems_of_document(document):
        raise ConfigurationError(problems)


def _write(document: Document) -> None:
    """Writes rows in the order of their references; protected rows are deleted last."""
    given = {name: document[name] for name in PLAIN_SECTIONS if name in document}
    with transaction.atomic():
        for name, rows in given.items():
            _write_section(name, rows)
        if "settings" in document:
            with _placed("settings"):
                write(SettingsDocument, load_settings(), document["settings"], "settings")
        _write_flags(document.get("flags", {}))
        write_experiments(document.get("experiments", {}))
        for name, rows in reversed(given.items()):
            _delete_others(name, rows)


def _write_section(section: str, rows: Document) -> None:
    shape, model, *_ = SECTIONS[section]
    for name, values in rows.items():
        row = model._default_manager.filter(name=name).first() or model(name=name)
        with _placed(f"{section}.{name}"):
            if isinstance(row, Metric):
                _require_same_meaning(row, values)
            if isinstance(row, Domain) and _fixes_threshold(values):
                row.follows_target = False
            write(shape, row, values, f"{section}.{name}")


def _fixes_threshold(values: Document) -> bool:
    """Files from before targets give fixed thresholds."""
    threshold = values.get("policy", {}).get("threshold")
    return threshold is not None and "follows_target" not in values


@contextmanager
def _placed(path: str) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise placed(error, path) from error


def _delete_others(section: str, rows: Document) -> None:
    model = SECTIONS[section].model
    others = model._default_manager.exclude(name__in=rows)
    if model is Domain and others.filter(name=GENERAL).exists():
        raise ValidationError(f"domains: '{GENERAL}' cannot be deleted.")
    if model is Metric:
        _require_unused(others.values_list("name", flat=True), "deleted")
    others.delete()


def _require_same_meaning(row: Metric, values: Document) -> None:
    """Refuses changes of a metric in use, except of its description."""
    names = values.keys() - {"description"}
    if row.pk and any(getattr(row, name) != values[name] for name in names):
        _require_unused([row.name], "changed")


def _require_unused(names: Iterable[str], done: str) -> None:
    used = metrics_in_use()
    for name in names:
        if name in used:
            keys = ", ".join(used[name])
            raise ValidationError(f"metrics.{name}: it cannot be {done}, because {keys} uses it.")


def _write_flags(section: Document) -> None:
    """Flags are built in or belong to a domain: a document changes them but never adds one."""
    for key, values in section.items():
        row = Flag.objects.filter(key=key).first()
        if row is None:
            domain = Domain.objects.filter(flag__isnull=True, name=_domain_of(key)).first()
            if domain is None:
                raise ValidationError(f"flags.{key}: unknown flag.")
            row = Flag(key=key, kind=Flag.Kind.DOMAIN, domain=domain)
        with _placed(f"flags.{key}"):
            write(FlagDocument, row, values, f"flags.{key}")


def _domain_of(key: str) -> str:
    return key.removeprefix("routellm_").removesuffix("_domain")
