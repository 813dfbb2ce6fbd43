"""Texts about experiments: states, reasons of verdicts, progress."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from experiments.analysis.experiment.health import CheckStatus as HealthStatus
from experiments.analysis.experiment.plan import MINIMUM_UNITS
from experiments.analysis.experiment.power import NoSize
from experiments.analysis.experiment.verdict_codes import Reason, ReasonCode, VerdictCode
from experiments.analytics.chart_rows import EstimatePoint
from experiments.core.policy import Method
from experiments.dashboards.wording import Headline, listed
from experiments.experimentation.checklists import Check
from experiments.experimentation.effects import MetricEffect
from experiments.experimentation.metrics import BUILT_IN
from experiments.experimentation.results import Progress, Results
from experiments.experimentation.summaries import ExperimentLine
from experiments.experimentation.text import reason_message, remaining_sentence
from experiments.formatting import exact_dollars, in_dollars, percentage, plural, signed
from experiments.models import Arm, Experiment, ExperimentMetric

Status = Experiment.Status
COST, POINTS = "cost", 100


class StateWord(NamedTuple):
    """A state of the design system, and its name."""

    css: str
    word: str


class Note(NamedTuple):
    """One reason or check, with the state that its mark shows."""

    state: str
    text: str


VERDICTS = {
    VerdictCode.SHIP: StateWord("ship", "can ship"),
    VerdictCode.ROLL_BACK: StateWord("rollback", "should roll back"),
    VerdictCode.UNHEALTHY: StateWord("unhealthy", "unhealthy"),
    VerdictCode.NO_DIFFERENCE: StateWord("stopped", "no difference"),
    VerdictCode.MIXED: StateWord("waiting", "mixed"),
    VerdictCode.KEEP_RUNNING: StateWord("running", "running"),
    VerdictCode.NOT_ENOUGH_DATA: StateWord("waiting", "not enough data"),
}
STATUSES = {
    Status.DRAFT: StateWord("draft", "draft"),
    Status.PAUSED: StateWord("paused", "paused"),
    Status.STOPPED: StateWord("stopped", "stopped"),
    Status.ARCHIVED: StateWord("stopped", "archived"),
}
TO_DO = (
    (VerdictCode.SHIP, "ship"),
    (VerdictCode.ROLL_BACK, "roll back"),
    (VerdictCode.UNHEALTHY, "do not trust"),
    (VerdictCode.MIXED, "decide manually on"),
    (VerdictCode.NO_DIFFERENCE, "stop (no difference)"),
)
TO_DO_ORDER = [str(outcome) for outcome, _ in TO_DO]
UNCERTAIN = {
    ReasonCode.TOO_FEW_UNITS,
    ReasonCode.TOO_FEW_DAYS,
    ReasonCode.TOO_FEW_EVENTS,
    ReasonCode.NO_RESULT,
    ReasonCode.PRIMARY_UNDECIDED,
    ReasonCode.PRIMARY_SAME,
    ReasonCode.GUARDRAIL_UNDECIDED,
    ReasonCode.RATINGS_DIFFER,
}
BAD = {ReasonCode.PRIMARY_WORSE, ReasonCode.GUARDRAIL_BROKEN}
HEALTH_STATES = {
    HealthStatus.OK: "ship",
    HealthStatus.WARNING: "waiting",
    HealthStatus.ALARM: "unhealthy",
}


def state_of(status: str, verdict: str, shipped_arm: str = "") -> StateWord:
    """The status of an experiment; of a running one, its verdict."""
    if shipped_arm:
        return StateWord("ship", "shipped")
    if status != Status.RUNNING:
        return STATUSES[Status(status)]
    return VERDICTS[VerdictCode(verdict)] if verdict else StateWord("running", "running")


def lines(rows: Sequence[ExperimentLine]) -> Headline:
    """The experiments that need a decision, in one sentence."""
    running = [row for row in rows if row.status == Status.RUNNING]
    parts = [
        f"{do} {listed(keys)}"
        for outcome, do in TO_DO
        if (keys := [row.key for row in running if row.verdict == outcome])
    ]
    others = sum(row.verdict not in TO_DO_ORDER for row in running)
    if others and parts:
        parts.append(f"{others} more {'is' if others == 1 else 'are'} not decided yet")
    elif others:
        parts.append(f"{plural(others, 'experiment')} run, none decided yet")
    sentence = "; ".join(parts) or "no experiment is running"
    drafts = [row.key for row in rows if row.status == Status.DRAFT]
    next_ = f"Next: {listed(drafts)} can be started." if drafts and not running else ""
    return Headline(f"{sentence[:1].upper()}{sentence[1:]}.", next_)


def reason(one: Reason, effects: Sequence[MetricEffect]) -> Note:
    """One reason of a verdict, with its numbers in readable units."""
    found = next((e for e in effects if e.metric == one.metric and e.arm == one.arm), None)
    text = _gain(one, found) if found and one.value is not None else None
    return Note(_reason_state(one.code), text or _capitalised(reason_message(one)))


def _reason_state(code: ReasonCode) -> str:
    if code is ReasonCode.HEALTH:
        return "unhealthy"
    if code in BAD:
        return "rollback"
    return "waiting" if code in UNCERTAIN else "ship"


def _gain(one: Reason, effect: MetricEffect) -> str | None:
    """A gain above 0 means that the treatment is better, for metrics of either direction."""
    value = one.value or 0.0
    higher = (value > 0) == (effect.better == "higher")
    change = f"{amount(abs(value), effect)} {'higher' if higher else 'lower'}"
    allowed = f"the margin is {amount(abs(one.limit or 0.0), effect)}"
    bound = "at least" if value > 0 else "at most"
    texts = {
        ReasonCode.PRIMARY_BETTER: f"is at least {change}",
        ReasonCode.PRIMARY_WORSE: f"is at least {change}",
        ReasonCode.PRIMARY_UNDECIDED: f"could still be {change}",
        ReasonCode.GUARDRAIL_INSIDE: f"is {bound} {change}; {allowed}",
        ReasonCode.GUARDRAIL_BROKEN: f"is at least {change}; {allowed}",
        ReasonCode.GUARDRAIL_UNDECIDED: f"could still be {change}; {allowed}",
    }
    return f"{_subject(effect)} {texts[one.code]}." if one.code in texts else None


def _subject(effect: MetricEffect) -> str:
    return "The cost of 1,000 requests" if effect.unit == "USD" else effect.label


def policy(arm: Arm | None) -> str:
    """An arm's policy in a few words."""
    if arm is None:
        return "deleted"
    names = {
        Method.ALWAYS_STRONG: "always the strong model",
        Method.ALWAYS_WEAK: "always the weak model",
        Method.DOMAIN_SELECTOR: "the domain selector",
    }
    name = names.get(Method(arm.method), f"{arm.router} at {arm.threshold or 0.0:.3f}")
    explores = f", {percentage(100 * arm.epsilon)} explored" if arm.epsilon else ""
    return f"{name}{explores}"


