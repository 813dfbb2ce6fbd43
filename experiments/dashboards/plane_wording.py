"""The sentences about cost against quality: who does better than a coin, and who does worse."""

from collections.abc import Sequence

from experiments.analytics.chart_rows import RandomBaseline
from experiments.analytics.cost_quality import Place, Plane
from experiments.core.policy import Method
from experiments.core.wording import plural
from experiments.dashboards.wording import Headline, listed, share, signed

POLICIES: dict[Method, str] = {
    Method.ALWAYS_WEAK: "always weak",
    Method.ALWAYS_STRONG: "always strong",
}


def plane(found: Plane) -> Headline:
    """Which domains and arms do worse than a coin, and which better."""
    drawn = [place for place in (*found.domains, *found.arms) if place.point.quality is not None]
    if not drawn:
        return Headline("No answer was rated, so there is nothing to compare cost with.")
    if not found.baselines:
        return Headline(
            "Nothing can be said against a coin yet: no domain has ratings of both always strong "
            "and always weak.",
            "Next: start an experiment with those two as arms.",
        )
    if found.below:
        worst = [place.point.name for place in found.below]
        does = "does" if len(worst) == 1 else "do"
        return Headline(
            f"{listed(worst)} {does} worse than a coin: rated lower than what tossing one between "
            "always weak and always strong would reach for the same money.",
            "Next: change the router or its threshold there, or take the weak model for all.",
        )
    better = [place.point.name for place in found.above]
    said = f"{listed(better)} {'does' if len(better) == 1 else 'do'} better than a coin; nothing"
    first = f"{said if better else 'Nothing'} is shown to do worse"
    return Headline(f"{first}{' than a coin' if not better else ''}. {_comparable(found)}")


def _comparable(found: Plane) -> str:
    named = listed([coin.name for coin in found.baselines])
    without = len(found.domains) - len(found.baselines)
    if not without:
        return f"It was compared in {named}."
    return (
        f"Only {named} can be compared: {plural(without, 'other domain')} "
        f"{'lacks' if without == 1 else 'lack'} ratings of always weak or always strong."
    )


def key(places: Sequence[Place], coins: Sequence[RandomBaseline]) -> str:
    """What the chart holds and which way is good."""
    points = [place.point for place in places]
    drawn = [point for point in points if point.quality is not None]
    hollow = sum(point.rated < point.minimum for point in drawn)
    parts = ["Up is better, left is cheaper."]
    if coins:
        parts.append("Dotted: what a coin between the two models reaches.")
    if hollow:
        parts.append(f"{hollow} hollow: too few ratings to lean on.")
    if missing := len(points) - len(drawn):
        parts.append(f"{missing} not drawn: hardly rated.")
    return " ".join(parts)


def against_the_coin(place: Place, arms: Sequence[Place], unrated: Sequence[Method]) -> str:
    """How one domain and its arms stand to the coin, or what the coin's line lacks."""
    if unrated:
        lacking = " and ".join(POLICIES[method] for method in unrated)
        verb = "is" if len(unrated) == 1 else "are"
        return f"{_cheapest(arms)}No coin to compare with: {lacking} {verb} hardly rated here."
    judged = [one for one in (*arms, place) if one.gap is not None and not one.is_end]
    sides = {
        "worse than a coin": [one for one in judged if one.point.below_random],
        "better than a coin": [one for one in judged if one.above_random],
        "about as well as a coin, as far as can be seen": [
            one for one in judged if not one.point.below_random and not one.above_random
        ],
    }
    said = [
        f"{listed([one.arm or 'the whole' for one in found])} "
        f"{'does' if len(found) == 1 else 'do'} {side}"
        for side, found in sides.items()
        if found
    ]
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}." if said else "Nothing here is compared with the coin."


def _cheapest(arms: Sequence[Place]) -> str:
    """What the cheapest arm saves beside the dearest, and what it is rated."""
    drawn = sorted(
        (arm for arm in arms if arm.point.quality is not None), key=lambda arm: arm.point.cost
    )
    if len(drawn) < 2 or not drawn[-1].point.cost:
        return ""
    cheap, dear = drawn[0], drawn[-1]
    less = 1 - cheap.point.cost / dear.point.cost
    apart = (cheap.point.quality or 0.0) - (dear.point.quality or 0.0)
    return f"{cheap.arm} costs {share(less)} less than {dear.arm}, rated {signed(apart, 3)}. "
