"""The verdict: whether a policy improves the primary metric and is not worse on the guardrails.

`judge` may be called at any time and any number of times: its bounds are valid at all looks
together. Over all phases of an experiment, the probability of a wrong `ship` is at most alpha, and
so is that of a wrong `roll_back`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from experiments.analysis.errors import PlanError
from experiments.analysis.experiment.health import MINIMUM_SHOWN, Health
from experiments.analysis.experiment.plan import MINIMUM_EVENTS, ArmData, Levels, Plan
from experiments.analysis.experiment.test_results import (
    GuardrailResult,
    GuardrailStatus,
    PrimaryResult,
    guardrail_results,
    primary_result,
)
from experiments.analysis.experiment.verdict_codes import Reason, ReasonCode, VerdictCode

__all__ = ["ArmVerdict", "Reason", "ReasonCode", "Verdict", "VerdictCode", "judge"]

_NO_CHECKS = Health()


# With several treatments, the first of these is the experiment's verdict: shipping one ends the
# experiment, a harmful one must be removed, and while one is undecided the experiment continues.
_PRECEDENCE = (
    VerdictCode.SHIP,
    VerdictCode.ROLL_BACK,
    VerdictCode.KEEP_RUNNING,
    VerdictCode.NOT_ENOUGH_DATA,
    VerdictCode.MIXED,
    VerdictCode.NO_DIFFERENCE,
)


@dataclass(frozen=True, slots=True)
class ArmVerdict:
    """One treatment compared with the control. `prior_sd` is the plan's spread of effects."""

    arm: str
    outcome: VerdictCode
    primary: PrimaryResult
    guardrails: tuple[GuardrailResult, ...]
    reasons: tuple[Reason, ...]
    prior_sd: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The experiment's verdict. `arm` is the treatment that it refers to, if there is one.

    The arms' own outcomes follow from their numbers alone; do not act on them if `outcome` is
    `unhealthy`.
    """

    outcome: VerdictCode
    arm: str | None
    reasons: tuple[Reason, ...]
    arms: tuple[ArmVerdict, ...]

    @property
    def spoken_for(self) -> ArmVerdict | None:
        """The verdict of `arm`."""
        return next((one for one in self.arms if one.arm == self.arm), None)


class _Maturity(NamedTuple):
    """The experiment's progress compared with its plan."""

    units: int
    days: float
    total_units: int


def judge(
    plan: Plan,
    control: ArmData,
    treatments: Sequence[ArmData],
    *,
    days: float,
    health: Health = _NO_CHECKS,
) -> Verdict:
    """The verdict of the current phase, on `days` days with counted units in each arm.

    An alarm makes it `unhealthy` regardless of the numbers. Raises PlanError if the data do not
    match the plan.
    """
    _check_fit(plan, (control, *treatments))
    if not treatments:
        raise PlanError("The experiment has a control only; give at least one treatment.")
    levels = plan.levels(len(treatments))
    total = control.units + sum(arm.units for arm in treatments)
    arms = tuple(
        _judge_arm(
            plan, levels, control, arm, _Maturity(min(control.units, arm.units), days, total)
        )
        for arm in treatments
    )
    return _unhealthy(health, arms) or _best_of(arms)


def _judge_arm(
    plan: Plan, levels: Levels, control: ArmData, arm: ArmData, maturity: _Maturity
) -> ArmVerdict:
    primary = primary_result(plan, levels, control.primary, arm.primary)
    guardrails = guardrail_results(plan, levels, control, arm)
    reasons = (
        *_maturity_reasons(plan, arm.name, maturity),
        _primary_reason(plan, arm.name, primary),
        *(reason for result in guardrails for reason in _guardrail_reasons(arm.name, result)),
    )
    outcome = _outcome(plan, primary, guardrails, reasons, maturity)
    return ArmVerdict(arm.name, outcome, primary, guardrails, reasons, plan.prior_sd)


def _outcome(
    plan: Plan,
    primary: PrimaryResult,
    guardrails: Sequence[GuardrailResult],
    reasons: Sequence[Reason],
    maturity: _Maturity,
) -> VerdictCode:
    codes = {reason.code for reason in reasons}
    if maturity.units < MINIMUM_SHOWN:
        return VerdictCode.NOT_ENOUGH_DATA
    if codes & {ReasonCode.PRIMARY_WORSE, ReasonCode.GUARDRAIL_BROKEN}:
        return VerdictCode.ROLL_BACK
    if codes & {ReasonCode.TOO_FEW_UNITS, ReasonCode.TOO_FEW_DAYS}:
        return VerdictCode.NOT_ENOUGH_DATA
    return _mature_outcome(plan, primary, guardrails, codes)


