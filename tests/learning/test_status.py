"""One sentence a domain on what routing is worth there, and the step that fits it: every case."""

import pytest

from experiments.analysis.learning.worth import Bounded, Worth
from experiments.learning.status import Step, WorthInputs, WorthStatus, status_of

SURE = Bounded(0.4, 0.3, 0.5)
NOTHING = Bounded(0.0, -0.02, 0.02)


def worth(**values: object) -> Worth:
    usual = Worth(
        pairs=140,
        share=0.5,
        gap=SURE,
        recovered=Bounded(0.71, 0.64, 0.78),
        advantage=Bounded(0.08, 0.05, 0.11),
        cost=0.5,
        weak_cost=0.05,
    )
    return usual._replace(**values)  # type: ignore[arg-type]


def facts(**values: object) -> WorthInputs:
    usual = WorthInputs(learning=True, has_judge=True, routed=True, pairs=140, worth=worth())
    return usual._replace(**values)  # type: ignore[arg-type]


UNSURE = Bounded(0.01, -0.05, 0.07)
WORSE = Bounded(-0.05, -0.08, -0.02)

CASES = {
    "off": (
        facts(learning=False, worth=None, pairs=0),
        "Learning is off.",
        Step.SWITCH_ON,
    ),
    "off, but known": (
        facts(learning=False),
        "Recovers 71 % of the quality gap at half the cost (64 to 78 %).",
        Step.SET_TARGET,
    ),
    "not routed": (
        facts(routed=False),
        "No router decides here, so there is nothing to learn for.",
        Step.SET_TARGET,
    ),
    "no judge": (
        facts(has_judge=False, worth=None, pairs=0),
        "No judge is configured: no pairs are drawn, and nothing learned serves without pairs.",
        Step.CHOOSE_JUDGE,
    ),
    "no pair yet": (
        facts(worth=None, pairs=0),
        "Too early: 0 pairs, a first answer needs 10.",
        Step.SEE_PAIRS,
    ),
    "few pairs": (
        facts(worth=None, pairs=1),
        "Too early: 1 pair, a first answer needs 10.",
        Step.SEE_PAIRS,
    ),
    "few pairs, budget spent": (
        facts(worth=None, pairs=7, used_up=True),
        "Today's budget is spent: 7 pairs so far.",
        Step.RAISE_BUDGET,
    ),
    "recovers at half the cost": (
        facts(),
        "Recovers 71 % of the quality gap at half the cost (64 to 78 %).",
        Step.SET_TARGET,
    ),
    "recovers at another cost": (
        facts(worth=worth(cost=0.38)),
        "Recovers 71 % of the quality gap at 38 % of the cost (64 to 78 %).",
        Step.SET_TARGET,
    ),
    "recovers without prices": (
        facts(worth=worth(cost=None, weak_cost=None)),
        "Recovers 71 % of the quality gap with 50 % of prompts to the strong model (64 to 78 %).",
        Step.SET_TARGET,
    ),
    "recovers more than all": (
        facts(worth=worth(recovered=Bounded(1.02, 0.9, 1.14))),
        "Recovers 102 % of the quality gap at half the cost (90 to 100 %).",
        Step.SET_TARGET,
    ),
    "no better than random": (
        facts(worth=worth(advantage=UNSURE)),
        "No better than random so far: 140 pairs.",
        Step.SEE_PAIRS,
    ),
    "the gap is unsure": (
        facts(worth=worth(gap=Bounded(0.1, -0.1, 0.3), recovered=None)),
        "No better than random so far: 140 pairs.",
        Step.SEE_PAIRS,
    ),
    "the weak model is as good": (
        facts(worth=worth(gap=NOTHING, recovered=None, advantage=NOTHING)),
        "The weak model is as good on this traffic: send everything to it.",
        Step.SEND_TO_WEAK,
    ),
    "worse than random": (
        facts(worth=worth(advantage=WORSE)),
        "Routing does not pay here: the router chooses worse than random routing.",
        Step.SEND_TO_STRONG,
    ),
    "enough pairs, no advantage": (
        facts(worth=worth(pairs=400, advantage=UNSURE)),
        "Routing does not pay here: 400 pairs show no advantage over random routing.",
        Step.SEND_TO_STRONG,
    ),
    "the weak model is not cheaper": (
        facts(worth=worth(weak_cost=0.95)),
        "Routing does not pay here: the weak model costs about as much as the strong one.",
        Step.SEND_TO_STRONG,
    ),
    "a learned router waits": (
        facts(worth=worth(advantage=UNSURE), proposed=True),
        "No better than random so far: 140 pairs. A learned router waits for your approval.",
        Step.APPROVE,
    ),
}


@pytest.mark.parametrize(("given", "sentence", "step"), CASES.values(), ids=CASES)
def test_each_case_has_its_sentence_and_its_step(
    given: WorthInputs, sentence: str, step: Step
) -> None:
    found: WorthStatus = status_of(given)
    assert (found.sentence, found.step) == (sentence, step)


def test_an_operator_is_asked_only_where_there_is_something_to_do() -> None:
    asked = {name for name, (given, *_) in CASES.items() if status_of(given).attention}
    assert asked == {
        "no judge",
        "the weak model is as good",
        "worse than random",
        "enough pairs, no advantage",
        "the weak model is not cheaper",
        "a learned router waits",
    }


def test_every_step_belongs_to_some_case() -> None:
    assert {step for _, _, step in CASES.values()} == set(Step)
