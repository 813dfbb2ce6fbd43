"""OpenAI's own client, unchanged except for its base URL and key."""

import asyncio
from typing import Any

import openai
import pytest

from tests.gateway.chats import TEXT, ask, stream, turns
from tests.gateway.conftest import Gateway
from tests.gateway.rows import LANES, PROVIDER_KEY, secret_of
from tests.gateway.stub import Stub

pytestmark = pytest.mark.server
PLAIN, EYES, REFUSING = LANES["plain"], LANES["eyes"], LANES["refusing"]
TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}
PICTURE = "data:image/png;base64,iVBORw0KGgo="


def test_it_works(client: openai.OpenAI) -> None:
    answer = ask(client, PLAIN.model)
    assert answer.text == TEXT
    assert answer.completion.model == PLAIN.strong_name
    assert answer.completion.usage is not None
    assert answer.completion.usage.completion_tokens == 5


def test_stream(client: openai.OpenAI) -> None:
    streamed = stream(client, PLAIN.model)
    assert streamed.text == TEXT
    assert {chunk.model for chunk in streamed.chunks} == {PLAIN.strong_name}
    assert streamed.chunks[-1].choices[0].finish_reason == "stop"
    assert streamed.error is None


def test_async_client(gateway: Gateway) -> None:
    async def both() -> tuple[str | None, str]:
        async with gateway.async_client() as client:
            whole = await client.chat.completions.create(model=PLAIN.model, messages=turns())
            text = ""
            chunks = await client.chat.completions.create(
                model=PLAIN.model, messages=turns(), stream=True
            )
            async for chunk in chunks:
                text += chunk.choices[0].delta.content or ""
            return whole.choices[0].message.content, text

    assert asyncio.run(both()) == (TEXT, TEXT)


def test_quick_start_of_routellm(gateway: Gateway) -> None:
    """The client code of RouteLLM's README, with another base URL and key."""
    client = openai.OpenAI(base_url=f"{gateway.server.url}/v1", api_key=secret_of("plain"))
    response = client.chat.completions.create(
        model="router-mf-0.11593", messages=[{"role": "user", "content": "Hello!"}]
    )
    assert response.choices[0].message.content == TEXT


def test_usage_of_a_stream_is_sent_if_requested(client: openai.OpenAI) -> None:
    streamed = stream(client, PLAIN.model, stream_options={"include_usage": True})
    assert streamed.chunks[-1].choices == []
    assert streamed.chunks[-1].usage is not None
    assert streamed.chunks[-1].usage.completion_tokens == 5


def test_usage_of_a_stream_is_omitted_unless_requested(client: openai.OpenAI, stub: Stub) -> None:
    streamed = stream(client, PLAIN.model)
    assert all(chunk.usage is None and chunk.choices for chunk in streamed.chunks)
    asked = stub.calls(PLAIN.strong_name)[0].body["stream_options"]
    assert asked == {"include_usage": True}


def test_parameters_are_passed_on(client: openai.OpenAI, stub: Stub) -> None:
    sent: dict[str, Any] = {
        "n": 2,
        "stop": ["END", "."],
        "seed": 7,
        "logprobs": True,
        "top_logprobs": 3,
        "temperature": 0.3,
        "top_p": 0.9,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "logit_bias": {"5": -100},
        "max_completion_tokens": 50,
        "reasoning_effort": "low",
        "user": "user-7",
    }
    answer = ask(client, PLAIN.model, **sent)
    assert len(answer.completion.choices) == 2
    assert answer.completion.choices[1].index == 1
    assert answer.completion.choices[0].logprobs is not None
    body = stub.calls(PLAIN.strong_name)[0].body
    assert {name: body[name] for name in sent} == sent
    assert body["model"] == "plain-strong"


def test_two_choices_of_a_stream(client: openai.OpenAI) -> None:
    streamed = stream(client, PLAIN.model, n=2)
    texts = {0: "", 1: ""}
    for chunk in streamed.chunks:
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == {0: TEXT, 1: TEXT}


def test_unknown_parameters_pass_through(client: openai.OpenAI, stub: Stub) -> None:
    extra = {"guided_json": {"type": "object"}, "x_new": [1, None, "ü"]}
    ask(client, PLAIN.model, extra_body=extra)
    body = stub.calls(PLAIN.strong_name)[0].body
    assert {name: body[name] for name in extra} == extra


def test_parameters_that_an_endpoint_refuses_are_removed(client: openai.OpenAI, stub: Stub) -> None:
    ask(client, REFUSING.model, seed=7, logprobs=True, temperature=0.5)
    body = stub.calls(REFUSING.strong_name)[0].body
    assert "seed" not in body
    assert "logprobs" not in body
    assert body["temperature"] == 0.5


