"""RouteLLM's Controller with configured routers, for scripts, notebooks and evaluations."""

from collections.abc import Mapping
from typing import Any

from experiments.core.policy import PolicyRouter
from experiments.routers import routellm_loader
from experiments.routers.building import build, routellm_instance
from experiments.routers.kinds import check_name


def build_controller(
    routers: Mapping[str, PolicyRouter], *, strong_model: str, weak_model: str
) -> Any:
    """A RouteLLM Controller that holds these routers by name, loaded. Imports RouteLLM.

    Raises RouterConfigurationError for one that cannot be built, or whose name has a hyphen.
    """
    for name in routers:
        check_name(name)
    instances = {
        name: routellm_instance(router.kind, build(router)) for name, router in routers.items()
    }
    return routellm_loader.bridge().Controller(instances, strong_model, weak_model)
