"""`manage.py calibrate`: proposals as text and JSON, and applied only when asked."""

import json
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from experiments.models import Calibration, Domain
from tests.explored_traffic import send, set_policy

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