def test_endpoint_that_refuses_stream_options_never_sees_them(
    client: openai.OpenAI, stub: Stub
) -> None:
    streamed = stream(client, REFUSING.model, stream_options={"include_usage": True})
    assert streamed.text == TEXT
    assert "stream_options" not in stub.calls(REFUSING.strong_name)[0].body


def test_our_own_fields_are_not_passed_on(client: openai.OpenAI, stub: Stub) -> None:
    own = {"models": [PLAIN.weak_name], "metadata": {"team": "a"}}
    ask(client, PLAIN.model, extra_body=own)
    body = stub.calls(PLAIN.strong_name)[0].body
    assert "models" not in body
    assert "metadata" not in body


def test_tools(client: openai.OpenAI, stub: Stub) -> None:
    call = {
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
        ],
    }
    stub.behave(PLAIN.strong_name, message=call, times=1)
    answer = ask(client, PLAIN.model, tools=[TOOL], tool_choice="auto")
    calls = answer.completion.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].id == "c1"
    assert stub.calls(PLAIN.strong_name)[0].body["tools"] == [TOOL]


def test_tools_of_a_stream(client: openai.OpenAI, stub: Stub) -> None:
    delta = {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "weather"}}]}
    stub.behave(PLAIN.strong_name, message=delta, times=1)
    streamed = stream(client, PLAIN.model, tools=[TOOL])
    found = [c.choices[0].delta.tool_calls for c in streamed.chunks if c.choices]
    assert any(calls and calls[0].id == "c1" for calls in found)


def test_model_without_tools_is_never_chosen_for_them(client: openai.OpenAI, stub: Stub) -> None:
    answer = ask(client, LANES["bare"].model, tools=[TOOL])
    assert answer.completion.model == LANES["bare"].weak_name
    assert stub.calls(LANES["bare"].strong_name) == []


@pytest.mark.parametrize(
    "wanted", [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "a"}}]
)
def test_model_without_json_is_never_chosen_for_it(
    client: openai.OpenAI, stub: Stub, wanted: Any
) -> None:
    answer = ask(client, LANES["bare"].model, response_format=wanted)
    assert answer.completion.model == LANES["bare"].weak_name
    assert stub.calls(LANES["bare"].weak_name)[0].body["response_format"] == wanted


def test_pictures_go_to_a_model_that_sees(client: openai.OpenAI, stub: Stub) -> None:
    """The strong model of this lane has no vision; routing uses the text part."""
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PICTURE}},
    ]
    answer = ask(client, EYES.model, messages=[{"role": "user", "content": content}])
    assert answer.completion.model == EYES.weak_name
    assert stub.calls(EYES.weak_name)[0].body["messages"][0]["content"] == content
    assert stub.calls(EYES.strong_name) == []


def test_requested_model_without_vision_is_refused(client: openai.OpenAI) -> None:
    content = [{"type": "image_url", "image_url": {"url": PICTURE}}]
    with pytest.raises(openai.BadRequestError, match="lacks the capability 'vision'"):
        ask(client, EYES.strong_name, messages=[{"role": "user", "content": content}])


def test_key_of_the_provider_is_sent_and_the_callers_is_not(
    client: openai.OpenAI, stub: Stub
) -> None:
    ask(client, PLAIN.model)
    headers = stub.calls(PLAIN.strong_name)[0].headers
    assert headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert secret_of("plain") not in str(headers)


def test_models_are_listed(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names[0] == "router-auto"
    assert {PLAIN.model, PLAIN.strong_name, "openai/gpt-4.1"} <= set(names)
    assert client.models.retrieve(PLAIN.strong_name).owned_by == "stub"


def test_model_that_does_not_exist_is_404(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="router-auto"):
        client.models.retrieve("gpt-99")


def test_unicode_and_line_ends_survive(client: openai.OpenAI, stub: Stub) -> None:
    stub.behave(PLAIN.strong_name, message={"content": "ü\n\ndata: x\r\n漢字 🚀"}, times=2)
    assert ask(client, PLAIN.model).text == "ü\n\ndata: x\r\n漢字 🚀"
    assert stream(client, PLAIN.model).text == "ü\n\ndata: x\r\n漢字 🚀"


def test_protocol_that_litellm_speaks(client: openai.OpenAI, stub: Stub) -> None:
    lane = LANES["translated"]
    answer = ask(client, lane.model, seed=3, extra_body={"x_new": 1, "api_base": "http://evil"})
    assert answer.text == TEXT
    assert answer.completion.model == lane.strong_name
    [call] = stub.calls(lane.strong_name)
    assert call.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert (call.body["seed"], call.body["x_new"]) == (3, 1)
    streamed = stream(client, lane.model)
    assert streamed.text == TEXT
