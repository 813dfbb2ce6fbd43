"""The pages of model aliases, the page of a key, and aliases in configuration files."""

from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from experiments.configuration.apply import ConfigurationError, apply
from experiments.configuration.document import current_document
from experiments.configuration.policy_store import store
from experiments.core.aliases import PolicyAlias as Alias
from experiments.core.aliases import alias_of, by_precedence
from experiments.models import APIKey, ModelAlias, PolicyRevision, Scope
from tests.admin.conftest import Submit, errors_of

ADD = "/admin/experiments/modelalias/add/"
VALUES = {"name": "gpt", "pattern": "gpt-4o*", "target": "router-auto"}


def test_an_alias_is_added_in_one_revision(operator: Client, submit: Submit) -> None:
    APIKey.issue("shop", [Scope.ROUTE])
    response = submit(operator, ADD, **VALUES, keys="shop")
    assert response.status_code == 302, errors_of(response)
    newest = PolicyRevision.objects.first()
    assert newest is not None
    assert newest.document["aliases"] == {
        "gpt": {"pattern": "gpt-4o*", "target": "router-auto", "keys": ["shop"]}
    }
    store.invalidate()
    assert store.current().aliases == (
        Alias("gpt", "gpt-4o*", "router-auto", frozenset(("shop",))),
    )


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"target": "gpt-99"}, "Unknown target 'gpt-99'"),
        ({"target": "router/nothing"}, "Unknown target 'router/nothing'"),
        ({"pattern": "router-auto"}, "cannot be aliases"),
        ({"pattern": "a b"}, "without spaces"),
        ({"keys": "nobodys"}, "Unknown API key 'nobodys'"),
    ],
)
def test_what_is_wrong_with_an_alias_is_named(
    operator: Client, submit: Submit, changed: dict[str, str], problem: str
) -> None:
    response = submit(operator, ADD, **{**VALUES, **changed})
    assert problem in unescape(str(errors_of(response)))
    assert not ModelAlias.objects.exists()


@pytest.mark.parametrize("target", ["router-mf-0.5", "router/medical", "openai/gpt-4.1"])
def test_targets_may_be_routers_domains_and_models(
    operator: Client, submit: Submit, target: str
) -> None:
    response = submit(operator, ADD, **{**VALUES, "target": target})
    assert response.status_code == 302, errors_of(response)


def test_the_page_of_a_key_shows_its_aliases(admin_client: Client) -> None:
    key = APIKey.issue("shop", [Scope.ROUTE]).key
    for name, keys in (("mine", ["shop"]), ("other", ["else"]), ("everybody", [])):
        ModelAlias.objects.create(name=name, pattern=f"{name}-*", target="router-auto", keys=keys)
    page = admin_client.get(reverse("admin:experiments_apikey_change", args=[key.pk]))
    text = page.content.decode()
    assert "mine-* → router-auto" in text
    assert "everybody-* → router-auto" in text
    assert "other-*" not in text


@pytest.mark.usefixtures("seeded")
def test_aliases_travel_in_files() -> None:
    alias = {"pattern": "gpt-4o", "target": "router-auto", "keys": []}
    apply({"aliases": {"a": alias}}, "tests", "")
    assert current_document()["aliases"] == {"a": alias}
    with pytest.raises(ConfigurationError, match="Unknown target"):
        apply({"aliases": {"a": {**alias, "target": "gpt-99"}}}, "tests", "")
    apply({"aliases": {}}, "tests", "")
    assert not ModelAlias.objects.exists()


def test_the_most_special_alias_counts() -> None:
    aliases = by_precedence(
        [
            Alias("d", "*", "for-all"),
            Alias("b", "gpt-*", "pattern"),
            Alias("c", "gpt-4*", "longer"),
            Alias("a", "gpt-4o", "exact"),
            Alias("e", "*", "own", frozenset(("shop",))),
        ]
    )

    def target(name: str, key: str = "") -> str:
        found = alias_of(aliases, name, key)
        return found.target if found else ""

    assert [target(n) for n in ("gpt-4o", "gpt-4.1", "gpt-5", "claude")] == [
        "exact",
        "longer",
        "pattern",
        "for-all",
    ]
    assert target("gpt-4o", "shop") == "own"
    assert alias_of(aliases[:1], "gpt-4o", "else") is None
