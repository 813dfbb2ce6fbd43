"""/healthz and /readyz, and unknown paths next to the API."""

import pytest
from django.db import connection
from django.test import Client

from experiments.api.health import check
from experiments.configuration.policy_store import store
from experiments.configuration.revisions import publish
from experiments.models import Domain, LanguageModel, PolicyRevision, Router, WriteProbe
from experiments.routing.runtime import engine


def test_it_works(seeded: None, client: Client) -> None:
    engine.warm_up(store.current())
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["status"] == "ready"
    assert {"name": "local", "ready": True, "detail": "Loaded."} in response.json()["routers"]


def test_healthz_needs_no_database(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


def test_a_router_that_no_policy_uses_is_not_waited_for(seeded: None, client: Client) -> None:
    engine.warm_up(store.current())
    Router.objects.create(name="gone", kind="local_mf", arguments={"checkpoint_path": "/nowhere"})
    publish("ann")
    response = client.get("/readyz")
    assert response.json()["status"] == "ready"
    (gone,) = [router for router in response.json()["routers"] if router["name"] == "gone"]
    assert not gone["ready"]


@pytest.mark.parametrize("place", ["domain", "step"])
def test_a_router_that_a_policy_uses_is_waited_for(
    seeded: None, client: Client, place: str
) -> None:
    Router.objects.create(name="gone", kind="local_mf", arguments={"checkpoint_path": "/nowhere"})
    domain = Domain.objects.get(name="technical")
    if place == "domain":
        domain.router = Router.objects.get(name="gone")
    else:
        domain.between = [
            {"model": LanguageModel.objects.all()[0].name, "router": "gone", "threshold": 0.4}
        ]
    domain.save()
    publish("ann")
    engine.warm_up(store.current())
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["detail"] == "Not loaded yet: gone."


def test_the_probe_leaves_no_row(seeded: None, client: Client) -> None:
    client.get("/readyz")
    assert not WriteProbe.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_takes_no_writes_is_not_ready(seeded: None) -> None:
    with connection.cursor() as cursor:
        is_sqlite = connection.vendor == "sqlite"
        cursor.execute(
            "PRAGMA query_only = ON"
            if is_sqlite
            else "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"
        )
        try:
            status, body = check(30.0)
        finally:
            cursor.execute(
                "PRAGMA query_only = OFF"
                if is_sqlite
                else "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"
            )
    assert (status, body["detail"]) == (503, "The database cannot be written.")


def test_without_a_configuration_it_is_not_ready_and_says_why(db: None, client: Client) -> None:
    PolicyRevision.objects.all().delete()
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "manage.py seed" in response.json()["detail"]


def test_an_unknown_path_of_the_api_is_404_as_json(client: Client) -> None:
    response = client.post("/api/v1/rout", {}, "application/json")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"
