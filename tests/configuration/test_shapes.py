"""A new configuration field is one column and one line of a shape; everything else follows."""

from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.db import models
from django.test import RequestFactory
from pydantic import TypeAdapter, ValidationError

from experiments.admin.base import ConfigurationAdmin
from experiments.configuration.apply import ConfigurationError, apply
from experiments.configuration.document import SECTIONS, current_document
from experiments.configuration.policy_store import from_document, load_policy
from experiments.configuration.rows import document_of, keys_of, queryset, write
from experiments.configuration.shapes import (
    Column,
    DomainDocument,
    Exported,
    MustBe,
    OrNull,
    PolicyDocument,
    Related,
    RolloutDocument,
    SettingsDocument,
    Whole,
)
from experiments.core import policy as core
from experiments.core.policy import ModelStep
from experiments.models import Domain, PolicyRevision, RoutingSettings
from experiments.models.base import ConfigurationRow, RoutingPolicyRow

# By type of column, the more specific types first: what a file may hold.
HOLDS: tuple[tuple[type[Any], tuple[str, ...]], ...] = (
    (models.BooleanField, ("true or false",)),
    (models.IntegerField, ("a whole number",)),
    (models.FloatField, ("a number",)),
    (models.DecimalField, ("a number",)),
    (models.DateField, ("a day such as 2026-11-22",)),
    (models.ForeignKey, ("a text",)),
    (models.JSONField, ("a list of texts", "a mapping")),
    (models.CharField, ("a text",)),
    (models.TextField, ("a text",)),
)
# Columns that say nothing about the configuration: names, versions, and what happened when.
NOT_IN_A_FILE = {
    "id", "name", "key", "version", "updated_at", "kind", "domain", "fetched_at", "position",
    "started_at", "stopped_at", "stopped_by", "stop_reason", "verdict", "shipped_arm",
    "ship_reason",
}  # fmt: skip


class WiderDocument(DomainDocument, total=False):
    """The shape with one more line, for a column that the document does not have."""

    version: Whole


def test_one_line_of_a_shape_is_read_written_and_checked(seeded: None) -> None:
    row = queryset(WiderDocument, Domain).get(name="medical")
    document = document_of(WiderDocument, row)
    assert document == {**current_document()["domains"]["medical"], "version": row.version}

    write(WiderDocument, row, {**document, "version": 70}, "domains.medical")
    assert Domain.objects.get(name="medical").version == 71  # saving raises it
    with pytest.raises(ValidationError, match="must be a whole number"):
        TypeAdapter(WiderDocument).validate_python({"version": "many"})


def test_a_field_of_core_is_taken_from_the_document_by_its_name() -> None:
    @dataclass(frozen=True)
    class Wider(core.Holdout):
        reviewers: tuple[str, ...] = ()
        since: int = 3

    found = from_document(Wider, {"seed": "a", "reviewers": ["b"], "unrelated": 1}, share=5)
    assert found == Wider(share=5, seed="a", reviewers=("b",), since=3)


def test_a_column_that_no_part_of_a_form_names_is_in_the_last_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = next(
        found
        for site in admin.sites.all_sites
        for model, found in site._registry.items()
        if model is Domain
    )
    assert isinstance(page, ConfigurationAdmin)
    request = RequestFactory().get("/")
    known = flatten_fieldsets(page.get_fieldsets(request))
    *placed, (_, part) = page.fieldsets or ()
    unplaced = flatten_fieldsets([("", part)])
    monkeypatch.setattr(page, "fieldsets", placed)
    last, options = page.get_fieldsets(request)[-1]
    assert last == "More"
    assert sorted(options["fields"]) == sorted(unplaced)
    assert sorted(flatten_fieldsets(page.get_fieldsets(request))) == sorted(known)


def shapes_and_models() -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = [(SettingsDocument, RoutingSettings), (PolicyDocument, Domain)]
    for section in SECTIONS.values():
        if section.shape is RolloutDocument:
            continue  # for information: a file never changes a rollout
        found.append((section.shape, section.model))
        for each in keys_of(section.shape):
            if (related := each.mark(Related)) and each.inner:
                field: Any = section.model._meta.get_field(related.accessor)
                found.append((each.inner, field.related_model))
    return found


@pytest.mark.parametrize(("shape", "model"), shapes_and_models())
def test_every_column_is_in_the_shape(shape: Any, model: Any) -> None:
    policy = {column.name for column in RoutingPolicyRow._meta.get_fields()}
    parents = {
        column.name
        for column in model._meta.concrete_fields
        if column.is_relation and not issubclass(model, ConfigurationRow)
    } - policy
    columns = {column.name for column in model._meta.concrete_fields}
    wanted = policy if shape is PolicyDocument else columns - policy - parents
    inside = [each.inner for each in keys_of(shape) if each.inner and not each.mark(Related)]
    known = {each.column for part in (shape, *inside) for each in keys_of(part)}
    assert wanted - known <= NOT_IN_A_FILE


@pytest.mark.parametrize(("shape", "model"), shapes_and_models())
def test_a_line_accepts_what_its_column_does(shape: Any, model: Any) -> None:
    for each in keys_of(shape):
        exported = each.mark(Exported)
        if each.mark(Related) or each.inner or (exported and exported.read):
            continue
        column = model._meta.get_field(each.column)
        expected = next(holds for kind, holds in HOLDS if isinstance(column, kind))
        held = each.mark(MustBe)
        assert held is not None, each.key
        assert held.description in expected, each.key
        assert (each.mark(OrNull) is not None) == column.null, each.key


def test_a_key_with_another_name_than_its_column_names_it() -> None:
    strong = next(each for each in keys_of(PolicyDocument) if each.key == "strong")
    assert strong.mark(Column) == Column("strong_model")
    assert strong.column == "strong_model"


STEP: dict[str, Any] = {"model": "openai/gpt-4.1", "router": "local", "threshold": 0.4}


def with_steps(*steps: Any) -> dict[str, Any]:
    document = {"domains": dict(current_document()["domains"])}
    policy = {**document["domains"]["technical"]["policy"], "between": list(steps)}
    document["domains"]["technical"] = {"policy": policy}
    return document


def test_steps_travel_in_a_file(seeded: None) -> None:
    apply(with_steps(STEP), "tests", "")
    assert current_document()["domains"]["technical"]["policy"]["between"] == [STEP]
    newest = PolicyRevision.objects.first()
    assert newest is not None
    assert load_policy(newest.number).domains["technical"].policy.steps == (ModelStep(**STEP),)


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ({**STEP, "threshold": "high"}, "between[0].threshold: must be a number"),
        ({**STEP, "treshold": 1}, "between[0]: unknown key 'treshold'"),
        ({"model": "a"}, "between[0].router: is missing"),
        ("openai/gpt-4.1", "between[0]: must be a mapping"),
    ],
)
def test_a_step_is_refused_by_its_path(seeded: None, step: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        apply(with_steps(step), "tests", "")
    assert f"domains.technical.policy.{problem}" in refused.value.problems


def test_all_problems_of_a_file_are_listed(seeded: None) -> None:
    document = {"domains": {"medical": {"label": 5, "colour": "red"}}, "colours": {}}
    with pytest.raises(ConfigurationError) as refused:
        apply(document, "tests", "")
    assert refused.value.problems == [
        "domains.medical.label: must be a text",
        "domains.medical: unknown key 'colour'",
        "unknown section 'colours'",
    ]
