"""The prediction log: what was asked, what was answered, and later what was true (SQLite).

Monitoring reads the file while the endpoint writes it, which is why it is in WAL mode. There, with
`synchronous = NORMAL`, a committed row outlives the process; only a power cut may cost the last ones.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import ProjectError

# How long to wait for another process that is writing: an answer that comes too late is no answer.
LOCKED_SECONDS = 0.5

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA foreign_keys = ON;
CREATE TABLE IF NOT EXISTS predictions (
    request_id TEXT PRIMARY KEY,
    time TEXT NOT NULL,
    decided_at TEXT NOT NULL,
    inputs TEXT NOT NULL,
    probability REAL NOT NULL,
    positive INTEGER NOT NULL,
    threshold REAL NOT NULL,
    model_version TEXT NOT NULL,
    latency_ms REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS feedback (
    request_id TEXT PRIMARY KEY REFERENCES predictions,
    truth INTEGER NOT NULL,
    time TEXT NOT NULL
);
"""


class UnknownPredictionError(LookupError):
    """No prediction with this request id was ever given."""


class ContradictingTruthError(ValueError):
    """The opposite truth is already recorded for this prediction."""


@dataclass(frozen=True)
class Entry:
    """One row of the table `predictions`; `latency_ms` is what this row took, from request to log."""

    request_id: str
    decided_at: datetime
    inputs: Mapping[str, Any]
    probability: float
    positive: bool
    threshold: float
    model_version: str
    latency_ms: float


class PredictionLog:
    """The log in the file `path`, which is made if it is not there."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # The app may be made in another thread than the one that serves; only one at a time uses it.
            self._connection = sqlite3.connect(path, check_same_thread=False, timeout=LOCKED_SECONDS)
            self._connection.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise ProjectError(
                f"The prediction log {path} cannot be written ({error}). "
                "Free the file, or name another one in PREDICTION_LOG."
            ) from error

    def write(self, entries: Sequence[Entry]) -> None:
        """Write all entries, or none if that fails; raise sqlite3.Error."""
        time = utc(datetime.now(UTC))
        rows = [
            (
                entry.request_id,
                time,
                utc(entry.decided_at),
                json.dumps(entry.inputs),
                entry.probability,
                entry.positive,
                entry.threshold,
                entry.model_version,
                entry.latency_ms,
            )
            for entry in entries
        ]
        with self._connection:
            self._connection.executemany("INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def write_truth(self, request_id: str, truth: bool) -> None:
        """Record what happened; to say the same again changes nothing.

        Raises UnknownPredictionError or ContradictingTruthError.
        """
        try:
            with self._connection:
                self._connection.execute(
                    "INSERT INTO feedback VALUES (?, ?, ?) ON CONFLICT (request_id) DO NOTHING",
                    (request_id, truth, utc(datetime.now(UTC))),
                )
        except sqlite3.IntegrityError:
            raise UnknownPredictionError(request_id) from None
        found = self._connection.execute("SELECT truth FROM feedback WHERE request_id = ?", (request_id,))
        if bool(found.fetchone()[0]) != truth:
            raise ContradictingTruthError(request_id)

    def check(self) -> None:
        """Raise sqlite3.Error if the log cannot be written at the moment."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.rollback()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def utc(time: datetime) -> str:
    """Write a time in UTC, so that times in the log compare as text; one without an offset is UTC already."""
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return aware.isoformat(timespec="milliseconds")
