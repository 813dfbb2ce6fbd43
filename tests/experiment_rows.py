"""Experiments, their units and guarded rollouts as rows, for tests that need one to look at."""

import random
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from experiments.configuration.revisions import revision
from experiments.core.policy import Method
from experiments.experimentation import lifecycle
from experiments.models import Arm, Domain, Experiment, Flag, Rollout, UnitSum

START = datetime(2026, 9, 1, tzinfo=UTC)
CHEAPER = {"control": Method.ALWAYS_STRONG, "weak": Method.ALWAYS_WEAK}


def draft(
    key: str = "cheaper",
    *,
    domain: str | None = "technical",
    arms: dict[str, str] | None = None,
    margin: float = 0.05,
    **values: Any,
) -> Experiment:
    """A draft that passes its checklist: the first arm is the control, weights are equal."""
    arms = dict(CHEAPER) if arms is None else arms
    with revision("tests"):
        experiment = Experiment.objects.create(
            key=key,
            hypothesis="It costs less and is no worse.",
            domain=Domain.objects.get(name=domain) if domain else None,
            **{"planned_units": 2000, **values},
        )
        for position, (name, method) in enumerate(arms.items()):
            Arm.objects.create(
                experiment=experiment,
                name=name,
                method=method,
                weight=1 / len(arms),
                is_control=position == 0,
                position=position,
            )
        experiment.metrics.create(metric="cost", role="primary")
        experiment.metrics.create(metric="quality", role="guardrail", margin=margin)
    return experiment


def running(key: str = "cheaper", *, now: datetime = START, **values: Any) -> Experiment:
    experiment = draft(key, **values)
    lifecycle.start(experiment, "tests", now)
    return experiment


def add_units(
    experiment: Experiment,
    arm: str,
    units: int,
    *,
    cost: int = 2_000_000,
    quality: float = 0.8,
    rated: int = 1,
    requests: int = 1,
    day: date | None = None,
    domain: str = "technical",
    spread_days: int = 1,
) -> None:
    """Units of an arm with about that cost and quality a request. The same numbers every time,
    whatever today's date is."""
    first = day or START.date()
    began = experiment.started_at or START
    chance = random.Random(f"{arm} {domain} {(first - began.date()).days} {units}")
    UnitSum.objects.bulk_create(
        _unit(
            experiment,
            arm,
            f"{arm}{domain}{first:%m%d}{number}".ljust(32, "-")[:32],
            first + timedelta(days=number % spread_days),
            domain,
            requests,
            round(cost * requests * chance.uniform(0.5, 1.5)),
            sum(chance.random() < quality for _ in range(rated)),
            rated,
        )
        for number in range(units)
    )


def _unit(
    experiment: Experiment,
    arm: str,
    unit_hash: str,
    day: date,
    domain: str,
    requests: int,
    cost: int,
    good: int,
    rated: int,
) -> UnitSum:
    return UnitSum(
        experiment=experiment.key,
        phase=experiment.phase,
        arm=arm,
        unit_hash=unit_hash,
        domain=domain,
        day=day,
        decisions=requests,
        priced=requests,
        cost=cost,
        baseline=2 * cost,
        strong=requests if arm == "control" else 0,
        quality=good * 1_000_000,
        rated=rated,
    )


def rollout(
    flag: str = "routellm_medical_domain",
    steps: Iterable[tuple[float, float | None]] = ((10, 24), (50, 24), (100, 0)),
    **values: Any,
) -> Rollout:
    row = Flag.objects.get(key=flag)
    return Rollout.objects.create(flag=row, steps=[list(step) for step in steps], **values)


def set_flag(key: str, percentage: float) -> None:
    with revision("tests"):
        flag = Flag.objects.get(key=key)
        flag.percentage = Decimal(str(percentage))
        flag.save()
