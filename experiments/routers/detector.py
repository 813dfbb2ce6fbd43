"""The learned domain detector: the subject of a prompt, from its words and its embedding.

``LearnedDetector.load()`` reads the shipped head; ``with_domains`` makes one for the domains and
example prompts of a policy revision. Both are immutable and shared by threads.
"""

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from experiments.core.detection import Candidate
from experiments.core.selection import GENERAL
from experiments.routers.checkpoints import SHIPPED, Checkpoint, CheckpointError, read_checkpoint
from experiments.routers.domain_examples import (
    Correction,
    LabelledFeatures,
    fit_correction,
    log_probabilities,
)
from experiments.routers.domain_head import DomainHead, Vocabulary, from_arrays
from experiments.routers.domain_prompts import load_sources, seed_examples
from experiments.routers.embedding import Vector, embedding_sha256
from experiments.routers.features import Features, featurise, word_keys
from experiments.routers.language_head import look_up_pieces, whole_word_keys
from experiments.routers.languages import ENGLISH, OTHER, KnownWords, language_of

KIND = "domains"
CHECKPOINT = SHIPPED / KIND
LANGUAGES_KIND = "domain_languages"
LANGUAGES_CHECKPOINT = SHIPPED / LANGUAGES_KIND
_LANGUAGE = object()  # the key under which a prompt caches its language
# Words that resemble known ones mean less in a language without training prompts.
_UNKNOWN_SHARE = np.float32(0.5)
_LONGEST_LINE = 400  # characters
_WHOLE_SHARE = np.float32(0.25)  # of what the whole prompt says, next to its question


@dataclass(frozen=True, eq=False)
class Heads:
    """One head for English prompts and one for all other languages, with the same domains.

    Without the second one, the first answers for every prompt.
    """

    english: DomainHead
    others: DomainHead | None

    @property
    def names(self) -> tuple[str, ...]:
        return self.english.names

    @property
    def vocabulary(self) -> Vocabulary:
        return self.english.vocabulary

    def language(self, features: Features) -> str:
        """See ``languages.language_of``."""
        return features.remember(_LANGUAGE, lambda: language_of(features, self._count_known))

    def logits_of(self, features: Features) -> Vector:
        language = self.language(features)
        if self.others is None or language == ENGLISH:
            return self.english.logits(self.english.look_up(features))
        logits = self.others.logits(look_up_pieces(self.others, features))
        return logits * _UNKNOWN_SHARE if language == OTHER else logits

    def _count_known(self, words: Sequence[str]) -> KnownWords:
        listed = self.others.vocabulary.holds(whole_word_keys(words)) if self.others else ()
        return KnownWords(int(self.vocabulary.holds(word_keys(words)).sum()), int(np.sum(listed)))


@dataclass(frozen=True, eq=False)
class LearnedDetector:
    """``identity`` is a sha256 over checkpoints, domains and examples; decisions store it."""

    head: Heads
    names: tuple[str, ...]
    sha256: str
    identity: str
    correction: Correction | None = None

    @classmethod
    def load(
        cls, folder: Path = CHECKPOINT, languages: Path = LANGUAGES_CHECKPOINT
    ) -> "LearnedDetector":
        """Read and verify both checkpoints. Raises ``CheckpointError``.

        The one for other languages is left out where it has other domains than the first.
        """
        checkpoint = read_checkpoint(folder, KIND)
        if checkpoint.manifest.embedding_sha256 != embedding_sha256():
            raise CheckpointError(
                f"{folder} was trained on another embedding. Run `manage.py train_domains`, "
                "or restore the embedding it was trained on."
            )
        english = _head(checkpoint, folder, "train_domains")
        other = read_checkpoint(languages, LANGUAGES_KIND)
        others = _head(other, languages, "train_domain_languages")
        head = Heads(english, others if others.names == english.names else None)
        sha256 = f"{checkpoint.manifest.sha256} {other.manifest.sha256}"
        return cls(head, head.names, sha256, _identity(sha256, head.names, {}))

    def with_domains(
        self, names: Sequence[str], examples: Mapping[str, Sequence[str]]
    ) -> "LearnedDetector":
        """For these domains and operators' examples: takes about a second, no training run.

        Domains not in ``names`` are left out and their prompts become ``general``; ``general``
        itself is always there. A custom domain needs examples (five do): without, it is never
        detected. Examples that were shipped change nothing: the head was trained on them.
        """
        every = tuple(dict.fromkeys((*names, GENERAL)))
        new = [
            LabelledFeatures(featurise(text), name)
            for name in every
            for text in dict.fromkeys(examples.get(name, ()))
            if (text, name) not in _shipped_examples()
        ]
        learnt = {row.domain for row in new} | set(self.head.names)
        kept = tuple(name for name in every if name in learnt)
        correction = fit_correction(self.head, kept, new, _background()) if new else None
        identity = _identity(self.sha256, every, examples)
        return replace(self, names=kept, identity=identity, correction=correction)

    def candidates(self, features: Features) -> tuple[Candidate, ...]:
        """Every domain with its probability, best first; equals by name. They sum to 1."""
        scores = self._scores(features)
        named = zip(self.names, _softmax(scores).tolist(), strict=True)
        return tuple(sorted((Candidate(*pair) for pair in named), key=lambda c: (-c[1], c[0])))

    def _scores(self, features: Features) -> Vector:
        """Of one line all is read; else the question counts most, and the whole prompt a little."""
        if is_line(features):
            return self._read(features)
        asked = self._read(features.asked)
        return (1 - _WHOLE_SHARE) * asked + _WHOLE_SHARE * self._read(features)

    def _read(self, features: Features) -> Vector:
        scores = log_probabilities(self.head, features, self.names)
        return scores if self.correction is None else scores + self.correction(features)

    def is_english(self, features: Features) -> bool:
        """Also true for a prompt without words."""
        return self._language(features) == ENGLISH

    def _language(self, features: Features) -> str:
        return self.head.language(features if is_line(features) else features.asked)

    def knows_language(self, features: Features) -> bool:
        """False for a prompt in a language or script that no training prompt was in."""
        language = self._language(features)
        return language == ENGLISH or (self.head.others is not None and language != OTHER)


def is_line(features: Features) -> bool:
    """Whether a prompt is so short that it holds no document."""
    return len(features.text) <= _LONGEST_LINE and "\n" not in features.text.strip()


def _head(checkpoint: Checkpoint, folder: Path, command: str) -> DomainHead:
    try:
        return from_arrays(checkpoint.arrays)
    except KeyError as error:
        raise CheckpointError(
            f"{folder} lacks {error}: it was written by another version. Run `manage.py {command}`."
        ) from error


@functools.cache
def example_prompts() -> dict[str, tuple[str, ...]]:
    """The few hand-written prompts per domain that a new installation gets as rows."""
    return seed_examples()


@functools.cache
def _shipped_examples() -> frozenset[tuple[str, str]]:
    return frozenset((text, name) for name, texts in example_prompts().items() for text in texts)


@functools.cache
def _background() -> tuple[LabelledFeatures, ...]:
    """The shipped whole prompts of every domain, which examples are distinguished from."""
    return tuple(
        LabelledFeatures(featurise(text), source.domain)
        for source in load_sources()
        for text in (*source.seed, *source.prompts)
    )


def _identity(sha256: str, names: Sequence[str], examples: Mapping[str, Sequence[str]]) -> str:
    described = [sha256, sorted((name, sorted(examples.get(name, ()))) for name in names)]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _softmax(scores: Vector) -> Vector:
    grown = np.exp(scores - scores.max())
    return np.asarray(grown / grown.sum())
