"""pydantic-ai with its defaults, and two tool calls."""

import json
import sys

from pydantic_ai import Agent

model = sys.argv[1]
agent = Agent(model)
cities = []


@agent.tool_plain
def weather(city: str) -> str:
    """The weather of a city."""
    cities.append(city)
    return "Sun."


answer = agent.run_sync("What is the weather?").output
with_stream = agent.run_stream_sync("What is the weather?")
streamed = "".join(with_stream.stream_text(delta=True))
print(json.dumps({"answer": answer, "streamed": streamed, "cities": cities}))
