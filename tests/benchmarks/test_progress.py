"""A benchmark goes on without what does not start, and says so."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks import http_load
from benchmarks.progress import LeftOut, NotStartedError, unless_it_fails


def start(folder: Path, program: str) -> list[int]:
    command = [sys.executable, "-c", program]
    log, port = folder / "log", http_load.free_port()
    with http_load.serving("The sluggard", command, dict(os.environ), log, port, "/") as pid:
        return [pid]


def test_what_ends_at_its_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(NotStartedError, match="The sluggard ended at its start:\nno port"):
        start(tmp_path, "import sys; sys.exit('no port')")


def test_what_never_answers_is_named_after_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_load, "START_SECONDS", 0.5)
    with pytest.raises(NotStartedError, match=r"The sluggard did not start within 0\.5 s"):
        start(tmp_path, "import time; time.sleep(60)")


def test_a_peer_that_fails_is_left_out_and_the_next_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left_out: list[LeftOut] = []
    none = unless_it_fails("First", lambda: start(tmp_path, "raise SystemExit('no')"), left_out)
    some = unless_it_fails("Second", lambda: [1, 2], left_out)
    assert (none, some) == ([], [1, 2])
    assert [each.name for each in left_out] == ["First"]
    assert "Left out: First" in capsys.readouterr().err
