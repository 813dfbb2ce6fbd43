"""Do verdicts from labeled pairs hold at every look, and how many labels do they take?

    python -m benchmarks.paired                          # simulations: minutes on one core
    python -m benchmarks.paired --only labels --runs 500
    python -m benchmarks.paired --recorded FOLDER        # the same on recorded outcomes

A share is followed by its standard error in brackets. The same seed prints the same tables.
FOLDER holds `LLMRouter/scores.csv`, `ZeroEval/scores.csv`, RouteLLM's evaluation layout and
`PandaLM/pairs.jsonl`; what is missing is left out.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import betaln, xlog1py, xlogy

from benchmarks.paired_paths import (
    ALPHA,
    THRESHOLD,
    Floats,
    Stream,
    Traffic,
    lower_passes,
    upper_passes,
)
from benchmarks.paired_recorded import (
    CLEAR,
    MARGIN,
    MOVED,
    Needed,
    labels_needed,
    panda,
    people_needed,
    policy_pairs,
    recorded,
)
from benchmarks.paired_worlds import (
    WORLDS,
    Draw,
    Shares,
    World,
    drifting,
    judged,
    units,
    with_ties,
)
from benchmarks.tables import Table, heading, line, print_tables, share, table_options
from experiments.analysis.paired import BETS, SHARE_OF_ALPHA, paired_effect

SEED = 20261129
DECISIONS = 10_000


def traffic_of(rng: np.random.Generator, world: World) -> Traffic:
    return Traffic(DECISIONS, int(rng.binomial(DECISIONS, world.share)))


def wrong_verdicts(rng: np.random.Generator, runs: int) -> Iterator[str]:
    yield heading("labels", "`non_inferior` at a loss of the margin", "`inferior` there", "A/A")
    for world in WORLDS:
        yield _wrong(rng, runs, world)
    yield _drifting(rng, runs)
    ignoring = World("for comparison: units ignored", units(interleaved=False, ignored=True))
    yield _wrong(rng, runs, ignoring)
    yield _peeking(rng, runs)


def _wrong(rng: np.random.Generator, runs: int, world: World) -> str:
    good = bad = worse = 0
    for _ in range(runs):
        traffic = traffic_of(rng, world)
        at_margin = world.draw(rng, world.mean_at_margin)
        good += lower_passes(at_margin, traffic, -world.margin) is not None
        bad += upper_passes(at_margin, traffic, -world.margin) is not None
        worse += upper_passes(world.draw(rng, 0.0), traffic, -world.margin) is not None
    return line(world.name, share(good, runs), share(bad, runs), share(worse, runs))


def _drifting(rng: np.random.Generator, runs: int) -> str:
    good = bad = worse = 0
    for _ in range(runs):
        at_margin = drifting(rng, MARGIN)
        good += bool((_drift_wealth(at_margin, 1.0) >= THRESHOLD).any())
        bad += bool((_drift_wealth(at_margin, -1.0) >= THRESHOLD).any())
        worse += bool((_drift_wealth(drifting(rng, 0.0), -1.0) >= THRESHOLD).any())
    name = "share of disagreements drifts from .1 to .5, floor of the plan"
    return line(name, share(good, runs), share(bad, runs), share(worse, runs))


def _drift_wealth(shares: Shares, sign: float) -> Floats:
    """Log wealth at each look at the mean that the margin is there; the share's bound moves too.

    The plan is passed: odds of a third, one pair a unit.
    """
    edge = _edges(shares, upper=sign > 0)
    with np.errstate(divide="ignore"):
        means = np.clip(-sign * MARGIN / edge, -1 + 1e-9, 1.0)
    difference = sign * shares.difference
    paths = np.zeros((BETS.size, means.size))
    for grade in (-1.0, 0.0, 1.0):
        seen = np.cumsum(difference == grade)
        # The odds of a third are a common factor, which the bets divide out again.
        paths += seen * np.log1p(BETS[:, None] * (grade - means) / (1 + means))
    wealth: Floats = np.logaddexp.reduce(paths, axis=0) - np.log(BETS.size)
    return wealth


def _edges(shares: Shares, *, upper: bool) -> Floats:
    """One of `share_bounds` at every look, by bisection of all looks at once."""
    part, rest = shares.disagreements, shares.decisions - shares.disagreements
    level = betaln(part + 0.5, rest + 0.5) - betaln(0.5, 0.5) + np.log(SHARE_OF_ALPHA * ALPHA)
    inside = part / shares.decisions
    outside = np.full(part.size, 1.0 if upper else 0.0)
    for _ in range(45):
        middle = (inside + outside) / 2
        refuted = level - xlogy(part, middle) - xlog1py(rest, -middle) > 0
        outside, inside = np.where(refuted, middle, outside), np.where(refuted, inside, middle)
    edges: Floats = inside
    return edges


def _peeking(rng: np.random.Generator, runs: int) -> str:
    """What a normal 95 % bound does when it is looked at after each label, from the 30th on."""
    world = WORLDS[1]
    counts = []
    for mean, below in ((world.mean_at_margin, 0), (world.mean_at_margin, 1), (0.0, 1)):
        hits = 0
        for _ in range(runs):
            d = world.draw(rng, mean).difference
            n = np.arange(1, d.size + 1)
            center = np.cumsum(d) / n
            error = np.sqrt(np.maximum(np.cumsum(d * d) / n - center**2, 1e-9) / n)
            gap = center - world.mean_at_margin
            hits += bool(((-gap if below else gap) > 1.645 * error)[30:].any())
        counts.append(share(hits, runs))
    return line("for comparison: normal bounds, 60 % ties", *counts)


def coverage(rng: np.random.Generator, runs: int) -> Iterator[str]:
    yield heading("labels", "true effect", "lower bound holds at all looks", "upper", "both")
    for world in WORLDS:
        for mean in (0.0, 0.05):
            if not mean or "loss of 1" not in world.name:
                yield _covered(rng, runs, world, mean)


def _covered(rng: np.random.Generator, runs: int, world: World, mean: float) -> str:
    effect = world.share * mean
    low = high = both = 0
    for _ in range(runs):
        traffic, stream = traffic_of(rng, world), world.draw(rng, mean)
        low_holds = lower_passes(stream, traffic, effect) is None
        high_holds = upper_passes(stream, traffic, effect) is None
        low, high, both = low + low_holds, high + high_holds, both + (low_holds and high_holds)
    return line(
        world.name, f"{effect:+.3f}", share(low, runs), share(high, runs), share(both, runs)
    )


def labels(rng: np.random.Generator, runs: int) -> Iterator[str]:
    yield heading("plan", "median labels", "80 % of runs", "verdict within the labels drawn")
    traffic = Traffic(DECISIONS, 3_000)
    for name, draw in _PLANS.items():
        found = []
        for _ in range(runs):
            stream = draw(rng, 0.05)
            look = lower_passes(stream, traffic, -MARGIN)
            people = ~np.isnan(stream.difference)
            found.append(np.inf if look is None else float(people[:look].sum()))
        yield line(
            name,
            f"{np.median(found):.0f}",
            f"{np.quantile(found, 0.8, method='inverted_cdf'):.0f}",
            share(int(np.isfinite(found).sum()), runs),
        )


def time_of_a_call(rng: np.random.Generator, runs: int) -> Iterator[str]:
    yield heading("700 pairs", "median", "slowest of 95 %")
    for name, draw in (("no judge", with_ties(0.6)), ("good judge", judged("good"))):
        pairs = draw(rng, 0.0).labels(700)
        seconds = []
        for _ in range(runs):
            start = time.process_time()
            paired_effect(pairs, decisions=10_000, disagreements=3_000, margin=0.03)
            seconds.append(time.process_time() - start)
        middle, slow = 1000 * np.quantile(seconds, [0.5, 0.95])
        yield line(name, f"{middle:.1f} ms", f"{slow:.1f} ms")


def _planned(floor: float, pairs_per_unit: int) -> Draw:
    def draw(rng: np.random.Generator, mean: float) -> Stream:
        pairs = with_ties(0.6, 2_000)(rng, mean)
        return replace(pairs, floor=floor, pairs_per_unit=pairs_per_unit)

    return draw


_PLANS: dict[str, Draw] = {
    "every pair asked, one a unit": with_ties(0.6, 2_000),
    "every pair asked, plan allows three a unit": _planned(1.0, 3),
    "every pair asked, plan allows odds of .1 and three a unit": _planned(0.1, 3),
    "30 % asked, no judge": lambda rng, mean: replace(
        judged("good", labels=4_000)(rng, mean), judge=None
    ),
    "30 % asked, good judge": judged("good", labels=4_000),
    "30 % asked, random judge": judged("random", labels=4_000),
    "30 % asked, adversarial judge": judged("adversarial", labels=4_000),
}

TABLES = {
    "wrong": Table("Wrong verdicts at any of 1,000 looks (level 5 %)", wrong_verdicts, 2000),
    "coverage": Table("Coverage of the bounds at all of 1,000 looks", coverage, 1000),
    "labels": Table(
        "Labels to `non_inferior`: N = 10,000, D = 3,000, margin .03, 60 % ties, mean +.05",
        labels,
        2000,
    ),
    "time": Table("Processor time of one call", time_of_a_call, 200),
}


def print_recorded(folder: Path, rng: np.random.Generator, runs: int) -> None:
    print("\n### Labels at 80 % power on recorded outcomes, a pair counted as two\n")
    print(
        heading(
            "data",
            "prompts moved",
            "policy pairs",
            "two arms, one look",
            "two arms, any time",
            "random pairs",
            "disagreements",
            "a tenth of one look",
            "a tenth of any time",
        )
    )
    for name, models, scores in recorded(folder):
        pairs = list(policy_pairs(name, models, scores, rng))
        clear = [pair for pair in pairs if abs(pair.effect + MARGIN) >= CLEAR]
        for moved in MOVED:
            same = [labels_needed(pair, rng, runs) for pair in clear if pair.share == moved]
            if same:
                print(_summary(name, moved, same), flush=True)
    if (folder / "PandaLM" / "pairs.jsonl").exists():
        _print_panda(folder, rng, runs)


def _summary(name: str, moved: float, found: list[Needed]) -> str:
    return line(
        name,
        f"{moved:.0%}",
        f"{len(found)}",
        _median([one.two_arms for one in found]),
        _median([one.two_arms_any_time for one in found]),
        _median([one.random_pairs for one in found]),
        _median([one.disagreements for one in found]),
        _tenth(found, [one.two_arms for one in found]),
        _tenth(found, [one.two_arms_any_time for one in found]),
    )


def _tenth(found: list[Needed], arms: list[float]) -> str:
    """How many policy pairs take at most a tenth of the labels of two arms."""
    needed = [np.inf if one.disagreements is None else one.disagreements for one in found]
    few = sum(ours <= two / 10 for ours, two in zip(needed, arms, strict=True))
    return f"{few} of {len(found)}"


def _median(values: list[float | None] | list[float]) -> str:
    middle = float(np.median([np.inf if value is None else value for value in values]))
    return f"{middle:,.0f}" if np.isfinite(middle) else "more than 40,000"


def _print_panda(folder: Path, rng: np.random.Generator, runs: int) -> None:
    print("\n### People's labels to `non_inferior` on PandaLM, equal policies, D/N = .3\n")
    print(heading("judge", "asked", "median, no judge", "with the judge", "80 %, no judge", "with"))
    for judge in ("gpt-3.5-turbo", "pandalm-7b"):
        pairs = panda(folder, judge)
        for asked in (0.5, 0.3, 0.2):
            without = people_needed(pairs, asked, rng, runs, use_judge=False)
            with_judge = people_needed(pairs, asked, rng, runs)
            cells = [
                f"{value:.0f}" for both in zip(without, with_judge, strict=True) for value in both
            ]
            print(line(judge, f"{asked:.0%}", *cells), flush=True)


def main() -> None:
    parser = table_options(TABLES, "Simulates labeled pairs and prints tables.", SEED, "runs a row")
    parser.add_argument("--recorded", type=Path, help="a folder with recorded outcomes")
    options = parser.parse_args()
    if options.recorded:
        print_recorded(options.recorded, np.random.default_rng(options.seed), options.runs or 200)
        return
    print_tables(TABLES, options, "runs a row")


if __name__ == "__main__":
    main()
