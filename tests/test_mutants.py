"""The driver behind `make mutants`, and its list of mutants that change nothing."""

import ast

from scripts.mutants import every_mutant, mutants_of, mutated_tree, reviewed

SOURCE = "def f(a: 'int | None', b: int) -> bool:\n    return a < b and not a + 1 in (0,)\n"


def test_each_operator_and_number_is_changed_alone() -> None:
    changed = [ast.unparse(mutated_tree(SOURCE, spot)).splitlines()[1] for spot in range(6)]
    assert [line.strip() for line in changed] == [
        "return a < b or not a + 1 in (0,)",
        "return a <= b and (not a + 1 in (0,))",
        "return a < b and (not not a + 1 in (0,))",
        "return a < b and (not a + 1 not in (0,))",
        "return a < b and (not a - 1 in (0,))",
        "return a < b and (not a + 2 in (0,))",
    ]


def test_a_mutant_says_where_it_is() -> None:
    mutants = mutants_of("experiments/core/choice.py")
    (above,) = [m for m in mutants if m.change.startswith("answer.value >= step.threshold ->")]
    assert above.where == "experiments/core/choice.py Chooser._step"
    assert above.change == "answer.value >= step.threshold -> answer.value > step.threshold"


def test_reviewed_mutants_exist_and_say_why_nothing_can_find_them() -> None:
    existing = {(mutant.where, mutant.change) for mutant in every_mutant()}
    assert {key for key in reviewed() if key not in existing} == set()
    assert [key for key, why in reviewed().items() if len(why.split()) < 3] == []
