"""Providers with wire formats of their own, on a free port: Anthropic, Gemini, Mistral, Cohere,
Ollama, Bedrock. Requests are validated as the providers do it; unknown fields are refused in
each provider's own form. Streams are real server-sent events."""

import asyncio
import binascii
import json
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from aiohttp import web

TEXT = "Yes, of course."
WEATHER = {"city": "Paris"}
JSON_TEXT = '{"city": "Paris"}'
CUT = 0  # not an HTTP status: the connection is cut
USAGE = (50, 5)  # tokens in and out, of every answer
ANTHROPIC_FIELDS = {
    *("model", "messages", "max_tokens", "system", "stop_sequences", "stream", "temperature"),
    *("tool_choice", "tools", "metadata", "thinking", "output_config", "output_format"),
    *("service_tier", "top_p", "top_k"),
}
GEMINI_FIELDS = {
    *("contents", "tools", "toolConfig", "tool_config", "generationConfig", "systemInstruction"),
    *("system_instruction", "safetySettings", "cachedContent"),
}
GEMINI_GENERATION = {
    *("temperature", "topP", "top_p", "topK", "candidateCount", "candidate_count", "seed"),
    *("maxOutputTokens", "max_output_tokens", "stopSequences", "stop_sequences"),
    *("responseMimeType", "response_mime_type", "responseSchema", "response_schema"),
    *("response_json_schema", "responseJsonSchema", "thinkingConfig", "responseLogprobs"),
    *("presencePenalty", "presence_penalty", "frequencyPenalty", "frequency_penalty"),
}
MISTRAL_FIELDS = {
    *("model", "messages", "max_tokens", "temperature", "top_p", "stream", "stop", "random_seed"),
    *("tools", "tool_choice", "parallel_tool_calls", "response_format", "presence_penalty"),
    *("frequency_penalty", "n", "safe_prompt", "stream_options", "metadata"),
}

Body = dict[str, Any]
Answer = tuple[int, Body | bytes, dict[str, str]]


class Seen(NamedTuple):
    path: str
    headers: Mapping[str, str]
    body: Body


