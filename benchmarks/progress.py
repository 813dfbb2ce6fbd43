"""Says what a long benchmark does, and goes on without what cannot be measured."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

Run = TypeVar("Run")

_begun = time.monotonic()


class NotStartedError(Exception):
    """A server, or what it needs, did not come up in its time."""


class LeftOut(NamedTuple):
    """A peer without figures, and why."""

    name: str
    why: str


def report(what: str) -> None:
    """Prints progress to standard error; results go to standard output."""
    print(f"{time.monotonic() - _begun:6.0f} s  {what}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    report(f"{what} …")
    started = time.monotonic()
    yield
    report(f"{what}: {time.monotonic() - started:.0f} s")


def unless_it_fails(
    name: str, measure: Callable[[], Sequence[Run]], left_out: list[LeftOut]
) -> list[Run]:
    """The runs of a peer; none where it cannot be measured, which is noted in `left_out`."""
    try:
        return list(measure())
    except (NotStartedError, subprocess.SubprocessError, OSError) as error:
        left_out.append(LeftOut(name, str(error)))
        report(f"Left out: {name}: {error}")
        return []
