"""Markdown tables of shares with their standard errors, for the benchmarks."""

from collections.abc import Iterator
from math import sqrt


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
