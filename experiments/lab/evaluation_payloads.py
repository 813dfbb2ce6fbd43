"""A comparison as `evaluate_router --json` prints it. Money is in dollars a prompt."""

from typing import Any

from experiments.analysis.ratings import Estimate
from experiments.analysis.routing.measures import Evaluation
from experiments.analysis.routing.router_evaluation import Reliability
from experiments.core.money import NANO
from experiments.lab.evaluations import (
    Comparison,
    MeasuredRouter,
    MultiModelResult,
    Operating,
    Slice,
)
from experiments.lab.text.multi_model import multi_model_lines, multi_model_summary

Payload = dict[str, Any]


def comparison_payload(comparison: Comparison) -> Payload:
    """The first router as `router`; `n`, `router`, `random` and `oracle` are a contract.

    Includes the time per prompt if it was stored with the scores, so that output is reproducible.
    """
    first, *others = comparison.whole.routers
    baselines = comparison.baselines
    return {
        "n": comparison.whole.n,
        "router": _evaluation(first.assessment.evaluation),
        "random": _evaluation(baselines.random.evaluation),
        "oracle": _evaluation(baselines.oracle.evaluation),
        "outcomes": comparison.name,
        "domain": comparison.whole.domain,
        "weighed": comparison.weighed
        and {
            "clipped": comparison.weighed.clipped,
            "effective_strong": comparison.weighed.effective_strong,
            "effective_weak": comparison.weighed.effective_weak,
            "without_overlap": comparison.weighed.without_overlap,
        },
        "more": _more(first),
        "always": {
            "strong": {
                "quality": _estimate(first.assessment.strong),
                "cost": _dollars(baselines.strong_cost),
            },
            "weak": {
                "quality": _estimate(first.assessment.weak),
                "cost": _dollars(baselines.weak_cost),
            },
        },
        "others": {other.name: _router(other) for other in others},
        "domains": {part.domain: _slice(part) for part in comparison.domains},
        "several": {one.name: _several(one) for one in comparison.multi_model},
    }


def _slice(part: Slice) -> Payload:
    if part.baselines is None:
        return {"n": part.n, "too_few": True}
    return {
        "n": part.n,
        "routers": {measured.name: _router(measured) for measured in part.routers},
        "random": _evaluation(part.baselines.random.evaluation),
        "oracle": _evaluation(part.baselines.oracle.evaluation),
    }


def _several(one: MultiModelResult) -> Payload:
    found = one.figures
    return {
        "sentence": multi_model_summary(one),
        "models": list(one.models),
        "n": found.n if found else 0,
        "left_out": one.left_out,
        "lines": [
            {
                "name": line.name,
                "share": _estimate(line.share),
                "quality": _estimate(line.figures.quality),
                "cost": _dollars_estimate(line.figures.cost),
            }
            for line in multi_model_lines(one)
        ],
        "quality_over_random": _estimate(found.over_random) if found else None,
        "saving_against_strong": _estimate(found.saving_against_first) if found else None,
        "saving_against_random": _estimate(found.saving_against_random) if found else None,
    }


def _dollars_estimate(found: Estimate | None) -> Payload | None:
    return found and {name: value / NANO for name, value in found._asdict().items()}


def _router(measured: MeasuredRouter) -> Payload:
    return {**_evaluation(measured.assessment.evaluation), "more": _more(measured)}


def _more(measured: MeasuredRouter) -> Payload:
    found = measured.assessment
    return {
        "name": measured.name,
        "gap_known": found.gap_known,
        "pgr_at_half": _estimate(found.pgr),
        "saving_against_strong": _estimate(found.saving_against_strong),
        "saving_at_95": _estimate(found.saving_at_95),
        "saving_against_random": _estimate(found.saving_against_random),
        "calls_against_random": _estimate(found.calls_against_random),
        "curve": [{**point._asdict(), "cost": _dollars(point.cost)} for point in found.curve],
        "reliability": _reliability(found.reliability),
        "operating": _operating(measured.operating),
        "unscored": measured.unscored,
        "microseconds": round(measured.microseconds, 1) or None,
    }


def _evaluation(evaluation: Evaluation) -> Payload:
    """An undefined measure is null and has no interval."""
    intervals = {name: list(interval) for name, interval in evaluation.intervals.items()}
    return {**evaluation.measures._asdict(), "intervals": intervals}


def _estimate(estimate: Estimate | None) -> Payload | None:
    return estimate and dict(estimate._asdict())


def _reliability(found: Reliability | None) -> Payload | None:
    return found and {
        "error": found.error,
        "n": found.n,
        "ties": found.ties,
        "bins": [one._asdict() for one in found.bins],
    }


def _operating(found: Operating | None) -> Payload | None:
    return found and {**found._asdict(), "cost": _dollars(found.cost)}


def _dollars(nano: float | None) -> float | None:
    return None if nano is None else nano / NANO
