"""`make bench`: measures scoring, deciding and answering, and other servers, in one run.

Figures depend on the machine and on what else it does: compare those of one run. `cpu_ms` is the
processor time of the whole server for one request, which other programs disturb least.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gateway_load import Bench, measure_gateway, print_runs
from benchmarks.http_load import (
    ROOT,
    ROUTELLM,
    Load,
    Run,
    Upstream,
    measure_floor,
    measure_switchyard,
    measure_upstream,
)
from benchmarks.progress import LeftOut, NotStartedError, report, step, unless_it_fails

RESULTS = Path(__file__).parent / "results" / "latest.json"
KEY = "sy_benchmark"


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        try:
            results = measure(Path(folder), arguments)
        except NotStartedError as error:
            sys.exit(str(error))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print_table(results)
    print(f"\nWritten to {RESULTS}")
    if arguments.pages:
        # In a process of its own: it has another database.
        with step("Pages with a million decisions (minutes)"):
            subprocess.run([sys.executable, "-m", "benchmarks.pages"], check=True)
    if not arguments.skip_what_if:
        with step("What a million decisions are asked (minutes to fill them)"):
            subprocess.run([sys.executable, "-m", "benchmarks.what_if"], check=True)


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Scoring and deciding in this process, then both servers under the same load."""
    url = arguments.database or f"sqlite:///{folder / 'bench.sqlite3'}"
    report("Preparing a database …")
    _set_up(url)
    from benchmarks.in_process import (
        measure_decide,
        measure_requests,
        measure_scoring,
        measure_together,
        prompts,
    )

    texts = prompts()
    report("Scoring and deciding in this process …")
    left_out: list[LeftOut] = []
    results: dict[str, Any] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "database": url.split(":", 1)[0],
        "scoring": [asdict(timing) for timing in measure_scoring(texts)],
        "decide": asdict(measure_decide(texts)),
        "together": [asdict(timing) for timing in measure_together(texts)],
        "requests": [asdict(timing) for timing in measure_requests(KEY, texts)],
    }
    loads = [Load(connections, arguments.seconds) for connections in (1, 16)]
    runs = measure_floor(folder, texts, loads)
    runs += measure_switchyard(folder, url, KEY, texts, loads)
    if not arguments.database:
        runs += _on_postgresql(folder, texts, loads)
    results["http"] = [asdict(run) for run in runs]
    if not arguments.database:
        results["writes"] = _writes(arguments.seconds)
    if not arguments.skip_lab:
        results["lab"] = _lab()
    if not arguments.skip_upstream:
        measure_it = partial(measure_upstream, Upstream(folder, texts), loads)
        peers = unless_it_fails(f"{ROUTELLM}, over HTTP", measure_it, left_out)
        results["routellm_openai_server"] = [asdict(run) for run in peers]
    bench = Bench(folder, url, KEY, texts, arguments.seconds, arguments.stub_latency)
    chats = measure_gateway(bench, left_out, peers=not arguments.skip_upstream)
    results["stub_latency_ms"] = arguments.stub_latency * 1e3
    results["gateway"] = [asdict(run) for run in chats]
    results["left_out"] = [each._asdict() for each in left_out]
    return results


