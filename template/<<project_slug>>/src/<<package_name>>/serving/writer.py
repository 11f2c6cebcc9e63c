"""The prediction log as an event loop can use it: in a thread of its own, and never without an answer."""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from time import monotonic, perf_counter
from typing import Any, TypeVar

from .log import TRIMMED_AT_ONCE, Group, LogError, PredictionLog
from .metrics import Metrics

# A write that takes longer counts as failed, whatever becomes of it.
WRITE_SECONDS = 2.0
# After a failure, requests are told so at once for so long; then one tries again.
RETRY_SECONDS = 0.5
TRIM_EVERY_SECONDS = 60.0

T = TypeVar("T")
logger = logging.getLogger(__name__)


class LogWriter:
    """Does with a log what is asked of it, one thing at a time; raises LogError if that fails or hangs."""

    def __init__(self, log: PredictionLog, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics
        self._failed: LogError | None = None
        self._failed_at = self._retry_at = 0.0
        self._hanging: asyncio.Future[Any] | None = None
        # A thread of our own and no executor: Python would wait at its exit for one that hangs.
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    async def write(self, group: Group) -> Mapping[str, bool]:
        """See PredictionLog.write; shortly after a failure, fail at once."""
        if self._failed and monotonic() < self._retry_at:
            raise LogError(self._failed)
        begun = perf_counter()
        standing = await self._attempt(self._log.write, group)
        self._metrics.log_writes.observe(perf_counter() - begun)
        return standing

    async def check(self) -> None:
        """Find out whether the log can be written."""
        await self._attempt(self._log.check)

    async def keep_trimmed(self) -> None:
        """Delete what need not be kept, again and again, until cancelled."""
        while True:
            try:
                while await self._attempt(self._log.trim) == TRIMMED_AT_ONCE:
                    pass
            except LogError:
                pass  # noted where it failed, and tried again below
            await asyncio.sleep(TRIM_EVERY_SECONDS)

    async def close(self) -> None:
        """Close the log; give up on one that hangs."""
        with suppress(LogError):
            await self._attempt(self._log.close)
        self._jobs.put(None)
        self._thread.join(timeout=0.1)

    async def _attempt(self, job: Callable[..., T], *arguments: Any) -> T:
        """Run a job of the log in its thread, and keep account of failures."""
        try:
            result = await self._bounded(job, *arguments)
        except LogError as error:
            if not self._failed:
                self._failed_at = monotonic()
                logger.error("The prediction log fails: %s", error)  # noqa: TRY400 — the message says it all
            self._failed, self._retry_at = error, monotonic() + RETRY_SECONDS
            self._metrics.log_failures.inc()
            raise
        if self._failed:
            logger.warning("The prediction log works again, after %.1f s", monotonic() - self._failed_at)
            self._failed = None
        return result

    async def _bounded(self, job: Callable[..., T], *arguments: Any) -> T:
        """Run a job, but do not wait for one that hangs, nor for what comes after it."""
        if self._hanging and not self._hanging.done():
            raise LogError("an earlier write still hangs")
        outcome = self._in_thread(job, *arguments)
        try:
            return await asyncio.wait_for(asyncio.shield(outcome), WRITE_SECONDS)
        except TimeoutError:
            self._hanging = outcome
            raise LogError(f"no answer within {WRITE_SECONDS:.0f} s") from None

    def _in_thread(self, job: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        # Also of an outcome for which nobody waits any more, so that asyncio does not complain.
        outcome.add_done_callback(lambda done: done.exception())

        def run() -> None:
            settle: Callable[[], None]
            try:
                settle = partial(outcome.set_result, job(*arguments))
            except Exception as error:  # raised again where it is awaited
                settle = partial(outcome.set_exception, error)
            with suppress(RuntimeError):  # the loop may have ended during a write that hung
                loop.call_soon_threadsafe(settle)

        self._jobs.put(run)
        return outcome

    def _work(self) -> None:
        while job := self._jobs.get():
            job()