class NativeStub:
    """`replies` overrides a model's responses, by its upstream name; each is used once."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.replies: dict[str, list[Answer]] = {}
        self.url = ""

    def fail(self, model: str, status: int, body: Any, **headers: str) -> None:
        self.replies.setdefault(model, []).append((status, body, headers))

    def forget(self) -> None:
        self.seen.clear()
        self.replies.clear()

    def bodies(self, model: str) -> list[Body]:
        return [each.body for each in self.seen if model in (each.body.get("model"), each.path)]


@contextmanager
def running_native_stub() -> Iterator[NativeStub]:
    stub, ready = NativeStub(), threading.Event()
    loop = asyncio.new_event_loop()

    async def answer(request: web.Request) -> web.StreamResponse:
        return await _answer(stub, request)

    async def serve() -> web.AppRunner:
        app = web.Application(client_max_size=10**8)
        app.router.add_post("/{path:.*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        stub.url = f"http://127.0.0.1:{port}"
        ready.set()
        return runner

    def run() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield stub
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)


async def _answer(stub: NativeStub, request: web.Request) -> web.StreamResponse:
    body = json.loads(await request.read())
    path = "/" + request.match_info["path"]
    model, answer = _route(path, request, body)
    stub.seen.append(Seen(model, dict(request.headers), body))
    if waiting := stub.replies.get(model):
        status, own, headers = waiting.pop(0)
        if status == CUT:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(own, bytes):
            return web.Response(body=own, status=status, headers=headers)
        return web.json_response(own, status=status, headers=headers)
    result = answer(body)
    if isinstance(result, Refusal):
        return web.json_response(result.body, status=result.status)
    if isinstance(result, dict):
        return web.json_response(result)
    return await _stream(request, result)


class Refusal(NamedTuple):
    status: int
    body: Any


class Events(NamedTuple):
    lines: list[bytes]
    content_type: str = "text/event-stream"


async def _stream(request: web.Request, events: Events) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": events.content_type})
    await response.prepare(request)
    for line in events.lines:
        await response.write(line)
        await asyncio.sleep(0)
    await response.write_eof()
    return response


def _route(
    path: str, request: web.Request, body: Body
) -> tuple[str, Callable[[Body], Body | Refusal | Events]]:
    model = str(body.get("model", ""))
    if path == "/v1/messages":
        assert request.headers["anthropic-version"] == "2023-06-01"
        assert request.headers["x-api-key"]
        return model, anthropic
    if path.startswith("/v1beta/models/"):
        assert request.headers["x-goog-api-key"]
        name, _, method = path.removeprefix("/v1beta/models/").partition(":")
        streams = method == "streamGenerateContent"
        assert streams == (request.query.get("alt") == "sse")
        return name, lambda sent: gemini(sent, streams=streams)
    if path.startswith("/model/"):
        _, _, name, method = path.split("/")
        return name, lambda sent: bedrock(sent, streams=method == "converse-stream")
    if path == "/v2/chat":
        return model, cohere
    if path == "/api/chat":
        return model, ollama
    assert path.endswith("/chat/completions"), path
    return model, mistral if path.startswith("/mistral/") else openai_like


def _sse(*events: Any, named: bool = False) -> Events:
    lines = []
    for event in events:
        name = f"event: {event['type']}\n" if named else ""
        lines.append(f"{name}data: {json.dumps(event)}\n\n".encode())
    return Events(lines)


# Anthropic: POST /v1/messages


def _anthropic_error(message: str) -> Refusal:
    error = {"type": "invalid_request_error", "message": message}
    return Refusal(400, {"type": "error", "error": error, "request_id": "req_011"})


def _anthropic_problem(body: Body) -> str | None:
    for name in sorted(body.keys() - ANTHROPIC_FIELDS):
        return f"{name}: Extra inputs are not permitted"
    if not isinstance(body.get("max_tokens"), int):
        return "max_tokens: Field required"
    if body["max_tokens"] > 128_000:
        return (
            f"max_tokens: {body['max_tokens']} > 128000, which is the maximum allowed number of "
            f"output tokens for {body['model']}"
        )
    if not 0 <= body.get("temperature", 1) <= 1:
        return "temperature: range: 0..1"
    if "temperature" in body and "top_p" in body:
        return "`temperature` and `top_p` cannot both be specified for this model."
    for tool in body.get("tools", ()):
        if tool.get("type", "custom") == "custom" and "input_schema" not in tool:
            return "tools.0.custom.input_schema: Field required"
    for message in body["messages"]:
        if message["role"] not in ("user", "assistant"):
            return f'messages: Unexpected role "{message["role"]}"'
    return None


def anthropic(body: Body) -> Body | Refusal | Events:
    if problem := _anthropic_problem(body):
        return _anthropic_error(problem)
    block = _anthropic_block(body)
    message = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [block],
        "stop_reason": "tool_use" if block["type"] == "tool_use" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": USAGE[0], "output_tokens": USAGE[1]},
    }
    return _anthropic_stream(message, block) if body.get("stream") else message


def _anthropic_block(body: Body) -> Body:
    names = [tool["name"] for tool in body.get("tools", ())]
    if names and body.get("tool_choice", {}).get("type") != "none" and not _has_result(body):
        return {"type": "tool_use", "id": "toolu_01", "name": names[0], "input": WEATHER}
    wants_json = body.get("output_format") or (body.get("output_config") or {}).get("format")
    return {"type": "text", "text": JSON_TEXT if wants_json else TEXT}


def _has_result(body: Body) -> bool:
    content = body["messages"][-1]["content"]
    return isinstance(content, list) and any(part["type"] == "tool_result" for part in content)


def _anthropic_stream(message: Body, block: Body) -> Events:
    begun = {**message, "content": [], "stop_reason": None}
    begun["usage"] = {"input_tokens": USAGE[0], "output_tokens": 1}
    if block["type"] == "tool_use":
        whole = json.dumps(block["input"])
        empty: Body = {**block, "input": {}}
        deltas = [
            {"type": "input_json_delta", "partial_json": part} for part in (whole[:5], whole[5:])
        ]
    else:
        empty = {"type": "text", "text": ""}
        words = block["text"].split(" ")
        deltas = [
            {"type": "text_delta", "text": word + (" " if n < len(words) else "")}
            for n, word in enumerate(words, start=1)
        ]
    return _sse(
        {"type": "message_start", "message": begun},
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
            "usage": {"output_tokens": USAGE[1]},
        },
        {"type": "message_stop"},
        named=True,
    )


# Gemini: POST /v1beta/models/{model}:generateContent


def _gemini_error(message: str) -> Refusal:
    error = {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}
    return Refusal(400, {"error": error})


def gemini(body: Body, *, streams: bool) -> Body | Refusal | Events:
    generation = body.get("generationConfig", {})
    for unknown in sorted(body.keys() - GEMINI_FIELDS):
        return _gemini_error(
            f'Invalid JSON payload received. Unknown name "{unknown}": Cannot find field.'
        )
    for unknown in sorted(generation.keys() - GEMINI_GENERATION):
        return _gemini_error(
            f'Invalid JSON payload received. Unknown name "{unknown}" at '
            "'generation_config': Cannot find field."
        )
    if any("enalty" in name for name in generation):
        return _gemini_error("Penalty is not enabled for this model")
    if generation.get("responseLogprobs"):
        return _gemini_error("Logprobs is not enabled for this model")
    for content in body["contents"]:
        assert content["role"] in ("user", "model"), content
    part = _gemini_part(body, generation)
    usage = {
        "promptTokenCount": USAGE[0],
        "candidatesTokenCount": USAGE[1],
        "totalTokenCount": sum(USAGE),
    }

    def chunk(piece: Body, finish: str | None) -> Body:
        candidate: Body = {"content": {"role": "model", "parts": [piece]}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini"}

    if not streams:
        return chunk(part, "STOP")
    if "functionCall" in part:
        return _sse(chunk(part, "STOP"))
    text = part["text"]
    return _sse(chunk({"text": text[:5]}, None), chunk({"text": text[5:]}, "STOP"))


def _gemini_part(body: Body, generation: Body) -> Body:
    declared = [
        declaration
        for tool in body.get("tools", ())
        for declaration in tool.get("function_declarations", tool.get("functionDeclarations", ()))
    ]
    answered = any("function_response" in part or "functionResponse" in part
                   for content in body["contents"] for part in content["parts"])  # fmt: skip
    if declared and not answered:
        return {"functionCall": {"name": declared[0]["name"], "args": WEATHER}}
    mime = generation.get("responseMimeType", generation.get("response_mime_type"))
    return {"text": JSON_TEXT if mime == "application/json" else TEXT}


# OpenAI-like formats


def mistral(body: Body) -> Body | Refusal | Events:
    if unknown := sorted(body.keys() - MISTRAL_FIELDS):
        detail = [
            {
                "type": "extra_forbidden",
                "loc": ["body", name],
                "msg": "Extra inputs are not permitted",
                "input": body[name],
            }
            for name in unknown
        ]
        return Refusal(422, {"object": "error", "message": {"detail": detail}, "code": None})
    return openai_like(body)


def openai_like(body: Body) -> Body | Refusal | Events:
    message: Body = {"role": "assistant", "content": TEXT}
    if body.get("tools") and body["messages"][-1]["role"] != "tool":
        name = body["tools"][0]["function"]["name"]
        call = {"name": name, "arguments": json.dumps(WEATHER)}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_0001", "type": "function", "function": call}],
        }
    elif (body.get("response_format") or {}).get("type") in ("json_schema", "json_object"):
        message["content"] = JSON_TEXT
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    base = {"id": "chatcmpl-1", "created": 1_790_000_000, "model": body["model"]}
    usage = {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1], "total_tokens": sum(USAGE)}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
    delta = dict(message)
    if calls := delta.get("tool_calls"):
        delta["tool_calls"] = [{**calls[0], "index": 0}]
    chunk = {**base, "object": "chat.completion.chunk"}
    first = {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    last = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    events = _sse(first, {**last, "usage": usage})
    return Events([*events.lines, b"data: [DONE]\n\n"])


def cohere(body: Body) -> Body | Refusal | Events:
    if "seed" in body and not isinstance(body["seed"], int):
        return Refusal(400, {"message": "invalid request: seed must be an integer"})
    tokens = {"input_tokens": USAGE[0], "output_tokens": USAGE[1]}
    usage = {"tokens": tokens, "billed_units": tokens}
    if body.get("tools"):
        function = {
            "name": body["tools"][0]["function"]["name"],
            "arguments": json.dumps(WEATHER),
        }
        call = {"id": "call_1", "type": "function", "function": function}
        message: Body = {"role": "assistant", "tool_plan": "I look.", "tool_calls": [call]}
        finish = "TOOL_CALL"
    else:
        message = {"role": "assistant", "content": [{"type": "text", "text": TEXT}]}
        finish = "COMPLETE"
    if not body.get("stream"):
        return {"id": "c1", "finish_reason": finish, "message": message, "usage": usage}
    events: list[Body] = [
        {"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant"}}}
    ]
    if calls := message.get("tool_calls"):
        begun: Body = {
            **calls[0],
            "function": {"name": calls[0]["function"]["name"], "arguments": ""},
        }
        rest: Body = {"function": {"arguments": calls[0]["function"]["arguments"]}}
        for kind, call in (("tool-call-start", begun), ("tool-call-delta", rest)):
            delta: Body = {"message": {"tool_calls": call}}
            events.append({"type": kind, "index": 0, "delta": delta})
    else:
        for text in (TEXT[:5], TEXT[5:]):
            piece: Body = {"message": {"content": {"text": text}}}
            events.append({"type": "content-delta", "index": 0, "delta": piece})
    events.append({"type": "message-end", "delta": {"finish_reason": finish, "usage": usage}})
    # The request asks for JSON, not for an event stream.
    return Events([json.dumps(event).encode() + b"\n" for event in events], "application/json")


def ollama(body: Body) -> Body | Refusal | Events:
    message: Body = {"role": "assistant", "content": TEXT}
    if body.get("format"):
        message["content"] = JSON_TEXT
    if body.get("tools"):
        name = body["tools"][0]["function"]["name"]
        call = {"function": {"name": name, "arguments": WEATHER}}
        message = {"role": "assistant", "content": "", "tool_calls": [call]}
    base = {"model": body["model"], "created_at": "2026-11-28T12:00:00.000000Z"}
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": USAGE[0]}
    end["eval_count"] = USAGE[1]
    if not body.get("stream"):
        return {**base, "message": message, **end}
    lines = [{**base, "message": message, "done": False}]
    lines += [{**base, "message": {"role": "assistant", "content": ""}, **end}]
    return Events([json.dumps(line).encode() + b"\n" for line in lines], "application/x-ndjson")


def bedrock(body: Body, *, streams: bool) -> Body | Refusal | Events:
    content: Body = {"text": TEXT}
    if config := body.get("toolConfig"):
        name = config["tools"][0]["toolSpec"]["name"]
        content = {"toolUse": {"toolUseId": "t1", "name": name, "input": WEATHER}}
    reason = "tool_use" if config else "end_turn"
    usage = {"inputTokens": USAGE[0], "outputTokens": USAGE[1], "totalTokens": sum(USAGE)}
    if not streams:
        message = {"role": "assistant", "content": [content]}
        metrics = {"latencyMs": 5}
        return {
            "output": {"message": message},
            "stopReason": reason,
            "usage": usage,
            "metrics": metrics,
        }
    start: Body = {"contentBlockIndex": 0, "start": {}}
    delta: Body = {"contentBlockIndex": 0, "delta": content}
    if config:
        use = content["toolUse"]
        start["start"] = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
        delta["delta"] = {"toolUse": {"input": json.dumps(use["input"])}}
    events = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockStart", start),
        ("contentBlockDelta", delta),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": reason}),
        ("metadata", {"usage": usage, "metrics": {"latencyMs": 5}}),
    ]
    if not config:
        del events[1]
    lines = [_aws_event(kind, payload) for kind, payload in events]
    return Events(lines, "application/vnd.amazon.eventstream")


def _aws_event(kind: str, payload: Body) -> bytes:
    """One message of AWS's event stream: lengths, checksum, headers, payload, checksum."""
    headers = b""
    for name, value in (
        (":event-type", kind),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ):
        headers += bytes([len(name)]) + name.encode()
        headers += b"\x07" + struct.pack("!H", len(value)) + value.encode()
    data = json.dumps(payload).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(data), len(headers))
    message = prelude + struct.pack("!I", binascii.crc32(prelude)) + headers + data
    return message + struct.pack("!I", binascii.crc32(message))
