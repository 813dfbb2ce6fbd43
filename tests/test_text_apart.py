"""Text apart from numbers: `core` and `analysis` return codes and figures, `formatting` shows them.

Sentences are in the `text` module of the package that shows them.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "experiments"

# Three words in a row, the last two in lowercase: English, not a name or a pattern.
ENGLISH = re.compile(r"[A-Za-z}][\w}'-]*[,:;]? [a-z]{2,}[,:;]? [a-z]{2,}")

# Modules of `core` and `analysis` with English, and why.
SENTENCES = {
    "core/bucketing.py": "a refusal of weights, an error message",
    "core/choice.py": "why a policy is broken: stored as the detail of a fallback",
    "core/detection.py": "the message of InvalidPatternError",
    "core/domains.py": "the seeded domains' keywords and patterns",
    "core/judging.py": "the prompt of the judge, and the usual rubric",
    "core/parameters.py": "changes of a call, listed in a response header since the first version",
    "core/selection.py": "the message of NoEligibleModelsError",
    "core/text.py": "refusals of text that cannot be stored, error messages",
    "analysis/routing/calibration.py": "the message of LevelError",
}
# Modules outside `formatting` that write dollars or percentages, and why.
AMOUNTS = {"limits/quotas.py": "a budget exactly as the REST API writes it, in nano-dollars"}


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Every text that is no docstring and in no `raise`; values of f-strings are `{}`."""
    tree = ast.parse(path.read_text())
    skipped = set()
    for node in ast.walk(tree):
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_docstring or isinstance(node, ast.Raise):
            skipped |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
            skipped |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(inner) for inner in ast.walk(node)}
            yield node.lineno, "".join(map(_part, node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def _part(value: ast.expr) -> str:
    return str(value.value) if isinstance(value, ast.Constant) else "{}"


def name_of(path: Path) -> str:
    return str(path.relative_to(APP))


def modules(*packages: str) -> list[Path]:
    folders = [APP / package for package in packages] or [APP]
    found = (path for folder in folders for path in sorted(folder.rglob("*.py")))
    return [path for path in found if "migrations" not in path.parts]


def test_the_search_finds_english_and_no_codes() -> None:
    assert ENGLISH.search("Ship it now. It costs {} less")
    assert ENGLISH.search("{} units are missing")
    for code in ("too_few_units", "%Y-%m-%d", "nothing found", r"\b(?:a|b) c\b", "{} of {}"):
        assert not ENGLISH.search(code), code


@pytest.mark.parametrize("path", modules("core", "analysis"), ids=name_of)
def test_core_and_analysis_hold_no_sentences(path: Path) -> None:
    if name_of(path) not in SENTENCES:
        assert [(line, text) for line, text in texts(path) if ENGLISH.search(text)] == []


@pytest.mark.parametrize("name", SENTENCES)
def test_what_is_permitted_is_still_there(name: str) -> None:
    assert any(ENGLISH.search(text) for _, text in texts(APP / name))


def amounts(path: Path) -> list[tuple[int, str]]:
    """Dollars and percentages that the module writes itself."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.JoinedStr):
            continue
        for before, value, after in zip(
            [None, *node.values], node.values, [*node.values[1:], None], strict=False
        ):
            if not isinstance(value, ast.FormattedValue):
                continue
            spec = ast.unparse(value.format_spec) if value.format_spec else ""
            sign = isinstance(before, ast.Constant) and str(before.value).endswith("$")
            percent = isinstance(after, ast.Constant) and re.match(r" ?%", str(after.value))
            if sign or (spec and percent) or spec.endswith("%'"):
                found.append((node.lineno, ast.unparse(value)))
    return found


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_one_module_formats_dollars_and_percentages(path: Path) -> None:
    if name_of(path) not in {*AMOUNTS, "formatting.py"}:
        assert amounts(path) == []


@pytest.mark.parametrize("name", AMOUNTS)
def test_what_may_format_still_does(name: str) -> None:
    assert amounts(APP / name) != []
