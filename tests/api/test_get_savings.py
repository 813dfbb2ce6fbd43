"""GET /api/v1/reports/savings."""

from datetime import date

import pytest

from experiments.models import PrunedTotal, Rollup
from tests.api.client import API

SAVINGS = "/api/v1/reports/savings"


def test_it_works(api: API) -> None:
    decision = api.route("a", domain="creative", unit_id="u1")
    report = api.get(SAVINGS).data

    assert report["baseline"] == "always_strong"
    (line,) = report["domains"]
    assert line["domain"] == "creative"
    assert (line["decisions"], line["priced"], line["actual"], line["estimated"]) == (1, 1, 0, 1)
    assert line["cost"] == decision["cost"]["estimated"]
    assert line["baseline"] == decision["cost"]["baseline"]
    assert line["saving"] == decision["cost"]["saving"]
    assert line["against"]["always_weak"]["cost"] == decision["cost"]["weak"]
    assert report["total"] == {**line, "domain": None}


def test_without_decisions_all_is_zero_and_no_share_is_claimed(api: API) -> None:
    report = api.get(SAVINGS).data
    assert report["domains"] == []
    assert report["total"]["saving"] == "0"
    assert report["total"]["strong_share"] is None


def test_the_caller_sets_the_range(api: API) -> None:
    api.route()
    report = api.get(SAVINGS, since="2020-01-01", until="2021-01-01").data
    assert report["since"] == "2020-01-01T00:00:00+00:00"
    assert report["total"]["decisions"] == 0


def test_one_domain_can_be_asked_for(api: API) -> None:
    api.route("a", domain="creative")
    api.route("a", domain="technical")
    assert api.get(SAVINGS, domain="technical").data["total"]["decisions"] == 1


def test_unknown_domain_is_refused_by_name(api: API) -> None:
    refused = api.get(SAVINGS, domain="nope")
    assert refused.status == 400
    assert refused.error["param"] == "domain"
    assert "creative" in refused.error["message"]


def test_deleted_domain_can_be_queried_while_its_decisions_are_counted(api: API) -> None:
    api.route("a", domain="creative")
    Rollup.objects.update(domain="poetry")
    assert api.get(SAVINGS, domain="poetry").status == 200


def test_pruned_decisions_are_counted(api: API) -> None:
    PrunedTotal.objects.create(
        day=date(2020, 6, 1),
        domain="creative",
        method="routellm",
        tier="weak",
        model="openai/gpt-4.1-mini",
        decisions=10,
        priced=9,
        fallbacks=1,
        actual=4,
        cost=9_000,
        cost_baseline=45_000,
        paired=9,
        cost_paired=9_000,
        cost_strong=45_000,
        cost_weak=9_000,
        latency_us=10_000,
        latency_count=10,
    )
    total = api.get(SAVINGS, since="2020-06-01", until="2020-06-02").data["total"]
    assert (total["decisions"], total["pruned"], total["priced"]) == (10, 10, 9)
    assert total["saving"] == "0.000036"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-01-02", "until": "2026-01-01"}, "since"),
        ({"until": "0001-01-01"}, "until"),
        ({"domain": ""}, "domain"),
        ({"domain": "a\x00"}, "domain"),
        ({"form": "2026-01-01"}, "form"),
    ],
)
def test_an_invalid_parameter_is_named(api: API, query: dict[str, str], param: str) -> None:
    answer = api.get(SAVINGS, **query)
    assert (answer.status, answer.error["param"]) == (400, param)


def test_a_parameter_given_twice_is_refused(api: API) -> None:
    response = api.client.get(f"{SAVINGS}?domain=a&domain=b", headers=api.headers)
    assert response.status_code == 400
