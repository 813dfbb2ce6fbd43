"""Markdown tables of shares with their standard errors, for the benchmarks."""

import argparse
from collections.abc import Callable, Iterator, Mapping
from math import sqrt
from typing import NamedTuple

import numpy as np


def heading(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n|{'---|' * len(cells)}"


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def share(hits: float, runs: int) -> str:
    """'4.6 % (0.5)': a share of runs and its standard error, both in percent."""
    rate = hits / runs
    return f"{100 * rate:.1f} % ({100 * sqrt(rate * (1 - rate) / runs):.1f})"


def batches(runs: int, size: int = 50) -> Iterator[int]:
    """Sizes that sum to `runs`: drawing all runs at once would not fit into memory."""
    for start in range(0, runs, size):
        yield min(size, runs - start)


class Table(NamedTuple):
    """`rows` takes a generator of random numbers and how often to simulate; `runs` is the usual
    number."""

    title: str
    rows: Callable[[np.random.Generator, int], Iterator[str]]
    runs: int


def table_options(
    tables: Mapping[str, Table], description: str, seed: int, each: str
) -> argparse.ArgumentParser:
    """The options of a command that prints tables: `--only`, `--runs` and `--seed`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--only", choices=tables, help="print this table only")
    parser.add_argument("--runs", type=int, help=f"simulated {each}")
    parser.add_argument("--seed", type=int, default=seed, help=f"default {seed}")
    return parser


def print_tables(tables: Mapping[str, Table], options: argparse.Namespace, each: str) -> None:
    """Each table has its own stream of random numbers, so `--only` gives the same rows."""
    for number, (name, table) in enumerate(tables.items()):
        if options.only in (None, name):
            runs = options.runs or table.runs
            print(f"\n### {table.title} ({runs:,} {each})\n")
            for row in table.rows(np.random.default_rng([options.seed, number]), runs):
                print(row, flush=True)
