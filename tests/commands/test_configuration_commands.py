"""`export_config`, `apply_config`, `seed` and `route` from the command line."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from experiments.models import Decision, Domain, Flag, PolicyRevision
from experiments.services.revisions import revision

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
    assert "Nothing differs" in run("apply_config", str(tmp_path / "all.yaml"))
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
    with pytest.raises(CommandError, match=r"There is no domain 'cooking'\. There are: creative"):
        run("route", "x", domain="cooking")
