"""Translates a call of OpenAI's responses into one of chat completions.

`obstacle_in` names the first thing that chat completions cannot carry; such calls go only to
providers that speak responses. A custom tool with plain text becomes a function with one text, a
tool in a namespace a function with the namespace in its name."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from experiments.gateway.protocols.model_call import Body

CUSTOM_ARGUMENT = "input"
NAMESPACE_END = "__"
OWN_REASONING = "rs_switchyard_"
"""Begins the ids of reasoning that comes from a provider without encrypted reasoning."""

CARRIED = frozenset(
    (
        *("model", "models", "input", "instructions", "tools", "tool_choice", "stream"),
        *("parallel_tool_calls", "max_output_tokens", "temperature", "top_p", "reasoning", "text"),
        *("metadata", "user", "store", "previous_response_id", "prompt_cache_key"),
        *("safety_identifier", "prompt_cache_retention", "include"),
    )
)
# Advice to the provider, or about tools that it runs itself.
LEFT_OUT = frozenset(
    ("service_tier", "stream_options", "max_tool_calls", "client_metadata", "background")
)
NOT_TRUNCATED = ("truncation", "disabled")
PASSED_ON = (
    *("parallel_tool_calls", "temperature", "top_p", "user", "prompt_cache_key", "stream"),
    *("safety_identifier", "prompt_cache_retention"),
)
ROLES = {"developer": "system", "system": "system", "assistant": "assistant", "user": "user"}
CALLS = ("function_call", "custom_tool_call")
OUTPUTS = ("function_call_output", "custom_tool_call_output")
TEXTS = ("input_text", "output_text", "text", "summary_text", "refusal")


def obstacle_in(body: Mapping[str, Any]) -> str:
    """In words, to complete "cannot carry …"; empty if all can be carried."""
    return next(_obstacles(body), "")


def items_of(body: Mapping[str, Any]) -> list[Body]:
    """The input as items."""
    given = body.get("input")
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return [item for item in given or () if isinstance(item, dict)]


def chat_body_of(body: Mapping[str, Any]) -> Body:
    """The chat call. `body` has no obstacle."""
    messages: list[Body] = []
    if body.get("instructions"):
        messages.append({"role": "system", "content": body["instructions"]})
    for item in items_of(body):
        _append(messages, item)
    chat: Body = {"messages": messages}
    chat |= {name: body[name] for name in PASSED_ON if body.get(name) is not None}
    if body.get("max_output_tokens"):
        chat["max_tokens"] = body["max_output_tokens"]
    if body.get("store") and body.get("metadata"):
        chat["metadata"] = body["metadata"]
    if tools := _tools(body):
        chat["tools"] = tools
        chat |= _choice(body.get("tool_choice"))
    else:
        chat.pop("parallel_tool_calls", None)
    reasoning, text = body.get("reasoning"), body.get("text")
    if isinstance(reasoning, dict) and reasoning.get("effort"):
        chat["reasoning_effort"] = reasoning["effort"]
    if isinstance(text, dict):
        chat |= _text_options(text)
    return chat


def kind_of(item: Body) -> str:
    """A message may come without its type."""
    return str(item.get("type") or ("message" if "role" in item else ""))


def _obstacles(body: Mapping[str, Any]) -> Iterator[str]:
    for name, value in body.items():
        is_known = name in CARRIED or name in LEFT_OUT or (name, value) == NOT_TRUNCATED
        if not is_known and value not in (None, False, 0, [], {}):
            yield f"'{name}'"
    for tool in body.get("tools") or ():
        if what := _in_tool(tool):
            yield what
    if "message.output_text.logprobs" in (body.get("include") or ()):
        yield "log probabilities ('include')"
    choice = body.get("tool_choice")
    known = ("function", "custom", "allowed_tools")
    if isinstance(choice, dict) and choice.get("type") not in known:
        yield f"the choice of the tool '{choice.get('type')}'"
    for item in items_of(body):
        found = _ITEMS.get(kind_of(item))
        if what := found(item) if found else f"an item of type '{kind_of(item)}'":
            yield what


def _in_tool(tool: Any) -> str:
    kind = tool.get("type") if isinstance(tool, dict) else tool
    if kind == "function":
        return "tools with 'defer_loading'" if tool.get("defer_loading") else ""
    if kind == "namespace":
        return next(filter(None, map(_in_tool, tool.get("tools") or ())), "")
    if kind == "custom":
        form = tool.get("format") or {}
        return "" if form.get("type", "text") == "text" else "a tool with a grammar"
    return f"OpenAI's own tool '{kind}'"


def _in_content(item: Body) -> str:
    for part in _parts(item.get("content", item.get("output"))):
        kind = str(part.get("type"))
        if kind == "input_image":
            if not part.get("image_url"):
                return "an image by file id"
        elif kind not in TEXTS:
            return "a file" if kind == "input_file" else f"a part of type '{kind}'"
    return ""


def _in_reasoning(item: Body) -> str:
    is_own = str(item.get("id", "")).startswith(OWN_REASONING)
    return "" if is_own else "a provider's own reasoning"


_ITEMS: dict[str, Callable[[Body], str]] = {
    "message": _in_content,
    "function_call": lambda _: "",
    "custom_tool_call": lambda _: "",
    "function_call_output": _in_content,
    "custom_tool_call_output": _in_content,
    "reasoning": _in_reasoning,
}


def _parts(content: Any) -> list[Body]:
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}]
    return [part for part in content or () if isinstance(part, dict)]


def _append(messages: list[Body], item: Body) -> None:
    kind = kind_of(item)
    if kind == "message":
        role = ROLES.get(str(item.get("role")), "user")
        messages.append({"role": role, "content": _content(role, item.get("content"))})
    elif kind in CALLS:
        _append_call(messages, item)
    elif kind in OUTPUTS:
        parts = _parts(item.get("output"))
        images = [_part(part) for part in parts if part.get("type") == "input_image"]
        text = _text(parts)
        if images:
            text = f"{text}\n(The image follows.)".strip()
        messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": text})
        if images:
            messages.append({"role": "user", "content": images})


def _append_call(messages: list[Body], item: Body) -> None:
    """Calls belong to the assistant's turn before them, if there is one."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1].setdefault("tool_calls", []).append(
        {
            "id": item.get("call_id"),
            "type": "function",
            "function": {
                "name": joined_name(item.get("namespace"), item.get("name")),
                "arguments": _arguments(item),
            },
        }
    )


