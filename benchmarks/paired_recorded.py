"""Labels to a verdict on recorded outcomes: two arms, random pairs, disagreements, and a judge."""

import csv
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.paired_paths import (
    Floats,
    Stream,
    Traffic,
    lower_passes,
    simple,
    upper_passes,
)
from experiments.analysis.experiment.sequential import one_sided_half_width

MARGIN, ALPHA, POWER = 0.03, 0.05, 0.8
DECISIONS = 10_000
MOVED = (0.1, 0.2, 0.3)
WEAK_BEFORE = (0.0, 0.35)  # share of prompts that the old policy sends to the weak model
MODEL_PAIRS = 12
MOST_LABELS = 20_000
CLEAR = 0.01  # a true effect closer to -margin than this needs a different plan


class PolicyPair(NamedTuple):
    """Outcomes of the same prompts under both policies, in [0, 1], and where they differ."""

    name: str
    share: float
    old: Floats
    new: Floats
    moved: NDArray[np.bool_]

    @property
    def effect(self) -> float:
        return float((self.new - self.old).mean())


class Needed(NamedTuple):
    """Labels at 80 % power; a pair counts as two labels. None: more than were simulated."""

    pair: PolicyPair
    two_arms: float  # one planned look
    two_arms_any_time: float  # the product's always-valid bound, tuned to this size
    random_pairs: float | None
    disagreements: float | None


def recorded(folder: Path) -> Iterator[tuple[str, list[str], Floats]]:
    """Name, models, and scores (prompts x models) of each data set in `folder`."""
    for name in ("LLMRouter", "ZeroEval"):
        if (file := folder / name / "scores.csv").exists():
            yield name, *_scores([file])
    evals = folder / "RouteLLM" / "routellm" / "evals"
    if evals.exists():
        files = sorted(evals.rglob("*_responses.csv")) + sorted(evals.glob("mmlu/responses/*.csv"))
        yield "RouteLLM", *_scores([one for one in files if "high_school_math" not in one.name])


def _scores(files: list[Path]) -> tuple[list[str], Floats]:
    csv.field_size_limit(10**8)
    rows: list[list[float]] = []
    models: list[str] = []
    for file in files:
        with file.open(newline="") as stream:
            for row in csv.DictReader(stream):
                models = models or [
                    name
                    for name in row
                    if name not in ("task", "id", "prompt") and not name.endswith("_response")
                ]
                rows.append([_grade(row[name]) for name in models])
    return models, np.array(rows)


def _grade(text: str) -> float:
    return float(text == "True") if text in ("True", "False") else float(text)


def policy_pairs(
    name: str, models: list[str], scores: Floats, rng: np.random.Generator
) -> Iterator[PolicyPair]:
    """Two thresholds of one router, for pairs of models; the new one moves 10 to 30 % of prompts.

    The router's score is how many of the other models fail at the prompt, so hard prompts go to the
    strong model; with two models it is random.
    """
    means = scores.mean(axis=0)
    every = [(s, w) for s in range(len(models)) for w in range(len(models)) if means[s] > means[w]]
    for at in rng.permutation(len(every))[:MODEL_PAIRS]:
        strong, weak = every[at]
        others = np.delete(scores, [strong, weak], axis=1)
        score = rng.random(len(scores)) * 0.3
        if others.shape[1]:
            score -= others.mean(axis=1)
        place = score.argsort().argsort() / len(scores)
        for before, moved in product(WEAK_BEFORE, MOVED):
            old = np.where(place >= before, scores[:, strong], scores[:, weak])
            new = np.where(place >= before + moved, scores[:, strong], scores[:, weak])
            changes = (place >= before) & (place < before + moved)
            title = f"{name}: {models[strong]}, {models[weak]}, weak from {before:.0%}"
            yield PolicyPair(title, moved, old, new, changes)


