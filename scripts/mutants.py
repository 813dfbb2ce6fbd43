"""Changes one operator or number at a time in `core` and `analysis` and runs their tests.

    python scripts/mutants.py                 24 mutants, drawn with a seed that is printed
    MUTANTS=150 SEED=7 python scripts/mutants.py
    MUTANTS=all python scripts/mutants.py experiments/core/choice.py

A mutant that no test fails on has survived: a test is missing, or the change changes nothing
anyone can observe. The latter go into `equivalent_mutants.toml` with the reason. No file is
changed: each mutant is compiled in a forked process, in place of the module it belongs to.
See docs/decisions/0063 for why this is not mutmut or cosmic-ray.
"""

import ast
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import resource
import signal
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).resolve().parent.parent
REVIEWED = Path(__file__).with_name("equivalent_mutants.toml")
TESTS = {"experiments/core": "tests/core", "experiments/analysis": "tests/analysis"}
# Tables of prices and defaults: a test could only repeat them.
DATA = {"seeded_models.py", "seeded_parameters.py", "seeded_endpoints.py"}
SAMPLE = 24
# Of processor time, so that a busy machine does not make a mutant look found.
SECONDS = 180

OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


@dataclass(frozen=True)
class Mutant:
    """One change. `spot` counts the places of the file in the order `ast.walk` finds them."""

    file: str
    function: str
    change: str
    line: int
    spot: int

    @property
    def where(self) -> str:
        return f"{self.file} {self.function}"

    @property
    def module(self) -> str:
        return self.file.removesuffix(".py").replace("/", ".")


@dataclass(frozen=True)
class Place:
    node: ast.AST
    shown: ast.AST
    function: str
    operand: int = 0


def mutants_of(file: str) -> list[Mutant]:
    """Every mutant of the file; changes that read the same in one function are numbered."""
    tree = ast.parse((ROOT / file).read_text())
    found: list[Mutant] = []
    seen: Counter[tuple[str, str]] = Counter()
    for spot, place in enumerate(_places(tree)):
        before = _text(place.shown)
        undo = _apply(place)
        change = f"{before} -> {_text(place.shown)}"
        _restore(place, undo)
        seen[place.function, change] += 1
        number = seen[place.function, change]
        suffix = f" (no. {number})" if number > 1 else ""
        line = getattr(place.node, "lineno", 0)
        found.append(Mutant(file, place.function, change + suffix, line, spot))
    return found


def mutated_tree(source: str, spot: int) -> ast.Module:
    tree = ast.parse(source)
    for number, place in enumerate(_places(tree)):
        if number == spot:
            _apply(place)
            return tree
    raise LookupError(f"No place {spot} in this source.")


def _places(tree: ast.AST) -> Iterator[Place]:
    yield from _walk(tree, tree, "module")


def _walk(node: ast.AST, shown: ast.AST, function: str) -> Iterator[Place]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        function = node.name if function == "module" else f"{function}.{node.name}"
    small = isinstance(node, ast.Constant | ast.Name)
    if isinstance(node, ast.stmt | ast.expr) and not small:
        shown = node
    yield from _places_of(node, shown, function)
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "ops", "op"} or _is_typing(node):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _walk(child, shown, function)


def _is_typing(node: ast.AST) -> bool:
    """Type aliases such as `Metric = int | None` hold no arithmetic."""
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)


def _places_of(node: ast.AST, shown: ast.AST, function: str) -> Iterator[Place]:
    if isinstance(node, ast.Compare):
        for operand, operator in enumerate(node.ops):
            if type(operator) in OPERATORS:
                yield Place(node, node, function, operand)
    elif isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp):
        if type(node.op) in OPERATORS:
            yield Place(node, node, function)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield Place(node, node, function)
    elif isinstance(node, ast.Constant) and type(node.value) in {int, float}:
        yield Place(node, shown, function)


def _apply(place: Place) -> object:
    node = place.node
    if isinstance(node, ast.Compare):
        before: object = node.ops[place.operand]
        node.ops[place.operand] = OPERATORS[type(node.ops[place.operand])]()  # type: ignore[call-overload]
    elif isinstance(node, ast.Constant):
        before = node.value
        node.value = node.value + 1  # type: ignore[operator]
    elif isinstance(node, ast.UnaryOp):
        before = node.op, node.operand
        # `not not x`: the opposite, still a bool.
        node.operand = ast.copy_location(ast.UnaryOp(ast.Not(), node.operand), node)
    else:
        before = node.op  # type: ignore[attr-defined]
        node.op = OPERATORS[type(before)]()  # type: ignore[attr-defined,index]
    return before


def _restore(place: Place, before: object) -> None:
    node = place.node
    if isinstance(node, ast.Compare):
        node.ops[place.operand] = before  # type: ignore[call-overload]
    elif isinstance(node, ast.Constant):
        node.value = before  # type: ignore[assignment]
    elif isinstance(node, ast.UnaryOp):
        node.op, node.operand = before  # type: ignore[misc]
    else:
        node.op = before  # type: ignore[attr-defined]


