"""The processor time of a call of 200,000 tokens in each protocol: read once, then prepared for a
provider that speaks the protocol and for one that speaks only chat completions.

`python -m benchmarks.protocols` prints the median of 20 runs, in milliseconds."""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import django
import orjson

RUNS, TURNS, CHARACTERS = 20, 200, 4_000  # 800,000 bytes, about 200,000 tokens
TEXT = "word " * (CHARACTERS // 5)
Body = dict[str, Any]


def _turns(kind: str) -> list[Body]:
    """A conversation that ends with the user."""
    roles = ("user", "assistant")
    return [
        {
            "role": roles[n % 2],
            "content": [{"type": kind.format(("input", "output")[n % 2]), "text": TEXT}],
        }
        for n in range(TURNS - 1)
    ]


def bodies() -> dict[str, bytes]:
    rest: Body = {"model": "m", "stream": True}
    plain, items = _turns("text"), _turns("{}_text")
    return {
        "chat": orjson.dumps({**rest, "messages": plain}),
        "messages": orjson.dumps({**rest, "messages": plain, "max_tokens": 100}),
        "responses": orjson.dumps({**rest, "input": items, "store": False}),
    }


def _milliseconds(work: Callable[[], Any]) -> float:
    times = []
    for _ in range(RUNS):
        started = time.process_time()
        work()
        times.append((time.process_time() - started) * 1e3)
    return statistics.median(times)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routing_site.settings")
    django.setup()
    from experiments.core.endpoints import Endpoint, Upstream
    from experiments.gateway.protocols.chat import read_chat
    from experiments.gateway.protocols.formats import NATIVE
    from experiments.gateway.protocols.messages import read_messages
    from experiments.gateway.protocols.model_call import ModelCall, chat_upstream_body
    from experiments.gateway.protocols.responses import read_responses

    raw = bodies()
    upstream = Upstream(Endpoint("e", base_url="http://127.0.0.1/v1"), "model")
    readers: dict[str, Callable[[], ModelCall]] = {
        "chat": lambda: read_chat(raw["chat"], None),
        "messages": lambda: read_messages(raw["messages"], None, {}),
        "responses": lambda: read_responses(raw["responses"], None, {}),
    }

    def native(call: ModelCall) -> bytes:
        return orjson.dumps(NATIVE[call.api_format].request(call, upstream, ()).body)

    def translated(read: Callable[[], ModelCall]) -> bytes:
        return orjson.dumps(chat_upstream_body(read(), upstream)[0])

    print(f"{'':10} {'read':>8} {'read, sent natively':>20} {'read, sent as chat':>20}")
    for name, read in readers.items():
        as_chat = _milliseconds(lambda read=read: translated(read))  # type: ignore[misc]
        as_it_is = (
            as_chat if name == "chat" else _milliseconds(lambda read=read: native(read()))  # type: ignore[misc]
        )
        print(f"{name:10} {_milliseconds(read):8.2f} {as_it_is:20.2f} {as_chat:20.2f}")


if __name__ == "__main__":
    main()
