"""Kills processes of a loaded server and counts what was lost.

`python -m benchmarks.kill_test` starts the server with two web processes and its background
process, on PostgreSQL and on SQLite, sends prompts to `/route` and chat calls of two limited keys,
and kills web processes and the folding process (`kill -9`), twenty in all. Then each acknowledged
decision must be stored, all sums must equal a recount (`verify_totals`), and keys must be charged
with what their calls cost and no more than their budgets. Ends with 1 if not.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.gateway_load import PROVIDER_KEY
from benchmarks.http_load import ROOT, free_port, serving
from benchmarks.progress import report
from benchmarks.write_contention import new_database

KILLS, CALLERS = 20, 6
FOLDING_EVERY = 3  # of three kills one is of the folding process
LEAST_BETWEEN, LONGEST_WAIT = 40, 60.0  # acknowledged decisions between kills; seconds
WEB_PROCESSES = 2
LATENCY = "0.3"  # of the stub provider, in seconds
# The second budget is used up while processes die.
BUDGETS = {"ample": 1_000.0, "tight": 0.005}
_SETUP = """
import json, sys
from decimal import Decimal
from benchmarks.gateway_load import point_at
from experiments.configuration.seeding import seed
from experiments.models import APIKey, Scope
seed()
point_at(sys.argv[1])
secrets = {}
for name, budget in json.loads(sys.argv[2]).items():
    limits = {"requests_per_minute": 100_000, "budget_day": Decimal(str(budget))}
    secrets[name] = APIKey.issue(name, [Scope.ROUTE], **limits).secret
print(json.dumps(secrets))
"""


@dataclass
class Answers:
    """The answers of callers. `ids` are the decisions that were acknowledged."""

    ids: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class KillRun:
    """`budgets` has nano-dollars of each key: its budget, what it was charged, what its calls
    cost."""

    database: str
    killed_web: int
    killed_folding: int
    acknowledged: int
    missing: int
    statuses: dict[str, int]
    estimated: int
    in_flight: int
    differences: list[str]
    budgets: dict[str, list[int]]

    @property
    def is_clean(self) -> bool:
        charged_right = all(
            charged == cost and charged <= budget for budget, charged, cost in self.budgets.values()
        )
        return charged_right and not (self.missing or self.in_flight or self.differences)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], help="One of the two.")
    parser.add_argument("--recount", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.recount:
        print(json.dumps(_recount(Path(arguments.recount))))
        return
    runs = []
    for database in [arguments.database] if arguments.database else ["postgresql", "sqlite"]:
        with tempfile.TemporaryDirectory() as folder, _database(database, Path(folder)) as url:
            runs.append(measure(url, Path(folder), arguments.kills))
    _print(runs)
    if not all(run.is_clean for run in runs):
        sys.exit(1)


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'kill.sqlite3'}"
        return
    with new_database() as url:
        yield url


def measure(url: str, folder: Path, kills: int) -> KillRun:
    """Loads a server on this empty database while its processes are killed."""
    stub_port, port = free_port(), free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "SECRET_KEY": "kill-test-" + "x" * 50,
        "DJANGO_SETTINGS_MODULE": "routing_site.settings",
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "WEB_CONCURRENCY": str(WEB_PROCESSES),
        "BACKGROUND_TASKS": "true",
        "LOG_LEVEL": "WARNING",
        PROVIDER_KEY: "none",
    }
    stub = [sys.executable, "-m", "benchmarks.stub_provider", str(stub_port), LATENCY, "0"]
    server = [sys.executable, "-m", "gunicorn"]
    answers, killed = Answers(), Counter[str]()
    with serving("The stub provider", stub, environment, folder / "stub.log", stub_port, "/"):
        keys = _set_up(environment, stub_port)
        log = folder / "server.log"
        with serving("Switchyard", server, environment, log, port, "/readyz") as pid:
            report(f"{url.partition(':')[0]}: {kills} kills under load")
            asyncio.run(
                _load_and_kill(f"http://127.0.0.1:{port}", keys, pid, kills, answers, killed)
            )
    _run(environment, "manage.py", "sweep_abandoned_calls")
    (folder / "acknowledged.json").write_text(json.dumps(answers.ids))
    found = json.loads(
        _run(
            environment, "-m", "benchmarks.kill_test", "--recount", folder / "acknowledged.json"
        ).splitlines()[-1]
    )
    return KillRun(
        database="PostgreSQL" if url.startswith("postgres") else "SQLite",
        killed_web=killed["web"],
        killed_folding=killed["folding"],
        acknowledged=len(answers.ids),
        statuses=dict(answers.statuses),
        **found,
    )


def _set_up(environment: dict[str, str], stub_port: int) -> dict[str, str]:
    _run(environment, "manage.py", "migrate", "--verbosity", "0")
    code = f"import django; django.setup()\n{_SETUP}"
    printed = _run(environment, "-c", code, f"http://127.0.0.1:{stub_port}/v1", json.dumps(BUDGETS))
    keys: dict[str, str] = json.loads(printed.splitlines()[-1])
    return keys


def _run(environment: dict[str, str], *command: str | Path) -> str:
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


# The load


async def _load_and_kill(
    url: str, keys: dict[str, str], pid: int, kills: int, answers: Answers, killed: Counter[str]
) -> None:
    over = asyncio.Event()
    callers = [
        asyncio.ensure_future(ask(url, keys[name], number, answers, over))
        for number in range(CALLERS)
        for name in BUDGETS
        for ask in (_chat_calls, _routed)
    ]
    try:
        for number in range(kills):
            await _progress(answers, LEAST_BETWEEN)
            kind = "folding" if number % FOLDING_EVERY == FOLDING_EVERY - 1 else "web"
            os.kill(await _one_of(pid, kind), signal.SIGKILL)
            killed[kind] += 1
        await _progress(answers, LEAST_BETWEEN)
    finally:
        over.set()
        await asyncio.gather(*callers)


async def _progress(answers: Answers, more: int) -> None:
    """Waits until so many more decisions have been acknowledged."""
    wanted, until = len(answers.ids) + more, time.monotonic() + LONGEST_WAIT
    while len(answers.ids) < wanted:
        if time.monotonic() > until:
            raise TimeoutError(f"The server answers no more: {dict(answers.statuses)}")
        await asyncio.sleep(0.05)


async def _one_of(pid: int, kind: str) -> int:
    """A process of the server, once all that it had before the last kill are there again."""
    until = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < until:
        folding, web = _processes(pid)
        if len(web) == WEB_PROCESSES and len(folding) == 1:
            return folding[0] if kind == "folding" else min(web)  # the one that has lived longest
        await asyncio.sleep(0.1)
    raise TimeoutError("A killed process was not started again.")


def _processes(pid: int) -> tuple[list[int], list[int]]:
    """The server's children: the background process, and those that answer requests."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")  # a thread starts the background process
    children = " ".join(each.read_text() for each in tasks).split()
    folding: list[int] = []
    web: list[int] = []
    for child in map(int, children):
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        if command:  # a zombie has none
            (folding if b"run_tasks" in command else web).append(child)
    return folding, web


