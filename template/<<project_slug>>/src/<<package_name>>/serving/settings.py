"""What the environment may say about the endpoint's log and its workers."""

import os
from dataclasses import dataclass

from ..errors import ProjectError
from .log import Keep

KEEP = Keep(days=365, rows=1_000_000)


@dataclass(frozen=True)
class Settings:
    """How the endpoint treats its log: how much of it is kept, and what happens while it cannot be written."""

    keep: Keep = KEEP
    serve_unlogged: bool = False


DEFAULTS = Settings()


def from_environment() -> Settings:
    """Read PREDICTION_LOG_DAYS, PREDICTION_LOG_ROWS and PREDICTION_LOG_FAILS (refuse or serve).

    Raises ProjectError for a value that means nothing.
    """
    fails = os.environ.get("PREDICTION_LOG_FAILS", "refuse")
    if fails not in {"refuse", "serve"}:
        raise ProjectError(f"PREDICTION_LOG_FAILS is {fails!r}; it can be refuse or serve.")
    keep = Keep(
        days=whole_number("PREDICTION_LOG_DAYS", KEEP.days),
        rows=whole_number("PREDICTION_LOG_ROWS", KEEP.rows),
    )
    return Settings(keep, serve_unlogged=fails == "serve")


def workers() -> int:
    """Return how many processes answer: WEB_CONCURRENCY, or 1."""
    return whole_number("WEB_CONCURRENCY", 1)


def whole_number(name: str, default: int) -> int:
    """Read a whole number above 0 from the environment; raise ProjectError if it is none."""
    value = os.environ.get(name, str(default))
    if not value.isdecimal() or not int(value):
        raise ProjectError(f"{name} is {value!r}, which is not a whole number above 0.")
    return int(value)
