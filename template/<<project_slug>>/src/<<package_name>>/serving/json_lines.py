"""What the process has to say, ours and uvicorn's alike: one line of JSON each."""

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any

# The package above this one, whose loggers the command line has set up for people.
PACKAGE = __name__.partition(".")[0]


class JsonLines(logging.Formatter):
    """Formats a record as one line.

    Of an error it gives the kind and the place, never the words: they may quote what somebody has sent.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if hasattr(record, "request_id"):
            line["request_id"] = record.request_id
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])
            line["trace"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(line, ensure_ascii=False)


def configuration(level: str) -> dict[str, Any]:
    """Return how to log from a level on, as `logging.config` takes it."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonLines}},
        "handlers": {"output": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}},
        "root": {"level": level, "handlers": ["output"]},
        # A replay in the same process has given uvicorn's a handler of their own, and another level.
        "loggers": {
            PACKAGE: {"level": level},
            "uvicorn": {"level": level, "handlers": [], "propagate": True},
            "uvicorn.error": {"level": level},
        },
    }
