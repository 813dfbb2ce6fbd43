"""Claims about the learned router: two always-valid processes, one for each direction.

A claim is not a choice: what is served follows the comparison, which may be wrong; what is claimed
holds at every look. For each pair, both routers choose with tables from before it, and the learned
router was fitted before it. Under the hypothesis that it is no better, the mean of the difference d
(in [-1, 1]) is at most 0, so a bet on d > 0 wins more than 20 times its stake with probability at
most 5 %, ever (Ville's inequality; Waudby-Smith and Ramdas, "Estimating means of bounded random
variables by betting", 2024). The stakes are a fixed grid, averaged.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import log, log1p

import numpy as np

LEVEL = 0.05
STAKES = (0.05, 0.1, 0.2, 0.3, 0.45, 0.6)


class Claim(StrEnum):
    BETTER = "shown better"
    WORSE = "shown worse"
    NONE = "not shown"


def _even() -> tuple[float, ...]:
    return (0.0,) * len(STAKES)


@dataclass(frozen=True)
class ClaimProcess:
    """The logarithms of what each stake has become, for both directions."""

    better: tuple[float, ...] = _even()
    worse: tuple[float, ...] = _even()
    pairs: int = 0

    def with_pair(self, difference: float) -> "ClaimProcess":
        """After one more pair. `difference` is learned minus shipped. Raises ``ValueError``."""
        if not -1 <= difference <= 1:
            raise ValueError(f"The difference is {difference}; it must lie between -1 and 1.")
        return replace(
            self,
            better=_after(self.better, difference),
            worse=_after(self.worse, -difference),
            pairs=self.pairs + 1,
        )

    @property
    def claim(self) -> Claim:
        """What the pairs show now."""
        if _mean_log(self.worse) >= -log(LEVEL):
            return Claim.WORSE
        return Claim.BETTER if _mean_log(self.better) >= -log(LEVEL) else Claim.NONE


def _after(logs: tuple[float, ...], difference: float) -> tuple[float, ...]:
    pairs = zip(logs, STAKES, strict=True)
    return tuple(won + log1p(stake * difference) for won, stake in pairs)


def _mean_log(logs: tuple[float, ...]) -> float:
    return float(np.logaddexp.reduce(logs)) - log(len(logs))
