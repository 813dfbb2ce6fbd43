"""LlamaIndex with its defaults: whole, streamed, and a tool call."""

import json
import sys

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool

name, model = sys.argv[1:]
if name == "openai":
    from llama_index.llms.openai import OpenAI as Client
else:
    from llama_index.llms.anthropic import Anthropic as Client

client = Client(model=model)


def weather(city: str) -> str:
    """The weather of a city."""
    return "Sun."


answer = client.chat([ChatMessage(role="user", content="Hello.")]).message.content
streamed = "".join(part.delta or "" for part in client.stream_complete("Hello."))
response = client.chat_with_tools([FunctionTool.from_defaults(weather)], "What is the weather?")
calls = client.get_tool_calls_from_response(response)
cities = [call.tool_kwargs["city"] for call in calls]
print(json.dumps({"answer": answer, "streamed": streamed, "cities": cities}))
