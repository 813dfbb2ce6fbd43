"""The endpoints of a new installation: one for each provider of the seeded models.

Providers with OpenAI's protocol are called directly, which takes a fraction of the processor time;
LiteLLM translates for the others.
"""

from experiments.core.endpoints import Endpoint, Protocol

SEEDED_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("openai", base_url="https://api.openai.com/v1", api_key_env="OPENAI_API_KEY"),
    Endpoint("anthropic", Protocol.LITELLM, api_key_env="ANTHROPIC_API_KEY"),
    Endpoint("gemini", Protocol.LITELLM, api_key_env="GEMINI_API_KEY"),
    Endpoint("mistral", base_url="https://api.mistral.ai/v1", api_key_env="MISTRAL_API_KEY"),
    Endpoint("deepseek", base_url="https://api.deepseek.com/v1", api_key_env="DEEPSEEK_API_KEY"),
    Endpoint("xai", base_url="https://api.x.ai/v1", api_key_env="XAI_API_KEY"),
    Endpoint("groq", base_url="https://api.groq.com/openai/v1", api_key_env="GROQ_API_KEY"),
)
