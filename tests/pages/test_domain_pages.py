"""`/domains/` and `/domains/<name>/`."""

import json
import re
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from experiments.configuration.revisions import revision
from experiments.experimentation import lifecycle
from experiments.models import Domain, RollupBin, ThresholdTable
from experiments.routing import runtime
from tests.experiment_rows import draft, running
from tests.rollup_rows import hour

NOW = timezone.now().replace(minute=0, second=0, microsecond=0)


def some_traffic(rated: int = 1000) -> None:
    hour("technical", "strong", at=NOW, decisions=4000, liked=int(rated * 0.95), rated=rated)
    hour("technical", "weak", at=NOW, decisions=6000, liked=int(rated * 0.80), rated=rated)
    for kind, name in (("score:local", "04"), ("score:local", "15"), ("confidence", "09")):
        RollupBin.objects.create(hour=NOW, domain="technical", kind=kind, bin=name, count=50)
    RollupBin.objects.create(hour=NOW, domain="technical", kind="runner_up", bin="legal", count=7)


def embedded(page: str, name: str) -> Any:
    found = re.search(rf'<script id="{name}" type="application/json">(.*?)</script>', page)
    assert found
    return json.loads(found[1])


def test_the_sentence_says_what_was_saved_and_what_it_did(viewer: Client) -> None:
    some_traffic()
    page = viewer.get("/domains/technical/").content.decode()
    assert "Technical saved $54.00 (54 %) in the last 7 days against always strong." in page
    assert (
        "Quality fell in technical: the weak model&#x27;s answers are rated \N{MINUS SIGN}0.15"
        in page
    )
    assert "Next: lower the threshold, or switch the flag off." in page


def test_too_few_ratings_are_said_with_their_number(viewer: Client) -> None:
    some_traffic(rated=12)
    page = viewer.get("/domains/technical/").content.decode()
    assert "the model with fewer ratings has 12 of 100" in page


def test_every_threshold_has_its_sentence(viewer: Client) -> None:
    some_traffic()
    moves = embedded(viewer.get("/domains/technical/").content.decode(), "threshold-moves")
    assert len(moves["summaries"]) == 101
    # Half of the scores lie in [0.75, 0.80): half to the strong model, at $10 and $1 per 1,000.
    assert moves["summaries"][50] == (
        "At 0.50, 50 % would go to the strong model: about $5.50 per 1,000 requests."
    )


def test_a_change_of_the_domain_is_on_the_axis_and_in_the_list(viewer: Client) -> None:
    some_traffic()
    with revision("olga"):
        row = Domain.objects.get(name="technical")
        row.threshold = 0.41
        row.save()
    page = viewer.get("/domains/technical/").content.decode()
    shapes = embedded(page, "cost")["layout"]["shapes"]
    assert [shape["label"]["text"] for shape in shapes][-1] == "r2"
    assert "<td>olga</td>" in page
    assert "threshold" in page


def test_an_experiment_on_the_domain_is_on_the_axis_too(viewer: Client) -> None:
    """It moves the domain's cost like a change of its policy; another domain's does not."""
    some_traffic()
    row = running("cheaper", now=timezone.now())
    draft("elsewhere", domain="legal")
    draft("planned", domain="technical")
    lifecycle.stop(row, "olga", timezone.now(), reason="Done", verdict="")
    page = viewer.get("/domains/technical/").content.decode()
    listed = page[page.index('id="changes-head"') :]
    assert "Experiment cheaper: status: draft → running" in listed
    assert "Experiment cheaper: status: running → stopped" in listed
    assert "planned" not in listed
    assert "elsewhere" not in listed
    shapes = embedded(page, "cost")["layout"]["shapes"]
    assert len([shape for shape in shapes if "label" in shape]) == 2


def test_a_domain_without_traffic_invites(viewer: Client) -> None:
    page = viewer.get("/domains/medical/").content.decode()
    assert "No decision in the last 7 days." in page
    assert "the effect of another threshold" in page


