"""Which calls are shadowed: a share, by a hash that nothing else has a part in."""

import pytest

from experiments.core.policy import Policy, Shadowing
from experiments.core.shadowing import is_shadowed, other_of
from experiments.core.values import Pair
from tests.core.decision_values import domain, policy


def with_share(share: float, seed: str = "seed") -> Policy:
    return policy(domain("legal", shadow_share=share), shadowing=Shadowing(seed))


def shadowed(rules: Policy, name: str = "legal", n: int = 4_000) -> list[bool]:
    return [is_shadowed(rules, name, f"decision-{number}") for number in range(n)]


@pytest.mark.parametrize(("share", "least", "most"), [(0.05, 0.035, 0.065), (0.5, 0.47, 0.53)])
def test_the_share_is_what_was_set(share: float, least: float, most: float) -> None:
    found = shadowed(with_share(share))
    assert least < sum(found) / len(found) < most


def test_none_and_all() -> None:
    assert not any(shadowed(with_share(0.0), n=500))
    assert all(shadowed(with_share(1.0), n=500))
    assert not any(shadowed(with_share(1.0), "code", n=500))
    assert not is_shadowed(with_share(1.0), "unheard-of", "decision-1")


def test_raising_the_share_keeps_who_was_in() -> None:
    few, many = shadowed(with_share(0.1)), shadowed(with_share(0.3))
    assert all(later for before, later in zip(few, many, strict=True) if before)


def test_another_seed_takes_others() -> None:
    assert shadowed(with_share(0.5)) != shadowed(with_share(0.5, "another"))


@pytest.mark.parametrize(
    ("pair", "model", "other"),
    [
        (Pair("s", "w"), "s", "w"),
        (Pair("s", "w"), "w", "s"),
        (Pair("s", "w"), "third", None),
        (Pair("s", "s"), "s", None),
    ],
)
def test_the_other_of_a_pair(pair: Pair, model: str, other: str | None) -> None:
    assert other_of(pair, model) == other
