"""The documentation: links lead somewhere, the index is complete, named files exist."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
INDEX = ROOT / "docs" / "index.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob(".github/**/*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
# Files that a page names in backticks. The change log also names what is gone.
NAMED = re.compile(
    r"`((?:experiments|routing_site|tests|benchmarks|scripts|examples|docs)/[\w./-]*)`"
)
NAMING = [page for page in PAGES if page.name != "CHANGELOG.md"]


def text_of(page: Path) -> str:
    """Without code blocks, in which brackets are no links."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in plain}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    for target, anchor in LINK.findall(text_of(page)):
        found = page.parent / target if target else page
        assert found.exists(), f"{page.name} links to {target}"
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), f"{page.name} links to {target}#{anchor}"


def test_every_page_is_in_the_index_once() -> None:
    linked = Counter(
        (INDEX.parent / target).resolve() for target, _ in LINK.findall(text_of(INDEX))
    )
    pages = {page for page in (ROOT / "docs").rglob("*.md") if page != INDEX}
    assert pages - linked.keys() == set()
    assert [page for page, times in linked.items() if times > 1] == []


@pytest.mark.parametrize("page", NAMING, ids=name_of)
def test_named_files_exist(page: Path) -> None:
    assert [path for path in NAMED.findall(page.read_text()) if not (ROOT / path).exists()] == []


def test_the_hook_runs_the_pinned_ruff() -> None:
    pinned = re.search(r"^ruff==(\S+)$", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
    assert pinned
    assert f"rev: v{pinned[1]}\n" in (ROOT / ".pre-commit-config.yaml").read_text()
