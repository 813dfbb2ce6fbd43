"""RouteLLM in a process of its own, and small checkpoints for its routers.

RouteLLM fixes OpenAI's address while it is imported, and the import takes seconds. So the tests
share one other process that has imported it with a stub embeddings endpoint on loopback; what runs
there is a function of a test module, and what it returns is asserted here.
"""

import base64
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from tests.routers.routellm_process import make_checkpoints, run

Result = TypeVar("Result")

DIMENSIONS = 16
OWN_KINDS = {
    "length": "docs.examples.own_router.LengthRouter",
    "moody": "tests.routers.own_routers.MoodyRouter",
    "slow": "tests.routers.own_routers.SlowRouter",
    "imposter": "tests.routers.own_routers.NoRouter",
    "absent": "tests.routers.own_routers.NotThere",
}


class EmbeddingsStub(BaseHTTPRequestHandler):
    """Answers like OpenAI's endpoint: base64 of float32. Texts with "hang" wait for `let_go`."""

    requests: list[dict[str, Any]] = []
    let_go = threading.Event()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append({"path": self.path, "key": self.headers["Authorization"], **body})
        text = body["input"][0]
        if "hang" in text:
            self.let_go.wait(60)
        vector = np.random.default_rng(len(text)).normal(size=DIMENSIONS).astype("<f4")
        embedding = base64.b64encode(vector.tobytes()).decode()
        answer = {
            "object": "list",
            "model": body["model"],
            "data": [{"object": "embedding", "index": 0, "embedding": embedding}],
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
        }
        self._send(json.dumps(answer).encode())

    def _send(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def embeddings_stub() -> Iterator[tuple[str, type[EmbeddingsStub]]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), EmbeddingsStub)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", EmbeddingsStub
    EmbeddingsStub.let_go.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def in_routellm_process(
    embeddings_stub: tuple[str, type[EmbeddingsStub]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Any]]:
    """Call a function of a test module where RouteLLM is imported; give back what it returns."""
    environment = {
        "OPENAI_BASE_URL": embeddings_stub[0],
        "NO_PROXY": "127.0.0.1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path_factory.mktemp("huggingface")),
        "ROUTER_CLASSES": ",".join(f"{kind}={path}" for kind, path in OWN_KINDS.items()),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OPENAI_API_KEY", raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        context = multiprocessing.get_context("spawn")
        executor = ProcessPoolExecutor(max_workers=1, mp_context=context)
        executor.submit(os.getpid).result()  # the process starts now, in this environment

    def call(function: Callable[..., Result], *arguments: object) -> Result:
        return executor.submit(run, function, *arguments).result()

    with executor:
        yield call


@pytest.fixture(scope="session")
def checkpoints(
    in_routellm_process: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with `mf`, `bert`, `battles` and `embeddings`, small and seeded."""
    folder = tmp_path_factory.mktemp("checkpoints")
    in_routellm_process(make_checkpoints, folder, DIMENSIONS)
    return folder
