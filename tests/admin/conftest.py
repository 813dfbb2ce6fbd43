"""Operators of each role, logged in, and forms posted as a browser would."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.http import HttpResponse
from django.test import Client

from experiments.configuration.roles import ADMINISTRATOR, OPERATOR, VIEWER

Submit = Callable[..., Any]


def _client(name: str, role: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def viewer(seeded: None) -> Client:
    return _client("vera", VIEWER)


@pytest.fixture
def operator(seeded: None) -> Client:
    return _client("olga", OPERATOR)


@pytest.fixture
def colleague(seeded: None) -> Client:
    return _client("carl", OPERATOR)


@pytest.fixture
def administrator(seeded: None) -> Client:
    return _client("ada", ADMINISTRATOR)


def fields_of(response: HttpResponse) -> dict[str, Any]:
    """What a browser would send back from the page's form if no field were changed."""
    context: Any = response.context  # type: ignore[attr-defined]
    save: dict[str, Any] = {}
    if (listing := context.get("cl")) is not None:
        forms = [listing.formset.management_form, *listing.formset.forms]
        save = {"_save": "Save"}
    else:
        forms = [context["adminform"].form]
        for inline in context["inline_admin_formsets"]:
            forms += [inline.formset.management_form, *inline.formset.forms]
    return save | {name: value for form in forms for name, value in _entries(form)}


def _entries(form: Any) -> list[tuple[str, Any]]:
    entries: list[tuple[str, Any]] = []
    for bound in form:
        if bound.field.disabled:
            continue
        value = bound.value()
        if value is not None and value is not False:
            entries.append((bound.html_name, value))
        if bound.field.show_hidden_initial:
            entries.append((bound.html_initial_name, "" if value is None else str(value)))
    return entries


@pytest.fixture
def submit() -> Submit:
    """Opens a page, changes some of its fields and sends it. Lists of values are several boxes."""

    def submit(client: Client, url: str, **changes: Any) -> Any:
        fields = {**fields_of(client.get(url)), **changes}  # type: ignore[arg-type]
        kept = {name: value for name, value in fields.items() if value is not None}
        return client.post(url, kept)

    return submit


def errors_of(response: Any) -> str:
    return " ".join(map(str, response.context["errors"]))
