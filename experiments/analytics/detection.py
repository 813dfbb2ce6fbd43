"""Histograms of one domain: scores by router, confidence, routing time, runner-up domains."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from django.db.models import Sum

from experiments.analytics.chart_rows import ScoreBin
from experiments.decisions.rollup_queries import RollupSums, Span, total
from experiments.models import RollupBin
from experiments.models.sums import CONFIDENCE_BINS, LATENCY_ENDS, SCORE_BINS

SCORE = "score:"


class Histograms(NamedTuple):
    """Counts of decisions. `scores` has a histogram for each router that scored."""

    scores: Mapping[str, tuple[ScoreBin, ...]]
    confidence: tuple[ScoreBin, ...]
    latency: tuple[int, ...]
    runners_up: tuple[tuple[str, int], ...]


class Moved(NamedTuple):
    """The effect of a threshold: strong share, and nano-dollars per 1,000 requests."""

    threshold: float
    strong_share: float
    cost: int | None


def histograms(span: Span, domain: str) -> Histograms:
    """One query."""
    rows = (
        RollupBin.objects.filter(domain=domain, hour__gte=span.since, hour__lt=span.until)
        .order_by()
        .values_list("kind", "bin")
        .annotate(n=Sum("count"))
    )
    kinds: dict[str, dict[str, int]] = {}
    for kind, name, count in rows:
        kinds.setdefault(kind, {})[name] = int(count)
    others = kinds.get("runner_up", {})
    return Histograms(
        scores={
            kind.removeprefix(SCORE): _bins(counts, SCORE_BINS)
            for kind, counts in sorted(kinds.items())
            if kind.startswith(SCORE)
        },
        confidence=_bins(kinds.get("confidence", {}), CONFIDENCE_BINS),
        latency=_counts(kinds.get("latency", {}), len(LATENCY_ENDS) + 1),
        runners_up=tuple(sorted(others.items(), key=lambda item: (-item[1], item[0]))),
    )


def _counts(by_name: Mapping[str, int], bins: int) -> tuple[int, ...]:
    return tuple(by_name.get(f"{number:02d}", 0) for number in range(bins))


def _bins(by_name: Mapping[str, int], bins: int) -> tuple[ScoreBin, ...]:
    counts = _counts(by_name, bins) if by_name else ()
    return tuple(ScoreBin(i / bins, (i + 1) / bins, count) for i, count in enumerate(counts))


def share_at_or_above(bins: Sequence[ScoreBin], threshold: float) -> float | None:
    """The share of scores at or above, spread evenly within a bin; None without scores."""
    everything = sum(one.decisions for one in bins)
    if not everything:
        return None
    return sum(one.decisions * _part_above(one, threshold) for one in bins) / everything


def _part_above(one: ScoreBin, threshold: float) -> float:
    part = (one.high - threshold) / (one.high - one.low)
    return min(1.0, max(0.0, part))


def moved(
    bins: Sequence[ScoreBin], tiers: Mapping[str, RollupSums], steps: int = 100
) -> tuple[Moved, ...]:
    """Every threshold from 0 to 1, priced at the mean cost of a request of the span per model."""
    sums = total(tiers.values())
    rows = []
    for step in range(steps + 1):
        threshold = step / steps
        share = share_at_or_above(bins, threshold)
        if share is None:
            return ()
        cost = share * sums.strong_cost + (1 - share) * sums.weak_cost
        rows.append(
            Moved(threshold, share, round(1000 * cost / sums.paired) if sums.paired else None)
        )
    return tuple(rows)


def latency_within(counts: Sequence[int], share: float) -> float | None:
    """The latency quantile `share` in milliseconds, rounded up to the end of a bin.

    None without decisions, infinity if it lies in the open last bin.
    """
    everything = sum(counts)
    if not everything:
        return None
    running, ends = 0, []
    for count in counts:
        running += count
        ends.append(running)
    place = bisect_left(ends, share * everything)
    return LATENCY_ENDS[place] / 1000 if place < len(LATENCY_ENDS) else float("inf")
