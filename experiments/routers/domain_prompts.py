"""The hand-written prompts of every domain: ``experiments/fixtures/domain_prompts/<domain>.yaml``.

A file holds ``seed`` prompts (rows of a new installation, for operators to edit), whole ``prompts``
and ``terms`` of the field by subject, and ``frames`` with ``slots`` to fill. Other languages have
shorter lists: ``experiments/fixtures/domain_words/<language>.yaml``.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "fixtures" / "domain_prompts"
WORDS_FOLDER = FOLDER.parent / "domain_words"


@dataclass(frozen=True)
class DomainPromptFile:
    """The content of one domain's file."""

    domain: str
    seed: tuple[str, ...]
    prompts: tuple[str, ...]
    terms: tuple[tuple[str, ...], ...]
    frames: tuple[str, ...]
    slots: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class WordList:
    """The content of one language's file: terms and whole prompts by domain, and frames for any
    term, with ``{term}`` and optionally ``{other}``."""

    language: str
    frames: tuple[str, ...]
    terms: Mapping[str, tuple[str, ...]]
    prompts: Mapping[str, tuple[str, ...]]


def load_word_lists(folder: Path = WORDS_FOLDER) -> tuple[WordList, ...]:
    """All languages' files in alphabetical order."""
    return tuple(_word_list(path) for path in sorted(folder.glob("*.yaml")))


def load_sources(folder: Path = FOLDER) -> tuple[DomainPromptFile, ...]:
    """All domains' files in alphabetical order."""
    return tuple(_source(path) for path in sorted(folder.glob("*.yaml")))


def seed_examples(folder: Path = FOLDER) -> dict[str, tuple[str, ...]]:
    """The few example prompts per domain that ``seed`` puts into rows for operators to edit."""
    return {source.domain: source.seed for source in load_sources(folder)}


def as_exam(line: str) -> str:
    """``question | a | b`` in the layout of an exam question; any other line as it is."""
    question, *options = line.split(" | ")
    if not options:
        return question
    return exam_question(question, options)


def exam_question(question: str, options: Sequence[str]) -> str:
    letters = zip(string.ascii_uppercase, options, strict=False)
    body = "\n".join(f"{letter}. {option}" for letter, option in letters)
    return f"{question}\n{body}\nAnswer:"


def _source(path: Path) -> DomainPromptFile:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    subjects = content["subjects"].values()
    return DomainPromptFile(
        domain=path.stem,
        seed=_lines(content["seed"]),
        prompts=tuple(line for subject in subjects for line in _lines(subject.get("prompts", ""))),
        terms=tuple(_parts(subject["terms"]) for subject in subjects if "terms" in subject),
        frames=_lines(content["frames"]),
        slots={name: _parts(text) for name, text in content["slots"].items()},
    )


def _word_list(path: Path) -> WordList:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    frames = _lines(content.pop("frames"))
    return WordList(
        language=path.stem,
        frames=frames,
        terms={domain: _parts(part["terms"]) for domain, part in content.items()},
        prompts={domain: _lines(part["prompts"]) for domain, part in content.items()},
    )


def _lines(block: str) -> tuple[str, ...]:
    return tuple(as_exam(line.strip()) for line in block.splitlines() if line.strip())


def _parts(block: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in block.split(";") if part.strip())
