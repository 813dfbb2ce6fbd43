"""What LiteLLM's adapters lose on the way from messages and responses to chat completions.

`python -m benchmarks.litellm_adapters` prints one line for each case. A case is lost if the marked
part of the call appears nowhere in the chat call, and nothing was raised."""

import json
import os
from typing import Any

MARK = "MARKED"
TEXT = {"type": "text", "text": "Hello."}
USER = {"role": "user", "content": "Hello."}
Case = tuple[str, Any]


def _turn(*blocks: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": list(blocks)}]}


MESSAGES: dict[str, Case] = {
    "document of text": (
        MARK,
        _turn(
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": MARK},
            },
            TEXT,
        ),
    ),
    "result of a server tool": (
        MARK,
        _turn(
            {
                "type": "web_search_tool_result",
                "tool_use_id": "s",
                "content": [{"type": "web_search_result", "url": "u", "title": MARK}],
            },
            role="assistant",
        ),
    ),
    "failed tool": (
        "rror",
        _turn({"type": "tool_result", "tool_use_id": "t", "is_error": True, "content": "no"}),
    ),
    "one tool at a time": (
        "parallel",
        {
            "messages": [USER],
            "tools": [{"name": "w", "input_schema": {}}],
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        },
    ),
    "failed tool's text": (
        MARK,
        _turn({"type": "tool_result", "tool_use_id": "t", "content": MARK}),
    ),
    "stop sequences": (MARK, {"messages": [USER], "stop_sequences": [MARK]}),
}
RESPONSES: dict[str, Case] = {
    "reference to an item": (MARK, {"input": [{"type": "item_reference", "id": MARK}, USER]}),
    "encrypted reasoning": (
        MARK,
        {
            "input": [
                {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": MARK},
                USER,
            ]
        },
    ),
    "tools in a namespace": (
        MARK,
        {
            "input": "Hello.",
            "tools": [
                {
                    "type": "namespace",
                    "name": "n",
                    "tools": [{"type": "function", "name": MARK, "parameters": {}}],
                }
            ],
        },
    ),
    "stored prompt": (MARK, {"input": "Hello.", "prompt": {"id": MARK}}),
    "truncation": ("truncation", {"input": "Hello.", "truncation": "auto"}),
    "custom tool": (MARK, {"input": "Hello.", "tools": [{"type": "custom", "name": MARK}]}),
}


def _from_messages(call: dict[str, Any]) -> Any:
    from litellm.llms.anthropic.messages.adapters.transformation import (
        LiteLLMAnthropicMessagesAdapter,
    )

    adapter: Any = LiteLLMAnthropicMessagesAdapter()
    return adapter.translate_anthropic_to_openai({"model": "gpt-4.1", "max_tokens": 9, **call})


def _from_responses(call: dict[str, Any]) -> Any:
    from litellm.responses.litellm_completion_transformation import (
        transformation,
    )

    config: Any = transformation.LiteLLMCompletionResponsesConfig
    rest = {name: value for name, value in call.items() if name != "input"}
    return config.transform_responses_api_request_to_chat_completion_request(
        model="gpt-4.1",
        input=call["input"],
        responses_api_request=rest,
        custom_llm_provider="openai",
    )


def outcome(translate: Any, case: Case) -> str:
    """`kept`, `lost`, or the error."""
    mark, call = case
    try:
        chat = json.dumps(translate(call), default=str)
    except Exception as error:
        return f"refused ({type(error).__name__})"
    return "kept" if mark in chat else "lost"


def main() -> None:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    for title, translate, cases in (
        ("messages", _from_messages, MESSAGES),
        ("responses", _from_responses, RESPONSES),
    ):
        for name, case in cases.items():
            print(f"{title:10} {name:26} {outcome(translate, case)}")


if __name__ == "__main__":
    main()
