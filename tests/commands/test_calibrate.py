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


@pytest.mark.parametrize(
    "arguments", [["cooking", "--share", "0.2"], ["technical", "--share", "2"], ["technical"]]
)
def test_what_cannot_be_asked_is_an_error(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("calibrate", *arguments)
