"""/healthz and /readyz, and what lies beside the API."""

from django.test import Client

from experiments.models import PolicyRevision
from experiments.services.engine import engine
from experiments.services.policies import store


def test_it_works(seeded: None, client: Client) -> None:
    engine.warm_up(store.current())
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["status"] == "ready"
    assert {"name": "local", "ready": True, "detail": "Loaded."} in response.json()["routers"]


def test_the_process_lives_without_a_database(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


def test_without_a_configuration_it_is_not_ready_and_says_why(db: None, client: Client) -> None:
    PolicyRevision.objects.all().delete()
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "manage.py seed" in response.json()["detail"]


def test_an_unknown_address_of_the_api_is_404_as_json(client: Client) -> None:
    response = client.post("/api/v1/rout", {}, "application/json")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"
