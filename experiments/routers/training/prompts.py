"""Training prompts made of the hand-written ones and of their parts.

A term goes into frames that every domain shares, so that the frame says nothing about the domain; a
domain's own frames are filled from its slots, and ``{topic}``, ``{theme}`` also from the terms of
all other domains: a poem about the liver is creative, a lesson on it educational.
"""

import random
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from experiments.routers.domain_prompts import DomainPromptFile, as_exam, exam_question

_EXAM_FRAMES = (
    "Which of the following is true of {term}?",
    "Which statement about {term} is correct?",
    "{Term} is best described as",
    "The main difference between {term} and {other} is that",
    "Which of these is an example of {term}?",
    "All of the following concern {term} EXCEPT",
    "What is the most likely reason for {term}?",
    "In the case of {term}, which would you expect?",
    "{Term} and {other} are both",
)
_CHAT_FRAMES = (
    "What is {term}?",
    "what does {term} mean",
    "Can you tell me about {term} and {other}?",
    "I have a question about {term}",
    "How does {term} work?",
    "Difference between {term} and {other}?",
    "Why is {term} important?",
    "Give me a short summary of {term}.",
    "need help with {term}",
    "{term}",
    "What should I know about {term}?",
    "Is there a link between {term} and {other}?",
)
_BORROWED_SLOTS = ("topic", "theme")
_SHARE_BORROWED = 0.5
# Where terms and whole prompts already fill a domain, its frames still show how people ask.
_LEAST_FRAMED = 400
_COMMON_SLOTS = {
    "person": ("son", "daughter", "mother", "father", "wife", "husband", "grandfather", "friend"),
    "duration": ("two days", "a week", "three weeks", "months", "10 days", "since yesterday"),
    "age": ("19", "27", "34", "46", "58", "63", "71", "80"),
    "amount": ("500", "1,200", "4,000", "25,000", "60,000", "120,000", "2,500,000"),
}


class TrainingPrompt(NamedTuple):
    """A prompt and its domain; ``whole`` if it was written by hand as a whole."""

    text: str
    domain: str
    whole: bool


def training_prompts(
    sources: Sequence[DomainPromptFile], seed: int, per_domain: int
) -> list[TrainingPrompt]:
    """Every whole prompt, every term twice, and frames until ``per_domain`` are reached."""
    made: list[TrainingPrompt] = []
    for source in sources:
        rng = random.Random(f"{seed}-{source.domain}")
        whole = dict.fromkeys((*source.seed, *source.prompts))
        texts = [*whole, *_from_terms(source, rng)]
        texts += _from_frames(source, sources, rng, max(_LEAST_FRAMED, per_domain - len(texts)))
        made += [
            TrainingPrompt(text, source.domain, text in whole) for text in dict.fromkeys(texts)
        ]
    return made


def _from_terms(source: DomainPromptFile, rng: random.Random) -> Iterator[str]:
    """Each term twice: once as an exam question with neighbours as options, once as in a chat."""
    for subject in source.terms:
        for term in subject:
            other, *options = rng.sample([t for t in subject if t != term], 5)
            words = {"term": term, "Term": term[0].upper() + term[1:], "other": other}
            yield exam_question(rng.choice(_EXAM_FRAMES).format(**words), options)
            yield rng.choice(_CHAT_FRAMES).format(**words)


def _from_frames(
    source: DomainPromptFile, sources: Sequence[DomainPromptFile], rng: random.Random, count: int
) -> Iterator[str]:
    borrowed = [t for other in sources if other is not source for part in other.terms for t in part]
    for _ in range(count):
        frame = rng.choice(source.frames)
        yield as_exam(re.sub(r"\{(\w+?)\d?\}", lambda m: _fill(m[1], source, borrowed, rng), frame))


def _fill(name: str, source: DomainPromptFile, borrowed: Sequence[str], rng: random.Random) -> str:
    if name in _BORROWED_SLOTS and rng.random() < _SHARE_BORROWED:
        return rng.choice(borrowed)
    if name in source.slots:
        return rng.choice(source.slots[name])
    return rng.choice(_COMMON_SLOTS[name])
