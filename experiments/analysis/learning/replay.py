"""The learning loop, played over recorded prompts with both models' qualities known.

Every 50 requests the tables move and a round runs: fit on all labels so far, compare with the
shipped router, choose which of them serves. `random` and `shipped` get tables of the same kind and
target.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.learning.claims import Claim, ClaimProcess
from experiments.analysis.learning.comparison import Compared
from experiments.analysis.learning.gain_model import GainModel, Gains
from experiments.analysis.learning.rounds import (
    LabeledRequests,
    bet_on_pairs,
    choose,
    first_of_unit,
    fit,
)
from experiments.analysis.learning.schedule import PAIRS_AT_FULL_RATE, ROUND_EVERY
from experiments.analysis.learning.threshold_tables import ShareKeeper, recent_rows

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class RecordedTraffic:
    """Recorded requests in the order of the file; arrays of equal length.

    Qualities lie in [0, 1]. `shipped` are the shipped router's scores, `cold` its quantiles on
    shipped prompts.
    """

    model: GainModel
    shipped: Floats
    strong: Floats
    weak: Floats
    domains: Rows
    cold: Floats

    def __len__(self) -> int:
        return len(self.shipped)


class Rules(NamedTuple):
    """Target strong share, share of pairs, and whether the chosen answer's quality is known."""

    share: float = 0.5
    pairs: float = 0.1
    feedback: bool = True


class Chances(NamedTuple):
    """Uniform numbers in [0, 1) for each place in the order: ties, and who becomes a pair."""

    ties: Floats
    pairs: Floats


class RoundLine(NamedTuple):
    """One round: after how many requests, with how many pairs, and what it decided."""

    requests: int
    pairs: int
    compared: Compared | None
    serving: bool
    claim: Claim


class Played(NamedTuple):
    """Who got the strong model, by policy and in the played order; and the rounds."""

    random: Flags
    shipped: Flags
    learned: Flags
    pairs: Flags
    rounds: tuple[RoundLine, ...]


def play(
    traffic: RecordedTraffic,
    order: Rows,
    rules: Rules,
    chances: Chances,
    advance: Callable[[], None] = lambda: None,
) -> Played:
    """Play the requests in this order. `advance` is called after each 50."""
    run = _Run(traffic, order, rules, chances)
    for start in range(0, len(order), ROUND_EVERY):
        run.block(start, min(len(order), start + ROUND_EVERY))
        advance()
    return Played(
        run.random.strong, run.shipped.strong, run.learned.strong, run.pairs, tuple(run.rounds)
    )


class _Policy:
    """One policy's decisions so far, and its tables."""

    def __init__(self, count: int, share: float, cold: Floats) -> None:
        self.strong = np.zeros(count, dtype=np.bool_)
        self.keeper = ShareKeeper(share, cold)


@dataclass
class _Run:
    """The state of one order. Positions count in the played order."""

    traffic: RecordedTraffic
    order: Rows
    rules: Rules
    chances: Chances
    serving: bool = False
    process: ClaimProcess = field(default_factory=ClaimProcess)
    rounds: list[RoundLine] = field(default_factory=list)

    def __post_init__(self) -> None:
        count, order, traffic = len(self.order), self.order, self.traffic
        flat = np.zeros(count)
        self.scores = traffic.shipped[order]
        self.domains = traffic.domains[order]
        self.units = traffic.model.units[order]
        self.gain = (traffic.strong - traffic.weak)[order]
        self.flat = flat
        self.random = _Policy(count, self.rules.share, flat[:1])
        self.shipped = _Policy(count, self.rules.share, traffic.cold)
        self.learned = _Policy(count, self.rules.share, traffic.cold)
        self.pairs = np.zeros(count, dtype=np.bool_)

    def block(self, start: int, stop: int) -> None:
        gains = self._round(start, stop) if start else None
        past, next_ = self.scores[:start], self.scores[start:stop]
        self._decide(self.random, start, self.flat[:start], self.flat[start:stop])
        self._decide(self.shipped, start, past, next_)
        if gains is not None and self.serving:
            fresh = gains.fresh[start:stop].astype(np.float64)
            self._decide(self.learned, start, gains.held_out[:start].astype(np.float64), fresh)
        else:
            self._decide(self.learned, start, past, next_)
        self._draw_pairs(start, stop)
        if gains is not None:
            self._judge(gains, start, stop)

    def _round(self, start: int, stop: int) -> Gains:
        """Fit on all labels of the first `start` requests; compare; choose."""
        requests = self._requests(start)
        fitted = fit(self.traffic.model, requests, self.order[:stop])
        chosen = choose(fitted, requests, self.process, serving=self.serving)
        self.serving = chosen.serving
        pairs = int(self.pairs[:start].sum())
        self.rounds.append(RoundLine(start, pairs, *chosen))
        return fitted.gains

    def _requests(self, start: int) -> LabeledRequests:
        """What is known of the first `start` requests."""
        rows = self.order[:start]
        return LabeledRequests(
            rows=rows,
            shipped=self.scores[:start],
            units=self.units[:start],
            strong=self.learned.strong[:start],
            rated=np.full(start, self.rules.feedback),
            paired=self.pairs[:start],
            strong_quality=self.traffic.strong[rows],
            weak_quality=self.traffic.weak[rows],
        )

    def _decide(self, policy: _Policy, start: int, past: Floats, scores: Floats) -> None:
        """A table for each domain, from the scores `past`; then the decisions of the block."""
        stop = start + len(scores)
        everyone = past[recent_rows(self.units[:start])]
        for domain in np.unique(self.domains[start:stop]):
            here = np.flatnonzero(self.domains[:start] == domain)
            own = past[here[recent_rows(self.units[here])]]
            table = policy.keeper.table(int(domain), own, everyone)
            at = np.flatnonzero(self.domains[start:stop] == domain)
            chosen = table.strong(scores[at], self.chances.ties[start:stop][at])
            policy.strong[start + at] = chosen
            policy.keeper.add(int(domain), table, chosen)

    def _draw_pairs(self, start: int, stop: int) -> None:
        """Pairs are drawn whatever was chosen; from 400 pairs on at half the rate."""
        enough = self.pairs[:start].sum() >= PAIRS_AT_FULL_RATE
        rate = self.rules.pairs / 2 if enough else self.rules.pairs
        self.pairs[start:stop] = self.chances.pairs[start:stop] < rate

    def _judge(self, gains: Gains, start: int, stop: int) -> None:
        """Bet on the block's pairs: both routers choose at the target share, fitted before."""
        before = self.units[:start][self.pairs[:start]]
        pairs = first_of_unit(self.units[start:stop], self.pairs[start:stop], before)
        held_out = gains.held_out[:start].astype(np.float64)
        self.process = bet_on_pairs(
            self.process,
            (held_out, self.scores[:start], self.units[:start]),
            (gains.fresh[start:stop].astype(np.float64), self.scores[start:stop]),
            share=self.rules.share,
            ties=self.chances.ties[start:stop],
            pairs=pairs,
            gains=self.gain[start:stop][pairs],
        )
