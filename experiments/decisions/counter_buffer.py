"""Collects changes of running sums and writes them: one upsert for each table, in a fixed order.

The fixed order (by table as in `lock_order`, then by key) is what keeps concurrent writers from
waiting for each other in a circle. A row that is missing is made; columns that are not named start
at 0.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from django.db import models

from experiments.models.lock_order import position
from experiments.storage import bulk_sql

Key = tuple[tuple[str, Any], ...]


class CounterBuffer:
    """Changes that are not written yet. Use one for a transaction, and `write` at its end."""

    def __init__(self) -> None:
        self._pending: dict[type[models.Model], dict[Key, dict[str, int]]] = defaultdict(dict)

    def add(
        self, model: type[models.Model], key: Mapping[str, Any], changes: Mapping[str, int]
    ) -> None:
        """Adds `changes` to the row with that key. Zeros are left out."""
        row = self._pending[model].setdefault(tuple(key.items()), defaultdict(int))
        for name, change in changes.items():
            row[name] += change

    def write(self) -> None:
        for model in sorted(self._pending, key=position):
            pending = self._pending.pop(model)
            rows = {key: changes for key, changes in pending.items() if any(changes.values())}
            if rows:
                _write(model, rows)


def _write(model: type[models.Model], rows: Mapping[Key, Mapping[str, int]]) -> None:
    """All rows name the columns that any of them changes, so that one statement takes them all."""
    changed = sorted({name for row in rows.values() for name, change in row.items() if change})
    ordered = sorted(rows, key=lambda key: tuple(str(value) for _, value in key))
    columns = [name for name, _ in ordered[0]]
    bulk_sql.add(
        model,
        columns,
        [{**dict(key), **{name: rows[key].get(name, 0) for name in changed}} for key in ordered],
    )
