"""Charts and tables of the lab's evaluation."""

from collections.abc import Sequence

from experiments.analysis.ratings import Estimate
from experiments.analysis.routing.measures import Evaluation
from experiments.core.money import NANO
from experiments.dashboards import evaluation_figures
from experiments.dashboards.charts import Cell, Chart, ChartColumn, ChartTable, chart, number, word
from experiments.formatting import interval, share
from experiments.lab.evaluations import Comparison, MeasuredRouter, MultiModelResult, Slice
from experiments.lab.text.multi_model import multi_model_lines

UNDEFINED = "undefined"
MEASURES = (
    ("apgr", "APGR"),
    ("cpt20", "CPT 20 %"),
    ("cpt50", "CPT 50 %"),
    ("cpt80", "CPT 80 %"),
    ("strong_share_at_95", "strong share at 95 %"),
)


def curve(part: Slice) -> Chart:
    priced = part.baselines is not None and part.baselines.strong_cost is not None
    sentence = (
        "Up is better, left is cheaper; bands contain 95 % of resamples. A router above the dotted "
        "line does better than a random router at the same cost."
        if priced
        else "Up is better, left is cheaper; bands contain 95 % of resamples. Costs are not "
        "recorded, so the axis shows the strong share; the dotted line is a random router."
    )
    columns = [ChartColumn("router"), ChartColumn("strong share", "%", numeric=True)]
    columns += [ChartColumn("quality", numeric=True), ChartColumn("low", numeric=True)]
    columns += [ChartColumn("high", numeric=True), ChartColumn("cost", "$ per 1,000", numeric=True)]
    rows = tuple(
        (
            word(one.name),
            number(100 * point.share),
            number(point.quality, 4),
            number(point.low, 4),
            number(point.high, 4),
            number(
                None if point.cost is None else 1000 * point.cost / NANO, 4, otherwise="not known"
            ),
        )
        for one in part.routers
        for point in one.assessment.curve[::5]
    )
    table = ChartTable("Quality along the strong share", tuple(columns), rows)
    figure = evaluation_figures.curve(part)
    return chart("curve", "Quality by cost", sentence, figure, table, "tall")


def reliability(routers: Sequence[MeasuredRouter]) -> Chart | None:
    known = [one for one in routers if one.assessment.reliability is not None]
    if not known:
        return None
    parts = []
    for one in known:
        if found := one.assessment.reliability:
            ties = " (ties count half)" if found.ties else " (without ties)"
            parts.append(f"the mean error of {one.name} is {found.error:.2f}{ties}")
    sentence = (
        f"A score predicts how often the strong model is better: {'; '.join(parts)}. "
        "Whiskers are 95 % intervals."
    )
    rows = tuple(
        (
            word(one.name),
            number(b.score, 3),
            number(b.observed, 3),
            number(b.low, 3),
            number(b.high, 3),
            number(b.n),
        )
        for one in known
        if one.assessment.reliability
        for b in one.assessment.reliability.bins
    )
    heads = ("score", "observed", "low", "high", "prompts")
    columns = (ChartColumn("router"), *(ChartColumn(head, numeric=True) for head in heads))
    table = ChartTable("Scores and observed frequencies", columns, rows)
    figure = evaluation_figures.reliability(known)
    return chart("reliability", "Are scores calibrated?", sentence, figure, table)


def measures(part: Slice) -> ChartTable:
    """Every router's figures, and those of the random router and the oracle."""
    columns = (ChartColumn("router"), *(ChartColumn(label, numeric=True) for _, label in MEASURES))
    found = [(one.name, one.assessment) for one in part.routers]
    if part.baselines:
        found += [("random router", part.baselines.random), ("oracle", part.baselines.oracle)]
    rows = tuple((word(name), *_evaluation(of.evaluation)) for name, of in found)
    return ChartTable(f"Measures on {part.n:,} prompts", columns, rows)


def savings(part: Slice) -> ChartTable:
    """Each router's saving at equal quality, and its time per prompt."""
    columns = (
        ChartColumn("router"),
        ChartColumn("at the strong model's quality", "% of its cost", numeric=True),
        ChartColumn("at 95 % of it", "% of its cost", numeric=True),
        ChartColumn("against random at 95 %", "% of its cost", numeric=True),
        ChartColumn("strong calls, against random", "% of its calls", numeric=True),
        ChartColumn("PGR at half", numeric=True),
        ChartColumn("per prompt", "ms", numeric=True),
    )
    rows = tuple((word(one.name), *_cells(one)) for one in part.routers)
    return ChartTable("Saved at equal quality", columns, rows)


