"""Log lines as JSON: one object per line, including the fields passed as `extra`."""

import logging
from datetime import UTC, datetime
from typing import Any

import orjson

_STANDARD = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime", "taskName"}


def leave_out_unused() -> None:
    """Lines do not name their thread and source, so these are not looked up for each. Gunicorn's
    lines name the process. The logging documentation describes these switches."""
    logging.logThreads = logging.logMultiprocessing = False
    vars(logging)["_srcfile"] = None


class JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {k: v for k, v in record.__dict__.items() if k not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()
