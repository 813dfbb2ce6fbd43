"""Importing this module registers every page. `__init__` cannot do it, because it is imported with
the site class, before the site exists."""

from experiments.admin import (  # noqa: F401
    accounts,
    aliases,
    decisions,
    domains,
    endpoints,
    experiments,
    flags,
    keys,
    logins,
    metrics,
    models,
    outcome_sets,
    parameters,
    periodic_jobs,
    revisions,
    rollouts,
    routers,
    settings,
)
