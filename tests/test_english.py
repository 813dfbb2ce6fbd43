"""`make lint` finds phrases and names that the project no longer uses."""

import pytest

from scripts.check_english import ALLOWED, NAMES, check, texts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Nobody is in it.", ["Nobody"]),
        ("what a coin would save, beside the oracle", ["coin", "beside"]),
        ("part.coin_saved", ["coin"]),
        ("Every domain stands on a detector.", ["stands on"]),
        ("A coincidence on the seaside, retold.", []),
        ("A random router, next to the oracle.", []),
    ],
)
def test_phrases_are_found_in_text_and_identifiers(text: str, found: list[str]) -> None:
    assert [one.text for one in check("docs/page.md", text)] == found


def test_a_finding_names_file_line_and_what_to_write() -> None:
    (found,) = check("docs/page.md", "One line.\nA coin.")
    assert str(found) == "docs/page.md:2: “coin”: random router, random baseline"


def test_phrases_are_found_in_the_names_of_files() -> None:
    assert [one.line for one in check("tests/test_toss_a_coin.py", "")] == [0]


def test_old_names_are_found_in_code_but_not_in_sentences() -> None:
    code = "# Who may call\ndesk = Desk()\n"
    assert [(one.line, one.instead) for one in check("a.py", code)] == [(2, NAMES["Desk"])]
    assert not list(check("docs/page.md", "Exchange rates. Who may call."))


def test_what_is_allowed_is_allowed_only_there() -> None:
    assert not list(check("docs/glossary.md", "a coin"))
    assert list(check("docs/glossary.md", "nobody"))


def test_each_exception_has_a_reason() -> None:
    assert all(one.reason for one in ALLOWED)


def test_the_project_is_clean() -> None:
    found = [one for path, text in texts() for one in check(path, text)]
    assert not found, "\n".join(map(str, found))
