"""The sentences about shadow calls and their judge."""

from experiments.analysis.agreement import ENOUGH, Agreement
from experiments.analysis.ratings import Estimate
from experiments.core.policy import Policy
from experiments.core.wording import plural
from experiments.dashboards.wording import Budget, Headline, share
from experiments.shadow.report import Judging

REASONS = {"budget_day": "The day's budget is used up."}


def answer(found: Judging, when: str, policy: Policy, budget: Budget) -> Headline:
    return Headline(_said(found, when), _next(found, policy, budget))


def _said(found: Judging, when: str) -> str:
    judged = found.judged
    if not judged:
        return f"The judge compared no pair of answers {when}."
    strong, ties, weak = (
        sum(getattr(one, name) for one in found.domains) for name in ("strong", "ties", "weak")
    )
    return (
        f"The judge compared {plural(judged, 'pair')} of answers {when}: the strong model's was "
        f"better in {share(strong / judged)}, the weak one's in {share(weak / judged)}, neither in "
        f"{share(ties / judged)}. {_agreed(found.agreement)}"
    )


def _agreed(found: Agreement) -> str:
    if found.share is None:
        return "No person has rated any of them."
    if not found.is_enough:
        return f"Too few were rated by people to say whether they agree: {found.n} of {ENOUGH}."
    return f"It was of one mind with people in {interval(found.share)}."


def _next(found: Judging, policy: Policy, budget: Budget) -> str:
    judge = policy.shadowing.judge
    if budget.is_used_up:
        return "The day's budget is used up. Raise it in the settings, or wait until tomorrow."
    if not any(one.share for one in found.domains):
        return "No domain makes shadow calls now. Give one a shadow share in the admin."
    if judge is None:
        return "Nobody compares the answers: choose a judge in the routing settings."
    pair = {policy.default_pair.strong, policy.default_pair.weak}
    if judge in pair:
        return (
            f"The judge, {judge}, is also of the usual pair, and models prefer their own answers. "
            "Choose another one in the routing settings."
        )
    return ""


def agreement(found: Agreement) -> str:
    """The sentence of the panel."""
    if found.share is None:
        return (
            "Nobody has rated a decision that was judged. Ratings of quality come from the chat "
            "page or POST /api/v1/feedback."
        )
    apart = f" {plural(found.undecided, 'decision')} left out: one of them took no side."
    tail = apart if found.undecided else ""
    if not found.is_enough:
        return f"Too few: {found.n} of {ENOUGH} on which both took a side.{tail}"
    chance = share(found.by_chance)
    return (
        f"They agreed on {found.agreed} of {found.n}: {interval(found.share)}. Two who rate as "
        f"often well, without looking, would agree in {chance}.{tail}"
    )


def interval(estimate: Estimate) -> str:
    low, high = share(estimate.low), share(estimate.high)
    return f"{share(estimate.value)} (95 % interval: {low} to {high})"


def position(first: Estimate | None) -> str:
    if first is None:
        return ""
    return (
        f"It named the answer it read first in {interval(first)} of its verdicts; without a habit "
        "that is half. Each pair is judged in both orders, so a habit makes ties, not winners."
    )


def verdict(preference: float | None, given: str, other: str) -> str:
    """Of one pair."""
    if preference is None:
        return ""
    if preference == 0.5:
        return "neither is better"
    winner = given if preference > 0.5 else other
    return f"{winner} is better" + ("" if preference in {0.0, 1.0} else ", in one order")
