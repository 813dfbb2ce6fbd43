"""Off-policy estimates as text: cost, quality, uncertainty, and what to do next."""

from experiments import formatting
from experiments.analysis.off_policy.estimates import (
    MIN_EXPLORATIONS,
    RARE,
    Bounds,
    Estimates,
    LogPart,
    RatedBy,
)
from experiments.analysis.off_policy.exploration import Advice
from experiments.analysis.routing.calibration import (
    FEWEST_UNITS,
    MOST_WEIGHT,
    Shortage,
    ShortageCode,
)
from experiments.core.policy import Method
from experiments.formatting import dollars, plural
from experiments.lab.candidates import CandidatePolicy
from experiments.lab.decision_log import Rescored
from experiments.lab.off_policy import PolicyEstimate

NOTEWORTHY = 0.005


def name_of(candidate: CandidatePolicy) -> str:
    """ "local at 0.75", "always weak"; with its pair if it has its own."""
    if candidate.method is Method.ROUTELLM:
        name = f"{candidate.router} at {candidate.threshold or 0.0:.4g}"
    else:
        name = str(candidate.method).replace("_", " ")
    return f"{name} over {candidate.strong} and {candidate.weak}" if candidate.strong else name


def sentence(answer: PolicyEstimate) -> str:
    """Cost, then quality, then the share of traffic that the estimate covers."""
    found, where = answer.found, answer.candidate.domain or "all domains"
    if not found.decisions:
        return f"No decision of {where} in this period has a propensity: no estimate is possible."
    if not found.overlap:
        text = (
            f"No estimate for “{name_of(answer.candidate)}” in {where} is possible: the log has no "
            "prompt that went where this would have sent it."
        )
        return f"{text} {rescored_words(answer.rescored)}" if answer.rescored else text
    parts = [
        f"Had “{name_of(answer.candidate)}” run in {where}, {cost_words(found.cost)}, and "
        f"{quality_words(found.quality)}."
    ]
    if found.without_overlap >= NOTEWORTHY:
        parts.append(
            f"That holds for {formatting.share(1 - found.without_overlap)} of the requests; for "
            f"the other "
            f"{formatting.share(found.without_overlap)} the log allows no estimate."
        )
    if answer.rescored:
        parts.append(rescored_words(answer.rescored))
    return " ".join(parts)


def rescored_words(found: Rescored) -> str:
    """'“mine” scored 0 of these decisions then and 900 now, from …; the other 100 are left out.'"""
    every = found.logged + found.now + found.left_out
    text = (
        f"Of these {plural(every, 'decision')} “{found.router}” scored {found.logged:,} at the "
        f"time and {found.now:,} now, from the stored prompts or features"
    )
    if not found.left_out:
        return f"{text}."
    return f"{text}; the other {found.left_out:,} cannot be scored and are left out."


def cost_words(cost: Estimates) -> str:
    """'1,000 requests would have cost $1.20 instead of $2.10 (between $0.80 and $1.00 less)'."""
    now, then, change = cost.logged.value, cost.doubly_robust.value, cost.change
    if now is None or then is None or change.value is None:
        return "its cost is unknown, because prices are missing"
    text = f"1,000 requests would have cost {per_thousand(then)} instead of {per_thousand(now)}"
    if change.low is None or change.high is None:
        return f"{text} (too few matching decisions for an interval)"
    return f"{text} ({_money_range(change)})"


def quality_words(quality: Estimates) -> str:
    """'quality would have been 2.0 points lower (between 0.5 and 3.5 lower)'."""
    change = quality.change
    if not quality.has_enough or change.value is None or change.low is None or change.high is None:
        return f"there is too little data on its quality: {few(quality)}"
    if change.low == change.high == 0.0:
        return "its quality would have been the same: the log made the same choices"
    return (
        f"quality would have been {_points(change.value)} (between {_signed(change.low)} and "
        f"{_signed(change.high)} points)"
    )


def few(quality: Estimates) -> str:
    """'12 of 60 rated explorations', or the part of the requests with too few."""
    rare = [part for part in quality.parts if part.most <= RARE]
    if quality.lacking and len(rare) > 1:
        part = min(quality.lacking, key=lambda one: one.matching)
        return (
            f"{part.matching} of {MIN_EXPLORATIONS} rated decisions that went where it would have, "
            f"among the {formatting.share(part.share)} of the requests where the odds of that were "
            f"{_odds(part)}"
        )
    if quality.needs:
        what = "rated explorations"
        return f"{quality.explorations} of {MIN_EXPLORATIONS} {what} that went where it would have"
    return f"{quality.matching} of {MIN_EXPLORATIONS} rated decisions"


def _odds(part: LogPart) -> str:
    if part.most - part.least < 0.0005:
        return formatting.share(part.least)
    return f"{formatting.share(part.least)} to {formatting.share(part.most)}"


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
    """The source of the ratings, and the condition for the estimate of quality."""
    if not found.audited:
        return MISSING_AT_RANDOM
    text = f"{AUDITED} {plural(found.audited, 'audited rating')} count"
    if found.not_audited:
        text += (
            f"; of {plural(found.not_audited, 'decision')} that no audit could have drawn it says "
            "nothing"
        )
    if not found.volunteered:
        return f"{text}."
    return (
        f"{text}. In domains with too few audited ratings {found.volunteered:,} ratings by "
        f"volunteers count. {MISSING_AT_RANDOM}"
    )


