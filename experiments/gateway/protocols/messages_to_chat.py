"""Translates a call of Anthropic's messages into one of chat completions.

`obstacle_in` names the first thing that chat completions cannot carry; such calls go only to
providers that speak messages. What is only advice to Anthropic is left out: marks for its cache,
edits of its context, its service tiers, the user's id."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from experiments.gateway.protocols.model_call import Body

OWN_SIGNATURE = "switchyard"
"""The signature of reasoning that comes from a provider without signatures."""

CARRIED = frozenset(
    (
        *("model", "models", "messages", "system", "max_tokens", "stop_sequences", "stream"),
        *("temperature", "top_p", "top_k", "tools", "tool_choice", "thinking", "metadata"),
        *("output_config", "output_format"),
    )
)
LEFT_OUT = frozenset(("service_tier", "context_management", "inference_geo", "cache_control"))
# Tokens of thinking, at least, and the effort that stands for them.
EFFORTS = ((10_000, "high"), (5_000, "medium"), (0, "low"))
KNOWN_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
TOOL_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def obstacle_in(body: Mapping[str, Any]) -> str:
    """In words, to complete "cannot carry …"; empty if all can be carried."""
    return next(_obstacles(body), "")


def chat_body_of(body: Mapping[str, Any]) -> Body:
    """The chat call. `body` has no obstacle."""
    chat: Body = {"messages": [*_system(body.get("system"))]}
    for message in body["messages"]:
        chat["messages"] += _message(message)
    for name, own in (("max_tokens", "max_tokens"), ("stop", "stop_sequences")):
        if body.get(own):
            chat[name] = body[own]
    for name in ("temperature", "top_p", "top_k", "stream"):
        if body.get(name) is not None:
            chat[name] = body[name]
    if tools := body.get("tools"):
        chat["tools"] = [_tool(tool) for tool in tools]
        chat |= _choice(body.get("tool_choice"))
    if effort := _effort(body):
        chat["reasoning_effort"] = effort
    if form := _format(body):
        chat["response_format"] = form
    return chat


def _obstacles(body: Mapping[str, Any]) -> Iterator[str]:
    for name, value in body.items():
        if name not in CARRIED and name not in LEFT_OUT and value:
            yield f"'{name}'"
    for tool in body.get("tools") or ():
        if not isinstance(tool, dict) or tool.get("type", "custom") != "custom":
            kind = tool.get("type") if isinstance(tool, dict) else tool
            yield f"Anthropic's own tool '{kind}'"
        elif tool.get("defer_loading"):
            yield "tools with 'defer_loading'"
    for block in _all_blocks(body):
        if what := _obstacle(block):
            yield what
    if body["messages"][-1].get("role") == "assistant":
        yield "an answer that the caller has begun (the last message is the assistant's)"


def _all_blocks(body: Mapping[str, Any]) -> Iterator[Body]:
    for holder in ({"content": body.get("system")}, *body["messages"]):
        for block in _blocks(holder.get("content")):
            yield block
            if block.get("type") == "tool_result":
                yield from _blocks(block.get("content"))


def _blocks(content: Any) -> list[Body]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [block for block in content or () if isinstance(block, dict)]


def _obstacle(block: Body) -> str:
    kind = str(block.get("type"))
    if kind in ("text", "tool_use", "tool_result"):
        return ""
    found = _OBSTACLES.get(kind)
    return f"a block of type '{kind}'" if found is None else found(block)


def _in_thinking(block: Body) -> str:
    return "" if block.get("signature") in ("", None, OWN_SIGNATURE) else "signed reasoning"


def _in_image(block: Body) -> str:
    is_here = _source(block).get("type") in ("base64", "url")
    return "" if is_here else "an image by file id"


def _in_document(block: Body) -> str:
    if (block.get("citations") or {}).get("enabled"):
        return "citations"
    return "" if _source(block).get("type") == "text" else "a document (PDF)"


_OBSTACLES: dict[str, Callable[[Body], str]] = {
    "thinking": _in_thinking,
    "redacted_thinking": lambda _: "encrypted reasoning",
    "image": _in_image,
    "document": _in_document,
}


def _source(block: Body) -> Body:
    source = block.get("source")
    return source if isinstance(source, dict) else {}


def _system(system: Any) -> Iterator[Body]:
    text = "\n\n".join(str(block.get("text", "")) for block in _blocks(system))
    if text:
        yield {"role": "system", "content": text}


def _message(message: Body) -> list[Body]:
    if message["role"] == "system":
        return list(_system(message["content"]))
    blocks = _blocks(message["content"])
    return _answer(blocks) if message["role"] == "assistant" else _turn(blocks)


def _answer(blocks: list[Body]) -> list[Body]:
    """Reasoning of a provider without signatures is not sent back, as is usual there."""
    text = "".join(str(block.get("text", "")) for block in blocks if block["type"] == "text")
    calls = [
        {
            "id": block.get("id"),
            "type": "function",
            "function": {
                "name": block.get("name"),
                "arguments": orjson.dumps(block.get("input") or {}).decode(),
            },
        }
        for block in blocks
        if block["type"] == "tool_use"
    ]
    if not text and not calls:
        return []
    answer: Body = {"role": "assistant", "content": text or None}
    return [{**answer, "tool_calls": calls} if calls else answer]


def _turn(blocks: list[Body]) -> list[Body]:
    """Results of tools come first, as chat completions want them; their images follow as parts of
    the user's turn, because results cannot hold images there."""
    results: list[Body] = []
    parts: list[Body] = []
    for block in blocks:
        if block["type"] == "tool_result":
            inner = _blocks(block.get("content"))
            results.append(_result(block, inner))
            parts += [_part(each) for each in inner if each.get("type") != "text"]
    parts += [_part(block) for block in blocks if block["type"] != "tool_result"]
    if not parts:
        return results
    if all(part["type"] == "text" for part in parts):
        return [*results, {"role": "user", "content": "\n".join(part["text"] for part in parts)}]
    return [*results, {"role": "user", "content": parts}]


