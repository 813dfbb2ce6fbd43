"""The kinds of routers and their properties, without importing RouteLLM.

Custom kinds are named in the environment: `ROUTER_CLASSES=length=my_routers.LengthRouter`.
"""

import os
from typing import NamedTuple

from experiments.routers.errors import RouterConfigurationError

OWN_CLASSES_VARIABLE = "ROUTER_CLASSES"


class RouterKind(NamedTuple):
    """`local` kinds need no network and always score. `inline` ones answer in the caller's thread.
    `by_embedding` ones use only the embedding of a prompt, so they can score prompts that were not
    stored. With `counts_ties` its score is the strong model's win rate with ties as halves; else
    the win rate where one of the two is better. Without `win_rate`, a score only orders prompts.

    `concurrent` is how many calls of one router run at the same time: BERT's tokenizer raises
    "Already borrowed" when two threads use it, and one GPU generates for one prompt at a time.
    """

    local: bool = False
    inline: bool = False
    calls_openai: bool = False
    concurrent: int = 8
    by_embedding: bool = False
    counts_ties: bool = False
    win_rate: bool = True


KINDS = {
    "local": RouterKind(local=True, inline=True),
    "local_mf": RouterKind(local=True, inline=True, by_embedding=True, counts_ties=True),
    "random": RouterKind(inline=True, win_rate=False),
    "mf": RouterKind(calls_openai=True, counts_ties=True),
    "bert": RouterKind(concurrent=1),
    "causal_llm": RouterKind(concurrent=1),
    "sw_ranking": RouterKind(calls_openai=True),
    "knn": RouterKind(local=True, inline=True, by_embedding=True),
    "linear": RouterKind(local=True, inline=True, by_embedding=True),
    "complexity": RouterKind(local=True, inline=True, win_rate=False),
    "learned": RouterKind(local=True, inline=True, win_rate=False),
}


def kind_of(name: str) -> RouterKind:
    """The properties of a kind. Raises RouterConfigurationError for an unknown one."""
    if name in KINDS:
        return KINDS[name]
    if name in own_classes():
        return RouterKind()
    raise RouterConfigurationError(
        f"There is no router kind '{name}'. There are {', '.join([*KINDS, *own_classes()])}; "
        f"a kind of your own is named in {OWN_CLASSES_VARIABLE}."
    )


def own_classes() -> dict[str, str]:
    """Kind to dotted class path, from the environment variable ROUTER_CLASSES."""
    entries = os.environ.get(OWN_CLASSES_VARIABLE, "").split(",")
    pairs = (entry.strip().partition("=") for entry in entries if entry.strip())
    return {name.strip(): path.strip() for name, _, path in pairs}


def check_name(name: str) -> None:
    """Raises RouterConfigurationError for a name that a model string cannot carry."""
    if not name or "-" in name:
        raise RouterConfigurationError(
            f"'{name}' cannot name a router: RouteLLM reads 'router-<name>-<threshold>' and splits "
            f"it at the hyphens. Use underscores, for example '{name.replace('-', '_') or 'mine'}'."
        )
