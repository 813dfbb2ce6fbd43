"""The openai package, both APIs: whole, streamed, with tools, parsed."""

import json
import sys

import openai
from pydantic import BaseModel

model = sys.argv[1]
client = openai.OpenAI(max_retries=0)
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
function = {"name": "weather", "description": "The weather.", "parameters": schema}
got = {}


class City(BaseModel):
    city: str


turns = [{"role": "user", "content": "Hello."}]
got["chat"] = client.chat.completions.create(model=model, messages=turns).choices[0].message.content
with client.chat.completions.stream(model=model, messages=turns) as stream:
    got["chat_stream"] = stream.get_final_completion().choices[0].message.content
tools = [{"type": "function", "function": function}]
called = client.chat.completions.create(model=model, messages=turns, tools=tools).choices[0]
got["chat_tool"] = called.message.tool_calls[0].function.arguments

response = client.responses.create(model=model, input="Hello.")
got["responses"] = response.output_text
with client.responses.stream(model=model, input="Hello.") as stream:
    got["responses_stream"] = stream.get_final_response().output_text
tool = {"type": "function", "strict": False, **function}
items = [{"role": "user", "content": "The weather?"}]
first = client.responses.create(model=model, input=items, tools=[tool])
[call] = [item for item in first.output if item.type == "function_call"]
got["responses_tool"] = call.arguments
result = {"type": "function_call_output", "call_id": call.call_id, "output": "Sun."}
second = client.responses.create(model=model, input=[*items, *first.output, result], tools=[tool])
got["responses_after_tool"] = second.output_text
with client.responses.stream(model=model, input=items, tools=[tool]) as stream:
    streamed = stream.get_final_response()
got["responses_tool_stream"] = [i.arguments for i in streamed.output if i.type == "function_call"]
got["models"] = model in [each.id for each in client.models.list()]
got["model"] = client.models.retrieve(model).id
try:
    client.responses.create(model="no-such-model", input="Hello.")
except openai.NotFoundError as error:
    got["error"] = error.code
print(json.dumps(got))
