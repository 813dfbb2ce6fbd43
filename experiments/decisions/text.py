"""A decision as text: a summary of one sentence, and the steps it went through.

`experiments.decisions.explanation` makes the `DecisionView` from a stored row. Nothing is computed
again: every number and reason was stored with the decision.
"""

from collections.abc import Iterator
from typing import NamedTuple

from experiments.core.assignment import FlagState
from experiments.core.choice import DRAWN_AT_THRESHOLD
from experiments.core.detection import Candidate
from experiments.core.facts import DecisionView
from experiments.core.policy import Method
from experiments.core.values import Failure, Score
from experiments.formatting import comparison, dollars, percentage, plural

PASSED, TAKEN, OFF, FAULT = "passed", "taken", "off", "fault"
OTHER_CANDIDATES = 3
LEAST_SHOWN = 0.005  # anything less is displayed as 0.00

Pairs = tuple[tuple[str, str], ...]


class ExplanationStep(NamedTuple):
    """One step of a decision. `details` are pairs of label and value, `branches` pairs of an
    alternative and why it was not chosen."""

    name: str
    fact: str
    state: str = PASSED
    details: Pairs = ()
    branches: Pairs = ()


def steps(facts: DecisionView) -> tuple[ExplanationStep, ...]:
    """The steps, in the order in which the decision was made."""
    return (
        _prompt(facts),
        _domain(facts),
        _flag(facts),
        *_holdout(facts),
        _experiment(facts),
        _score(facts),
        *_fallbacks(facts),
        _model(facts),
        _outcome(facts),
    )


def as_text(facts: DecisionView) -> str:
    """The summary and the steps for a terminal."""
    marks = {PASSED: "●", TAKEN: "◉", OFF: "○", FAULT: "▲"}
    lines = [summary(facts), ""]
    for step in steps(facts):
        lines.append(f"  {marks[step.state]} {step.name:<11} {step.fact}")
        lines += [f"  │   ╲ {label}: {note}" for label, note in step.branches]
    return "\n".join(lines)


def _prompt(facts: DecisionView) -> ExplanationStep:
    details = [("Unit", facts.unit if facts.sticky else "none sent: this request is its own unit")]
    if facts.text is not None:
        details.append(("Text", facts.text))
    details += list(facts.metadata.items())
    return ExplanationStep("prompt", plural(facts.input_tokens, "token"), PASSED, tuple(details))


def _domain(facts: DecisionView) -> ExplanationStep:
    if facts.overridden:
        return ExplanationStep(
            "domain", f"{facts.domain}, as asked", PASSED, (("Detection", "overridden by caller"),)
        )
    others = [
        candidate
        for candidate in facts.candidates
        if candidate.name != facts.domain and candidate.confidence >= LEAST_SHOWN
    ][:OTHER_CANDIDATES]
    return ExplanationStep(
        "domain",
        f"{facts.domain} {facts.confidence:.2f}",
        PASSED,
        (("Detector", facts.detector), *_caution(facts)),
        tuple((c.name, f"{c.confidence:.2f}{_under_minimum(facts, c)}") for c in others),
    )


def _caution(facts: DecisionView) -> Iterator[tuple[str, str]]:
    if facts.cautious:
        yield "Language", f"unknown to the detector, so decided like {facts.cautious}"


def _under_minimum(facts: DecisionView, other: Candidate) -> str:
    return ", below its minimum" if other.confidence > facts.confidence else ""


def _flag(facts: DecisionView) -> ExplanationStep:
    flag = facts.deciding_flag
    if flag is None:
        return ExplanationStep("flag", "not evaluated", OFF)
    word = "on" if flag.on else "off"
    if flag.reason != "rollout":
        fact = f"{word}, {flag.reason.replace('_', ' ')}"
    elif 0 < flag.percentage < 100:
        fact = f"{word} at {percentage(flag.percentage)}, bucket {100 * flag.bucket:.2f}"
    else:
        fact = f"{word} for everybody"
    details = tuple((f.key, f"{'on' if f.on else 'off'}: {flag_reason(f)}") for f in facts.flags)
    return ExplanationStep("flag", fact, PASSED, details, _other_side(flag))


def _other_side(flag: FlagState) -> Pairs:
    if flag.on and flag.percentage < 100:
        return (("domain selector", f"for the other {percentage(100 - flag.percentage)} of units"),)
    if not flag.on:
        return (("routing", flag_reason(flag)),)
    return ()


