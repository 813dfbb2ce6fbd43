"""The pages of parameter rules, and of what was learned from providers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from experiments.configuration.policy_store import store
from experiments.core.parameters import Action
from experiments.core.parameters import PolicyRule as Rule
from experiments.limits import learned_parameters
from experiments.limits.learned_parameters import ParameterRefusal, learned, remember
from experiments.models import LearnedParameter, ParameterRule, PolicyRevision
from tests.admin.conftest import Submit, errors_of

ADD = "/admin/experiments/parameterrule/add/"
LEARNED_LIST = "/admin/experiments/learnedparameter/"
MODEL = "openai/gpt-4.1"


def page(name: str) -> str:
    row = ParameterRule.objects.get(name=name)
    return reverse("admin:experiments_parameterrule_change", args=[row.pk])


def refused(parameter: str, model: str = MODEL, **values: Any) -> ParameterRefusal:
    return ParameterRefusal(
        model, Rule("learned", parameter, Action.DROP, **values), "Not supported."
    )


@pytest.fixture
def now() -> datetime:
    learned_parameters.invalidate()
    return datetime.now(UTC)


def test_rule_is_added_in_one_revision_and_holds_for_its_models(
    operator: Client, submit: Submit
) -> None:
    response = submit(
        operator,
        ADD,
        name="gpt-4-top-k",
        parameter="top_k",
        action="drop",
        provider="openai",
        model_patterns="gpt-4*",
    )
    assert response.status_code == 302, errors_of(response)
    newest = PolicyRevision.objects.first()
    assert newest is not None
    assert newest.document["parameter_rules"]["gpt-4-top-k"]["model_patterns"] == ["gpt-4*"]
    store.invalidate()
    upstreams = store.current().upstreams
    named = {name for name, each in upstreams.items() if "gpt-4-top-k" in map(_name, each.rules)}
    assert named == {"openai/gpt-4.1", "openai/gpt-4.1-mini"}


def _name(rule: Rule) -> str:
    return rule.name


def test_shipped_rule_is_edited(operator: Client, submit: Submit) -> None:
    response = submit(operator, page("claude-temperature"), maximum="0.9")
    assert response.status_code == 302, errors_of(response)
    assert ParameterRule.objects.get(name="claude-temperature").maximum == 0.9


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"action": "rename"}, "Give the replacement"),
        ({"action": "replace"}, "Give the replacement"),
        ({"action": "rename", "replacement": "messages"}, "stay as they are"),
        ({"action": "clamp", "minimum": "2", "maximum": "1"}, "above the highest"),
        ({"parameter": "messages"}, "cannot be changed"),
        ({"parameter": "image_url"}, "can only be refused"),
        ({"with_parameter": "two words"}, "Enter one parameter"),
        ({"name": "Two Words"}, "lowercase letters"),
    ],
)
def test_rule_of_no_sense_is_refused(
    operator: Client, submit: Submit, fields: dict[str, str], error: str
) -> None:
    values = {"name": "new", "parameter": "seed", "action": "drop", **fields}
    assert error in str(errors_of(submit(operator, ADD, **values)))


def test_learned_parameters_are_listed_with_what_the_provider_said(
    operator: Client, now: datetime
) -> None:
    remember([refused("seed")], now)
    content = operator.get(LEARNED_LIST).content.decode()
    assert MODEL in content
    assert "Not supported." in content


def test_operator_has_a_learned_parameter_forgotten(operator: Client, now: datetime) -> None:
    remember([refused("seed"), refused("user")], now)
    assert len(learned(now)[MODEL]) == 2
    row = LearnedParameter.objects.get(parameter="seed")
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    assert operator.post(LEARNED_LIST, chosen).status_code == 302
    assert [rule.parameter for rule in learned(now)[MODEL]] == ["user"]


def test_viewer_reads_and_deletes_nothing(viewer: Client, now: datetime) -> None:
    remember([refused("seed")], now)
    assert viewer.get(LEARNED_LIST).status_code == 200
    row = LearnedParameter.objects.get()
    url = reverse("admin:experiments_learnedparameter_delete", args=[row.pk])
    assert viewer.post(url, {"post": "yes"}).status_code == 403


@pytest.mark.usefixtures("seeded")
def test_learned_parameter_expires(now: datetime, settings: Any) -> None:
    settings.LEARNED_PARAMETER_HOURS = 2
    remember([refused("seed")], now)
    assert MODEL in learned(now)
    learned_parameters.invalidate()
    assert learned(now + timedelta(hours=3)) == {}
    remember([refused("user")], now + timedelta(hours=3))
    assert list(LearnedParameter.objects.values_list("parameter", flat=True)) == ["user"]


@pytest.mark.usefixtures("seeded")
def test_found_again_it_is_kept_longer(now: datetime) -> None:
    later = now + timedelta(hours=1)
    remember([refused("seed")], now)
    remember([refused("seed")], later)
    row = LearnedParameter.objects.get()
    assert (row.times, row.expires_at) == (2, later + timedelta(hours=24))


@pytest.mark.usefixtures("seeded")
def test_callers_cannot_fill_the_table(now: datetime) -> None:
    remember([refused(f"x_{number}") for number in range(80)], now)
    assert LearnedParameter.objects.count() == 50


@pytest.mark.usefixtures("seeded")
def test_nothing_is_remembered_where_the_time_is_zero(now: datetime, settings: Any) -> None:
    settings.LEARNED_PARAMETER_HOURS = 0
    remember([refused("seed")], now)
    assert LearnedParameter.objects.count() == 0
