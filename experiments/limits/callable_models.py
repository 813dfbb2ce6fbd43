"""Which models can be called from here, and what is missing for the others."""

from typing import NamedTuple

from experiments.core.endpoints import Endpoint
from experiments.core.policy import Policy
from experiments.limits import credentials


class MissingKey(NamedTuple):
    """An endpoint with a missing key: the environment variable or file that should contain it."""

    endpoint: str
    variable: str
    file: str
    problem: str


class CallableModels(NamedTuple):
    models: tuple[str, ...]
    missing: tuple[MissingKey, ...]


def reach(policy: Policy) -> CallableModels:
    endpoints = {one.endpoint.name: one.endpoint for one in policy.upstreams.values()}
    problems = {name: credentials.problem_of(one) for name, one in endpoints.items()}
    models = [
        name
        for name, upstream in policy.upstreams.items()
        if problems[upstream.endpoint.name] is None and policy.models[name].is_available
    ]
    missing = (_missing(endpoints[name], problem) for name, problem in problems.items() if problem)
    return CallableModels(tuple(sorted(models)), tuple(missing))


def _missing(endpoint: Endpoint, problem: str) -> MissingKey:
    return MissingKey(endpoint.name, endpoint.api_key_env, endpoint.api_key_file, problem)
