"""Applies a document to the rows, for `apply_config` and rollbacks.

Both use `apply`, which refuses unknown keys, writes only rows that differ, and publishes one
revision.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from experiments.configuration.document import (
    DOMAIN_FIELDS,
    ENDPOINT_FIELDS,
    MODEL_FIELDS,
    OWN_METRIC_FIELDS,
    PARAMETER_RULE_FIELDS,
    PRICE_FIELDS,
    ROUTER_FIELDS,
    SETTINGS_FIELDS,
    Document,
    current_document,
    load_settings,
)
from experiments.configuration.experiment_locks import LockedError
from experiments.configuration.experiment_section import (
    ARM_KEYS,
    EXPERIMENT_KEYS,
    METRIC_KEYS,
    problems_of,
    write_experiments,
)
from experiments.configuration.metric_use import metrics_in_use
from experiments.configuration.revisions import Author, changes_of, revision
from experiments.configuration.row_lookup import named, placed
from experiments.configuration.validation import nesting_problem, problems_of_values
from experiments.core.detection import InvalidDomainError, InvalidPatternError
from experiments.core.differences import Change
from experiments.core.selection import GENERAL
from experiments.core.text import find_unstorable
from experiments.models import (
    Domain,
    DomainExample,
    Flag,
    FlagEntry,
    LanguageModel,
    Metric,
    ModelPrice,
    ParameterRule,
    PolicyRevision,
    ProviderEndpoint,
    Router,
)
from experiments.models.catalog import PART_PRICES
from experiments.storage.transactions import retried

PRICES = (
    "input_per_million",
    "output_per_million",
    "per_request",
    *PART_PRICES,
)
ENTRY_FIELDS = ("unit_hash", "label")
POLICY_KEYS = ("method", "router", "threshold", "strong", "weak", "epsilon", "between")
PRICE_KEYS = (
    *PRICE_FIELDS,
    *PRICES,
    "valid_from",
    "valid_until",
)
SECTIONS: dict[str, tuple[str, ...]] = {
    "endpoints": ENDPOINT_FIELDS,
    "parameter_rules": PARAMETER_RULE_FIELDS,
    "models": (*MODEL_FIELDS, "endpoint", "prices"),
    "routers": ROUTER_FIELDS,
    "domains": (*DOMAIN_FIELDS, "policy", "examples"),
    "flags": ("percentage", "seed", "description", "allow", "deny"),
    "metrics": OWN_METRIC_FIELDS,
    "experiments": EXPERIMENT_KEYS,
}
# The kind of a section's rows if its name is also the name of a list in a row.
KINDS = {"metrics": "own_metrics"}
# A file never changes a rollout's state: the section is exported for information only.
IGNORED = "rollouts"
LISTS: dict[str, tuple[str, ...]] = {
    "prices": PRICE_KEYS,
    "allow": ENTRY_FIELDS,
    "deny": ENTRY_FIELDS,
    "arms": ARM_KEYS,
    "metrics": METRIC_KEYS,
}
SETTINGS_MODELS = ("strong_model", "weak_model", "judge_model")
SETTINGS_AMOUNTS = ("holdout_percentage", "shadow_budget")
SETTINGS_KEYS = (*SETTINGS_FIELDS, *SETTINGS_AMOUNTS, *SETTINGS_MODELS)


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
    _refuse_unknown_keys(document)
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


def _refuse_unknown_keys(document: Any) -> None:
    if not isinstance(document, dict):
        raise ConfigurationError(["The file is not a configuration: it must be a mapping."])
    if problem := nesting_problem(document):
        raise ConfigurationError([problem])
    if found := find_unstorable(document):
        raise ConfigurationError([f"{found.field} {found}"])
    problems = [
        f"unknown section '{key}'" for key in document.keys() - {*SECTIONS, "settings", IGNORED}
    ]
    problems += _problems_of_row(
        "settings", "settings", document.get("settings", {}), SETTINGS_KEYS
    )
    for section, allowed in SECTIONS.items():
        rows = document.get(section, {})
        if not isinstance(rows, dict):
            problems.append(f"{section}: must be a mapping of names")
            continue
        for name, row in rows.items():
            problems += _problems_of_row(section, f"{section}.{name}", row, allowed)
    if problems:
        raise ConfigurationError(sorted(problems))


def _problems_of_row(section: str, path: str, row: Any, allowed: tuple[str, ...]) -> Iterable[str]:
    """Unknown keys at any depth; if all keys are known, values of the wrong type."""
    if not isinstance(row, dict):
        return [f"{path}: must be a mapping"]
    unknown = [*_unknown(path, row, allowed), *_unknown_inside(path, row)]
    return unknown or list(problems_of_values(KINDS.get(section, section), path, row))


def _unknown_inside(path: str, row: Document) -> Iterator[str]:
    yield from _unknown(f"{path}.policy", row.get("policy"), POLICY_KEYS)
    for key, allowed in LISTS.items():
        items = row.get(key)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            yield from _unknown(f"{path}.{key}[{index}]", item, allowed)
            if key == "arms" and isinstance(item, dict):
                yield from _unknown(f"{path}.arms[{index}].policy", item.get("policy"), POLICY_KEYS)


def _unknown(path: str, row: Any, allowed: tuple[str, ...]) -> list[str]:
    keys = row.keys() if isinstance(row, dict) else set()
    return [f"{path}: unknown key '{key}'" for key in keys - set(allowed)]


def _write(document: Document) -> None:
    """Writes rows in the order of their references; protected rows are deleted last."""
    with transaction.atomic():
        _write_section("endpoints", ProviderEndpoint, document.get("endpoints"), _write_endpoint)
        _write_section(
            "parameter_rules", ParameterRule, document.get("parameter_rules"), _write_rule
        )
        _write_section("models", LanguageModel, document.get("models"), _write_model)
        _write_section("routers", Router, document.get("routers"), _write_router)
        if "settings" in document:
            _write_settings(document["settings"])
        _write_section("domains", Domain, document.get("domains"), _write_domain)
        _write_flags(document.get("flags"))
        _write_section("metrics", Metric, document.get("metrics"), _write_metric)
        write_experiments(document.get("experiments", {}))
        for model, section in (
            (Metric, "metrics"),
            (Domain, "domains"),
            (Router, "routers"),
            (LanguageModel, "models"),
            (ProviderEndpoint, "endpoints"),
            (ParameterRule, "parameter_rules"),
        ):
            if section in document:
                _delete_others(model, document[section])


def _write_section(
    path: str,
    model: type[models.Model],
    section: Document | None,
    write: Callable[[Any, Document], None],
) -> None:
    for name, values in (section or {}).items():
        row = model._default_manager.filter(name=name).first() or model(name=name)
        try:
            write(row, values)
        except ValidationError as error:
            raise placed(error, f"{path}.{name}") from error


def _delete_others(model: type[models.Model], section: Document) -> None:
    others = model._default_manager.exclude(name__in=section)
    if model is Domain and others.filter(name=GENERAL).exists():
        raise ValidationError(f"domains: '{GENERAL}' cannot be deleted.")
    if model is Metric:
        _require_unused(others.values_list("name", flat=True), "deleted")
    others.delete()


def _assign(row: models.Model, values: Document, names: tuple[str, ...]) -> None:
    for name in names:
        if name in values:
            setattr(row, name, values[name])


def _save(row: models.Model) -> None:
    row.full_clean()
    row.save()


def _write_endpoint(row: ProviderEndpoint, values: Document) -> None:
    _assign(row, values, ENDPOINT_FIELDS)
    _save(row)


def _write_metric(row: Metric, values: Document) -> None:
    before = {name: getattr(row, name) for name in OWN_METRIC_FIELDS if name != "description"}
    _assign(row, values, OWN_METRIC_FIELDS)
    if row.pk and any(getattr(row, name) != value for name, value in before.items()):
        _require_unused([row.name], "changed")
    _save(row)


def _require_unused(names: Iterable[str], done: str) -> None:
    used = metrics_in_use()
    for name in names:
        if name in used:
            keys = ", ".join(used[name])
            raise ValidationError(f"metrics.{name}: it cannot be {done}, because {keys} uses it.")


def _write_rule(row: ParameterRule, values: Document) -> None:
    _assign(row, values, PARAMETER_RULE_FIELDS)
    _save(row)


def _write_model(row: LanguageModel, values: Document) -> None:
    _assign(row, values, MODEL_FIELDS)
    if "endpoint" in values:
        row.endpoint = named(ProviderEndpoint, values["endpoint"], f"models.{row.name}.endpoint")
    _save(row)
    if "prices" in values:
        row.prices.all().delete()
        for price in values["prices"]:
            _save(ModelPrice(model=row, **_price_values(price)))


def _price_values(price: Document) -> Document:
    values = dict(price)
    for name in PRICES:
        if values.get(name) is not None:
            values[name] = Decimal(str(values[name]))
    for name in ("valid_from", "valid_until"):
        if isinstance(values.get(name), str):
            values[name] = date.fromisoformat(values[name])
    return values


def _write_router(row: Router, values: Document) -> None:
    _assign(row, values, ROUTER_FIELDS)
    _save(row)


def _write_settings(values: Document) -> None:
    row = load_settings()
    _assign(row, values, SETTINGS_FIELDS)
    for name in SETTINGS_AMOUNTS:
        if name in values:
            setattr(row, name, Decimal(str(values[name])))
    for name in SETTINGS_MODELS:
        if name in values:
            setattr(row, name, named(LanguageModel, values[name], f"settings.{name}"))
    try:
        _save(row)
    except ValidationError as error:
        raise placed(error, "settings") from error


def _write_domain(row: Domain, values: Document) -> None:
    _assign(row, values, DOMAIN_FIELDS)
    if "policy" in values:
        policy = values["policy"]
        path = f"domains.{row.name}.policy"
        _assign(row, policy, ("method", "threshold", "epsilon"))
        row.between = policy.get("between", [])
        row.router = named(Router, policy.get("router"), f"{path}.router")
        row.strong_model = named(LanguageModel, policy.get("strong"), f"{path}.strong")
        row.weak_model = named(LanguageModel, policy.get("weak"), f"{path}.weak")
    _save(row)
    if "examples" in values:
        row.examples.all().delete()
        DomainExample.objects.bulk_create(
            DomainExample(domain=row, text=text) for text in values["examples"]
        )


def _write_flags(section: Document | None) -> None:
    """Flags are built in or belong to a domain: a document changes them but never adds one."""
    for key, values in (section or {}).items():
        row = Flag.objects.filter(key=key).first()
        if row is None:
            domain = Domain.objects.filter(flag__isnull=True, name=_domain_of(key)).first()
            if domain is None:
                raise ValidationError(f"flags.{key}: unknown flag.")
            row = Flag(key=key, kind=Flag.Kind.DOMAIN, domain=domain)
        _assign(row, values, ("seed", "description"))
        if "percentage" in values:
            row.percentage = Decimal(str(values["percentage"]))
        try:
            _save(row)
        except ValidationError as error:
            raise placed(error, f"flags.{key}") from error
        _write_entries(row, values)


def _domain_of(key: str) -> str:
    return key.removeprefix("routellm_").removesuffix("_domain")


def _write_entries(row: Flag, values: Document) -> None:
    for kind in FlagEntry.Kind:
        if kind in values:
            row.entries.filter(kind=kind).delete()
            FlagEntry.objects.bulk_create(
                FlagEntry(flag=row, kind=kind, **entry) for entry in values[kind]
            )
