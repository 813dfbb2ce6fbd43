"""Verdicts, health checks and plans as text, on which an operator can act."""

from collections.abc import Callable, Sequence
from math import floor

from experiments.analysis.experiment.health import (
    MINIMUM_SHOWN,
    HealthCheck,
    HealthCode,
)
from experiments.analysis.experiment.plan import MINIMUM_UNITS, Guardrail
from experiments.analysis.experiment.power import NoSize, Remaining, SampleSize
from experiments.analysis.experiment.test_results import (
    GuardrailResult,
    GuardrailStatus,
    PrimaryResult,
)
from experiments.analysis.experiment.verdict import ArmVerdict, Verdict
from experiments.analysis.experiment.verdict_codes import Reason, ReasonCode, VerdictCode
from experiments.formatting import exact_share, percentage, plural

_WAITED_FOR = (
    ReasonCode.TOO_FEW_UNITS,
    ReasonCode.TOO_FEW_DAYS,
    ReasonCode.TOO_FEW_EVENTS,
    ReasonCode.NO_RESULT,
)


def verdict_sentence(verdict: Verdict) -> str:
    """The verdict, with the numbers of the treatment that it refers to."""
    if verdict.spoken_for is not None:
        return arm_sentence(verdict.spoken_for)
    alarms = [one.check for one in verdict.reasons if one.check is not None]
    return f"Do not trust these results yet. {' '.join(map(health_message, alarms))}"


def verdict_expectation(verdict: Verdict) -> str:
    return expectation(verdict.spoken_for) if verdict.spoken_for else ""


def arm_sentence(verdict: ArmVerdict) -> str:
    """The meaning of the arm's outcome, with its primary metric and guardrails."""
    sentences = {
        VerdictCode.SHIP: _ship,
        VerdictCode.ROLL_BACK: _roll_back,
        VerdictCode.NO_DIFFERENCE: _no_difference,
        VerdictCode.MIXED: _mixed,
        VerdictCode.KEEP_RUNNING: _keep_running,
    }
    if verdict.outcome in sentences:
        return sentences[verdict.outcome](verdict.arm, verdict.primary, verdict.guardrails)
    return f'Not enough data for "{verdict.arm}" yet: {_waiting_for(verdict.reasons)}.'


def expectation(verdict: ArmVerdict) -> str:
    """What to expect of an arm that may ship, and what the number means; else nothing."""
    lift = verdict.primary.shrunken
    if lift is None or verdict.outcome is not VerdictCode.SHIP:
        return ""
    change = f"{_percent(lift)(abs(lift))} % {'lower' if lift < 0 else 'higher'}"
    return (
        f"Expect {verdict.primary.name} to be about {change} from now on. Estimates that are large "
        "enough to ship are too large on average, so this one is shrunk towards no change, with "
        f"the plan's standard deviation of effects ({percentage(100 * verdict.prior_sd)})."
    )


def reason_message(reason: Reason) -> str:
    """One reason as text; gains are in the metric's own unit."""
    if reason.check is not None:
        return health_message(reason.check)
    metric, value = reason.metric, reason.value
    seen, allowed = _number(value), _number(reason.limit)
    messages = {
        ReasonCode.TOO_FEW_UNITS: f"{seen} of {allowed} units in the smaller arm",
        ReasonCode.TOO_FEW_DAYS: f"{_days(value)} of {allowed} days",
        ReasonCode.TOO_FEW_EVENTS: f"{seen} of {allowed} {metric} events or non-events per arm",
        ReasonCode.NO_RESULT: f"{metric} has no result yet",
        ReasonCode.PRIMARY_BETTER: f"{metric} is better by at least {seen}",
        ReasonCode.PRIMARY_WORSE: f"{metric} is certainly worse: its gain is at most {seen}",
        ReasonCode.PRIMARY_SAME: f"{metric} differs by less than the relevant {allowed}",
        ReasonCode.PRIMARY_UNDECIDED: f"{metric} is not yet certain to be better",
        ReasonCode.GUARDRAIL_INSIDE: f"{metric} is inside its margin: at least {seen} of {allowed}",
        ReasonCode.GUARDRAIL_BROKEN: f"{metric} is outside its margin: at most {seen} of {allowed}",
        ReasonCode.GUARDRAIL_UNDECIDED: f"{metric} may still be outside its margin of {allowed}",
        ReasonCode.RATINGS_DIFFER: f"{metric} has different shares of ratings: worst case used",
        ReasonCode.PLANNED_SIZE_REACHED: f"the planned {allowed} units are reached",
    }
    return messages[reason.code]


