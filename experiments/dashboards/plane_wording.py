"""Texts about cost against quality: what does better or worse than a random router."""

from collections.abc import Sequence

from experiments.analytics.chart_rows import RandomBaseline
from experiments.analytics.cost_quality import Place, Plane
from experiments.core.policy import Method
from experiments.dashboards.wording import Headline, listed
from experiments.formatting import plural, share, signed

POLICIES: dict[Method, str] = {
    Method.ALWAYS_WEAK: "always weak",
    Method.ALWAYS_STRONG: "always strong",
}


def plane(found: Plane) -> Headline:
    """Which domains and arms do worse than a random router, and which do better."""
    drawn = [place for place in (*found.domains, *found.arms) if place.point.quality is not None]
    if not drawn:
        return Headline("No answer was rated, so cost and quality cannot be compared.")
    if not found.baselines:
        return Headline(
            "No comparison with a random router yet: no domain has ratings of both always strong "
            "and always weak.",
            "Next: start an experiment with those two as arms.",
        )
    if found.below:
        worst = [place.point.name for place in found.below]
        does = "does" if len(worst) == 1 else "do"
        return Headline(
            f"{listed(worst)} {does} worse than a random router: a random choice between the two "
            "models reaches a higher quality at the same cost.",
            "Next: change the router or its threshold, or send all prompts to the weak model.",
        )
    better = [place.point.name for place in found.above]
    if not better:
        return Headline(f"Nothing does worse than a random router. {_comparable(found)}")
    does = "does" if len(better) == 1 else "do"
    sentence = f"{listed(better)} {does} better than a random router, and nothing does worse."
    return Headline(f"{sentence} {_comparable(found)}")


def _comparable(found: Plane) -> str:
    named = listed([one.name for one in found.baselines])
    without = len(found.domains) - len(found.baselines)
    if not without:
        return f"Compared in {named}."
    return (
        f"Only {named} can be compared: {plural(without, 'other domain')} "
        f"{'lacks' if without == 1 else 'lack'} ratings of always weak or always strong."
    )


def key(places: Sequence[Place], baselines: Sequence[RandomBaseline]) -> str:
    """How to read the chart."""
    points = [place.point for place in places]
    drawn = [point for point in points if point.quality is not None]
    hollow = sum(point.rated < point.minimum for point in drawn)
    parts = ["Up is better, left is cheaper."]
    if baselines:
        parts.append("Dotted: a random router between the two models.")
    if hollow:
        parts.append(f"{hollow} hollow: too few ratings.")
    if missing := len(points) - len(drawn):
        parts.append(f"{missing} not shown: almost no ratings.")
    return " ".join(parts)


def against_random(place: Place, arms: Sequence[Place], unrated: Sequence[Method]) -> str:
    """One domain and its arms compared with a random router, or why that is not possible."""
    if unrated:
        lacking = " and ".join(POLICIES[method] for method in unrated)
        verb = "is" if len(unrated) == 1 else "are"
        return f"{_cheapest(arms)}No random router to compare with: {lacking} {verb} hardly rated."
    judged = [one for one in (*arms, place) if one.gap is not None and not one.is_end]
    sides = {
        "worse than a random router": [one for one in judged if one.point.below_random],
        "better than a random router": [one for one in judged if one.above_random],
        "neither clearly better nor clearly worse": [
            one for one in judged if not one.point.below_random and not one.above_random
        ],
    }
    parts = [
        f"{listed([one.arm or 'the domain as a whole' for one in found])} "
        f"{'does' if len(found) == 1 else 'do'} {side}"
        for side, found in sides.items()
        if found
    ]
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if parts else "Nothing to compare with a random router."


def _cheapest(arms: Sequence[Place]) -> str:
    """The cheapest arm's cost and rating, compared with the most expensive one's."""
    drawn = sorted(
        (arm for arm in arms if arm.point.quality is not None), key=lambda arm: arm.point.cost
    )
    if len(drawn) < 2 or not drawn[-1].point.cost:
        return ""
    cheapest, costliest = drawn[0], drawn[-1]
    less = 1 - cheapest.point.cost / costliest.point.cost
    difference = (cheapest.point.quality or 0.0) - (costliest.point.quality or 0.0)
    return (
        f"{cheapest.arm} costs {share(less)} less than {costliest.arm}; the difference in quality "
        f"is {signed(difference, 3)}. "
    )