def _mature_outcome(
    plan: Plan,
    primary: PrimaryResult,
    guardrails: Sequence[GuardrailResult],
    codes: set[ReasonCode],
) -> VerdictCode:
    all_inside = all(result.status is GuardrailStatus.INSIDE for result in guardrails)
    enough = primary.observations >= plan.enough_units
    better = enough and ReasonCode.PRIMARY_BETTER in codes
    if better and all_inside:
        return VerdictCode.SHIP
    if enough and all_inside and ReasonCode.PRIMARY_SAME in codes:
        return VerdictCode.NO_DIFFERENCE
    if better and ReasonCode.PLANNED_SIZE_REACHED in codes:
        return VerdictCode.MIXED
    unknown = ReasonCode.NO_RESULT in codes or ReasonCode.TOO_FEW_EVENTS in codes
    return VerdictCode.KEEP_RUNNING if enough and not unknown else VerdictCode.NOT_ENOUGH_DATA


def _unhealthy(health: Health, arms: tuple[ArmVerdict, ...]) -> Verdict | None:
    alarms = health.alarms
    if not alarms:
        return None
    reasons = tuple(
        Reason(ReasonCode.HEALTH, None, check.code, check.value, check.limit, check)
        for check in alarms
    )
    every = (*reasons, *(reason for arm in arms for reason in arm.reasons))
    return Verdict(VerdictCode.UNHEALTHY, None, every, arms)


def _best_of(arms: tuple[ArmVerdict, ...]) -> Verdict:
    chosen = _spoken_for(arms)
    return Verdict(chosen.outcome, chosen.arm, chosen.reasons, arms)


def _spoken_for(arms: Sequence[ArmVerdict]) -> ArmVerdict:
    """The treatment that determines the verdict; among equals the one with the largest gain."""
    return min(arms, key=lambda arm: (_PRECEDENCE.index(arm.outcome), -_gain(arm.primary)))


def _gain(primary: PrimaryResult) -> float:
    return (primary.effect.estimate or 0.0) * primary.better.sign


def _maturity_reasons(plan: Plan, arm: str, maturity: _Maturity) -> list[Reason]:
    counted = [
        (ReasonCode.TOO_FEW_UNITS, maturity.units, plan.enough_units),
        (ReasonCode.TOO_FEW_DAYS, maturity.days, plan.minimum_days),
    ]
    reasons = [
        Reason(code, arm, None, value, limit) for code, value, limit in counted if value < limit
    ]
    planned = plan.planned_units
    if planned is not None and maturity.total_units >= planned:
        total = maturity.total_units
        reasons.append(Reason(ReasonCode.PLANNED_SIZE_REACHED, arm, None, total, planned))
    return reasons


def _primary_reason(plan: Plan, arm: str, primary: PrimaryResult) -> Reason:
    target, interval = plan.primary.target_effect, primary.effect.sequential_interval
    least, most = primary.least_gain, primary.most_gain
    shown = primary.observations >= MINIMUM_SHOWN
    if not shown or least is None or most is None or interval is None:
        return Reason(ReasonCode.NO_RESULT, arm, primary.name, None, None)
    if most < 0:
        return Reason(ReasonCode.PRIMARY_WORSE, arm, primary.name, most, 0.0)
    if least > 0:
        return Reason(ReasonCode.PRIMARY_BETTER, arm, primary.name, least, 0.0)
    if -target < interval.lower and interval.upper < target:
        widest = max(-interval.lower, interval.upper)
        return Reason(ReasonCode.PRIMARY_SAME, arm, primary.name, widest, target)
    return Reason(ReasonCode.PRIMARY_UNDECIDED, arm, primary.name, least, 0.0)


def _guardrail_reasons(arm: str, result: GuardrailResult) -> list[Reason]:
    limit = -result.guardrail.margin
    codes = {
        GuardrailStatus.INSIDE: (ReasonCode.GUARDRAIL_INSIDE, result.least_gain),
        GuardrailStatus.BROKEN: (ReasonCode.GUARDRAIL_BROKEN, result.most_gain),
        GuardrailStatus.UNDECIDED: (ReasonCode.GUARDRAIL_UNDECIDED, result.least_gain),
    }
    if result.status is not GuardrailStatus.NO_RESULT:
        code, value = codes[result.status]
        reasons = [Reason(code, arm, result.name, value, limit)]
    elif result.fewest_events is not None and result.fewest_events < MINIMUM_EVENTS:
        few = result.fewest_events
        reasons = [Reason(ReasonCode.TOO_FEW_EVENTS, arm, result.name, few, MINIMUM_EVENTS)]
    else:
        seen = result.observations
        reasons = [Reason(ReasonCode.NO_RESULT, arm, result.name, seen, None)]
    if result.ratings_differ:
        reasons.append(
            Reason(ReasonCode.RATINGS_DIFFER, arm, result.name, result.least_gain, limit)
        )
    return reasons


def _check_fit(plan: Plan, arms: Sequence[ArmData]) -> None:
    for arm in arms:
        if len(arm.guardrails) != len(plan.guardrails):
            raise PlanError(
                f'The arm "{arm.name}" has {len(arm.guardrails)} guardrails, the plan '
                f"{len(plan.guardrails)}; give every arm one value per guardrail, in plan order."
            )
