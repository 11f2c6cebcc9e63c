"""What the environment may say about the endpoint: its log, its workers, its key, and the share of a challenger."""

import os
from dataclasses import dataclass

from ..errors import ProjectError
from .log import Keep

KEEP = Keep(days=365, rows=1_000_000)
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True)
class Settings:
    """How the endpoint treats its log, its key, and the share of requests (0 to 1) that a challenger gets.

    Of the log: how much of it is kept, and what happens while it cannot be written.
    """

    keep: Keep = KEEP
    serve_unlogged: bool = False
    challenger_share: float = 0.1
    api_key: str | None = None


DEFAULTS = Settings()


def from_environment() -> Settings:
    """Read PREDICTION_LOG_DAYS, _ROWS and _FAILS (refuse or serve), CHALLENGER_SHARE and API_KEY.

    Raises ProjectError for a value that means nothing.
    """
    fails = os.environ.get("PREDICTION_LOG_FAILS", "refuse")
    if fails not in {"refuse", "serve"}:
        raise ProjectError(f"PREDICTION_LOG_FAILS is {fails!r}; it can be refuse or serve.")
    keep = Keep(
        days=whole_number("PREDICTION_LOG_DAYS", KEEP.days),
        rows=whole_number("PREDICTION_LOG_ROWS", KEEP.rows),
    )
    return Settings(
        keep,
        serve_unlogged=fails == "serve",
        challenger_share=share("CHALLENGER_SHARE"),
        api_key=os.environ.get("API_KEY") or None,
    )


def workers() -> int:
    """Return how many processes answer: WEB_CONCURRENCY, or 1."""
    return whole_number("WEB_CONCURRENCY", 1)


def log_level() -> str:
    """Return from which level on the process says what it does: LOG_LEVEL, or INFO."""
    level = os.environ.get("LOG_LEVEL", "info").upper()
    if level not in LOG_LEVELS:
        raise ProjectError(f"LOG_LEVEL is {level!r}; it can be {', '.join(LOG_LEVELS).lower()}.")
    return level


def share(name: str) -> float:
    """Read a number from 0 to 1 from the environment; raise ProjectError if it is none."""
    value = os.environ.get(name, str(DEFAULTS.challenger_share))
    try:
        number = float(value)
    except ValueError:
        number = -1
    if not 0 <= number <= 1:
        raise ProjectError(f"{name} is {value!r}, which is not a number from 0 to 1.")
    return number


def whole_number(name: str, default: int) -> int:
    """Read a whole number above 0 from the environment; raise ProjectError if it is none."""
    value = os.environ.get(name, str(default))
    if not value.isdecimal() or not int(value):
        raise ProjectError(f"{name} is {value!r}, which is not a whole number above 0.")
    return int(value)
