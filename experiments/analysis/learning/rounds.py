"""One round of learning: labels, comparison, choice and claims. The replay and the live loop share
this code, so both give the same result on the same labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.learning.claims import Claim, ClaimProcess
from experiments.analysis.learning.comparison import (
    Compared,
    compare_routers,
    expected_gains,
    serves_next,
)
from experiments.analysis.learning.gain_model import GainModel, Gains, Labels, newest
from experiments.analysis.learning.threshold_tables import (
    ENOUGH_SCORES,
    recency_weights,
    recent_rows,
    table_for_share,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class LabeledRequests:
    """Requests in order, oldest first; arrays of equal length.

    `rows` are their rows in the gain model, `shipped` the shipped router's scores. `strong` says
    whose answer the caller got, `rated` whether its quality is known, `paired` whether both are.
    Qualities that are not known are not read.
    """

    rows: Rows
    shipped: Floats
    units: Rows
    strong: Flags
    rated: Flags
    paired: Flags
    strong_quality: Floats
    weak_quality: Floats

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def pair_gains(self) -> Floats:
        """How much better the strong model's answer is, for each pair in order."""
        at = np.flatnonzero(self.paired)
        return self.strong_quality[at] - self.weak_quality[at]


class Fitted(NamedTuple):
    """The gains of all requests asked for, and the labels that they are from."""

    gains: Gains
    labels: Labels


class Chosen(NamedTuple):
    """What a round decides. `serving`: the learned router serves from now on."""

    compared: Compared | None
    serving: bool
    claim: Claim


def labels_of(requests: LabeledRequests, most_rows: int) -> Labels:
    """Both answers of pairs, and the chosen answer of rated requests.

    `most_rows` is the number of rows of the gain model.
    """
    strong = requests.paired | (requests.strong & requests.rated)
    weak = requests.paired | (~requests.strong & requests.rated)
    rows = np.concatenate((requests.rows[strong], requests.rows[weak]))
    is_strong = np.arange(len(rows)) < strong.sum()
    quality = np.concatenate((requests.strong_quality[strong], requests.weak_quality[weak]))
    paired = np.zeros(most_rows, dtype=np.bool_)
    paired[requests.rows[requests.paired]] = True
    return newest(Labels(rows, is_strong, quality.astype(np.float32)), paired)


def fit(model: GainModel, requests: LabeledRequests, rows: Rows) -> Fitted:
    """Fit on the labels of `requests`, and estimate the gains of `rows`."""
    labels = labels_of(requests, len(model.shipped))
    return Fitted(model.gains(labels, rows), labels)


def choose(
    fitted: Fitted,
    requests: LabeledRequests,
    process: ClaimProcess,
    *,
    serving: bool,
    only: Flags | None = None,
) -> Chosen:
    """Compare with the shipped router and choose. `fitted` starts with the rows of `requests`.

    With `only`, the comparison is restricted to these requests, for example to one domain.
    """
    count = len(requests)
    held_out = fitted.gains.held_out[:count].astype(np.float64)
    expected = _expected(held_out, fitted, requests)
    here = np.ones(count, dtype=np.bool_) if only is None else only
    place = np.cumsum(here) - 1
    paired = np.flatnonzero(requests.paired & here)
    gains = requests.strong_quality[paired] - requests.weak_quality[paired]
    compared = compare_routers(
        held_out[here], requests.shipped[here], expected[here], place[paired], gains
    )
    claim = process.claim
    serves = serves_next(serving, compared) and claim is not Claim.WORSE
    return Chosen(compared, serves, claim)


def bet_on_pairs(
    process: ClaimProcess,
    before: tuple[Floats, Floats, Sequence[int] | Rows],
    block: tuple[Floats, Floats],
    *,
    share: float,
    ties: Floats,
    pairs: Rows,
    gains: Floats,
) -> ClaimProcess:
    """After the pairs of a block of requests, which the learned router has not seen.

    `before` holds the learned and shipped scores and the units of the requests before the block,
    `block` the learned and shipped scores of the block. `pairs` are positions in the block, `gains`
    what they showed.
    """
    used = recent_rows(before[2])
    if len(used) < ENOUGH_SCORES:
        return process
    weights = recency_weights(len(used))
    new = table_for_share(before[0][used], share, weights=weights)
    old = table_for_share(before[1][used], share, weights=weights)
    learned, shipped = new.strong(block[0], ties), old.strong(block[1], ties)
    for at, gain in zip(pairs, gains, strict=True):
        moved = float(learned[at]) - float(shipped[at])
        process = process.with_pair(moved * float(gain))
    return process


def first_of_unit(units: Rows, paired: Flags, units_before: Rows) -> Rows:
    """Positions of the pairs whose unit has no earlier pair: a unit counts once in the claims."""
    seen = set(units_before.tolist())
    kept = []
    for at in np.flatnonzero(paired):
        unit = int(units[at])
        if unit not in seen:
            seen.add(unit)
            kept.append(at)
    return np.array(kept, dtype=np.intp)


def _expected(held_out: Floats, fitted: Fitted, requests: LabeledRequests) -> Floats:
    """The gains of the requests, with the ratings of their chosen answers."""
    labels = fitted.labels
    places = np.full(int(requests.rows.max(initial=0)) + 1, -1, dtype=np.intp)
    places[requests.rows] = np.arange(len(requests))
    at = places[labels.rows]
    residuals = np.zeros(len(held_out))
    chosen = (labels.strong == requests.strong[at]) & requests.rated[at]
    residuals[at[chosen]] = fitted.gains.residuals[chosen]
    return expected_gains(held_out, residuals, requests.strong)
