"""Schemas of experiments and guarded rollouts, for the OpenAPI document only."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers as s

from experiments.analysis.experiment.health import HealthCode, Status
from experiments.analysis.experiment.verdict_codes import Outcome, ReasonCode
from experiments.api.experiment_requests import (
    LONGEST_HYPOTHESIS,
    METHODS,
    MOST_ARMS,
    MOST_DAYS,
    MOST_METRICS,
    MOST_UNITS,
    ROLES,
    STATUSES,
)
from experiments.api.schemas import NULLABLE, Page, Text
from experiments.models import Rollout as RolloutRow

KEY = r"^[a-z][a-z0-9-]*$"
NAME = r"^[a-z][a-z0-9_]*$"

HEALTH_STATUSES = tuple(str(status) for status in Status)


class Share(s.FloatField):
    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": 0, "max_value": 1, **NULLABLE, **options})


@extend_schema_field({"type": ["number", "string", "null"]})
class Amount(s.Field):  # type: ignore[type-arg]
    """US dollars, as a number or a decimal string."""


class PolicyStep(s.Serializer[Any]):
    model = s.CharField()
    router = s.CharField()
    threshold = s.FloatField(min_value=0, max_value=1)


class PolicyRequest(s.Serializer[Any]):
    method = s.ChoiceField(choices=METHODS)
    router = Text(help_text="Needed for routellm.", **NULLABLE)
    threshold = Share(
        help_text="Needed for routellm: at or above it the strong model answers. The router that "
        "ships scores most prompts between 0.6 and 0.85, about half of them above 0.75."
    )
    strong_model = Text(help_text="Default: the domain's pair, or the default pair.", **NULLABLE)
    weak_model = Text(**NULLABLE)
    epsilon = Share(help_text="Share sent to the pair's other model, for exploration. Default: 0.")
    between = PolicyStep(
        many=True,
        help_text="For more than two models: below the threshold, the first step reached.",
        **NULLABLE,
    )


class ArmRequest(s.Serializer[Any]):
    name = s.RegexField(KEY, max_length=80)
    weight = Share(help_text="Weights sum to 1. 0.5.")
    is_control = s.BooleanField(help_text="One arm is the control.", **NULLABLE)
    policy = PolicyRequest()


class MetricRequest(s.Serializer[Any]):
    metric = s.RegexField(NAME, max_length=60, help_text="Built in or custom.")
    role = s.ChoiceField(choices=ROLES)
    margin = s.FloatField(
        min_value=0,
        max_value=1e9,
        help_text="Guardrails: the worst loss accepted, above 0, in the metric's unit.",
        **NULLABLE,
    )


class ExperimentEdit(s.Serializer[Any]):
    hypothesis = Text(max_length=LONGEST_HYPOTHESIS, **NULLABLE)
    owner = s.CharField(max_length=150, help_text="Empty or null: none.", **NULLABLE)
    domain = Text(help_text="Null: prompts of all domains.", **NULLABLE)
    unit_kind = Text(max_length=20, help_text="`request` randomizes each decision.", **NULLABLE)
    coverage = Share(help_text="Share of units that take part. May only grow while it runs.")
    namespace = s.RegexField(
        r"^([a-z][a-z0-9_]*)?$", max_length=40, help_text="Empty or null: none.", **NULLABLE
    )
    namespace_start = Share()
    namespace_end = Share()
    alpha = s.FloatField(min_value=0.001, max_value=0.5, **NULLABLE)
    power = s.FloatField(min_value=0.5, max_value=0.99, **NULLABLE)
    target_effect = Amount(
        help_text="The smallest relevant cost difference per request, in US dollars. A number, "
        "or a decimal string as it is answered.",
        **NULLABLE,
    )
    expected_loss = Share(help_text="The quality loss expected.")
    min_units = s.IntegerField(min_value=100, max_value=MOST_UNITS, **NULLABLE)
    min_days = s.IntegerField(min_value=0, max_value=MOST_DAYS, **NULLABLE)
    planned_units = s.IntegerField(min_value=1, max_value=MOST_UNITS, **NULLABLE)
    cost_cap = Amount(
        help_text="Cost cap per unit, in US dollars. Null: proposed at the start.", **NULLABLE
    )
    prior_sd = s.FloatField(
        min_value=0.01,
        max_value=10,
        help_text="How far apart effects on cost usually are, on the log scale.",
        **NULLABLE,
    )
    window_days = s.IntegerField(min_value=1, max_value=MOST_DAYS, **NULLABLE)
    audit_share = Share(help_text="Share of decisions marked for audit.")
    arms = s.ListField(child=ArmRequest(), min_length=1, max_length=MOST_ARMS, **NULLABLE)
    metrics = s.ListField(child=MetricRequest(), min_length=1, max_length=MOST_METRICS, **NULLABLE)


EDITABLE = tuple(ExperimentEdit().fields)


class ExperimentRequest(ExperimentEdit):
    key = s.RegexField(KEY, max_length=80)


class StopRequest(s.Serializer[Any]):
    reason = Text(max_length=500)


class ShipRequest(s.Serializer[Any]):
    arm = Text()
    anyway = s.BooleanField(
        help_text="Ship the arm against the verdict; needs a reason.", **NULLABLE
    )
    reason = Text(max_length=500, help_text="Why it is shipped anyway.", **NULLABLE)


class CloneRequest(s.Serializer[Any]):
    key = s.RegexField(KEY, max_length=80)


class Policy(s.Serializer[Any]):
    method = s.ChoiceField(choices=METHODS)
    router = s.CharField(allow_null=True)
    threshold = s.FloatField(allow_null=True)
    strong_model = s.CharField(allow_null=True)
    weak_model = s.CharField(allow_null=True)
    epsilon = s.FloatField()
    between = PolicyStep(many=True, required=False, help_text="Only with more than two models.")


class Arm(s.Serializer[Any]):
    name = s.CharField()
    weight = s.FloatField()
    is_control = s.BooleanField()
    policy = Policy()


class Metric(s.Serializer[Any]):
    metric = s.CharField()
    role = s.ChoiceField(choices=ROLES)
    margin = s.FloatField(allow_null=True)


class Phase(s.Serializer[Any]):
    number = s.IntegerField()
    started_at = s.DateTimeField()
    ended_at = s.DateTimeField(allow_null=True)


class Experiment(s.Serializer[Any]):
    key = s.CharField()
    status = s.ChoiceField(choices=STATUSES)
    hypothesis = s.CharField()
    owner = s.CharField()
    domain = s.CharField(allow_null=True)
    unit_kind = s.CharField()
    coverage = s.FloatField()
    namespace = s.CharField()
    namespace_start = s.FloatField()
    namespace_end = s.FloatField()
    alpha = s.FloatField()
    power = s.FloatField()
    target_effect = s.CharField(help_text="US dollars per request.")
    expected_loss = s.FloatField()
    min_units = s.IntegerField()
    min_days = s.IntegerField()
    planned_units = s.IntegerField(allow_null=True)
    tuning_sample_size = s.IntegerField(help_text="N*, fixed at the start.")
    cost_cap = s.CharField(
        allow_null=True, help_text="Cost cap per unit, in US dollars; fixed at the start."
    )
    prior_sd = s.FloatField(
        help_text="How far apart effects on cost usually are, on the log scale."
    )
    window_days = s.IntegerField()
    audit_share = s.FloatField()
    phase = s.IntegerField()
    started_at = s.DateTimeField(allow_null=True)
    stopped_at = s.DateTimeField(allow_null=True)
    stopped_by = s.CharField()
    stop_reason = s.CharField()
    verdict = s.CharField(help_text="The verdict when it was stopped.")
    shipped_arm = s.CharField()
    ship_reason = s.CharField(help_text="Why it was shipped against the verdict.")
    arms = Arm(many=True)
    metrics = Metric(many=True)
    phases = Phase(many=True)


class ExperimentPage(Page):
    results = Experiment(many=True)


class ArmForecast(s.Serializer[Any]):
    arm = s.CharField()
    strong_share = s.FloatField(allow_null=True)
    cost_per_request = s.FloatField(allow_null=True, help_text="US dollars.")


class Check(s.Serializer[Any]):
    name = s.CharField()
    passed = s.BooleanField()
    message = s.CharField(help_text="The state, or what to do.")
    arms = ArmForecast(many=True, required=False, help_text="Of `forecast`: what is predicted.")


class Checklist(s.Serializer[Any]):
    ready = s.BooleanField()
    checks = Check(many=True)


class Plan(s.Serializer[Any]):
    possible = s.BooleanField(help_text="Whether there is enough recent data to plan with.")
    sentence = s.CharField()
    missing = s.ListField(child=s.CharField(), help_text="Metrics without enough recent data.")
    units = s.IntegerField(required=False, help_text="Of all arms together.")
    days = s.IntegerField(required=False, allow_null=True)
    limiting = s.CharField(required=False, help_text="The metric that needs the most units.")
    single_look_units = s.IntegerField(required=False, help_text="The size for a single look.")
    times_a_single_look = s.FloatField(required=False)


class Reason(s.Serializer[Any]):
    code = s.ChoiceField(choices=[str(code) for code in ReasonCode])
    arm = s.CharField(allow_null=True)
    metric = s.CharField(allow_null=True)
    value = s.FloatField(allow_null=True, help_text="A gain in the metric's unit, or a count.")
    limit = s.FloatField(allow_null=True)
    message = s.CharField()


class ArmVerdict(s.Serializer[Any]):
    arm = s.CharField()
    outcome = s.ChoiceField(choices=[str(outcome) for outcome in Outcome])
    sentence = s.CharField()
    expectation = s.CharField(help_text="If it may ship: the expected effect afterwards.")
    shrunken = s.FloatField(
        allow_null=True,
        help_text="If it may ship: the relative change of cost, shrunk towards none.",
    )
    reasons = Reason(many=True)


class Verdict(s.Serializer[Any]):
    outcome = s.ChoiceField(choices=[str(outcome) for outcome in Outcome])
    arm = s.CharField(allow_null=True)
    sentence = s.CharField()
    expectation = s.CharField()
    reasons = Reason(many=True)
    arms = ArmVerdict(many=True)


class HealthCheck(s.Serializer[Any]):
    code = s.ChoiceField(choices=[str(code) for code in HealthCode])
    status = s.ChoiceField(choices=HEALTH_STATUSES)
    value = s.FloatField(allow_null=True)
    limit = s.FloatField(allow_null=True)
    message = s.CharField()


class Health(s.Serializer[Any]):
    healthy = s.BooleanField()
    checks = HealthCheck(many=True)


class ArmResult(s.Serializer[Any]):
    name = s.CharField()
    is_control = s.BooleanField()
    weight = s.FloatField()
    units = s.IntegerField(help_text="Units whose window has ended.")
    waiting = s.IntegerField(help_text="Units in their window.")
    requests = s.IntegerField()
    cost_per_request = s.FloatField(allow_null=True, help_text="US dollars.")
    quality = s.FloatField(allow_null=True)
    rated = s.IntegerField()
    strong_share = s.FloatField(allow_null=True)
    cut = s.IntegerField(help_text="Units that reached the cost cap, and count up to it.")


@extend_schema_field(
    {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
)
class Interval(s.ListField):
    """Lower and upper end."""


class Effect(s.Serializer[Any]):
    """Treatment minus control; null with fewer than `minimum` units an arm."""

    estimate = s.FloatField(allow_null=True)
    standard_error = s.FloatField(allow_null=True)
    sequential_interval = Interval(help_text="Valid at every look.")
    sequential_p_value = s.FloatField(allow_null=True)
    interval = Interval(help_text="Valid at one planned look.")
    p_value = s.FloatField(allow_null=True)
    relative = s.FloatField(allow_null=True, help_text="Lift over the control.")
    relative_interval = Interval()
    n_control = s.IntegerField()
    n_treatment = s.IntegerField()
    observed = s.IntegerField(help_text="Units with a value, in the smaller arm.")
    minimum = s.IntegerField()
    adjusted_p_value = s.FloatField(allow_null=True)
    arm = s.CharField()
    metric = s.CharField()


class MetricEffect(Effect):
    role = s.ChoiceField(choices=ROLES)
    label = s.CharField()  # type: ignore[assignment]
    unit = s.CharField(allow_null=True)
    better = s.CharField()
    margin = s.FloatField(allow_null=True)


class DomainEffect(Effect):
    domain = s.CharField()
    exploratory = s.BooleanField(help_text="Always true: it does not affect the verdict.")


class SeriesPoint(s.Serializer[Any]):
    arm = s.CharField()
    metric = s.CharField()
    day = s.DateField()
    phase = s.IntegerField()
    estimate = s.FloatField(allow_null=True)
    sequential_interval = Interval()
    n_control = s.IntegerField()
    n_treatment = s.IntegerField()


class SeenDay(s.Serializer[Any]):
    """The values shown on a day, before later outcomes."""

    day = s.DateField()
    phase = s.IntegerField()
    outcome = s.CharField()
    sentence = s.CharField()


class Remaining(s.Serializer[Any]):
    units = s.IntegerField(allow_null=True)
    days = s.IntegerField(allow_null=True)
    sentence = s.CharField()


class Progress(s.Serializer[Any]):
    units = s.IntegerField()
    planned = s.IntegerField(allow_null=True)
    days = s.IntegerField(help_text="Of the phase.")
    counted_days = s.IntegerField(help_text="On which each arm has counted units.")
    remaining = Remaining(allow_null=True, help_text="Null unless it runs.")


class Results(s.Serializer[Any]):
    key = s.CharField()
    status = s.ChoiceField(choices=STATUSES)
    phase = s.IntegerField()
    as_of = s.DateField()
    judged_at = s.DateTimeField(help_text="The time of all values here.")
    sentence = s.CharField()
    verdict = Verdict(allow_null=True, help_text="Null before the start.")
    health = Health()
    arms = ArmResult(many=True)
    effects = MetricEffect(many=True)
    breakdown = DomainEffect(many=True)
    series = SeriesPoint(many=True)
    seen = SeenDay(many=True)
    progress = Progress()


@extend_schema_field(
    {
        "type": "array",
        "prefixItems": [
            {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
            {"type": ["number", "null"], "minimum": 0, "maximum": 8760},
        ],
        "minItems": 2,
        "maxItems": 2,
    }
)
class StepRequest(s.ListField):
    """A percentage, and hours to wait there; null waits for an operator."""


class RolloutGuard(s.Serializer[Any]):
    metric = Text(help_text="error_rate, fallback_rate, quality, p95_latency, cost or any other.")
    margin = s.FloatField(min_value=0, max_value=1e9, help_text="The largest acceptable loss.")
    limit = s.FloatField(
        min_value=0,
        max_value=1e9,
        help_text="p95_latency: calls that take longer, in ms, are slow. cost, saving and latency: "
        "the most that a call may count for. Others take none.",
        **NULLABLE,
    )


class RolloutRequest(s.Serializer[Any]):
    flag = Text(help_text="The key of the master flag or a domain's.")
    steps = s.ListField(child=StepRequest(), min_length=1, max_length=50)
    guards = RolloutGuard(
        many=True,
        help_text="Left out: error_rate within 0.02, and quality within `margin`.",
        **NULLABLE,
    )
    margin = s.FloatField(min_value=0.0001, max_value=1e9, **NULLABLE)
    alpha = s.FloatField(min_value=0.001, max_value=0.5, **NULLABLE)
    holdback_percentage = s.FloatField(min_value=0, max_value=50, **NULLABLE)


class GoOnRequest(s.Serializer[Any]):
    anyway = s.BooleanField(help_text="Take the next step against a guard.", **NULLABLE)
    reason = Text(max_length=500, help_text="Required with `anyway`; stored and shown.", **NULLABLE)


class TargetRequest(s.Serializer[Any]):
    percentage = s.FloatField(min_value=0.01, max_value=100)


class RollBackRequest(s.Serializer[Any]):
    reason = Text(max_length=500, **NULLABLE)


class Step(s.Serializer[Any]):
    percentage = s.FloatField()
    hours = s.FloatField(allow_null=True, help_text="Null: until an operator continues it.")
    monitored = s.BooleanField(help_text="Whether anything is compared at this step.")


class RolloutEvent(s.Serializer[Any]):
    at = s.DateTimeField()
    percentage = s.FloatField()
    state = s.CharField()
    reason = s.CharField()
    monitored = s.BooleanField()
    without_evidence = s.CharField(
        allow_null=True, help_text="The operator's reason for a step that a guard did not allow."
    )


class Rollout(s.Serializer[Any]):
    key = s.CharField()
    flag = s.CharField()
    state = s.ChoiceField(choices=RolloutRow.State.values)
    step = s.IntegerField(allow_null=True, help_text="Index of the step it is at.")
    percentage = s.FloatField(help_text="The flag's current percentage.")
    steps = Step(many=True)
    guards = RolloutGuard(many=True)
    margin = s.FloatField()
    alpha = s.FloatField()
    holdback_percentage = s.FloatField()
    before_percentage = s.FloatField()
    reason = s.CharField()
    started_at = s.DateTimeField(allow_null=True)
    step_started_at = s.DateTimeField(allow_null=True)
    ended_at = s.DateTimeField(allow_null=True)
    history = RolloutEvent(many=True)


class GuardResult(s.Serializer[Any]):
    """Gains are above 0 where units with the flag are better; the bounds hold at every look."""

    metric = s.CharField()
    title = s.CharField()
    margin = s.FloatField()
    margin_text = s.CharField(help_text="The margin in the metric's unit.")
    estimate = s.FloatField(allow_null=True)
    least_gain = s.FloatField(help_text="Without data minus the metric's whole range.")
    most_gain = s.FloatField()
    units = s.IntegerField(help_text="Units with a value, on the side with fewer.")
    harmful = s.BooleanField()
    largest_percentage = s.FloatField(help_text="Steps below it are allowed, or up to 100.")
    known = s.CharField(help_text="The current result, in words.")
    needs = s.CharField(help_text="What the next step still needs, in words. Empty if nothing.")


class MissingEvidence(s.Serializer[Any]):
    metric = s.CharField()
    units = s.IntegerField(
        allow_null=True, help_text="More units with the flag and a value. Null: more do not help."
    )
    days = s.FloatField(allow_null=True, help_text="At today's pace. Null: none arrive.")
    message = s.CharField()


class Look(s.Serializer[Any]):
    at = s.DateTimeField(help_text="When it was checked; the scheduler does it every minute.")
    compared = s.IntegerField(help_text="Units on the smaller side.")
    outcome = s.CharField(allow_null=True)
    sentence = s.CharField(allow_null=True)
    next_percentage = s.FloatField(allow_null=True)
    guards = GuardResult(many=True)
    missing = MissingEvidence(many=True, help_text="What the next step still needs.")
    checks = HealthCheck(many=True)


class RolloutDetail(Rollout):
    worst_case = s.CharField(help_text="What the first step can cost before anything is known.")
    look = Look(allow_null=True, help_text="Null before the start.")


class RolloutPage(Page):
    results = Rollout(many=True)