def _holdout(facts: DecisionView) -> Iterator[ExplanationStep]:
    if facts.reason == "holdout":
        yield ExplanationStep(
            "holdout", "held out", PASSED, (), (("routing", "never, for this unit"),)
        )


def _experiment(facts: DecisionView) -> ExplanationStep:
    if not facts.experiment:
        return ExplanationStep("experiment", "none", OFF)
    counted = "yes" if facts.counted else "no: listed or forced units are left out"
    return ExplanationStep(
        "experiment",
        f"{facts.experiment}, arm {facts.arm}",
        PASSED,
        (("Phase", str(facts.phase)), ("Counted", counted)),
    )


def _score(facts: DecisionView) -> ExplanationStep:
    details = [*_scores(facts)]
    if facts.propensity is not None:
        details.append(("Propensity of the choice", f"{facts.propensity:.4g}"))
    if facts.score is not None and facts.threshold is not None:
        details += _table(facts)
        score, sign, threshold = comparison(facts.score, facts.threshold)
        if facts.reason == DRAWN_AT_THRESHOLD:
            sign = "="
        return ExplanationStep("score", f"{score} {sign} {threshold}", PASSED, tuple(details))
    if any(step.stage == "router" for step in facts.fallbacks):
        return ExplanationStep("score", "none", FAULT, tuple(details))
    return ExplanationStep(
        "score", "not used" if facts.scores else "not computed", OFF, tuple(details)
    )


def _table(facts: DecisionView) -> Iterator[tuple[str, str]]:
    if facts.router in facts.tables:
        yield "Threshold", f"follows a target: table {facts.tables[facts.router]}"
    if facts.reason == DRAWN_AT_THRESHOLD:
        yield "Tie", "drawn by the decision's hash"


def _scores(facts: DecisionView) -> Iterator[tuple[str, str]]:
    for name, answer in facts.scores.items():
        if isinstance(answer, Score):
            yield f"Router {name}", f"{answer.value:.4f}"
        else:
            yield f"Router {name}", " ".join((answer.reason.replace("_", " "), answer.detail))


def _fallbacks(facts: DecisionView) -> Iterator[ExplanationStep]:
    for step in facts.fallbacks:
        yield ExplanationStep(
            "fallback",
            step.reason.replace("_", " "),
            FAULT,
            (("Stage", step.stage), ("Used instead", step.model), ("Detail", step.detail)),
        )


def _model(facts: DecisionView) -> ExplanationStep:
    cost = "price unknown" if facts.cost is None else dollars(facts.cost)
    details = [
        ("Method", facts.method.replace("_", " ")),
        ("Tier", facts.tier),
        ("Expected cost", cost),
        ("Baseline", f"{baseline_name(facts)}: {_money(facts.cost_baseline)}"),
    ]
    fact = f"{facts.model}, {cost}"
    return ExplanationStep("model", fact, TAKEN, tuple(details), tuple(_not_taken(facts)))


def _not_taken(facts: DecisionView) -> Iterator[tuple[str, str]]:
    if facts.intended != facts.model:
        yield facts.intended, "intended, but unavailable"
    for tier, model in (("strong", facts.strong), ("weak", facts.weak)):
        if model and model not in {facts.model, facts.intended}:
            yield model, f"{tier}, not chosen: {_money(facts.cost_of(model))}"


def _money(nano: int | None) -> str:
    return "price unknown" if nano is None else dollars(nano)


def _outcome(facts: DecisionView) -> ExplanationStep:
    ratings = [f"{r.metric} {r.value:g} ({r.source})" for r in facts.ratings]
    report = facts.report
    if report is None:
        return ExplanationStep("outcome", ", ".join(ratings) or "not reported yet", OFF)
    parts = [f"by {report.answered_by}"] if report.answered_by else []
    parts += [] if report.output_tokens is None else [f"{report.output_tokens} output tokens"]
    parts += [] if report.cost is None else [dollars(report.cost)]
    details = [] if report.latency_ms is None else [("Latency", f"{report.latency_ms:g} ms")]
    if report.success is False:
        parts.insert(0, "failed")
        details.append(("Error", report.error or "not reported"))
    state = FAULT if report.success is False else PASSED
    return ExplanationStep(
        "outcome", ", ".join([*parts, *ratings]) or "reported", state, tuple(details)
    )


