"""What the endpoint answered, read back from its log and cut into windows of whole weeks."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import problem
from ..errors import ProjectError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

QUERY = """
    select substr(coalesce(decided_at, p.time), 1, 19), inputs, probability, positive, latency_ms, truth
    from predictions as p left join feedback using (request_id)
    where model_version = ?
    order by 1, request_id
"""


@dataclass(frozen=True)
class Served:
    """Predictions in the order of their decisions, one array element each; `truth` is NaN until known."""

    decided_at: NDArray[np.datetime64]
    inputs: NDArray[Any]
    probability: NDArray[np.float64]
    positive: NDArray[np.bool_]
    latency_ms: NDArray[np.float64]
    truth: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of predictions."""
        return len(self.decided_at)

    def part(self, rows: slice) -> Served:
        """Return some of the predictions."""
        return Served(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the inputs by field; what a request left out is None."""
        return {name: np.array([row.get(name) for row in self.inputs], dtype=object) for name in problem.NAMES}


def count(log: Path, version: str) -> int:
    """Return how many predictions of one version of the model a log holds; 0 where there is no log yet."""
    if not log.exists():
        return 0
    with closing(sqlite3.connect(f"{log.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        (rows,) = connection.execute("select count(*) from predictions where model_version = ?", (version,)).fetchone()
    return int(rows)


def read(log: Path, version: str) -> Served:
    """Read what one version of the model answered. Raises ProjectError when that is nothing."""
    with closing(sqlite3.connect(f"{log.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(QUERY, (version,)).fetchall()
    if not rows:
        raise ProjectError(
            f"{log} holds no prediction of the champion, version {version}. Serve it, or run `make simulate`."
        )
    decided_at, inputs, probability, positive, latency_ms, truth = zip(*rows, strict=True)
    return Served(
        decided_at=np.array(decided_at, dtype="datetime64[s]"),
        # One call for the whole column takes half the time of one for each row.
        inputs=np.array(json.loads(f"[{','.join(inputs)}]"), dtype=object),
        probability=np.array(probability, dtype=np.float64),
        positive=np.array(positive, dtype=bool),
        latency_ms=np.array(latency_ms, dtype=np.float64),
        truth=np.array(truth, dtype=np.float64),
    )


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
