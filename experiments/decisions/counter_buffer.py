"""Collects changes of running sums and appends them: one insert for each table.

Transactions share no row that they update: each change is a new row, which
`experiments.decisions.folding` adds to its sum later. So writers never wait for each other. Tables
are written in the order of `lock_order`.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from django.db import models

from experiments.models.lock_order import position
from experiments.storage import bulk_sql
from experiments.storage.bulk_sql import Insertion

Key = tuple[tuple[str, Any], ...]


class CounterBuffer:
    """Changes that are not written yet. One buffer serves one transaction."""

    def __init__(self) -> None:
        self._pending: dict[type[models.Model], dict[Key, dict[str, int]]] = defaultdict(dict)

    def add(
        self, model: type[models.Model], key: Mapping[str, Any], changes: Mapping[str, int]
    ) -> None:
        """Adds `changes` to the row with that key. Zeros are left out."""
        row = self._pending[model].setdefault(tuple(key.items()), defaultdict(int))
        for name, change in changes.items():
            row[name] += change

    def insertions(self) -> list[Insertion]:
        """Takes the changes out of the buffer, as inserts. Writes nothing."""
        found = []
        for model in sorted(self._pending, key=position):
            pending = self._pending.pop(model)
            rows = {key: changes for key, changes in pending.items() if any(changes.values())}
            if rows:
                found.append(_insertion(model, rows))
        return found


def _insertion(model: type[models.Model], rows: Mapping[Key, Mapping[str, int]]) -> Insertion:
    """All rows name the columns that any of them changes, so one statement inserts them all."""
    changed = sorted({name for row in rows.values() for name, change in row.items() if change})
    return bulk_sql.appended(
        model,
        [
            {**dict(key), "folded": None, **{name: changes.get(name, 0) for name in changed}}
            for key, changes in rows.items()
        ],
    )
