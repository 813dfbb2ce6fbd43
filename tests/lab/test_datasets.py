"""Outcome sets as columns: shadow pairs, and rated decisions, where one answer is known."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from experiments.configuration.policy_store import store
from experiments.configuration.revisions import revision
from experiments.decisions.outcomes import Rating, record_feedback
from experiments.lab.datasets import (
    Answered,
    AnsweredPair,
    NoOutcomeSetError,
    add_pair,
    columns,
    find_set,
)
from experiments.lab.rated_decisions import PRODUCTION
from experiments.models import Domain, OutcomeSet, RecordedOutcome
from experiments.routing.route import RouteRequest, route
from experiments.routing.runtime import engine

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def pair(key: str, strong_cost: int | None = None, **values: Any) -> bool:
    strong, weak = Answered("big", 1.0, strong_cost), Answered("small", 0.25, 100)
    defaults: dict[str, Any] = {"domain": "legal", "prompt": "May I?", "strong": strong}
    return add_pair(AnsweredPair(key=key, weak=weak, **{**defaults, **values}))


@pytest.mark.django_db
def test_a_shadow_pair_is_added_once() -> None:
    assert pair("a", unit="u1", strong_cost=2_000)
    assert not pair("a", unit="u1", strong_cost=2_000)
    assert pair("b", prompt="", embedding=[0.5, 0.25], unit="u2")

    found = columns(find_set("shadow-legal"), with_inputs=True)

    assert found.strong.tolist() == [1.0, 1.0]
    assert found.weak.tolist() == [0.25, 0.25]
    assert found.strong_cost[0] == 2_000
    assert np.isnan(found.strong_cost[1])
    assert found.groups.tolist() == ["u1", "u2"]
    assert found.domain_names() == ["legal"]
    assert found.complete
    assert not found.priced
    assert found.inputs is not None
    assert found.inputs.prompts == ("May I?", "")
    assert found.inputs.embeddings[1].tolist() == [0.5, 0.25]
    assert OutcomeSet.objects.get().strong_model == "big"
    assert RecordedOutcome.objects.count() == 2


@pytest.mark.django_db
def test_columns_of_one_domain_keep_their_inputs() -> None:
    pair("a", prompt="one")
    RecordedOutcome.objects.update(domain="medical")
    pair("b", prompt="", embedding=[1.0])

    found = columns(find_set("shadow-legal"), with_inputs=True).of_domain("legal")

    assert len(found) == 1
    assert found.inputs is not None
    assert found.inputs.prompts == ("",)
    assert list(found.inputs.embeddings) == [0]


@pytest.mark.django_db
def test_an_unknown_set_is_refused_with_those_there_are() -> None:
    pair("a")
    with pytest.raises(NoOutcomeSetError, match=r"'x'.*shadow-legal, production-ratings"):
        find_set("x")


@pytest.mark.django_db
def test_an_empty_set_has_columns() -> None:
    found = columns(find_set(PRODUCTION), with_inputs=True)
    assert (len(found), found.complete, found.priced) == (0, True, False)


def test_rated_decisions_know_one_answer(seeded: None) -> None:
    with revision("test"):
        for domain in Domain.objects.filter(name="technical"):
            domain.prompt_storage = "text"
            domain.epsilon = 0.1
            domain.save()
    engine.warm_up(store.current())
    rows = [route(RouteRequest(f"Fix loop {i}.", f"u{i}", domain="technical")) for i in range(3)]
    ratings = [
        Rating(rows[0].pk, "quality", 0.5, "judge", NOW),
        Rating(rows[0].pk, "quality", 1.0, "user", NOW),
        Rating(rows[1].pk, "quality", 0.0, "user", NOW),
    ]
    assert record_feedback(ratings, NOW) == [None, None, None]

    found = columns(find_set(PRODUCTION), with_inputs=True)

    assert len(found) == 2
    assert found.complete is False
    known = np.where(np.isnan(found.strong), found.weak, found.strong)
    assert known.tolist() == [1.0, 0.0]
    assert (np.isnan(found.strong) != np.isnan(found.weak)).all()
    assert found.propensity.tolist() == [row.propensity for row in rows[:2]]
    assert found.inputs is not None
    assert found.inputs.prompts == ("Fix loop 0.", "Fix loop 1.")
    assert found.priced
