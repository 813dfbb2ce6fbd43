"""The tables of docs/cascades.md: verified cascades on recorded answers of real models.

`python -m benchmarks.cascades FOLDER` reads ZeroEval's `scores.csv` and `answers.jsonl.gz` and
RouteLLM's evaluation of GSM8K from FOLDER. Costs are characters / 4 at the catalogue's prices of
the models themselves. Ten minutes on two cores.
"""

import csv
import gzip
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.progress import report
from benchmarks.tables import heading, line

TASKS = {"gsm": "easy word problems", "crux": "code output", "math-l5": "hard mathematics"}
PRICED_AS = {
    "Meta-Llama-3.1-8B-Instruct": "groq/llama-3.1-8b-instant",
    "claude-3-haiku-20240307": "anthropic/claude-3-haiku-20240307",
    "claude-3-5-sonnet-20241022": "anthropic/claude-3-5-sonnet-20241022",
    "gpt-4o-mini-2024-07-18": "openai/gpt-4o-mini-2024-07-18",
    "gpt-4o-2024-08-06": "openai/gpt-4o-2024-08-06",
}
SHORT = {
    "Meta-Llama-3.1-8B-Instruct": "Llama 3.1 8B",
    "claude-3-haiku-20240307": "Haiku 3",
    "claude-3-5-sonnet-20241022": "Sonnet 3.5",
    "gpt-4o-mini-2024-07-18": "GPT-4o mini",
    "gpt-4o-2024-08-06": "GPT-4o",
}
FREE = ("checks", "prompt", "answer", "arithmetic", "router")
ALONE = ("checks", "answer", "arithmetic", "agreement")


class Models(NamedTuple):
    weak: str
    second: str
    strong: str


LLAMA, HAIKU, SONNET, MINI, GPT = PRICED_AS
PAIRS = (Models(LLAMA, MINI, GPT), Models(HAIKU, LLAMA, SONNET), Models(LLAMA, HAIKU, SONNET))


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routing_site.settings")
    os.environ.setdefault("SECRET_KEY", "benchmark" * 8)
    import django

    django.setup()
    folder = Path(sys.argv[1])
    zero_eval = _ZeroEval(folder / "ZeroEval")
    print(_main_table(zero_eval, folder / "RouteLLM"))
    print(_verifier_table(zero_eval))


class _ZeroEval:
    def __init__(self, folder: Path) -> None:
        csv.field_size_limit(10**9)
        with (folder / "scores.csv").open(encoding="utf-8", newline="") as lines:
            self.rows = list(csv.DictReader(lines))
        self.answers: dict[str, dict[str, str]] = defaultdict(dict)
        with gzip.open(folder / "answers.jsonl.gz", "rt", encoding="utf-8") as answers:
            for found in map(json.loads, answers):
                self.answers[found["id"]][found["model"]] = found["answer"]

    def pairs(self, models: Models, task: str | None, *, second: bool) -> list[Any]:
        """Of one task, or of all with the task as the group."""
        from experiments.lab.answer_pairs import AnswerPair

        found = []
        for row in self.rows:
            known = self.answers[row["id"]]
            if (task is None or row["task"] == task) and set(models) <= set(known):
                costs = {name: _cost(name, row["prompt"], known[name]) for name in models}
                found.append(
                    AnswerPair(
                        prompt=row["prompt"],
                        weak_answer=known[models.weak],
                        strong_answer=known[models.strong],
                        weak=float(row[models.weak]),
                        strong=float(row[models.strong]),
                        second_answer=known[models.second] if second else None,
                        weak_cost=costs[models.weak],
                        second_cost=costs[models.second],
                        strong_cost=costs[models.strong],
                        group="" if task else row["task"],
                    )
                )
        return found


