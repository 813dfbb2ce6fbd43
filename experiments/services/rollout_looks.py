"""What a guarded rollout sees: the treated against the controls, all steps as one sequence."""

from datetime import datetime, timedelta
from typing import NamedTuple

from experiments.analysis.health import (
    HealthCheck,
    Table,
    check_multiple_exposures,
    check_sample_ratio,
)
from experiments.analysis.plan import ArmData, Guardrail, Measured, Plan, Primary
from experiments.analysis.verdict import Outcome, ReasonCode, Verdict, judge
from experiments.models import Rollout
from experiments.reports.aggregates import ratio, summarise
from experiments.reports.metrics import BUILT_IN, QUALITY
from experiments.reports.units import Units, read_units
from experiments.services.rollout_plans import HALF

CONTROL, TREATED = "control", "treated"
# Only quality is guarded: a rollout is expected to change what prompts cost.
ANY_COST = Primary(target_effect=1e-9)


class Look(NamedTuple):
    """What the treated and the controls say, and whether the numbers can be believed.

    `compared` is the number of units on the smaller side.
    """

    verdict: Verdict | None
    checks: tuple[HealthCheck, ...]
    compared: int = 0


def look_at(rollout: Rollout, now: datetime) -> Look:
    """Quality of the treated against the controls. Three queries."""
    units = read_units(rollout.key, 1, window_days=0, as_of=now.date())
    plan = Plan(
        primary=ANY_COST,
        guardrails=(Guardrail(QUALITY.name, rollout.margin, value_range=QUALITY.value_range),),
        alpha=rollout.alpha,
    )
    days = (now - (rollout.started_at or now)) / timedelta(days=1)
    verdict = judge(plan, _arm(units, CONTROL), [_arm(units, TREATED)], days=days)
    counts = (units.seen(CONTROL), units.seen(TREATED))
    return Look(verdict, _checks(rollout, units, counts), min(counts))


def broken_guardrail(look: Look) -> str | None:
    """Why it must be rolled back, or None: "quality is at least 3.3 points lower; …"."""
    verdict = look.verdict
    if verdict is None or verdict.outcome != Outcome.ROLL_BACK:
        return None
    if all(reason.code != ReasonCode.GUARDRAIL_BROKEN for reason in verdict.reasons):
        return None
    return verdict.sentence.partition(": ")[2].rstrip(".")


def _arm(units: Units, name: str) -> ArmData:
    members = units.of(name)
    quality = Measured(summarise(members, QUALITY), ratio(members, BUILT_IN["rated_share"]))
    return ArmData(name, members.n, summarise(members, BUILT_IN["cost"]), (quality,))


def _checks(rollout: Rollout, units: Units, counts: tuple[int, int]) -> tuple[HealthCheck, ...]:
    """Up to half, both sides are as many buckets, so they should hold as many units. Above it the
    holdback is smaller and only the rates are compared."""
    checks = [check_multiple_exposures(units.excluded, sum(counts))]
    if rollout.flag.percentage <= HALF:
        checks.append(check_sample_ratio([Table("the rollout", counts, (0.5, 0.5))]))
    return tuple(checks)
