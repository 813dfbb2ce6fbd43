"""The service that routes: what it stores, what it asks of the database, that it replays."""

import logging
import time
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from experiments.configuration.policy_store import store
from experiments.configuration.revisions import revision
from experiments.core.selection import ModelSelectionCriteria
from experiments.decisions.decision_rows import replay
from experiments.decisions.replay_check import check_replay
from experiments.models import (
    Decision,
    Domain,
    Flag,
    FlagEntry,
    LanguageModel,
    Router,
    RoutingSettings,
)
from experiments.routing.route import RouteRequest, UnknownNameError, route
from experiments.routing.runtime import engine
from experiments.storage.unit_hash import hash_unit
from tests.experiment_rows import running

pytestmark = pytest.mark.usefixtures("seeded")
PROMPT = "Fix the off-by-one error in my Python loop."
CONFIGURATION = (
    "experiments_domain",
    "experiments_flag",
    "experiments_languagemodel",
    "experiments_router",
    "experiments_routingsettings",
    "experiments_modelprice",
)


def test_it_works() -> None:
    row = route(RouteRequest(PROMPT, unit_id="user-42", domain="technical"))
    stored = Decision.objects.get()
    assert stored.pk == row.pk
    assert stored.unit_hash == hash_unit("user-42")
    assert "user-42" not in str(vars(stored))
    assert stored.detail == row.detail


@pytest.mark.parametrize("detector", ["learned", "classic"])
def test_a_prompt_in_an_unknown_language_is_not_routed_where_medical_is_not(detector: str) -> None:
    with revision("tests"):
        RoutingSettings.objects.update(detector=detector)
    row = route(RouteRequest("이부프로펜의 부작용은 무엇인가요?", unit_id="u1"))
    assert (row.domain, row.reason, row.detail["cautious"]) == (
        "general",
        "unknown_language",
        "medical",
    )
    assert [flag["key"] for flag in row.detail["flags"]][2:] == ["routellm_medical_domain"]
    assert check_replay(row).same
    assert route(RouteRequest("이부프로펜", domain="general")).reason != "unknown_language"


def test_with_every_flag_on_the_most_cautious_domain_decides() -> None:
    with revision("tests"):
        Flag.objects.update(percentage=100)
        Domain.objects.filter(name="legal").update(method="always_strong")
    row = route(RouteRequest("이부프로펜의 부작용은 무엇인가요?", unit_id="u1"))
    assert (row.domain, row.reason, row.detail["cautious"]) == (
        "general",
        "always_strong",
        "legal",
    )
    assert check_replay(row).same


def unlisted() -> None:
    """As seeded."""


def list_the_unit() -> None:
    flag = Flag.objects.get(key="routellm_technical_domain")
    FlagEntry.objects.create(flag=flag, kind="allow", unit_hash=hash_unit("u3"), label="u3")
    flag.percentage = Decimal(0)
    flag.save()


def hold_out_half() -> None:
    RoutingSettings.objects.update(holdout_percentage=Decimal(50))


def explore() -> None:
    Domain.objects.update(epsilon=0.5)


def half_way() -> None:
    Flag.objects.filter(kind__in=("master", "domain")).update(percentage=Decimal("37.5"))


def always_weak() -> None:
    Domain.objects.update(method="always_weak")


def break_the_policy() -> None:
    Domain.objects.update(threshold=None)


def follow_calibration() -> None:
    Flag.objects.filter(key="routellm_dynamic_threshold").update(percentage=Decimal(100))
    Domain.objects.update(calibrated_threshold=0.01)


def switch_models_off() -> None:
    LanguageModel.objects.filter(name__in=("openai/gpt-4.1", "openai/gpt-4.1-mini")).update(
        is_available=False
    )


def drop_prices() -> None:
    LanguageModel.objects.get(name="openai/gpt-4.1-mini").prices.all().delete()


def switch_routers_off() -> None:
    Router.objects.update(enabled=False)


def track_nothing() -> None:
    Flag.objects.filter(key="routellm_cost_tracking").update(percentage=Decimal(0))
    Flag.objects.filter(key="routellm_performance_monitoring").update(percentage=Decimal(0))


def detect_by_keywords() -> None:
    RoutingSettings.objects.update(detector="classic")


