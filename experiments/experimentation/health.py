"""Health checks of an experiment, from its sums."""

from datetime import UTC, datetime, time, timedelta

from experiments.analysis.experiment.health import (
    Health,
    HealthCheck,
    UnitTable,
    check_multiple_exposures,
    check_price_coverage,
    check_rated_share,
    check_sample_ratio,
    check_traffic,
    check_units,
)
from experiments.analysis.experiment.plan import both_rated
from experiments.experimentation.metrics import QUALITY
from experiments.experimentation.study import PhaseData


def health_of(study: PhaseData, now: datetime) -> Health:
    """Every check that has data; none before the start."""
    if not study.compares:
        return Health()
    units = study.units
    checks: list[HealthCheck] = [
        check_sample_ratio(_tables(study)),
        check_multiple_exposures(units.excluded, units.exposed),
        check_units({arm.name: units.of(arm.name).n for arm in study.arms}),
        check_price_coverage({arm.name: _priced(study, arm.name) for arm in study.arms}),
        *_rated_checks(study),
    ]
    if study.experiment.is_running:
        waiting = study.units.exposed - study.units.counted
        checks.append(check_traffic(_hours_quiet(study, now), waiting=waiting))
    return Health(tuple(checks))


def _tables(study: PhaseData) -> list[UnitTable]:
    """The experiment's units, and each domain's if more than one takes part."""
    domains: list[str | None] = [None]
    if len(study.units.domains) > 1:
        domains += study.units.domains
    weights = tuple(arm.weight for arm in study.arms)
    return [
        UnitTable(
            domain or "the experiment",
            tuple(study.units.seen(arm.name, domain) for arm in study.arms),
            weights,
        )
        for domain in domains
    ]


def _priced(study: PhaseData, arm: str) -> tuple[int, int]:
    units = study.units.of(arm)
    return units.total("priced"), units.total("decisions")


def _rated_checks(study: PhaseData) -> list[HealthCheck]:
    """Checks of quality, if its ratings come from feedback and not from an audit."""
    if QUALITY.name not in study.specs or study.control is None:
        return []
    control = study.measured(study.units.of(study.control.name), QUALITY.name)
    checks = []
    for arm in study.treatments:
        rated = both_rated(control, study.measured(study.units.of(arm.name), QUALITY.name))
        if rated is not None:
            checks.append(check_rated_share(rated))
    return checks


def _hours_quiet(study: PhaseData, now: datetime) -> float:
    """Since the end of the last day with a request, or since the phase began."""
    last = study.units.last_day
    begin = study.phase.started_at if study.phase else study.experiment.started_at
    since = datetime.combine(last + timedelta(days=1), time(), UTC) if last else begin or now
    return max(0.0, (now - since) / timedelta(hours=1))
