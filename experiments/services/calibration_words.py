"""A proposed threshold in sentences: what it promises, what it does beside today's."""

from experiments.analysis.off_policy import Bounds
from experiments.core.money import NANO
from experiments.core.wording import plural
from experiments.models import Calibration
from experiments.reports.what_if_words import bounds_words, percent
from experiments.services.calibrating import PRODUCTION, Expected, Proposal

Aim = Calibration.Aim
THOUSAND = 1000 / NANO


def sentence(found: Proposal) -> str:
    """'In technical a threshold of 0.4123 keeps at least 95 % of the strong model's quality …'."""
    if found.threshold is None or found.expected is None:
        return f"{found.domain}: {found.problem}"
    share = percent(found.expected.strong_share.value or 0.0)
    return (
        f"In {found.domain} a threshold of {found.threshold:.4f} {_kept(found)}: {share} of the "
        f"prompts go to the strong model{_today(found)}."
    )


def basis(found: Proposal) -> str:
    """What it rests on."""
    told = f"From {found.scores:,} recent scores of router {found.router}."
    if found.walk is None:
        return told
    source = found.wanted.source or PRODUCTION
    passed = sum(step.passed for step in found.walk.steps)
    told = (
        f"{told} The promise was tested on {found.graded:,} prompts of {found.walk.units:,} units "
        f"({source}), threshold by threshold from all-strong down; {passed} of "
        f"{len(found.walk.steps)} tests passed before the walk ended."
    )
    if found.split:
        told += (
            f" They are of {plural(found.split, 'group')} only, too few to be units: each prompt "
            "is one, and the promise is about further prompts of these groups."
        )
    return told


def rows(found: Proposal) -> list[tuple[str, str, str, str, str]]:
    """Today's threshold and the proposed one: threshold, strong share, cost, quality."""
    named = (("today", found.today), ("proposed", found.expected))
    return [(name, *_cells(one)) for name, one in named if one is not None]


def _kept(found: Proposal) -> str:
    wanted = found.wanted
    if wanted.aim is Aim.SHARE:
        return f"gives a strong share of {percent(wanted.wanted)}"
    if wanted.aim is Aim.BUDGET:
        return f"keeps to ${wanted.wanted:,.3f} per 1,000 requests"
    return (
        f"keeps at least {percent(wanted.wanted)} of the strong model's quality, wrong with a "
        f"probability of {percent(found.walk.promise.level if found.walk else wanted.delta)} at "
        "most"
    )


def _today(found: Proposal) -> str:
    if found.today is None or found.expected is None:
        return ""
    now, then = found.today.cost.value, found.expected.cost.value
    told = f", {percent(found.today.strong_share.value or 0.0)} today"
    if now is None or then is None:
        return told
    money = f"${then * THOUSAND:,.3f} instead of ${now * THOUSAND:,.3f}"
    return f"{told}, and 1,000 requests cost {money}"


def _cells(one: Expected) -> tuple[str, str, str, str]:
    return (
        "" if one.threshold is None else f"{one.threshold:.4f}",
        bounds_words(one.strong_share, 100, 1),
        bounds_words(one.cost, THOUSAND),
        quality_cell(one.quality),
    )


def quality_cell(quality: Bounds) -> str:
    return "not known" if quality.value is None else bounds_words(quality)
