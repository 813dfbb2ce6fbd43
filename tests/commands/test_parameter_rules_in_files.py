"""Parameter rules in configuration files and revisions, and in databases from before the rules."""

import pytest

from experiments.configuration.apply import ConfigurationError, apply, roll_back
from experiments.configuration.document import content_hash, current_document
from experiments.configuration.policy_store import load_policy
from experiments.configuration.revisions import revision
from experiments.configuration.seeding import seed
from experiments.models import ParameterRule, PolicyRevision, ProviderEndpoint

pytestmark = pytest.mark.usefixtures("seeded")
RULE = {"parameter": "top_k", "action": "clamp", "maximum": 40, "model_patterns": ["gpt-4*"]}


def newest() -> int:
    row = PolicyRevision.objects.order_by("-number").first()
    assert row is not None
    return row.number


def test_rules_are_exported_and_applied() -> None:
    document = current_document()
    assert document["parameter_rules"]["claude-seed"]["action"] == "drop"
    rules = {**document["parameter_rules"], "new": RULE}
    apply({"parameter_rules": rules}, "tests", "")
    assert ParameterRule.objects.get(name="new").maximum == 40
    assert current_document()["parameter_rules"]["new"]["model_patterns"] == ["gpt-4*"]


def test_rules_that_a_file_leaves_out_are_deleted_and_come_back_with_the_revision() -> None:
    number = newest()
    apply({"parameter_rules": {"new": RULE}}, "tests", "")
    assert list(ParameterRule.objects.values_list("name", flat=True)) == ["new"]
    roll_back(number, "tests")
    assert ParameterRule.objects.filter(name="claude-seed").exists()
    assert not ParameterRule.objects.filter(name="new").exists()


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"parametr": "seed"}, "unknown key 'parametr'"),
        ({"only_values": [1]}, "must be a list of texts"),
        ({"maximum": "many"}, "must be a number"),
        ({"action": "explode"}, "explode"),
        ({"action": "rename"}, "Give the replacement"),
    ],
)
def test_what_is_wrong_with_a_rule_is_named(values: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        apply({"parameter_rules": {"new": {**RULE, **values}}}, "tests", "")


def test_installation_from_before_the_rules_gets_the_shipped_ones_once() -> None:
    ParameterRule.objects.all().delete()
    for row in PolicyRevision.objects.all():
        document = {key: row.document[key] for key in row.document if key != "parameter_rules"}
        old = {"document": document, "content_hash": content_hash(document)}
        PolicyRevision.objects.filter(pk=row.pk).update(**old)
    before = newest()
    assert load_policy(before).upstreams["openai/gpt-4.1"].rules == ()

    seed()
    assert newest() == before + 1
    rules = load_policy(newest()).upstreams["openai/gpt-4.1"].rules
    assert "openai-stop" in [rule.name for rule in rules]

    with revision("tests", "No rules"):
        ParameterRule.objects.all().delete()
    seed()
    assert ParameterRule.objects.count() == 0


def test_parameters_that_an_endpoint_drops_are_rules_of_its_models() -> None:
    with revision("tests", "An endpoint's"):
        row = ProviderEndpoint.objects.get(name="openai")
        row.dropped_parameters = ["user"]
        row.save()
    rules = load_policy(newest()).upstreams["openai/gpt-4.1"].rules
    assert ("endpoint", "user", "drop") in [(r.name, r.parameter, r.action) for r in rules]
