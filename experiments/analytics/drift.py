"""Drift: domains whose traffic differs from that of their calibration.

Read from the hourly histograms: the last whole UTC day against the two weeks before it, or before
the threshold was calibrated.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

import numpy as np
from django.core.cache import cache
from django.db.models import Sum

from experiments.analysis.off_policy.nuisance import Floats
from experiments.analysis.routing.drift import Band, Shift, band, shift
from experiments.analytics.chart_rows import ScoreBin
from experiments.analytics.detection import SCORE, share_at_or_above
from experiments.core.policy import Policy
from experiments.decisions.rollup_queries import DAY, Span, utc_day
from experiments.formatting import exact_share, plain_share
from experiments.models import Calibration, RollupBin
from experiments.models.sums import SCORE_BINS

REFERENCE_DAYS = 14
KEPT_SECONDS = 600

Days = Mapping[date, Floats]


class Drift(NamedTuple):
    """What changed in a domain: its strong share left its band, its scores shifted, or both.

    Where the threshold `follows` a target, only the shift is looked at."""

    domain: str
    router: str
    day: date
    share: float | None
    band: Band | None
    shift: Shift | None
    follows: bool = False

    @property
    def left_band(self) -> bool:
        return self.band is not None and self.share is not None and not self.band.holds(self.share)

    @property
    def scores_moved(self) -> bool:
        return self.shift is not None and self.shift.is_certain

    @property
    def is_certain(self) -> bool:
        return self.left_band or self.scores_moved

    @property
    def sentence(self) -> str:
        parts: list[str] = []
        if self.left_band and self.band and self.share is not None:
            low, high = plain_share(self.band.low, 0), exact_share(self.band.high, 0)
            parts.append(
                f"On {self.day} {exact_share(self.share, 0)} of the prompts reached the threshold; "
                f"expected were {low} to {high}."
            )
        if self.scores_moved and self.shift:
            parts.append(
                f"Its scores shifted on {self.day}, by up to {100 * self.shift.distance:.0f} "
                "points of share, more than days usually differ."
            )
        done = "Its threshold follows." if self.follows else "Calibrate it again."
        return " ".join([*parts, done]) if parts else ""


def drifts(policy: Policy, now: datetime) -> tuple[Drift, ...]:
    """Every domain with significant drift. Two queries, cached for ten minutes."""
    key = f"drift:{policy.revision}:{now.astimezone(UTC):%Y-%m-%d}"
    found: tuple[Drift, ...] | None = cache.get(key)
    if found is None:
        found = tuple(one for one in _looked_at(policy, now) if one.is_certain)
        cache.set(key, found, KEPT_SECONDS)
    return found


def drift_of(policy: Policy, domain: str, now: datetime) -> Drift | None:
    """One domain's drift, if there is any."""
    return next((one for one in drifts(policy, now) if one.domain == domain), None)


def daily_scores(domain: str, router: str, span: Span) -> Days:
    """Each UTC day's histogram of one router's scores. One query."""
    return _histograms(span, domain).get((domain, router), {})


def daily_shares(days: Days, threshold: float) -> Floats:
    """The share at or above the threshold on each day."""
    shares = [_share(counts, threshold) for counts in days.values()]
    return np.array([share for share in shares if share is not None])


def _looked_at(policy: Policy, now: datetime) -> Iterator[Drift]:
    today = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    span = Span(today - (REFERENCE_DAYS + 1) * DAY, today)
    histograms = _histograms(span)
    newest = _newest()
    last = (today - DAY).date()
    for name, domain in policy.domains.items():
        follows = domain.policy.target_share is not None
        calibrated = None if follows else newest.get(name)
        router = calibrated.router if calibrated else domain.policy.router
        days = histograms.get((name, router or ""), {})
        if router is None or last not in days:
            continue
        yield _drift(name, router, last, days, calibrated)._replace(follows=follows)


def _drift(
    domain: str, router: str, last: date, days: Days, calibrated: Calibration | None
) -> Drift:
    before = [counts for day, counts in days.items() if day < last]
    reference = np.stack(before) if before else np.zeros((0, SCORE_BINS))
    within = Band(calibrated.low, calibrated.high) if calibrated else None
    share = _share(days[last], calibrated.threshold) if calibrated else None
    return Drift(domain, router, last, share, within, shift(reference, days[last]))


def _newest() -> dict[str, Calibration]:
    return {one.domain: one for one in Calibration.objects.order_by("at")}


def _histograms(span: Span, domain: str = "") -> dict[tuple[str, str], dict[date, Floats]]:
    rows = RollupBin.objects.filter(
        kind__startswith=SCORE, hour__gte=span.since, hour__lt=span.until
    )
    if domain:
        rows = rows.filter(domain=domain)
    dated = rows.order_by().annotate(on=utc_day("hour"))
    found: dict[tuple[str, str], dict[date, Floats]] = {}
    for name, kind, on, place, count in dated.values_list("domain", "kind", "on", "bin").annotate(
        n=Sum("count")
    ):
        days = found.setdefault((name, kind.removeprefix(SCORE)), {})
        counts = days.setdefault(date.fromisoformat(on), np.zeros(SCORE_BINS))
        counts[int(place)] += float(count)
    return found


def _share(counts: Floats, threshold: float) -> float | None:
    bins = [
        ScoreBin(place / SCORE_BINS, (place + 1) / SCORE_BINS, int(count))
        for place, count in enumerate(counts)
    ]
    return share_at_or_above(bins, threshold)


def expected_band(
    domain: str, router: str, threshold: float, share: float, until: datetime
) -> Band:
    """The expected range of a day's strong share, from the variation over the last two weeks."""
    span = Span(until - timedelta(days=REFERENCE_DAYS), until)
    return band(share, daily_shares(daily_scores(domain, router, span), threshold))
