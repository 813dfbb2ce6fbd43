"""What the learning loop recovers of the quality gap, on recorded outcomes of real models.

    python -m benchmarks.learning DATA_FOLDER [--orders 20] [--only NAME]

DATA_FOLDER holds `LLMRouter/scores.csv`, `ZeroEval/scores.csv`, `MMLU-Pro/scores.csv.gz`,
`PandaLM/pairs.jsonl` and RouteLLM's evaluation folder; what is missing is left out. Each stream is
a strong and a weak model on a random sample of the prompts. Printed is the table of
docs/learning.md: PGR of the second half at a strong share of 50 %, mean of the orders. Order 1 is
the sample's, further ones are shuffles.
"""
# ruff: noqa: E402 - Django has to know its settings before the product is imported.

import argparse
import csv
import gzip
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import django
import numpy as np
from threadpoolctl import threadpool_limits

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routing_site.settings")
os.environ.setdefault("SECRET_KEY", "benchmarks-only-" + "x" * 50)
django.setup()

from benchmarks.progress import report
from benchmarks.tables import heading, line
from experiments.analysis.learning.claims import Claim
from experiments.analysis.learning.replay import Rules
from experiments.lab.learning_replay import LearningFigures, prepare_traffic, replay_learning
from experiments.routers.outcomes import Outcomes, PromptOutcome, from_rows, read_outcomes

SEED = 20261129
LLM_ROUTER, ZERO_EVAL = "LLMRouter/scores.csv", "ZeroEval/scores.csv"
MMLU_PRO, PANDA = "MMLU-Pro/scores.csv.gz", "PandaLM/pairs.jsonl"
ROUTELLM, GSM8K = "RouteLLM", "gsm8k"
LEFT_OUT = "high_school_mathematics"  # its strong and weak scores look wrong
NEMOTRON_51B, MISTRAL_7B = "llama-3.1-nemotron-51b-instruct", "mistral-7b-instruct-v0.3"
SONNET = "claude-3-5-sonnet-20240620"
LLAMA, LLAMA_PRO = "Meta-Llama-3.1", "Meta-Llama-3_1"
STRONGER_FIRST = ("llama-7b", "bloom-7b", "opt-7b", "cerebras-gpt-6.7B", "pythia-6.9b")
HUMAN_SCORE = {0: 0.5, 1: 1.0, 2: 0.0}

csv.field_size_limit(10_000_000)


class Stream(NamedTuple):
    """Recorded prompts of one data set, with one strong and one weak model."""

    name: str
    file: str
    strong: str
    weak: str
    rows: int


class Feedback(NamedTuple):
    """What the loop is allowed to see."""

    name: str
    rules: Rules


STREAMS = (
    Stream("tasks A", LLM_ROUTER, NEMOTRON_51B, MISTRAL_7B, 805),
    Stream("tasks B", LLM_ROUTER, "llama-3.1-8b-instruct", MISTRAL_7B, 805),
    Stream("tasks C", LLM_ROUTER, "llama-3.3-nemotron-super-49b-v1", "codegemma-7b", 805),
    Stream("code and math A", ZERO_EVAL, SONNET, "claude-3-haiku-20240307", 805),
    Stream("code and math B", ZERO_EVAL, "gpt-4o-2024-05-13", "gpt-3.5-turbo-0125", 805),
    Stream("code and math C", ZERO_EVAL, f"{LLAMA}-70B-Instruct", f"{LLAMA}-8B-Instruct", 805),
    Stream("exams A", MMLU_PRO, f"{LLAMA_PRO}-70B-Instruct", f"{LLAMA_PRO}-8B-Instruct", 805),
    Stream("exams B", MMLU_PRO, "Qwen1.5-110B", "Qwen1.5-7B-Chat", 805),
    Stream("MMLU", ROUTELLM, "mmlu", "", 805),
    Stream("GSM8K", ROUTELLM, GSM8K, "", 805),
    Stream("instructions", PANDA, "", "", 805),
)
MODES = (
    Feedback("both", Rules()),
    Feedback("pairs only", Rules(feedback=False)),
    Feedback("feedback only", Rules(pairs=0.0)),
)


def main() -> None:
    arguments = _arguments()
    folder: Path = arguments.folder
    chosen = [one for one in STREAMS if arguments.only in one.name and (folder / one.file).exists()]
    if not chosen:
        sys.exit(f"{folder} has none of the files that this benchmark reads.")
    names = ("random", "shipped", *(mode.name for mode in MODES), "served", "shown better")
    print(heading("stream", "prompts", "gap", *names), flush=True)
    for stream in chosen:
        print(row(stream, outcomes_of(folder, stream), arguments.orders), flush=True)


def row(stream: Stream, outcomes: Outcomes, orders: int) -> str:
    """One line of the table. "served" and "shown better" are of the mode with both."""
    traffic = prepare_traffic(outcomes)
    found = []
    for mode in MODES:
        report(f"{stream.name}, {mode.name}")
        with threadpool_limits(limits=1):
            found.append(replay_learning(traffic, mode.rules, orders=orders))
    both = found[0]
    return line(
        stream.name,
        str(both.requests),
        f"{mean((outcomes.strong - outcomes.weak).tolist()):.3f}",
        _pgr(both, "random"),
        _pgr(both, "shipped"),
        *(_pgr(one, "learned") for one in found),
        f"{100 * both.served:.0f} %",
        f"{both.claims[Claim.BETTER]} of {both.orders}",
    )


def _pgr(found: LearningFigures, policy: str) -> str:
    value = found.policies[policy].pgr
    return "-" if value is None else f"{value:.3f}"


def outcomes_of(folder: Path, stream: Stream) -> Outcomes:
    """The stream's sample, in a random order."""
    rows = list(_rows(folder, stream))
    order = np.random.default_rng(SEED).permutation(len(rows))[: stream.rows]
    return from_rows(rows[at] for at in order)


def _rows(folder: Path, stream: Stream) -> Iterator[PromptOutcome]:
    path = folder / stream.file
    if path.is_dir():
        is_gsm8k = stream.strong == GSM8K
        for one in read_outcomes(path).rows():
            if (one.group == GSM8K) == is_gsm8k and one.group != LEFT_OUT:
                yield one._replace(domain="", group="")
    elif path.suffix == ".jsonl":
        yield from _preferences(path)
    else:
        for found in _scores(path):
            yield _outcome(found["prompt"], found[stream.strong], found[stream.weak])


def _scores(path: Path) -> Iterator[Mapping[str, str]]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    yield from csv.DictReader(io.StringIO(text, newline=""))


def _preferences(path: Path) -> Iterator[PromptOutcome]:
    """Three people's choices between two models; the strong one is earlier in a fixed list."""
    for text in path.read_text(encoding="utf-8").splitlines():
        found = json.loads(text)
        first, second = found["pair"].split("_")
        scores = _shares(found["people"])
        if STRONGER_FIRST.index(first) > STRONGER_FIRST.index(second):
            scores = scores[::-1]
        yield _outcome(found["prompt"], *scores)


def _shares(people: Sequence[int]) -> tuple[float, float]:
    first = mean(HUMAN_SCORE[choice] for choice in people)
    return first, 1 - first


def _outcome(prompt: str, strong: float | str, weak: float | str) -> PromptOutcome:
    return PromptOutcome(prompt, float(strong), float(weak), "", "")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--only", default="", help="Streams whose name contains this.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
