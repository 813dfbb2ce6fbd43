"""The gateway and its peers under the same chat calls, all before the same stub provider.

First the stub itself is called, which is what the others are held against: what a server adds is
its median less the stub's. Each server runs as its own documentation starts it; those that can take
several processes get one for each core.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.chat_load import ChatLoad, Result
from benchmarks.http_load import (
    LEAST_SERVER,
    LEFT_SECONDS,
    ROOT,
    ROUTELLM,
    cpu_seconds,
    free_port,
    memory_bytes,
    serving,
)
from benchmarks.progress import LeftOut, NotStartedError, report, unless_it_fails

CALLERS = (1, 16, 200)
WARM_UP_SECONDS = 2.0
PROMPTS = 20_000
PROXY = "LiteLLM's proxy"
PASS_THROUGH = "A bare pass-through"
INSTALL_SECONDS = 900
LITELLM = ROOT / ".venv-litellm"
LITELLM_REQUIREMENTS = ROOT / "benchmarks" / "litellm-requirements.txt"
PROVIDER_KEY = "BENCH_PROVIDER_KEY"
PAIR = ("bench/strong", "bench/weak")


@dataclass(frozen=True)
class ChatRun:
    """`added_…` is what the server adds to the stub called directly by as many callers."""

    name: str
    callers: int
    streams: bool
    p50_ms: float
    p99_ms: float
    first_p50_ms: float
    added_p50_ms: float | None
    added_p99_ms: float | None
    per_second: float
    errors: int
    cpu_ms: float
    megabytes: float


class Bench(NamedTuple):
    """What all servers of one run share. `latency` is the stub's, in seconds."""

    folder: Path
    database: str
    key: str
    texts: Sequence[str]
    seconds: float
    latency: float


class Server(NamedTuple):
    """One that runs: its process, its port and the model it is asked for."""

    name: str
    pid: int
    port: int
    model: str
    key: str


def measure_gateway(bench: Bench, left_out: list[LeftOut], *, peers: bool) -> list[ChatRun]:
    """A peer that cannot be measured takes no other figure with it: it is noted in `left_out`."""
    with _stub(bench) as stub:
        direct = _runs(bench, stub, {})
        known = {(run.callers, run.streams): run for run in direct}
        with _pass_through(bench, stub.port) as server:
            runs = [*direct, *_runs(bench, server, known)]
        with _switchyard(bench, stub.port) as server:
            runs += _runs(bench, server, known)
        for name, start in PEERS.items() if peers else ():
            measure = partial(_peer_runs, start, bench, stub.port, known)
            runs += unless_it_fails(f"{name}, chat calls", measure, left_out)
    return runs


def _peer_runs(
    start: Callable[[Bench, int], AbstractContextManager[Server]],
    bench: Bench,
    stub_port: int,
    direct: dict[tuple[int, bool], ChatRun],
) -> list[ChatRun]:
    with start(bench, stub_port) as server:
        return _runs(bench, server, direct)


def print_runs(runs: Sequence[dict[str, Any]]) -> None:
    names = ("added p50", "added p99", "p50 ms", "p99 ms", "first ms", "per s", "errors")
    print(f"\n{'chat calls':<44}" + "".join(f"{name:>11}" for name in (*names, "cpu ms", "MB")))
    for run in runs:
        kind = "streams" if run["streams"] else "plain"
        added = [run["added_p50_ms"], run["added_p99_ms"]]
        print(
            f"{run['name']}, {kind}, {run['callers']} at once".ljust(44)
            + "".join("          -" if value is None else f"{value:>11.2f}" for value in added)
            + f"{run['p50_ms']:>11.2f}{run['p99_ms']:>11.2f}{run['first_p50_ms']:>11.2f}"
            + f"{run['per_second']:>11.0f}{run['errors']:>11}{run['cpu_ms']:>11.2f}"
            + f"{run['megabytes']:>11.0f}"
        )


