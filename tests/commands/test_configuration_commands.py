"""`export_config`, `apply_config`, `seed` and `route` from the command line."""

import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from experiments.configuration.apply import ConfigurationError, apply, roll_back
from experiments.configuration.document import current_document
from experiments.configuration.revisions import revision
from experiments.models import Decision, Domain, Flag, LanguageModel, PolicyRevision

pytestmark = pytest.mark.usefixtures("seeded")


def run(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def exported(path: Path) -> Any:
    run("export_config", output=path)
    return yaml.safe_load(path.read_text())


def test_what_was_exported_changes_nothing_when_applied(tmp_path: Path) -> None:
    exported(tmp_path / "all.yaml")
    revisions = PolicyRevision.objects.count()
    assert "No changes" in run("apply_config", str(tmp_path / "all.yaml"))
    assert PolicyRevision.objects.count() == revisions


def test_a_changed_percentage_is_one_revision(tmp_path: Path) -> None:
    document = exported(tmp_path / "all.yaml")
    document["flags"]["routellm_medical_domain"]["percentage"] = "5.00"
    (tmp_path / "new.yaml").write_text(yaml.safe_dump(document))
    revisions = PolicyRevision.objects.count()

    assert "Would change 1" in run("apply_config", str(tmp_path / "new.yaml"), dry_run=True)
    assert PolicyRevision.objects.count() == revisions

    run("apply_config", str(tmp_path / "new.yaml"), note="start small")
    assert PolicyRevision.objects.count() == revisions + 1
    newest = PolicyRevision.objects.first()
    assert newest is not None
    assert newest.note == "start small"
    assert Flag.objects.get(key="routellm_medical_domain").percentage == 5


def test_unknown_keys_are_refused_by_name(tmp_path: Path) -> None:
    document = exported(tmp_path / "all.yaml")
    document["domains"]["medical"]["colour"] = "red"
    (tmp_path / "new.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(CommandError, match=r"domains\.medical: unknown key 'colour'"):
        run("apply_config", str(tmp_path / "new.yaml"))


def every_value(document: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Path, container and key of each value, lists of texts taken as one."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        where = f"{path}[{key}]" if isinstance(document, list) else f"{path}.{key}".lstrip(".")
        yield where, document, key
        if isinstance(value, dict) or (isinstance(value, list) and isinstance(value[:1], dict)):
            yield from every_value(value, where)


def test_a_value_of_another_kind_is_refused_by_its_path() -> None:
    sections = current_document()
    settings = {"settings": sections.pop("settings")}
    documents = [{name: dict([*rows.items()][:1])} for name, rows in sections.items() if rows]
    refused = 0
    for document in (settings, *documents):
        for where, container, key in list(every_value(document)):
            kept, container[key] = container[key], object()
            with pytest.raises(ConfigurationError) as refusal:
                apply(document, "tests", "")
            container[key] = kept
            assert f"{where}: must be " in "\n".join(refusal.value.problems)
            refused += 1
    assert refused > 70


ALIASES = "\n".join(
    [
        "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]",
        *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)),
    ]
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("models: " + "[" * 5000 + "]" * 5000, "is nested too deeply"),
        ("models: " + "{a: " * 60 + "1" + "}" * 60, "nested deeper than 50 levels"),
        ("models: &m {x: *m}", "nested deeper than 50 levels, or contains itself"),
        (ALIASES, "more than 1,000,000 values"),
        ("models: {a: 2026-06-31}", "is not YAML: day is out of range"),
        (b"models: \xff", "is not YAML"),
        ("models: [", "is not YAML"),
    ],
    ids=["brackets", "mappings", "itself", "aliases", "day", "utf-8", "open"],
)
def test_a_file_that_cannot_be_read_ends_in_an_error(
    text: str | bytes, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "new.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CommandError, match=problem):
        run("apply_config", str(file), dry_run=True)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"domains": {"medical": {"policy": {"threshold": 2}}}}, "domains.medical.threshold: "),
        (
            {"domains": {"medical": {"policy": {"router": "gut"}}}},
            "domains.medical.policy.router: ",
        ),
        ({"domains": {"medical": {"patterns": ["("]}}}, "Domain 'medical': The pattern '('"),
        ({"domains": {"medical": {"min_confidence": float("nan")}}}, "min_confidence: must be a "),
        ({"flags": {"routellm_enabled": {"percentage": "half"}}}, "percentage: must be a number"),
        (
            {"flags": {"routellm_enabled": {"percentage": 101}}},
            "flags.routellm_enabled.percentage: ",
        ),
        ({"flags": {"routellm_cost_tracking": {"percentage": 50}}}, "Enter 0 or 100"),
        ({"settings": {"holdout_percentage": None}}, "settings.holdout_percentage: must be"),
        ({"settings": {"strong_model": "openai/none"}}, "settings.strong_model: unknown model"),
        ({"domains": []}, "domains: must be a mapping"),
        ([], "it must be a mapping"),
    ],
)
def test_a_dry_run_refuses_what_applying_would_and_changes_nothing(
    changes: Any, problem: str, tmp_path: Path
) -> None:
    if isinstance(changes, dict) and isinstance(changes.get("domains"), dict):
        changes = {"domains": {**current_document()["domains"], **changes["domains"]}}
    (tmp_path / "new.yaml").write_text(yaml.safe_dump(changes))
    revisions, before = PolicyRevision.objects.count(), current_document()
    for dry_run in (True, False):
        with pytest.raises(CommandError, match=re.escape(problem)):
            run("apply_config", str(tmp_path / "new.yaml"), dry_run=dry_run)
    assert PolicyRevision.objects.count() == revisions
    assert current_document() == before


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text("{[")
    with pytest.raises(CommandError, match="is not YAML"):
        run("apply_config", str(tmp_path / "new.yaml"))


