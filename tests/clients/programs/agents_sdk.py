"""OpenAI's Agents SDK with its defaults, and two tool calls, whole and streamed."""

import asyncio
import json
import sys

from agents import Agent, Runner, function_tool

cities = []


@function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    cities.append(city)
    return "Sun."


async def main() -> None:
    agent = Agent("Weather", instructions="Be brief.", tools=[weather], model=sys.argv[1])
    whole = await Runner.run(agent, "What is the weather?")
    streamed = Runner.run_streamed(agent, "What is the weather?")
    kinds = {event.type async for event in streamed.stream_events()}
    found = {"answer": whole.final_output, "streamed": streamed.final_output, "cities": cities}
    print(json.dumps({**found, "events": sorted(kinds)}))


asyncio.run(main())
