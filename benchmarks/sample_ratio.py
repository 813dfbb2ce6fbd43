"""The sample-ratio check looked at every day: false alarms, and how soon a real fault is seen."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from benchmarks.tables import heading, line, share
from experiments.analysis.experiment.health import SAMPLE_RATIO_LEVEL, log_e_values

DAYS = 60
PER_DAY = 200
DOMAINS = 7
HALVES = (0.5, 0.5)

Counts = NDArray[np.int64]


def alarms(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """Experiments with an alarm on any of 60 days; the check once a day and per domain."""
    yield heading("experiments", "tables", "sequential, E >= T / .01", "chi-square p < .001")
    for name, kept in (
        ("sound", 1.0),
        ("2 % of one arm's units lost", 0.98),
        ("5 % of one arm's units lost", 0.95),
    ):
        domains = draw(rng, runs, kept)
        whole = domains.sum(axis=1, keepdims=True)
        for tables in (whole, np.concatenate([whole, domains], axis=1)):
            yield line(
                name,
                str(tables.shape[1]),
                share(int(sequential_alarms(tables).sum()), runs),
                share(int(chi_square_alarms(tables).sum()), runs),
            )


def draw(rng: np.random.Generator, runs: int, kept: float) -> Counts:
    """Units so far in both arms, shape (runs, domains, days, 2)."""
    shape = (runs, DOMAINS, DAYS)
    arriving = rng.multinomial(PER_DAY, [1 / DOMAINS] * DOMAINS, (runs, DAYS)).swapaxes(1, 2)
    treated = rng.binomial(arriving, 0.5, shape)
    seen = rng.binomial(treated, kept, shape)
    counts: Counts = np.stack([arriving - treated, seen], axis=-1).cumsum(axis=2)
    return counts


def sequential_alarms(tables: Counts) -> NDArray[np.bool_]:
    threshold = np.log(tables.shape[1] / SAMPLE_RATIO_LEVEL)
    alarmed: NDArray[np.bool_] = (log_e_values(tables, HALVES) >= threshold).any(axis=(1, 2))
    return alarmed


def chi_square_alarms(tables: Counts) -> NDArray[np.bool_]:
    expected = np.maximum(tables.sum(axis=-1, keepdims=True) / 2, 1e-9)
    p = chdtrc(1, ((tables - expected) ** 2 / expected).sum(axis=-1))
    alarmed: NDArray[np.bool_] = (p < 0.001).any(axis=(1, 2))
    return alarmed
