"""A provider that speaks chat completions, messages and responses on one port, says what a test
scripts, and misbehaves on command.

`script` maps a model's upstream name to replies, used in order; without one a model answers
`TEXT`, or calls the first tool it is offered and then answers."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import uuid4

from aiohttp import web

TEXT = "Yes, of course."
CITY = {"city": "Paris"}
SIGNATURE = "EqQBCkYIBxgCKkD3bYp+/signed=="
ENCRYPTED = "gAAAAABencrypted+reasoning/=="
TOKENS_IN, TOKENS_OUT, TOKENS_CACHED = 50, 7, 20
Body = dict[str, Any]


class Reply(NamedTuple):
    """`calls` are tool calls: names and arguments. `fault`: `cut` in the middle of the answer,
    `error` as an event in the middle, `garbled`, or an HTTP status with `error_message`."""

    text: str = ""
    thinking: str = ""
    calls: tuple[tuple[str, Body], ...] = ()
    fault: str | int = ""
    error_message: str = "Overloaded"
    interleaved: bool = False
    stop: str = ""


class Seen(NamedTuple):
    path: str
    headers: Mapping[str, str]
    body: Body
    raw: bytes


class ProtocolStub:
    def __init__(self) -> None:
        self.url = ""
        self.seen: list[Seen] = []
        self.script: dict[str, list[Reply]] = {}
        self.brains: dict[str, Callable[[str, Body], Reply]] = {}

    def forget(self) -> None:
        self.seen.clear()
        self.script.clear()
        self.brains.clear()

    def says(self, model: str, *replies: Reply) -> None:
        self.script[model] = list(replies)

    def of(self, model: str) -> list[Seen]:
        return [each for each in self.seen if each.body.get("model") == model]

    def reply_to(self, kind: str, body: Body) -> Reply:
        model = str(body.get("model"))
        if waiting := self.script.get(model):
            return waiting.pop(0)
        if brain := self.brains.get(model):
            return brain(kind, body)
        names = tool_names(body)
        if names and not _has_result(body):
            return Reply(calls=((names[0], CITY),))
        return Reply(TEXT)


def tool_names(body: Body) -> list[str]:
    return [
        str(tool.get("name") or (tool.get("function") or {}).get("name"))
        for tool in body.get("tools") or ()
        if isinstance(tool, dict)
    ]


def _has_result(body: Body) -> bool:
    last = (body.get("messages") or body.get("input") or [{}])[-1]
    if not isinstance(last, dict):
        return False
    content = last.get("content")
    blocks = content if isinstance(content, list) else []
    return (
        last.get("role") == "tool"
        or str(last.get("type")).endswith("call_output")
        or any(isinstance(b, dict) and b.get("type") == "tool_result" for b in blocks)
    )


@contextmanager
def running_protocol_stub() -> Iterator[ProtocolStub]:
    stub, ready = ProtocolStub(), threading.Event()
    loop = asyncio.new_event_loop()

    async def handle(request: web.Request) -> web.StreamResponse:
        return await _handle(stub, request)

    async def serve() -> web.AppRunner:
        app = web.Application(client_max_size=10**8)
        app.router.add_post("/{path:.*}", handle)
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


async def _handle(stub: ProtocolStub, request: web.Request) -> web.StreamResponse:
    raw = await request.read()
    body = json.loads(raw)
    stub.seen.append(Seen(request.path, dict(request.headers), body, raw))
    kind = request.path.removeprefix("/v1/")
    if kind == "embeddings" and str(body.get("model")) not in stub.script:
        return web.json_response(_embeddings(body))
    if kind == "messages/count_tokens":
        return web.json_response({"input_tokens": 1234})
    if kind == "messages":
        assert request.headers["anthropic-version"], "Anthropic requires its version."
        assert request.headers.get("x-api-key"), "Anthropic requires the key in x-api-key."
    reply = stub.reply_to(kind, body)
    if kind == "embeddings":
        return web.json_response(_error(kind, reply), status=int(reply.fault))
    write = {"messages": messages, "responses": responses, "chat/completions": chat}[kind]
    if isinstance(reply.fault, int):
        return web.json_response(_error(kind, reply), status=reply.fault)
    if reply.fault == "garbled":
        return web.Response(body=b"{no json", content_type="application/json")
    if not body.get("stream"):
        if reply.fault == "cut":
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(write(reply, body)[0])
    return await _stream(request, reply, write(reply, body)[1], kind)


async def _stream(
    request: web.Request, reply: Reply, events: list[Any], kind: str
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    if reply.fault in ("cut", "error"):
        events = events[: len(events) // 2 + 1]
    for event in events:
        name = f"event: {event['type']}\n" if "type" in event else ""
        await response.write(f"{name}data: {json.dumps(event)}\n\n".encode())
        await asyncio.sleep(0)
    if reply.fault == "error":
        name = "" if kind == "chat/completions" else "event: error\n"
        await response.write(f"{name}data: {json.dumps(_error(kind, reply))}\n\n".encode())
    elif reply.fault == "cut":
        assert request.transport is not None
        request.transport.abort()
        return response
    elif kind == "chat/completions":
        await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _error(kind: str, reply: Reply) -> Body:
    if kind == "messages":
        error_type = "invalid_request_error" if reply.fault == 400 else "overloaded_error"
        return {"type": "error", "error": {"type": error_type, "message": reply.error_message}}
    kind_of = "invalid_request_error" if reply.fault == 400 else "server_error"
    error = {"message": reply.error_message, "type": kind_of, "param": None, "code": None}
    return (
        {"type": "error", **error}
        if kind == "responses" and reply.fault == "error"
        else {"error": error}
    )


def _embeddings(body: Body) -> Body:
    given = body["input"] if isinstance(body["input"], list) else [body["input"]]
    data = [
        {"object": "embedding", "index": n, "embedding": [0.5, -0.25]} for n in range(len(given))
    ]
    usage = {"prompt_tokens": 9, "total_tokens": 9}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


# Chat completions


def chat(reply: Reply, body: Body) -> tuple[Body, list[Body]]:
    calls = [
        {
            "id": f"call_{uuid4().hex}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(given)},
        }
        for name, given in reply.calls
    ]
    message: Body = {"role": "assistant", "content": reply.text or None}
    if reply.thinking:
        message["reasoning_content"] = reply.thinking
    if calls:
        message["tool_calls"] = calls
    finish = reply.stop or ("tool_calls" if calls else "stop")
    base = {"id": "chatcmpl-1", "created": 1_790_000_000, "model": body["model"]}
    usage = {
        "prompt_tokens": TOKENS_IN,
        "completion_tokens": TOKENS_OUT,
        "total_tokens": TOKENS_IN + TOKENS_OUT,
        "prompt_tokens_details": {"cached_tokens": TOKENS_CACHED},
    }
    choice = {"index": 0, "message": message, "finish_reason": finish}
    whole = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
    deltas = [{"role": "assistant", "content": ""}, *_chat_deltas(reply, calls)]
    chunks = [
        {
            **base,
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
        }
        for delta in deltas
    ]
    last = {**base, "object": "chat.completion.chunk"}
    chunks.append({**last, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return whole, [*chunks, {**last, "choices": [], "usage": usage}]


def _chat_deltas(reply: Reply, calls: list[Body]) -> list[Body]:
    deltas = [{"reasoning_content": word} for word in _pieces(reply.thinking)]
    deltas += [{"content": word} for word in _pieces(reply.text)]
    begun, rest = [], []
    for n, call in enumerate(calls):
        whole = call["function"]["arguments"]
        first = {**call["function"], "arguments": ""}
        begun.append({"tool_calls": [{**call, "index": n, "function": first}]})
        rest += [
            {"tool_calls": [{"index": n, "function": {"arguments": piece}}]}
            for piece in (whole[:4], whole[4:])
        ]
    if reply.interleaved:
        return [*deltas, *begun, *rest[::2], *rest[1::2]]
    return deltas + [
        each for n, one in enumerate(begun) for each in (one, *rest[2 * n : 2 * n + 2])
    ]


def _pieces(text: str) -> list[str]:
    words = text.split(" ")
    return [w + (" " if n < len(words) else "") for n, w in enumerate(words, 1)] if text else []


# Anthropic's messages


def messages(reply: Reply, body: Body) -> tuple[Body, list[Body]]:
    blocks: list[Body] = []
    if reply.thinking:
        blocks.append({"type": "thinking", "thinking": reply.thinking, "signature": SIGNATURE})
    if reply.text:
        blocks.append({"type": "text", "text": reply.text})
    for name, given in reply.calls:
        blocks.append(
            {"type": "tool_use", "id": f"toolu_{uuid4().hex}", "name": name, "input": given}
        )
    stop = reply.stop or ("tool_use" if reply.calls else "end_turn")
    usage = {
        "input_tokens": TOKENS_IN - TOKENS_CACHED,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": TOKENS_CACHED,
        "output_tokens": TOKENS_OUT,
    }
    whole = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events: list[Body] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for n, block in enumerate(blocks):
        empty, deltas = _message_deltas(block)
        events.append({"type": "content_block_start", "index": n, "content_block": empty})
        events += [{"type": "content_block_delta", "index": n, "delta": each} for each in deltas]
        events.append({"type": "content_block_stop", "index": n})
    delta = {"stop_reason": stop, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": TOKENS_OUT}})
    return whole, [*events, {"type": "message_stop"}]


def _message_deltas(block: Body) -> tuple[Body, list[Body]]:
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": p} for p in _pieces(block["thinking"])]
        signed = {"type": "signature_delta", "signature": SIGNATURE}
        return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]
    if block["type"] == "text":
        deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
        return {"type": "text", "text": ""}, deltas
    whole = json.dumps(block["input"])
    pieces = ("", whole[:5], whole[5:])
    return {**block, "input": {}}, [
        {"type": "input_json_delta", "partial_json": piece} for piece in pieces
    ]


# OpenAI's responses


def responses(reply: Reply, body: Body) -> tuple[Body, list[Body]]:
    items: list[Body] = []
    if reply.thinking:
        summary = [{"type": "summary_text", "text": reply.thinking}]
        items.append(
            {"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": ENCRYPTED}
        )
    if reply.text:
        part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        items.append(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        )
    for n, (name, given) in enumerate(reply.calls):
        items.append(
            {
                "id": f"fc_{n}",
                "type": "function_call",
                "call_id": f"call_{uuid4().hex}",
                "name": name,
                "arguments": json.dumps(given),
                "status": "completed",
            }
        )
    usage = {
        "input_tokens": TOKENS_IN,
        "input_tokens_details": {"cached_tokens": TOKENS_CACHED},
        "output_tokens": TOKENS_OUT,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": TOKENS_IN + TOKENS_OUT,
    }
    whole = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "model": body["model"],
        "output": items,
        "parallel_tool_calls": True,
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools", []),
        "usage": usage,
        "metadata": body.get("metadata") or {},
    }
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    events: list[Body] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for n, item in enumerate(items):
        events += _item_events(n, item)
    events.append({"type": "response.completed", "response": whole})
    return whole, [{**event, "sequence_number": n} for n, event in enumerate(events)]


def _item_events(n: int, item: Body) -> list[Body]:
    place = {"output_index": n, "item_id": item["id"]}
    added: Body = {"type": "response.output_item.added", "output_index": n, "item": {**item}}
    done = {"type": "response.output_item.done", "output_index": n, "item": item}
    if item["type"] == "message":
        part = item["content"][0]
        empty = {**part, "text": ""}
        added["item"] |= {"content": [], "status": "in_progress"}
        at = {**place, "content_index": 0}
        return [
            added,
            {"type": "response.content_part.added", **at, "part": empty},
            *(
                {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
                for piece in _pieces(part["text"])
            ),
            {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []},
            {"type": "response.content_part.done", **at, "part": part},
            done,
        ]
    if item["type"] == "function_call":
        added["item"] |= {"arguments": "", "status": "in_progress"}
        whole = item["arguments"]
        kind = "response.function_call_arguments"
        return [
            added,
            *({"type": f"{kind}.delta", **place, "delta": p} for p in (whole[:5], whole[5:])),
            {"type": f"{kind}.done", **place, "arguments": whole, "name": item["name"]},
            done,
        ]
    return [added, done]
