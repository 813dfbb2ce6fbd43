"""The initial configuration. Safe to run at every start: it never overwrites edits."""

from dataclasses import asdict
from decimal import Decimal

from django.conf import settings

from experiments.configuration.policy_store import CAPABILITY_FIELDS
from experiments.configuration.prices import refresh_prices
from experiments.configuration.revisions import revision
from experiments.configuration.roles import seed_roles
from experiments.core.catalog import Model
from experiments.core.detection import DomainConfig
from experiments.core.domains import CAREFUL, GENERAL_DOMAIN, SEEDED_DOMAINS
from experiments.core.judging import METRIC
from experiments.core.policy import MASTER_FLAG, Method, domain_flag
from experiments.core.seeded_endpoints import SEEDED_ENDPOINTS
from experiments.core.seeded_models import SEEDED_MODELS, SEEDED_STRONG, SEEDED_WEAK
from experiments.core.seeded_parameters import SEEDED_PARAMETER_RULES
from experiments.models import (
    APIKey,
    Domain,
    DomainExample,
    Flag,
    LanguageModel,
    Metric,
    ParameterRule,
    PolicyRevision,
    ProviderEndpoint,
    Router,
    RoutingSettings,
    Scope,
)
from experiments.models.keys import hash_secret
from experiments.routers.detector import example_prompts
from experiments.routers.local import calibrated_thresholds
from experiments.storage.transactions import retried

ON, OFF = Decimal(100), Decimal(0)
SWITCHES = {
    "routellm_cost_tracking": (ON, "Costs and savings are recorded with each decision."),
    "routellm_performance_monitoring": (ON, "Timings are recorded with each decision."),
    "routellm_a_b_testing": (ON, "Running experiments assign units. Off: no units are enrolled."),
    "routellm_quality_feedback": (ON, "Feedback is accepted. Off: it is refused with 403."),
    "routellm_dynamic_threshold": (
        OFF,
        "A domain's threshold follows its calibrated strong share.",
    ),
    "routellm_learning": (
        OFF,
        "Domains with learning switched on draw pairs and learn a router. Off: no domain does.",
    ),
}


@retried
def seed() -> None:
    """Creates what is missing. Domains, models and routers are created only before the first
    revision, so that deleted ones stay deleted."""
    seed_roles()
    with revision("seed", "Seeded"):
        if not PolicyRevision.objects.exists():
            _seed_endpoints()
            _seed_models()
            _seed_routers()
            _seed_settings()
            _seed_domains()
            refresh_prices()
        if not _knows_parameter_rules():
            _seed_parameter_rules()
        _seed_flags()
        _seed_metrics()


def seed_demo_key() -> None:
    """Creates the key that `make serve` prints; only the environment contains the secret."""
    secret = settings.DEMO_API_KEY
    if secret:
        APIKey.objects.get_or_create(
            name="demo",
            defaults={
                "secret_hash": hash_secret(secret),
                "hint": secret[:8],
                "scopes": list(Scope),
            },
        )


def _seed_endpoints() -> None:
    for endpoint in SEEDED_ENDPOINTS:
        lists = {
            "dropped_parameters": list(endpoint.dropped_parameters),
            "native_formats": list(endpoint.native_formats),
        }
        values = {**asdict(endpoint), **lists}
        ProviderEndpoint.objects.get_or_create(name=values.pop("name"), defaults=values)


def _knows_parameter_rules() -> bool:
    """Whether the newest revision has parameter rules: then missing ones were deleted."""
    newest = PolicyRevision.objects.order_by("-number").first()
    return newest is not None and "parameter_rules" in newest.document


def _seed_parameter_rules() -> None:
    lists = ("model_patterns", "only_values", "except_values")
    for rule in SEEDED_PARAMETER_RULES:
        values = {**asdict(rule), **{name: list(getattr(rule, name)) for name in lists}}
        ParameterRule.objects.get_or_create(name=values.pop("name"), defaults=values)


