"""Text about a proposed threshold: its guarantee, and its effect compared with today's."""

from experiments import formatting
from experiments.analysis.off_policy.estimates import Bounds, RatedBy
from experiments.core.money import NANO
from experiments.formatting import plural
from experiments.lab.text.off_policy import bounds_words, condition_words, largest_words
from experiments.lab.threshold_proposals import PRODUCTION, ExpectedEffect, Proposal
from experiments.models import Calibration

Aim = Calibration.Aim
THOUSAND = 1000 / NANO


def sentence(found: Proposal) -> str:
    """'In technical a threshold of 0.4123 keeps at least 95 % of the strong model's quality …'."""
    if found.threshold is None or found.expected is None:
        return f"{found.domain}: {found.problem}"
    share = formatting.share(found.expected.strong_share.value or 0.0)
    return (
        f"In {found.domain} a threshold of {found.threshold:.4f} {_kept(found)}: {share} of the "
        f"prompts go to the strong model{_today(found)}."
    )


def basis(found: Proposal) -> str:
    """The data that the proposal uses."""
    text = f"From {found.scores:,} recent scores of router {found.router}."
    if found.walk is None:
        return text
    source = found.wanted.source or PRODUCTION
    passed = sum(step.passed for step in found.walk.steps)
    parts = [
        f"{text} The promise was tested on {found.graded:,} prompts of {found.walk.units:,} units "
        f"({source}), threshold by threshold from all-strong down; {passed} of "
        f"{len(found.walk.steps)} tests passed before the walk ended.",
        _left_out(found),
    ]
    if found.split:
        parts.append(
            f"They belong to only {plural(found.split, 'group')}, too few to be units. So each "
            "prompt is a unit, and the promise holds for further prompts of these groups."
        )
    return " ".join(part for part in parts if part)


def _left_out(found: Proposal) -> str:
    """'3 more prompts (0.5 %) could have gone to one model only: they are left out …'."""
    parts = []
    if found.left_out:
        share = formatting.share(found.left_out / (found.left_out + found.graded))
        prompts = plural(found.left_out, "more prompt")
        parts.append(
            f"{prompts} ({share}) could have gone to one model only: left out of the test and of "
            "the quality shown, and the promise is not about such prompts."
        )
    if found.covered_to is not None:
        parts.append(
            f"Almost no prompts with scores just above {found.covered_to:.4f} could have gone to "
            "either model, so no higher threshold was tested. Explore to test higher ones."
        )
    if found.ratings and found.ratings.not_audited:
        parts.append(
            f"{plural(found.ratings.not_audited, 'decision')} could not have been drawn for an "
            "audit: the promise is not about these either."
        )
    return " ".join(parts)


PER_REQUEST = (
    "The promise is per request: the mean quality over all requests, as a share of what the strong "
    "model alone would reach on the same requests. Requests of one unit are added up, and units "
    "are the sample."
)


def promise(found: Proposal) -> str:
    """The exact promise and the estimates to compare with it; "" without a promise."""
    if found.walk is None:
        return ""
    parts = [PER_REQUEST]
    if found.walk.busy:
        several = found.walk.busy > 1
        parts.append(
            f"{plural(found.walk.busy, 'unit')} made so many requests that "
            f"{'they count' if several else 'it counts'} in blocks: of "
            f"{'these' if several else 'this unit'} the promise is about further requests."
        )
    return " ".join([*parts, measured(found)]).strip()


def measured(found: Proposal) -> str:
    """'Estimated: quality 0.841, the strong model alone 0.870, so 97 % of it is kept.'"""
    if found.expected is None or found.strong is None:
        return ""
    quality, strong = found.expected.quality.value, found.strong.quality.value
    if quality is None or not strong:
        return "There is too little data to show the quality."
    return (
        f"Estimated: quality {quality:.3f}, the strong model alone {strong:.3f}, so "
        f"{formatting.share(quality / strong)} of it is kept."
    )


def condition(found: Proposal) -> str:
    """The condition on production ratings for the promise; "" without them."""
    wants_ratings = found.wanted.aim is Aim.QUALITY and not found.wanted.source
    return condition_words(found.ratings or RatedBy()) if wants_ratings else ""


def tail(found: Proposal) -> str:
    """A warning about the intervals of costs, or ""."""
    parts = [
        f"At “{name}”: {text[:1].lower()}{text[1:]}"
        for name, one in _named(found)
        if (text := largest_words(one.largest) if one.cost.is_lopsided else "")
    ]
    return " ".join(parts)


def rows(found: Proposal) -> list[tuple[str, str, str, str, str]]:
    """Today's threshold, the proposed one, and the reference of a promise of quality: name,
    threshold, strong share, cost, quality."""
    return [(name, *_cells(one)) for name, one in _named(found)]


def _named(found: Proposal) -> list[tuple[str, ExpectedEffect]]:
    named = (
        ("today", found.today),
        ("proposed", found.expected),
        ("always strong", found.strong if found.expected else None),
    )
    return [(name, one) for name, one in named if one is not None]


def _kept(found: Proposal) -> str:
    wanted = found.wanted
    if wanted.aim is Aim.SHARE:
        return f"gives a strong share of {formatting.share(wanted.wanted)}"
    if wanted.aim is Aim.BUDGET:
        return f"keeps to {formatting.in_dollars(wanted.wanted, 3)} per 1,000 requests"
    risk = formatting.share(found.walk.promise.level if found.walk else wanted.delta)
    return (
        f"keeps at least {formatting.share(wanted.wanted)} of the strong model's quality per "
        f"request, with "
        f"an error probability of at most {risk}"
    )


def _today(found: Proposal) -> str:
    if found.today is None or found.expected is None:
        return ""
    now, then = found.today.cost.value, found.expected.cost.value
    text = f", {formatting.share(found.today.strong_share.value or 0.0)} today"
    if now is None or then is None:
        return text
    costs, did = (formatting.in_dollars(nano * THOUSAND, 3) for nano in (then, now))
    return f"{text}, and 1,000 requests cost {costs} instead of {did}"


def _cells(one: ExpectedEffect) -> tuple[str, str, str, str]:
    return (
        "" if one.threshold is None else f"{one.threshold:.4f}",
        bounds_words(one.strong_share, 100, 1),
        bounds_words(one.cost, THOUSAND),
        quality_cell(one.quality),
    )


def quality_cell(quality: Bounds) -> str:
    return "not known" if quality.value is None else bounds_words(quality)
