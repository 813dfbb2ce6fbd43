"""Runs RouteLLM's own programs with our routers registered.

    python -m experiments.routers.upstream calibrate_threshold --routers local …

Their options list the known routers, so ours must be registered before they start.
"""

import runpy
import sys
from importlib.util import find_spec
from types import ModuleType

from experiments.routers import routellm_loader, routellm_setup


def main(program: str, *arguments: str) -> None:
    """Run `routellm.<program>` as if by `python -m`."""
    routellm_loader.bridge()
    _stand_in_for_pandarallel()
    sys.argv = [f"routellm.{program}", *arguments]
    with routellm_setup.import_environment():  # the server makes another OpenAI client
        runpy.run_module(f"routellm.{program}", run_name="__main__")


def _stand_in_for_pandarallel() -> None:
    """RouteLLM's programs import it at their top and need it only for routers with NO_PARALLEL
    unset; it does not work with pandas 3."""
    if "pandarallel" not in sys.modules and find_spec("pandarallel") is None:
        module = ModuleType("pandarallel")
        module.pandarallel = ModuleType("pandarallel")  # type: ignore[attr-defined]
        sys.modules["pandarallel"] = module


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("Name one of RouteLLM's programs, for example calibrate_threshold.")
    main(*sys.argv[1:])
