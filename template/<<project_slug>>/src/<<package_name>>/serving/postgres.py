"""The prediction log in PostgreSQL, for endpoints on several machines. Its driver is the extra `postgres`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg

from .log import TRIMMED_AT_ONCE, Group, Keep, LogError, now

SCHEMA = """
CREATE TABLE IF NOT EXISTS predictions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id text NOT NULL UNIQUE,
    time timestamptz NOT NULL,
    decided_at timestamptz NOT NULL,
    inputs json NOT NULL,
    probability double precision NOT NULL,
    positive boolean NOT NULL,
    threshold double precision NOT NULL,
    model_version text NOT NULL,
    latency_ms double precision
);
CREATE TABLE IF NOT EXISTS feedback (
    request_id text PRIMARY KEY REFERENCES predictions (request_id) ON DELETE CASCADE,
    truth boolean NOT NULL,
    time timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS checked (
    id integer PRIMARY KEY,
    time timestamptz NOT NULL
);
"""
# One column each: a statement takes whole groups as arrays, and is the same for groups of any size.
INSERT = """
INSERT INTO predictions
    (request_id, time, decided_at, inputs, probability, positive, threshold, model_version)
SELECT * FROM unnest(%s::text[], %s::timestamptz[], %s::timestamptz[], %s::json[],
    %s::double precision[], %s::boolean[], %s::double precision[], %s::text[])
"""
UPDATE = """
UPDATE predictions SET latency_ms = new.latency_ms
FROM unnest(%s::text[], %s::double precision[]) AS new (request_id, latency_ms)
WHERE predictions.request_id = new.request_id
"""
TELL = """
INSERT INTO feedback
SELECT request_id, new.truth, %s
FROM unnest(%s::text[], %s::boolean[]) AS new (request_id, truth) JOIN predictions USING (request_id)
ON CONFLICT DO NOTHING
"""
TRIM = """
DELETE FROM predictions WHERE id IN (
    SELECT id FROM (SELECT id, time FROM predictions ORDER BY id LIMIT %s) AS oldest
    WHERE time < %s OR id <= (SELECT max(id) FROM predictions) - %s)
"""
# Seconds until a server that does not answer is given up; the driver allows no less to connect.
CONNECT_SECONDS = 2
STATEMENT_SECONDS = 1


class PostgresLog:
    """A log in the database at `address`, postgresql://..., whose tables are made if they are not there."""

    def __init__(self, address: str, keep: Keep) -> None:
        self.address = address
        self.keep = keep
        self._connection: psycopg.Connection | None = None

    def write(self, group: Group) -> Mapping[str, bool]:
        """See PredictionLog."""
        standing: dict[str, bool] = {}
        with self._connected() as connection, connection.transaction():
            if group.entries:
                connection.execute(INSERT, columns(group.entries))
            if group.latencies:
                connection.execute(UPDATE, columns(group.latencies))
            if group.truths:
                ids, truths = columns(group.truths)
                connection.execute(TELL, [now(), ids, truths])
                found = connection.execute("SELECT request_id, truth FROM feedback WHERE request_id = ANY(%s)", [ids])
                standing = dict(found.fetchall())
        return standing

    def trim(self) -> int:
        """See PredictionLog."""
        oldest = datetime.now(UTC) - timedelta(days=self.keep.days)
        with self._connected() as connection:
            return connection.execute(TRIM, [TRIMMED_AT_ONCE, oldest, self.keep.rows]).rowcount

    def check(self) -> None:
        """See PredictionLog."""
        with self._connected() as connection:
            connection.execute(
                "INSERT INTO checked VALUES (1, %s) ON CONFLICT (id) DO UPDATE SET time = excluded.time", [now()]
            )

    def close(self) -> None:
        """See PredictionLog."""
        if self._connection:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection]:
        """Give the connection, a new one where it is needed; after an error, close it."""
        try:
            if not self._connection:
                self._connection = psycopg.connect(
                    self.address,
                    autocommit=True,
                    connect_timeout=CONNECT_SECONDS,
                    tcp_user_timeout=STATEMENT_SECONDS * 1000,
                    options=f"-c statement_timeout={STATEMENT_SECONDS}s",
                )
                with self._connection.transaction():
                    # Several endpoints may start at once, and only one may make the tables.
                    self._connection.execute("SELECT pg_advisory_xact_lock(hashtext('predictions'))")
                    self._connection.execute(SCHEMA)
            yield self._connection
        except psycopg.Error as error:
            self.close()
            raise LogError(str(error)) from error


def columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    """Return rows as columns."""
    return [list(column) for column in zip(*rows, strict=True)]
