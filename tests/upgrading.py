"""A database as an earlier release left it, and its upgrade, for tests with rows in it."""

from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

APP = "experiments"

Models = Callable[[str], Any]
"""Gives a model by its name, as it is at that migration."""


def migrated_to(migration: str) -> Models:
    """Takes the database to a migration, forwards or backwards; answers its models."""
    executor = MigrationExecutor(connection)
    state = executor.migrate([(APP, migration)])
    return lambda name: state.apps.get_model(APP, name)


def newest() -> str:
    """The name of the newest migration."""
    leaves = MigrationExecutor(connection).loader.graph.leaf_nodes(APP)
    return str(leaves[0][1])


def restored() -> Iterator[None]:
    """For a fixture: afterwards the database is that of this release."""
    yield
    migrated_to(newest())
