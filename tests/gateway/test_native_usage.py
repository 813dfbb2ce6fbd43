"""Usage that Anthropic and Gemini report in their own wire formats, through LiteLLM, in normal
form."""

import json
from typing import Any

import openai
import pytest

from tests.gateway.chats import ask, stream
from tests.gateway.conftest import Gateway
from tests.gateway.native_rows import CLAUDE, GEMINI
from tests.gateway.native_stub import TEXT, NativeStub

pytestmark = pytest.mark.server
SSE = {"Content-Type": "text/event-stream"}
READ, WRITE = 1_000, 4_000  # nano-dollars a token
BOTH = pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
CLAUDE_USAGE = {
    "input_tokens": 50,
    "cache_read_input_tokens": 1800,
    "cache_creation_input_tokens": 556,
    "cache_creation": {"ephemeral_5m_input_tokens": 456, "ephemeral_1h_input_tokens": 100},
    "output_tokens": 20,
}
GEMINI_USAGE = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 64,
    "candidatesTokenCount": 10,
    "thoughtsTokenCount": 40,
    "totalTokenCount": 150,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 80},
        {"modality": "AUDIO", "tokenCount": 20},
    ],
}


def sse(*events: Any) -> bytes:
    return b"".join(
        f"event: {e.get('type', 'message')}\ndata: {json.dumps(e)}\n\n".encode() for e in events
    )


def claude(*, streams: bool) -> Any:
    message = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": CLAUDE.upstream,
        "content": [{"type": "text", "text": TEXT}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": CLAUDE_USAGE,
    }
    if not streams:
        return message
    started = {**message, "content": [], "usage": {**CLAUDE_USAGE, "output_tokens": 1}}
    delta = {"type": "text_delta", "text": TEXT}
    return sse(
        {"type": "message_start", "message": started},
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 20},
        },
        {"type": "message_stop"},
    )


def gemini(*, streams: bool) -> Any:
    candidate = {"content": {"role": "model", "parts": [{"text": TEXT}]}, "index": 0}
    answer = {
        "candidates": [{**candidate, "finishReason": "STOP"}],
        "usageMetadata": GEMINI_USAGE,
        "modelVersion": "gemini",
    }
    return f"data: {json.dumps(answer)}\n\n".encode() if streams else answer


@BOTH
def test_cache_writes_of_claude(
    native_gateway: Gateway, native_client: openai.OpenAI, native: NativeStub, streams: bool
) -> None:
    native.replies[CLAUDE.upstream] = [(200, claude(streams=streams), SSE if streams else {})]
    answer = (stream if streams else ask)(native_client, CLAUDE.name)
    assert answer.text == TEXT
    [attempt] = native_gateway.stored.attempts(answer.decision_id)
    assert (attempt["input_tokens"], attempt["output_tokens"]) == (2406, 20)
    kinds = ("cached_tokens", "cache_write_tokens", "cache_write_1h_tokens")
    assert tuple(attempt[kind] for kind in kinds) == (1800, 456, 100)
    assert attempt["estimated"] == 0
    assert attempt["cost"] == 2406 * READ + 20 * WRITE


@BOTH
def test_thoughts_of_gemini(
    native_gateway: Gateway, native_client: openai.OpenAI, native: NativeStub, streams: bool
) -> None:
    native.replies[GEMINI.upstream] = [(200, gemini(streams=streams), SSE if streams else {})]
    answer = (stream if streams else ask)(native_client, GEMINI.name)
    assert answer.text == TEXT
    [attempt] = native_gateway.stored.attempts(answer.decision_id)
    assert (attempt["input_tokens"], attempt["output_tokens"]) == (100, 50)
    kinds = ("cached_tokens", "reasoning_tokens", "input_audio_tokens")
    assert tuple(attempt[kind] for kind in kinds) == (64, 40, 20)
    assert attempt["cost"] == 100 * READ + 50 * WRITE
