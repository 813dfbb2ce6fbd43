"""Names hold no control characters, whichever door they come through: the log is read by lines."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from experiments.configuration.apply import ConfigurationError, apply
from experiments.configuration.document import current_document
from experiments.models import Domain, LanguageModel, Router
from tests.admin.conftest import Submit, errors_of

CONTROLS = ("\n", "\r", "\t", "\x02", "\x1f", "\x7f", "\x85")
ROWS: dict[str, tuple[type[Any], str]] = {
    "models": (LanguageModel, "openai/gpt-4.1"),
    "routers": (Router, "local"),
    "domains": (Domain, "technical"),
}


@pytest.mark.parametrize("sign", CONTROLS)
@pytest.mark.parametrize("section", ROWS)
def test_a_file_with_such_a_name_is_refused(seeded: None, section: str, sign: str) -> None:
    model, known = ROWS[section]
    rows = current_document()[section]
    for name in (f"a{sign}b", f"ab{sign}"):
        with pytest.raises(ConfigurationError) as refused:
            apply({section: {**rows, name: rows[known]}}, "tests", "")
        sentence = " ".join(refused.value.problems)
        assert "control characters" in sentence or "Use lowercase letters" in sentence
        assert not model.objects.filter(name=name).exists()


@pytest.mark.parametrize("section", ["languagemodel", "router", "domain"])
def test_the_admin_refuses_it(operator: Client, submit: Submit, section: str) -> None:
    page = f"/admin/experiments/{section}/add/"
    response = submit(operator, page, name="a\x1fb", provider="openai", label="A", kind="local_mf")
    assert "control characters" in errors_of(response) or "Use lowercase letters" in errors_of(
        response
    )


@pytest.mark.parametrize("sign", ["\n", "\r", "\x02", "\x1f"])
@pytest.mark.parametrize("section", ROWS)
def test_the_database_refuses_what_parts_rows(seeded: None, section: str, sign: str) -> None:
    row = ROWS[section][0].objects.get(name=ROWS[section][1])
    row.pk, row.name = None, f"a{sign}b"
    with pytest.raises(IntegrityError, match="on_one_line"), transaction.atomic():
        row.save()


def test_a_plain_name_is_taken(seeded: None) -> None:
    rows = current_document()["models"]
    apply({"models": {**rows, "openai/größer 5 %": rows["openai/gpt-4.1"]}}, "tests", "")
    assert LanguageModel.objects.filter(name="openai/größer 5 %").exists()
