"""Learning on the page of a domain and on the overview: sentence, switches, changes, rounds."""

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from experiments.analysis.learning.worth import Bounded, Worth
from experiments.configuration.policy_store import store
from experiments.configuration.revisions import revision
from experiments.learning.pair_worth import as_document
from experiments.models import Domain, LearningRound, PolicyRevision, Router, ServingChange

PAGE = "/domains/technical/"
CAREFUL = "Financial, Legal, Medical stay off; switch them on one by one."


def text(client: Client, path: str = PAGE) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def learn(name: str = "technical") -> None:
    with revision("tests"):
        Domain.objects.filter(name=name).update(learning=True)
        from experiments.models import Flag

        Flag.objects.filter(key="routellm_learning").update(percentage=100)
    store.invalidate()


def add_round(number: int = 1, **values: object) -> LearningRound:
    now = timezone.now() + timedelta(seconds=number)
    usual: dict[str, object] = {
        "domain": "technical",
        "strong_model": "a",
        "weak_model": "b",
        "at": now,
        "through": now,
        "requests": 50 * number,
        "pairs": 8 * number,
        "ratings": 12,
        "z": 0.4 * number,
        "claim": "not shown",
        "serving_after": "local",
        "reason": f"The learned router does not look better yet; round {number}.",
        "milliseconds": 210.0,
    }
    return LearningRound.objects.create(**{**usual, **values})


def worth(**values: object) -> dict[str, object]:
    usual = Worth(
        140,
        0.5,
        Bounded(0.4, 0.3, 0.5),
        Bounded(0.71, 0.64, 0.78),
        Bounded(0.08, 0.05, 0.11),
        0.5,
        0.05,
    )
    return as_document(usual._replace(**values))  # type: ignore[arg-type]


def test_a_new_domain_says_that_learning_is_off_and_what_it_costs(operator: Client) -> None:
    page = text(operator)
    assert "What routing is worth here" in page
    assert "Learning is off." in page
    assert (
        "10 % of prompts are also answered by the other model, at most $1 a day; texts stay "
        "encrypted and are deleted after judging." in page
    )
    assert "Switch learning on" in page


def test_a_viewer_sees_the_sentence_and_no_switch(viewer: Client) -> None:
    page = text(viewer)
    assert "Learning is off." in page
    assert "Switch learning on" not in page
    assert viewer.post(f"{PAGE}learning/switch-on/").status_code == 403
    assert not Domain.objects.filter(learning=True).exists()


def test_one_click_switches_a_domain_on_and_another_one_off(operator: Client) -> None:
    operator.post(f"{PAGE}learning/switch-on/")
    page = text(operator)
    assert "Switch learning off" in page
    assert Domain.objects.get(name="technical").learning
    newest = PolicyRevision.objects.latest("number")
    assert (newest.author_name, newest.note) == ("olga", "Learning in technical: on")
    operator.post(f"{PAGE}learning/switch-off/")
    assert not Domain.objects.get(name="technical").learning


def test_the_overview_offers_the_switch_until_some_domain_learns(operator: Client) -> None:
    page = text(operator, "/")
    assert "Learn from your own traffic" in page
    assert "at most $1 a day" in page
    assert CAREFUL in page
    assert "It needs a judge first" in page
    response = operator.post("/learning/switch-on/", follow=True)
    assert "Learning is on in" in response.content.decode()
    assert "Learn from your own traffic" not in text(operator, "/")
    assert set(Domain.objects.filter(learning=False).values_list("name", flat=True)) == {
        "medical",
        "legal",
        "financial",
    }


def test_without_a_judge_the_page_says_what_learning_uses(operator: Client) -> None:
    learn()
    page = text(operator)
    assert "No judge is configured: no pairs are drawn" in page
    assert "Learning in technical" not in text(operator, "/")  # nothing was learned yet
    add_round(z=None, pairs=0)
    assert "Learning in technical" in text(operator, "/")


def test_the_page_shows_what_was_learned(operator: Client) -> None:
    learn()
    for number in range(1, 5):
        add_round(number, worth={"shipped": worth(), "learned": worth()})
    page = text(operator)
    assert "Recovers 71 % of the quality gap at half the cost (64 to 78 %)." in page
    assert "requests learned from" in page
    assert "The learned router does not look better yet; round 4." in page
    assert "Rounds of learning" in page
    assert "After 200 requests the learned router is 1.60 standard errors" in page
    assert "<dt>spent today of $1</dt>" in page
    assert "<dt>pairs so far of 400</dt>" in page


def test_the_weak_model_gets_everything_with_one_click(operator: Client) -> None:
    learn()
    add_round(worth={"shipped": worth(gap=Bounded(0.0, -0.02, 0.02), recovered=None)})
    assert "The weak model is as good on this traffic: send everything to it." in text(operator)
    assert "send everything to it" in text(operator, "/")
    operator.post(f"{PAGE}learning/send-to-weak/")
    assert Domain.objects.get(name="technical").method == "always_weak"


def test_a_proposal_waits_for_a_click(operator: Client) -> None:
    learn()
    add_round(worth={"shipped": worth()})
    Router.objects.create(name="learned_technical_1", kind="local")
    propose()
    page = text(operator)
    assert "A learned router waits for your approval." in page
    assert "Serve the learned router" in page
    assert "waits for your approval" in text(operator, "/")
    operator.post(f"{PAGE}learning/approve/")
    domain = Domain.objects.select_related("router").get(name="technical")
    assert domain.router is not None
    assert (domain.router.name, domain.threshold) == ("learned_technical_1", 0.4)
    page = text(operator)
    assert "Changes of the serving router" in page
    assert "Why learned_technical_1 serves: z = 1.20." in page
    assert "Undo the last change" in page
    operator.post(f"{PAGE}learning/undo/")
    domain = Domain.objects.select_related("router").get(name="technical")
    assert domain.router is not None
    assert (domain.router.name, domain.learning_mode) == ("local", "approval")


def test_a_declined_proposal_changes_nothing(operator: Client) -> None:
    learn()
    propose()
    operator.post(f"{PAGE}learning/decline/")
    assert ServingChange.objects.get().state == "declined"
    assert "waits for your approval" not in text(operator)


def test_an_undo_without_a_change_says_so(operator: Client) -> None:
    response = operator.post(f"{PAGE}learning/undo/", follow=True)
    assert "There is no change of the serving router to undo." in response.content.decode()


def test_an_unknown_step_is_not_found(operator: Client) -> None:
    assert operator.post(f"{PAGE}learning/dance/").status_code == 404
    assert operator.post("/domains/nothing/learning/undo/").status_code == 404
    assert operator.get(f"{PAGE}learning/undo/").status_code == 405


def propose() -> None:
    ServingChange.objects.create(
        domain="technical",
        at=timezone.now(),
        by="learning",
        state="proposed",
        router_before="local",
        threshold_before=0.75,
        router_after="learned_technical_1",
        threshold_after=0.4,
        reason="z = 1.20.",
    )