def _result(block: Body, inner: list[Body]) -> Body:
    text = "\n".join(str(each.get("text", "")) for each in inner if each.get("type") == "text")
    if any(each.get("type") == "image" for each in inner):
        text = f"{text}\n(The image follows.)".strip()
    if block.get("is_error"):
        text = f"Error: {text}"
    return {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": text}


def _part(block: Body) -> Body:
    source = _source(block)
    if block["type"] == "image":
        url = source.get("url")
        if source.get("type") == "base64":
            url = f"data:{source.get('media_type')};base64,{source.get('data')}"
        return {"type": "image_url", "image_url": {"url": url}}
    if block["type"] == "document":
        titles = [str(block[name]) for name in ("title", "context") if block.get(name)]
        return {"type": "text", "text": "\n".join([*titles, str(source.get("data", ""))])}
    return {"type": "text", "text": str(block.get("text", ""))}


def _tool(tool: Body) -> Body:
    function = {"name": tool.get("name"), "parameters": tool.get("input_schema") or {}}
    for name in ("description", "strict"):
        if tool.get(name) is not None:
            function[name] = tool[name]
    return {"type": "function", "function": function}


def _choice(choice: Any) -> Body:
    if not isinstance(choice, dict):
        return {}
    kind = choice.get("type")
    fields: Body = {}
    if kind == "tool":
        fields["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif kind in TOOL_CHOICES:
        fields["tool_choice"] = TOOL_CHOICES[kind]
    if choice.get("disable_parallel_tool_use"):
        fields["parallel_tool_calls"] = False
    return fields


def _effort(body: Mapping[str, Any]) -> str | None:
    config, thinking = body.get("output_config"), body.get("thinking")
    if isinstance(config, dict) and (effort := KNOWN_EFFORTS.get(str(config.get("effort")))):
        return effort
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if not isinstance(budget, int):
        return None
    return next(effort for least, effort in EFFORTS if budget >= least)


def _format(body: Mapping[str, Any]) -> Body | None:
    config = body.get("output_config")
    form = body.get("output_format") or (config.get("format") if isinstance(config, dict) else None)
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        return None
    schema = {"name": "answer", "schema": form.get("schema") or {}, "strict": True}
    return {"type": "json_schema", "json_schema": schema}
