"""How long the lab takes: a million scored outcomes evaluated, and a router trained on 15,000.

Run alone: `python -m benchmarks.lab`. `make bench` runs it in a process of its own and reports it.
The outcomes are generated: prompts of made-up words, some of which make a prompt hard.
"""

import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.progress import report

EVALUATED, TRAINED = 1_000_000, 15_000
BATCH = 5_000
KINDS = ("local", "local_mf", "linear", "knn")
DOMAINS = ("technical", "legal", "medical", "financial", "general")


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or [EVALUATED, TRAINED]
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), *sizes), indent=2))


def measure(folder: Path, evaluated: int, trained: int) -> dict[str, Any]:
    """Peak memory is this process's, over everything so far."""
    _set_up(folder)
    from django.db import transaction

    from experiments.models import OutcomeScores, OutcomeSet, RecordedOutcome

    report(f"Lab: storing {evaluated:,} outcomes …")
    with transaction.atomic():
        for start in range(0, evaluated, BATCH):
            rows = list(_rows("million", range(start, min(evaluated, start + BATCH))))
            RecordedOutcome.objects.bulk_create(rows)
    whole = OutcomeSet.objects.get(name="million")
    last = RecordedOutcome.objects.filter(outcome_set=whole).latest("id").pk
    import numpy as np

    from experiments.routing.router_lookup import find_scorer

    scored = np.random.default_rng(0).random(evaluated)
    OutcomeScores.objects.create(
        outcome_set=whole,
        router_key=find_scorer("local").key,
        values=scored.tobytes(),
        count=evaluated,
        last_id=last,
        microseconds=500.0,
    )
    return {
        "evaluation": _evaluation(evaluated),
        "training": [_training(kind, trained) for kind in KINDS],
    }


def _evaluation(rows: int) -> dict[str, Any]:
    from experiments.lab.evaluation_inputs import of_set
    from experiments.lab.evaluations import compare

    report(f"Lab: evaluating {rows:,} outcomes …")
    started = time.perf_counter()
    ready = of_set("million", ["local"], 0)
    read = time.perf_counter() - started
    compare(ready.columns, ready.entrants)
    seconds = time.perf_counter() - started
    return {
        "rows": rows,
        "domains": len(DOMAINS),
        "read_seconds": round(read, 2),
        "seconds": round(seconds, 2),
        "megabytes": _megabytes(),
    }


def _training(kind: str, rows: int) -> dict[str, Any]:
    from experiments.lab.training import TrainingRequest, train
    from experiments.models import OutcomeSet, RecordedOutcome

    if not OutcomeSet.objects.filter(name="training").exists():
        RecordedOutcome.objects.bulk_create(_rows("training", range(rows)), batch_size=BATCH)
    report(f"Lab: training {kind} on {rows:,} outcomes …")
    started = time.perf_counter()
    found = train(TrainingRequest(f"bench_{kind}", kind, "training"), "benchmark")
    return {
        "kind": kind,
        "rows": rows,
        "seconds": round(time.perf_counter() - started, 1),
        "apgr": dict(found.manifest.measured),
        "megabytes": _megabytes(),
    }


def _rows(name: str, numbers: range) -> Iterator[Any]:
    from django.utils import timezone

    from experiments.models import OutcomeSet, RecordedOutcome

    now = timezone.now()
    times = {"created_at": now, "updated_at": now}
    outcome_set, _ = OutcomeSet.objects.get_or_create(name=name, defaults=times)
    for number in numbers:
        chance = random.Random(number)
        hard = chance.random()
        yield RecordedOutcome(
            outcome_set=outcome_set,
            digest=f"{number:064d}",
            prompt=_prompt(chance, hard) if name == "training" else f"Prompt {number}",
            domain=chance.choice(DOMAINS),
            group=f"group-{number % 50}",
            strong_score=float(chance.random() < 0.95 - 0.2 * hard),
            weak_score=float(chance.random() < 0.95 - 0.6 * hard),
            strong_cost=10_000_000,
            weak_cost=500_000,
        )


def _prompt(chance: random.Random, hard: float) -> str:
    """About forty words; harder ones have longer words and options more often."""
    words = "value theory market cell patient contract circuit energy matrix history nation river"
    rare = "eigenvalue stoichiometric fiduciary myocardial hermeneutic asymptotic promissory"
    pool = words.split() * 3 + rare.split() * round(1 + 4 * hard)
    text = " ".join(chance.choice(pool) for _ in range(40))
    if chance.random() < 0.7:
        options = "\n".join(f"{letter}. {chance.choice(pool)}" for letter in "ABCD")
        return f"Which is true of {text}?\n{options}\nAnswer:"
    return f"Explain {text}, starting from {chance.randrange(1000)}."


def _megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _set_up(folder: Path) -> None:
    os.environ |= {
        "DATABASE_URL": f"sqlite:///{folder / 'lab.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "routing_site.settings",
        "SECRET_KEY": "benchmark-" + "x" * 50,
        "LAB_DIR": str(folder / "files"),
        "LOG_LEVEL": "WARNING",
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    call_command("seed", stdout=sys.stderr)


if __name__ == "__main__":
    main()
