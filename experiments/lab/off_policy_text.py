"""The answer to "what if?" in sentences: what it would have cost, how good, how sure, what next."""

from experiments.analysis.off_policy.estimates import (
    MIN_EXPLORATIONS,
    RARE,
    Bounds,
    Estimates,
    Part,
    RatedBy,
)
from experiments.analysis.off_policy.exploration import Advice
from experiments.core.policy import Method
from experiments.core.wording import dollars, plural
from experiments.lab.candidates import Candidate
from experiments.lab.decision_log import Rescored
from experiments.lab.off_policy import PolicyEstimate

MINUS = "\N{MINUS SIGN}"
NOTEWORTHY = 0.005


def name_of(candidate: Candidate) -> str:
    """ "local at 0.75", "always weak", with its pair where it has one of its own."""
    if candidate.method is Method.ROUTELLM:
        name = f"{candidate.router} at {candidate.threshold or 0.0:.4g}"
    else:
        name = str(candidate.method).replace("_", " ")
    return f"{name} over {candidate.strong} and {candidate.weak}" if candidate.strong else name


def sentence(answer: PolicyEstimate) -> str:
    """Cost, then quality, then of how much of the traffic this is true."""
    found, where = answer.found, answer.candidate.domain or "all domains"
    if not found.decisions:
        return f"No decision of {where} in this time has a propensity, so nothing can be asked."
    if not found.overlap:
        told = (
            f"The log cannot say anything about “{name_of(answer.candidate)}” in {where}: it never "
            "went where this would have sent a prompt."
        )
        return f"{told} {rescored_words(answer.rescored)}" if answer.rescored else told
    parts = [
        f"Had “{name_of(answer.candidate)}” run in {where}, {cost_words(found.cost)}, and "
        f"{quality_words(found.quality)}."
    ]
    if found.without_overlap >= NOTEWORTHY:
        parts.append(
            f"That holds for {percent(1 - found.without_overlap)} of the requests; of the other "
            f"{percent(found.without_overlap)} the log cannot say anything."
        )
    if answer.rescored:
        parts.append(rescored_words(answer.rescored))
    return " ".join(parts)


def rescored_words(found: Rescored) -> str:
    """'“mine” scored 0 of these decisions then and 900 now, from …; the other 100 are left out.'"""
    every = found.logged + found.now + found.left_out
    told = (
        f"Of these {plural(every, 'decision')} “{found.router}” scored {found.logged:,} at the "
        f"time and {found.now:,} now, from the prompts or features that are kept"
    )
    if not found.left_out:
        return f"{told}."
    return f"{told}; the other {found.left_out:,} cannot be scored and are left out, not guessed."


def cost_words(cost: Estimates) -> str:
    """'1,000 requests would have cost $1.20 instead of $2.10 (between $0.80 and $1.00 less)'."""
    now, then, change = cost.logged.value, cost.doubly_robust.value, cost.change
    if now is None or then is None or change.value is None:
        return "nothing is known of its cost, for want of prices"
    told = f"1,000 requests would have cost {per_thousand(then)} instead of {per_thousand(now)}"
    if change.low is None or change.high is None:
        return f"{told} (too few went there to say how sure that is)"
    return f"{told} ({_money_range(change)})"


def quality_words(quality: Estimates) -> str:
    """'quality would have been 2.0 points lower (between 0.5 and 3.5 lower)'."""
    change = quality.change
    if not quality.has_enough or change.value is None or change.low is None or change.high is None:
        return f"of its quality too little is known: {few(quality)}"
    if change.low == change.high == 0.0:
        return "its quality would have been the same: the log did just this"
    return (
        f"quality would have been {_points(change.value)} (between {_signed(change.low)} and "
        f"{_signed(change.high)} points)"
    )


def few(quality: Estimates) -> str:
    """'12 of 60 rated explorations', or which part of the requests has too few."""
    rare = [part for part in quality.parts if part.most <= RARE]
    if quality.lacking and len(rare) > 1:
        part = min(quality.lacking, key=lambda one: one.matching)
        return (
            f"{part.matching} of {MIN_EXPLORATIONS} rated decisions that went where it would have, "
            f"among the {percent(part.share)} of the requests where the odds of that were "
            f"{_odds(part)}"
        )
    if quality.needs:
        what = "rated explorations"
        return f"{quality.explorations} of {MIN_EXPLORATIONS} {what} that went where it would have"
    return f"{quality.matching} of {MIN_EXPLORATIONS} rated decisions"


def _odds(part: Part) -> str:
    if part.most - part.least < 0.0005:
        return percent(part.least)
    return f"{percent(part.least)} to {percent(part.most)}"


MISSING_AT_RANDOM = (
    "The condition: of requests alike in domain, score, model and prompt length, good and bad "
    "answers must be rated equally often. If unhappy users rate more often, this is wrong, and the "
    "ratings cannot show it. The way out is to audit a random share of an experiment's decisions, "
    "or to grade both answers of some prompts (an outcome set)."
)
AUDITED = (
    "Quality is from random audits alone, so it does not matter who volunteers ratings, as long as "
    "audited decisions do get rated."
)


