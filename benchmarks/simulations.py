"""Do the verdicts keep their word? Simulated experiments with a known truth, in tables.

    python -m benchmarks.simulations                    # all tables, minutes on one core
    python -m benchmarks.simulations --only coverage --runs 10000

A share is followed by its standard error in brackets. The same seed prints the same tables.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from benchmarks import guarantees, intervals, sample_ratio, verdicts

SEED = 20261122


class Table(NamedTuple):
    title: str
    rows: Callable[[np.random.Generator, int], Iterator[str]]
    runs: int


TABLES = {
    "verdicts": Table(
        "Verdicts given at any of 60 daily looks (level 5 %)", verdicts.wrong_verdicts, 2000
    ),
    "power": Table("Power: one planned look against looking every day", verdicts.power, 500),
    "coverage": Table("Coverage of 95 % intervals", intervals.coverage, 2000),
    "srm": Table("Sample-ratio alarms on any of 60 days", sample_ratio.alarms, 5000),
    "promises": Table("Thresholds calibrated at a risk of 10 %", guarantees.promises, 500),
    "drift": Table("Looks that say scores moved", guarantees.drift_alarms, 2000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulates experiments and prints tables.")
    parser.add_argument("--only", choices=TABLES, help="print this table only")
    parser.add_argument("--runs", type=int, help="simulated experiments per row")
    parser.add_argument("--seed", type=int, default=SEED, help=f"default {SEED}")
    options = parser.parse_args()
    for name in [options.only] if options.only else TABLES:
        table = TABLES[name]
        runs = options.runs or table.runs
        print(f"\n### {table.title} ({runs:,} experiments a row)\n")
        # Each table has its own stream: printing one alone gives the same numbers.
        rng = np.random.default_rng([options.seed, list(TABLES).index(name)])
        for row in table.rows(rng, runs):
            print(row, flush=True)


if __name__ == "__main__":
    main()
