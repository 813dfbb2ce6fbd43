"""`/playground/`: where a prompt would go, and nothing stored."""

import pytest
from django.test import Client

from experiments.configuration.policy_store import store
from experiments.configuration.revisions import revision
from experiments.models import Decision, Flag, Rollup, UnitSum

PAGE = "/playground/"
HARD = "Prove that the square root of two is irrational."


def answer(client: Client, text: str = HARD, **sent: str) -> str:
    response = client.post(PAGE, {"text": text, **sent}, headers={"X-Partial": "1"})
    assert response.status_code == 200
    return response.content.decode()


@pytest.fixture(autouse=True)
def _warm(viewer: Client) -> None:
    """Routers load behind the first request; here they are there at once."""
    from experiments.routing.runtime import engine

    engine.warm_up(store.current())


def test_an_empty_page_invites_to_type(viewer: Client) -> None:
    page = viewer.get(PAGE).content.decode()
    assert "nothing is stored" in page
    assert "Type a prompt and press Enter" in page


def test_a_prompt_is_tried_and_nothing_is_stored(viewer: Client) -> None:
    part = answer(viewer, first_domain="technical")
    assert "Sent to openai/gpt-4.1" in part
    assert 'class="explanation"' in part
    assert "<html" not in part
    assert "outcome" not in part
    assert [model.objects.count() for model in (Decision, Rollup, UnitSum)] == [0, 0, 0]


def test_it_works_without_script(viewer: Client) -> None:
    page = viewer.post(PAGE, {"text": HARD}).content.decode()
    assert "<html" in page
    assert 'class="explanation"' in page
    assert HARD in page


def test_an_example_is_tried(viewer: Client) -> None:
    page = viewer.post(PAGE, {"text": "", "example": "Write a haiku."}).content.decode()
    assert "Write a haiku.</textarea>" in page
    assert 'class="explanation"' in page


def test_two_policies_stand_side_by_side(viewer: Client) -> None:
    part = answer(viewer, first_policy="always_strong", second_policy="always_weak")
    assert (
        "Always the strong model: openai/gpt-4.1, $0.0024; always the weak model: "
        "openai/gpt-4.1-mini, $0.00048, which is 80 % less." in part
    )
    assert part.count('class="explanation"') == 2


def test_two_domains_stand_side_by_side(viewer: Client) -> None:
    part = answer(
        viewer,
        first_policy="routed",
        first_domain="legal",
        second_policy="routed",
        second_domain="creative",
    )
    assert "As legal, the domain&#x27;s policy, for everybody" in part
    assert "As creative, the domain&#x27;s policy, for everybody" in part


def test_a_threshold_of_ones_own_decides(viewer: Client) -> None:
    part = answer(
        viewer,
        first_policy="threshold",
        first_threshold="0",
        second_policy="threshold",
        second_threshold="1",
    )
    assert "Its router at 0: openai/gpt-4.1," in part
    assert "its router at 1: openai/gpt-4.1-mini," in part


def test_a_policy_is_tried_although_the_flag_is_off(viewer: Client) -> None:
    with revision("tests"):
        Flag.objects.filter(key="routellm_enabled").update(percentage=0)
    part = answer(viewer, first_policy="always_weak", first_domain="creative")
    assert "Sent to openai/gpt-4.1-mini" in part
    assert "always the weak model" in part


def test_what_is_not_understood_is_left_out(viewer: Client) -> None:
    assert 'class="explanation"' in answer(viewer, first_policy="magic", first_threshold="much")
    assert "Unknown domain &#x27;cooking&#x27;" in answer(viewer, first_domain="cooking")
    assert "at most 100,000 characters" in answer(viewer, "x" * 100_001)


def test_the_prompt_is_shown_as_text(viewer: Client) -> None:
    page = viewer.post(PAGE, {"text": "<script>alert(1)</script>"}).content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
