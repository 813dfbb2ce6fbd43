"""Results at a glance for the change page."""

from collections.abc import Iterator
from typing import NamedTuple

from experiments.experimentation.effects import MetricEffect
from experiments.experimentation.results import ArmSummary, Results
from experiments.experimentation.text import health_message, remaining_sentence, verdict_expectation
from experiments.formatting import number, share, signed


class ArmLine(NamedTuple):
    """One arm in numbers, as text."""

    name: str
    units: str
    requests: str
    cost: str
    quality: str
    strong_share: str


class EffectLine(NamedTuple):
    """One metric of one treatment. `interval` is valid at every look."""

    arm: str
    metric: str
    role: str
    estimate: str
    interval: str
    margin: str


class Glance(NamedTuple):
    sentence: str
    arms: tuple[ArmLine, ...]
    effects: tuple[EffectLine, ...]
    warnings: tuple[str, ...]
    progress: str
    expectation: str = ""
    judged: str = ""


def glance(results: Results) -> Glance:
    return Glance(
        sentence=results.sentence,
        arms=tuple(_arm(arm) for arm in results.arms),
        effects=tuple(_effect(effect) for effect in results.effects),
        warnings=tuple(
            health_message(check) for check in results.health.checks if check.status != "ok"
        ),
        progress=" ".join(_progress(results)),
        expectation=verdict_expectation(results.verdict) if results.verdict else "",
        judged=f"Computed at {results.judged_at:%Y-%m-%d %H:%M} UTC.",
    )


def _progress(results: Results) -> Iterator[str]:
    progress = results.progress
    planned = f" of {progress.planned:,}" if progress.planned else ""
    yield f"{progress.units:,}{planned} units counted, day {progress.days}."
    if progress.remaining is not None:
        yield remaining_sentence(progress.remaining)


def _arm(arm: ArmSummary) -> ArmLine:
    waiting = f" ({arm.waiting:,} in their window)" if arm.waiting else ""
    waiting += f" ({arm.cut:,} cut at the cost cap)" if arm.cut else ""
    return ArmLine(
        name=f"{arm.name} (control)" if arm.is_control else arm.name,
        units=f"{arm.units:,}{waiting}",
        requests=f"{arm.requests:,}",
        cost="none yet" if arm.cost_per_request is None else number(1000 * arm.cost_per_request, 4),
        quality="not rated" if arm.quality is None else number(arm.quality, 3),
        strong_share="none yet" if arm.strong_share is None else share(arm.strong_share),
    )


def _effect(one: MetricEffect) -> EffectLine:
    effect = one.effect
    if effect.estimate is None:
        estimate, interval = f"too few: {one.observed} of {one.minimum}", ""
    else:
        estimate, ends = _amount(one, effect.estimate), effect.sequential_interval
        interval = f"{_amount(one, ends.lower)} to {_amount(one, ends.upper)}" if ends else "none"
    margin = "" if one.margin is None else _amount(one, one.margin).lstrip("+")
    return EffectLine(one.arm, one.label, one.role, estimate, interval, margin)


def _amount(one: MetricEffect, value: float) -> str:
    """Costs per 1,000 requests, shares in points, the rest in the metric's unit."""
    if one.unit == "USD":
        return f"{signed(1000 * value, 4)} USD per 1,000"
    if one.unit is None:
        return f"{signed(100 * value)} points"
    return f"{signed(value)} {one.unit}"
