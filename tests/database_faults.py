"""A database that refuses certain rows with an error of choice, by a trigger of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, models

DEADLOCK, SERIALIZATION, TOO_LARGE, CHECK = "40P01", "40001", "54000", "23514"


@contextmanager
def refusing(model: type[models.Model], condition: str, code: str = CHECK) -> Iterator[None]:
    """Every new row of the model that meets `condition`, in SQL about NEW, is refused.

    On PostgreSQL with the error of that code; SQLite's triggers know constraints only.
    """
    with connection.cursor() as cursor:
        for statement in _creation(model._meta.db_table, condition, code):
            cursor.execute(statement)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for statement in _removal(model._meta.db_table):
                cursor.execute(statement)


def _creation(table: str, condition: str, code: str) -> Iterator[str]:
    if connection.vendor == "postgresql":
        yield (
            "CREATE FUNCTION refuse_it() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END $$"
        )
        yield (
            f'CREATE TRIGGER refusing BEFORE INSERT ON "{table}" FOR EACH ROW '
            f"WHEN ({condition}) EXECUTE FUNCTION refuse_it()"
        )
    else:
        yield (
            f'CREATE TRIGGER refusing BEFORE INSERT ON "{table}" WHEN {condition} '
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )


def _removal(table: str) -> Iterator[str]:
    if connection.vendor == "postgresql":
        yield f'DROP TRIGGER refusing ON "{table}"'
        yield "DROP FUNCTION refuse_it"
    else:
        yield "DROP TRIGGER refusing"
