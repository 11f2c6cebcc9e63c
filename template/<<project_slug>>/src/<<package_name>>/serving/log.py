"""The prediction log: what was asked, what was answered, and later what was true.

It is a SQLite file, or a PostgreSQL database where one machine is not enough; both do what `PredictionLog` says.
Every method blocks, so the endpoint calls them in a thread of their own, never two at a time.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol

from ..errors import ProjectError

# How long to wait for another process that is writing: an answer that comes too late is no answer.
LOCKED_SECONDS = 0.5
# Old rows go in small portions, so that nobody waits long behind them.
TRIMMED_AT_ONCE = 2_000


class LogError(Exception):
    """The log cannot be used at the moment; the message is for the operator."""


class UnknownPredictionError(LookupError):
    """The log holds no prediction with this request id."""


class ContradictingTruthError(ValueError):
    """Another truth is already recorded for this prediction."""


class Entry(NamedTuple):
    """One row of the table `predictions`, but for its latency; `inputs` is JSON, times are ISO 8601 in UTC."""

    request_id: str
    time: str
    decided_at: str
    inputs: str
    probability: float
    positive: bool
    threshold: float
    model_version: str


@dataclass(frozen=True)
class Keep:
    """How much of the log is kept: predictions of the last `days`, and of these the newest `rows`."""

    days: int
    rows: int


@dataclass
class Group:
    """What one transaction writes: new predictions, how long earlier ones took (ms), and truths, by request id."""

    entries: list[Entry] = field(default_factory=list)
    latencies: list[tuple[str, float]] = field(default_factory=list)
    truths: list[tuple[str, bool]] = field(default_factory=list)


class PredictionLog(Protocol):
    """Where predictions are kept. Every method raises LogError if that cannot be used, and later tries anew."""

    def write(self, group: Group) -> Mapping[str, bool]:
        """Write a group durably: once this returns, it outlives a power cut. On an error nothing is written.

        Returns the truth that now stands for each id in `group.truths`, without those of no known prediction.
        The first truth of a prediction stays.
        """
        ...

    def trim(self) -> int:
        """Delete up to TRIMMED_AT_ONCE predictions that are older, or more, than is to be kept; return how many."""
        ...

    def check(self) -> None:
        """Find out whether the log can be written, by writing to it."""
        ...

    def close(self) -> None:
        """Give the log back."""
        ...


def open_log(where: str | Path, keep: Keep) -> PredictionLog:
    """Open the log at a path, or at an address postgresql://...; raise ProjectError if it cannot be written."""
    log: PredictionLog
    if str(where).startswith(("postgresql://", "postgres://")):
        try:
            from .postgres import PostgresLog  # noqa: PLC0415 — its driver is an extra
        except ModuleNotFoundError:
            raise ProjectError("A log in PostgreSQL needs its driver: uv sync --extra postgres") from None
        log, name = PostgresLog(str(where), keep), "in PostgreSQL"
    else:
        log, name = SqliteLog(Path(where), keep), str(where)
    try:
        log.check()
    except LogError as error:
        raise ProjectError(
            f"The prediction log {name} cannot be written ({error}). Mend that, or name another in PREDICTION_LOG."
        ) from error
    return log


# In WAL mode monitoring reads while the endpoint writes. FULL: each commit waits for the disk.
SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
CREATE TABLE IF NOT EXISTS predictions (
    id INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL UNIQUE,
    time TEXT NOT NULL,
    decided_at TEXT NOT NULL,
    inputs TEXT NOT NULL,
    probability REAL NOT NULL,
    positive INTEGER NOT NULL,
    threshold REAL NOT NULL,
    model_version TEXT NOT NULL,
    latency_ms REAL
);
CREATE TABLE IF NOT EXISTS feedback (
    request_id TEXT PRIMARY KEY REFERENCES predictions (request_id) ON DELETE CASCADE,
    truth INTEGER NOT NULL,
    time TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS checked (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL
);
"""
# {} is where the placeholders of as many rows go as there are.
INSERT = """
INSERT INTO predictions
    (request_id, time, decided_at, inputs, probability, positive, threshold, model_version)
VALUES {}
"""
UPDATE = """
UPDATE predictions SET latency_ms = new.column2
FROM (VALUES {}) AS new WHERE request_id = new.column1
"""
TELL = """
INSERT INTO feedback
SELECT request_id, new.column2, ? FROM (VALUES {}) AS new JOIN predictions ON request_id = new.column1
WHERE true ON CONFLICT DO NOTHING
"""
STANDING = "SELECT request_id, truth FROM feedback WHERE request_id IN {}"
TRIM = """
DELETE FROM predictions WHERE id IN (
    SELECT id FROM (SELECT id, time FROM predictions ORDER BY id LIMIT ?)
    WHERE time < ? OR id <= (SELECT max(id) FROM predictions) - ?)
"""


class SqliteLog:
    """A log in the file `path`, which is made if it is not there, also when it vanishes later."""

    def __init__(self, path: Path, keep: Keep) -> None:
        self.path = path
        self.keep = keep
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def write(self, group: Group) -> Mapping[str, bool]:
        """See PredictionLog."""
        # One statement for all rows: between any two, this thread may have to wait for the event loop's.
        standing: dict[str, bool] = {}
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            if group.entries:
                connection.execute(INSERT.format(rows(group.entries)), flat(group.entries))
            if group.latencies:
                connection.execute(UPDATE.format(rows(group.latencies)), flat(group.latencies))
            if group.truths:
                connection.execute(TELL.format(rows(group.truths)), [now(), *flat(group.truths)])
                ids = [request_id for request_id, _ in group.truths]
                found = connection.execute(STANDING.format(row(ids)), ids)
                standing = {request_id: bool(truth) for request_id, truth in found}
            connection.execute("COMMIT")
        return standing

    def trim(self) -> int:
        """See PredictionLog."""
        oldest = utc(datetime.now(UTC) - timedelta(days=self.keep.days))
        with self._connected() as connection:
            return connection.execute(TRIM, (TRIMMED_AT_ONCE, oldest, self.keep.rows)).rowcount

    def check(self) -> None:
        """See PredictionLog."""
        with self._connected() as connection:
            connection.execute("REPLACE INTO checked VALUES (1, ?)", (now(),))

    def close(self) -> None:
        """See PredictionLog."""
        if self._connection:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Give the connection, a new one where it is needed; after an error, close it, which rolls back."""
        try:
            # A file that was deleted would still take rows, which nobody could ever read.
            if self._connection and inode(self.path) != self._inode:
                self.close()
            if not self._connection:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = sqlite3.connect(
                    self.path, check_same_thread=False, timeout=LOCKED_SECONDS, isolation_level=None
                )
                self._connection.executescript(SCHEMA)
                self._inode = inode(self.path)
            yield self._connection
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise LogError(str(error)) from error


def row(values: Sequence[object]) -> str:
    """Return the placeholders of one row in SQL: (?, ?)."""
    return f"({', '.join('?' * len(values))})"


def rows(values: Sequence[Sequence[object]]) -> str:
    """Return the placeholders of equally long rows in SQL: (?, ?), (?, ?)."""
    return ", ".join([row(values[0])] * len(values))


def flat(values: Iterable[Iterable[object]]) -> list[object]:
    """Return the values of rows one after the other."""
    return list(chain.from_iterable(values))


def inode(path: Path) -> int:
    """Return which file a path leads to, or -1 if it leads nowhere."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return -1


def now() -> str:
    """Return the time as the log has it."""
    return utc(datetime.now(UTC))


def utc(time: datetime) -> str:
    """Write a time in UTC, so that times in the log compare as text."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")