def _seed_models() -> None:
    endpoints = {endpoint.name: endpoint for endpoint in ProviderEndpoint.objects.all()}
    LanguageModel.objects.bulk_create(
        [_model_row(model, endpoints.get(model.provider)) for model in SEEDED_MODELS],
        ignore_conflicts=True,
    )


def _model_row(model: Model, endpoint: ProviderEndpoint | None) -> LanguageModel:
    can = model.capabilities
    return LanguageModel(
        name=model.name,
        provider=model.provider,
        endpoint=endpoint,
        context_window=can.context_window,
        max_output_tokens=can.max_tokens,
        tasks=list(can.supported_tasks),
        capabilities=[name for name, field in CAPABILITY_FIELDS.items() if getattr(can, field)],
        languages=list(can.languages),
        domains=list(can.domains),
        certifications=list(can.certifications),
        accuracy_score=can.accuracy_score,
        speed_rating=can.speed_rating,
    )


def _seed_routers() -> None:
    for name, enabled in (("local", True), ("local_mf", True), ("random", False)):
        Router.objects.get_or_create(name=name, defaults={"kind": name, "enabled": enabled})


def _seed_settings() -> None:
    RoutingSettings.objects.get_or_create(
        pk=1,
        defaults={
            "strong_model": LanguageModel.objects.get(name=SEEDED_STRONG),
            "weak_model": LanguageModel.objects.get(name=SEEDED_WEAK),
        },
    )


def _seed_domains() -> None:
    thresholds = calibrated_thresholds()
    examples = example_prompts()
    for config in (*SEEDED_DOMAINS, GENERAL_DOMAIN):
        threshold = thresholds.get(config.name, thresholds["overall"])
        domain, created = Domain.objects.get_or_create(
            name=config.name, defaults=_domain_values(config, threshold)
        )
        if created:
            DomainExample.objects.bulk_create(
                DomainExample(domain=domain, text=text) for text in examples.get(config.name, ())
            )


def _domain_values(config: DomainConfig, threshold: float) -> dict[str, object]:
    return {
        "label": config.name.capitalize(),
        "keywords": list(config.keywords),
        "patterns": list(config.patterns),
        "preferred_models": list(config.preferred_models),
        "required_capabilities": list(config.required_capabilities),
        "required_certifications": list(config.required_certifications),
        "min_accuracy_score": config.min_accuracy_score,
        "method": Method.ROUTELLM,
        "router": Router.objects.get(name="local"),
        "threshold": threshold,
        "follows_target": True,
    }


def _seed_flags() -> None:
    _flag(
        MASTER_FLAG,
        Flag.Kind.MASTER,
        ON,
        "All routing. At 0 every prompt goes to the domain selector: the kill switch.",
    )
    for domain in Domain.objects.filter(flag__isnull=True):
        percentage = OFF if domain.name in CAREFUL else ON
        _flag(
            domain_flag(domain.name),
            Flag.Kind.DOMAIN,
            percentage,
            f"Routes prompts of the domain {domain}.",
            domain,
        )
    for key, (percentage, description) in SWITCHES.items():
        _flag(key, Flag.Kind.SWITCH, percentage, description)


def _seed_metrics() -> None:
    """The metric of the judge's verdicts. Experiments may use it like any other."""
    Metric.objects.get_or_create(
        name=METRIC,
        defaults={
            "description": "The judge's preference for the user's answer over the other model's "
            "answer to the same prompt: 1 prefers it in both orders, 0 the other, 0.5 neither.",
            "minimum": 0.0,
            "maximum": 1.0,
        },
    )


def _flag(
    key: str, kind: str, percentage: Decimal, description: str, domain: Domain | None = None
) -> None:
    Flag.objects.get_or_create(
        key=key,
        defaults={
            "kind": kind,
            "percentage": percentage,
            "description": description,
            "domain": domain,
        },
    )
