"""The checklist before an experiment starts."""

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from experiments.configuration.document import current_document
from experiments.configuration.policy_store import build_policy
from experiments.configuration.shapes import WATCHED
from experiments.core.bucketing import weights_problem
from experiments.core.choice import pair_of
from experiments.core.money import price_on
from experiments.core.policy import Method, Policy, PolicyDomain, RoutingPolicy
from experiments.core.selection import NoEligibleModelsError
from experiments.experimentation.cost_caps import proposed_cap
from experiments.experimentation.forecasts import Forecast, forecast, scores_of
from experiments.experimentation.metrics import UnknownMetricError, spec_of
from experiments.formatting import exact_dollars, exact_share, in_dollars
from experiments.models import Arm, Experiment, ExperimentMetric, Rollout, UnitSum
from experiments.routing.runtime import engine

COST = "cost"
ACTIVE = (Experiment.Status.RUNNING, Experiment.Status.PAUSED)
LOADING = "Loading."


class ArmForecast(NamedTuple):
    """The forecast of an arm; None is unknown. Cost in US dollars per request."""

    arm: str
    strong_share: float | None
    cost_per_request: float | None


class Check(NamedTuple):
    """One line of the checklist. `arms` has the forecast of each arm, in the forecast's line."""

    name: str
    passed: bool
    message: str
    arms: tuple[ArmForecast, ...] = ()


class _Subject(NamedTuple):
    """An experiment as stored, with the policy that would decide for it."""

    experiment: Experiment
    arms: list[Arm]
    policy: Policy
    domains: list[PolicyDomain]
    today: date

    def forecast(self) -> Forecast | None:
        """What each arm would do with recent prompts."""
        wanted = [arm.routing_policy() for arm in self.arms]
        return forecast(self.policy, self.domains, wanted, self.today)


def checklist(experiment: Experiment, today: date) -> list[Check]:
    """The conditions for starting `experiment`, in the order to fix them."""
    subject = _subject(experiment, today)
    found = subject.forecast()
    return [
        *_arm_checks(subject),
        *_check_forecast(subject, found),
        _check_metrics(list(experiment.metrics.all())),
        _check_key(experiment),
        _check_overlap(experiment),
        _check_rollouts(experiment),
        _check_traffic(subject),
        _check_plan(experiment),
        *_check_cap(subject, found),
    ]


def arm_checks(experiment: Experiment, today: date) -> list[Check]:
    """The checks that a new phase must pass again."""
    subject = _subject(experiment, today)
    return [*_arm_checks(subject), *_check_forecast(subject, subject.forecast())]


def cap_at_start(experiment: Experiment, today: date) -> Decimal | None:
    """The most that a unit counts for: as planned, else proposed from recent units and prices."""
    if experiment.cost_cap is not None:
        return experiment.cost_cap
    found = _subject(experiment, today).forecast()
    return proposed_cap(experiment, found.policies if found else (), today)


def _subject(experiment: Experiment, today: date) -> _Subject:
    policy = build_policy(0, current_document())
    own = experiment.domain.name if experiment.domain else None
    domains = [domain for name, domain in policy.domains.items() if own in (None, name)]
    arms = list(experiment.arms.select_related("router", "strong_model", "weak_model"))
    return _Subject(experiment, arms, policy, domains, today)


def _arm_checks(subject: _Subject) -> list[Check]:
    return [
        _check_arms(subject.arms),
        _check_control(subject.arms),
        _check_weights(subject.arms),
        _check_policies(subject),
        _check_prices(subject),
        _check_routers(subject.arms),
    ]


def _check_arms(arms: list[Arm]) -> Check:
    policies = {arm.routing_policy() for arm in arms}
    if len(arms) < 2:
        return Check("arms", False, "Add at least two arms.")
    if len(policies) < len(arms):
        return Check("arms", False, "Two arms have the same policy: change one of them.")
    return Check("arms", True, f"{len(arms)} arms differ.")


def _check_control(arms: list[Arm]) -> Check:
    controls = [arm.name for arm in arms if arm.is_control]
    if len(controls) != 1:
        return Check("control", False, "Mark exactly one arm as control.")
    return Check("control", True, f"'{controls[0]}' is the control.")


def _check_weights(arms: list[Arm]) -> Check:
    if any(arm.weight <= 0 for arm in arms):
        return Check("weights", False, "Give every arm a weight above 0, or remove it.")
    if problem := weights_problem([arm.weight for arm in arms]):
        return Check("weights", False, problem)
    return Check("weights", True, "The weights sum to 1.")


