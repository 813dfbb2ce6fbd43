"""The configuration of the gateway's tests: endpoints of the stub, a lane for each scenario, and
keys.

A lane is a domain of its own with a pair of its own, so that a circuit breaker opened by one
test does not affect another. `fill` runs in the server's database."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from experiments.configuration.revisions import revision
from experiments.core.policy import domain_flag
from experiments.models import APIKey, Domain, Flag, LanguageModel, ModelPrice, ProviderEndpoint
from experiments.models.keys import hash_secret

STRONG_PRICE, WEAK_PRICE = (Decimal(10), Decimal(40)), (Decimal(1), Decimal(4))
CACHED_PRICE = Decimal("2.5")
REASONING_PRICE = Decimal(15)
CAPABILITIES = ["function_calling", "structured_output", "streaming", "tools", "json_mode"]
WINDOW = 100_000
KEY_VARIABLE, PROVIDER_KEY = "STUB_PROVIDER_KEY", "sk-stub-0123456789abcdef"
# Short timeouts only in tests of timeouts: other tests run on busy machines too.
PATIENT = {"connect_seconds": 5.0, "first_token_seconds": 20.0, "total_seconds": 60.0, "retries": 0}
QUICK = {"connect_seconds": 0.5, "first_token_seconds": 1.0, "total_seconds": 3.0, "retries": 0}
ENDPOINTS: dict[str, dict[str, Any]] = {
    "stub": {**PATIENT, "api_key_env": KEY_VARIABLE},
    "quick": QUICK,
    "again": {**PATIENT, "retries": 2},
    "narrow": {**PATIENT, "connect_seconds": 0.5, "concurrency": 2},
    "single": {**PATIENT, "concurrency": 1},
    "refusing": {**PATIENT, "dropped_parameters": ["seed", "logprobs"], "asks_usage": False},
    "dead": {**PATIENT, "base_url": "http://127.0.0.1:9/v1"},
    "full": QUICK,
    "keyless": {**PATIENT, "api_key_env": "NO_SUCH_KEY_IS_SET"},
    "translated": {**PATIENT, "protocol": "litellm", "api_key_env": KEY_VARIABLE},
    "translated_quick": {**QUICK, "protocol": "litellm", "api_key_env": KEY_VARIABLE},
}


@dataclass(frozen=True)
class Lane:
    """A domain whose strong and weak models answer at the stub under their own names."""

    name: str
    strong_at: str = "stub"
    weak_at: str = "stub"
    method: str = "always_strong"
    strong: tuple[tuple[str, Any], ...] = ()
    weak: tuple[tuple[str, Any], ...] = ()
    preferred: bool = False

    @property
    def strong_name(self) -> str:
        return f"stub/{self.name}-strong"

    @property
    def weak_name(self) -> str:
        return f"stub/{self.name}-weak"

    @property
    def third_name(self) -> str:
        """Preferred by the domain, where it prefers one."""
        return f"stub/{self.name}-third"

    @property
    def model(self) -> str:
        return f"router/{self.name}"


LANES = {
    lane.name: lane
    for lane in (
        Lane("plain"),
        Lane("eyes", strong=(("capabilities", CAPABILITIES),)),
        Lane("bare", strong=(("capabilities", ["streaming"]),)),
        Lane("refusing", strong_at="refusing"),
        Lane("retry", strong_at="again"),
        Lane("retry_after", strong_at="again"),
        Lane("retry_stream", strong_at="again"),
        Lane("slow", strong_at="quick"),
        Lane("slow_stream", strong_at="quick"),
        Lane("silent", strong_at="quick"),
        Lane("hanging", strong_at="quick"),
        Lane("dead", strong_at="dead"),
        Lane("full", strong_at="full"),
        Lane("limits"),
        Lane("breaker"),
        Lane("probed"),
        Lane("shared_breaker"),
        Lane("narrow", strong_at="narrow"),
        Lane("narrow_alone", strong_at="narrow", weak_at="keyless"),
        Lane("single", strong_at="single", weak_at="keyless"),
        Lane("chain", preferred=True),
        Lane("listed"),
        Lane("window", strong=(("context_window", 2_000),)),
        Lane("too_long", strong=(("context_window", 50_000),)),
        Lane("cut"),
        Lane("cut_first"),
        Lane("garbled"),
        Lane("broken"),
        Lane("huge"),
        Lane("usage"),
        Lane("hangup"),
        Lane("hangup_stream"),
        Lane("hangup_waiting", strong_at="narrow"),
        Lane("pulled"),
        Lane("refused"),
        Lane("unauthorized"),
        Lane("budget"),
        Lane("stored"),
        Lane("cached"),
        Lane("reasoned"),
        Lane("unpriced"),
        Lane("keyless", strong_at="keyless"),
        Lane("all_keyless", strong_at="keyless", weak_at="keyless"),
        Lane("translated", strong_at="translated"),
        Lane("translated_bad", strong_at="translated"),
        Lane("translated_slow", strong_at="translated_quick"),
        Lane("crowd"),
        Lane("leaks"),
        Lane("redirected"),
        Lane("odd"),
        Lane("odd_usage"),
        Lane("vain", strong_at="quick"),
        Lane("vain_alone", strong_at="quick", weak_at="keyless"),
        Lane("alive", strong_at="quick"),
        Lane("kinds"),
        Lane("cheap", method="always_weak"),
    )
}
REASONER = LANES["reasoned"].strong_name
PARTS = {
    LANES["kinds"].strong_name: {
        "cache_write_per_million": Decimal("12.5"),
        "cache_write_1h_per_million": Decimal(20),
        "audio_input_per_million": Decimal(80),
        "audio_output_per_million": Decimal(160),
    }
}
SCOPES = ["route", "feedback", "read"]
KEYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "unscoped": {"scopes": ["feedback"]},
    "revoked": {"is_active": False},
    "few_requests": {"requests_per_minute": 3},
    "both_doors": {"requests_per_minute": 3},
    "few_tokens": {"tokens_per_minute": 150},
    "few_tokens_in_vain": {"tokens_per_minute": 10_000},
    "day": {"budget_day": Decimal("0.01")},
    "month": {"budget_month": Decimal("0.01")},
    "soft": {"soft_budget_day": Decimal("0.0001")},
    "fifty": {"budget_day": Decimal("0.05")},
    "fifty_requests": {"requests_per_minute": 50},
    "one_model": {"allowed_models": ["stub/limits-weak"]},
    "one_domain": {"allowed_domains": ["limits"]},
    "priced_only": {"budget_day": Decimal(5)},
    "load": {
        "requests_per_minute": 100_000,
        "tokens_per_minute": 100_000_000,
        "budget_day": Decimal(1000),
    },
}


def secret_of(name: str) -> str:
    return f"sy_gateway-tests-{name}"


def fill(url: str, full: str) -> None:
    """`url` is the stub's; `full` accepts no connection."""
    with revision("tests", "The gateway's"):
        _endpoints(url, full)
        for lane in LANES.values():
            _lane(lane)
    _keys()