WHY_SELECTOR = {
    "policy": "the policy of {place} is the domain selector",
    "holdout": "this unit is in the global holdout, which always uses the domain selector",
    "unknown_language": "the prompt's language is unknown and it may be {place}, whose flag is "
    "off, so the domain selector chose",
    "router_failed": "router {router} failed, so the domain selector chose",
    "router_timeout": "router {router} did not answer in time, so the domain selector chose",
    "router_not_ready": "router {router} was not ready, so the domain selector chose",
    "invalid_score": "router {router} returned an invalid score, so the domain selector chose",
    "broken_configuration": "the policy of {place} is invalid, so the domain selector chose",
}


def summary(facts: DecisionView) -> str:
    """The model, why it was chosen, and the saving, in one sentence."""
    sent = f"Sent to {facts.model}"
    if facts.explored:
        sent += (
            ", the other model of the pair, for exploration "
            f"({percentage(100 * facts.epsilon)} of prompts)"
        )
    parts = [f"{sent}: {_why(facts)}"]
    if facts.model != facts.intended:
        parts.append(f"{facts.intended} was intended but is unavailable")
    if facts.report and facts.report.answered_by:
        parts.append(f"it failed, so {facts.report.answered_by} answered")
    parts.append(_saving(facts))
    return "; ".join(parts) + "."


def _why(facts: DecisionView) -> str:
    if facts.method == Method.ROUTELLM and facts.score is not None and facts.threshold is not None:
        score, sign, threshold = comparison(facts.score, facts.threshold)
        if facts.reason == DRAWN_AT_THRESHOLD:
            return f"score {score} equals the threshold of {facts.place}, so it was drawn"
        is_ = "is at or above" if sign == "≥" else "is below"
        return f"score {score} {is_} the threshold {threshold} of {facts.place}"
    if facts.method == Method.DIRECT:
        return "the caller named this model, so nothing was routed"
    if facts.method in {Method.ALWAYS_STRONG, Method.ALWAYS_WEAK}:
        tier = facts.method.removeprefix("always_")
        return f"the policy of {facts.place} always uses the {tier} model"
    if facts.reason in {"master_flag_off", "domain_flag_off"}:
        return _why_flag(facts)
    template = WHY_SELECTOR.get(facts.reason, "the domain selector chose ({reason})")
    return template.format(place=facts.place, router=_asked(facts), reason=facts.reason)


def _why_flag(facts: DecisionView) -> str:
    flag = facts.deciding_flag
    whose = "RouteLLM" if facts.reason == "master_flag_off" else f"the flag of {facts.domain}"
    if flag is None or flag.percentage == 0:
        off = f"{whose} is off for everybody"
    else:
        off = f"{whose} is off for this unit ({flag_reason(flag)})"
    return f"{off}, so the domain selector chose"


def flag_reason(flag: FlagState) -> str:
    if flag.reason != "rollout":
        return f"on the {flag.reason.replace('_', ' ')}"
    sign = "is below" if flag.on else "is not below"
    return f"bucket {100 * flag.bucket:.2f} {sign} {percentage(flag.percentage)}"


def _saving(facts: DecisionView) -> str:
    """From actual tokens if an outcome reported them, else from the estimate."""
    cost, baseline, tense = facts.cost, facts.cost_baseline, "saves"
    if facts.report and facts.report.cost is not None and facts.report.cost_baseline is not None:
        cost, baseline, tense = facts.report.cost, facts.report.cost_baseline, "saved"
    if cost is None or baseline is None:
        return "the saving is unknown, because a price is missing"
    against = baseline_name(facts)
    if cost == baseline:
        return f"costs the same as {against}"
    if cost < baseline:
        return f"{tense} {dollars(baseline - cost)} against {against}"
    return f"costs {dollars(cost - baseline)} more than {against}"


def baseline_name(facts: DecisionView) -> str:
    return {facts.strong: "always strong", facts.weak: "always weak"}.get(
        facts.baseline, facts.baseline
    )


def _asked(facts: DecisionView) -> str:
    """The router that failed."""
    failed = [name for name, answer in facts.scores.items() if isinstance(answer, Failure)]
    return failed[0] if len(failed) == 1 else "of the policy"
