"""Every wire format that LiteLLM supports for us: text, tools, pictures and JSON schemas, whole
and streamed, through OpenAI's own client."""

import json
from typing import Any

import openai
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState

from tests.gateway.chats import TEXT, Answer, ask, stream
from tests.gateway.conftest import Gateway
from tests.gateway.native_rows import (
    BEDROCK,
    CLAUDE,
    COHERE,
    COMPATIBLE,
    GEMINI,
    MISTRAL,
    MISTRAL_TRANSLATED,
    OLLAMA,
    OPENAI,
    VERTEX,
    Spoken,
)
from tests.gateway.native_stub import JSON_TEXT, NativeStub
from tests.gateway.rows import PROVIDER_KEY

pytestmark = pytest.mark.server
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION = {"name": "weather", "description": "Says the weather.", "parameters": PARAMETERS}
TOOL: Any = {"type": "function", "function": FUNCTION}
SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {"name": "place", "strict": True, "schema": PARAMETERS},
}
PICTURE = "iVBORw0KGgo="
LOOK: Any = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
        ],
    }
]
AFTER_A_TOOL: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "How is the weather?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_0001",
                "type": "function",
                "function": {"name": "weather", "arguments": JSON_TEXT},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_0001", "content": "Sunny."},
]
ALL = (CLAUDE, GEMINI, MISTRAL, MISTRAL_TRANSLATED, COHERE, OLLAMA, BEDROCK, COMPATIBLE)
SEEING = (CLAUDE, GEMINI, MISTRAL_TRANSLATED, OLLAMA, BEDROCK, COMPATIBLE)
every = pytest.mark.parametrize("spoken", ALL, ids=lambda spoken: spoken.name)
seeing = pytest.mark.parametrize("spoken", SEEING, ids=lambda spoken: spoken.name)
whole_and_streamed = pytest.mark.parametrize("call", [ask, stream], ids=["whole", "streamed"])


def message_of(answer: Any) -> Any:
    """The message, assembled by the client's own code if it was streamed."""
    if isinstance(answer, Answer):
        return answer.completion.choices[0].message
    assert answer.error is None
    state: Any = ChatCompletionStreamState()
    for chunk in answer.chunks:
        state.handle_chunk(chunk)
    return state.get_final_completion().choices[0].message


@whole_and_streamed
@every
def test_text(
    native_gateway: Gateway,
    native_client: openai.OpenAI,
    native: NativeStub,
    spoken: Spoken,
    call: Any,
) -> None:
    answer = call(native_client, spoken.name)
    assert message_of(answer).content == TEXT
    [attempt] = native_gateway.stored.attempts(answer.decision_id)
    assert (attempt["status"], attempt["model"]) == ("ok", spoken.name)
    if spoken is not COHERE or call is ask:  # LiteLLM does not read the usage of Cohere's streams
        assert (attempt["input_tokens"], attempt["output_tokens"]) == (50, 5)
        assert attempt["estimated"] == 0


@whole_and_streamed
@every
def test_tools(native_client: openai.OpenAI, native: NativeStub, spoken: Spoken, call: Any) -> None:
    answer = call(native_client, spoken.name, tools=[TOOL])
    [made] = message_of(answer).tool_calls
    assert made.function.name == "weather"
    assert json.loads(made.function.arguments) == {"city": "Paris"}
    assert made.id


@whole_and_streamed
@seeing
def test_picture(
    native_client: openai.OpenAI, native: NativeStub, spoken: Spoken, call: Any
) -> None:
    answer = call(native_client, spoken.name, messages=LOOK)
    assert message_of(answer).content == TEXT
    assert PICTURE in json.dumps(native.seen[-1].body)


