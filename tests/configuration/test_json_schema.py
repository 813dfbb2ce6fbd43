"""The JSON schema and the reference page of the configuration file."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.core.management import call_command

from experiments.configuration.document import current_document
from experiments.configuration.json_schema import file_schema, reference_page
from tests.experiment_rows import draft

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration-file.md"
AGAIN = "Run `manage.py config_schema --markdown --output docs/configuration-file.md`."


def problems(document: Any) -> list[str]:
    output = StringIO()
    call_command("config_schema", stdout=output)
    checker = jsonschema.Draft202012Validator(json.loads(output.getvalue()))
    return [error.message for error in checker.iter_errors(document)]


def test_what_is_exported_is_valid(seeded: None) -> None:
    draft()
    document = json.loads(json.dumps(current_document()))
    assert document["experiments"]
    assert problems(document) == []


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"colour": "red"}, "'colour' was unexpected"),
        ({"label": 5}, "5 is not of type 'string'"),
        ({"prompt_storage": "all"}, "'all' is not one of ['none', 'features', 'text']"),
        ({"policy": {"threshold": "high"}}, "'high' is not of type 'number', 'null'"),
    ],
)
def test_what_is_wrong_is_found(values: Any, problem: str) -> None:
    [found] = problems({"domains": {"medical": values}})
    assert problem in found


def test_every_key_of_the_file_says_what_it_means() -> None:
    shapes = file_schema()["$defs"]
    lacking = [
        f"{shape}.{key}"
        for shape, schema in shapes.items()
        for key, described in schema["properties"].items()
        if "description" not in described and "$ref" not in described and shape != "StepDocument"
    ]
    assert lacking == []


def test_the_reference_page_is_up_to_date() -> None:
    assert PAGE.read_text() == f"{reference_page().rstrip()}\n", AGAIN
