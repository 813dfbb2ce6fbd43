"""Texts about shadow calls and the judge."""

from experiments.analysis.agreement import ENOUGH, Agreement
from experiments.analysis.ratings import Estimate
from experiments.core.policy import Policy
from experiments.dashboards.wording import Budget, Headline
from experiments.formatting import plural, share, share_interval
from experiments.shadow.report import Judging

REASONS = {"budget_day": "Today's budget is used up."}


def answer(found: Judging, when: str, policy: Policy, budget: Budget) -> Headline:
    return Headline(_result(found, when), _next(found, policy, budget))


def _result(found: Judging, when: str) -> str:
    judged = found.judged
    if not judged:
        return f"The judge compared no answers {when}."
    strong, ties, weak = (
        sum(getattr(one, name) for one in found.domains) for name in ("strong", "ties", "weak")
    )
    return (
        f"The judge compared {plural(judged, 'pair')} of answers {when}: the strong model was "
        f"better in {share(strong / judged)}, the weak model in {share(weak / judged)}, neither in "
        f"{share(ties / judged)}. {_agreed(found.agreement)}"
    )


def _agreed(found: Agreement) -> str:
    if found.share is None:
        return "None of them was rated by a person."
    if not found.is_enough:
        return f"Too few were rated by people to compare: {found.n} of {ENOUGH}."
    return f"It agreed with people in {share_interval(*found.share)}."


def _next(found: Judging, policy: Policy, budget: Budget) -> str:
    judge = policy.shadowing.judge
    if budget.is_used_up:
        return "Today's budget is used up. Raise it in the settings, or wait until tomorrow."
    if not any(one.share for one in found.domains):
        return "No domain makes shadow calls. Set the shadow share of a domain in the admin."
    if judge is None:
        return "No judge compares the answers. Choose one in the routing settings."
    pair = {policy.default_pair.strong, policy.default_pair.weak}
    if judge in pair:
        return (
            f"The judge {judge} is also in the default pair, and models prefer their own answers. "
            "Choose another judge in the routing settings."
        )
    return ""


def agreement(found: Agreement) -> str:
    """How well the judge and people agree."""
    if found.share is None:
        return (
            "No judged decision was rated by a person. Ratings come from the chat page or "
            "POST /api/v1/feedback."
        )
    excluded = f" {plural(found.undecided, 'decision')} left out, because one side was undecided."
    tail = excluded if found.undecided else ""
    if not found.is_enough:
        return f"Too few decisions with a clear verdict of both: {found.n} of {ENOUGH}.{tail}"
    chance = share(found.by_chance)
    return (
        f"They agreed on {found.agreed} of {found.n}: {share_interval(*found.share)}. Agreement "
        f"by chance "
        f"would be {chance}.{tail}"
    )


def position(first: Estimate | None) -> str:
    if first is None:
        return ""
    return (
        f"It preferred the answer it read first in {share_interval(*first)} of its verdicts; "
        f"without bias "
        "that is half. Each pair is judged in both orders, so position bias leads to ties."
    )


def verdict(preference: float | None, given: str, other: str) -> str:
    """The verdict on one pair."""
    if preference is None:
        return ""
    if preference == 0.5:
        return "neither is better"
    winner = given if preference > 0.5 else other
    return f"{winner} is better" + ("" if preference in {0.0, 1.0} else " in one order")
