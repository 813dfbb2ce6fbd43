"""`/decisions/`, `/decisions/<id>/` and the exports."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from uuid6 import uuid7

from experiments.decisions.outcomes import OutcomeReport, Rating, record_feedback, record_outcome
from experiments.models import Decision, Domain, Outcome, PruneMark
from experiments.routing.route import RouteRequest, route


def routed(text: str = "Explain recursion.", **fields: Any) -> Decision:
    return route(RouteRequest(text, **{"domain": "technical", "unit_id": "u", **fields}))


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def test_the_list_shows_the_newest_first(viewer: Client) -> None:
    rows = [routed() for _ in range(3)]
    page = viewer.get("/decisions/").content.decode()
    places = [page.index(f"/decisions/{row.id}/") for row in reversed(rows)]
    assert places == sorted(places)


def test_a_filter_is_in_the_form_and_in_the_links(viewer: Client) -> None:
    routed()
    routed(domain="legal")
    page = viewer.get("/decisions/?domain=legal&cost_from=0").content.decode()
    assert page.count('<th scope="row"') == 1
    assert "<option selected>legal</option>" in page
    assert "/decisions/export.csv?domain=legal&amp;cost_from=0" in page


def test_pages_lead_on_and_keep_the_filter(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.decisions.queries.decision_page.__defaults__", (None, None, 2))
    rows = [routed() for _ in range(3)]
    page = viewer.get("/decisions/?domain=technical").content.decode()
    assert page.count('<th scope="row"') == 2
    older = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert older.startswith("?domain=technical&before=")
    further = viewer.get(f"/decisions/{older}").content.decode()
    assert f"/decisions/{rows[0].id}/" in further
    assert "No older decisions" in further


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("revision=one", "“revision” must be a revision number; got “one”. It is ignored."),
        (
            "cost_from=-1",
            "“cost_from” must be an amount in dollars, such as 0.001; got “-1”. It is ignored.",
        ),
        ("cost_to=1e99", "“cost_to” must be an amount in dollars"),
        ("range=custom&from=x&to=y", "A custom range needs “from” and “to”"),
        ("model=%00", "“model” is not a valid name."),
    ],
)
def test_what_the_address_gets_wrong_is_said(viewer: Client, query: str, problem: str) -> None:
    response = viewer.get(f"/decisions/?{query}")
    assert response.status_code == 200
    assert problem in response.content.decode()


def test_a_forged_mark_shows_the_newest(viewer: Client) -> None:
    row = routed()
    for mark in ("x", "2026-11-22_y", f"2026-11-22_{row.id}"):
        assert f"/decisions/{row.id}/" in viewer.get(f"/decisions/?before={mark}").content.decode()


def test_nothing_matches_is_not_the_first_run(viewer: Client) -> None:
    routed()
    assert "No decision matches." in viewer.get("/decisions/?domain=legal").content.decode()


def test_queries_of_the_list_do_not_grow(
    viewer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(5):
        routed()
    with django_assert_num_queries(9):
        viewer.get("/decisions/")


def test_a_decision_is_a_path_with_what_came_of_it(
    viewer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    row = routed()
    record_outcome(
        row.id, OutcomeReport(timezone.now(), 1100, 212, 3254.4, success=True), timezone.now()
    )
    rating = Rating(UUID(str(row.id)), "quality", 1.0, "human", timezone.now(), "good")
    record_feedback([rating], timezone.now())
    with django_assert_num_queries(8):
        page = viewer.get(f"/decisions/{row.id}/").content.decode()
    assert f"Sent to {row.model}" in page
    assert page.count('class="step step-') >= 6
    assert "1,100 in, 212 out" in page
    assert "3,254 ms" in page
    assert "succeeded" in page
    assert "<td>human</td>" in page


def test_a_prompt_that_is_not_stored_says_why(viewer: Client) -> None:
    page = viewer.get(f"/decisions/{routed('My secret.').id}/").content.decode()
    assert "My secret." not in page
    assert "Not stored: the domain technical does not store prompts." in page


def test_a_prompt_that_is_stored_is_shown_and_harmless(viewer: Client) -> None:
    row = routed()
    Decision.objects.update(text="<script>alert(1)</script>")
    page = viewer.get(f"/decisions/{row.id}/").content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page


def test_features_are_not_the_text(viewer: Client) -> None:
    row = routed()
    Domain.objects.filter(name="technical").update(prompt_storage="features")
    page = viewer.get(f"/decisions/{row.id}/").content.decode()
    assert "stores features of prompts, not their text" in page


def test_no_such_decision(viewer: Client) -> None:
    response = viewer.get(f"/decisions/{uuid7()}/")
    assert response.status_code == 404
    assert "Unknown decision" in response.content.decode()


def test_a_pruned_decision_is_gone(viewer: Client) -> None:
    PruneMark.objects.create(pruned_before=timezone.now() + timedelta(days=1))
    response = viewer.get(f"/decisions/{uuid7()}/")
    assert response.status_code == 410
    assert "was pruned" in response.content.decode()


def test_csv_has_what_is_filtered_in_utc_and_exact_dollars(viewer: Client) -> None:
    row = routed()
    routed(domain="legal")
    at = datetime.now(UTC).replace(microsecond=5)
    Decision.objects.filter(pk=row.id).update(created_at=at, cost=1_234_567)
    response = viewer.get("/decisions/export.csv?domain=technical")
    assert response["Content-Disposition"] == 'attachment; filename="decisions.csv"'
    (line,) = csv.DictReader(io.StringIO(body(response).decode()))
    assert line["id"] == str(row.id)
    assert line["created_at"] == at.strftime("%Y-%m-%dT%H:%M:%S.000005Z")
    assert line["cost_usd"] == "0.001234567"
    assert "text" not in line


def test_csv_disarms_formulas(viewer: Client) -> None:
    routed()
    Decision.objects.update(model="=1+1")
    (line,) = csv.DictReader(io.StringIO(body(viewer.get("/decisions/export.csv")).decode()))
    assert line["model"] == "'=1+1"


def test_parquet_has_types(viewer: Client) -> None:
    row = routed()
    Decision.objects.update(cost=1_234_567, cost_strong=None)
    table = pq.read_table(io.BytesIO(body(viewer.get("/decisions/export.parquet"))))
    (line,) = table.to_pylist()
    assert line["id"] == str(row.id)
    assert line["created_at"].tzinfo is not None
    assert line["cost_usd"] == Decimal("0.001234567")
    assert line["cost_strong_usd"] is None
    assert "text" not in line


def test_an_export_of_nothing_has_its_columns(viewer: Client) -> None:
    assert body(viewer.get("/decisions/export.csv")).startswith(b"id,created_at,domain")
    table = pq.read_table(io.BytesIO(body(viewer.get("/decisions/export.parquet"))))
    assert table.num_rows == 0


def test_an_outcome_without_tokens_has_no_cost_of_its_own(viewer: Client) -> None:
    row = routed()
    report = OutcomeReport(timezone.now(), success=False, error="timed out")
    record_outcome(row.id, report, timezone.now())
    assert Outcome.objects.count() == 1
    page = viewer.get(f"/decisions/{row.id}/").content.decode()
    assert "failed</span>: timed out" in page
    assert "not reported in, not reported out" in page