def _has_threshold(arm: Arm) -> bool:
    return arm.threshold is not None or arm.target_share is not None


def _check_policies(subject: _Subject) -> Check:
    """Whether policies are complete in every domain that takes part."""
    broken = [
        arm.name
        for arm in subject.arms
        if arm.method == Method.ROUTELLM and (arm.router is None or not _has_threshold(arm))
    ]
    if broken:
        what = "a router, and a threshold or a target share"
        return Check("policies", False, f"Give {', '.join(broken)} {what}.")
    lonely = sorted(
        {
            f"{arm.name} in {domain.name}"
            for arm in subject.arms
            for domain in subject.domains
            if not _models_of(subject, domain, arm.routing_policy())
        }
    )
    if lonely:
        return Check("policies", False, f"No model can answer for {', '.join(lonely)}: set a pair.")
    return Check("policies", True, "Every arm has a complete policy.")


def _models_of(subject: _Subject, domain: PolicyDomain, wanted: RoutingPolicy) -> set[str]:
    """The models of an arm: its pair, the domain's pair, or the domain selector's choice."""
    if wanted.method is not Method.DOMAIN_SELECTOR:
        return set(pair_of(subject.policy, domain, wanted) or ())
    try:
        return {subject.policy.select(domain, None, frozenset(), subject.today)}
    except NoEligibleModelsError:
        return set()


def _check_prices(subject: _Subject) -> Check:
    """Of every model an arm may choose today."""
    models = {
        model
        for arm in subject.arms
        for domain in subject.domains
        for model in _models_of(subject, domain, arm.routing_policy())
    }
    unpriced = sorted(
        name
        for name in models
        if price_on(subject.policy.prices.get(name, ()), subject.today) is None
    )
    if unpriced:
        return Check("prices", False, f"No price is known for {', '.join(unpriced)}.")
    return Check("prices", True, "A price is known for every model.")


def _check_routers(arms: list[Arm]) -> Check:
    wanted = {arm.router for arm in arms if arm.router is not None}
    disabled = sorted(router.name for router in wanted if not router.enabled)
    if disabled:
        return Check("router", False, f"Enable the router {', '.join(disabled)}.")
    statuses = {status.name: status for status in engine.statuses()}
    problems = []
    for router in sorted(wanted, key=lambda router: router.name):
        status = statuses.get(router.name)
        if router.is_local and (status is None or status.detail == LOADING):
            continue  # it is loaded when it is needed
        if status is None or not status.ready:
            detail = status.detail if status else LOADING
            problems.append(f"The router {router.name} is not ready: {detail}")
    return Check("router", not problems, " ".join(problems) or "Every router is ready.")


def _check_forecast(subject: _Subject, found: Forecast | None) -> Iterator[Check]:
    """Empty if nothing is known of the prompts, or if other checks report what is missing."""
    differ = _check_arms(subject.arms).passed and _check_policies(subject).passed
    if found is None or not differ:
        return
    arms = tuple(
        ArmForecast(arm.name, one.strong_share, one.cost)
        for arm, one in zip(subject.arms, found.policies, strict=True)
    )
    if found.same:
        first, second = (subject.arms[place].name for place in found.same[0])
        models = " or ".join(found.policies[found.same[0][0]].models)
        message = (
            f"'{first}' and '{second}' would send the same prompts to the same models: each of "
            f"{found.sample.source} goes to {models} in both.{_hint(subject, found)}"
        )
        yield Check("forecast", False, message, arms)
        return
    described = "; ".join(_predicted(arm) for arm in arms)
    yield Check("forecast", True, f"Predicted from {found.sample.source}: {described}.", arms)


def _predicted(arm: ArmForecast) -> str:
    share = "" if arm.strong_share is None else f" {exact_share(arm.strong_share, 0)} strong,"
    cost = arm.cost_per_request
    money = "cost not known" if cost is None else f"{in_dollars(1000 * cost)} per 1,000 requests"
    return f"'{arm.arm}'{share} {money}"


def _hint(subject: _Subject, found: Forecast) -> str:
    """Which thresholds would change decisions."""
    places = {place for pair in found.same for place in pair}
    routers = {subject.arms[place].routing_policy().router for place in places} - {None}
    for router in sorted(router for router in routers if router):
        scores = sorted(scores_of(found, router))
        if scores:
            return (
                f" Scores of {router} lie between {scores[0]:.3f} and {scores[-1]:.3f}; half of "
                f"them reach {scores[len(scores) // 2]:.3f}: choose a threshold in between."
            )
    return " Choose other methods, thresholds or models."


