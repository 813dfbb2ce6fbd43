"""The server's stored rows, read from its database."""

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Found = TypeVar("Found")
Row = dict[str, Any]


class StoredRows:
    def __init__(self, database: Path) -> None:
        self._database = database

    def rows(self, question: str, *values: Any) -> list[Row]:
        with sqlite3.connect(self._database) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(question, values)]

    def decision(self, decision_id: str) -> Row:
        found = self.rows(
            "SELECT * FROM experiments_decision WHERE id = ?", decision_id.replace("-", "")
        )
        return {**found[0], "detail": json.loads(found[0]["detail"])}

    def outcome(self, decision_id: str) -> Row:
        """Waits until the outcome is recorded, a moment after the response."""
        question = "SELECT * FROM experiments_outcome WHERE decision_id = ?"
        return until(lambda: self.rows(question, decision_id.replace("-", "")))[0]

    def attempts(self, decision_id: str) -> list[Row]:
        self.outcome(decision_id)
        question = "SELECT * FROM experiments_attempt WHERE decision_id = ? ORDER BY number"
        return self.rows(question, decision_id.replace("-", ""))

    def newest(self, domain: str) -> str:
        question = "SELECT id FROM experiments_decision WHERE domain = ? ORDER BY id DESC LIMIT 1"
        return str(self.rows(question, domain)[0]["id"])

    def count(self, domain: str) -> int:
        question = "SELECT COUNT(*) AS n FROM experiments_decision WHERE domain = ?"
        return int(self.rows(question, domain)[0]["n"])

    def circuit(self, model: str) -> Row:
        question = "SELECT * FROM experiments_circuit WHERE model = ?"
        return (self.rows(question, model) or [{}])[0]

    def execute(self, statement: str, *values: Any) -> None:
        with sqlite3.connect(self._database, timeout=10) as connection:
            connection.execute(statement, values)


def until(look: Callable[[], Found], seconds: float = 10.0) -> Found:
    """The first non-empty result of `look`."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError("It did not happen in time.")
        time.sleep(0.03)
    return found
