"""Where the lab stores files: below LAB_DIR, and recorded relative to it.

So the folder can move, and each machine can have its own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

PATH_ARGUMENTS = ("checkpoint_path", "arena_battle_datasets", "arena_embedding_datasets")
"""The arguments of routers that are paths, the same as in `experiments.routers.fingerprint`."""


def relative_to_lab(path: str) -> str:
    """How a path is stored: relative if it is below LAB_DIR, else unchanged."""
    return path_below(path, settings.LAB_DIR)


def path_below(path: str, folder: str) -> str:
    if not path:
        return path
    for whole in (Path(path).absolute(), Path(path).resolve()):
        for above in (Path(folder).absolute(), Path(folder).resolve()):
            if whole.is_relative_to(above) and whole != above:
                return whole.relative_to(above).as_posix()
    return path


def in_lab(path: str) -> str:
    """A stored path on this machine. A path outside LAB_DIR (another folder, a repository of the
    hub) is unchanged."""
    inside = Path(settings.LAB_DIR).absolute() / path
    is_stored = bool(path) and not Path(path).is_absolute() and inside.exists()
    return str(inside) if is_stored else path


def with_stored_paths(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A router's arguments in stored form."""
    return map_paths(arguments, relative_to_lab)


def with_local_paths(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A router's arguments with the paths of this machine."""
    return map_paths(arguments, in_lab)


def map_paths(arguments: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    def changed(value: Any) -> Any:
        if isinstance(value, str):
            return change(value)
        return [changed(one) for one in value] if isinstance(value, list | tuple) else value

    return {
        name: changed(value) if name in PATH_ARGUMENTS else value
        for name, value in arguments.items()
    }
