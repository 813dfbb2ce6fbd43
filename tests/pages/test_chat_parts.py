"""The parts of `/chat/` that need no browser: who may, what is refused, what is stored."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from experiments.configuration.revisions import revision
from experiments.models import Decision, Feedback, Flag
from experiments.routing.route import RouteRequest, route


@pytest.fixture
def row(seeded: None) -> Decision:
    return route(RouteRequest("Explain <b>recursion</b>."))


def rate(client: Client, decision_id: object, rating: str) -> int:
    address = f"/chat/decisions/{decision_id}/rating/"
    return client.post(address, {"rating": rating}).status_code


def test_the_newest_thumb_counts(operator: Client, row: Decision) -> None:
    assert [rate(operator, row.pk, rating) for rating in ("good", "bad")] == [204, 204]
    rating = Feedback.objects.get()
    assert (rating.metric, rating.source, rating.value) == ("quality", "user", 0.0)


def test_what_is_no_thumb_is_refused(operator: Client, row: Decision) -> None:
    assert rate(operator, row.pk, "splendid") == 400
    assert rate(operator, uuid4(), "good") == 404
    assert operator.get(f"/chat/decisions/{row.pk}/rating/").status_code == 405
    assert not Feedback.objects.exists()


def test_with_feedback_off_a_thumb_says_so(operator: Client, row: Decision) -> None:
    with revision("tests"):
        Flag.objects.filter(key="routellm_quality_feedback").update(percentage=0)
    assert rate(operator, row.pk, "good") == 403


def test_a_viewer_gives_no_thumbs(viewer: Client, row: Decision) -> None:
    assert rate(viewer, row.pk, "good") == 403
    assert not Feedback.objects.exists()


def test_a_thumb_needs_the_pages_token(row: Decision) -> None:
    User.objects.create_superuser("ada", password="a long password")
    client = Client(enforce_csrf_checks=True)
    client.login(username="ada", password="a long password")
    assert rate(client, row.pk, "good") == 403


def test_why_is_a_part_and_not_a_page(viewer: Client, row: Decision) -> None:
    part = viewer.get(f"/chat/decisions/{row.pk}/").content.decode()
    assert 'class="explanation"' in part
    assert "<html" not in part
    assert "not reported yet" not in part
    assert viewer.get(f"/chat/decisions/{uuid4()}/").status_code == 404


def test_strangers_are_asked_to_log_in(row: Decision) -> None:
    assert Client().get("/chat/").status_code == 302
    assert Client().get(f"/chat/decisions/{row.pk}/").status_code == 302
