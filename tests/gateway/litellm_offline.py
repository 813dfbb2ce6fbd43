"""Loads LiteLLM and its tables, and records every address it would look up or connect to."""

import sys
from typing import Any


def look(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.getaddrinfo", "socket.connect", "socket.gethostbyname"):
        print(event, *map(str, arguments))


sys.addaudithook(look)

from experiments.gateway.litellm_client import load  # noqa: E402

litellm = load()
from litellm.anthropic_beta_headers_manager import filter_and_transform_beta_headers  # noqa: E402

filter_and_transform_beta_headers({"anthropic-beta": "x"}, "anthropic")
print("models", len(litellm.model_cost) > 1000)
