"""Lines of the log, the server's own included."""

import subprocess
import sys

SERVER_LINE = """
import logging
from gunicorn.glogging import Logger
from experiments.logs import leave_out_unused

leave_out_unused()
formatter = logging.Formatter(Logger.error_fmt, Logger.datefmt)
record = logging.getLogger("gunicorn.error").makeRecord(
    "gunicorn.error", logging.INFO, "", 0, "Listening at: %s", ("here",), None
)
print(formatter.format(record))
"""


def test_gunicorn_can_write_its_lines_without_the_fields_that_are_left_out() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVER_LINE], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.endswith("[INFO] Listening at: here\n")