def health_message(check: HealthCheck) -> str:
    """What the check found and, if it failed, what to do."""
    messages = {
        HealthCode.SAMPLE_RATIO: _sample_ratio,
        HealthCode.MULTIPLE_EXPOSURES: _multiple_exposures,
        HealthCode.TOO_FEW_UNITS: _too_few_units,
        HealthCode.RATED_SHARE: _rated_share,
        HealthCode.PRICE_COVERAGE: _price_coverage,
        HealthCode.TRAFFIC_STOPPED: _traffic_stopped,
    }
    return messages[check.code](check)


def _sample_ratio(check: HealthCheck) -> str:
    if check.passed:
        return "Units fall into the arms as planned."
    return (
        f"In {check.about} {_counts(check.seen)} units fell into the arms where "
        f"{_counts(check.expected)} were expected. Look for decisions that "
        "fail, are lost or are filtered in one arm only; then start a new phase."
    )


def _multiple_exposures(check: HealthCheck) -> str:
    (excluded,) = check.seen
    if not excluded:
        return "Each unit saw one arm."
    was, are = ("was", "is") if excluded == 1 else ("were", "are")
    seen = f"{plural(int(excluded), 'unit')} {was} seen in two arms"
    message = f"{seen} and {are} left out ({_tenth(check.value)})."
    if check.passed:
        return message
    return f"{message} Look for a seed or a unit id that changed while the experiment ran."


def _too_few_units(check: HealthCheck) -> str:
    if check.passed:
        return f"Every arm has {check.value:,} units or more."
    few = f'The arm "{check.about}" has {check.value:,} units'
    return f"{few}; results are shown from {MINIMUM_SHOWN}."


def _rated_share(check: HealthCheck) -> str:
    if check.passed or not check.seen:
        return "The shares of rated decisions show no difference between the arms."
    control, treatment = check.seen
    return (
        f"{_tenth(control)} of the control's decisions are rated and "
        f"{_tenth(treatment)} of the treatment's. Shipping now requires the margin "
        "in the worst case of the missing ratings; "
        "audit a share of decisions to avoid this."
    )


def _price_coverage(check: HealthCheck) -> str:
    if not check.passed:
        return (
            f'Only {_tenth(check.value)} of the decisions of "{check.about}" have a price. '
            "Set the price of its models in the admin."
        )
    if check.value == 1:
        return "Every decision has a price."
    return f"At least {_tenth(check.value)} of every arm's decisions have a price."


def _traffic_stopped(check: HealthCheck) -> str:
    quiet = f"No request has arrived for {check.value:.0f} hours"
    if not check.passed:
        return (
            f"{quiet}. The results cover earlier "
            "requests; check the flags, the coverage and the domain's traffic."
        )
    if (check.value or 0.0) > (check.limit or 0.0):
        return f"{quiet}; windows are still open."
    return "Requests are arriving."


def plan_sentence(size: SampleSize | NoSize) -> str:
    """The proposed size, or why there is none."""
    if isinstance(size, NoSize):
        return size.problem or (
            f"There is not enough recent data of {', '.join(size.metrics)} for a plan; "
            f"wait for {MINIMUM_UNITS} units, or enter a size by hand."
        )
    lasting = f", about {size.days:,} days," if size.days is not None else ""
    single = exact_share(1 / size.times_a_single_look, 0)
    return (
        f"{size.units:,} units{lasting} decide {size.limiting} with {exact_share(size.power, 0)} "
        f"power. A single planned look would take {single} of that; "
        "the rest is the price of checking every day."
    )


def remaining_sentence(remaining: Remaining | NoSize) -> str:
    if isinstance(remaining, NoSize):
        return plan_sentence(remaining)
    if not remaining.units:
        return "The planned size is reached."
    if remaining.days is None:
        return f"About {remaining.units:,} more units."
    return f"About {remaining.days:,} more {'day' if remaining.days == 1 else 'days'}."


def _counts(counts: Sequence[float]) -> str:
    return " to ".join(f"{count:,.0f}" for count in counts)


def _tenth(share: float | None) -> str:
    return exact_share(share or 0.0)


def _ship(arm: str, primary: PrimaryResult, guardrails: Sequence[GuardrailResult]) -> str:
    losses = " and ".join(_at_most(result) for result in guardrails)
    return f'Ship "{arm}". {_change(primary)} and {losses}.'


def _roll_back(arm: str, primary: PrimaryResult, guardrails: Sequence[GuardrailResult]) -> str:
    broken = [r for r in guardrails if r.status is GuardrailStatus.BROKEN]
    if not broken:
        return f'Roll back "{arm}". {_change(primary)}, and that is certain.'
    return f'Roll back "{arm}": {" and ".join(_at_least(result) for result in broken)}.'


def _no_difference(arm: str, primary: PrimaryResult, guardrails: Sequence[GuardrailResult]) -> str:
    losses = " and ".join(_at_most(result) for result in guardrails)
    return (
        f'No difference: with "{arm}" {primary.name} changes by less than the target effect, and '
        f"{losses}. Routing this way does not pay here."
    )