def amount(value: float, effect: MetricEffect) -> str:
    """A difference of a metric: money per 1,000 requests, shares in points."""
    if effect.unit == "USD":
        return in_dollars(1000 * value, 2)
    if effect.unit is None:
        return f"{POINTS * value:.1f} points"
    return f"{value:,.0f} {effect.unit}"


def _capitalised(message: str) -> str:
    text = f"{message[:1].upper()}{message[1:]}"
    return text if text.endswith(".") else f"{text}."


def ready(checks: Sequence[Check]) -> str:
    """Whether a draft can start. Empty without a checklist."""
    if not checks:
        return ""
    missing = sum(not check.passed for check in checks)
    if missing:
        return f"Not ready to start: {missing} of {len(checks)} checks failed."
    return f"Ready to start: all {len(checks)} checks passed."


def looked_at(progress: Progress, status: str) -> str:
    """The day of this look, and that early looks are allowed."""
    if status == Status.DRAFT:
        return ""
    if status != Status.RUNNING:
        return f"It ran for {plural(progress.days, 'day')}; early looks are accounted for."
    day = progress.days + 1
    remaining = progress.remaining
    of = ""
    if remaining is not None and not isinstance(remaining, NoSize) and remaining.days:
        of = f" of about {day + remaining.days}"
    return f"This is day {day}{of}; early looks are accounted for."


def judged(row: Experiment, found: Results) -> str:
    """When the verdict on the page was computed; of an ended experiment, also its final verdict."""
    if found.verdict is None:
        return ""
    now = f"Computed at {found.judged_at:%Y-%m-%d %H:%M} UTC."
    if not row.stopped_at or not row.verdict:
        return now
    then = VERDICTS[VerdictCode(row.verdict)].word
    return f"{now} The verdict at the stop, {row.stopped_at:%Y-%m-%d %H:%M} UTC, was: {then}."


def progress_sentence(progress: Progress) -> str:
    if progress.planned is None:
        return f"{plural(progress.units, 'unit')} counted; no size is planned."
    counted = f"{progress.units:,} of {progress.planned:,} planned units are counted"
    remaining = progress.remaining
    if remaining is None:
        return f"{counted}."
    if isinstance(remaining, NoSize):
        short = listed(remaining.metrics)
        return (
            f"{counted}. The remaining days can be estimated when {MINIMUM_UNITS} units have "
            f"{short}."
        )
    if remaining.units:
        return f"{counted}. {remaining_sentence(remaining)}"
    return f"{counted}; with the variance so far, that is enough."