def _on_postgresql(folder: Path, texts: Sequence[str], loads: Sequence[Load]) -> list[Run]:
    """The same decisions in a database of their own, if a PostgreSQL server answers."""
    found = subprocess.run(
        [sys.executable, "scripts/find_postgres.py"], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    if not (server := found.stdout.decode().strip()):
        report("No PostgreSQL answers: its rows are left out.")
        return []
    with _new_database(server) as url:
        for command in (["migrate", "--verbosity", "0"], ["seed"]):
            subprocess.run(
                [sys.executable, "manage.py", *command],
                cwd=ROOT,
                env={**os.environ, "DATABASE_URL": url},
                check=True,
            )
        return measure_switchyard(folder, url, KEY, texts, loads, "Switchyard on PostgreSQL")


@contextmanager
def _new_database(server: str) -> Iterator[str]:
    """The address of a new database; dropped at the end."""
    import psycopg

    name = f"switchyard_bench_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{server.rpartition('/')[0]}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _writes(seconds: int) -> list[dict[str, Any]]:
    """One key against many keys, and one web process against four, on PostgreSQL."""
    command = [sys.executable, "-m", "benchmarks.write_contention", "--seconds", str(seconds)]
    with step("Writes on PostgreSQL"):
        run = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def _print_writes(writes: Sequence[dict[str, Any]]) -> None:
    columns = ("per s", "p50 ms", "p99 ms", "cpu ms", "waiting", "most")
    print(f"\n{'writes on PostgreSQL':<34}" + "".join(f"{column:>9}" for column in columns))
    for case in writes:
        values = (case[name] for name in ("p50_ms", "p99_ms", "cpu_ms", "waiting"))
        print(
            f"{case['case']:<34}{case['transactions/s']:>9.0f}"
            + "".join(f"{value:>9.2f}" for value in values)
            + f"{case['most_waiting']:>9}"
        )


def _lab() -> dict[str, Any]:
    """In a process of its own: it has another database, and its memory is measured."""
    command = [sys.executable, "-m", "benchmarks.lab"]
    with step("The lab: a million outcomes evaluated, four routers trained (minutes)"):
        run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def print_table(results: dict[str, Any]) -> None:
    machine = results["machine"]
    print(f"{machine['cores']} cores, load {machine['load']}, {results['database']}\n")
    print(f"{'one prompt':<34}{'p50 ms':>9}{'p99 ms':>9}")
    timings = (*results["scoring"], results["decide"], *results["together"], *results["requests"])
    for timing in timings:
        print(f"{timing['name']:<34}{timing['p50_ms']:>9.3f}{timing['p99_ms']:>9.3f}")
    columns = ("p50 ms", "p99 ms", "per s", "errors", "cpu ms", "MB")
    print(f"\n{'over HTTP':<34}" + "".join(f"{column:>9}" for column in columns))
    for run in (*results["http"], *results.get("routellm_openai_server", ())):
        name = f"{run['name']}, {run['connections']} at once"
        print(
            f"{name:<34}{run['p50_ms']:>9.2f}{run['p99_ms']:>9.2f}{run['per_second']:>9.0f}"
            f"{run['errors']:>9}{run['cpu_ms']:>9.2f}{run['megabytes']:>9.0f}"
        )
    if results.get("writes"):
        _print_writes(results["writes"])
    print_runs(results["gateway"])
    for each in results["left_out"]:
        print(f"Left out: {each['name']}: {each['why'].splitlines()[0]}")
    if "lab" in results:
        _print_lab(results["lab"])


def _print_lab(lab: dict[str, Any]) -> None:
    evaluation = lab["evaluation"]
    print(
        f"\n{evaluation['rows']:,} scored outcomes evaluated in {evaluation['seconds']:.1f} s "
        f"({evaluation['read_seconds']:.1f} s to read them), {evaluation['megabytes']} MB"
    )
    for training in lab["training"]:
        print(f"{training['kind']} trained on {training['rows']:,} in {training['seconds']:.0f} s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="How long each load lasts.")
    parser.add_argument("--database", help="An empty database's address; SQLite where left out.")
    parser.add_argument(
        "--skip-upstream", action="store_true", help="Leave RouteLLM's and LiteLLM's servers out."
    )
    parser.add_argument(
        "--stub-latency",
        type=float,
        default=0.0,
        help="Seconds the stub provider takes to answer a chat call.",
    )
    parser.add_argument(
        "--skip-what-if",
        action="store_true",
        help="Leave out what a million decisions are asked, which takes a minute or two to fill.",
    )
    parser.add_argument(
        "--skip-lab",
        action="store_true",
        help="Leave out evaluating a million outcomes and training routers, which takes minutes.",
    )
    parser.add_argument(
        "--pages",
        action="store_true",
        help="Also time the pages with a million decisions; filling them takes minutes.",
    )
    return parser.parse_args()


def _set_up(url: str) -> None:
    os.environ |= {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "routing_site.settings",
        "SECRET_KEY": "benchmark-" + "x" * 50,
        "DEMO_API_KEY": KEY,
        "LOG_LEVEL": "WARNING",  # of this process; the server logs as it does by default
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    call_command("seed")


def _machine() -> dict[str, Any]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


if __name__ == "__main__":
    main()