def _mixed(arm: str, primary: PrimaryResult, guardrails: Sequence[GuardrailResult]) -> str:
    return (
        f'Mixed after the planned size for "{arm}". {_change(primary)}, but {_doubts(guardrails)}. '
        "Decide by hand, or plan a larger experiment."
    )


def _keep_running(arm: str, primary: PrimaryResult, guardrails: Sequence[GuardrailResult]) -> str:
    doubts = []
    if primary.least_gain is None or primary.least_gain <= 0:
        doubts.append(f'it is not yet certain that "{arm}" {_hoped(primary)}')
    if any(r.status is GuardrailStatus.UNDECIDED for r in guardrails):
        doubts.append(_doubts(guardrails))
    return f"Keep running: {' and '.join(doubts) or 'nothing is certain yet'}."


def _waiting_for(reasons: Sequence[Reason]) -> str:
    codes = {reason.code for reason in reasons}
    # Too few units are the reason for no result: report only one of them.
    said = set(_WAITED_FOR) - (
        {ReasonCode.NO_RESULT} if ReasonCode.TOO_FEW_UNITS in codes else set()
    )
    messages = [reason_message(reason) for reason in reasons if reason.code in said]
    return ", ".join(messages) or "results are due soon"


def _change(primary: PrimaryResult) -> str:
    """'It costs 31 % less (between 27 and 35)': lift with its always-valid interval."""
    effect = primary.effect
    verb, more, less = _words(primary)
    falls = (effect.estimate or 0.0) < 0
    word, turn = (less, -1) if falls else (more, 1)
    if effect.relative is None:
        return f"{verb} {word}"
    # In the direction of the change: "31 % less", never "-31 % more".
    show = _percent(effect.relative)
    change = f"{verb} {show(turn * effect.relative)} % {word}"
    if primary.relative_interval is None:
        return change
    ends = sorted(turn * end for end in primary.relative_interval)
    return f"{change} (between {show(ends[0])} and {show(ends[1])})"


def _words(primary: PrimaryResult) -> tuple[str, str, str]:
    if primary.name.startswith("cost"):
        return "It costs", "more", "less"
    return f"Its {primary.name} is", "higher", "lower"


def _hoped(primary: PrimaryResult) -> str:
    if primary.name.startswith("cost"):
        return "costs less"
    return f"has a {primary.better.value} {primary.name}"


def _doubts(guardrails: Sequence[GuardrailResult]) -> str:
    return " and ".join(_may_be(r) for r in guardrails if r.status is not GuardrailStatus.INSIDE)


def _at_most(result: GuardrailResult) -> str:
    guardrail, least = result.guardrail, result.least_gain or 0.0
    if least > 0:
        return f"{result.name} is at least {_amount(guardrail, least)} {_side(guardrail, least)}"
    lost = f"{result.name} is at most {_amount(guardrail, least)} {_side(guardrail, least)}"
    return f"{lost}; {_allowed(guardrail)}"


def _at_least(result: GuardrailResult) -> str:
    guardrail, most = result.guardrail, result.most_gain or 0.0
    worse = f"{result.name} is at least {_amount(guardrail, most)} {_side(guardrail, most)}"
    return f"{worse}; {_allowed(guardrail)}"


def _may_be(result: GuardrailResult) -> str:
    guardrail, least = result.guardrail, result.least_gain
    if least is None or result.status is GuardrailStatus.NO_RESULT:
        return f"{result.name} has too little data"
    could = f"{result.name} could still be {_amount(guardrail, least)} {_side(guardrail, least)}"
    return f"{could}; {_allowed(guardrail)}"


def _side(guardrail: Guardrail, gain: float) -> str:
    """'lower' or 'higher', for a gain in a metric that is to go up or down."""
    return "higher" if gain * guardrail.better.sign > 0 else "lower"


def _allowed(guardrail: Guardrail) -> str:
    if guardrail.unit is None:
        return f"{100 * guardrail.margin:.1f} were allowed"
    return f"{_number(guardrail.margin)} were allowed"


def _amount(guardrail: Guardrail, gain: float) -> str:
    if guardrail.unit is None:
        return f"{100 * abs(gain):.1f} points"
    return f"{_number(abs(gain))} {guardrail.unit}"


def _percent(main: float) -> Callable[[float], str]:
    digits = 0 if abs(main) >= 0.1 else 1
    return lambda share: f"{100 * share:.{digits}f}"


def _days(value: float | None) -> str:
    """To a tenth, rounded down: 6.97 days are not yet 7."""
    return "?" if value is None else f"{floor(10 * value) / 10:g}"


def _number(value: float | None) -> str:
    if value is None:
        return "?"
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