def plan(experiment: Experiment, labels: Mapping[str, str], cut: int = 0) -> list[tuple[str, str]]:
    """The plan as pairs of label and value. `labels` name the metrics; `cut` units have reached the
    cost cap."""
    facts = [
        (str(m.get_role_display()).partition(":")[0], _planned(m, labels))
        for m in metrics_of(experiment)
    ]
    share = "all" if experiment.coverage == 1 else percentage(POINTS * experiment.coverage)
    slot = ""
    if experiment.namespace:
        start, end = experiment.namespace_start, experiment.namespace_end
        slot = f"; slot {start:g} to {end:g} of {experiment.namespace}"
    facts.append(("Units", f"{experiment.unit_kind}s, {share} of them{slot}"))
    days = f"{experiment.min_days} days with counted units"
    facts.append(("At least", f"{days} and {experiment.min_units} units per arm"))
    if experiment.cost_cap is not None:
        cap = f"{exact_dollars(experiment.cost_cap)} per unit; costs beyond it are scaled down"
        reached = f" ({plural(cut, 'unit')} reached it)" if experiment.started_at else ""
        facts.append(("Cost cap", f"{cap}{reached}"))
    facts.append(
        ("Spread of effects", f"{percentage(POINTS * experiment.prior_sd)} on the log scale")
    )
    facts.append(
        ("Risk", f"{percentage(POINTS * experiment.alpha)} of a wrong verdict, over all looks")
    )
    if experiment.owner:
        facts.append(("Owner", experiment.owner))
    return facts


def metrics_of(experiment: Experiment) -> list[ExperimentMetric]:
    """The primary metric first, then guardrails."""
    roles = list(ExperimentMetric.Role)
    return sorted(
        experiment.metrics.all(), key=lambda m: roles.index(ExperimentMetric.Role(m.role))
    )


def _planned(metric: ExperimentMetric, labels: Mapping[str, str]) -> str:
    known = BUILT_IN.get(metric.metric)
    label = labels.get(metric.metric, known.label if known else metric.metric)
    return f"{label}, at most {_margin(metric)} worse" if metric.margin else label


def _margin(metric: ExperimentMetric) -> str:
    """In the unit of its results."""
    spec = BUILT_IN.get(metric.metric)
    margin = metric.margin or 0.0
    if spec is None:
        return f"{margin:g}"
    if spec.unit == "USD":
        return f"{in_dollars(1000 * margin, 2)} per 1,000"
    return f"{POINTS * margin:g} points" if spec.unit is None else f"{margin:g} {spec.unit}"


def effects_sentence(effects: Sequence[MetricEffect]) -> str:
    """The forest plot in words."""
    sentences = [
        text
        for effect in effects
        if effect.role != "secondary" and (text := _effect_sentence(effect))
    ]
    if not sentences:
        return "No effects yet: an arm has too few units with a value."
    return " ".join(sentences)


def _effect_sentence(one: MetricEffect) -> str | None:
    interval = one.effect.sequential_interval
    if one.effect.estimate is None or interval is None:
        return None
    scaled = [amount_signed(end, one) for end in (one.effect.estimate, *interval)]
    unit = unit_of(one)
    return f"{one.label} of {one.arm}: {scaled[0]} {unit}, between {scaled[1]} and {scaled[2]}."


def scale_of(one: MetricEffect) -> float:
    return 1000.0 if one.unit == "USD" else POINTS if one.unit is None else 1.0


def unit_of(one: MetricEffect) -> str:
    return "$ per 1,000" if one.unit == "USD" else "points" if one.unit is None else one.unit


def amount_signed(value: float, one: MetricEffect) -> str:
    digits = 2 if one.unit == "USD" else 1 if one.unit is None else 0
    return signed(scale_of(one) * value, digits)


def over_time_sentence(one: MetricEffect, points: Sequence[EstimatePoint]) -> str:
    """Each arm's newest estimate, and what the bands mean."""
    newest = {point.arm: point for point in points}
    estimates = "; ".join(f"{arm} is {_estimate(point, one)}" for arm, point in newest.items())
    phases = len({point.phase for point in points})
    breaks = " Results of different phases are never mixed." if phases > 1 else ""
    return f"{estimates}. Bands are valid at every look.{breaks}"


def _estimate(last: EstimatePoint, one: MetricEffect) -> str:
    interval = f"between {_between(last.low, last.high, one)}"
    if one.margin is None:
        return interval
    edge = -last.low if one.better == "higher" else last.high
    inside = edge < scale_of(one) * one.margin
    return f"{interval} and {'inside' if inside else 'not yet inside'} the margin"


def _between(low: float, high: float, one: MetricEffect) -> str:
    """`low` and `high` are scaled already."""
    digits = 2 if one.unit == "USD" else 1 if one.unit is None else 0
    return f"{signed(low, digits)} and {signed(high, digits)} {unit_of(one)}"
