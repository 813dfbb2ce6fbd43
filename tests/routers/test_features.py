"""One prompt is tokenised and embedded once; no prompt is too odd for it."""

import threading

import numpy as np
import pytest

from experiments.routers.features import featurise

MULTIPLE_CHOICE = (
    "Which gas do plants take in?\nA. Oxygen\nB. Carbon dioxide\nC. Neon\nD. Argon\nAnswer:"
)


def test_it_works() -> None:
    features = featurise("Prove that the square root of 2 is irrational.")

    assert features.tokens[:3] == ("prove", "that", "the")
    assert features.tokens[-1] == "."
    assert features.options == ()
    assert features.embedding.shape == (256,)
    assert float(features.embedding @ features.embedding) == pytest.approx(1.0, abs=1e-5)


def test_options_are_separated_and_the_answer_cue_is_dropped() -> None:
    features = featurise(MULTIPLE_CHOICE)

    assert features.question == ("which", "gas", "do", "plants", "take", "in", "?")
    assert features.options[:3] == ("a", ".", "oxygen")
    assert features.options[-1] == "argon"


def test_similar_prompts_are_closer_than_different_ones() -> None:
    poem = featurise("Write a poem about autumn leaves").embedding
    verse = featurise("Compose some verses on the fall foliage").embedding
    tax = featurise("How is capital gains tax computed for shares?").embedding

    assert float(poem @ verse) > float(poem @ tax) + 0.2


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(" \n\t ", id="blank"),
        pytest.param("\x00\x01\x02\xff\x00", id="binary-looking"),
        pytest.param("\ud800 lone surrogate", id="lone-surrogate"),
        pytest.param("😀🎉" * 40, id="emoji-only"),
        pytest.param("שלום עולם مرحبا بالعالم", id="right-to-left"),
        pytest.param("漢字" * 50_000, id="100000-cjk-characters"),
        pytest.param("a" * 100_000, id="one-word-of-100000-characters"),
        pytest.param("\n a. " * 20_000, id="100000-characters-of-option-marks"),
        pytest.param(" " * 100_000, id="100000-spaces"),
    ],
)
def test_odd_prompts_give_finite_features(text: str) -> None:
    features = featurise(text)

    assert np.isfinite(features.embedding).all()
    assert len(features.tokens) <= 8_001


def test_a_long_prompt_keeps_its_beginning_and_its_end() -> None:
    features = featurise("beginning " + "filler " * 20_000 + "end")

    assert features.tokens[0] == "beginning"
    assert features.tokens[-1] == "end"


def test_eight_threads_get_what_one_thread_gets() -> None:
    prompts = [f"Question {i} about electroencephalographically rare word{i}s" for i in range(200)]
    alone = [featurise(prompt).embedding for prompt in prompts]
    wrong: list[str] = []

    def compare() -> None:
        for prompt, expected in zip(prompts, alone, strict=True):
            if not np.array_equal(featurise(prompt).embedding, expected):
                wrong.append(prompt)

    threads = [threading.Thread(target=compare) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
