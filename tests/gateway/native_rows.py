"""Models with wire formats other than OpenAI's, at the stub.

`fill_native` runs in the server's database."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from experiments.configuration.revisions import revision
from experiments.core.policy import domain_flag
from experiments.models import Domain, Flag, LanguageModel, ModelPrice, ProviderEndpoint
from tests.gateway.rows import CAPABILITIES, KEY_VARIABLE, PATIENT, _keys

WINDOW = 200_000


@dataclass(frozen=True)
class Spoken:
    """A model, and where the stub serves its provider's wire format."""

    name: str
    path: str
    protocol: str = "litellm"

    @property
    def provider(self) -> str:
        return self.name.partition("/")[0]

    @property
    def upstream(self) -> str:
        """The model name that the stub receives."""
        return self.name.partition("/")[2]


CLAUDE = Spoken("anthropic/claude-sonnet-5-5", "")
GEMINI = Spoken("gemini/gemini-2.5-flash", "/v1beta")
MISTRAL = Spoken("mistral/mistral-small-2603", "/mistral/v1", "openai")
MISTRAL_TRANSLATED = Spoken("mistral/mistral-large-2512", "/mistral/v1")
COHERE = Spoken("cohere/command-a", "/v2/chat")
OLLAMA = Spoken("ollama_chat/llama3", "")
BEDROCK = Spoken("bedrock/amazon.nova-pro-v1:0", "")
COMPATIBLE = Spoken("hosted_vllm/qwen", "/v1")
OPENAI = Spoken("openai/gpt-4.1", "/v1", "openai")
REASONER = Spoken("openai/gpt-5-mini", "/v1", "openai")
VERTEX = Spoken("vertex_ai/gemini-2.5-pro", "")
SPOKEN = (
    *(CLAUDE, GEMINI, MISTRAL, MISTRAL_TRANSLATED, COHERE, OLLAMA, BEDROCK, COMPATIBLE),
    *(OPENAI, REASONER, VERTEX),
)
# A domain for each pair that tests route between.
DOMAINS = {
    "claude_first": (CLAUDE, OPENAI),
    "openai_first": (OPENAI, CLAUDE),
    "claude_gemini": (CLAUDE, GEMINI),
    "vertex_first": (VERTEX, OPENAI),
}


def fill_native(url: str) -> None:
    with revision("tests", "Wire formats"):
        for spoken in SPOKEN:
            _spoken(spoken, url)
        for name, (strong, weak) in DOMAINS.items():
            _domain(name, strong, weak)
    _keys()


def _spoken(spoken: Spoken, url: str) -> None:
    endpoint = spoken.name.replace("/", "_").replace(":", "_").lower()
    row = ProviderEndpoint.objects.create(
        name=endpoint[:40],
        protocol=spoken.protocol,
        base_url=url + spoken.path,
        api_key_env=KEY_VARIABLE,
        **PATIENT,
    )
    values: dict[str, Any] = {
        "provider": spoken.provider,
        "endpoint": row,
        "capabilities": [*CAPABILITIES, "vision"],
        "context_window": WINDOW,
    }
    model, _ = LanguageModel.objects.update_or_create(name=spoken.name, defaults=values)
    ModelPrice.objects.filter(model=model).delete()
    ModelPrice.objects.create(
        model=model,
        source=ModelPrice.OPERATOR,
        input_per_million=Decimal(1),
        output_per_million=Decimal(4),
    )


def _domain(name: str, strong: Spoken, weak: Spoken) -> None:
    domain = Domain.objects.create(
        name=name,
        label=name,
        method="always_strong",
        strong_model=LanguageModel.objects.get(name=strong.name),
        weak_model=LanguageModel.objects.get(name=weak.name),
    )
    Flag.objects.create(key=domain_flag(name), kind=Flag.Kind.DOMAIN, percentage=100, domain=domain)
