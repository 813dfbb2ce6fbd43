"""Headlines and chart sentences of the pages about traffic."""

from collections.abc import Sequence
from typing import NamedTuple

from experiments.analysis.ratings import Estimate
from experiments.analytics.detection import Moved
from experiments.analytics.model_use import ModelUse
from experiments.analytics.traffic import (
    MIN_RATED,
    TOLERANCE,
    Baseline,
    CostComparison,
    DomainTraffic,
    Quality,
    QualityStatus,
    Traffic,
    quality_of,
)
from experiments.dashboards.filters import BASELINES, Filters
from experiments.decisions.rollup_queries import DAY, HOUR
from experiments.formatting import dollars, interval, plural, share, signed


class Headline(NamedTuple):
    """A page's first sentence, and the next step if there is one."""

    sentence: str
    next: str = ""


class Budget(NamedTuple):
    """Today's (UTC), in nano-dollars."""

    spent: int
    limit: int

    @property
    def is_used_up(self) -> bool:
        return self.spent >= self.limit

    @property
    def words(self) -> str:
        used = f"{dollars(self.spent)} of {dollars(self.limit)} used today (UTC)"
        return f"{used}; no more calls until midnight." if self.is_used_up else f"{used}."


def title(name: str) -> str:
    """A name at the beginning of a sentence."""
    return name[:1].upper() + name[1:]


def between(estimate: Estimate | None, otherwise: str = "not rated") -> str:
    """An estimate with its interval, or why there is none."""
    return otherwise if estimate is None else interval(*estimate)


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def overview(traffic: Traffic, filters: Filters, verdicts: Sequence[str] = ()) -> Headline:
    """The saving, and whether quality held. `verdicts` of experiments are the first next step,
    because only they are fair comparisons."""
    money = saving(traffic.compared, traffic.baseline, filters.when)
    parts = [money, *_random(traffic), quality_held(traffic.domains)]
    todo = f"Next: {'; '.join(verdicts)}." if verdicts else _next(traffic)
    return Headline(" ".join(part for part in parts if part), todo)


def saving(
    compared: CostComparison, baseline: Baseline, when: str, subject: str = "Routing"
) -> str:
    """The saving with its baseline, or why it is not known."""
    against = BASELINES[baseline]
    if not compared.decisions:
        return f"The saving {when} is unknown: no request has prices for both of its models."
    if compared.saving >= 0:
        how_much = f"saved {dollars(compared.saving)} ({share(compared.share)})"
    else:
        relative = f" ({share(-compared.share)} more)" if compared.share is not None else ""
        how_much = f"cost {dollars(-compared.saving)} more{relative}"
    return f"{subject} {how_much} {when} against {against}."


def _random(traffic: Traffic) -> list[str]:
    """The saving of a random router against the same baseline, for the same requests."""
    random = traffic.random
    if traffic.baseline is not Baseline.ALWAYS_STRONG or not random.decisions:
        return []
    # It covers only requests that a pair answered; the others cost the same either way.
    saved = traffic.compared.saving - random.saving
    if saved <= 0:
        return []
    sentence = f"A random router with the same strong share would have saved {dollars(saved)}"
    if saved > traffic.compared.saving:
        return [f"{sentence}; routing must make up the difference with quality."]
    return [f"{sentence}."]