def labels_needed(pair: PolicyPair, rng: np.random.Generator, runs: int) -> Needed:
    differences = pair.new - pair.old
    among = differences[pair.moved]
    traffic = Traffic(DECISIONS, round(DECISIONS * len(among) / len(differences)))
    everything = Traffic(DECISIONS, DECISIONS)
    return Needed(
        pair,
        *_two_arms(pair),
        _double(_looks(pair, differences, everything, rng, runs)),
        _double(_looks(pair, among, traffic, rng, runs)),
    )


def _two_arms(pair: PolicyPair) -> tuple[float, float]:
    """Labels of both arms together: for one planned look, and for looking at any time."""
    normal = NormalDist()
    power = normal.inv_cdf(POWER)
    any_time = one_sided_half_width(1.0, 5000, alpha=ALPHA, tuning_sample_size=5000)
    variance = float(pair.old.var() + pair.new.var())
    unit = 2 * variance / (pair.effect + MARGIN) ** 2
    return unit * (normal.inv_cdf(1 - ALPHA) + power) ** 2, unit * (any_time + power) ** 2


def _double(looks: float | None) -> float | None:
    return None if looks is None else 2 * looks


def _looks(
    pair: PolicyPair, differences: Floats, traffic: Traffic, rng: np.random.Generator, runs: int
) -> float | None:
    """The number of pairs after which 80 % of the runs have the right verdict."""
    passes = lower_passes if pair.effect > -MARGIN else upper_passes
    found = []
    for _ in range(runs):
        length, look = 500, None
        drawn = rng.choice(differences, MOST_LABELS)
        while look is None and length <= MOST_LABELS:
            look = passes(simple(drawn[:length]), traffic, -MARGIN)
            length = MOST_LABELS if length < MOST_LABELS < 4 * length else 4 * length
        found.append(np.inf if look is None else look)
    needed = float(np.quantile(found, POWER, method="inverted_cdf"))
    return None if np.isinf(needed) else needed


class JudgedPairs(NamedTuple):
    """Differences between two models' answers: people's mean, and an automatic judge's."""

    name: str
    people: Floats
    judge: Floats


def panda(folder: Path, judge: str) -> JudgedPairs:
    """Every pair of PandaLM as a pair of policies: 2 against 1, in [-1, 1]; all model pairs."""
    text = (folder / "PandaLM" / "pairs.jsonl").read_text()
    rows = [json.loads(line) for line in text.split("\n") if line]
    side = {"0": 0.0, "1": -1.0, "2": 1.0}
    usable = [row for row in rows if str(row["judges"].get(judge)) in side]
    return JudgedPairs(
        judge,
        np.array([np.mean([side[str(one)] for one in row["people"]]) for row in usable]),
        np.array([side[str(row["judges"][judge])] for row in usable]),
    )


def people_needed(
    pairs: JudgedPairs,
    asked: float,
    rng: np.random.Generator,
    runs: int,
    *,
    use_judge: bool = True,
    share: float = 0.3,
) -> tuple[float, float]:
    """Median and 80 % quantile of people's labels to the right verdict.

    Each run draws pairs with replacement, and swaps the two answers of half of them, so that the
    true mean is 0: the new policy is as good as the old one, which must be shown at the margin.
    """
    traffic = Traffic(DECISIONS, round(DECISIONS * share))
    found = []
    for _ in range(runs):
        size = int(2_000 / asked)
        at = rng.integers(0, len(pairs.people), size)
        swap = rng.choice([-1.0, 1.0], size)
        person = rng.random(size) < asked
        stream = Stream(
            np.where(person, swap * pairs.people[at], np.nan),
            np.arange(size),
            np.ones(size),
            np.full(size, asked),
            swap * pairs.judge[at] if use_judge else None,
        )
        look = lower_passes(stream, traffic, -MARGIN)
        found.append(np.inf if look is None else float(person[:look].sum()))
    return float(np.median(found)), float(np.quantile(found, POWER, method="inverted_cdf"))
