"""Settings, commands and endpoints that are not in the documentation fail here."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands
from django.urls import URLPattern, URLResolver, get_resolver

from experiments.gateway.errors import AttemptStatus

ROOT = Path(__file__).resolve().parent.parent
DOCS = {path: path.read_text() for path in (ROOT / "docs").rglob("*.md")}
EVERYTHING = "\n".join([*DOCS.values(), (ROOT / "README.md").read_text()])

SETTINGS = sorted(
    set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (ROOT / "routing_site/settings.py").read_text()))
)
COMMANDS = sorted(name for name, app in get_commands().items() if app == "experiments")


def endpoints() -> list[str]:
    found: list[str] = []

    def walk(resolver: URLResolver, prefix: str) -> None:
        for entry in resolver.url_patterns:
            path = prefix + str(entry.pattern)
            if isinstance(entry, URLResolver):
                walk(entry, path)
            elif isinstance(entry, URLPattern) and path.startswith("api/v1/"):
                found.append(re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path))

    walk(get_resolver(), "")
    return sorted(found)


def test_there_is_something_to_look_for() -> None:
    assert len(SETTINGS) > 8
    assert len(COMMANDS) > 8
    assert len(endpoints()) > 8


def test_decision_records_have_numbers_of_their_own() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [path.name[:4] for path in records]
    assert sorted(set(numbers)) == numbers


@pytest.mark.parametrize("name", SETTINGS)
def test_setting_is_in_the_docs(name: str) -> None:
    assert f"`{name}`" in DOCS[ROOT / "docs/settings.md"]


@pytest.mark.parametrize("name", SETTINGS)
def test_setting_is_in_the_example_environment(name: str) -> None:
    assert re.search(rf"^{name}=", (ROOT / ".env.example").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_in_the_docs(name: str) -> None:
    assert f"`{name}" in DOCS[ROOT / "docs/commands.md"]


@pytest.mark.parametrize("path", endpoints())
def test_endpoint_is_in_the_docs(path: str) -> None:
    pattern = re.escape("/" + path).replace(r"\{", "{").replace(r"\}", "}")
    pattern = re.sub(r"\{\w+\}", r"\\{\\w+\\}", pattern)
    assert re.search(pattern, EVERYTHING), f"/{path} is in no page of docs/"


@pytest.mark.parametrize("path", sorted(DOCS), ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", DOCS[path]):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_error_codes_in_troubleshooting_are_those_that_are_answered() -> None:
    rows = re.findall(
        r"^\| (\d{3}) ([^|]*)\|", DOCS[ROOT / "docs/troubleshooting.md"], re.MULTILINE
    )
    named = {code for _, symptom in rows for code in re.findall(r"`(\w+)`", symptom)}
    folders = (ROOT / "experiments", ROOT / "routing_site")
    source = "\n".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    assert len(named) > 8
    composed = {f"upstream_{status}" for status in AttemptStatus}
    assert {code for code in named - composed if f'"{code}"' not in source} == set()