def _text(node: ast.AST) -> str:
    """What the node says on one line; of a compound statement, its head."""
    shown = copy.copy(node)
    if isinstance(shown, ast.stmt) and hasattr(shown, "body"):
        return ast.unparse(shown).splitlines()[0]
    return " ".join(ast.unparse(shown).split())


def reviewed() -> dict[tuple[str, str], str]:
    """Equivalent mutants, (where, change) to the reason."""
    entries = tomllib.loads(REVIEWED.read_text()).get("mutant", [])
    return {(entry["where"], entry["change"]): entry["why"] for entry in entries}


def every_mutant(only: Sequence[str] = ()) -> list[Mutant]:
    """All of core and analysis, or of the files and folders named."""
    chosen = tuple(only) or tuple(TESTS)
    files = (
        path.relative_to(ROOT).as_posix()
        for package in TESTS
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name not in DATA
    )
    return [
        mutant
        for file in files
        if any(file == name or file.startswith(name.rstrip("/") + "/") for name in chosen)
        for mutant in mutants_of(file)
    ]


class _Imports:
    """Which test files import a module, directly or through other modules."""

    def __init__(self) -> None:
        self._of: dict[Path, set[str]] = {}

    def tests_for(self, mutant: Mutant) -> list[str]:
        """Direct importers first: they find most mutants, and the first failure ends the run."""
        package = next(name for name in TESTS if mutant.file.startswith(name + "/"))
        tests = sorted((ROOT / TESTS[package]).rglob("test_*.py"))
        direct = [test for test in tests if mutant.module in self._direct(test)]
        reached = [t for t in tests if t not in direct and mutant.module in self._reachable(t)]
        return [test.relative_to(ROOT).as_posix() for test in direct + reached]

    def _reachable(self, start: Path) -> set[str]:
        known: set[str] = set()
        waiting = list(self._direct(start))
        while waiting:
            module = waiting.pop()
            if module not in known:
                known.add(module)
                waiting.extend(self._direct(ROOT / (module.replace(".", "/") + ".py")))
        return known

    def _direct(self, path: Path) -> set[str]:
        if path not in self._of:
            self._of[path] = set(_imported(path)) if path.exists() else set()
        return self._of[path]


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


class _MutantLoader(importlib.machinery.SourceFileLoader):
    def __init__(self, mutant: Mutant) -> None:
        super().__init__(mutant.module, str(ROOT / mutant.file))
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        tree = mutated_tree((ROOT / self._mutant.file).read_text(), self._mutant.spot)
        return compile(ast.fix_missing_locations(tree), self.path, "exec")


class _MutantFinder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: object, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        return importlib.util.spec_from_loader(fullname, _MutantLoader(self._mutant))


def passes(tests: Sequence[str], mutant: Mutant | None = None) -> bool:
    """Runs the tests in a forked process; one that hangs counts as a failure."""
    if not tests:
        return True
    child = os.fork()
    if child == 0:
        _run_and_exit(mutant, tests)
    deadline = time.monotonic() + 10 * SECONDS
    while time.monotonic() < deadline:
        finished, status = os.waitpid(child, os.WNOHANG)
        if finished:
            return os.waitstatus_to_exitcode(status) in {0, 5}
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _run_and_exit(mutant: Mutant | None, tests: Sequence[str]) -> None:
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        if mutant:
            sys.meta_path.insert(0, _MutantFinder(mutant))
        import pytest  # noqa: PLC0415

        options = ["--exitfirst", "--quiet", "--hypothesis-seed=0", "-p", "no:terminalreporter"]
        code = int(pytest.main([*options, *tests]))
    finally:
        os._exit(code)


def _load_libraries() -> None:
    """What every run needs is imported once, before the forks; nothing of ours is."""
    for name in ("django.test", "numpy", "scipy.stats", "scipy.optimize", "pytest"):
        importlib.import_module(name)


def main(arguments: Sequence[str]) -> int:
    wanted = os.environ.get("MUTANTS") or str(SAMPLE)
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    known = reviewed()
    mutants = [m for m in every_mutant(arguments) if (m.where, m.change) not in known]
    total = len(mutants)
    if wanted != "all":
        mutants = random.Random(seed).sample(mutants, min(int(wanted), total))
    print(f"{len(mutants)} of {total} mutants, seed {seed}; {len(known)} are reviewed.")
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    _load_libraries()
    if not passes(list(TESTS.values())):
        print("The tests fail without any mutant. Mend them first.")
        return 2
    imports = _Imports()
    survivors, done = [], 0
    try:
        for mutant in mutants:
            if passes(imports.tests_for(mutant), mutant):
                survivors.append(mutant)
                print(f"{mutant.file}:{mutant.line} {mutant.function}: {mutant.change}", flush=True)
            done += 1
    except KeyboardInterrupt:
        print(f"Stopped after {done} of {len(mutants)}.")
    if not passes(list(TESTS.values())[:1]):
        print("The tests no longer pass without a mutant: something has changed. Run again.")
        return 2
    share = len(survivors) / done if done else 0.0
    print(f"{len(survivors)} of {done} survived ({share:.1%}).")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
