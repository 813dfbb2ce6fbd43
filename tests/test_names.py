"""Each class of the application has a name of its own, so that a name finds one definition."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

APP = Path(__file__).resolve().parent.parent / "experiments"
# Names that Django prescribes.
PRESCRIBED = {"Command", "Media", "Meta"}


def classes(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and place of every public class."""
    for path in sorted(folder.rglob("*.py")):
        if "migrations" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    yield node.name, f"{path.relative_to(folder)}:{node.lineno}"


def repeated(folder: Path) -> dict[str, list[str]]:
    places: dict[str, list[str]] = defaultdict(list)
    for name, place in classes(folder):
        places[name].append(place)
    return {
        name: found for name, found in places.items() if len(found) > 1 and name not in PRESCRIBED
    }


def test_each_class_name_is_defined_once() -> None:
    assert repeated(APP) == {}


def test_a_second_definition_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("class Step: ...\nclass Command: ...\nclass _Row: ...\n")
    (tmp_path / "b.py").write_text(
        "class Outer:\n    class Step: ...\nclass Command: ...\nclass _Row: ...\n"
    )

    assert repeated(tmp_path) == {"Step": ["a.py:1", "b.py:2"]}