def quality_held(domains: Sequence[DomainTraffic]) -> str:
    """In how many domains the weak model's ratings are close to the strong model's."""
    routed = [one for one in domains if one.quality.held is not QualityStatus.NOT_ROUTED]
    if not routed:
        return "Quality cannot be compared: no domain has answers of both models."
    if len(routed) == 1:
        return _one_domain(routed[0].quality, routed[0].name)
    by_held = {
        held: [one.name for one in routed if one.quality.held is held] for held in QualityStatus
    }
    yes = len(by_held[QualityStatus.YES])
    if yes == len(routed):
        return f"Quality held in all {yes} routed domains."
    if len(by_held[QualityStatus.TOO_FEW]) == len(routed):
        all_of = f"all {len(routed)} routed domains"
        return f"Not enough ratings to compare quality yet: {all_of} have too few."
    where = f"Quality held in {yes} of {len(routed)} routed domains; " if yes else ""
    reasons = [
        f"{listed(by_held[held])} {verb if len(by_held[held]) == 1 else verbs}"
        for held, verb, verbs in (
            (QualityStatus.NO, "has lower quality", "have lower quality"),
            (QualityStatus.UNCLEAR, "is too close to call", "are too close to call"),
            (QualityStatus.TOO_FEW, "has too few ratings", "have too few ratings"),
        )
        if by_held[held]
    ]
    return title(f"{where}{'; '.join(reasons)}.")


def _one_domain(quality: Quality, name: str) -> str:
    gap = quality.gap
    if quality.held is QualityStatus.TOO_FEW or gap is None:
        return (
            f"Not enough ratings to compare quality in {name}: the model with fewer ratings has "
            f"{quality.scarcer} of {MIN_RATED}."
        )
    difference = f"{signed(gap.value)} (between {signed(gap.low)} and {signed(gap.high)})"
    status = {
        QualityStatus.YES: f"Quality held in {name}",
        QualityStatus.NO: f"Quality fell in {name}",
        QualityStatus.UNCLEAR: f"Quality in {name} is too close to call",
    }[quality.held]
    return f"{status}: the weak model's answers are rated {difference} against the strong model's."


def _next(traffic: Traffic) -> str:
    fallen = [one.name for one in traffic.domains if one.quality.held is QualityStatus.NO]
    if fallen:
        flags = "its flag" if len(fallen) == 1 else "their flags"
        return f"Next: lower the threshold of {listed(fallen)}, or switch {flags} off."
    few = [one.name for one in traffic.domains if one.quality.held is QualityStatus.TOO_FEW]
    if few:
        return f"Next: send ratings for {listed(few)} with POST /api/v1/feedback."
    if traffic.domains and all(
        one.quality.held is QualityStatus.NOT_ROUTED for one in traffic.domains
    ):
        return "Next: raise a domain's flag, so that a router decides there."
    return ""


def cost_over_time(traffic: Traffic, unit: str, gap: str = "bars and line") -> str:
    """The actual cost and that of the baseline; the chart shows the saving at `gap`."""
    drawn = traffic.compared.decisions
    spent = f"{dollars(traffic.compared.cost)} was spent"
    line = f"{BASELINES[traffic.baseline]} would have cost {dollars(traffic.compared.baseline)}"
    missing = traffic.sums.decisions - drawn
    note = ""
    if missing and traffic.baseline is Baseline.RANDOM:
        note = f" {plural(missing, 'request')} without a pair or without prices left out."
    elif missing:
        note = f" {plural(missing, 'request')} without prices for both models left out."
    return f"{spent}; {line}. The space between {gap} is the saving of each {unit}.{note}"


def quality_by_tier(traffic: Traffic) -> str:
    quality = quality_of(traffic.tiers)
    if not quality.rated:
        return "No answer was rated. Send ratings with POST /api/v1/feedback."
    if quality.gap is None:
        return f"The mean rating is {between(quality.mean)}; only one of the two models was rated."
    gap = quality.gap
    return (
        f"The weak model's answers are rated {signed(gap.value, 3)} against the strong model's, "
        f"between {signed(gap.low, 3)} and {signed(gap.high, 3)}; down to {signed(-TOLERANCE)} "
        f"counts as held.{_merged(traffic)}"
    )


def _merged(traffic: Traffic) -> str:
    """How much time a point covers, if it is more than one bucket of the axis."""
    times = sorted({point.at for point in traffic.quality})
    if len(times) < 2:
        return ""
    width = times[1] - times[0]
    if width <= (DAY if traffic.span.step == "day" else HOUR):
        return ""
    unit, size = ("days", DAY) if traffic.span.step == "day" else ("hours", HOUR)
    return f" Each point covers {width // size} {unit}, to have enough ratings."


