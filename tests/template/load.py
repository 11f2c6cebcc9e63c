"""A client that asks at a rate of its own, whatever the answers take: an open loop, as the world is."""

import asyncio
import time
from dataclasses import dataclass
from itertools import count


@dataclass
class Asked:
    """What became of a request."""

    status: int
    seconds: float
    head: bytes


class Connection(asyncio.Protocol):
    """One connection, which sends a request at a time, and reads its answer to the end."""

    def __init__(self) -> None:
        self.received = b""
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            self.answer.set_result(head)

    def connection_lost(self, _: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(ConnectionError("closed"))

    async def ask(self, request: bytes) -> Asked:
        begun = time.perf_counter()
        self.received, self.answer = b"", asyncio.get_running_loop().create_future()
        self.transport.write(request)
        head = await asyncio.wait_for(self.answer, 30)
        return Asked(int(head.split()[1]), time.perf_counter() - begun, head)


async def connect(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


async def closed_loop(port: int, request: bytes, connections: int, seconds: float) -> list[Asked]:
    """So many clients that ask again as soon as they are answered: what the endpoint can do."""
    end = time.perf_counter() + seconds

    async def client() -> list[Asked]:
        connection = await connect(port)
        asked = []
        while time.perf_counter() < end:
            asked.append(await connection.ask(request))
        connection.transport.close()
        return asked

    return [each for asked in await asyncio.gather(*(client() for _ in range(connections))) for each in asked]


async def open_loop(port: int, request: bytes, connections: int, rate: float, seconds: float) -> list[Asked]:
    """Requests at a rate, each on a connection that is free; none is made that finds no such."""
    free = [await connect(port) for _ in range(connections)]
    asked: list[Asked] = []

    async def one() -> None:
        if free:
            connection = free.pop(0)  # so that none is idle for long
            asked.append(await connection.ask(request))
            free.append(connection)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in count():
            due = begun + number / rate
            if due > begun + seconds:
                break
            await asyncio.sleep(max(0, due - time.perf_counter()))
            tasks.create_task(one())
    for connection in free:
        connection.transport.close()
    return asked