def test_seeding_again_never_overwrites_an_edit() -> None:
    with revision("operator"):
        Domain.objects.filter(name="legal").update(label="Law")
    assert "Nothing to seed" in run("seed")
    assert Domain.objects.get(name="legal").label == "Law"


def test_route_explains_and_stores_only_when_asked() -> None:
    assert "Sent to " in run("route", "How do I reverse a linked list in Rust?")
    assert not Decision.objects.exists()
    run("route", "How do I reverse a linked list in Rust?", store=True)
    assert Decision.objects.count() == 1


def test_route_refuses_an_unknown_domain_naming_those_there_are() -> None:
    with pytest.raises(CommandError, match=r"Unknown domain 'cooking'\. Known domains: creative"):
        run("route", "x", domain="cooking")


def test_endpoints_travel_in_a_file(tmp_path: Path) -> None:
    document = exported(tmp_path / "all.yaml")
    document["endpoints"]["our-vllm"] = {
        **document["endpoints"]["openai"],
        "base_url": "http://127.0.0.1:8001/v1",
        "api_key_env": "",
        "dropped_parameters": ["seed"],
    }
    document["models"]["openai/gpt-4.1"]["endpoint"] = "our-vllm"
    (tmp_path / "new.yaml").write_text(yaml.safe_dump(document))
    run("apply_config", str(tmp_path / "new.yaml"))
    assert exported(tmp_path / "again.yaml")["endpoints"] == document["endpoints"]
    model = LanguageModel.objects.select_related("endpoint").get(name="openai/gpt-4.1")
    assert model.endpoint is not None
    assert model.endpoint.as_value().dropped_parameters == ("seed",)
    newest = PolicyRevision.objects.first()
    assert newest is not None

    roll_back(newest.number - 1, "tests")
    assert "our-vllm" not in exported(tmp_path / "back.yaml")["endpoints"]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"api_key_env": "sk-0123456789"}, "Use uppercase letters"),
        ({"api_key": "sk-0123456789"}, "unknown key 'api_key'"),
        ({"base_url": ""}, "needs the base URL"),
    ],
)
def test_key_in_a_file_is_refused(tmp_path: Path, values: dict[str, str], problem: str) -> None:
    document = exported(tmp_path / "all.yaml")
    document["endpoints"]["openai"] |= values
    (tmp_path / "new.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(CommandError, match=problem) as caught:
        run("apply_config", str(tmp_path / "new.yaml"))
    assert "sk-0123456789" not in str(caught.value)


def test_endpoint_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    document = exported(tmp_path / "all.yaml")
    document["models"]["openai/gpt-4.1"]["endpoint"] = "nowhere"
    (tmp_path / "new.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(CommandError, match="unknown provider endpoint 'nowhere'"):
        run("apply_config", str(tmp_path / "new.yaml"))
