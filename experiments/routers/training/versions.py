"""Versions of what made a checkpoint, for its manifest."""

import platform
from importlib.metadata import version


def installed(*packages: str) -> dict[str, str]:
    found = {package: version(package) for package in packages}
    return {"python": platform.python_version(), **found}
