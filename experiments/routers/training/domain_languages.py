"""Training and measuring the detector's head for languages other than English.

It learns from word lists: each term alone and in frames that all domains share, and whole prompts.
Measured on whole prompts in five folds; the terms stay in every training half.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from experiments.routers.checkpoints import Manifest, write_checkpoint
from experiments.routers.domain_head import DomainHead, to_arrays
from experiments.routers.domain_prompts import WordList
from experiments.routers.language_head import piece_keys
from experiments.routers.training.domain_fit import batch_logits, fit_head
from experiments.routers.training.domain_rows import Positions, Progress, RowKind, Rows
from experiments.routers.training.domains import (
    FOLDS,
    LICENCE,
    HeldOut,
    TrainedDetector,
    best_temperature,
    figures,
)
from experiments.routers.training.versions import installed

COMMAND = "manage.py train_domain_languages"
KIND = "domain_languages"
_FRAMES_PER_TERM = 2
_WHOLE_WEIGHT = 3.0


class ListedPrompt(NamedTuple):
    text: str
    domain: str
    language: str
    whole: bool


def listed_prompts(lists: Sequence[WordList], seed: int) -> list[ListedPrompt]:
    """Each term alone and in two of its language's frames, and every whole prompt."""
    return [prompt for words in lists for prompt in _of_language(words, seed)]


def collect_pieces(prompts: Sequence[ListedPrompt]) -> Rows:
    """The prompts as columns. `subject` is the language; there is no embedding."""
    names = tuple(sorted({prompt.domain for prompt in prompts}))
    found = [piece_keys(prompt.text) for prompt in prompts]
    keys, at = np.unique(np.concatenate(found), return_inverse=True)
    ends = np.cumsum([0, *map(len, found)])
    return Rows(
        names=names,
        keys=keys,
        found=sp.csr_matrix(
            (np.ones(len(at), dtype=np.float32), at, ends), shape=(len(prompts), len(keys))
        ),
        embedding=np.zeros((len(prompts), 0), dtype=np.float32),
        label=np.array([names.index(prompt.domain) for prompt in prompts]),
        kind=np.array(
            [RowKind.RECORDED if prompt.whole else RowKind.WRITTEN for prompt in prompts]
        ),
        subject=np.array([prompt.language for prompt in prompts]),
        passage=np.arange(len(prompts)),
        weight=np.array([_WHOLE_WEIGHT if p.whole else 1.0 for p in prompts], dtype=np.float32),
    )


def train_languages(rows: Rows, *, seed: int, progress: Progress) -> TrainedDetector:
    """Measure on whole prompts that were held out, calibrate on them, then fit on everything."""
    whole = np.random.default_rng(seed).permutation(rows.recorded())
    folds: list[Positions] = [whole[fold::FOLDS] for fold in range(FOLDS)]
    logits = []
    for number, fold in enumerate(folds, start=1):
        progress(f"Cross-validating: fold {number} of {FOLDS}")
        logits.append(batch_logits(fit_head(rows, rows.training_for(fold)), rows, fold))
    held_out = HeldOut(np.concatenate(folds), np.concatenate(logits))
    temperature = best_temperature(rows, (held_out,))
    progress("Fitting on everything")
    head: DomainHead = fit_head(rows, np.arange(len(rows.label)))
    measured: dict[str, object] = {"whole_prompts": figures(rows, held_out, temperature)}
    return TrainedDetector(replace(head, temperature=temperature), measured)


def save_languages(trained: TrainedDetector, rows: Rows, folder: Path, *, seed: int) -> str:
    """Writes the checkpoint and returns its sha256."""
    languages = sorted(set(rows.subject.tolist()))
    manifest = Manifest(
        kind=KIND,
        made_from="The word lists in experiments/fixtures/domain_words",
        command=COMMAND,
        licence=LICENCE,
        seed=seed,
        data={"languages": languages, "prompts": len(rows.label)},
        folds={"whole_prompts": FOLDS},
        measured=trained.measured,
        versions=installed("numpy", "scipy"),
    )
    return write_checkpoint(folder, to_arrays(trained.head), manifest)


def _of_language(words: WordList, seed: int) -> Iterator[ListedPrompt]:
    rng = random.Random(f"{seed}-{words.language}")
    for domain, terms in words.terms.items():
        for term in terms:
            frames = rng.sample(words.frames, _FRAMES_PER_TERM)
            for frame in ("{term}", *frames):
                text = frame.format(term=term, other=rng.choice(terms))
                yield ListedPrompt(text, domain, words.language, whole=False)
        for prompt in words.prompts[domain]:
            yield ListedPrompt(prompt, domain, words.language, whole=True)
