"""The models that can answer: capabilities, costs and measurements."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

EMBEDDING = frozenset(("embedding", "embeddings"))
SPEED_RATINGS = ("slow", "medium", "fast")


@dataclass(frozen=True)
class ModelCapabilities:
    """What a model can do.

    `context_window` and `max_tokens` are tokens, `accuracy_score` lies in [0, 1], `speed_rating` is
    slow, medium or fast. `domains` are those it is especially good at. `certifications` are the
    standards that its provider commits to for this API, such as HIPAA.
    """

    supported_tasks: Sequence[str] = ()
    context_window: int = 4096
    supports_function_calling: bool = False
    supports_structured_output: bool = False
    supports_streaming: bool = False
    languages: Sequence[str] = field(default_factory=lambda: ["en"])
    max_tokens: int | None = None
    domains: Sequence[str] = field(default_factory=list)
    vision_capable: bool = False
    audio_capable: bool = False
    code_specialized: bool = False
    supports_tools: bool = False
    supports_json_mode: bool = False
    accuracy_score: float = 0.85
    speed_rating: str = "medium"
    certifications: Sequence[str] = field(default_factory=list)

    @property
    def only_embeds(self) -> bool:
        """Whether the model embeds texts and answers none."""
        return bool(self.supported_tasks) and set(self.supported_tasks) <= EMBEDDING

    def has(self, capability: str) -> bool:
        """Whether the model has a capability, given as a field (`vision`, `supports_tools`) or as
        a task (`summarization`). Ignores case."""
        name = capability.lower().replace("-", "_").replace(" ", "_")
        attribute = _CAPABILITY_FIELDS.get(name.removeprefix("supports_"))
        if attribute and getattr(self, attribute):
            return True
        return name in {task.lower().replace("-", "_") for task in self.supported_tasks}


_CAPABILITY_FIELDS = {
    "function_calling": "supports_function_calling",
    "structured_output": "supports_structured_output",
    "streaming": "supports_streaming",
    "tools": "supports_tools",
    "json_mode": "supports_json_mode",
    "vision": "vision_capable",
    "vision_capable": "vision_capable",
    "audio": "audio_capable",
    "audio_capable": "audio_capable",
    "code": "code_specialized",
    "code_specialized": "code_specialized",
}


@dataclass(frozen=True)
class ModelCost:
    """US dollars. If all are zero and `is_free` is false, the price is unknown."""

    input_cost_per_1k_tokens: float = 0.0
    output_cost_per_1k_tokens: float = 0.0
    base_cost_per_request: float = 0.0
    is_free: bool = False

    @property
    def is_priced(self) -> bool:
        return self.is_free or any(
            (
                self.input_cost_per_1k_tokens,
                self.output_cost_per_1k_tokens,
                self.base_cost_per_request,
            )
        )

    @property
    def highest_per_1k_tokens(self) -> float:
        """The higher of the input and output price of 1,000 tokens."""
        if self.is_free:
            return 0.0
        return max(self.input_cost_per_1k_tokens, self.output_cost_per_1k_tokens)

    def calculate_cost(self, input_tokens: int, output_tokens: int) -> float:
        """US dollars for one call. Check `is_priced` first: an unknown price also gives 0."""
        if self.is_free:
            return 0.0
        return (
            self.base_cost_per_request
            + input_tokens / 1000 * self.input_cost_per_1k_tokens
            + output_tokens / 1000 * self.output_cost_per_1k_tokens
        )


@dataclass(frozen=True)
class ModelMetrics:
    """Measured: latencies in milliseconds, throughput in tokens a second, success rate in [0, 1].

    A latency of 0 means not measured.
    """

    latency_p50: float = 0.0
    latency_p95: float = 0.0
    throughput: float = 0.0
    success_rate: float = 1.0

    @property
    def latency_bound(self) -> float | None:
        """The latency to compare with a limit: p95, else p50, else None if not measured."""
        return self.latency_p95 or self.latency_p50 or None


@dataclass
class Model:
    """One model of one provider. `name` follows LiteLLM ("openai/gpt-4.1") or has no provider.

    Not frozen: applications disable a model with `model.is_available = False`.
    """

    name: str
    provider: str
    capabilities: ModelCapabilities
    cost: ModelCost
    metrics: ModelMetrics | None = None
    is_available: bool = True

    @property
    def key(self) -> str:
        return f"{self.provider}:{self.name}"

    def is_called(self, name: str) -> bool:
        """Whether `name` means this model, with or without its provider in front."""
        return name in (self.name, f"{self.provider}/{self.name}", self.key)


class Registry(Protocol):
    """Any object with the models of an application, keyed `provider:name`."""

    @property
    def models(self) -> Mapping[str, Model]: ...


def find_model(registry: Registry, name: str) -> Model | None:
    """The first model of that name, with or without its provider in front."""
    return next((model for model in registry.models.values() if model.is_called(name)), None)


class ModelRegistry:
    """The models an application has, keyed `provider:name`."""

    def __init__(self) -> None:
        self.models: dict[str, Model] = {}

    def register_model(self, model: Model) -> None:
        if model.key in self.models:
            raise ValueError(
                f"Model '{model.key}' is already registered. "
                "Call unregister_model first to replace it."
            )
        self.models[model.key] = model

    def unregister_model(self, name: str, provider: str = "") -> None:
        """Removes a model. Without `provider`, only one provider may offer the name."""
        found = [
            model for model in self if model.is_called(name) and provider in ("", model.provider)
        ]
        if len(found) > 1:
            providers = ", ".join(sorted(model.provider for model in found))
            raise ValueError(f"'{name}' is offered by {providers}. Pass the provider.")
        if not found:
            raise ValueError(f"Model '{name}' is not registered. Known: {self._known()}.")
        del self.models[found[0].key]

    def get_model(self, name: str) -> Model | None:
        """The first model of that name, with or without its provider in front."""
        return find_model(self, name)

    def __iter__(self) -> Iterator[Model]:
        return iter(list(self.models.values()))

    def _known(self) -> str:
        return ", ".join(sorted(self.models)) or "none"
