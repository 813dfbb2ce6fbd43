"""The stub provider as a separate process, and the commands that tests send it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import httpx

from benchmarks.stub_provider import Behaviour, Call
from tests.api.server import ROOT, free_port


class Stub:
    def __init__(self, url: str) -> None:
        self.url = url

    def behave(self, model: str, **how: Any) -> None:
        """Sets how the model of that registered name answers from now on."""
        body = {"model": model.removeprefix("stub/"), "behaviour": asdict(Behaviour(**how))}
        httpx.post(f"{self.url}/behave", json=body).raise_for_status()

    def calls(self, model: str) -> list[Call]:
        found = httpx.get(f"{self.url}/calls").json()["calls"]
        name = model.removeprefix("stub/")
        return [Call(**call) for call in found if call["model"] == name]

    def most_at_once(self, model: str) -> int:
        most: dict[str, int] = httpx.get(f"{self.url}/calls").json()["most"]
        return most.get(model.removeprefix("stub/"), 0)

    def forget(self) -> None:
        httpx.delete(f"{self.url}/calls").raise_for_status()


@contextmanager
def running_stub() -> Iterator[Stub]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.stub_provider", str(port), "0", "0", "--log"]
    process = subprocess.Popen(command, cwd=ROOT)
    stub = Stub(f"http://127.0.0.1:{port}")
    try:
        _wait(stub)
        yield stub
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait(stub: Stub) -> None:
    for _ in range(100):
        try:
            stub.forget()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("The stub did not start.")