def _runs(bench: Bench, server: Server, direct: dict[tuple[int, bool], ChatRun]) -> list[ChatRun]:
    return [
        _measure(bench, server, callers, direct.get((callers, streams)), streams=streams)
        for streams in (False, True)
        for callers in CALLERS
    ]


def _measure(
    bench: Bench, server: Server, callers: int, direct: ChatRun | None, *, streams: bool
) -> ChatRun:
    kind = "streams" if streams else "plain"
    report(f"{server.name}: {callers} chat calls at once, {kind}, {bench.seconds:g} s")
    texts = list(bench.texts[:PROMPTS])
    load = ChatLoad(server.port, callers, WARM_UP_SECONDS, streams, server.model, server.key, texts)
    _load(load)
    before = cpu_seconds(server.pid)
    result = _load(ChatLoad(**{**asdict(load), "seconds": bench.seconds}))
    cpu = cpu_seconds(server.pid) - before
    return ChatRun(
        name=server.name,
        callers=callers,
        streams=streams,
        p50_ms=result.p50_ms,
        p99_ms=result.p99_ms,
        first_p50_ms=result.first_p50_ms,
        added_p50_ms=round(result.p50_ms - direct.p50_ms, 3) if direct else None,
        added_p99_ms=round(result.p99_ms - direct.p99_ms, 3) if direct else None,
        per_second=round(result.requests / result.seconds, 1),
        errors=result.errors,
        cpu_ms=round(cpu / max(1, result.requests) * 1e3, 3),
        megabytes=round(memory_bytes(server.pid) / 1e6, 1),
    )


def _load(load: ChatLoad) -> Result:
    """In a process of its own, so that its work is not counted as the server's."""
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.chat_load"],
        input=json.dumps(asdict(load)),
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=load.seconds + LEFT_SECONDS,
    ).stdout
    return Result(**json.loads(output.splitlines()[-1]))


@contextmanager
def _stub(bench: Bench) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.stub_provider", str(port), str(bench.latency), "0"]
    log = bench.folder / "stub.log"
    with serving("The stub provider", command, dict(os.environ), log, port, "/") as pid:
        yield Server("The stub itself", pid, port, "stub", "none")


@contextmanager
def _pass_through(bench: Bench, stub_port: int) -> Iterator[Server]:
    """The same server and HTTP client as the gateway's; the body goes through unchanged."""
    port = free_port()
    environment = {
        **os.environ,
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "LEAST_PROVIDER": f"http://127.0.0.1:{stub_port}/v1",
    }
    command = [sys.executable, *LEAST_SERVER]
    log = bench.folder / "pass-through.log"
    with serving(PASS_THROUGH, command, environment, log, port, "/") as pid:
        yield Server(PASS_THROUGH, pid, port, "stub", "none")


@contextmanager
def _switchyard(bench: Bench, stub_port: int) -> Iterator[Server]:
    """As `make serve` starts it: routed locally, decision and outcome stored, a line logged."""
    point_at(f"http://127.0.0.1:{stub_port}/v1")
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": bench.database,
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "LOG_LEVEL": "INFO",
        PROVIDER_KEY: "none",
    }
    command = [sys.executable, "-m", "gunicorn"]
    log = bench.folder / "gateway.log"
    with serving("Switchyard", command, environment, log, port, "/readyz") as pid:
        yield Server("Switchyard", pid, port, "router-auto", bench.key)


