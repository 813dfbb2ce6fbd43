"""A provider on loopback whose answers a test decides, whole or streamed."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

Answerer = Callable[[str, dict[str, Any]], str]


class FailError(Exception):
    """Raised by an answerer: the provider responds with this status."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(str(status))


class Provider(NamedTuple):
    url: str
    bodies: list[dict[str, Any]]

    def asked(self, model: str) -> list[dict[str, Any]]:
        return [body for body in self.bodies if body["model"] == model]


def usual(model: str, body: dict[str, Any]) -> str:
    """The strong model answers well, the weak one badly, and the judge recognizes which is
    which."""
    if model == "judge":
        return verdict(body, good="Well answered.")
    return "Well answered." if model == "strong" else "Badly answered."


def verdict(body: dict[str, Any], good: str) -> str:
    text = body["messages"][-1]["content"]
    first, second = text.split("Answer A:")[1].split("Answer B:")
    winner = "tie" if (good in first) == (good in second) else "A" if good in first else "B"
    return json.dumps({"winner": winner, "criterion": "correct", "reason": "One of them is right."})


@contextmanager
def provider(answer: Answerer = usual) -> Iterator[Provider]:
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            bodies.append(body)
            try:
                text = answer(body["model"], body)
            except FailError as error:
                self._send(error.status, json.dumps({"error": {"message": "Stub."}}))
                return
            if body.get("stream"):
                self._stream(text)
            else:
                message = {"role": "assistant", "content": text}
                choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "stop"}
                self._send(200, json.dumps({**BASE, "choices": [choice], "usage": USAGE}))

        def _stream(self, text: str) -> None:
            deltas = [{"content": f"{word} "} for word in text.split(" ")]
            chunks: list[dict[str, Any]] = [
                {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
            ]
            chunks.append({"index": 0, "delta": {}, "finish_reason": "stop"})
            events = [json.dumps({**BASE, "choices": [chunk]}) for chunk in chunks]
            events += [json.dumps({**BASE, "choices": [], "usage": USAGE}), "[DONE]"]
            body = "".join(f"data: {event}\n\n" for event in events)
            self._send(200, body, "text/event-stream")

        def _send(self, status: int, body: str, kind: str = "application/json") -> None:
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield Provider(f"http://127.0.0.1:{server.server_port}/v1", bodies)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


BASE: dict[str, Any] = {
    "id": "chatcmpl-stub",
    "object": "chat.completion",
    "created": 1,
    "model": "stub",
}
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