def _cost(model: str, prompt: str, answer: str) -> int:
    """Nano-dollars."""
    from experiments.configuration.prices import catalogue_price
    from experiments.core.costs import estimate_tokens

    if model not in _PRICES:
        price = catalogue_price(PRICED_AS[model])
        if price is None:
            raise SystemExit(f"The catalogue has no price of {PRICED_AS[model]}.")
        _PRICES[model] = float(price[0]), float(price[1])
    read, wrote = _PRICES[model]
    return round(1000 * (estimate_tokens(prompt) * read + estimate_tokens(answer) * wrote))


_PRICES: dict[str, tuple[float, float]] = {}


def _gsm8k(folder: Path) -> list[Any]:
    from experiments.lab.answer_pairs import AnswerPair
    from experiments.routers.outcomes import (
        STRONG_MODEL,
        WEAK_MODEL,
        benchmark_files,
        contaminated_prompts,
    )

    file = next(one for one in benchmark_files(folder) if "gsm8k" in one.name)
    left_out = contaminated_prompts(file)
    with file.open(encoding="utf-8", newline="") as lines:
        return [
            AnswerPair(
                prompt=row["prompt"],
                weak_answer=row[f"{WEAK_MODEL}_response"],
                strong_answer=row[f"{STRONG_MODEL}_response"],
                weak=float(row[WEAK_MODEL] == "True"),
                strong=float(row[STRONG_MODEL] == "True"),
            )
            for row in csv.DictReader(lines)
            if row["prompt"] not in left_out
        ]


def _main_table(zero_eval: _ZeroEval, route_llm: Path) -> str:
    return "\n".join(
        (
            heading(
                *("task", "weak, second, strong", "quality", "escalated", "PGR (se)", "cost"),
                *("router, same share", "router, same cost"),
            ),
            *_main_lines(zero_eval, route_llm),
        )
    )


def _main_lines(zero_eval: _ZeroEval, route_llm: Path) -> Iterator[str]:
    from experiments.lab.cascade_replay import replay_cascade

    for task, name in TASKS.items():
        for models in PAIRS:
            for second in (True, False):
                report(f"{name}: {models}")
                found = replay_cascade(zero_eval.pairs(models, task, second=second))
                yield line(name, _names(models, second=second), *_cells(found))
    report("GSM8K of RouteLLM")
    yield line("GSM8K", "Mixtral 8x7B, none, GPT-4", *_cells(replay_cascade(_gsm8k(route_llm))))
    for models in PAIRS:
        report(f"Other tasks: {models}")
        found = replay_cascade(zero_eval.pairs(models, None, second=True))
        yield line("all three, trained on the others", _names(models, second=True), *_cells(found))


def _verifier_table(zero_eval: _ZeroEval) -> str:
    """PGR by verifier with one pair of models."""
    from experiments.lab.cascade_replay import replay_cascade
    from experiments.verifiers.features import GROUPS

    lines = [heading("verifier", *TASKS.values())]
    chosen: Mapping[str, tuple[str, ...]] = {
        **{name: (name,) for name in ALONE},
        "all that are free": FREE,
        "all": tuple(GROUPS),
    }
    pairs = {task: zero_eval.pairs(PAIRS[0], task, second=True) for task in TASKS}
    for name, verifiers in chosen.items():
        report(name)
        found = [
            replay_cascade(rows, verifiers=verifiers, with_routers=False) for rows in pairs.values()
        ]
        lines.append(line(name, *(f"{one.pgr:.2f}" for one in found if one.pgr is not None)))
    return "\n".join(lines)


def _names(models: Models, *, second: bool) -> str:
    middle = SHORT[models.second] if second else "none"
    return f"{SHORT[models.weak]}, {middle}, {SHORT[models.strong]}"


def _cells(found: Any) -> tuple[str, ...]:
    quality = f"{found.weak:.3f} to {found.strong:.3f}"
    share = f"{found.escalated:.0%}"
    if found.pgr is None:
        return quality, share, "undefined", f"{found.cost_share:.0%}", "", ""
    points = (f"{point.pgr:.2f}" if point else "" for point in (found.same_share, found.same_cost))
    return quality, share, f"{found.pgr:.2f} ({found.se:.2f})", f"{found.cost_share:.0%}", *points


if __name__ == "__main__":
    main()
