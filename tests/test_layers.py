"""Which package may import which: floors, a core without Django, RouteLLM in one package."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import import_graph
from tests.import_graph import FLOORS, between_packages, floor_of, package_of

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("experiments", "routing_site", "benchmarks", "manage.py")
HEAVY = ("django", "rest_framework", "plotly", "torch")


def python_files() -> Iterator[Path]:
    for name in PRODUCT:
        path = ROOT / name
        yield from path.rglob("*.py") if path.is_dir() else [path]


def imported_packages(file: Path) -> set[str]:
    """First parts of every absolute import, at the top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def modules_of(package: str) -> list[str]:
    folder = ROOT / "experiments" / package
    paths = (file.relative_to(ROOT).with_suffix("") for file in folder.rglob("*.py"))
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


def loaded_after_importing(modules: list[str]) -> set[str]:
    """Top-level packages in a fresh process that imported these modules."""
    code = f"""
import importlib, sys
for module in {modules!r}:
    importlib.import_module(module)
print(*{{name.partition(".")[0] for name in sys.modules}})
"""
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    return set(found.stdout.split())


def test_only_the_routers_package_imports_routellm() -> None:
    routers = ROOT / "experiments" / "routers"
    importing = {file for file in python_files() if "routellm" in imported_packages(file)}
    outside = {str(file.relative_to(ROOT)) for file in importing if routers not in file.parents}
    assert outside == set()
    assert importing, "experiments/routers no longer imports routellm: has this test gone blind?"


@pytest.mark.parametrize("package", ["core", "analysis"])
def test_what_decides_and_judges_loads_nothing_heavy(package: str) -> None:
    modules = modules_of(package)
    assert modules
    assert loaded_after_importing(modules) & {*HEAVY} == set()


def test_scoring_locally_loads_neither_routellm_nor_torch() -> None:
    """A web process is ready at once: the pool loads without RouteLLM."""
    modules = ["experiments.routers.pool", "experiments.routers.controller"]
    assert loaded_after_importing(modules) & {"routellm", "torch", "litellm", "django"} == set()


def test_packages_import_from_lower_floors_only() -> None:
    wrong = [
        str(found)
        for found in between_packages()
        if (floor_of(package_of(found.imported)) or 0)
        >= (floor_of(package_of(found.importer)) or 0)
    ]
    assert wrong == []


def test_every_package_has_one_floor() -> None:
    packages = {file.parent.name for file in import_graph.APP.glob("*/__init__.py")}
    floors = [name for floor in FLOORS for name in floor]
    assert sorted(floors) == sorted(packages - {"migrations"})


def test_late_imports_and_names_in_strings_count() -> None:
    found = {(one.importer, one.imported) for one in import_graph.imports()}
    assert {
        ("experiments.routers.routellm_loader", "experiments.routers.routellm_adapter"),
        ("experiments.apps", "experiments.gateway.shadow_worker"),
    } <= found


def test_the_picture_of_the_packages_is_true() -> None:
    """Draw it with `python -m tests.import_graph`."""
    assert import_graph.PICTURE.read_text(encoding="utf-8") == import_graph.picture()