def point_at(base_url: str) -> None:
    """Makes a pair of models at the stub the only one that is routed between."""
    from decimal import Decimal

    from experiments.configuration.revisions import revision
    from experiments.models import (
        Domain,
        LanguageModel,
        ModelPrice,
        ProviderEndpoint,
        RoutingSettings,
    )
    from experiments.models.catalog import CAPABILITIES

    with revision("bench", "The stub"):
        endpoint, _ = ProviderEndpoint.objects.update_or_create(
            name="bench", defaults={"base_url": base_url, "api_key_env": PROVIDER_KEY}
        )
        certifications = {c for d in Domain.objects.all() for c in d.required_certifications}
        able = {
            "provider": "bench",
            "endpoint": endpoint,
            "context_window": 128_000,
            "accuracy_score": 0.99,
            "capabilities": list(CAPABILITIES),
            "certifications": sorted(certifications),
        }
        rows = []
        for name, price in zip(PAIR, (Decimal(10), Decimal(1)), strict=True):
            row, created = LanguageModel.objects.get_or_create(name=name, defaults=able)
            if created:
                ModelPrice.objects.create(
                    model=row,
                    source=ModelPrice.OPERATOR,
                    input_per_million=price,
                    output_per_million=4 * price,
                )
            rows.append(row)
        settings = RoutingSettings.objects.get()
        settings.strong_model, settings.weak_model = rows
        settings.save()


@contextmanager
def _routellm(bench: Bench, stub_port: int) -> Iterator[Server]:
    """RouteLLM's openai_server with its random router; one process, nothing stored."""
    port = free_port()
    environment = {
        **os.environ,
        "OPENAI_API_KEY": "none",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    command = [
        *(sys.executable, "-m", "routellm.openai_server", "--routers", "random"),
        *("--port", str(port), "--base-url", f"http://127.0.0.1:{stub_port}/v1"),
        *("--api-key", "none", "--strong-model", "openai/strong", "--weak-model", "openai/weak"),
    ]
    log = bench.folder / "routellm-gateway.log"
    with serving(ROUTELLM, command, environment, log, port, "/docs") as pid:
        yield Server(ROUTELLM, pid, port, "router-random-0.5", "none")


@contextmanager
def _litellm(bench: Bench, stub_port: int) -> Iterator[Server]:
    """LiteLLM's proxy with a process for each core; it checks its one key, routes nothing and
    stores nothing."""
    _install_litellm()
    port = free_port()
    model = {
        "model_name": "chat",
        "litellm_params": {
            "model": "openai/chat",
            "api_base": f"http://127.0.0.1:{stub_port}/v1",
            "api_key": "none",
        },
    }
    key = f"sk-{secrets.token_hex(32)}"
    config = bench.folder / "litellm.json"
    config.write_text(json.dumps({"model_list": [model]}))  # JSON is YAML too
    environment = {
        **os.environ,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MASTER_KEY": key,  # without one it does not start
        "PATH": f"{LITELLM / 'bin'}:{os.environ['PATH']}",
    }
    for name in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE"):
        environment.pop(name, None)
    workers = str(len(os.sched_getaffinity(0)))
    command = [
        *(str(LITELLM / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1"),
        *("--port", str(port), "--num_workers", workers, "--telemetry", "False"),
        # Its workers load for longer than uvicorn's five seconds on a busy machine.
        *("--timeout_worker_healthcheck", "120"),
    ]
    log = bench.folder / "litellm.log"
    with serving(PROXY, command, environment, log, port, "/health/liveliness") as pid:
        yield Server(PROXY, pid, port, "chat", key)


def _install_litellm() -> None:
    """Into an environment of its own, once for each version of its requirements."""
    wanted, marker = LITELLM_REQUIREMENTS.read_text(), LITELLM / "installed"
    if marker.exists() and marker.read_text() == wanted:
        return
    report(f"Installing {PROXY} into {LITELLM.name}, once; this takes minutes …")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(LITELLM)], check=True)
    pip = [str(LITELLM / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    requirements = ["-r", str(LITELLM_REQUIREMENTS)]
    try:
        subprocess.run([*pip, *requirements], check=True, timeout=INSTALL_SECONDS)
    except subprocess.SubprocessError as error:
        raise NotStartedError(f"{PROXY} could not be installed: {error}") from error
    marker.write_text(wanted)


PEERS = {ROUTELLM: _routellm, PROXY: _litellm}
