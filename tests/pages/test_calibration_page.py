"""`/lab/calibration/`: a proposal next to today's threshold, and its use."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from experiments.dashboards import lab_filters
from experiments.models import Calibration, Decision, Domain, Experiment, RollupBin
from tests.explored_traffic import (
    let_ten_carry_a_third_of_the_expected_cost,
    send,
    set_policy,
)
from tests.pages.conftest import text

PAGE = "/lab/calibration/"
SHARE = f"{PAGE}?domain=technical&aim=share&wanted=0.2"


def traffic(count: int = 220) -> None:
    set_policy(epsilon=0.0)
    send(count, until=datetime.now(UTC), days=3)


def test_it_works(viewer: Client) -> None:
    traffic()
    page = text(viewer, SHARE)
    assert "gives a strong share of 20 %: 20 % of the prompts go to the strong model" in page
    assert 'id="comparison-head"' in page
    assert ">Apply<" not in page


def test_a_budget_of_costs_that_ten_requests_carry_says_so(viewer: Client) -> None:
    traffic()
    let_ten_carry_a_third_of_the_expected_cost()
    page = text(viewer, f"{PAGE}?domain=technical&aim=budget&wanted=1")
    assert "At “proposed”: the ten largest requests carry 34 % of the cost" in page


def test_a_page_reads_the_newest_and_more_when_asked(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic()
    monkeypatch.setattr(lab_filters, "AT_ONCE", 210)
    page = text(viewer, SHARE)
    assert "Based on the newest 210 decisions in this time." in page
    assert "read=more" in page
    assert "Based on the newest" not in text(viewer, f"{SHARE}&read=more")


def test_a_promise_the_data_cannot_support_says_what_helps(viewer: Client) -> None:
    traffic()
    page = text(viewer, f"{PAGE}?domain=technical")
    assert "The data cannot support any threshold" in page
    assert "Next: explore in this domain and collect ratings" in page


def test_a_promise_from_ratings_says_what_is_promised_and_on_which_condition(
    viewer: Client,
) -> None:
    set_policy(epsilon=0.5)
    send(600, until=datetime.now(UTC), days=3)
    page = text(viewer, f"{PAGE}?domain=technical&wanted=0.5")
    assert "The promise is per request" in page
    assert "always strong" in page
    assert "The condition: of requests alike in domain, score, model and prompt length" in page


def test_all_of_the_quality_is_refused_on_the_page(viewer: Client) -> None:
    traffic()
    page = text(viewer, f"{PAGE}?domain=technical&wanted=1")
    assert "can never be shown from a sample" in page


def test_without_traffic_it_says_so(viewer: Client) -> None:
    assert "Too few scores, 0 of 200." in text(viewer, PAGE)


def test_an_invalid_address_is_reported(viewer: Client) -> None:
    page = text(viewer, f"{PAGE}?domain=cooking&aim=luck&wanted=lots&delta=7")
    assert "Unknown domain &#x27;cooking&#x27;" in page
    assert "got “luck”" in page
    assert "“wanted” must be a number above 0; got “lots”" in page


def test_applying_it_changes_the_domain_and_is_listed(operator: Client) -> None:
    traffic()
    assert ">Apply<" in text(operator, SHARE)
    response = operator.post(f"{PAGE}apply/?domain=technical&aim=share&wanted=0.2")
    assert response.headers["Location"] == "/domains/technical/"
    kept = Calibration.objects.get()
    assert Domain.objects.get(name="technical").threshold == kept.threshold
    page = text(operator, SHARE)
    assert "Calibration history" in page
    assert "<td>recent scores</td>" in page


def test_a_proposal_becomes_a_draft_experiment(operator: Client) -> None:
    traffic()
    operator.post(f"{PAGE}experiment/?domain=technical&aim=share&wanted=0.2")
    assert Experiment.objects.get().key == "technical-what-if"


def test_nothing_is_applied_where_nothing_can_be_proposed(operator: Client) -> None:
    traffic(20)
    response = operator.post(f"{PAGE}apply/?domain=technical&aim=share&wanted=0.2", follow=True)
    assert "Too few scores, 20 of 200." in response.content.decode()
    assert not Calibration.objects.exists()
    assert operator.post(f"{PAGE}nonsense/").status_code == 404


@pytest.mark.parametrize("action", ["apply", "experiment", "rollout"])
def test_a_viewer_applies_nothing(viewer: Client, action: str) -> None:
    traffic(5)
    assert viewer.post(f"{PAGE}{action}/?domain=technical&aim=share").status_code == 403
    assert not Decision.objects.exclude(domain="technical").exists()


def test_a_domain_that_drifted_says_so_on_its_page_and_on_the_overview(viewer: Client) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for back in range(1, 15):
        counts = {4: 30, 14: 170} if back == 1 else {4: 100 + back % 3, 14: 100}
        for place, count in counts.items():
            RollupBin.objects.create(
                hour=today - timedelta(days=back, hours=-10),
                domain="technical",
                kind="score:local",
                bin=f"{place:02d}",
                count=count,
            )
    sentence = "Its scores shifted on"
    assert sentence in text(viewer, "/domains/technical/")
    assert sentence in text(viewer, f"{PAGE}?domain=technical")
    overview = text(viewer, "/")
    assert "technical drifted" in overview
    assert "/lab/calibration/?domain=technical" in overview