def _endpoints(url: str, full: str) -> None:
    for name, values in ENDPOINTS.items():
        address = full if name == "full" else url
        ProviderEndpoint(name=name, **{"base_url": f"{address}/v1", **values}).save()


def _lane(lane: Lane) -> None:
    strong = _model(lane.strong_name, lane.strong_at, STRONG_PRICE, dict(lane.strong))
    weak = _model(
        lane.weak_name,
        lane.weak_at,
        WEAK_PRICE,
        {"capabilities": [*CAPABILITIES, "vision"], **dict(lane.weak)},
    )
    preferred = []
    if lane.preferred:
        preferred = [_model(lane.third_name, "stub", WEAK_PRICE, {}).name]
    domain = Domain.objects.create(
        name=lane.name,
        label=lane.name,
        method=lane.method,
        strong_model=strong,
        weak_model=weak,
        preferred_models=preferred,
    )
    _flag(domain)


def _flag(domain: Any) -> None:
    Flag.objects.create(
        key=domain_flag(domain.name), kind=Flag.Kind.DOMAIN, percentage=100, domain=domain
    )


def _model(name: str, endpoint: str, price: tuple[Decimal, Decimal], values: dict[str, Any]) -> Any:
    row = LanguageModel.objects.create(
        name=name,
        provider="stub",
        endpoint=ProviderEndpoint.objects.get(name=endpoint),
        upstream_name=("openai/" if endpoint.startswith("translated") else "")
        + name.removeprefix("stub/"),
        **{"capabilities": CAPABILITIES, "context_window": WINDOW, **values},
    )
    if not name.startswith("stub/unpriced"):
        ModelPrice.objects.create(
            model=row,
            source=ModelPrice.OPERATOR,
            input_per_million=price[0],
            output_per_million=price[1],
            cached_input_per_million=CACHED_PRICE if price == STRONG_PRICE else None,
            reasoning_output_per_million=REASONING_PRICE if name == REASONER else None,
            **PARTS.get(name, {}),
        )
    return row


def _keys() -> None:
    for name, fields in KEYS.items():
        secret = secret_of(name)
        APIKey.objects.create(
            name=name,
            secret_hash=hash_secret(secret),
            hint=secret[:8],
            **{"scopes": SCOPES, **fields},
        )
