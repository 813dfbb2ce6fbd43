"""The real server: any request, many callers at once, a busy database."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode

from tests.api.server import KEY, Server, locked

pytestmark = pytest.mark.server
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}


def test_no_request_is_answered_with_5xx(server: Server) -> None:
    """Requests generated from the OpenAPI document, valid and broken."""
    described = schemathesis.openapi.from_url(f"{server.url}/api/schema/?format=json")
    operations = [result.ok() for result in described.get_all_operations()]
    assert len(operations) >= 10
    for operation in operations:
        for mode in GenerationMode:
            cases = operation.as_strategy(generation_mode=mode)
            answered_below_500(cases)


def answered_below_500(cases: SearchStrategy[Case]) -> None:
    @given(cases)
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    def check(case: Case) -> None:
        response = case.call(headers=AUTHORIZED)
        assert response.status_code < 500, (response.text, case.as_curl_command())

    check()


def test_it_works(server: Server) -> None:
    response = server.post("/api/v1/route", {"text": "Fix my loop.", "unit_id": "u"})
    assert response.status_code == 201
    found = httpx.get(
        f"{server.url}/api/v1/decisions/{response.json()['decision_id']}", headers=AUTHORIZED
    )
    assert found.json() == response.json()


def _counted(server: Server) -> dict[str, int]:
    """Educational decisions, from the rows and from both kinds of totals."""
    columns = {
        "decision": "COUNT(*)",
        "rollup": "COALESCE(SUM(decisions), 0)",
        "unitsum": "COALESCE(SUM(decisions), 0)",
    }
    with sqlite3.connect(server.database) as database:
        return {
            table: database.execute(
                f"SELECT {column} FROM experiments_{table} WHERE domain = 'educational'"
            ).fetchone()[0]
            for table, column in columns.items()
        }


def test_many_callers_at_once_are_all_answered_and_counted(server: Server) -> None:
    def ask(i: int) -> httpx.Response:
        body = {"text": f"Question {i}", "unit_id": f"crowd-{i % 10}", "domain": "educational"}
        return server.post("/api/v1/route", body)

    before = _counted(server)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(200)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["decision_id"] for answer in answers}) == 200
    after = _counted(server)
    assert {table: after[table] - before[table] for table in after} == {
        "decision": 200,
        "rollup": 200,
        "unitsum": 200,
    }


def test_a_busy_database_is_503_with_retry_after_and_nothing_is_written(server: Server) -> None:
    before = decisions(server)
    with locked(server):
        answer = server.post("/api/v1/route", {"text": "a"})
        batch = server.post("/api/v1/route/batch", {"items": [{"text": "a"}, {"text": "b"}]})
    for refused in (answer, batch):
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "1"
        assert refused.json()["error"]["code"] == "storage_unavailable"
    assert decisions(server) == before
    assert server.post("/api/v1/route", {"text": "a"}).status_code == 201


def test_a_dry_run_needs_no_write_lock(server: Server) -> None:
    with locked(server):
        assert server.post("/api/v1/route", {"text": "a", "dry_run": True}).status_code == 200


@pytest.mark.parametrize(("repeated", "status"), [(1, 201), (2**20, 413), (6 * 2**20, 413)])
def test_a_body_of_unknown_length_is_taken_up_to_the_limit(
    server: Server, repeated: int, status: int
) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"text": "'
        for start in range(0, repeated, 2**16):
            yield b"a" * min(2**16, repeated - start)
        yield b'"}'

    headers = {**AUTHORIZED, "Content-Type": "application/json"}
    response = httpx.post(f"{server.url}/api/v1/route", content=chunks(), headers=headers)
    assert response.status_code == status


def test_a_body_over_one_mebibyte_is_refused(server: Server) -> None:
    assert server.post("/api/v1/route", {"text": "a" * 2**20}).status_code == 413


def test_the_kill_switch_acts_in_every_process_within_a_second(server: Server) -> None:
    def throw(percentage: int) -> None:
        script = (
            "from experiments.models import Flag\n"
            "from experiments.configuration.revisions import revision\n"
            f"with revision('ann'): Flag.objects.filter(key='routellm_enabled')"
            f".update(percentage={percentage})"
        )
        server.manage("shell", "-v0", "-c", script)

    throw(0)
    try:
        time.sleep(1)
        # One connection each, so that both processes serve calls.
        answers = [server.post("/api/v1/route", {"text": "Fix my loop."}) for _ in range(20)]
        assert {answer.json()["reason"] for answer in answers} == {"master_flag_off"}
    finally:
        throw(100)


def test_two_operators_at_once_both_get_their_revision(server: Server) -> None:
    script = """
import time
from decimal import Decimal
from experiments.models import Flag
from experiments.configuration.revisions import revision
with revision("{who}"):
    Flag.objects.filter(key="routellm_{domain}_domain").update(percentage=Decimal("12.5"))
    time.sleep(0.3)
"""
    people = {"ann": "legal", "bob": "medical"}
    with ThreadPoolExecutor(2) as pool:
        list(
            pool.map(
                lambda who: server.manage(
                    "shell", "-v0", "-c", script.format(who=who, domain=people[who])
                ),
                people,
            )
        )
    with sqlite3.connect(server.database) as database:
        authors = database.execute("SELECT author_name FROM experiments_policyrevision").fetchall()
    assert {("ann",), ("bob",)} <= set(authors)
    flags = httpx.get(f"{server.url}/api/v1/flags", headers=AUTHORIZED).json()["results"]
    shares = {flag["domain"]: flag["percentage"] for flag in flags}
    assert (shares["legal"], shares["medical"]) == (12.5, 12.5)


def decisions(server: Server) -> int:
    with sqlite3.connect(server.database) as database:
        count: int = database.execute("SELECT COUNT(*) FROM experiments_decision").fetchone()[0]
        return count
