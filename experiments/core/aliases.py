"""Names that clients send for a model, and what they stand for. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class PolicyAlias:
    """`pattern` is a name such as `gpt-4o`, or has `*` for any characters. `target` is what it
    stands for: `router-auto`, a domain, a router or a model. `keys` are the names of the API keys
    that it is for; empty means all."""

    name: str
    pattern: str
    target: str
    keys: frozenset[str] = frozenset()

    def applies_to(self, key: str) -> bool:
        return not self.keys or key in self.keys

    @property
    def is_pattern(self) -> bool:
        return "*" in self.pattern


def by_precedence(aliases: Iterable[PolicyAlias]) -> tuple[PolicyAlias, ...]:
    """The first that applies counts: those of a key before those of all, names before patterns,
    long patterns before short ones."""
    return tuple(sorted(aliases, key=lambda a: (not a.keys, a.is_pattern, -len(a.pattern), a.name)))


def alias_of(aliases: Iterable[PolicyAlias], name: str, key: str) -> PolicyAlias | None:
    """What the name stands for with this key. `aliases` are `by_precedence`."""
    for alias in aliases:
        is_same = alias.pattern == name
        if alias.applies_to(key) and (is_same or fnmatchcase(name, alias.pattern)):
            return alias
    return None
