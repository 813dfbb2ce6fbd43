"""Turns of a conversation without content of their own."""

import pytest

from experiments.routers.features import featurise
from experiments.routers.follow_up import is_follow_up, with_topic
from experiments.routers.local import LocalRouter

TOPIC = "Implement Paxos in Rust"


@pytest.mark.parametrize(
    "turn",
    [
        *(
            "continue",
            "fix it",
            "Go on.",
            "why?",
            "make it shorter",
            "yes please!",
            "try that again",
        ),
        *("weiter", "Mach es kürzer bitte", "y ahora?", "encore", "继续", "続けて", "أكمل"),
        *("what do you mean by that", "i don't get it"),
    ],
)
def test_a_few_short_plain_words_follow_up(turn: str) -> None:
    assert is_follow_up(turn)
    assert with_topic([turn, TOPIC, "hi"]) == f"{TOPIC}\n{turn}"


@pytest.mark.parametrize(
    "turn",
    [
        *("2+2?", "What is 2+2?", "Who wrote Don Quixote?", "x = 3"),
        *("Explain the rules of cricket to me", "Which medicines lower blood pressure?", ""),
        "请用三句话总结一下第二次世界大战的原因",
    ],
)
def test_content_of_its_own_stands_alone(turn: str) -> None:
    assert not is_follow_up(turn)
    assert with_topic([turn, TOPIC]) == turn


def test_several_follow_ups_in_a_row_keep_the_topic() -> None:
    assert with_topic(["again", "fix it", "continue", TOPIC]) == f"{TOPIC}\nagain"


def test_the_first_turn_has_no_topic() -> None:
    assert with_topic(["continue"]) == "continue"
    assert with_topic(["continue", "ok"]) == "continue"
    assert with_topic([]) == ""


def test_of_a_long_turn_the_question_is_the_topic() -> None:
    document = "The river rises in the hills. It is long.\n\n" * 40
    assert (
        with_topic(["why?", f"{document}How long is the river?"]) == "How long is the river?\nwhy?"
    )


@pytest.mark.parametrize("turn", ["continue", "fix it", "go on", "Try again!"])
def test_the_score_is_that_of_the_topic(turn: str) -> None:
    router = LocalRouter.load()
    alone, followed = (router.score(featurise(t)) for t in (TOPIC, with_topic([turn, TOPIC])))
    assert followed == alone
