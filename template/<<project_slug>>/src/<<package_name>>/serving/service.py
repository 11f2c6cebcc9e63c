"""Answers requests: predicts, logs, counts, in this order, and only then lets the answer go.

What comes while a group is being written waits for the next one: the model answers a group at one go, and one
write makes it durable (group commit; DeWitt et al., Implementation Techniques for Main Memory Databases, 1984).
"""

import asyncio
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter, time_ns
from typing import Any

from .. import problem
from .log import ContradictingTruthError, Entry, Group, LogError, UnknownPredictionError, now, utc
from .metrics import Metrics
from .models import Models
from .schema import NOT_LOGGED, PredictionRequest
from .writer import LogWriter

# A group takes no further request from so many rows on: nothing else happens while the model answers them.
GROUP_ROWS = 1_000
# No request waits longer for others to join its group.
GATHER_SECONDS = 0.002
# With so many calls or rows waiting, the next would wait too long: better it is refused, and asked elsewhere or later.
MOST_WAITING_CALLS = 64
MOST_WAITING_ROWS = 4 * GROUP_ROWS
# How long latencies wait for a request that takes them along into the log.
IDLE_SECONDS = 1.0


@dataclass
class Call:
    """What one HTTP request asks for, rows to predict or truths to record, and the future that ends its waiting."""

    done: asyncio.Future[Mapping[str, bool]]
    begun: float = 0.0
    requests: Sequence[PredictionRequest] = ()
    caller: str = ""
    truths: Sequence[tuple[str, bool]] = ()
    entries: Sequence[Entry] = ()


class Service:
    """Models, their log and metrics; with `serve_unlogged` it also answers what cannot be logged, and counts it."""

    def __init__(self, models: Models, log: LogWriter, metrics: Metrics, *, serve_unlogged: bool) -> None:
        self.models = models
        self.log = log
        self.metrics = metrics
        self.serve_unlogged = serve_unlogged
        self._waiting: list[Call] = []
        self._waiting_rows = 0
        self._task: asyncio.Task[None] | None = None
        # How long an answer took is known only once its row is written, so that follows with the next group.
        self._latencies: list[tuple[str, float]] = []
        self._idle: asyncio.TimerHandle | None = None

    async def predict(self, requests: Sequence[PredictionRequest], begun: float, caller: str = "") -> Sequence[Entry]:
        """Predict and log rows together, which came at `begun` on the clock `perf_counter`.

        A caller that says who it is always gets answers of one model; else each row is drawn by its request id.
        Raises LogError if they cannot be logged.
        """
        call = Call(asyncio.get_running_loop().create_future(), begun, requests, caller)
        await self._submit(call)
        return call.entries

    async def tell(self, request_id: str, truth: bool) -> None:
        """Record what happened; to say the same again changes nothing.

        Raises UnknownPredictionError, ContradictingTruthError, or LogError.
        """
        call = Call(asyncio.get_running_loop().create_future(), truths=[(request_id, truth)])
        standing = await self._submit(call)
        if request_id not in standing:
            raise UnknownPredictionError(request_id)
        if standing[request_id] != truth:
            raise ContradictingTruthError(request_id)

    async def close(self) -> None:
        """Finish what has begun, and close the log."""
        if self._task:
            await self._task
        if self._latencies:
            await self._answer([])
        await self.log.close()

    def is_overloaded(self) -> bool:
        """Tell whether so much waits that a new request should be refused."""
        return len(self._waiting) >= MOST_WAITING_CALLS or self._waiting_rows >= MOST_WAITING_ROWS

    def _submit(self, call: Call) -> asyncio.Future[Mapping[str, bool]]:
        self._waiting.append(call)
        self._waiting_rows += len(call.requests) + len(call.truths)
        self._start()
        return call.done

    def _start(self) -> None:
        if not self._task:
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        """Answer one group after the other, until nothing waits."""
        while True:
            await self._gather()
            taken = rows = 0
            while taken < len(self._waiting) and rows < GROUP_ROWS:
                rows += len(self._waiting[taken].requests) + len(self._waiting[taken].truths)
                taken += 1
            group, self._waiting = self._waiting[:taken], self._waiting[taken:]
            self._waiting_rows -= rows
            await self._answer(group)
            if not self._waiting:
                break
        self._task = None
        if self._idle:
            self._idle.cancel()
        if self._latencies:
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._start)

    async def _gather(self) -> None:
        """Wait while more requests keep coming in: a write costs nearly as much for one as for twenty."""
        latest = perf_counter() + GATHER_SECONDS
        arrived = 0
        while arrived < len(self._waiting) and perf_counter() < latest:
            arrived = len(self._waiting)
            await asyncio.sleep(0)

    async def _answer(self, calls: Sequence[Call]) -> None:
        """Answer a group of calls, or say to each why not."""
        group = Group(latencies=self._latencies[:GROUP_ROWS])
        try:
            self._predict(calls)
            for call in calls:
                group.entries += call.entries
                group.truths += call.truths
            standing = await self.log.write(group)
        except LogError as error:
            for call in calls:
                unlogged = call.entries if self.serve_unlogged else ()
                self.metrics.unlogged.inc(len(unlogged))
                self._count(unlogged)
                settle(call, {} if unlogged else error)
        except Exception as error:  # whatever it is, those who wait must hear of it
            for call in calls:
                settle(call, error)
        else:
            written = perf_counter()
            del self._latencies[: len(group.latencies)]
            self._count(group.entries)
            for call in calls:
                settle(call, standing)
                self._latencies += [(entry.request_id, (written - call.begun) * 1000) for entry in call.entries]

    def _count(self, given: Sequence[Entry]) -> None:
        """Count predictions that are given."""
        for (positive, version), rows in Counter((entry.positive, entry.model_version) for entry in given).items():
            predicted = problem.POSITIVE if positive else problem.NEGATIVE
            self.metrics.predictions.labels(predicted, version).inc(rows)

    def _predict(self, calls: Sequence[Call]) -> None:
        """Run the models once for all rows, and give each call its entries."""
        asked = [(request, new_id(), call.caller) for call in calls for request in call.requests]
        if not asked:
            return
        time = now()
        answers = self.models.predict([vars(request) for request, _, _ in asked], [by or id_ for _, id_, by in asked])
        entries = iter(
            Entry(
                request_id=request_id,
                time=time,
                decided_at=utc(request.decided_at) if request.decided_at else time,
                inputs=request.model_dump_json(exclude=NOT_LOGGED),
                probability=probability,
                positive=probability >= model.threshold,
                threshold=model.threshold,
                model_version=model.version,
            )
            for (request, request_id, _), (probability, model) in zip(asked, answers, strict=True)
        )
        for call in calls:
            call.entries = list(islice(entries, len(call.requests)))


def settle(call: Call, outcome: Mapping[str, bool] | Exception) -> None:
    """End a call's waiting, unless it was given up."""
    if call.done.done():
        return
    if isinstance(outcome, Exception):
        call.done.set_exception(outcome)
    else:
        call.done.set_result(outcome)


def new_id() -> str:
    """Return an id that nobody can guess. It begins with the time: new rows lie side by side in the log's index."""
    return f"{time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def in_words(entry: Entry) -> dict[str, Any]:
    """Say what a prediction means for the decision, in the fields of schema.Prediction."""
    return {
        "request_id": entry.request_id,
        "decision": problem.ACT if entry.positive else problem.WAIT,
        "predicted": problem.POSITIVE if entry.positive else problem.NEGATIVE,
        "probability": entry.probability,
        "threshold": entry.threshold,
        "model_version": entry.model_version,
    }
