"""The hand-written prompts, what is made of them, and that the test set is not among them."""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from experiments.routers.domain_prompts import as_exam, load_sources, seed_examples
from experiments.routers.training.domain_rows import PROMPTS_PER_DOMAIN
from experiments.routers.training.prompts import training_prompts

DATA = Path(__file__).parents[1] / "data"
TEST_SETS = ("domain_prompts.csv", "domain_prompts_fresh.csv", "domain_prompts_chat.csv")


def test_every_domain_has_seed_examples() -> None:
    counts = {name: len(texts) for name, texts in seed_examples().items()}
    assert counts == dict.fromkeys(
        (
            *("creative", "educational", "financial", "general"),
            *("legal", "medical", "scientific", "technical"),
        ),
        10,
    )


def test_bars_separate_options() -> None:
    assert as_exam("Which is red? | A rose | Grass") == (
        "Which is red?\nA. A rose\nB. Grass\nAnswer:"
    )
    assert as_exam("Write a poem.") == "Write a poem."


def test_same_seed_makes_the_same_prompts() -> None:
    sources = load_sources()
    first, second = (training_prompts(sources, 1, 300) for _ in range(2))
    assert first == second
    assert first != training_prompts(sources, 2, 300)


def test_no_slot_is_left_open() -> None:
    for prompt in training_prompts(load_sources(), 0, 900):
        assert not re.search(r"\{\w+\}", prompt.text), prompt


def test_every_domain_gets_its_number() -> None:
    counts = Counter(prompt.domain for prompt in training_prompts(load_sources(), 0, 900))
    assert min(counts.values()) > 800


def test_frames_are_filled_even_where_terms_are_many() -> None:
    texts = [prompt.text for prompt in training_prompts(load_sources(), 0, 1)]
    assert sum(text.startswith("Explain the rules of ") for text in texts) >= 5


@pytest.mark.parametrize("name", TEST_SETS)
def test_test_set_is_large_and_its_own(name: str) -> None:
    with (DATA / name).open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert min(Counter(row["domain"] for row in rows).values()) >= 10
    made = {
        _plain(prompt.text) for prompt in training_prompts(load_sources(), 0, PROMPTS_PER_DOMAIN)
    }
    assert [row["text"] for row in rows if _plain(row["text"]) in made] == []


def _plain(text: str) -> str:
    question = text.split("\nA. ", maxsplit=1)[0]
    return " ".join(re.findall(r"\w+", question.lower()))
