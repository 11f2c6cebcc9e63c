"""Replays the test period through the real endpoint, so that there is something to watch on day one."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import uvicorn

from .. import problem
from ..data.pipeline import load, with_offset
from ..errors import ProjectError
from ..serving.app import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..paths import Paths

# Every so many rows, one is asked for alone: only such an answer shows what a person waits for.
SINGLE_EVERY = 20
BATCH = 500
CONNECTIONS = 16
# An endpoint that has not begun to listen after so many seconds never will.
PATIENCE = 20.0


@dataclass(frozen=True)
class Simulation:
    """How much was sent to the endpoint, and where the endpoint logged it."""

    log: Path
    rows: int
    truths: int


def simulate(paths: Paths, limit: int = 6000) -> Simulation:
    """Ask for up to `limit` rows of the test period, evenly spread and in order, then report what came true.

    Raises ProjectError if the feature table or the champion is missing.
    """
    table = sample(load(paths), limit)
    truths = table[problem.TARGET].astype(bool).to_list()
    # The truth about the last days is not known yet, in a replay as in life.
    known = table["decided_at"] <= table["decided_at"].max() - problem.TRUTH_AFTER
    log = paths.simulation_log
    for file in log.parent.glob(f"{log.name}*"):
        file.unlink()
    with endpoint(paths.champion, log) as connection:
        answers = ask(connection, requests(table))
        tell(connection, [(answers[row], truths[row]) for row in np.flatnonzero(known)])
    return Simulation(log, len(table), int(known.sum()))


def sample(table: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Return up to `limit` rows of the test period at equal distances in the order of their decisions."""
    test = table[table["split"] == "test"].sort_values(["decided_at", problem.KEY])
    return test.iloc[np.linspace(0, len(test) - 1, min(limit, len(test))).astype(int)]


def requests(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each row as a request, in JSON's own types: null for a gap, no decimals in a whole number."""
    columns: dict[str, list[Any]] = {"decided_at": [moment.isoformat() for moment in with_offset(table["decided_at"])]}
    for field in problem.FIELDS:
        kind = str if field.is_category else int if field.integer else float
        columns[field.name] = [None if pd.isna(value) else kind(value) for value in table[field.name]]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@contextmanager
def endpoint(champion: Path, log: Path) -> Iterator[HTTPConnection]:
    """Serve the champion on a free port of this machine; it is stopped on the way out, whatever happened."""
    server = uvicorn.Server(uvicorn.Config(create_app(champion, log), log_level="warning", access_log=False))
    # TCP is named because asyncio turns off Nagle's delay, 40 ms an answer, only where it is.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        # The listener holds requests back until the server takes them, so there is nothing to poll for.
        connection = HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=PATIENCE)
        thread.start()
        try:
            yield connection
        finally:
            connection.close()
            server.should_exit = True
            thread.join()


def ask(connection: HTTPConnection, rows: list[dict[str, Any]]) -> list[str]:
    """Have every row predicted, most in batches and some alone; return the request ids in the same order."""
    answers = []
    for start in range(0, len(rows), BATCH):
        middle = start + BATCH - BATCH // SINGLE_EVERY
        several, alone = rows[start:middle], rows[middle : start + BATCH]
        answers += post(connection, "/predict/batch", {"rows": several})["predictions"]
        answers += [post(connection, "/predict", row) for row in alone]
    return [answer["request_id"] for answer in answers]


def tell(connection: HTTPConnection, truths: list[tuple[str, bool]]) -> None:
    """Report truths by request id, over several connections: the endpoint then writes many at one go."""

    def tell_some(some: list[tuple[str, bool]]) -> None:
        with closing(HTTPConnection(connection.host, connection.port, timeout=PATIENCE)) as own:
            for request_id, truth in some:
                post(own, "/feedback", {"request_id": request_id, "truth": truth})

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for told in [pool.submit(tell_some, truths[first::CONNECTIONS]) for first in range(CONNECTIONS)]:
            told.result()


def post(connection: HTTPConnection, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Post JSON and return the answer; raise ProjectError if the endpoint refuses."""
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer: dict[str, Any] = json.loads(response.read())
    if response.status != 200:
        raise ProjectError(f"The endpoint refused {path} with {response.status}: {answer}")
    return answer
