"""Importing this registers every page. Not in `__init__`, which is imported with the site class,
before there is a site to register with."""

from experiments.admin import (  # noqa: F401
    accounts,
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
