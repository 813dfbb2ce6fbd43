"""How fast PostgreSQL stores calls of one key, of many keys, and decisions without a key; and how
fast one and four web processes answer `/route` on it.

`python -m benchmarks.write_contention` makes a database of its own on the server that
`scripts/find_postgres.py` finds, and drops it. Of calls everything is decided beforehand: the
figures are transactions, one for each call, of 16 clients in four processes. Figures depend on the
machine: compare those of one run. `waiting` is the mean number of connections that wait for a lock
in samples of `pg_stat_activity`, `most_waiting` the highest; `waits` counts what they wait for
(`extend`: a table grows by a page).
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parents[1]
PROCESSES, THREADS = 4, 4
SAMPLES_APART = 0.02
LIMITED, SHARED, MANY = "one limited key", "one limited key, Redis", "many limited keys"
CASES = (LIMITED, SHARED, MANY, "one key", "many keys", "decisions")
REDIS = "redis://127.0.0.1:6379/15"  # where REDIS_URL names no other
ROUTE_PROCESSES, CONNECTIONS = (1, 4), 16
KEY = "sy_benchmark"
READY, GO = "ready", "go\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=CASES, help="One case instead of all.")
    parser.add_argument("--no-folding", action="store_true", help="Start no background process.")
    parser.add_argument("--no-route", action="store_true", help="Leave /route out.")
    arguments = parser.parse_args()
    if arguments.case:
        _store_until_over(arguments.case, arguments.seconds)
        return
    with new_database() as url:
        environment = {
            **os.environ,
            "DATABASE_URL": url,
            "SECRET_KEY": "bench" * 12,
            "DEMO_API_KEY": KEY,
        }
        _manage(environment, "migrate", "--verbosity", "0").check_returncode()
        _manage(environment, "shell", "--verbosity", "0", "-c", _SEED).check_returncode()
        for case in [arguments.only] if arguments.only else _cases():
            print(json.dumps(_measure(url, environment, case, arguments)), flush=True)
        for processes in () if arguments.no_route or arguments.only else ROUTE_PROCESSES:
            print(json.dumps(_measure_route(url, processes, arguments.seconds)), flush=True)


def _cases() -> Iterator[str]:
    """Without a Redis that answers, its case is left out."""
    import redis

    for case in CASES:
        if case == SHARED:
            try:
                redis.Redis.from_url(os.environ.get("REDIS_URL") or REDIS).ping()
            except redis.RedisError:
                continue
        yield case


def _measure_route(url: str, processes: int, seconds: float) -> dict[str, Any]:
    """Decisions over HTTP by so many web processes."""
    from tempfile import TemporaryDirectory

    from benchmarks.http_load import Load, measure_switchyard

    texts = [f"Sort list {number} in Python." for number in range(5_000)]
    settings = {"WEB_CONCURRENCY": str(processes), "SECRET_KEY": "bench" * 12, "DEMO_API_KEY": KEY}
    name, load = f"/route, web processes: {processes}", Load(CONNECTIONS, round(seconds))
    with TemporaryDirectory() as folder, sampled(url) as waiting:
        [run] = measure_switchyard(Path(folder), url, KEY, texts, [load], name, settings)
    return {
        "case": name,
        "transactions/s": run.per_second,
        "p50_ms": run.p50_ms,
        "p99_ms": run.p99_ms,
        "cpu_ms": run.cpu_ms,
        **_waits(waiting),
    }


def _waits(samples: list[list[str]]) -> dict[str, Any]:
    counts = [len(sample) for sample in samples]
    return {
        "waiting": round(sum(counts) / max(1, len(counts)), 2),
        "most_waiting": max(counts, default=0),
        "waits": dict(Counter(name for sample in samples for name in sample)),
    }


_SEED = "from experiments.configuration.seeding import seed; seed()"


def _manage(environment: dict[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", *command], cwd=ROOT, env=environment, text=True, check=False
    )


@contextmanager
def new_database() -> Iterator[str]:
    found = [sys.executable, "scripts/find_postgres.py"]
    server = subprocess.check_output(found, cwd=ROOT, text=True).strip()
    if not server:
        sys.exit("No PostgreSQL answers. Set TEST_DATABASE_URL.")
    name = f"switchyard_bench_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield f"{server.rpartition('/')[0]}/{name}"
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            admin.execute(drop)


def _measure(
    url: str, environment: dict[str, str], case: str, arguments: argparse.Namespace
) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.write_contention", "--case", case]
    command += ["--seconds", str(arguments.seconds)]
    redis = (os.environ.get("REDIS_URL") or REDIS) if case == SHARED else ""
    environment = {**environment, "REDIS_URL": redis, "LOG_LEVEL": "WARNING"}
    background = None
    if not arguments.no_folding:
        background = subprocess.Popen(
            [sys.executable, "manage.py", "run_tasks"], cwd=ROOT, env=environment
        )
    workers = [
        subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(PROCESSES)
    ]  # fmt: skip
    try:
        for worker in workers:
            assert worker.stdout is not None
            while worker.stdout.readline().strip() != READY:
                pass
        with sampled(url) as waiting:
            ended = [worker.communicate(GO)[0] for worker in workers]
    finally:
        if background is not None:
            background.terminate()
            background.wait()
    found = [json.loads(text.splitlines()[-1]) for text in ended]
    times = sorted(seconds for each in found for seconds in each["seconds"])
    return {
        "case": case,
        "transactions/s": round(len(times) / arguments.seconds, 1),
        "p50_ms": round(times[len(times) // 2] * 1000, 1),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 1),
        "cpu_ms": round(sum(each["cpu"] for each in found) / len(times) * 1000, 2),
        **_waits(waiting),
    }


@contextmanager
def sampled(url: str) -> Iterator[list[list[str]]]:
    """What connections that wait for a lock wait for, again and again."""
    found: list[list[str]] = []
    ended = threading.Event()

    def sample() -> None:
        with psycopg.connect(url, autocommit=True) as own:
            while not ended.wait(SAMPLES_APART):
                rows = own.execute(
                    "SELECT wait_event FROM pg_stat_activity "
                    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
                ).fetchall()
                found.append([str(name) for (name,) in rows])

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def _store_until_over(case: str, seconds: float) -> None:
    """One of the processes: prints READY, waits for a line, stores, prints what it measured."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routing_site.settings")
    import django

    django.setup()
    from django.db import connection

    steps = [_step(case, number) for number in range(THREADS)]
    print(READY, flush=True)
    sys.stdin.readline()
    until = time.perf_counter() + seconds
    taken: list[float] = []

    def run(step: Callable[[], None]) -> None:
        while (started := time.perf_counter()) < until:
            step()
            taken.append(time.perf_counter() - started)
        connection.close()

    threads = [threading.Thread(target=run, args=(step,)) for step in steps]
    before = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"seconds": taken, "cpu": time.process_time() - before}))


