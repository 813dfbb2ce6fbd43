"""Behind pgbouncer in transaction mode, with another connection of the server each time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, transaction

from experiments.configuration.policy_store import store
from experiments.models import OutcomeSet, RecordedOutcome
from tests.storage.fresh_database import fresh_database
from tests.storage.pgbouncer import PROGRAM, pgbouncer
from tests.storage.test_installing_at_once import start

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed"),
]


@pytest.fixture
def pooled(tmp_path: Path) -> Iterator[str]:
    if connection.vendor != "postgresql":
        pytest.skip("pgbouncer is for PostgreSQL")
    with fresh_database(tmp_path) as url, pgbouncer(url) as through:
        yield through


@pytest.fixture
def through_it(tmp_path: Path) -> Iterator[None]:
    """The tests' own database, through pgbouncer."""
    if connection.vendor != "postgresql":
        pytest.skip("pgbouncer is for PostgreSQL")
    settings = connection.settings_dict
    before = {name: settings[name] for name in ("HOST", "PORT")}
    user = settings["USER"] or "postgres"
    host, port = settings["HOST"] or "127.0.0.1", settings["PORT"] or 5432
    connection.close()
    with pgbouncer(f"postgres://{user}@{host}:{port}/{settings['NAME']}") as through:
        settings.update({"HOST": "127.0.0.1", "PORT": through.rpartition(":")[2].split("/")[0]})
        try:
            yield
        finally:
            connections[DEFAULT_DB_ALIAS].close()
            settings.update(before)


def run(url: str, *arguments: str) -> str:
    with start(url, *arguments) as process:
        said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return said


def test_commands_work_through_it(pooled: str, tmp_path: Path) -> None:
    """Two commands at once too: the lock belongs to a transaction, so the pooler keeps it."""
    with start(pooled, "prepare") as one, start(pooled, "prepare") as other:
        said = [process.communicate(timeout=240)[0] for process in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], said
    assert "".join(said).count("Seeded: ") == 1
    rows = "\n".join(f"Prompt number {i},{i % 2},{i % 3 // 2}" for i in range(2_500))
    (tmp_path / "rows.csv").write_text(f"prompt,strong_score,weak_score\n{rows}\n")
    assert "2,500 rows added" in run(pooled, "import_outcomes", str(tmp_path / "rows.csv"))
    assert "PGR" in run(pooled, "evaluate_router", "local", "rows")
    assert "domain" in run(pooled, "route", "Prove it.", "--store")
    assert "Recounted 1 decision" in run(pooled, "rebuild_rollups")


def test_results_are_read_in_chunks(through_it: None) -> None:
    rows = OutcomeSet.objects.create(
        name="s", strong_model="a", weak_model="b", created_at=NOW, updated_at=NOW
    )
    RecordedOutcome.objects.bulk_create(
        RecordedOutcome(
            outcome_set=rows, prompt=f"p{i}", digest=f"{i}", strong_score=1, weak_score=0
        )
        for i in range(50)
    )
    connection.close()  # the first read of a process detects this
    rows_read = RecordedOutcome.objects.order_by("id").values_list("prompt").iterator(5)
    next(rows_read)
    with keeps_the_connection_used_last():
        assert len(list(rows_read)) == 49
    assert connection.is_pooled  # type: ignore[attr-defined]
    with transaction.atomic():
        assert len(list(RecordedOutcome.objects.all().iterator(chunk_size=7))) == 50


@contextmanager
def keeps_the_connection_used_last() -> Iterator[None]:
    """Another client's open transaction, so that our next statement gets another connection."""
    settings = connection.settings_dict
    where = f"host={settings['HOST']} port={settings['PORT']} dbname={settings['NAME']}"
    with psycopg.connect(f"{where} user={settings['USER'] or 'postgres'}") as other:
        other.execute("SELECT 1")
        yield


def test_limits_hold_in_a_transaction_and_stay_in_it(through_it: None) -> None:
    options = connection.settings_dict["OPTIONS"]
    before = options.get("limits")
    options["limits"] = {"statement": 0.4, "lock": 0.2}
    connection.close()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("400ms",)
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() == ("200ms",)
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("0",)
        with (
            pytest.raises(OperationalError, match="statement timeout"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT pg_sleep(5)")
    finally:
        options.pop("limits")
        if before is not None:
            options["limits"] = before


def test_no_statement_is_prepared_on_a_connection_of_the_server(through_it: None) -> None:
    for _ in range(20):
        assert RecordedOutcome.objects.filter(prompt="x").count() == 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        assert cursor.fetchone() == (0,)


def test_decisions_of_many_threads(through_it: None) -> None:
    from experiments.models import Decision, Rollup
    from experiments.routing.route import RouteRequest, route
    from experiments.routing.runtime import engine
    from tests.installation import install

    install()
    engine.warm_up(store.current())
    errors: list[Exception] = []

    def decide(number: int) -> None:
        try:
            for i in range(10):
                route(RouteRequest(f"Prompt {number} {i}", unit_id=f"u{i}"))
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=decide, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Decision.objects.count() == 80
    assert sum(Rollup.objects.values_list("decisions", flat=True)) == 80


def test_without_a_pooler_nothing_changes() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("pgbouncer is for PostgreSQL")
    connection.ensure_connection()
    assert not connection.is_pooled  # type: ignore[attr-defined]