@whole_and_streamed
@pytest.mark.parametrize(
    "spoken",
    [CLAUDE, GEMINI, MISTRAL, MISTRAL_TRANSLATED, OLLAMA, BEDROCK, COMPATIBLE],
    ids=lambda spoken: spoken.name,
)
def test_json_schema(
    native_client: openai.OpenAI, native: NativeStub, spoken: Spoken, call: Any
) -> None:
    answer = call(native_client, spoken.name, response_format=SCHEMA)
    assert json.loads(message_of(answer).content) == {"city": "Paris"}
    assert '"city"' in json.dumps(native.seen[-1].body)


def test_anthropic_is_sent_its_own_form(native_client: openai.OpenAI, native: NativeStub) -> None:
    ask(native_client, CLAUDE.name, messages=AFTER_A_TOOL, tools=[TOOL])
    [seen] = native.seen
    assert seen.headers["x-api-key"] == PROVIDER_KEY
    assert seen.body["system"] == [{"type": "text", "text": "Be brief."}]
    assert seen.body["messages"][1]["content"] == [
        {"type": "tool_use", "id": "call_0001", "name": "weather", "input": {"city": "Paris"}}
    ]
    result = {"type": "tool_result", "tool_use_id": "call_0001", "content": "Sunny."}
    assert seen.body["messages"][2] == {"role": "user", "content": [result]}
    assert seen.body["tools"][0]["input_schema"] == PARAMETERS


def test_gemini_is_sent_its_own_form(native_client: openai.OpenAI, native: NativeStub) -> None:
    ask(native_client, GEMINI.name, messages=AFTER_A_TOOL, tools=[TOOL])
    [seen] = native.seen
    assert seen.headers["x-goog-api-key"] == PROVIDER_KEY
    assert seen.body["system_instruction"] == {"parts": [{"text": "Be brief."}]}
    assert [content["role"] for content in seen.body["contents"]] == ["user", "model", "user"]
    call = seen.body["contents"][1]["parts"][0]["function_call"]
    assert (call["name"], call["args"]) == ("weather", {"city": "Paris"})
    [declared] = seen.body["tools"][0]["function_declarations"]
    assert declared["name"] == "weather"


@pytest.mark.parametrize("spoken", [CLAUDE, GEMINI, BEDROCK], ids=lambda spoken: spoken.name)
def test_answer_to_a_tool_is_read(
    native_client: openai.OpenAI, native: NativeStub, spoken: Spoken
) -> None:
    answer = ask(native_client, spoken.name, messages=AFTER_A_TOOL, tools=[TOOL])
    assert answer.completion.choices[0].finish_reason in ("stop", "tool_calls")


def test_provider_key_is_not_in_the_response(
    native_client: openai.OpenAI, native: NativeStub
) -> None:
    for spoken in ALL:
        raw = native_client.chat.completions.with_raw_response.create(
            model=spoken.name, messages=LOOK if spoken in SEEING else AFTER_A_TOOL[:2]
        )
        assert PROVIDER_KEY not in raw.text


def test_library_failure_opens_no_circuit_breaker(
    native_gateway: Gateway, native_client: openai.OpenAI, native: NativeStub
) -> None:
    """Vertex needs a package that is not installed: every call goes to the other model."""
    for _ in range(7):
        answer = ask(native_client, "router/vertex_first")
        assert answer.completion.model == OPENAI.name
    first, second = native_gateway.stored.attempts(answer.decision_id)
    assert (first["model"], first["status"]) == (VERTEX.name, "library_error")
    assert second["status"] == "ok"
    assert "Traceback" not in first["error"]
    assert "/" not in first["error"]
    question = "SELECT * FROM experiments_circuit WHERE model = ?"
    assert native_gateway.stored.rows(question, VERTEX.name) == []


def test_library_failure_is_answered_without_a_traceback(
    native_client: openai.OpenAI, native: NativeStub
) -> None:
    with pytest.raises(openai.InternalServerError) as raised:
        ask(native_client, VERTEX.name)
    assert raised.value.code == "upstream_library_error"
    assert "Traceback" not in raised.value.message
    assert "site-packages" not in raised.value.message
