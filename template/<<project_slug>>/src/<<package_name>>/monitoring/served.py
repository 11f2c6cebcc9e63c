"""What the endpoint answered, read back from its log and cut into windows of whole weeks."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pandas as pd

from .. import problem
from ..errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

# Times and inputs as text, which SQLite has anyway: DuckDB parses it faster than a driver.
QUERY = """
    SELECT CAST(decided_at AS text), CAST(inputs AS text), probability, positive, threshold, latency_ms, truth
    FROM predictions LEFT JOIN feedback USING (request_id)
    WHERE model_version = {version} ORDER BY id
"""
COUNT = "SELECT count(*) FROM predictions WHERE model_version = {version}"
BATCH = 50_000

# A SQLite file, or the address of a PostgreSQL database.
Log = Path | str


@dataclass(frozen=True)
class Served:
    """Predictions in the order of their decisions, one array element each.

    `decided_at` is on the clocks of problem.TIMEZONE; `inputs` holds each field as drift.typed makes it; `copy` is
    equal for requests that are equal; `truth` is NaN until known.
    """

    decided_at: NDArray[np.datetime64]
    inputs: dict[str, NDArray[np.float64]]
    copy: NDArray[np.uint64]
    probability: NDArray[np.float64]
    positive: NDArray[np.bool_]
    threshold: NDArray[np.float64]
    latency_ms: NDArray[np.float64]
    truth: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of predictions."""
        return len(self.decided_at)

    def part(self, rows: slice | NDArray[np.intp]) -> Served:
        """Return some of the predictions."""
        columns = {name: values[rows] for name, values in vars(self).items() if name != "inputs"}
        return Served(inputs={name: values[rows] for name, values in self.inputs.items()}, **columns)


def count(log: Log, version: str) -> int:
    """Return how many predictions of one version of the model a log holds; 0 where there is no log yet."""
    ((rows,),) = next(select(COUNT, log, version), [(0,)])
    return int(rows)


def read(log: Log, version: str, levels: Mapping[str, Sequence[str]]) -> Served:
    """Read what one version of the model answered; `levels` names the fields, with their names if they have any.

    Raises ProjectError when that is nothing.
    """
    parsed: list[dict[str, NDArray[Any]]] = []
    # A driver and DuckDB both work outside of Python's lock: while one batch is parsed, the next is read.
    with duckdb.connect() as parser, ThreadPoolExecutor(1) as thread:
        pending: Future[dict[str, NDArray[Any]]] | None = None
        for rows in select(QUERY, log, version):
            parsed += [pending.result()] if pending else []
            pending = thread.submit(parse, parser, rows, levels)
        parsed += [pending.result()] if pending else []
    if not parsed:
        raise ProjectError(
            f"{log} holds no prediction of the champion, version {version}. Serve it, or run `make simulate`."
        )
    columns = {name: np.concatenate([part.pop(name) for part in parsed]) for name in list(parsed[0])}
    inputs = {name: columns.pop(f"inputs.{name}") for name in levels}
    utc = columns.pop("decided_at")
    local = pd.DatetimeIndex(utc, tz="UTC").tz_convert(problem.TIMEZONE).tz_localize(None)
    served = Served(decided_at=local.to_numpy("datetime64[s]"), inputs=inputs, **columns)
    return served.part(np.argsort(utc, kind="stable"))


def select(query: str, log: Log, version: str) -> Iterator[list[tuple[Any, ...]]]:
    """Return the rows of a query, some at a time, or none if there is no log; the endpoint may write meanwhile."""
    if isinstance(log, Path) and not log.exists():
        return
    with opened(log) as (cursor, placeholder):
        cursor.execute(query.format(version=placeholder), (version,))
        while rows := cursor.fetchmany(BATCH):
            yield rows


@contextmanager
def opened(log: Log) -> Iterator[tuple[Any, str]]:
    """Give a cursor of a log, and how it writes a parameter."""
    if isinstance(log, Path):
        with closing(sqlite3.connect(f"{log.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            yield connection.cursor(), "?"
    else:
        import psycopg  # noqa: PLC0415 — an extra

        # A cursor with a name stays on the server, and hands out what is asked for.
        with psycopg.connect(log, options="-c timezone=UTC") as database, database.cursor("served") as cursor:
            yield cursor, "%s"


def parse(
    parser: duckdb.DuckDBPyConnection, rows: list[tuple[Any, ...]], levels: Mapping[str, Sequence[str]]
) -> dict[str, NDArray[Any]]:
    """Turn rows of QUERY into columns; DuckDB reads the JSON of all of them at once."""
    texts, numbers = ("decided_at", "inputs"), ("probability", "positive", "threshold", "latency_ms", "truth")
    columns = [np.array(column, dtype=object) for column in zip(*rows, strict=True)]
    told = dict(zip((*texts, *numbers), columns, strict=True))
    types = json.dumps({name: "VARCHAR" if of else "DOUBLE" for name, of in levels.items()})
    fields = ", ".join(f'{as_number(name, of)} AS "inputs.{name}"' for name, of in levels.items())
    frame = {name: told[name] for name in texts}  # noqa: F841 — the query reads it
    found = parser.execute(
        f"SELECT decided_at::TIMESTAMP AS decided_at, hash(decided_at, inputs) AS copy, {fields} "  # noqa: S608
        "FROM (SELECT *, try(from_json(inputs, ?)) AS input FROM frame)",
        [types],
    ).fetchnumpy()
    values = {name: np.ma.filled(column, np.nan) for name, column in found.items()}
    return values | {name: told[name].astype(bool if name == "positive" else np.float64) for name in numbers}


def as_number(name: str, levels: Sequence[str]) -> str:
    """Return the SQL of a field as drift.typed has it: a name by its position, or the number behind the last one."""
    value = f'input."{name}"'
    if not levels:
        return value
    names = ", ".join("'" + level.replace("'", "''") + "'" for level in levels)
    position = f"enum_code(try_cast({value} AS ENUM ({names})))::DOUBLE"
    return f"CASE WHEN {value} IS NOT NULL THEN coalesce({position}, {len(levels)}) END"


def windows(served: Served, least: int) -> list[Served]:
    """Cut into windows of whole weeks, counted back from the newest prediction, each of `least` rows or more.

    Whole weeks, because a Monday differs from a Sunday without anything being wrong. What is left over at the
    beginning belongs to the first window; less than one full window makes no window at all.
    """
    day = served.decided_at.astype("datetime64[D]").astype(int)
    week = (day[-1] - day) // 7
    starts: list[int] = []
    end = len(served)
    for age in range((day[-1] - day[0] + 1) // 7):
        # Rows of this age begin where the next older week ends.
        start = int(np.count_nonzero(week > age))
        if end - start >= least:
            starts.append(start)
            end = start
    if not starts:
        return []
    bounds = [0, *reversed(starts[:-1]), len(served)]
    return [served.part(slice(a, b)) for a, b in pairwise(bounds)]
