"""Summarizes a decision in one sentence: the model, why it was chosen, and the saving."""

from experiments.core.assignment import FlagState
from experiments.core.choice import DRAWN_AT_THRESHOLD
from experiments.core.facts import DecisionView
from experiments.core.policy import Method
from experiments.core.values import Failure
from experiments.formatting import comparison, dollars, percentage

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
