"""Where models are called. Plain values: they contain no key, only the name of its variable."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from urllib.parse import urlsplit

from experiments.core.parameters import PolicyRule


class Protocol(StrEnum):
    """The protocol of an endpoint."""

    OPENAI = "openai"
    LITELLM = "litellm"


class ApiFormat(StrEnum):
    """The form of a request: OpenAI's chat completions, Anthropic's messages, OpenAI's responses
    and embeddings."""

    CHAT = "chat"
    MESSAGES = "messages"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"


# Known without configuration: the address that speaks responses, and LiteLLM's name for the
# provider that speaks messages.
RESPONSES_HOST = "api.openai.com"
ANTHROPIC = "anthropic/"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address with its timeouts, in seconds, and limits.

    `first_token_seconds` is how long a stream may take to send its first token. Models that reason
    first take minutes. `concurrency` is the most calls of one model at the same time; 0: no limit.
    `native_formats` are the forms that it takes besides chat completions.
    """

    name: str
    protocol: Protocol = Protocol.OPENAI
    base_url: str = ""
    api_key_env: str = ""
    api_key_file: str = ""
    connect_seconds: float = 5.0
    first_token_seconds: float = 300.0
    total_seconds: float = 900.0
    retries: int = 1
    concurrency: int = 0
    dropped_parameters: tuple[str, ...] = ()
    asks_usage: bool = True
    native_formats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Upstream:
    """A registered model's name at its endpoint, the rules that adapt calls for it (`in_order`;
    `selective` are the rules that rule it out), and how many tokens it can write."""

    endpoint: Endpoint
    name: str
    rules: tuple[PolicyRule, ...] = ()
    selective: tuple[PolicyRule, ...] = ()
    output_limit: int | None = None

    def speaks(self, api_format: ApiFormat) -> bool:
        """Whether the endpoint takes requests of this form as they are."""
        if api_format in (ApiFormat.CHAT, ApiFormat.EMBEDDINGS, *self.endpoint.native_formats):
            return True
        if api_format is ApiFormat.MESSAGES:
            return self.endpoint.protocol is Protocol.LITELLM and self.name.startswith(ANTHROPIC)
        is_direct = self.endpoint.protocol is Protocol.OPENAI
        return is_direct and urlsplit(self.endpoint.base_url).hostname == RESPONSES_HOST


def upstream_name(model: str, provider: str, named: str, protocol: Protocol) -> str:
    """The operator's name for the model, else LiteLLM's, without the provider if the provider is
    called directly."""
    if named:
        return named
    return model if protocol is Protocol.LITELLM else model.removeprefix(f"{provider}/")


# The usual names of variables with a provider's key; `*` matches any characters.
USUAL_KEY_NAMES = (
    "AI21_API_KEY",
    "ANTHROPIC_API_KEY",
    "ANYSCALE_API_KEY",
    "AZURE_AI_API_KEY",
    "AZURE_API_KEY",
    "AZURE_OPENAI_API_KEY",
    "CEREBRAS_API_KEY",
    "CODESTRAL_API_KEY",
    "COHERE_API_KEY",
    "CO_API_KEY",
    "DASHSCOPE_API_KEY",
    "DATABRICKS_API_KEY",
    "DEEPINFRA_API_KEY",
    "DEEPSEEK_API_KEY",
    "FIREWORKS_AI_API_KEY",
    "FIREWORKS_API_KEY",
    "GEMINI_API_KEY",
    "GITHUB_MODELS_API_KEY",
    "GOOGLE_API_KEY",
    "GROQ_API_KEY",
    "HF_TOKEN",
    "HUGGINGFACE_API_KEY",
    "HYPERBOLIC_API_KEY",
    "LITELLM_API_KEY",
    "LLAMA_API_KEY",
    "LM_STUDIO_API_KEY",
    "MINIMAX_API_KEY",
    "MISTRAL_API_KEY",
    "MOONSHOT_API_KEY",
    "NEBIUS_API_KEY",
    "NOVITA_API_KEY",
    "NVIDIA_API_KEY",
    "NVIDIA_NIM_API_KEY",
    "OLLAMA_API_KEY",
    "OPENAI_API_KEY",
    "OPENAI_API_KEY_*",
    "OPENROUTER_API_KEY",
    "PERPLEXITYAI_API_KEY",
    "PERPLEXITY_API_KEY",
    "REPLICATE_API_KEY",
    "REPLICATE_API_TOKEN",
    "SAMBANOVA_API_KEY",
    "TOGETHERAI_API_KEY",
    "TOGETHER_API_KEY",
    "VLLM_API_KEY",
    "VOYAGE_API_KEY",
    "WATSONX_API_KEY",
    "XAI_API_KEY",
    "ZAI_API_KEY",
    "ZHIPUAI_API_KEY",
    "PROVIDER_KEY_*",
    "*_PROVIDER_KEY",
)


def may_hold_provider_key(name: str, allowed: Iterable[str]) -> bool:
    """Whether `allowed` includes this variable, by name or by a pattern with `*`."""
    return _matches_one(name, tuple(allowed))


@lru_cache(maxsize=1024)
def _matches_one(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
