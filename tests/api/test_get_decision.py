"""GET /api/v1/decisions/{id}."""

from datetime import UTC, datetime
from uuid import uuid4

from uuid6 import uuid7

from experiments.models import Decision, PruneMark
from tests.api.client import API

DECISIONS = "/api/v1/decisions"
OLD = "01890000-0000-7000-8000-000000000000"  # made on 2023-06-28


def test_it_works(api: API) -> None:
    made = api.route("Write a poem.", unit_id="u1", metadata={"team": "web"})
    assert api.get(f"{DECISIONS}/{made['decision_id']}").data == made


def test_an_unknown_decision_is_404(api: API) -> None:
    assert api.get(f"{DECISIONS}/{uuid7()}").fault == (404, "decision_id", "decision_not_found")


def test_a_pruned_decision_is_410(api: API) -> None:
    PruneMark.objects.create(pruned_before=datetime(2024, 1, 1, tzinfo=UTC))
    assert api.get(f"{DECISIONS}/{OLD}").fault == (410, "decision_id", "decision_pruned")


def test_an_unknown_decision_after_the_prune_mark_is_404(api: API) -> None:
    PruneMark.objects.create(pruned_before=datetime(2023, 1, 1, tzinfo=UTC))
    assert api.get(f"{DECISIONS}/{OLD}").status == 404


def test_an_id_without_a_time_is_404(api: API) -> None:
    PruneMark.objects.create(pruned_before=datetime(2024, 1, 1, tzinfo=UTC))
    assert api.get(f"{DECISIONS}/{uuid4()}").status == 404
    assert api.get(f"{DECISIONS}/ffffffff-ffff-7fff-8fff-ffffffffffff").status == 404


def test_an_invalid_uuid_is_404(api: API) -> None:
    response = api.client.get(f"{DECISIONS}/latest", headers=api.headers)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


def test_deleting_its_domain_and_model_keeps_the_decision(api: API) -> None:
    from experiments.configuration.revisions import revision
    from experiments.models import Domain, LanguageModel

    made = api.route("Write a poem.", domain="creative")
    with revision("test"):
        Domain.objects.get(name="creative").delete()
        LanguageModel.objects.exclude(name__in=("openai/gpt-4.1", "openai/gpt-4.1-mini")).delete()
    assert api.get(f"{DECISIONS}/{made['decision_id']}").data == made
    assert Decision.objects.count() == 1
