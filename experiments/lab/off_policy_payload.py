"""The answer to "what if?" as plain data, for `--json`. Money in dollars a request."""

from typing import Any

from experiments.analysis.off_policy.estimates import Bounds, Estimates, WhatIf
from experiments.analysis.off_policy.exploration import Advice
from experiments.core.money import NANO
from experiments.lab.decision_log import Rescored
from experiments.lab.off_policy import PolicyEstimate
from experiments.lab.text.off_policy import (
    advice_words,
    condition_words,
    name_of,
    sentence,
    tail_words,
    tails,
)

Payload = dict[str, Any]


def what_if_payload(answer: PolicyEstimate) -> Payload:
    candidate = answer.candidate
    return {
        "sentence": sentence(answer),
        "candidate": {
            "name": name_of(candidate),
            "method": str(candidate.method),
            "router": candidate.router or None,
            "threshold": candidate.threshold,
            "strong": candidate.strong or None,
            "weak": candidate.weak or None,
            "domain": candidate.domain or None,
        },
        "since": answer.span.since.isoformat(),
        "until": answer.span.until.isoformat(),
        "all_read": answer.is_whole,
        "condition": condition_words(answer.found.ratings),
        "tails": tails(answer) or None,
        "scores": _scores(answer.rescored),
        "all": _found(answer.found),
        "domains": {one.name: _found(one.found) for one in answer.domains},
        "curve": [
            {
                "threshold": point.threshold,
                "strong_share": point.strong_share,
                "overlap": point.overlap,
                "quality": _bounds(point.quality),
                "cost": _bounds(point.cost, NANO) | {"heavy_tail": point.cost.is_lopsided},
                "explorations": point.explorations,
            }
            for point in answer.points
        ],
        "advice": _advice(answer.advice, candidate.domain) if answer.advice else None,
    }


def _scores(found: Rescored | None) -> Payload | None:
    """None where every score that is used was logged."""
    if found is None:
        return None
    return {"logged": found.logged, "made_now": found.now, "left_out": found.left_out}


def _found(found: WhatIf) -> Payload:
    return {
        "decisions": found.decisions,
        "units": found.units,
        "without_overlap": found.without_overlap,
        "strong_share": _bounds(found.strong_share),
        "logged_strong_share": found.logged_strong_share,
        "quality": _estimates(found.quality, 1),
        "cost": _estimates(found.cost, NANO) | _tail(found.cost),
        "rated_clipped": found.clipped,
        "ratings": found.ratings._asdict(),
    }


def _estimates(found: Estimates, unit: float) -> Payload:
    names = ("inverse_propensity", "self_normalised", "doubly_robust", "logged", "change")
    return {
        **{name: _bounds(getattr(found, name), unit) for name in names},
        "matching": found.matching,
        "explorations": found.explorations,
        "effective_size": found.effective_size,
        "parts": [part._asdict() for part in found.parts],
    }


def _tail(cost: Estimates) -> Payload:
    """Whether intervals are reliable, and the share of the largest requests in the cost."""
    return {
        "ten_largest": cost.largest,
        "ten_largest_logged": cost.largest_logged,
        "heavy_tail": cost.is_lopsided,
        "heavy_tail_logged": cost.is_log_lopsided,
        "tail": tail_words(cost) or None,
    }


def _bounds(bounds: Bounds, unit: float = 1) -> Payload:
    ends = {"value": bounds.value, "low": bounds.low, "high": bounds.high}
    return {name: None if value is None else value / unit for name, value in ends.items()}


def _advice(advice: Advice, domain: str) -> Payload:
    cost = advice.daily_cost
    return {
        "sentence": advice_words(advice, domain),
        "rate": advice.rate,
        "daily_requests": advice.daily_requests,
        "daily_cost": None if cost is None else cost / NANO,
        "differing": advice.differing,
        "rated": advice.rated,
        "days": advice.days,
        "explores_already": advice.is_on,
    }
