"""How often a wrapping around a question changes where its prompt goes.

    python -m benchmarks.wrapping [DATA_FOLDER] [--prompts 300]

The questions are the hand-written prompts of all domains, and with DATA_FOLDER also recorded ones:
`LLMRouter/scores.csv`, `ZeroEval/scores.csv`, `PandaLM/pairs.jsonl`; what is missing is left out.
Each question is routed alone and in each wrapping, by the shipped detector, router and thresholds,
with the seeded flags: medical, legal and financial prompts go to the domain selector. Printed is
the share of changed decisions (strong, weak or selector) and of changed domains.
"""

import argparse
import csv
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.tables import heading, line
from experiments.core.domains import CAREFUL
from experiments.routers.detector import LearnedDetector
from experiments.routers.domain_prompts import load_sources
from experiments.routers.features import featurise
from experiments.routers.local import OVERALL, LocalRouter, calibrated_thresholds

SEED = 20261129
LLM_ROUTER, ZERO_EVAL = "LLMRouter/scores.csv", "ZeroEval/scores.csv"
PANDA = "PandaLM/pairs.jsonl"
PREAMBLE = (
    "You are a careful assistant who works for a mid-sized company. The company was founded "
    "many years ago and has offices in several cities. Its employees value clear "
    "communication, and they like it when things are explained in a calm and friendly tone. "
    "The weather this week has been mild, with a few clouds in the afternoon, and most people "
    "have been walking to work. The cafeteria serves lunch from noon until two, and the "
    "garden behind the building is open to everyone who would like to sit outside for a "
    "while. There is a small library on the second floor with magazines and novels, and a "
    "room with comfortable chairs where colleagues meet on Fridays. Nothing in this paragraph "
    "is needed in order to answer, it only describes the surroundings in which the message "
    "was written. Please read the message that follows with attention, and then reply in the "
    "way that you think is most helpful for its author."
)
DOCUMENT = "\n\n".join(
    (
        (
            "The river rises in the hills north of the town and flows through three valleys. In "
            "spring the water is high."
        ),
        (
            "Farmers have used the fields along the banks for centuries. They grow barley, oats "
            "and clover, and keep sheep on the slopes."
        ),
        (
            "A narrow road follows the river. It was paved in the last century and carries little "
            "traffic."
        ),
    )
)
_COLOUR = "What colour is the sky?"
_LEGS = "How many legs does a dog have?"
WRAPPINGS: Mapping[str, Callable[[str], str]] = {
    "preamble, paragraph": lambda text: f"{PREAMBLE}\n\n{text}",
    "preamble, line": lambda text: f"{PREAMBLE}\n{text}",
    "preamble, same line": lambda text: f"{PREAMBLE} {text}",
    "system prompt": lambda text: f"You are a helpful assistant.\n\n{text}",
    "document before": lambda text: f"{DOCUMENT}\n\n{text}",
    "document after": lambda text: f"{text}\n\n{DOCUMENT}",
    "document in tags": lambda text: f"<document>\n{DOCUMENT}\n</document>\n\n{text}",
    "document in tags after": lambda text: f"{text}\n\n<context>\n{DOCUMENT}\n</context>",
    "document in a fence": lambda text: f"{text}\n```\n{DOCUMENT}\n```",
    "document above a rule": lambda text: f"{DOCUMENT}\n---\n{text}",
    "context and question": lambda text: f"Context:\n{DOCUMENT}\n\nQuestion: {text}\n\nAnswer:",
    "two examples": lambda text: f"Q: {_COLOUR}\nA: Blue.\n\nQ: {_LEGS}\nA: Four.\n\nQ: {text}\nA:",
    "input and output": lambda text: (
        f"Input: apple\nOutput: fruit\n\nInput: carrot\nOutput: vegetable\n\nInput: {text}\nOutput:"
    ),
    "German examples": lambda text: (
        f"Frage: Welche Farbe hat der Himmel?\nAntwort: Blau.\n\nFrage: "
        f"Wie viele Beine hat ein Hund?\nAntwort: Vier.\n\nFrage: {text}\nAntwort:"
    ),
    "examples with reasons": lambda text: (
        "Answer the questions.\n\n"
        f"Question: {_COLOUR}\nAnswer: It is day.\nSo it is blue.\n\n"
        f"Question: {_LEGS}\nAnswer: Four.\n\nQuestion: {text}\nAnswer:"
    ),
    "thanks": lambda text: f"{text} Thanks in advance!",
    "thanks, paragraph": lambda text: f"{text}\n\nThanks in advance!",
    "thanks in German": lambda text: f"{text}\n\nVielen Dank im Voraus",
    "greeting": lambda text: f"Hi there! {text}",
    "letter": lambda text: f"Hello,\n\n{text}\n\nBest regards,\nAnna",
    "no full stop": lambda text: text.rstrip().rstrip("."),
    "full stop": lambda text: text if text.rstrip()[-1:] in ".?!:" else f"{text.rstrip()}.",
    "spaces and lines": lambda text: f"  {text}\n\n",
}


class Routed(NamedTuple):
    """`side`: strong, weak, or selector."""

    domain: str
    side: str


class ShippedRouting:
    """The shipped detector, router and thresholds, without a database."""

    def __init__(self) -> None:
        self._detector = LearnedDetector.load()
        self._router = LocalRouter.load()
        self._thresholds = calibrated_thresholds()

    def __call__(self, text: str) -> Routed:
        features = featurise(text)
        domain = self._detector.candidates(features)[0].name
        if domain in CAREFUL:
            return Routed(domain, "selector")
        threshold = self._thresholds.get(domain, self._thresholds[OVERALL])
        return Routed(domain, "strong" if self._router.score(features) >= threshold else "weak")


class Changes(NamedTuple):
    """Shares of prompts."""

    decisions: float
    domains: float


def changes(
    prompts: Sequence[str], wrap: Callable[[str], str], route: Callable[[str], Routed]
) -> Changes:
    pairs = [(route(prompt), route(wrap(prompt))) for prompt in prompts]
    return Changes(
        sum(alone.side != wrapped.side for alone, wrapped in pairs) / len(pairs),
        sum(alone.domain != wrapped.domain for alone, wrapped in pairs) / len(pairs),
    )


def question_sets(folder: Path | None, most: int) -> dict[str, list[str]]:
    """A sample of each set."""
    found = {"written": [text for one in load_sources() for text in (*one.seed, *one.prompts)]}
    for file in (LLM_ROUTER, ZERO_EVAL, PANDA) if folder else ():
        path = Path(str(folder)) / file
        if path.exists():
            found[file.partition("/")[0]] = list(dict.fromkeys(_prompts(path)))
    rng = random.Random(SEED)
    return {name: rng.sample(texts, min(most, len(texts))) for name, texts in found.items()}


def _prompts(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as lines:
        if path.suffix == ".jsonl":
            return [json.loads(row)["prompt"] for row in lines]
        return [row["prompt"] for row in csv.DictReader(lines)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--prompts", type=int, default=300, help="Of each set.")
    arguments = parser.parse_args()
    csv.field_size_limit(10_000_000)
    route = ShippedRouting()
    sets = question_sets(arguments.folder, arguments.prompts)
    names = [cell for name in sets for cell in (f"{name}: decisions", "domains")]
    print(heading("wrapping", *names), flush=True)
    for name, wrap in WRAPPINGS.items():
        cells = [
            f"{100 * share:.1f} %"
            for prompts in sets.values()
            for share in changes(prompts, wrap, route)
        ]
        print(line(name, *cells), flush=True)


if __name__ == "__main__":
    main()
