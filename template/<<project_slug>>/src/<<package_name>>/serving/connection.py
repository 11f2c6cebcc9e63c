"""HTTP as uvicorn speaks it, for clients that may be slow, endless, or too many.

Uvicorn limits the pause between two requests, but neither the time nor the size of what never becomes a whole one, nor
the time that an answer waits to be read.
"""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .routing import BODY_BYTES

# For a request to arrive, from its first byte to its last, and for an answer to be read.
PATIENCE_SECONDS = 10
HEAD_BYTES = 64_000
# Each takes a file descriptor, of which a process often has no more than 1,024.
CONNECTIONS = 800


class BoundedProtocol(HttpToolsProtocol):
    """One connection, which ends when its request takes too long to arrive or does not fit, or its answer is not read.

    All this costs a whole request, arriving at once, no more than to note that it is whole.
    """

    _arrived = 0
    _whole = False
    _request_due: TimerHandle
    _reading_due: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request, unless there are too many who do."""
        super().connection_made(transport)
        self._await_request()
        if len(self.connections) > CONNECTIONS:
            self._refuse(b"503 Service Unavailable\r\nretry-after: 1")

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._request_due.cancel()
        if self._reading_due:
            self._reading_due.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand on what has arrived, and see that a request that has begun will end."""
        self._whole = False
        super().data_received(data)
        if self._whole:
            self._arrived = 0
            self._request_due.cancel()
            return
        self._arrived += len(data)
        if self._arrived > HEAD_BYTES + BODY_BYTES:
            self._refuse(b"413 Content Too Large")
        elif self._request_due.cancelled():
            self._await_request()

    def on_message_complete(self) -> None:
        """Note that a request has arrived to its end."""
        self._whole = True
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Wait for a client that does not read, but not for good."""
        super().pause_writing()
        self._reading_due = self.loop.call_later(PATIENCE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        super().resume_writing()
        if self._reading_due:
            self._reading_due.cancel()

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection, also if its last answer has not been read: to close it would wait for that."""
        self.transport.abort()

    def _await_request(self) -> None:
        self._request_due = self.loop.call_later(PATIENCE_SECONDS, self._refuse, b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        """End the connection, and say why, unless it has begun to say something else."""
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()