def domains(traffic: Traffic, filters: Filters) -> Headline:
    """Which domain saved most, and which cost more."""
    ranked = sorted(traffic.domains, key=lambda one: -one.compared.saving)
    best, worst = ranked[0], ranked[-1]
    if best.compared.saving <= 0:
        first = f"No domain saved money {filters.when} against {filters.baseline_label}."
    else:
        first = (
            f"{title(best.name)} saved the most {filters.when} against {filters.baseline_label}: "
            f"{dollars(best.compared.saving)} of {dollars(traffic.compared.saving)}."
        )
    if worst.compared.saving < 0:
        first += f" {title(worst.name)} cost {dollars(-worst.compared.saving)} more."
    return Headline(f"{first} {quality_held(traffic.domains)}", _next(traffic))


def domain(one: DomainTraffic, filters: Filters) -> Headline:
    parts = [saving(one.compared, filters.baseline, filters.when, title(one.name))]
    if one.quality.held is QualityStatus.NOT_ROUTED:
        parts.append("One model answered all requests, so quality cannot be compared.")
    else:
        parts.append(_one_domain(one.quality, one.name))
    return Headline(" ".join(parts), _next_of(one))


def _next_of(one: DomainTraffic) -> str:
    match one.quality.held:
        case QualityStatus.NO:
            return "Next: lower the threshold, or switch the flag off."
        case QualityStatus.TOO_FEW:
            return "Next: send ratings with POST /api/v1/feedback."
        case QualityStatus.UNCLEAR:
            return "Next: wait for more ratings, or start an experiment."
        case QualityStatus.NOT_ROUTED:
            return "Next: raise the domain's flag, so that the router decides."
    return ""


def threshold(moved: Moved, at_work: float | None) -> str:
    """The effect of the threshold chosen with the slider."""
    cost = "" if moved.cost is None else f": about {dollars(moved.cost)} per 1,000 requests"
    is_current = at_work is not None and abs(moved.threshold - at_work) < 0.005
    go = "go" if is_current else "would go"
    return f"At {moved.threshold:.2f}, {share(moved.strong_share)} {go} to the strong model{cost}."


def models(uses: Sequence[ModelUse], when: str, failing: Sequence[str] = ()) -> Headline:
    """The cost of the models, the accuracy of the estimates, and which models keep failing."""
    found = _costs(uses, when)
    if not failing:
        return found
    are = "is" if len(failing) == 1 else "are"
    unavailable = f"{listed(failing)} {are} temporarily unavailable (circuit breaker open)."
    return Headline(f"{unavailable} {found.sentence}", found.next)


def _costs(uses: Sequence[ModelUse], when: str) -> Headline:
    used = [use for use in uses if use.sums.decisions]
    if not used:
        return Headline(f"No model answered {when}.")
    cost = sum(use.sums.cost for use in used)
    first = f"{plural(len(used), 'model')} answered {when} for {dollars(cost)}."
    first_used = used[0]
    if len(used) > 1 and cost:
        first += f" {first_used.name} accounts for {share(first_used.sums.cost / cost)} of it."
    unpriced = [
        use.name for use in uses if use.price is None and (use.available or use.sums.decisions)
    ]
    actual, expected = (
        sum(getattr(use.sums, name) for use in used) for name in ("actual", "estimated")
    )
    if expected:
        error = actual / expected - 1
        first += f" Where tokens were reported, cost was {share(abs(error))} "
        first += "above" if error >= 0 else "below"
        first += " the estimate."
    if unpriced:
        has = "has" if len(unpriced) == 1 else "have"
        return Headline(
            f"{first} {listed(unpriced)} {has} no price.",
            "Next: enter a price in the admin, or run manage.py refresh_prices.",
        )
    return Headline(first)
