"""`manage.py what_if`: the same answer as text and as JSON."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.explored_traffic import (
    NOW,
    let_ten_carry_a_third_of_the_weak_cost,
    send,
    set_policy,
)

pytestmark = pytest.mark.usefixtures("seeded")


def output_of(capsys: pytest.CaptureFixture[str], **options: Any) -> str:
    call_command("what_if", until=NOW, days=7, **options)
    return capsys.readouterr().out


def test_it_works(capsys: pytest.CaptureFixture[str]) -> None:
    set_policy(epsilon=0.3)
    send(300)
    said = output_of(capsys, domain="technical", method="always_weak")
    assert said.startswith("Had “always weak” run in technical, 1,000 requests would have cost $")
    assert "doubly robust" in said
    assert "To the strong model: 0 %," in said
    assert "300 decisions of 100 units; without overlap: 0 %." in said


def test_json_holds_every_number(capsys: pytest.CaptureFixture[str]) -> None:
    set_policy(epsilon=0.3)
    send(300)
    found = json.loads(output_of(capsys, json=True))
    assert found["candidate"]["router"] == "local"
    assert found["all"]["decisions"] == 300
    assert found["domains"]["technical"]["decisions"] == 300
    assert 0 < found["all"]["cost"]["doubly_robust"]["value"] < 1
    assert found["curve"][0]["strong_share"] == 1.0
    assert found["advice"] is None or found["advice"]["explores_already"]


def test_a_cost_that_ten_requests_carry_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    set_policy(epsilon=0.3)
    send(300)
    let_ten_carry_a_third_of_the_weak_cost()
    said = output_of(capsys, domain="technical", method="always_weak")
    assert said.rstrip().endswith(
        "The ten largest requests carry 34 % of the cost: the true cost may lie above this "
        "interval."
    )


def test_nothing_to_ask_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no estimate is possible" in output_of(capsys, domain="technical")


def test_what_cannot_be_asked_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    set_policy(epsilon=0.3)
    send(3)
    with pytest.raises(CommandError, match="Unknown router 'bert'"):
        output_of(capsys, domain="technical", router="bert", threshold=0.5)
    with pytest.raises(CommandError, match="Unknown domain 'cooking'"):
        output_of(capsys, domain="cooking")


@pytest.mark.parametrize("days", ["0", "-1", "nan", "inf"])
def test_days_that_are_none_are_an_error(days: str) -> None:
    with pytest.raises(CommandError, match="--days must be above 0"):
        call_command("what_if", "--method", "always_weak", f"--days={days}")
