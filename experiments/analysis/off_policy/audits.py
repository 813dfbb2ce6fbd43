"""Which ratings count, and their probabilities: only random audits if there are enough.

Whether users rate may depend on the answer, and no model of rating can correct for that. An audit
can: it selects decisions by a hash, independent of their outcome, and has them rated. If a domain
has enough audited ratings, only these count, for the decisions that an audit could have selected;
voluntary ratings are not used at all. Otherwise all ratings count, weighted by their probability
given the recorded data, which is correct only if ratings are missing at random given these data.

Decisions that an audit selects with the same probability form a group (an experiment's phase). That
probability is the selected share; if some selected decisions were never rated, it is multiplied by
the probability that a selected decision is rated.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.off_policy.nuisance import SIDES, Cells, Floats, Ints, rating_rates

Rows = NDArray[np.bool_]

MIN_AUDITED = 60
"""With this many audited ratings of a domain, its voluntary ratings no longer count."""


class RatedEvidence(NamedTuple):
    """The decisions that quality is estimated for, the ratings that count, and the probability
    that each decision's rating would count, on every side.

    `most` is what that probability hardly exceeds. `by_audit` are decisions of domains where only
    audited ratings count.
    """

    rows: Rows
    ratings: Rows
    rate: Floats
    most: Floats
    clipped: Rows
    by_audit: Rows


def seen_ratings(
    cells: Cells,
    took: Ints,
    domains: Ints,
    rated: Rows,
    audited: Rows | None = None,
    groups: Ints | None = None,
) -> RatedEvidence:
    """`groups` number decisions that are audited with the same probability; None: all are."""
    if audited is None or not audited.any():
        found = rating_rates(cells, took, rated)
        return RatedEvidence(np.ones(len(took), bool), rated, *found, np.zeros(len(took), bool))
    by_audit = _has_enough(domains, rated & audited)
    drawn = _shares(np.zeros(len(took), np.int64) if groups is None else groups, audited)
    ratings = rated & np.where(by_audit, audited, True)
    free = rating_rates(cells, took, ratings & ~by_audit, ~by_audit)
    done = rating_rates(cells, took, ratings & by_audit, audited & by_audit)
    column = by_audit[:, None]
    return RatedEvidence(
        rows=~by_audit | (drawn > 0),
        ratings=ratings,
        rate=np.where(column, drawn[:, None] * done.rate, free.rate),
        most=np.where(column, drawn[:, None] * done.most, free.most),
        clipped=np.where(column, done.clipped, free.clipped),
        by_audit=by_audit,
    )


def all_seen(seen: Rows) -> RatedEvidence:
    """For a metric that is known of `seen`, such as cost."""
    n = len(seen)
    certain = np.ones((n, SIDES))
    return RatedEvidence(
        seen, seen, certain, certain, np.zeros((n, SIDES), bool), np.zeros(n, bool)
    )


def _has_enough(domains: Ints, audited: Rows) -> Rows:
    counts = np.bincount(domains, audited) if len(domains) else np.zeros(0)
    return np.asarray(counts[domains] >= MIN_AUDITED)


def _shares(groups: Ints, audited: Rows) -> Floats:
    """The share of each decision's group that was drawn."""
    drawn, every = np.bincount(groups, audited), np.bincount(groups)
    return np.asarray((drawn / np.maximum(every, 1))[groups], np.float64)
