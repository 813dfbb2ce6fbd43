"""Servers under the load of wrk: the least a server does, Switchyard, and RouteLLM's own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from types import MappingProxyType
from typing import Any

from benchmarks.progress import NotStartedError, report

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "benchmarks" / "wrk" / "route.lua"
CLOCK = os.sysconf("SC_CLK_TCK")
WARM_UP_SECONDS = 2
START_SECONDS = 120
LEFT_SECONDS = 60  # what a load may take beyond its time before it counts as stuck
ROUTELLM = "RouteLLM's server"
FLOOR = "The floor"
LEAST_SERVER = ("-m", "gunicorn", "--config", "benchmarks/least_gunicorn.py")


@dataclass(frozen=True)
class Load:
    connections: int
    seconds: int


@dataclass(frozen=True)
class Target:
    """Where wrk posts which bodies, and the status it takes for an answer."""

    url: str
    path: str
    bodies: Path
    status: int
    key: str = ""


@dataclass(frozen=True)
class Run:
    """`cpu_ms` is processor time of all the server's processes for one request."""

    name: str
    connections: int
    p50_ms: float
    p99_ms: float
    per_second: float
    errors: int
    cpu_ms: float
    megabytes: float


@dataclass(frozen=True)
class Upstream:
    folder: Path
    texts: Sequence[str]


def measure_floor(folder: Path, texts: Sequence[str], loads: Sequence[Load]) -> list[Run]:
    """The same server, the same embedding and one insert into SQLite, and nothing else."""
    port = free_port()
    environment = {
        **os.environ,
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "LEAST_DATABASE": str(folder / "floor.sqlite3"),
    }
    bodies = _decision_bodies(folder, texts)
    log = folder / "floor.log"
    command = [sys.executable, *LEAST_SERVER]
    with serving(FLOOR, command, environment, log, port, "/") as pid:
        target = Target(f"http://127.0.0.1:{port}", "/route", bodies, 201)
        return [_measure(FLOOR, pid, target, load) for load in loads]


def _decision_bodies(folder: Path, texts: Sequence[str]) -> Path:
    bodies = folder / "decisions.jsonl"
    lines = [{"text": text, "unit_id": f"user-{i % 300}"} for i, text in enumerate(texts)]
    bodies.write_text("\n".join(map(json.dumps, lines)))
    return bodies


def measure_switchyard(
    folder: Path,
    database: str,
    key: str,
    texts: Sequence[str],
    loads: Sequence[Load],
    name: str = "Switchyard",
    settings: Mapping[str, str] = MappingProxyType({}),
) -> list[Run]:
    """Decisions over HTTP: local router, key checked, decision and sums stored, line logged."""
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": database,
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "LOG_LEVEL": "INFO",
        **settings,
    }
    bodies = _decision_bodies(folder, texts)
    command = [sys.executable, "-m", "gunicorn"]
    log = folder / "switchyard.log"
    with serving(name, command, environment, log, port, "/readyz") as pid:
        target = Target(f"http://127.0.0.1:{port}", "/api/v1/route", bodies, 201, key)
        return [_measure(name, pid, target, load) for load in loads]


def measure_upstream(upstream: Upstream, loads: Sequence[Load]) -> list[Run]:
    """RouteLLM's openai_server with its random router, before a stub that answers at once.

    It forwards each prompt, so the stub's answer is part of its time; nothing is stored.
    """
    port, stub_port = free_port(), free_port()
    bodies = upstream.folder / "chats.jsonl"
    lines = [
        {"model": "router-random-0.5", "messages": [{"role": "user", "content": text}]}
        for text in upstream.texts
    ]
    bodies.write_text("\n".join(map(json.dumps, lines)))
    environment = {
        **os.environ,
        "OPENAI_API_KEY": "none",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    stub = [sys.executable, "-m", "benchmarks.stub_provider", str(stub_port)]
    command = [
        *(sys.executable, "-m", "routellm.openai_server", "--routers", "random"),
        *("--port", str(port), "--base-url", f"http://127.0.0.1:{stub_port}/v1"),
        *("--api-key", "none", "--strong-model", "openai/strong", "--weak-model", "openai/weak"),
    ]
    log = upstream.folder / "routellm.log"
    with (
        serving("The stub provider", stub, environment, log, stub_port, "/"),
        serving(ROUTELLM, command, environment, log, port, "/docs") as pid,
    ):
        target = Target(f"http://127.0.0.1:{port}", "/v1/chat/completions", bodies, 200)
        return [_measure(ROUTELLM, pid, target, load) for load in loads]


@contextmanager
def serving(
    name: str, command: list[str], environment: dict[str, str], log: Path, port: int, path: str
) -> Iterator[int]:
    """The process, once `path` answers; stopped at the end. Raises NotStartedError."""
    report(f"Starting {name} …")
    with log.open("a") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        _wait(name, process, f"http://127.0.0.1:{port}{path}", log)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait(name: str, process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotStartedError(f"{name} ended at its start:\n{log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise NotStartedError(
        f"{name} did not start within {START_SECONDS} s: {url} gave no answer.\n"
        f"{log.read_text()[-3000:]}"
    )


def _measure(name: str, pid: int, target: Target, load: Load) -> Run:
    report(f"{name}: {load.connections} at once over HTTP, {load.seconds} s")
    _wrk(target, Load(load.connections, WARM_UP_SECONDS))
    before = cpu_seconds(pid)
    result = _wrk(target, load)
    cpu = cpu_seconds(pid) - before
    answered = max(1, result["requests"])
    return Run(
        name=name,
        connections=load.connections,
        p50_ms=result["p50_ms"],
        p99_ms=result["p99_ms"],
        per_second=round(result["requests"] / result["seconds"], 1),
        errors=result["errors"],
        cpu_ms=round(cpu / answered * 1000, 3),
        megabytes=round(memory_bytes(pid) / 1e6, 1),
    )


def _wrk(target: Target, load: Load) -> dict[str, Any]:
    wrk = shutil.which("wrk") or sys.exit("wrk is not installed: `apt install wrk`.")
    environment = {
        **os.environ,
        "BENCH_BODIES": str(target.bodies),
        "BENCH_PATH": target.path,
        "BENCH_STATUS": str(target.status),
    }
    if target.key:
        environment["BENCH_KEY"] = target.key
    output = subprocess.run(
        [wrk, "-t1", f"-c{load.connections}", f"-d{load.seconds}s", "-s", SCRIPT, target.url],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=load.seconds + LEFT_SECONDS,
    ).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children."""
    ticks = 0
    for each in _family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / CLOCK


def memory_bytes(pid: int) -> int:
    """Proportional set size of a process and its children: shared pages count once."""
    total = 0
    for each in _family(pid):
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children)]
