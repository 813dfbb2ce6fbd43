"""Where models are called. Plain values: nothing here knows a key, only where one is kept."""

from dataclasses import dataclass
from enum import StrEnum


class Protocol(StrEnum):
    """What an endpoint speaks."""

    OPENAI = "openai"
    LITELLM = "litellm"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address and how patiently its models are called. Times are seconds.

    `concurrency` is how many calls one model takes at a time; 0 is no limit.
    """

    name: str
    protocol: Protocol = Protocol.OPENAI
    base_url: str = ""
    api_key_env: str = ""
    api_key_file: str = ""
    connect_seconds: float = 5.0
    first_token_seconds: float = 30.0
    total_seconds: float = 300.0
    retries: int = 1
    concurrency: int = 0
    dropped_parameters: tuple[str, ...] = ()
    asks_usage: bool = True


@dataclass(frozen=True, slots=True)
class Upstream:
    """What a registered model is called at its endpoint."""

    endpoint: Endpoint
    name: str


def upstream_name(model: str, provider: str, named: str, protocol: Protocol) -> str:
    """The operator's name for it, else LiteLLM's, without the provider where the provider itself
    is asked."""
    if named:
        return named
    return model if protocol is Protocol.LITELLM else model.removeprefix(f"{provider}/")