async def _chat_calls(
    url: str, key: str, number: int, answers: Answers, over: asyncio.Event
) -> None:
    await _repeat(url, key, number, answers, over, is_chat=True)


async def _routed(url: str, key: str, number: int, answers: Answers, over: asyncio.Event) -> None:
    await _repeat(url, key, number, answers, over, is_chat=False)


async def _repeat(
    url: str, key: str, number: int, answers: Answers, over: asyncio.Event, *, is_chat: bool
) -> None:
    """One caller. Each request has a connection of its own, so that any process answers it."""
    sent = 0
    while not over.is_set():
        sent += 1
        text = f"Sort list {number} of {sent}."
        body: dict[str, Any] = {"text": text, "unit_id": f"u{number}"}
        if is_chat:
            message = {"role": "user", "content": text}
            body = {"model": "router-auto", "max_tokens": 30, "messages": [message]}
        path = "/v1/chat/completions" if is_chat else "/api/v1/route"
        kind = "chat" if is_chat else "route"
        try:
            async with httpx.AsyncClient(timeout=30) as client:
                headers = {"Authorization": f"Bearer {key}"}
                reply = await client.post(f"{url}{path}", json=body, headers=headers)
        except httpx.HTTPError:
            answers.statuses["cut off"] += 1
            await asyncio.sleep(0.05)
            continue
        answers.statuses[f"{kind} {reply.status_code}"] += 1
        if reply.status_code in {200, 201}:
            own = reply.headers.get("x-switchyard-decision-id")
            answers.ids.append(own if is_chat else reply.json()["decision_id"])
        else:
            await asyncio.sleep(0.05)


# What is stored


def _recount(acknowledged: Path) -> dict[str, Any]:
    """Runs on the server's database, after its end."""
    import django

    django.setup()
    from django.db.models import Sum

    from experiments.decisions.verification import verify
    from experiments.models import APIKey, Attempt, Decision, InFlightCall, KeyUsage

    ids = json.loads(acknowledged.read_text())
    stored = {str(pk) for pk in Decision.objects.values_list("pk", flat=True)}
    budgets = {}
    for key in APIKey.objects.filter(name__in=BUDGETS):
        days = KeyUsage.objects.filter(key_id=key.pk, span=KeyUsage.DAY)
        calls = Attempt.objects.filter(decision__key_id=key.pk)
        charged, cost = (
            int(rows.aggregate(total=Sum("cost", default=0))["total"]) for rows in (days, calls)
        )
        budgets[key.name] = [round(BUDGETS[key.name] * 1e9), charged, cost]
    return {
        "missing": len(set(ids) - stored),
        "estimated": Attempt.objects.filter(status="interrupted").count(),
        "in_flight": InFlightCall.objects.count(),
        "differences": [str(each) for each in verify().differences],
        "budgets": budgets,
    }


def _print(runs: Sequence[KillRun]) -> None:
    for run in runs:
        print(json.dumps(asdict(run)))
    names = (
        "killed: web, folding", "acknowledged", "of these missing", "cut off or 5xx",
        "refused (429)", "settled as estimated", "differences of `verify_totals`",
        "charged, cost of calls, budget ($)",
    )  # fmt: skip
    print(f"\n| |{'|'.join(f' {run.database} ' for run in runs)}|\n|---|{'---|' * len(runs)}")
    columns = [_column(run) for run in runs]
    for name, values in zip(names, zip(*columns, strict=True), strict=True):
        print(f"| {name} |{'|'.join(f' {value} ' for value in values)}|")


def _column(run: KillRun) -> list[str]:
    failed = sum(
        count
        for status, count in run.statuses.items()
        if status == "cut off" or status.rpartition(" ")[2].startswith("5")
    )
    refused = sum(count for status, count in run.statuses.items() if status.endswith(" 429"))
    money = "; ".join(
        f"{charged / 1e9:.6f}, {cost / 1e9:.6f}, {budget / 1e9:g}"
        for budget, charged, cost in run.budgets.values()
    )
    return [
        f"{run.killed_web}, {run.killed_folding}",
        f"{run.acknowledged:,}",
        f"{run.missing}",
        f"{failed}",
        f"{refused:,}",
        f"{run.estimated}",
        f"{len(run.differences)}",
        money,
    ]


if __name__ == "__main__":
    main()