def largest_words(share: float) -> str:
    """'The ten largest requests carry 34 % of the cost: the true cost may lie above …'."""
    return (
        f"The ten largest requests carry {formatting.share(share)} of the cost: the true cost may "
        "lie above this interval."
    )


def tail_words(cost: Estimates) -> str:
    """A warning about an interval of costs, or ""."""
    if cost.is_lopsided:
        return largest_words(cost.largest)
    if cost.is_log_lopsided:
        return (
            f"The ten largest requests carry {formatting.share(cost.largest_logged)} of the cost "
            "as logged: the true cost as logged may lie above its interval, and the true change "
            "outside its own."
        )
    return ""


def tails(answer: PolicyEstimate) -> str:
    """The same for all domains together and for each, or ""."""
    parts = [tail_words(answer.found.cost)]
    for one in answer.domains:
        text = tail_words(one.found.cost)
        parts.append(text and f"In {one.name}: {text[:1].lower()}{text[1:]}")
    return " ".join(part for part in parts if part)


def advice_words(advice: Advice, domain: str) -> str:
    """'Next: turn on exploration of 2 % for this domain: it costs about $x a day …'."""
    where = domain or "these domains"
    if advice.is_on:
        rate = formatting.share(advice.rate)
        text = f"Next: continue exploring {where}: at {rate} the log answers this"
        return (
            f"{text} in about {plural(advice.days, 'day')}."
            if advice.days
            else f"{text} once rated."
        )
    start = f"Next: turn on exploration of {formatting.share(advice.rate)} for {where}"
    if advice.daily_cost is None:
        money = "its cost is unknown, because prices are missing"
    elif advice.daily_cost >= 0:
        money = f"it costs about {dollars(round(advice.daily_cost))} a day"
    else:
        money = f"it saves about {dollars(round(-advice.daily_cost))} a day, by using the weak"
        money += " model more often"
    if advice.days is not None:
        return f"{start}: {money} and answers this in about {plural(advice.days, 'day')}."
    if not advice.rated:
        return f"{start}: {money}. There are no ratings yet: send ratings, too."
    return f"{start}: {money}."


def weights_words(answer: PolicyEstimate) -> str:
    """How many decisions the estimate uses, and which weights were clipped."""
    quality = answer.found.quality
    parts = [
        f"{plural(quality.matching, 'rated decision')} went where the candidate would have sent "
        f"them, {quality.explorations:,} of them by exploration; their effective sample size is "
        f"{quality.effective_size:,.0f}."
    ]
    if answer.found.clipped:
        parts.append(
            f"The probability of a rating was clipped for "
            f"{formatting.share(answer.found.clipped)} of the "
            "ratings, which biases the estimate slightly."
        )
    if not answer.is_whole:
        parts.append(
            f"Only the newest {answer.found.decisions:,} decisions were read: "
            "`manage.py what_if` reads all."
        )
    return " ".join(parts)


def per_thousand(nano: float) -> str:
    return dollars(round(1000 * nano))


def bounds_words(bounds: Bounds, scale: float = 1.0, digits: int = 3) -> str:
    """'0.812 (0.790 to 0.834)', or why there is no interval."""
    if bounds.value is None:
        return "unknown"
    if bounds.low is None or bounds.high is None:
        return f"{formatting.number(bounds.value * scale, digits)} (too few)"
    ends = (bounds.value * scale, bounds.low * scale, bounds.high * scale)
    return formatting.interval(*ends, digits=digits)


def _points(change: float) -> str:
    word = "higher" if change > 0 else "lower"
    return f"{abs(100 * change):.1f} points {word}"


def _signed(change: float) -> str:
    return formatting.signed(100 * change, 1)


def _money_range(change: Bounds) -> str:
    low, high = change.low or 0.0, change.high or 0.0
    if high <= 0:
        return f"between {per_thousand(-high)} and {per_thousand(-low)} less"
    if low >= 0:
        return f"between {per_thousand(low)} and {per_thousand(high)} more"
    return f"between {per_thousand(-low)} less and {per_thousand(high)} more"


def shortage_words(shortage: Shortage) -> str:
    """Why data support no threshold, as the end of a sentence."""
    units, value = shortage.units, shortage.value
    others = f", and the others are of {units} units" if units else ""
    return {
        ShortageCode.TOO_FEW_UNITS: f"too few graded units, {units} of {FEWEST_UNITS}",
        ShortageCode.NOTHING_RATED: "nothing was rated",
        ShortageCode.NOTHING_SCORED: "no router scored these prompts",
        ShortageCode.HEAVY_RATINGS: (
            f"a rating would count for {value:,.0f} prompts and more on every second prompt, more "
            f"than {MOST_WEIGHT:.0f}: explore more, or collect more ratings"
        ),
        ShortageCode.ONE_MODEL_ONLY: (
            f"{formatting.exact_share(value, 0)} of the prompts could have gone to one model "
            f"only{others}, so too little is known of the other: explore, or "
            "grade both answers of some prompts"
        ),
        ShortageCode.NOT_EVEN_STRONG: (
            f"{units:,} graded units do not even show it for sending everything to the strong "
            f"model (p = {value:.2g}): grade more prompts, or promise less"
        ),
    }[shortage.code]
