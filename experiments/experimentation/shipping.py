"""Ships an arm, after a preview of the changes and their forecast."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from experiments.analysis.experiment.verdict import Verdict, VerdictCode
from experiments.configuration.document import current_document
from experiments.configuration.policy_store import build_policy
from experiments.configuration.revisions import Author
from experiments.core.policy import Method, Policy, PolicyDomain, RoutingPolicy
from experiments.experimentation import lifecycle
from experiments.experimentation.forecasts import ENOUGH, RECENT, PolicyForecast, forecast
from experiments.experimentation.results import results
from experiments.formatting import exact_share, in_dollars, percentage
from experiments.models import Arm, Experiment


class DomainChange(NamedTuple):
    """One domain's policy before and after, with the forecast of both if there is one."""

    domain: str
    before: str
    after: str
    predicted_before: PolicyForecast | None
    predicted_after: PolicyForecast | None
    source: str

    def __str__(self) -> str:
        shares = _shares(self.predicted_before, self.predicted_after)
        costs = _costs(self.predicted_before, self.predicted_after)
        described = "; ".join(text for text in (shares, costs) if text)
        predicted = f" Predicted from {self.source}: {described}." if described else ""
        return f"{self.domain}: from {self.before} to {self.after}.{predicted}"


class ShipPreview(NamedTuple):
    """The effect of shipping an arm at `at`. `ready` if the verdict is to ship this arm."""

    arm: str
    at: datetime
    verdict: Verdict | None
    sentence: str
    changes: tuple[DomainChange, ...]

    @property
    def ready(self) -> bool:
        return is_to_ship(self.verdict, self.arm)

    @property
    def outcome(self) -> str:
        return str(self.verdict.outcome) if self.verdict else "none"

    @property
    def lines(self) -> tuple[str, ...]:
        """The verdict and each change, as text."""
        verdict = f"Verdict at {self.at:%Y-%m-%d %H:%M} UTC: {self.outcome}. {self.sentence}"
        return (verdict, *(str(change) for change in self.changes))


def is_to_ship(verdict: Verdict | None, arm: str) -> bool:
    """Whether the arm's own verdict is to ship; False while the experiment is unhealthy."""
    if verdict is None or verdict.outcome is not VerdictCode.SHIP:
        return False
    return any(one.arm == arm and one.outcome is VerdictCode.SHIP for one in verdict.arms)


def previews(experiment: Experiment, now: datetime) -> tuple[ShipPreview, ...]:
    """The preview of each arm, treatments first."""
    arms = sorted(_arms(experiment), key=lambda arm: arm.is_control)
    found = results(experiment, now, series=False)
    changes = _changes(experiment, arms, now)
    return tuple(
        ShipPreview(arm.name, now, found.verdict, found.sentence, tuple(own))
        for arm, own in zip(arms, changes, strict=True)
    )


def ship(
    experiment: Experiment, arm: str, author: Author, now: datetime, *, anyway: str = ""
) -> None:
    """Writes the arm's policy into the domain and ends the experiment. `anyway` is the reason if
    the verdict is not to ship this arm.

    Raises NotReadyToShipError without a reason, LifecycleError if shipping is not possible.
    """
    lifecycle.require_shippable(experiment, arm)
    found = results(experiment, now, series=False)
    if not is_to_ship(found.verdict, arm) and not anyway:
        preview = next(one for one in previews(experiment, now) if one.arm == arm)
        raise lifecycle.NotReadyToShipError(preview.lines)
    verdict = str(found.verdict.outcome) if found.verdict else ""
    lifecycle.ship(experiment, arm, author, now, verdict=verdict, anyway=anyway)


def _arms(experiment: Experiment) -> list[Arm]:
    return list(experiment.arms.select_related("router", "strong_model", "weak_model"))


def _changes(
    experiment: Experiment, arms: Sequence[Arm], now: datetime
) -> list[list[DomainChange]]:
    """Each arm's changes, one per domain."""
    policy = build_policy(0, current_document())
    own = experiment.domain.name if experiment.domain else None
    domains = [domain for name, domain in policy.domains.items() if own in (None, name)]
    most = max(ENOUGH, RECENT // max(1, len(domains)))
    by_domain = [_of_domain(policy, domain, arms, now, most) for domain in domains]
    return [[changes[place] for changes in by_domain] for place in range(len(arms))]


def _of_domain(
    policy: Policy, domain: PolicyDomain, arms: Sequence[Arm], now: datetime, most: int
) -> list[DomainChange]:
    """Each arm's change of one domain, with forecasts on the same prompts."""
    after = [arm.routing_policy() for arm in arms]
    found = forecast(policy, [domain], [domain.policy, *after], now.date(), most=most)
    before, *later = found.policies if found else [None] * (len(arms) + 1)
    today = described(domain.policy)
    source = found.sample.source if found else ""
    return [
        DomainChange(domain.name, today, described(one), before, predicted, source)
        for one, predicted in zip(after, later, strict=True)
    ]


def described(policy: RoutingPolicy) -> str:
    """A short description of a policy."""
    words = {
        Method.ALWAYS_STRONG: "always the strong model",
        Method.ALWAYS_WEAK: "always the weak model",
        Method.DOMAIN_SELECTOR: "the domain selector",
    }
    if policy.method in words:
        return words[policy.method]
    at = "at no threshold" if policy.threshold is None else f"at {policy.threshold:.3f}"
    if policy.target_share is not None:
        at = f"for {percentage(100 * policy.target_share)} strong"
    explores = f", {percentage(100 * policy.epsilon)} explored" if policy.epsilon else ""
    return f"{policy.router or 'no router'} {at}{explores}"


def _shares(before: PolicyForecast | None, after: PolicyForecast | None) -> str:
    shares = [one.strong_share if one else None for one in (before, after)]
    return _between("strong share", shares, lambda share: exact_share(share, 0))


def _costs(before: PolicyForecast | None, after: PolicyForecast | None) -> str:
    costs = [one.cost if one else None for one in (before, after)]
    return _between("cost of 1,000 requests", costs, lambda cost: in_dollars(1000 * cost))


def _between(name: str, values: Sequence[float | None], show: Callable[[float], str]) -> str:
    before, after = values
    if after is None:
        return ""
    return f"{name} {show(after)}" + (f", today {show(before)}" if before is not None else "")
