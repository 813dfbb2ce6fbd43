"""The models of a new installation, with LiteLLM's names.

Prices come from the price catalog, which changes. `accuracy_score` is a rough initial ordering, not
a measurement; replace it with results on your own prompts.
"""

from experiments.core.catalog import Model, ModelCapabilities, ModelCost

SEEDED_STRONG = "openai/gpt-4.1"
SEEDED_WEAK = "openai/gpt-4.1-mini"

_TASKS = (
    "text_generation",
    "reasoning",
    "summarization",
    "code_generation",
    "creative_writing",
)
_LANGUAGES = ("en", "de", "es", "fr", "it", "ja", "pt", "zh")
_ALL = (
    "general",
    "medical",
    "legal",
    "creative",
    "technical",
    "scientific",
    "financial",
    "educational",
)
_EVERYDAY = ("general", "creative", "educational", "technical", "financial")
# On request, these providers sign a business associate agreement for their API. Sign one first.
_HIPAA = ("openai", "anthropic")


def _model(
    name: str,
    accuracy: float,
    speed: str,
    context: int,
    output: int,
    domains: tuple[str, ...] = _ALL,
    *,
    vision: bool = True,
    audio: bool = False,
    code: bool = False,
) -> Model:
    provider = name.partition("/")[0]
    return Model(
        name=name,
        provider=provider,
        capabilities=ModelCapabilities(
            supported_tasks=_TASKS,
            context_window=context,
            supports_function_calling=True,
            supports_structured_output=True,
            supports_streaming=True,
            languages=_LANGUAGES,
            max_tokens=output,
            domains=domains,
            vision_capable=vision,
            audio_capable=audio,
            code_specialized=code,
            supports_tools=True,
            supports_json_mode=True,
            accuracy_score=accuracy,
            speed_rating=speed,
            certifications=("HIPAA",) if provider in _HIPAA else (),
        ),
        cost=ModelCost(),
    )


SEEDED_MODELS: tuple[Model, ...] = (
    _model("openai/gpt-4.1", 0.91, "medium", 1_047_576, 32_768),
    _model("openai/gpt-4.1-mini", 0.84, "fast", 1_047_576, 32_768, _EVERYDAY),
    _model("openai/gpt-6-sol", 0.95, "medium", 922_000, 128_000),
    _model("openai/gpt-6-luna", 0.86, "fast", 922_000, 128_000, _EVERYDAY),
    _model("openai/gpt-5-mini", 0.87, "medium", 272_000, 128_000),
    _model("openai/gpt-5-nano", 0.78, "fast", 272_000, 128_000, _EVERYDAY),
    _model("anthropic/claude-opus-5-5", 0.96, "slow", 1_000_000, 128_000, code=True),
    _model("anthropic/claude-sonnet-5-5", 0.94, "medium", 1_000_000, 128_000, code=True),
    _model("anthropic/claude-haiku-5-5", 0.86, "fast", 1_000_000, 128_000, _EVERYDAY),
    _model("gemini/gemini-2.5-pro", 0.91, "medium", 1_048_576, 65_536, audio=True),
    _model("gemini/gemini-2.5-flash", 0.85, "fast", 1_048_576, 65_536, _EVERYDAY, audio=True),
    _model("gemini/gemini-3.8-flash", 0.9, "fast", 1_048_576, 65_536, audio=True),
    _model("mistral/mistral-large-2512", 0.86, "medium", 262_144, 262_144),
    _model("mistral/mistral-small-2603", 0.78, "fast", 262_144, 262_144, _EVERYDAY),
    _model("deepseek/deepseek-v3.2", 0.88, "slow", 163_840, 163_840, vision=False, code=True),
    _model("xai/grok-4.7", 0.92, "medium", 500_000, 500_000),
    _model("groq/openai/gpt-oss-120b", 0.84, "fast", 131_072, 65_536, _EVERYDAY, vision=False),
    _model("groq/openai/gpt-oss-20b", 0.75, "fast", 131_072, 65_536, _EVERYDAY, vision=False),
)
