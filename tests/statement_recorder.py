"""Records the statements of transactions, and the order in which each locks tables."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.apps import apps
from django.db import connection, models
from django.test.utils import CaptureQueriesContext

from experiments.models.lock_order import CONFIGURATION, position
from experiments.storage.bulk_sql import SEPARATOR

_WRITES = re.compile(r'^(?:WITH \w+ AS \()?(?:INSERT INTO|UPDATE|DELETE FROM) "(\w+)"')
_LOCKS = re.compile(r'^SELECT .*? FROM "(\w+)".* FOR (?:NO KEY )?UPDATE', re.DOTALL)
_TABLES = re.compile(r"^LOCK TABLE (.+?) IN ", re.DOTALL)
_MANY = re.compile(r"^\d+ times: ")  # how Django logs `executemany`
_ADVISORY = "pg_advisory_xact_lock"
_OURS = {model._meta.db_table: model for model in apps.get_app_config("experiments").get_models()}


@dataclass
class Transaction:
    """The tables that one transaction locks, each at its first statement, in order."""

    locked: list[type[models.Model]] = field(default_factory=list)
    is_advised: bool = False
    statements: list[str] = field(default_factory=list)
    full: list[str] = field(default_factory=list)

    def add(self, sql: str) -> None:
        self.is_advised |= _ADVISORY in sql
        for model in _locked_by(sql):
            self.statements.append(sql[:160])
            self.full.append(sql)
            if model not in self.locked:
                self.locked.append(model)

    @property
    def names(self) -> list[str]:
        return [model.__name__ for model in self.locked]

    def problems(self) -> Iterator[str]:
        """What is against the order: a table too late, or configuration without its lock."""
        places = [position(model) for model in self.locked]
        if places != sorted(places):
            yield f"locks {self.names}: {self.statements}"
        configured = [model for model in self.locked if position(model) == CONFIGURATION]
        if len(configured) > 1 and connection.vendor == "postgresql" and not self.is_advised:
            yield f"writes configuration without its lock: {self.names}"


@contextmanager
def recorded() -> Iterator[list[Transaction]]:
    """The transactions that lock more than nothing, once the block has ended."""
    found: list[Transaction] = []
    with CaptureQueriesContext(connection) as queries:
        yield found
    current: Transaction | None = None
    sent = (query["sql"].lstrip() for query in queries.captured_queries)
    for sql in (_MANY.sub("", each) for text in sent for each in text.split(SEPARATOR)):
        if sql.startswith("BEGIN"):
            current = Transaction()
            found.append(current)
        elif sql in {"COMMIT", "ROLLBACK"}:
            current = None
        elif current is None:
            alone = Transaction()
            alone.add(sql)
            found.append(alone)
        else:
            current.add(sql)
    found[:] = [each for each in found if each.locked]


def _locked_by(sql: str) -> Iterator[type[models.Model]]:
    if match := _WRITES.match(sql) or _LOCKS.match(sql):
        names = [match[1]]
    elif match := _TABLES.match(sql):
        names = re.findall(r'"(\w+)"', match[1])
    else:
        names = []
    yield from (_OURS[name] for name in names if name in _OURS)
