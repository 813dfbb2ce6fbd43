"""`manage.py calibrate`: proposals as text and JSON, and applied only when asked."""

import json
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from experiments.models import Calibration, Decision, Domain
from tests.explored_traffic import (
    let_ten_carry_a_third_of_the_expected_cost,
    send,
    set_policy,
)

pytestmark = pytest.mark.usefixtures("seeded")


def traffic(count: int = 220) -> None:
    set_policy(epsilon=0.0)
    send(count, until=datetime.now(UTC), days=3)


def test_it_works(capsys: pytest.CaptureFixture[str]) -> None:
    traffic()
    before = Domain.objects.get(name="technical").threshold
    call_command("calibrate", "technical", "--share", "0.2")
    said = capsys.readouterr().out
    assert "gives a strong share of 20 %" in said
    assert "today" in said
    assert "proposed" in said
    assert Domain.objects.get(name="technical").threshold == before


def test_applied_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    traffic()
    call_command("calibrate", "technical", "--share", "0.2", "--apply")
    assert Domain.objects.get(name="technical").threshold == Calibration.objects.get().threshold


def test_a_budget_of_costs_that_ten_requests_carry_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    traffic(220)
    let_ten_carry_a_third_of_the_expected_cost()
    tail = (
        "At “proposed”: the ten largest requests carry 34 % of the cost: the true cost may lie "
        "above this interval."
    )
    call_command("calibrate", "technical", "--budget", "1")
    assert tail in capsys.readouterr().out
    call_command("calibrate", "technical", "--budget", "1", "--json")
    (found,) = json.loads(capsys.readouterr().out)
    assert tail in found["tails"]
    assert found["expected"]["ten_largest"] == pytest.approx(0.34)
    assert found["expected"]["heavy_tail"] is True
    assert set(found["expected"]["cost"]) == {"value", "low", "high"}


def test_even_expected_costs_are_shown_without_a_note_on_tails(
    capsys: pytest.CaptureFixture[str],
) -> None:
    traffic(220)
    Decision.objects.update(cost_weak=220_000, cost_strong=220_000)
    call_command("calibrate", "technical", "--budget", "1", "--json")
    (found,) = json.loads(capsys.readouterr().out)
    assert found["tails"] is None
    assert found["expected"]["heavy_tail"] is False


def test_every_domain_with_a_router_shares_the_risk(capsys: pytest.CaptureFixture[str]) -> None:
    traffic()
    call_command("calibrate", "--quality", "0.95", "--json")
    found = json.loads(capsys.readouterr().out)
    assert {one["domain"] for one in found} >= {"technical", "general"}
    technical = next(one for one in found if one["domain"] == "technical")
    assert technical["threshold"] is None
    assert "cannot support any threshold" in technical["problem"]


def test_json_says_what_is_promised_of_what_and_on_which_condition(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_policy(epsilon=0.5)
    send(600, until=datetime.now(UTC), days=3)
    call_command("calibrate", "technical", "--quality", "0.5", "--json")
    (found,) = json.loads(capsys.readouterr().out)
    assert found["promise"]["per"] == "request"
    assert found["promise"]["at_least"] == 0.5
    assert found["promise"]["of"] == "the strong model's mean quality on the same requests"
    assert found["promise"]["left_out"] == 0
    assert found["promise"]["ratings"] == {"audited": 0, "volunteered": 600, "not_audited": 0}
    kept = found["expected"]["quality"]["value"] / found["strong"]["quality"]["value"]
    assert found["promise"]["kept"] == pytest.approx(kept)
    assert "good and bad answers must be rated equally often" in found["condition"]


def test_the_text_says_the_condition_and_the_strong_models_own_quality(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_policy(epsilon=0.5)
    send(600, until=datetime.now(UTC), days=3)
    call_command("calibrate", "technical", "--quality", "0.5")
    said = capsys.readouterr().out
    assert "always strong  0.0000" in said
    assert "The promise is per request" in said
    assert "The condition: of requests alike" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["cooking", "--share", "0.2"],
        ["technical", "--share", "2"],
        ["technical"],
        ["technical", "--quality", "1"],
        ["technical", "--budget", "nan"],
        ["technical", "--share", "0.2", "--days", "nan"],
        ["technical", "--share", "0.2", "--days", "0"],
    ],
)
def test_what_cannot_be_asked_is_an_error(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("calibrate", *arguments)
