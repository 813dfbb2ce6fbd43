"""The sha256 of a router's files, by which a policy pins its checkpoint.

A folder's hash covers the names and contents of its files, so it does not depend on its path.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_CHECKPOINT_ARGUMENTS = ("checkpoint_path", "arena_battle_datasets", "arena_embedding_datasets")
_CHUNK = 1 << 20


def checkpoint_paths(arguments: Mapping[str, object]) -> Iterator[str]:
    """The paths among a router's arguments, in a fixed order."""
    for name in _CHECKPOINT_ARGUMENTS:
        value = arguments.get(name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | tuple):
            yield from map(str, value)


def fingerprint(paths: Iterable[Path]) -> str | None:
    """One sha256 over files and folders; None without any."""
    digests = [_digest(path) for path in paths]
    if not digests:
        return None
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def _digest(path: Path) -> str:
    if path.is_file():
        return _file_digest(path)
    lines = (
        f"{_file_digest(file)}  {file.relative_to(path).as_posix()}\n" for file in _files(path)
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _files(folder: Path) -> list[Path]:
    """Without hidden files, in which the hub's tools store data about a download."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(
        file
        for file in files
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