def _check_cap(subject: _Subject, found: Forecast | None) -> Iterator[Check]:
    """The most that a unit counts for, fixed at the start."""
    experiment = subject.experiment
    policies = found.policies if found else ()
    cap = experiment.cost_cap or proposed_cap(experiment, policies, subject.today)
    if cap is not None:
        fixed = "as planned" if experiment.cost_cap else "as recent units and prices propose"
        message = f"A unit counts for at most {exact_dollars(cap)}, {fixed}; more is cut."
        yield Check("cost_cap", True, message)


def _check_metrics(metrics: list[ExperimentMetric]) -> Check:
    primary = [m.metric for m in metrics if m.role == ExperimentMetric.Role.PRIMARY]
    if primary != [COST]:
        return Check("metrics", False, "The primary metric is cost: add it, and no other.")
    if all(metric.role != ExperimentMetric.Role.GUARDRAIL for metric in metrics):
        return Check("metrics", False, "Add a guardrail, such as quality with a margin of 0.02.")
    try:
        for metric in metrics:
            spec_of(metric.metric)
    except UnknownMetricError as error:
        return Check("metrics", False, str(error))
    return Check("metrics", True, f"Cost, and {len(metrics) - 1} more.")


def _check_key(experiment: Experiment) -> Check:
    """Sums are stored by key, so a new experiment must not use the key of a deleted one."""
    if UnitSum.objects.filter(experiment=experiment.key).exists():
        return Check("key", False, "Another experiment had this key: clone it under a new one.")
    return Check("key", True, "The key was not used before.")


def _check_overlap(experiment: Experiment) -> Check:
    clashing = [other.key for other in _concurrent(experiment) if _overlap(experiment, other)]
    if clashing:
        return Check(
            "overlap",
            False,
            f"It would share units with {', '.join(clashing)}: give both the same namespace and "
            "slots that do not touch.",
        )
    return Check("overlap", True, "It shares no unit with another experiment.")


def _concurrent(experiment: Experiment) -> Iterable[Experiment]:
    others = Experiment.objects.filter(status__in=ACTIVE).exclude(pk=experiment.pk)
    return [
        other
        for other in others
        if None in (other.domain_id, experiment.domain_id)
        or other.domain_id == experiment.domain_id
    ]


def _overlap(one: Experiment, other: Experiment) -> bool:
    """Slots separate two experiments only if both assign units, or both assign requests."""
    if not one.namespace or one.namespace != other.namespace or one.by_request != other.by_request:
        return True
    return one.namespace_start < other.namespace_end and other.namespace_start < one.namespace_end


def _check_rollouts(experiment: Experiment) -> Check:
    rollouts = Rollout.objects.filter(state__in=WATCHED).select_related("flag")
    if experiment.domain_id is not None:  # a rollout of the master flag touches every domain
        rollouts = rollouts.filter(flag__domain_id__in=[experiment.domain_id]) | rollouts.filter(
            flag__domain=None
        )
    names = ", ".join(rollout.flag.key for rollout in rollouts)
    if names:
        return Check(
            "rollouts", False, f"A guarded rollout is under way: {names}. Finish it first."
        )
    return Check("rollouts", True, "No guarded rollout touches its domain.")


def _check_traffic(subject: _Subject) -> Check:
    policy = subject.policy
    if not policy.switches.ab_testing:
        return Check("traffic", False, "No units would be enrolled: routellm_a_b_testing is off.")
    flags = [policy.master, *(domain.flag for domain in subject.domains)]
    if not policy.master.share or not any(domain.flag.share for domain in subject.domains):
        off = ", ".join(flag.key for flag in flags if not flag.share)
        return Check("traffic", False, f"No units would be enrolled: {off} is at 0 %.")
    if not subject.experiment.coverage:
        return Check("traffic", False, "No units would be enrolled: its coverage is 0.")
    return Check("traffic", True, "Units whose flags are on can take part.")


def _check_plan(experiment: Experiment) -> Check:
    if experiment.planned_units is None:
        return Check(
            "plan", False, "Enter the planned units; the power calculation proposes a number."
        )
    if experiment.planned_units < experiment.arms.count() * experiment.min_units:
        return Check("plan", False, "Plan at least the minimum of units for each arm.")
    return Check("plan", True, f"{experiment.planned_units:,} units are planned.")
