"""How long "what if?" takes over a million logged decisions, from the database to the answer.

    python -m benchmarks.what_if                      # `make bench` runs this too
    python -m benchmarks.what_if --keep FILE          # the filled database stays

Fills a database of its own first: decisions of a router that explores 2 %, an outcome for each,
every fifth rated. The budget is ten seconds and 2 GB.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "what_if.json"
BUDGET_SECONDS, BUDGET_MEGABYTES = 10.0, 2000
STRONG, WEAK = "openai/gpt-4.1", "openai/gpt-4.1-nano"
DOMAINS = ("technical", "creative", "educational", "general", "scientific")
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
DAYS, CHUNK, THRESHOLD, EPSILON = 28, 20_000, 0.45, 0.02
ODDS = [f'{{"{STRONG}":{p},"{WEAK}":{round(1 - p, 2)}}}' for p in (EPSILON, 1 - EPSILON)]
DECISION = (
    "id",
    "created_at",
    "domain",
    "unit_hash",
    "revision",
    "model",
    "intended_model",
    "strong_model",
    "weak_model",
    "odds",
    "scores",
    "cost",
    "cost_strong",
    "cost_weak",
    "input_tokens",
)


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(arguments.keep or f"{folder}/what_if.sqlite3").resolve()
        results = measure(arguments.database or f"sqlite:///{file}", arguments.decisions)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print_table(results)


def measure(url: str, decisions: int) -> dict[str, Any]:
    _set_up(url)
    from experiments.models import Decision

    if not Decision.objects.exists():
        _fill(decisions)
    return {
        "decisions": Decision.objects.count(),
        "database": url.split(":", 1)[0],
        "load": round(os.getloadavg()[0], 1),
        **_timed(),
        "megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "budget_seconds": BUDGET_SECONDS,
        "budget_megabytes": BUDGET_MEGABYTES,
    }


def print_table(results: dict[str, Any]) -> None:
    print(f"{results['decisions']:,} decisions, {results['database']}, load {results['load']}\n")
    for name in ("read", "fit", "answer"):
        timing = results[name]
        print(f"{name:<10}{timing['seconds']:>8.1f} s{timing['cpu']:>8.1f} s of processor time")
    total = sum(results[name]["cpu"] for name in ("read", "fit", "answer"))
    print(f"{'together':<10}{results['seconds']:>8.1f} s{total:>8.1f} s of processor time")
    print(f"{'memory':<10}{results['megabytes']:>8} MB at most")
    over = results["seconds"] > BUDGET_SECONDS or results["megabytes"] > BUDGET_MEGABYTES
    print("over budget" if over else "within budget")


def _timed() -> dict[str, Any]:
    """Reading, fitting, and the answer with domains and the curve over all thresholds."""
    from experiments.decisions.rollup_queries import Span
    from experiments.lab.candidates import CandidatePolicy
    from experiments.lab.decision_log import read_log
    from experiments.lab.off_policy import answer, question

    candidate = CandidatePolicy(router="local", threshold=0.6)
    span = Span(BEGIN, BEGIN + timedelta(days=DAYS))
    marks = [(time.perf_counter(), time.process_time())]
    logged = read_log(span)
    marks.append((time.perf_counter(), time.process_time()))
    about = question(logged, candidate)
    marks.append((time.perf_counter(), time.process_time()))
    answer(about, candidate)
    marks.append((time.perf_counter(), time.process_time()))
    steps = zip(("read", "fit", "answer"), marks[:-1], marks[1:], strict=True)
    return {
        **{
            name: {"seconds": round(end[0] - start[0], 2), "cpu": round(end[1] - start[1], 2)}
            for name, start, end in steps
        },
        "seconds": round(marks[-1][0] - marks[0][0], 2),
    }


def _fill(decisions: int) -> None:
    from django.core.management import call_command
    from django.db import connection, transaction

    call_command("migrate", verbosity=0)
    rng = np.random.default_rng(20261125)
    for start in range(0, decisions, CHUNK):
        count = min(CHUNK, decisions - start)
        rows = list(_rows(rng, start, count, decisions))
        with transaction.atomic(), connection.cursor() as cursor:
            _insert(cursor, "experiments_decision", [{**_constants(), **row} for row in rows])
            _insert(cursor, "experiments_outcome", [_outcome(row) for row in rows])
            rated = [_rating(row, rng) for row in rows[::5]]
            _insert(cursor, "experiments_feedback", rated)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _rows(
    rng: np.random.Generator, start: int, count: int, decisions: int
) -> Iterator[dict[str, Any]]:
    scores, sizes = rng.beta(2.2, 2.6, count), rng.lognormal(0, 0.5, count)
    usual = scores >= THRESHOLD
    strong = usual ^ (rng.random(count) < EPSILON)
    units, places = rng.integers(0, decisions // 5, count), rng.integers(0, len(DOMAINS), count)
    for i in range(count):
        at = BEGIN + timedelta(days=DAYS * (start + i) / decisions)
        costs = round(4_200_000 * float(sizes[i])), round(105_000 * float(sizes[i]))
        model = STRONG if strong[i] else WEAK
        score = float(scores[i])
        values = (
            f"{start + i:032x}",
            at.replace(tzinfo=None).isoformat(sep=" "),
            DOMAINS[places[i]],
            f"{units[i]:032x}",
            1 + (start + i) * 20 // decisions,
            model,
            model,
            STRONG,
            WEAK,
            ODDS[int(usual[i])],
            f'{{"local":{score!r},"local_mf":{1 - score!r}}}',
            costs[0] if strong[i] else costs[1],
            *costs,
            max(1, round(140 * float(sizes[i]))),
        )
        yield dict(zip(DECISION, values, strict=True))


def _constants() -> dict[str, Any]:
    """What every row has to have and nothing here reads."""
    texts = ("method", "reason", "tier", "baseline_model", "router", "experiment", "arm")
    more = ("rollout", "rollout_arm", "fallback", "request_id")
    return {
        **dict.fromkeys((*texts, *more), ""),
        "sticky": True,
        "confidence": 1.0,
        "counted": False,
        "audited": False,
        "explored": False,
        "epsilon": EPSILON,
        "priced": True,
        # About as much as a real decision's, so that rows are as far apart as they really are.
        "detail": json.dumps({"padding": "x" * 1800}),
    }


def _outcome(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "decision_id": row["id"],
        "error": "",
        "model": "",
        "occurred_at": row["created_at"],
        "received_at": row["created_at"],
        "cost": round(1.04 * row["cost"]),
    }


def _rating(row: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    liked = rng.random() < (0.93 if row["model"] == STRONG else 0.88)
    return {
        "decision_id": row["id"],
        "metric": "quality",
        "source": "user",
        "value": float(liked),
        "comment": "",
        "occurred_at": row["created_at"],
        "received_at": row["created_at"],
    }


def _insert(cursor: Any, table: str, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    columns, marks = ", ".join(f'"{name}"' for name in names), ", ".join(["%s"] * len(names))
    cursor.executemany(
        f'INSERT INTO "{table}" ({columns}) VALUES ({marks})',
        [list(row.values()) for row in rows],
    )


def _set_up(url: str) -> None:
    os.environ |= {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "routing_site.settings",
        "SECRET_KEY": "benchmark-" + "x" * 50,
        "LOG_LEVEL": "WARNING",
    }
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--database", help="An empty database's address; SQLite where left out.")
    parser.add_argument("--keep", help="Where the filled SQLite database stays.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
