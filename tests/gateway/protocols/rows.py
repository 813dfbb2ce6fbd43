"""The models of these tests: each protocol natively, and models that speak only chat completions.

`fill_protocols` runs in the server's database."""

from decimal import Decimal
from typing import Any

from experiments.configuration.revisions import revision
from experiments.core.policy import domain_flag
from experiments.models import (
    Domain,
    Flag,
    LanguageModel,
    ModelAlias,
    ModelPrice,
    ProviderEndpoint,
)
from tests.gateway.rows import CAPABILITIES, KEY_VARIABLE, PATIENT, _keys

CLAUDE = "anthropic/claude-opus-5"
GPT = "openai/gpt-5.5"
PLAIN, OTHER = "vllm/qwen3", "vllm/llama4"
EMBEDDER = "openai/text-embedding-3-small"
OTHER_EMBEDDER = "openai_like/embedder"  # through LiteLLM
# Domain: method, strong model, weak model.
DOMAINS = {
    "claude": ("always_strong", CLAUDE, PLAIN),
    "gpt": ("always_strong", GPT, PLAIN),
    "plain": ("always_weak", CLAUDE, PLAIN),
    "plain_gpt": ("always_weak", GPT, PLAIN),
    "only_plain": ("always_strong", OTHER, PLAIN),
}
# What clients send, what it stands for, and for which keys.
ALIASES: list[tuple[str, str, list[str]]] = [
    ("gpt-4o", "router/plain", []),
    ("gpt-4o", CLAUDE, ["load"]),
    ("gpt-4.1-mini", "router/plain", []),
    ("gpt-*", GPT, []),
    ("claude-*", "router/claude", []),
    ("claude-haiku-*", "router/plain", []),
    ("claude-3-*", "router/plain", []),
    ("claude-opus-5", "router/plain", ["load"]),
    ("embed", EMBEDDER, []),
]


def upstream_name(model: str) -> str:
    return model.partition("/")[2]


def fill_protocols(url: str) -> None:
    with revision("tests", "Protocols"):
        places: dict[str, dict[str, Any]] = {
            "claude": {"protocol": "litellm", "base_url": url},
            "gpt": {"base_url": f"{url}/v1", "native_formats": ["responses"]},
            "other": {"protocol": "litellm", "base_url": f"{url}/v1"},
            "vllm": {"base_url": f"{url}/v1"},
        }
        for name, values in places.items():
            row = {**PATIENT, "api_key_env": KEY_VARIABLE, **values}
            ProviderEndpoint(name=name, **row).save()
        models = {
            name: _model(name, place)
            for name, place in (
                (CLAUDE, "claude"),
                (GPT, "gpt"),
                (PLAIN, "vllm"),
                (OTHER, "vllm"),
                (EMBEDDER, "gpt"),
                (OTHER_EMBEDDER, "other"),
            )
        }
        for name, (method, strong, weak) in DOMAINS.items():
            domain = Domain.objects.create(
                name=name,
                label=name,
                method=method,
                strong_model=models[strong],
                weak_model=models[weak],
                prompt_storage="text" if name == "plain_gpt" else "none",
            )
            Flag.objects.create(
                key=domain_flag(name), kind=Flag.Kind.DOMAIN, percentage=100, domain=domain
            )
        for n, (pattern, target, keys) in enumerate(ALIASES):
            ModelAlias.objects.create(name=f"alias-{n}", pattern=pattern, target=target, keys=keys)
    _keys()


def _model(name: str, endpoint: str) -> Any:
    row = LanguageModel.objects.create(
        name=name,
        provider=name.partition("/")[0],
        endpoint=ProviderEndpoint.objects.get(name=endpoint),
        upstream_name=name if endpoint in ("claude", "other") else upstream_name(name),
        capabilities=[] if "embed" in name else [*CAPABILITIES, "vision"],
        tasks=["embedding"] if "embed" in name else [],
        context_window=1_000_000,
    )
    ModelPrice.objects.create(
        model=row,
        source=ModelPrice.OPERATOR,
        input_per_million=Decimal(10) if name in (CLAUDE, GPT) else Decimal(1),
        output_per_million=Decimal(40) if name in (CLAUDE, GPT) else Decimal(4),
    )
    return row
