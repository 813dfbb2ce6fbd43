"""What no database stores is refused by the admin and the pages, by the name of its field."""

from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from experiments.models import Domain, PolicyRevision, Router
from tests.admin.conftest import Submit, errors_of

ADMIN = "/admin/experiments"


@pytest.mark.parametrize("section", ["domain", "languagemodel", "apikey", "router", "experiment"])
def test_posted_field(operator: Client, section: str) -> None:
    response = operator.post(f"{ADMIN}/{section}/add/", {"name": "a\x00b", "note": "n"})
    assert response.status_code == 400
    assert response.content.decode() == "'name' holds a NUL character (U+0000). Remove it."


def test_posted_note(operator: Client) -> None:
    response = operator.post(f"{ADMIN}/domain/add/", {"note": "\x00"})
    assert (response.status_code, b"'note' holds" in response.content) == (400, True)


@pytest.mark.parametrize(
    ("escape", "what"),
    [("\\u0000", "a NUL character"), ("\\ud800", "half a surrogate"), ("NaN", "not a number")],
)
def test_document_that_holds_it_in_escapes(
    operator: Client, submit: Submit, escape: str, what: str
) -> None:
    row, revisions = Domain.objects.get(name="technical"), PolicyRevision.objects.count()
    value = escape if escape == "NaN" else f'"{escape}"'
    step = f'[{{"model": "m", "router": {value}, "threshold": 0.4}}]'
    response = submit(operator, f"{ADMIN}/domain/{row.pk}/change/", between=step)
    assert what in errors_of(response)
    assert "[0].router holds" in errors_of(response)
    assert PolicyRevision.objects.count() == revisions


def test_arguments_of_a_router(operator: Client, submit: Submit) -> None:
    row = Router.objects.get(name="local")
    page = f"{ADMIN}/router/{row.pk}/change/"
    response = submit(operator, page, arguments='{"a": ["\\u0000"]}')
    assert "a[0] holds a NUL character" in errors_of(response)


@pytest.mark.parametrize(
    "address",
    [
        "domain/?q=%00",
        "decision/?domain=%00",
        "decision/?q=%00",
        "decision/?%00=1",
        "apikey/?o=%00",
    ],
)
def test_address_of_a_list(operator: Client, address: str) -> None:
    response = operator.get(f"{ADMIN}/{address}")
    assert response.status_code == 400
    assert b"holds a NUL character (U+0000)" in response.content


@pytest.mark.parametrize("path", [f"{ADMIN}/domain/a%00/change/", "/domains/a%00/", "/%00"])
def test_part_of_a_path(operator: Client, path: str) -> None:
    response = operator.get(path)
    assert response.status_code == 400
    assert b"'path' holds a NUL character (U+0000)" in response.content


def _pages(patterns: list[Any], prefix: str = "/") -> list[str]:
    found = []
    for one in patterns:
        route = prefix + str(one.pattern)
        if isinstance(one, URLResolver):
            found += _pages(one.url_patterns, route)
        elif isinstance(one, URLPattern) and "<" not in route:
            found.append(route)
    return found


NAMES = [
    *("range", "since", "until", "domain", "model", "router", "baseline", "method", "reason"),
    *("experiment", "arm", "set", "source", "name", "q", "query", "status", "threshold", "before"),
    *("after", "key", "revision", "fallback", "wanted", "delta", "aim", "most", "page", "format"),
]


def test_no_page_fails_for_a_parameter(operator: Client) -> None:
    """Pages leave such a value out and say so, or refuse it: none asks the database for it."""
    operator.raise_request_exception = False
    pages = [
        page
        for page in _pages(get_resolver().url_patterns)
        if not page.startswith(("/admin", "/api", "/healthz", "/readyz"))
    ]
    assert len(pages) > 10
    failed = [
        (page, name)
        for page in pages
        for name in NAMES
        if operator.get(page, {name: "\x00"}).status_code >= 500
    ]
    assert failed == []