def _arguments(item: Body) -> str:
    if item.get("type") == "custom_tool_call":
        return _dumped({CUSTOM_ARGUMENT: item.get("input") or ""})
    return str(item.get("arguments") or "{}")


def _content(role: str, content: Any) -> Any:
    parts = _parts(content)
    if role != "user" or all(part.get("type") in TEXTS for part in parts):
        return _text(parts)
    return [_part(part) for part in parts]


def _text(parts: list[Body]) -> str:
    found = (part.get("text", part.get("refusal")) for part in parts)
    return "\n".join(text for text in found if isinstance(text, str))


def _part(part: Body) -> Body:
    if part.get("type") != "input_image":
        return {"type": "text", "text": part.get("text", "")}
    image = {"url": part.get("image_url")}
    if part.get("detail") in ("low", "high", "auto"):
        image["detail"] = part["detail"]
    return {"type": "image_url", "image_url": image}


def _tools(body: Mapping[str, Any]) -> list[Body]:
    choice = body.get("tool_choice")
    tools = [tool for tool in body.get("tools") or () if isinstance(tool, dict)]
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = {each.get("name") for each in choice.get("tools") or ()}
        tools = [tool for tool in tools if tool.get("name") in allowed]
    return [{"type": "function", "function": function} for function in _functions(tools)]


def _functions(tools: list[Body]) -> Iterator[Body]:
    for tool in tools:
        if tool["type"] != "namespace":
            yield _function(tool)
            continue
        for inner in tool.get("tools") or ():
            yield {**_function(inner), "name": joined_name(tool.get("name"), inner.get("name"))}


def joined_name(namespace: Any, name: Any) -> str:
    """The name of a function that stands for a tool in a namespace, if it is in one."""
    return f"{namespace}{NAMESPACE_END}{name}" if namespace else str(name)


def split_names(body: Mapping[str, Any]) -> dict[str, Body]:
    """For each function that stands for a tool in a namespace: the tool's name and namespace."""
    return {
        joined_name(tool.get("name"), inner.get("name")): {
            "name": inner.get("name"),
            "namespace": tool.get("name"),
        }
        for tool in body.get("tools") or ()
        if tool.get("type") == "namespace"
        for inner in tool.get("tools") or ()
    }


def _function(tool: Body) -> Body:
    if tool["type"] == "custom":
        argument = {"type": "string", "description": "The input of the tool, as it is."}
        schema = {
            "type": "object",
            "properties": {CUSTOM_ARGUMENT: argument},
            "required": [CUSTOM_ARGUMENT],
            "additionalProperties": False,
        }
        function: Body = {"name": tool.get("name"), "parameters": schema}
    else:
        function = {"name": tool.get("name"), "parameters": tool.get("parameters") or {}}
        if tool.get("strict"):
            function["strict"] = True
    if tool.get("description"):
        function["description"] = tool["description"]
    return function


def _choice(choice: Any) -> Body:
    if isinstance(choice, str):
        return {"tool_choice": choice}
    if not isinstance(choice, dict):
        return {}
    if choice.get("type") == "allowed_tools":
        return {"tool_choice": choice.get("mode") or "auto"}
    return {"tool_choice": {"type": "function", "function": {"name": choice.get("name")}}}


def _text_options(text: Body) -> Body:
    fields: Body = {}
    if text.get("verbosity"):
        fields["verbosity"] = text["verbosity"]
    form = text.get("format")
    if not isinstance(form, dict):
        return fields
    if form.get("type") == "json_object":
        fields["response_format"] = {"type": "json_object"}
    elif form.get("type") == "json_schema":
        schema = {name: value for name, value in form.items() if name != "type"}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    return fields


def _dumped(value: Any) -> str:
    return orjson.dumps(value).decode()