def condition_words(found: RatedBy) -> str:
    """On what the quality rests: who rated, and what has to be true of that."""
    if not found.audited:
        return MISSING_AT_RANDOM
    told = f"{AUDITED} {plural(found.audited, 'audited rating')} count"
    if found.not_audited:
        told += (
            f"; of {plural(found.not_audited, 'decision')} that no audit could have drawn it says "
            "nothing"
        )
    if not found.volunteered:
        return f"{told}."
    return (
        f"{told}. In domains with too few audited ratings {found.volunteered:,} ratings by "
        f"volunteers count. {MISSING_AT_RANDOM}"
    )


def largest_words(share: float) -> str:
    """'The ten largest requests carry 34 % of the cost: the true cost may lie above …'."""
    return (
        f"The ten largest requests carry {percent(share)} of the cost: the true cost may lie above "
        "this interval."
    )


def tail_words(cost: Estimates) -> str:
    """What to know of an interval of costs before trusting it, or ""."""
    if cost.is_lopsided:
        return largest_words(cost.largest)
    if cost.is_log_lopsided:
        return (
            f"The ten largest requests carry {percent(cost.largest_logged)} of the cost as logged: "
            "the true cost as logged may lie above its interval, and the true change outside its "
            "own."
        )
    return ""


def tails(answer: PolicyEstimate) -> str:
    """The same of the whole and of each domain, or ""."""
    parts = [tail_words(answer.found.cost)]
    for one in answer.domains:
        told = tail_words(one.found.cost)
        parts.append(told and f"In {one.name}: {told[:1].lower()}{told[1:]}")
    return " ".join(part for part in parts if part)


def advice_words(advice: Advice, domain: str) -> str:
    """'Next: turn on exploration of 2 % for this domain: it costs about $x a day …'."""
    where = domain or "these domains"
    if advice.is_on:
        told = f"Next: go on exploring {where}: at {percent(advice.rate)} the log answers this"
        return (
            f"{told} in about {plural(advice.days, 'day')}."
            if advice.days
            else f"{told} once rated."
        )
    start = f"Next: turn on exploration of {percent(advice.rate)} for {where}"
    if advice.daily_cost is None:
        money = "what it costs cannot be said, for want of prices"
    elif advice.daily_cost >= 0:
        money = f"it costs about {dollars(round(advice.daily_cost))} a day"
    else:
        money = f"it saves about {dollars(round(-advice.daily_cost))} a day, by asking the weak"
        money += " model more often"
    if advice.days is not None:
        return f"{start}: {money} and answers this in about {plural(advice.days, 'day')}."
    if not advice.rated:
        return f"{start}: {money}. Nothing is rated yet: send ratings too, or it never answers."
    return f"{start}: {money}."


def weights_words(answer: PolicyEstimate) -> str:
    """How much of the log the estimate hangs on, and what was clipped."""
    quality = answer.found.quality
    parts = [
        f"{plural(quality.matching, 'rated decision')} went where the candidate would have sent "
        f"them, {quality.explorations:,} of them by exploring; together they say as much as "
        f"{quality.effective_size:,.0f} of equal weight."
    ]
    if answer.found.clipped:
        parts.append(
            f"The probability of being rated was clipped for {percent(answer.found.clipped)} of "
            "the rated, which bends the estimate a little."
        )
    if not answer.is_whole:
        parts.append(
            f"Only the newest {answer.found.decisions:,} decisions were read: "
            "`manage.py what_if` reads all."
        )
    return " ".join(parts)


def percent(share: float) -> str:
    value = 100 * share
    digits = 0 if abs(value) >= 10 or value == round(value) else 1
    return f"{value:.{digits}f} %".replace("-", MINUS)


def per_thousand(nano: float) -> str:
    return dollars(round(1000 * nano))


def bounds_words(bounds: Bounds, scale: float = 1.0, digits: int = 3) -> str:
    """'0.812 (0.790 to 0.834)', or why there is no interval."""
    if bounds.value is None:
        return "unknown"
    value = f"{bounds.value * scale:,.{digits}f}"
    if bounds.low is None or bounds.high is None:
        return f"{value} (too few)"
    low, high = (f"{end * scale:,.{digits}f}" for end in (bounds.low, bounds.high))
    return f"{value} ({low} to {high})".replace("-", MINUS)


def _points(change: float) -> str:
    word = "higher" if change > 0 else "lower"
    return f"{abs(100 * change):.1f} points {word}"


def _signed(change: float) -> str:
    return f"{100 * change:+z.1f}".replace("-", MINUS)


def _money_range(change: Bounds) -> str:
    low, high = change.low or 0.0, change.high or 0.0
    if high <= 0:
        return f"between {per_thousand(-high)} and {per_thousand(-low)} less"
    if low >= 0:
        return f"between {per_thousand(low)} and {per_thousand(high)} more"
    return f"between {per_thousand(-low)} less and {per_thousand(high)} more"
