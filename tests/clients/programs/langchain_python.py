"""LangChain with its defaults: whole, streamed, and two tool calls."""

import json
import sys

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool

name, model = sys.argv[1:]
if name == "openai":
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(model=model)
else:
    from langchain_anthropic import ChatAnthropic

    chat = ChatAnthropic(model=model)


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return "Sun."


turns = [HumanMessage("What is the weather?")]
with_tools = chat.bind_tools([weather])
cities = []
while (answer := with_tools.invoke(turns)).tool_calls:
    turns.append(answer)
    for call in answer.tool_calls:
        cities.append(call["args"]["city"])
        turns.append(ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]))
streamed = "".join(chunk.text for chunk in chat.stream("Hello."))
print(json.dumps({"answer": answer.text, "streamed": streamed, "cities": cities}))
