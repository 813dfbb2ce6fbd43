"""How long the server takes for each page with a million stored decisions, and its queries.

`python -m benchmarks.pages` fills a database of its own first, which takes some minutes; with
`--keep FILE` it stays, and is used again where it is there. The budget is 300 ms at p95.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

BUDGET_MS = 300
RESULTS = Path(__file__).parent / "results" / "pages.json"
PATHS = (
    "/",
    "/?range=30d",
    "/?range=90d&baseline=random",
    "/domains/?range=30d",
    "/domains/technical/?range=30d",
    "/cost-and-quality/?range=30d",
    "/decisions/?range=90d",
    "/decisions/?range=90d&domain=legal&reason=router_failed",
    "/decisions/?range=90d&model=nobody/there",
    "/decisions/{id}/",
    "/models/?range=30d",
    "/lab/calibration/?domain=technical&range=30d&aim=share&wanted=0.3",
    "/lab/what-if/?domain=technical&range=30d&threshold=0.5",
    "/lab/what-if/?range=30d&threshold=0.5",
)


class PageTiming(NamedTuple):
    """Server time of one page, from the request to the whole answer.

    `cpu_ms` is the median of its processor time, which other programs disturb least.
    """

    path: str
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    queries: int


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(arguments.keep or f"{folder}/pages.sqlite3").resolve()
        results = measure(file, arguments.decisions, arguments.days, arguments.times)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print_table(results)


def measure(file: Path, decisions: int, days: int, times: int) -> dict[str, Any]:
    is_new = not file.exists()
    _set_up(file)
    from experiments.models import Decision

    if is_new:
        _fill(decisions, days)
    timings = [_time(path, times) for path in PATHS]
    return {
        "decisions": Decision.objects.count(),
        "load": round(os.getloadavg()[0], 1),
        "budget_ms": BUDGET_MS,
        "pages": [timing._asdict() for timing in timings],
    }


def print_table(results: dict[str, Any]) -> None:
    print(f"{results['decisions']:,} decisions, load {results['load']}\n")
    print(f"{'page':<60}{'p50 ms':>9}{'p95 ms':>9}{'cpu ms':>9}{'queries':>9}")
    for row in results["pages"]:
        over = "  over budget" if row["p95_ms"] > results["budget_ms"] else ""
        print(
            f"{row['path']:<60}{row['p50_ms']:>9.0f}{row['p95_ms']:>9.0f}"
            f"{row['cpu_ms']:>9.0f}{row['queries']:>9}{over}"
        )


def _fill(decisions: int, days: int) -> None:
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection

    from benchmarks.generated import Traffic, generate

    call_command("migrate", verbosity=0)
    call_command("seed")
    generate(Traffic(decisions, days))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    User.objects.create_superuser("bench")


def _time(path: str, times: int) -> PageTiming:
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client

    from experiments.models import Decision

    client = Client(HTTP_HOST="localhost")
    client.force_login(User.objects.get(username="bench"))
    newest = Decision.objects.values_list("id", flat=True).order_by("-created_at", "-id")
    address = path.replace("{id}", str(newest.first()))
    _get(client.get, address)  # warms up what a process keeps
    queries: list[str] = []

    def count(execute: Any, sql: str, *rest: Any) -> Any:
        queries.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(count):
        _get(client.get, address)
    runs = [_get(client.get, address) for _ in range(times)]
    seconds, cpu = sorted(run.wall for run in runs), sorted(run.cpu for run in runs)
    return PageTiming(
        path,
        round(1000 * seconds[len(seconds) // 2], 1),
        round(1000 * seconds[min(len(seconds) - 1, round(0.95 * len(seconds)))], 1),
        round(1000 * cpu[len(cpu) // 2], 1),
        len(queries),
    )


class _Run(NamedTuple):
    wall: float
    cpu: float


def _get(get: Callable[[str], Any], address: str) -> _Run:
    started, used = time.perf_counter(), time.process_time()
    response = get(address)
    elapsed = _Run(time.perf_counter() - started, time.process_time() - used)
    if response.status_code != 200:
        raise RuntimeError(f"{address} answered {response.status_code}.")
    return elapsed


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=30, help="Over how long they are spread.")
    parser.add_argument("--times", type=int, default=20, help="How often each page is asked for.")
    parser.add_argument("--keep", help="A database file to fill and to use again.")
    return parser.parse_args()


def _set_up(file: Path) -> None:
    os.environ |= {
        "DATABASE_URL": f"sqlite:///{file}",
        "DJANGO_SETTINGS_MODULE": "routing_site.settings",
        "SECRET_KEY": "benchmark-" + "x" * 50,
        "DEBUG": "false",
        "HTTPS": "false",
        "LOG_LEVEL": "ERROR",
    }
    import django

    django.setup()


if __name__ == "__main__":
    main()
