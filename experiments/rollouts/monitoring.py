"""Checks a guarded rollout: compares treated units with controls within steps and days."""

from datetime import datetime, timedelta
from typing import NamedTuple, cast

from experiments.analysis.experiment.health import (
    HealthCheck,
    UnitTable,
    check_multiple_exposures,
    check_sample_ratio,
)
from experiments.analysis.experiment.verdict import VerdictCode
from experiments.analysis.rollout.guards import (
    GuardData,
    GuardResult,
    MissingUnits,
    guard_result,
    missing,
)
from experiments.experimentation.result_payloads import health_check_payload
from experiments.models import Rollout
from experiments.rollouts import shapes
from experiments.rollouts.data import RolloutData, read_rollout
from experiments.rollouts.guards import RolloutGuard, guards_of
from experiments.rollouts.steps import next_step
from experiments.rollouts.text import (
    amount,
    cannot_advance,
    completed,
    harm,
    held,
    lacking,
)

SHORTEST = timedelta(hours=1)
DAY = timedelta(days=1)


class RolloutCheck(NamedTuple):
    """The guards' results, what is missing for `next_share`, and the health checks. `compared` is
    the number of units on the smaller side; `next_share` is None at the last step."""

    at: datetime
    guards: tuple[GuardResult, ...]
    missing: tuple[MissingUnits, ...]
    checks: tuple[HealthCheck, ...]
    compared: int
    share: float
    next_share: float | None

    @property
    def harm(self) -> str | None:
        """Why it must be rolled back, or None."""
        found = [harm(result) for result in self.guards if result.is_harmful]
        return "; ".join(found) or None

    @property
    def waits_for(self) -> str | None:
        """Why the next step is not allowed, or None."""
        if self.next_share is None or not self.missing:
            return None
        return cannot_advance(self.missing, self.next_share, self.share)

    @property
    def outcome(self) -> VerdictCode:
        if self.harm:
            return VerdictCode.ROLL_BACK
        if not self.compared:
            return VerdictCode.NOT_ENOUGH_DATA
        inside = all(result.allows(1.0) for result in self.guards)
        return VerdictCode.SHIP if inside else VerdictCode.KEEP_RUNNING

    @property
    def sentence(self) -> str:
        said = self.harm or self.waits_for or completed(self.guards)
        return f"{said[:1].upper()}{said[1:].rstrip('.')}."


def look_at(rollout: Rollout, now: datetime) -> RolloutCheck:
    """The current results of the guards. One query, one more for custom metrics."""
    guards = guards_of(rollout)
    data = read_rollout(rollout.key, (guard.spec for guard in guards), now.date())
    following = next_step(rollout)
    share = None if following is None else float(following) / 100
    seen = [(guard, _data_of(guard, data, rollout, now)) for guard in guards]
    results = tuple(
        guard_result(guard.guard, one, alpha=rollout.alpha, guards=len(guards))
        for guard, one in seen
    )
    lacking = (
        [
            missing(result, one, share, alpha=rollout.alpha)
            for result, (_, one) in zip(results, seen, strict=True)
        ]
        if share is not None
        else []
    )
    return RolloutCheck(
        at=now,
        guards=results,
        missing=tuple(one for one in lacking if one is not None),
        checks=_checks(rollout, data),
        compared=min(data.units),
        share=float(rollout.treated_percentage) / 100,
        next_share=share,
    )


def seen_by(rollout: Rollout, now: datetime) -> shapes.Look:
    """The stored result of the last check of this phase; computed now if there is none."""
    if rollout.seen:
        return cast("shapes.Look", rollout.seen)
    return recorded(look_at(rollout, now))


def recorded(look: RolloutCheck) -> shapes.Look:
    """A check as JSON: stored with the rollout, returned by the REST API, shown on pages."""
    needs = {one.result.guard.name: lacking(one) for one in look.missing}
    return {
        "at": look.at.isoformat().replace("+00:00", "Z"),
        "compared": look.compared,
        "outcome": str(look.outcome),
        "sentence": look.sentence,
        "next_percentage": None if look.next_share is None else 100 * look.next_share,
        "guards": [_recorded_guard(result, needs) for result in look.guards],
        "missing": [
            {
                "metric": one.result.guard.name,
                "units": one.units,
                "days": one.days,
                "message": lacking(one),
            }
            for one in look.missing
        ],
        "checks": [health_check_payload(check) for check in look.checks],
    }


def _recorded_guard(result: GuardResult, needs: dict[str, str]) -> shapes.GuardResultPayload:
    guard = result.guard
    return {
        "metric": guard.name,
        "title": guard.label,
        "margin": guard.margin,
        "margin_text": amount(guard, guard.margin),
        "estimate": result.estimate,
        "least_gain": result.least_gain,
        "most_gain": result.most_gain,
        "units": result.units,
        "harmful": result.is_harmful,
        "largest_percentage": 100 * result.largest_share,
        "known": held(result),
        "needs": needs.get(guard.name, ""),
    }


def _data_of(guard: RolloutGuard, data: RolloutData, rollout: Rollout, now: datetime) -> GuardData:
    seen = data.observed(guard.spec, guard.cap)
    rated = data.rated(guard.spec) if guard.spec.from_feedback else None
    shares = float(rollout.treated_percentage), float(rollout.control_percentage)
    part = shares[0] / sum(shares) if sum(shares) else 0.5
    current = data.in_phase(rollout.phase) & data.treated & (seen.count > 0)
    lasted = max(now - (rollout.step_started_at or now), SHORTEST)
    return GuardData(seen, data.phase_of_cell, rated, part, int(current.sum()) / (lasted / DAY))


def _checks(rollout: Rollout, data: RolloutData) -> tuple[HealthCheck, ...]:
    checks = [check_multiple_exposures(data.excluded, sum(data.units))]
    tables = _tables(rollout, data)
    if tables:
        checks.append(check_sample_ratio(tables))
    return tuple(checks)


def _tables(rollout: Rollout, data: RolloutData) -> list[UnitTable]:
    """Units of each phase and its planned shares. Phases with several shares are left out."""
    shares: dict[int, set[tuple[float, float]]] = {}
    for row in rollout.history.all():
        treated, control = float(row.percentage), float(row.control_percentage)
        if treated and control and row.phase:
            shares.setdefault(row.phase, set()).add((control, treated))
    found = []
    for one in data.phases:
        ratios = {control / treated for control, treated in shares.get(one.phase, ())}
        if len(ratios) == 1:
            table = f"step {one.phase}", (one.controls, one.treated), max(shares[one.phase])
            found.append(UnitTable(*table))
    return found or [UnitTable("the rollout", (0, 0), (0.5, 0.5))]