def test_an_unknown_domain_names_the_known(viewer: Client) -> None:
    response = viewer.get("/domains/astrology/")
    assert response.status_code == 404
    assert "Unknown domain “astrology”" in response.content.decode()
    assert 'href="/domains/legal/"' in response.content.decode()


def add_tables(count: int, jump: float | None = None) -> None:
    ThresholdTable.objects.bulk_create(
        ThresholdTable(
            domain="technical",
            router="local",
            checkpoint="sha",
            number=number,
            at=NOW - timedelta(minutes=count - number),
            cuts=[
                {"share": 0.5, "wanted": 0.5, "threshold": 0.7 + number / 10_000, "tie_share": 1.0}
            ],
            basis="domain",
            scores=200,
            jump=jump if number == count else None,
        )
        for number in range(1, count + 1)
    )


def test_the_target_panel_says_what_the_domain_aims_at_and_what_it_got(viewer: Client) -> None:
    hour("technical", "strong", at=NOW, decisions=490)
    hour("technical", "weak", at=NOW, decisions=510)
    hour("technical", "strong", at=NOW, decisions=900, experiment="other", arm="control")
    add_tables(20, jump=0.5)
    runtime.tables.read()
    page = viewer.get("/domains/technical/").content.decode()
    assert (
        "The target is 50 % for the strong model. The strong model got 49 % (46 % to 52 %) of "
        "1,000 routed requests in the last 7 days. The threshold is 0.702 now after 20 moves."
    ) in page
    assert "49 % of the requests. The target of 50 % lies in its interval." in page
    assert "The threshold moved 20 times, between 0.700 and 0.702." in page
    assert "the scores had jumped" in page
    assert len(embedded(page, "threshold-moves")["data"][0]["x"]) == 20


def test_many_moves_are_drawn_with_at_most_300_points(viewer: Client) -> None:
    some_traffic()
    add_tables(1000)
    page = viewer.get("/domains/technical/").content.decode()
    assert "The threshold moved 1,000 times" in page
    points = embedded(page, "threshold-moves")["data"][0]["customdata"]
    assert len(points) == 250
    assert points[-1][0] == 1000


def test_a_fixed_threshold_invites_to_follow_the_target(viewer: Client) -> None:
    some_traffic()
    with revision("tests"):
        Domain.objects.update(follows_target=False, threshold=0.6)
    page = viewer.get("/domains/technical/").content.decode()
    assert "The threshold is fixed at 0.600; it does not follow a target." in page
    assert "Next: switch “follows target” on" in page


def test_a_target_that_nothing_moves_says_what_to_start(viewer: Client) -> None:
    some_traffic()
    page = viewer.get("/domains/technical/").content.decode()
    assert "Next: start the background process (manage.py run_tasks)" in page


def test_a_target_in_dollars_shows_its_share(viewer: Client) -> None:
    some_traffic()
    values = {"target_kind": "dollars_per_1000", "target_value": 2.5}
    with revision("tests"):
        Domain.objects.update(**values)
    page = viewer.get("/domains/technical/").content.decode()
    assert "The target is $2.50 per 1,000 requests. The strong model got" in page
    with revision("tests"):
        Domain.objects.update(resolved_share=0.3)
    page = viewer.get("/domains/technical/").content.decode()
    assert "$2.50 per 1,000 requests: at recent costs, 30 % for the strong model." in page


def test_queries(viewer: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    some_traffic()
    viewer.get("/domains/technical/")
    with django_assert_num_queries(22):
        viewer.get("/domains/technical/")
    with django_assert_num_queries(8):
        viewer.get("/domains/")


def test_the_list_says_where_the_money_is_saved(viewer: Client) -> None:
    some_traffic()
    page = viewer.get("/domains/").content.decode()
    assert (
        "Technical saved the most in the last 7 days against always strong: $54.00 of $54.00."
        in page
    )
    assert ">medical</a>" in page
