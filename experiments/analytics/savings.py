"""The cost of routing and of its alternatives, from exact integer sums."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from experiments.decisions.totals import PrunedLine, PrunedSums, totals
from experiments.models import Decision, PrunedTotal

STRONG, WEAK = "strong", "weak"


class Alternative(NamedTuple):
    """The cost of another policy, over the decisions that can be compared with it.

    Nano-dollars. `cost` is the alternative's, `routed` the actual cost of the same decisions.
    """

    decisions: int
    cost: int
    routed: int

    @property
    def saving(self) -> int:
        return self.cost - self.routed


class SavingsLine(NamedTuple):
    """One domain, or all of them if `domain` is None."""

    domain: str | None
    decisions: int
    pruned: int
    priced: int
    actual: int
    estimated: int
    cost: int
    baseline: int
    strong_share: float | None
    always_strong: Alternative
    always_weak: Alternative
    random: Alternative

    @property
    def saving(self) -> int:
        return self.baseline - self.cost


class SavingsReport(NamedTuple):
    since: datetime
    until: datetime
    total: SavingsLine
    domains: tuple[SavingsLine, ...]


Groups = Mapping[tuple[str, str], PrunedSums]


def savings_report(since: datetime, until: datetime, domain: str | None = None) -> SavingsReport:
    """Decisions made in [since, until). Two queries.

    Pruned days are counted whole where the day begins inside. A saving counts priced decisions
    only; the alternatives only those with a price for the choice and for both models of the pair,
    and `random` (a random router with the same strong share, in each domain) only those that a pair
    answered.
    """
    live = _live(since, until, domain)
    pruned = _pruned(since, until, domain)
    names = sorted({name for name, _ in (*live, *pruned)})
    lines = tuple(_line(name, live, pruned) for name in names)
    return SavingsReport(since, until, _total(lines, live, pruned), lines)


def pruned_days(since: datetime, until: datetime) -> tuple[date, date]:
    """The UTC days that begin in [since, until), as [first, last)."""

    def up(moment: datetime) -> date:
        begun = moment.time() > time.min
        return moment.date() + timedelta(days=1) if begun else moment.date()

    return up(since), up(until)


def _live(since: datetime, until: datetime, domain: str | None) -> Groups:
    rows = Decision.objects.filter(created_at__gte=since, created_at__lt=until)
    if domain is not None:
        rows = rows.filter(domain=domain)
    return _grouped(totals(rows, "domain", "tier"))


def _pruned(since: datetime, until: datetime, domain: str | None) -> Groups:
    first, last = pruned_days(since, until)
    rows = PrunedTotal.objects.filter(day__gte=first, day__lt=last)
    if domain is not None:
        rows = rows.filter(domain=domain)
    return _grouped(
        PrunedLine(
            (row.domain, row.tier), PrunedSums(*(getattr(row, name) for name in PrunedSums._fields))
        )
        for row in rows
    )


def _grouped(lines: Iterable[PrunedLine]) -> Groups:
    groups: defaultdict[tuple[str, str], PrunedSums] = defaultdict(PrunedSums)
    for line in lines:
        domain, tier = line.key
        groups[domain, tier] = groups[domain, tier].plus(line.sums)
    return groups


def _of(groups: Groups, domain: str | None, *tiers: str) -> PrunedSums:
    total = PrunedSums()
    for (name, tier), sums in groups.items():
        if domain in {None, name} and (not tiers or tier in tiers):
            total = total.plus(sums)
    return total


def _line(domain: str, live: Groups, pruned: Groups) -> SavingsLine:
    return _assemble(domain, live, pruned, _random(domain, live, pruned))


def _total(lines: Iterable[SavingsLine], live: Groups, pruned: Groups) -> SavingsLine:
    each = [line.random for line in lines]
    random = Alternative(*(sum(column) for column in zip(*each, strict=True))) if each else NONE
    return _assemble(None, live, pruned, random)


NONE = Alternative(0, 0, 0)


def _assemble(domain: str | None, live: Groups, pruned: Groups, random: Alternative) -> SavingsLine:
    gone = _of(pruned, domain)
    all_ = _of(live, domain).plus(gone)
    strong = _of(live, domain, STRONG).plus(_of(pruned, domain, STRONG)).decisions
    weak = _of(live, domain, WEAK).plus(_of(pruned, domain, WEAK)).decisions
    return SavingsLine(
        domain=domain,
        decisions=all_.decisions,
        pruned=gone.decisions,
        priced=all_.priced,
        actual=all_.actual,
        estimated=all_.priced - all_.actual,
        cost=all_.cost,
        baseline=all_.cost_baseline,
        strong_share=strong / (strong + weak) if strong + weak else None,
        always_strong=Alternative(all_.paired, all_.cost_strong, all_.cost_paired),
        always_weak=Alternative(all_.paired, all_.cost_weak, all_.cost_paired),
        random=random,
    )


def _random(domain: str, live: Groups, pruned: Groups) -> Alternative:
    """The expected cost of sending the same share to the strong model at random, rounded up at
    half a nano-dollar."""
    strong = _of(live, domain, STRONG).plus(_of(pruned, domain, STRONG))
    routed = _of(live, domain, STRONG, WEAK).plus(_of(pruned, domain, STRONG, WEAK))
    n = routed.paired
    if not n:
        return NONE
    weighted = strong.paired * routed.cost_strong + (n - strong.paired) * routed.cost_weak
    return Alternative(n, (2 * weighted + n) // (2 * n), routed.cost_paired)
