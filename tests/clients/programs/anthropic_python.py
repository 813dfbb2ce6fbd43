"""The anthropic package: whole, streamed, with tools, with thinking, counting tokens."""

import json
import sys

import anthropic

model = sys.argv[1]
client = anthropic.Anthropic(max_retries=0)
turns = [{"role": "user", "content": "Hello."}]
asked = {"model": model, "max_tokens": 2000, "messages": turns}
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
tools = [{"name": "weather", "description": "The weather.", "input_schema": schema}]
got = {}

got["whole"] = client.messages.create(**asked).content[0].text
with client.messages.stream(**asked) as stream:
    got["stream"] = "".join(stream.text_stream)
    got["stop_reason"] = stream.get_final_message().stop_reason
with client.messages.stream(**asked, tools=tools) as stream:
    message = stream.get_final_message()
[call] = [block for block in message.content if block.type == "tool_use"]
got["tool"] = call.input
result = {"type": "tool_result", "tool_use_id": call.id, "content": "Sun."}
after = [
    *turns,
    {"role": "assistant", "content": message.content},
    {"role": "user", "content": [result]},
]
got["after_tool"] = (
    client.messages.create(**{**asked, "messages": after}, tools=tools).content[0].text
)
thinking = {"type": "enabled", "budget_tokens": 1024}
with client.messages.stream(**asked, thinking=thinking) as stream:
    got["thinking"] = [block.type for block in stream.get_final_message().content]
got["count"] = client.messages.count_tokens(model=model, messages=turns).input_tokens
got["models"] = [each.type for each in client.models.list()][:1]
try:
    client.messages.create(**{**asked, "model": "no-such-model"})
except anthropic.NotFoundError as error:
    got["error"] = error.body["error"]["type"]
print(json.dumps(got))
