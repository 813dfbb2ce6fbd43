"""Databases of earlier releases, with rows in them, upgrade to this one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from experiments.decisions.folding import fold_all
from experiments.decisions.rollup_queries import Span
from experiments.gateway.in_flight import sweep_abandoned_calls
from experiments.lab.decision_log import read_log
from experiments.models import Decision, KeyUsage, Outcome, Rollup
from experiments.routers.checkpoints import read_manifest
from experiments.routers.local import EARLIER
from tests.upgrading import Models, migrated_to, newest, restored

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

FIRST = "0001_initial"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield from restored()


def add_decision(models: Models, number: int = 1) -> Any:
    return models("Decision").objects.create(
        id=UUID(int=number),
        created_at=NOON,
        revision=1,
        unit_hash="u",
        sticky=True,
        domain="technical",
        confidence=1.0,
        method="routellm",
        reason="test",
        tier="weak",
        model="openai/gpt-4.1-mini",
        intended_model="openai/gpt-4.1-mini",
        counted=True,
        explored=False,
        epsilon=0.0,
        input_tokens=10,
        priced=False,
    )


def test_reports_from_the_future_count_from_their_arrival() -> None:
    before = migrated_to(FIRST)
    times = (
        NOON - timedelta(days=1),
        NOON + timedelta(minutes=4),
        datetime(8999, 1, 1, tzinfo=UTC),
    )
    for number, occurred_at in enumerate(times, start=1):
        decision = add_decision(before, number)
        when = {"occurred_at": occurred_at, "received_at": NOON}
        before("Outcome").objects.create(decision=decision, **when)
        before("Feedback").objects.create(
            decision=decision, metric="quality", source="human", value=0.5, **when
        )

    after = migrated_to(newest())
    for name in ("Outcome", "Feedback"):
        rows = after(name).objects.order_by("decision_id")
        assert list(rows.values_list("occurred_at", flat=True)) == [*times[:2], NOON]


def test_audited_decisions_of_before_are_read_by_what_if() -> None:
    before = migrated_to("0002_reports_from_the_future")
    decision = add_decision(before)
    decision.odds, decision.scores = '{"openai/gpt-4.1-mini":0.5}', '{"local":0.4}'
    decision.experiment, decision.phase, decision.audited = "old", 2, True
    decision.save()

    migrated_to(newest())
    logged = read_log(Span(NOON - timedelta(days=1), NOON + timedelta(days=1)))
    assert logged.audited.tolist() == [True]
    assert logged.scores["local"].tolist() == [0.4]


def test_an_experiment_that_runs_keeps_its_plan_without_a_cost_cap() -> None:
    before = migrated_to(FIRST)
    plan = {"key": "cheaper", "hypothesis": "?", "status": "running", "min_days": 7}
    before("Experiment").objects.create(**plan, started_at=NOON)

    after = migrated_to(newest())
    row = after("Experiment").objects.get(key="cheaper")
    assert (row.status, row.min_days, row.started_at) == ("running", 7, NOON)
    assert (row.cost_cap, row.prior_sd, row.ship_reason) == (None, 0.2, "")


def test_prices_and_timeouts_of_the_first_release() -> None:
    """Cache writes get the catalogue's price, and models that reason get time; what an operator set
    stays."""
    before = migrated_to("0004_periodic_jobs")
    rows = {}
    for name, source, amounts in (
        ("anthropic/claude-opus-5-5", "genai-prices", (4, 20)),
        ("anthropic/claude-sonnet-5-5", "operator", (2, 10)),
        ("anthropic/claude-haiku-5-5", "genai-prices", (7, 8)),
        ("our/own", "genai-prices", (1, 1)),
    ):
        model = before("LanguageModel").objects.create(name=name, provider="x")
        prices = dict(zip(("input_per_million", "output_per_million"), amounts, strict=True))
        rows[name] = before("ModelPrice").objects.create(model=model, source=source, **prices).pk
    endpoint = before("ProviderEndpoint").objects.create
    endpoint(name="usual", base_url="http://a", first_token_seconds=30, total_seconds=300)
    endpoint(name="own", base_url="http://a", first_token_seconds=20, total_seconds=60)
    add_attempt(before)

    after = migrated_to(newest())
    found = {
        name: after("ModelPrice")
        .objects.values_list("cache_write_per_million", "cache_write_1h_per_million")
        .get(pk=pk)
        for name, pk in rows.items()
    }
    assert found == {
        "anthropic/claude-opus-5-5": (5, 8),
        "anthropic/claude-sonnet-5-5": (None, None),
        "anthropic/claude-haiku-5-5": (None, None),
        "our/own": (None, None),
    }
    seconds = after("ProviderEndpoint").objects.values_list("first_token_seconds", "total_seconds")
    assert seconds.get(name="usual") == (300, 900)
    assert seconds.get(name="own") == (20, 60)
    attempt = after("Attempt").objects.get()
    assert (attempt.cached_tokens, attempt.cache_write_tokens) == (5, None)


def add_attempt(models: Models) -> None:
    models("Attempt").objects.create(
        decision=add_decision(models),
        number=1,
        model="openai/gpt-4.1-mini",
        is_fallback=False,
        started_at=NOON,
        ended_ms=1.0,
        status="ok",
        input_tokens=10,
        cached_tokens=5,
        output_tokens=1,
    )


def test_metrics_keep_their_meaning() -> None:
    before = migrated_to(FIRST)
    before("Metric").objects.create(name="stars", minimum=1, maximum=5, better="higher")

    row = migrated_to(newest())("Metric").objects.get(name="stars")
    assert (row.minimum, row.maximum, row.version) == (1, 5, 0)


def add_rollout(models: Models, domain: str, state: str, steps: list[Any], step: int) -> Any:
    """A rollout as 0001 knew it: at its step, and there since noon."""
    row = models("Domain").objects.create(name=domain, label=domain)
    flag = models("Flag").objects.create(
        key=f"routellm_{domain}_domain", kind="domain", domain=row, percentage=steps[step][0]
    )
    rollout = models("Rollout").objects.create(
        flag=flag,
        key=f"rollout-{domain}",
        steps=steps,
        margin=0.03,
        state=state,
        step=step,
        started_at=None if state == "pending" else NOON,
    )
    for share, _ in steps[: step + 1] if state != "pending" else ():
        models("RolloutStep").objects.create(
            rollout=rollout, at=NOON, percentage=share, state="running", reason="now"
        )
    return rollout


def test_rollouts_get_guards_and_phases() -> None:
    """Before, as many controls as treated up to half, above it the holdback; all steps as one."""
    before = migrated_to(FIRST)
    steps = [[10, 24], [60, 24], [100, 0]]
    add_rollout(before, "medical", "running", steps, 1)
    add_rollout(before, "legal", "pending", steps, 0)
    add_rollout(before, "financial", "completed", steps, 2)
    before("UnitSum").objects.create(
        experiment="rollout-medical", phase=1, arm="treated", unit_hash="u", day=NOON.date(),
        domain="medical", decisions=3,
    )  # fmt: skip

    after = migrated_to(newest())
    quality = {"metric": "quality", "margin": 0.03, "limit": None}
    errors = {"metric": "error_rate", "margin": 0.02, "limit": None}
    rows = {row.flag.domain.name: row for row in after("Rollout").objects.all()}
    assert [rows[name].guards for name in ("medical", "legal", "financial")] == [
        [errors, quality],
        [errors, quality],
        [quality],
    ]
    shares = {
        name: (row.phase, float(row.treated_percentage), float(row.control_percentage))
        for name, row in rows.items()
    }
    assert shares == {"medical": (2, 60, 40), "legal": (0, 0, 0), "financial": (1, 0, 0)}
    history = after("RolloutStep").objects.filter(rollout=rows["medical"]).order_by("pk")
    assert [(one.phase, float(one.control_percentage)) for one in history] == [(1, 10), (1, 5)]
    assert after("UnitSum").objects.get().slow == 0


def test_absolute_paths_below_the_lab_become_relative(settings: Any) -> None:
    settings.LAB_DIR = "/srv/switchyard/lab"
    before = migrated_to(FIRST)
    mine, other = "/srv/switchyard/lab/routers/mine/abc", "/models/bert"
    for name, path in (("mine", mine), ("other", other)):
        before("Router").objects.create(
            name=name, kind="local_mf", arguments={"checkpoint_path": path}
        )
    before("BackgroundTask").objects.create(
        name="import_outcomes",
        arguments={"path": "/srv/switchyard/lab/uploads/1.csv", "name": "own"},
        queued_at=NOON,
        run_after=NOON,
    )
    routers = {
        name: {"kind": "local_mf", "arguments": {"checkpoint_path": path}}
        for name, path in (("mine", mine), ("other", other))
    }
    before("PolicyRevision").objects.create(
        number=7, content_hash="x", document={"routers": routers}, author_name="ann"
    )

    after = migrated_to(newest())
    stored = {row.name: row.arguments for row in after("Router").objects.all()}
    assert stored == {
        "mine": {"checkpoint_path": "routers/mine/abc"},
        "other": {"checkpoint_path": other},
    }
    assert after("BackgroundTask").objects.get().arguments["path"] == "uploads/1.csv"
    kept, published = after("PolicyRevision").objects.order_by("number")
    assert kept.document["routers"]["mine"]["arguments"] == {"checkpoint_path": mine}
    assert published.number == 8
    assert published.document["routers"]["mine"]["arguments"] == stored["mine"]
    assert published.difference == [
        {
            "path": "routers.mine.arguments.checkpoint_path",
            "before": mine,
            "after": "routers/mine/abc",
        }
    ]


def test_calls_of_before_are_not_taken_for_abandoned() -> None:
    """A release that recorded no calls in flight leaves decisions without outcomes."""
    before = migrated_to("0013_parameter_rules")
    decision = add_decision(before)
    usage = before("KeyUsage").objects.create(
        key_id=1, span="day", starts_at=NOON, requests=1, tokens=20, cost=300
    )

    migrated_to(newest())
    assert sweep_abandoned_calls() == 0
    assert not Outcome.objects.exists()
    assert Decision.objects.get().pk == decision.pk
    row = KeyUsage.objects.get(pk=usage.pk)
    assert (row.requests, row.tokens, row.cost) == (1, 20, 300)


def test_sums_of_before_take_new_changes() -> None:
    before = migrated_to("0017_rollout_seen")
    key = {"hour": NOON, "domain": "legal", "tier": "weak", "model": "m", "method": "routellm"}
    before("Rollup").objects.create(**key, decisions=3, cost=5)
    before("KeyUsage").objects.create(key_id=1, span="day", starts_at=NOON, requests=1, cost=300)

    migrated_to(newest())
    Rollup.objects.create(**key, folded=None, decisions=1, cost=-2)
    Rollup.objects.create(**key, folded=None, decisions=1)
    KeyUsage.objects.create(key_id=1, span="day", starts_at=NOON, folded=None, cost=-100)
    assert fold_all() == 3
    assert list(Rollup.objects.values_list("decisions", "cost", "folded")) == [(5, 3, True)]
    assert list(KeyUsage.objects.values_list("requests", "cost", "folded")) == [(1, 200, True)]


def test_the_shipped_router_of_an_installation_keeps_its_weights() -> None:
    before = migrated_to(FIRST)
    local = {"kind": "local", "arguments": {}, "checkpoint": ""}
    own = {"kind": "local", "arguments": {"checkpoint_path": "/models/own"}, "checkpoint": ""}
    for name, values in (("local", local), ("own", own)):
        before("Router").objects.create(name=name, **values)
    document = {"routers": {"local": local, "own": own}}
    before("PolicyRevision").objects.create(
        number=7, content_hash="x", document=document, author_name="ann"
    )

    after = migrated_to(newest())
    earlier = read_manifest(EARLIER / "local_1", "local").sha256
    pinned = {row.name: row.checkpoint for row in after("Router").objects.all()}
    assert pinned == {"local": earlier, "own": ""}
    kept, published = after("PolicyRevision").objects.order_by("number")
    assert kept.document == document
    assert published.document["routers"] == {"local": {**local, "checkpoint": earlier}, "own": own}
    assert published.difference == [
        {"path": "routers.local.checkpoint", "before": "", "after": earlier}
    ]