def _step(case: str, thread: int) -> Callable[[], None]:
    """Stores one call that was decided before: as admission does, or as `route` does."""
    from datetime import UTC, datetime

    from experiments.configuration.policy_store import store
    from experiments.core.eligibility import FallbackPlan
    from experiments.decisions import group_commit
    from experiments.gateway import admission
    from experiments.limits.quotas import Limits
    from experiments.models import Decision
    from experiments.routing.route import RouteRequest, configuration, decide_one

    policy, expected = configuration()
    limits = Limits(day=10**15) if "limited" in case else Limits()
    number = os.getpid() * THREADS + thread if case.startswith("many") else 1
    rules = admission.KeyRules(number, limits, frozenset(), frozenset())
    rows = [
        decide_one(
            policy, expected, RouteRequest(f"Sort list {n}.", unit_id=f"u{n}", domain="technical")
        )
        for n in range(8)
    ]
    made = 0

    def fresh() -> Decision:
        nonlocal made
        made += 1
        values = {f.attname: getattr(rows[made % 8], f.attname) for f in Decision._meta.fields}
        values |= {"id": uuid4(), "created_at": datetime.now(UTC), "detail": {**values["detail"]}}
        return Decision(**values)

    def of_a_key() -> None:
        row = fresh()
        call = admission.Call(RouteRequest("Sort."), rules, frozenset())
        plan = FallbackPlan(row.domain, None, (), False)
        [stored] = admission._store(store.current(), [admission.Prepared(call, row, plan, {}, {})])
        assert isinstance(stored, admission.Admitted), stored

    def of_none() -> None:
        group_commit._write([fresh()])

    return of_none if case == "decisions" else of_a_key


if __name__ == "__main__":
    main()
