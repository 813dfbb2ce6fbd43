"""What each router is worth on the pairs of a domain, as a round stores it and pages read it."""

from typing import Any

import numpy as np

from experiments.analysis.learning.rounds import Fitted, Flags, Floats
from experiments.analysis.learning.threshold_tables import table_for_share
from experiments.analysis.learning.worth import Bounded, Worth, worth_of
from experiments.learning.labels import LabeledTraffic

LEARNED, SHIPPED = "learned", "shipped"


def worth_of_routers(
    traffic: LabeledTraffic, fitted: Fitted, mask: Flags, share: float
) -> dict[str, Any]:
    """Of the shipped and the learned router; nothing with fewer than ten pairs.

    The learned router's scores are those without the prompt's own unit.
    """
    held_out = fitted.gains.held_out[: len(traffic)].astype(np.float64)
    found = {
        SHIPPED: _worth(traffic, traffic.shipped, mask, share),
        LEARNED: _worth(traffic, held_out, mask, share),
    }
    return {name: as_document(one) for name, one in found.items() if one is not None}


def as_document(worth: Worth) -> dict[str, Any]:
    values = worth._asdict()
    return {
        name: list(value) if isinstance(value, Bounded) else value for name, value in values.items()
    }


def from_document(document: dict[str, Any]) -> Worth:
    values: dict[str, Any] = {
        name: Bounded(*value) if isinstance(value, list) else value
        for name, value in document.items()
    }
    return Worth(**values)


def _worth(traffic: LabeledTraffic, scores: Floats, mask: Flags, share: float) -> Worth | None:
    """Prompts are sent to the strong model as a threshold table would, at the domain's target."""
    if not mask.any():
        return None
    table = table_for_share(scores[mask], share)
    pairs = np.flatnonzero(traffic.requests.paired & mask)
    rows = [traffic.rows[at] for at in pairs.tolist()]
    return worth_of(
        np.array([table.propensity(float(scores[at])) for at in pairs]),
        traffic.requests.strong_quality[pairs] - traffic.requests.weak_quality[pairs],
        np.array([row.odds for row in rows]),
        traffic.units[pairs],
        (_costs(rows, "cost_strong"), _costs(rows, "cost_weak")),
    )


def _costs(rows: Any, name: str) -> Floats:
    costs = [getattr(row.decision, name) for row in rows]
    return np.array([np.nan if cost is None else cost for cost in costs], dtype=np.float64)
