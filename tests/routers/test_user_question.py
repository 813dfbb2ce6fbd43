"""The user's question, found by structure."""

import pytest

from benchmarks.wrapping import WRAPPINGS, ShippedRouting, changes, question_sets
from experiments.routers.features import featurise

QUESTIONS = (
    "What happens at a first hearing in family court?",
    "Implement Paxos in Rust",
    "Write a function that adds two numbers.",
    "Wie kündige ich meinen Mietvertrag?",
    "\u8bf7\u89e3\u91ca\u4e00\u4e0b\u91cf\u5b50\u7ea0\u7f20\u662f\u4ec0\u4e48\uff1f",
    "Which gas do plants take in?\nA. oxygen\nB. carbon dioxide\nC. helium\nD. argon",
)
# A request without a question mark within a paragraph of prose has no structure to be found by.
UNMARKED = "preamble, same line"


def asked(text: str) -> str:
    return featurise(text).asked.text.strip()


@pytest.mark.parametrize("wrapping", sorted(set(WRAPPINGS) - {UNMARKED}))
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_question_is_found_in_each_wrapping(question: str, wrapping: str) -> None:
    if (wrapping == "thanks" and "\n" in question) or (
        wrapping == "system prompt" and len(question.split()) < 5
    ):
        pytest.skip("nothing tells a few plain words from a few others")
    assert asked(WRAPPINGS[wrapping](question)) == asked(question)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "???",
        "hi",
        "Write a poem. Make it rhyme with 'orange'",
        "Janet has 3 apples and buys 5 more. She eats 2 of them. How many are left?",
        "def add(a, b):\n    return a - b\n# what is wrong here?",
    ],
)
def test_a_prompt_without_a_wrapping_is_left_whole(text: str) -> None:
    assert asked(text) == text.strip()


def test_a_colon_says_that_the_request_comes_first() -> None:
    text = "Summarize this report:\n\nSales rose in spring.\n\nThey fell in autumn."
    assert asked(text) == "Summarize this report:"


def test_the_last_line_without_an_answer_is_the_question() -> None:
    assert asked("cheese -> fromage\nbread -> pain\nplease translate water ->") == (
        "please translate water"
    )


def test_of_a_dialogue_the_open_turn_is_the_question() -> None:
    text = "User: Hello\nAssistant: Hello!\nUser: How deep is the sea?\nAssistant:"
    assert asked(text) == "How deep is the sea?"


def test_the_question_of_a_long_paragraph_is_its_last_one() -> None:
    text = f"{'The river is long and slow. ' * 40}How long does the river take to the sea? Thanks."
    assert asked(text) == "How long does the river take to the sea?"


def test_finding_it_in_a_long_text_takes_bounded_time() -> None:
    texts = ("Q: a\nA: b\n\n" * 700, "<a>" * 2_700, "```" * 2_700, "a. b\n" * 1_600, "?" * 8_000)
    for text in texts:
        assert asked(text) is not None


def test_a_wrapping_changes_few_decisions() -> None:
    """By the shipped detector, router and thresholds: at most 10 % of decisions each."""
    prompts = question_sets(None, 100)["written"]
    route = ShippedRouting()
    for name in set(WRAPPINGS) - {UNMARKED}:
        assert changes(prompts, WRAPPINGS[name], route).decisions <= 0.10, name
