"""The imports between the packages of `experiments`, and the floors they may follow.

Imports inside functions, under TYPE_CHECKING and in strings that name a module count too.
`python -m tests.import_graph` draws `docs/images/packages.svg`.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "experiments"
NAMED_MODULE = re.compile(r"experiments(\.\w+)+")

# From the ground up. A package imports from lower floors only.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("core", "analysis"),
    ("storage", "routers", "verifiers", "shapes"),
    ("models",),
    ("background", "configuration", "limits", "access"),
    ("decisions",),
    ("routing", "analytics"),
    ("experimentation",),
    ("rollouts",),
    ("lab",),
    ("shadow",),
    ("learning",),
    ("gateway",),
    ("api", "dashboards", "demo", "python_api"),
    ("management", "templatetags"),
    ("admin",),
)


class Import(NamedTuple):
    """One import: the importing module, the line, and the module that is imported."""

    importer: str
    line: int
    imported: str

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def floor_of(package: str) -> int | None:
    """0 is the ground. None: no floor is known, which the test refuses."""
    return next((at for at, names in enumerate(FLOORS) if package in names), None)


def package_of(module: str) -> str:
    """`core` of `experiments.core.policy`."""
    return module.split(".")[1] if "." in module else ""


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file, of every module of the application but the migrations."""
    found = {}
    for file in sorted(APP.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        if "migrations" not in parts:
            found[".".join(parts).removesuffix(".__init__")] = file
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Every import of one module of the application by another."""
    return tuple(
        found
        for importer, file in modules().items()
        for found in _imports_of(importer, file)
        if found.imported != importer
    )


def between_packages() -> Iterator[Import]:
    """The imports that cross from one package into another; modules at the top are no package."""
    for found in imports():
        here, there = package_of(found.importer), package_of(found.imported)
        if here != there and (APP / here).is_dir() and (APP / there).is_dir() and here and there:
            yield found


def _imports_of(importer: str, file: Path) -> Iterator[Import]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        for name in _names(node):
            if (module := _module(name)) is not None:
                yield Import(importer, getattr(node, "lineno", 0), module)


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Constant) and NAMED_MODULE.fullmatch(str(node.value)):
        yield str(node.value)


def _module(name: str) -> str | None:
    """The module that a dotted name is, or is in."""
    while name.startswith("experiments."):
        if name in modules():
            return name
        name = name.rpartition(".")[0]
    return None


def reduced() -> list[tuple[str, str]]:
    """The arrows that no longer path replaces: (importing package, imported package), sorted."""
    pairs = {(package_of(one.importer), package_of(one.imported)) for one in between_packages()}
    below: dict[str, set[str]] = {}
    for floor in FLOORS:
        for name in floor:
            direct = {there for here, there in pairs if here == name}
            below[name] = direct.union(*(below.get(there, set()) for there in direct))
    return sorted(
        (here, there)
        for here, there in pairs
        if not any(there in below.get(other, set()) for one, other in pairs if one == here)
    )


BOX, ROW, GAP, WIDTH = (132, 34), 74, 20, 700


def picture() -> str:
    """An SVG: one row a floor, an arrow from each package to those it imports directly."""
    height = ROW * len(FLOORS) + GAP
    at = {
        name: (
            WIDTH / 2 + (place - (len(floor) - 1) / 2) * (BOX[0] + GAP),
            height - ROW * (number + 0.5),
        )
        for number, floor in enumerate(FLOORS)
        for place, name in enumerate(floor)
    }
    lines = [_arrow(at[here], at[there]) for here, there in reduced()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="14" role="img">\n'
        "<title>The packages of experiments: arrows point to what a package imports</title>\n"
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
        + "".join(lines)
        + "".join(_box(name, *place) for name, place in at.items())
        + "</svg>\n"
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (to_x, to_y) = start, end
    y, to_y = y + BOX[1] / 2, to_y - BOX[1] / 2
    half = (y + to_y) / 2
    return (
        f'<path d="M{x:g} {y:g} C{x:g} {half:g} {to_x:g} {half:g} {to_x:g} {to_y:g}" '
        'fill="none" stroke="#9aa4b2"/>\n'
    )


def _box(name: str, x: float, y: float) -> str:
    left, top = x - BOX[0] / 2, y - BOX[1] / 2
    return (
        f'<rect x="{left:g}" y="{top:g}" width="{BOX[0]}" height="{BOX[1]}" rx="6" '
        'fill="#f3f6fa" stroke="#52606d"/>\n'
        f'<text x="{x:g}" y="{y + 5:g}" text-anchor="middle" fill="#1f2933">{name}</text>\n'
    )


PICTURE = ROOT / "docs" / "images" / "packages.svg"

if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
