"""POST /api/v1/route/batch."""

from django.db import connection

from experiments.models import Decision
from tests.api.client import API

BATCH = "/api/v1/route/batch"


def test_it_works(api: API) -> None:
    items = [{"text": "Write a poem.", "unit_id": "u1"}, {"text": "Fix my loop.", "dry_run": True}]
    answer = api.post(BATCH, {"items": items})

    assert answer.status == 200
    first, second = answer.data["results"]
    assert (first["status"], second["status"]) == (201, 200)
    assert first["decision"]["sticky"] is True
    assert str(Decision.objects.get().pk) == first["decision"]["decision_id"]


def test_each_item_is_refused_separately_in_the_same_order(api: API) -> None:
    items = [{"text": ""}, {"text": "a"}, {"text": "a", "domain": "astrology"}, 5]
    results = api.post(BATCH, {"items": items}).data["results"]

    assert [result["status"] for result in results] == [400, 201, 400, 400]
    assert results[0]["error"]["param"] == "items[0].text"
    assert results[2]["error"]["code"] == "unknown_name"
    assert results[3]["error"]["param"] == "items[3]"
    assert Decision.objects.count() == 1


def test_256_items_are_taken_and_257_refused(api: API) -> None:
    assert len(api.post(BATCH, {"items": [{"text": "a"}] * 256}).data["results"]) == 256
    assert Decision.objects.count() == 256
    answer = api.post(BATCH, {"items": [{"text": "a"}] * 257})
    assert answer.fault == (400, "items", "out_of_range")


def test_without_items_is_refused(api: API) -> None:
    assert api.post(BATCH, {}).fault == (400, "items", "missing")
    assert api.post(BATCH, {"items": []}).fault == (400, "items", "out_of_range")


def test_all_are_stored_or_none(api: API) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE experiments_rollup RENAME TO gone")
    answer = api.post(BATCH, {"items": [{"text": "a"}, {"text": "b"}]})
    assert answer.fault == (503, None, "storage_unavailable")
    assert not Decision.objects.exists()