def multi_model_table(one: MultiModelResult) -> ChartTable:
    """A policy over several models, each model alone, a random router and the oracle."""
    columns = (
        ChartColumn("policy"),
        ChartColumn("of its prompts", "%", numeric=True),
        ChartColumn("quality", numeric=True),
        ChartColumn("cost", "$ per 1,000", numeric=True),
    )
    rows = tuple(
        (
            word(line.name),
            Cell("", numeric=True) if line.share is None else number(100 * line.share.value, 1),
            _within(line.figures.quality, 1),
            _within(line.figures.cost, 1000 / NANO),
        )
        for line in multi_model_lines(one)
    )
    return ChartTable(f"{one.name} compared with each of its models alone", columns, rows)


def _within(value: Estimate | None, factor: float) -> Cell:
    if value is None:
        return Cell("no costs", numeric=True)
    text = interval(*(figure * factor for figure in value), digits=4)
    return Cell(text, exact=repr(value.value * factor), numeric=True)


def by_domain(found: Comparison) -> ChartTable | None:
    """APGR and the strong share that keeps 95 % of the strong model's quality, in each domain."""
    if not found.domains:
        return None
    names = [one.name for one in found.whole.routers]
    columns = [ChartColumn("domain"), ChartColumn("prompts", numeric=True)]
    columns += [
        ChartColumn("strong", "quality", numeric=True),
        ChartColumn("weak", "quality", numeric=True),
    ]
    for name in names:
        columns += [ChartColumn(f"{name}: APGR", numeric=True)]
        columns += [ChartColumn(f"{name}: share at 95 %", numeric=True)]
    rows = []
    for part in found.domains:
        if not part.enough:
            few = Cell(f"too few: {part.n} of 30", numeric=True)
            blank = (Cell("", numeric=True),) * (1 + 2 * len(names))
            rows.append((word(part.domain), number(part.n), few, *blank))
            continue
        first = part.routers[0].assessment
        cells = [number(first.strong.value, 3), number(first.weak.value, 3)]
        for one in part.routers:
            evaluation = one.assessment.evaluation
            cells += [_measure(evaluation, "apgr"), _measure(evaluation, "strong_share_at_95")]
        rows.append((word(part.domain), number(part.n), *cells))
    return ChartTable("The same in each domain", tuple(columns), tuple(rows))


def _cells(one: MeasuredRouter) -> list[Cell]:
    found = one.assessment
    priced = found.curve[0].cost is not None
    gap = found.gap_known
    milliseconds = one.microseconds / 1000 if one.microseconds else None
    return [
        _estimate(found.saving_against_strong, 100, UNDEFINED if priced else "no costs"),
        _estimate(found.saving_at_95, 100, UNDEFINED if priced else "no costs"),
        _estimate(found.saving_against_random, 100, "no costs" if gap else UNDEFINED),
        _estimate(found.calls_against_random, 100, UNDEFINED),
        _estimate(found.pgr, 1, UNDEFINED),
        number(milliseconds, 2, otherwise="not timed"),
    ]


def _evaluation(evaluation: Evaluation) -> list[Cell]:
    return [_measure(evaluation, name) for name, _ in MEASURES]


def _measure(evaluation: Evaluation, name: str) -> Cell:
    value = getattr(evaluation.measures, name)
    within = evaluation.intervals.get(name)
    if value is None or within is None:
        return Cell(UNDEFINED, numeric=True)
    text = interval(value, within.low, within.high, digits=3)
    return Cell(text, exact=repr(value), numeric=True)


def _estimate(value: Estimate | None, factor: float, otherwise: str) -> Cell:
    if value is None:
        return Cell(otherwise, numeric=True)
    places = 3 if factor == 1 else 1
    text = interval(*(figure * factor for figure in value), digits=places)
    return Cell(text, exact=repr(value.value * factor), numeric=True)


def headline(one: MeasuredRouter) -> str:
    """A router's result in one sentence."""
    found = one.assessment
    if not found.gap_known:
        return (
            f"The strong model is not clearly better here ({found.strong.value:.3f} against "
            f"{found.weak.value:.3f}), so the recovered quality gap is undefined."
        )
    at_95 = found.evaluation.measures.strong_share_at_95
    sentence = (
        f"{one.name} keeps 95 % of the strong model's quality with {share(at_95)} of prompts sent "
        "to it"
    )
    if found.calls_against_random:
        calls = found.calls_against_random
        word_ = "fewer" if calls.value >= 0 else "more"
        sentence += (
            f", {share(abs(calls.value))} {word_} than a random router needs "
            f"(between {share(calls.low)} and {share(calls.high)})"
        )
    if found.saving_at_95:
        saving = found.saving_at_95
        sentence += f", and saves {share(saving.value)} of always strong's cost"
    return f"{sentence}."