CHANGES = [
    unlisted,
    list_the_unit,
    hold_out_half,
    explore,
    half_way,
    always_weak,
    break_the_policy,
    follow_calibration,
    switch_models_off,
    drop_prices,
    switch_routers_off,
    track_nothing,
    detect_by_keywords,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_stored_decision_replays_to_the_very_same(change: Any) -> None:
    with revision("tests"):
        change()
    check_replays()


@pytest.mark.parametrize("unit_kind", ["user", "request"])
def test_a_decision_of_an_experiment_replays_to_the_very_same(unit_kind: str) -> None:
    running(unit_kind=unit_kind, coverage=0.7, audit_share=0.3)
    check_replays()


def check_replays() -> None:
    for i in range(6):
        for request in (
            RouteRequest(PROMPT, unit_id=f"u{i}"),
            RouteRequest(PROMPT, domain="technical", unit_id=f"u{i}"),
            RouteRequest(PROMPT, criteria=ModelSelectionCriteria(preferred_providers=["openai"])),
        ):
            route(request)
    with revision("later"):  # what is configured later does not matter
        Domain.objects.update(method="always_strong")
    for row in Decision.objects.all():
        again = replay(row)
        assert str(row.pk) == again.id
        assert (row.model, row.intended_model, row.method, row.reason, row.tier) == (
            again.model,
            again.intended,
            again.method,
            again.choice.reason,
            again.tier,
        )
        assert (row.cost, row.cost_strong, row.cost_weak, row.cost_baseline) == again.costs[:4]
        assert (row.propensity, row.propensity_given_arm) == (
            again.propensity.intended,
            again.propensity.given_arm,
        )
        assert row.detail["flags"] == [flag._asdict() for flag in again.flags]
        assert row.detail["propensities"] == again.propensity.by_model
        assert row.explored == again.explored
        assert row.arm == (again.assignment.arm.name if again.assignment else "")
        assert row.audited == again.audited


def test_the_hot_path_reads_no_configuration_and_writes_four_statements(
    settings: Settings,
) -> None:
    settings.POLICY_REFRESH_SECONDS = 60.0
    route(RouteRequest(PROMPT, unit_id="u", domain="technical"))
    with CaptureQueriesContext(connection) as queries:
        route(RouteRequest(PROMPT, unit_id="u", domain="technical"))
    # Django logs a statement for several rows as "2 times: INSERT …"; PostgreSQL gets one text.
    statements = [query["sql"].partition(" times: ")[2] or query["sql"] for query in queries]
    statements = [sql for sql in statements if "SAVEPOINT" not in sql]
    assert all(sql.startswith("INSERT INTO") for sql in statements)
    assert sum(sql.count("INSERT INTO") for sql in statements) == 4
    assert not [sql for sql in statements for table in CONFIGURATION if f'"{table}"' in sql]


def test_the_kill_switch_acts_within_the_refresh_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.POLICY_REFRESH_SECONDS = 1.0
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert route(RouteRequest(PROMPT, domain="technical")).method == "routellm"
    # As another process would: this process is not notified.
    with revision("operator"):
        Flag.objects.filter(key="routellm_enabled").update(percentage=Decimal(0))
        kept = store._policy
    store._policy = kept
    now[0] += 0.99
    assert route(RouteRequest(PROMPT, domain="technical")).method == "routellm"
    now[0] += 0.02
    assert route(RouteRequest(PROMPT, domain="technical")).reason == "master_flag_off"


def test_a_new_revision_costs_two_queries_and_an_old_one_a_second_one() -> None:
    store.current()
    with CaptureQueriesContext(connection) as queries:
        store.current()  # the tests' settings look for a newer one each time
    assert len(queries) == 1


def test_an_unknown_domain_is_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match="medical") as caught:
        route(RouteRequest(PROMPT, domain="medicine"))
    assert caught.value.param == "domain"


@pytest.mark.parametrize(
    ("storage", "text", "features"),
    [("none", None, False), ("features", None, True), ("text", PROMPT, False)],
)
def test_of_a_prompt_is_kept_what_its_domain_says(
    storage: str, text: str | None, features: bool
) -> None:
    with revision("tests"):
        Domain.objects.update(prompt_storage=storage)
    route(RouteRequest(PROMPT))
    row = Decision.objects.get()
    assert row.text == text
    assert ("features" in row.detail) is features


@pytest.mark.parametrize("prompt", ["a\x00b", "half a pair: \ud83d", "", "\x00"])
def test_what_no_database_takes_is_still_routed(prompt: str) -> None:
    with revision("tests"):
        Domain.objects.update(prompt_storage="text")
    route(RouteRequest(prompt, unit_id=prompt or None))
    stored = Decision.objects.get().text
    assert stored is not None
    assert "\x00" not in stored


def test_one_line_is_logged_without_a_word_of_the_prompt(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="switchyard.decisions"):
        route(RouteRequest("zebrafish", unit_id="user-42", request_id="r1"))
    (record,) = [r for r in caplog.records if r.name == "switchyard.decisions"]
    assert record.__dict__["request_id"] == "r1"
    assert "zebrafish" not in str(record.__dict__)
    assert "user-42" not in str(record.__dict__)


def test_a_router_that_is_not_ready_is_said_and_the_selector_answers() -> None:
    store.current()
    engine.pool.configure({})
    row = route(RouteRequest(PROMPT, domain="technical"))
    assert (row.method, row.reason) == ("domain_selector", "router_not_ready")
    engine.pool.warm_up(store.current().routers)
