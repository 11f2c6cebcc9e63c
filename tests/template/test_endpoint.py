"""The finished project's endpoint while all around it breaks: kills, signals, its log, its database."""

import asyncio
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median
from typing import Any, Self

import pytest

from tests.template.conftest import Tools, ask
from tests.template.load import Asked, closed_loop, connect, open_loop
from tests.template.postgres import Database, children, wait_until

KILLS = 30


class Endpoint:
    """The project's own `serve`, on a free port, with a log of its own."""

    def __init__(self, project: Path, folder: Path, environment: dict[str, str]) -> None:
        self.project = project
        self.log = folder / "predictions.sqlite"
        self.output = folder / "output"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {"PREDICTION_LOG": str(self.log)} | environment
        examples = json.loads((project / "artifacts/champion/examples.json").read_text())
        self.bodies = [json.dumps(example["inputs"]) for example in examples]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it, and return how many seconds it took to answer."""
        begun = time.monotonic()
        with self.output.open("a") as output:
            self.process = subprocess.Popen(
                [self.project / ".venv/bin/flight-delay", "serve", "--port", str(self.port)],
                cwd=self.project,
                env=self.environment,
                stdout=output,
                stderr=output,
            )
        while time.monotonic() < begun + 60:
            assert self.process.poll() is None, self.output.read_text()
            try:
                if ask(f"{self.url}/ready").status == 200:
                    return time.monotonic() - begun
            except OSError:
                time.sleep(0.02)
        pytest.fail(f"not ready: {self.output.read_text()}")

    def end(self, number: signal.Signals) -> tuple[int, float]:
        """End it by a signal; return its exit status, and how many seconds that took."""
        assert self.process
        begun = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(timeout=30), time.monotonic() - begun

    def predict(self, row: int = 0) -> int:
        return ask(f"{self.url}/predict", self.bodies[row % len(self.bodies)]).status

    def logged(self) -> list[str]:
        """The request ids in the log, in the order of their rows, if the file is whole."""
        with closing(sqlite3.connect(self.log)) as log:
            assert log.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return [
                request_id for (request_id,) in log.execute("SELECT request_id FROM predictions ORDER BY id")
            ]


@pytest.fixture
def endpoint(
    finished_project: Path, outside: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., Endpoint]]:
    """`endpoint(WEB_CONCURRENCY="2")`: one with these settings, not yet started."""
    made: list[Endpoint] = []

    def make(**settings: str) -> Endpoint:
        made.append(Endpoint(finished_project, tmp_path, outside | settings))
        return made[-1]

    yield make
    for each in made:
        if each.process and each.process.poll() is None:
            each.process.kill()
            each.process.wait()


class Clients:
    """Several clients that ask, one request after the other, until stopped or not answered any more."""

    def __init__(self, endpoint: Endpoint, count: int = 8) -> None:
        self.endpoint = endpoint
        self.stopped = threading.Event()
        self.acknowledged: list[str] = []
        self.statuses: list[int] = []
        self.seconds: list[float] = []
        self.threads = [threading.Thread(target=self.work, args=(number,)) for number in range(count)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def work(self, row: int) -> None:
        with closing(HTTPConnection("127.0.0.1", self.endpoint.port, timeout=20)) as connection:
            while not self.stopped.is_set():
                row += 1
                body = self.endpoint.bodies[row % len(self.endpoint.bodies)]
                begun = time.monotonic()
                try:
                    connection.request("POST", "/predict", body, {"content-type": "application/json"})
                    answer = connection.getresponse()
                    content = json.loads(answer.read())
                except (OSError, HTTPException):
                    return
                self.seconds.append(time.monotonic() - begun)
                self.statuses.append(answer.status)
                if answer.status == 200:
                    self.acknowledged.append(content["request_id"])


def test_thirty_kills_in_the_middle_of_load_lose_nothing(endpoint: Callable[..., Endpoint]) -> None:
    """No acknowledged prediction is missing, the file is whole, and the endpoint is soon back."""
    served = endpoint()
    chance = random.Random(0)  # noqa: S311 — when to strike
    acknowledged: list[str] = []
    starts = []
    for _ in range(KILLS):
        starts.append(served.start())
        with Clients(served) as clients:
            time.sleep(chance.uniform(0.05, 0.5))
            served.end(signal.SIGKILL)
        acknowledged += clients.acknowledged
    logged = served.logged()
    assert len(acknowledged) > KILLS * 10
    assert set(acknowledged) <= set(logged)
    assert len(logged) == len(set(logged))
    assert median(starts) < 2


def test_sigterm_finishes_what_has_begun_and_exits_with_0(endpoint: Callable[..., Endpoint]) -> None:
    served = endpoint()
    served.start()
    with closing(sqlite3.connect(served.log, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # so that no request can be answered before it is over
        with Clients(served, 5) as clients:
            time.sleep(0.2)
            assert clients.acknowledged == []
            assert served.process
            served.process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
            other.rollback()
            begun = time.monotonic()
            assert served.process.wait(timeout=10) == 0
            assert time.monotonic() - begun < 5
    assert len(clients.acknowledged) == 5
    assert set(clients.acknowledged) <= set(served.logged())


def test_a_log_that_hangs_keeps_nobody_from_stopping(endpoint: Callable[..., Endpoint]) -> None:
    served = endpoint()
    served.start()
    with closing(sqlite3.connect(served.log, isolation_level=None)) as other, Clients(served):
        other.execute("BEGIN IMMEDIATE")
        time.sleep(0.3)
        status, seconds = served.end(signal.SIGTERM)
    assert status == 0
    assert seconds < 5


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 4 MB at a folder."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system can be mounted by root alone")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Take whatever room there is on a file system, or becomes free."""
    done = threading.Event()

    def fill() -> None:
        with (folder / "ballast").open("wb", buffering=0) as ballast:
            while not done.is_set():
                try:
                    ballast.write(b"\0" * 4096)
                except OSError:
                    time.sleep(0.001)

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        (folder / "ballast").unlink()


@pytest.mark.parametrize("policy", ["refuse", "serve"])
def test_a_full_disk_is_refused_or_counted_and_heals(
    policy: str, endpoint: Callable[..., Endpoint], tmp_path: Path
) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder):
        served = endpoint(PREDICTION_LOG=str(folder / "predictions.sqlite"), PREDICTION_LOG_FAILS=policy)
        served.log = folder / "predictions.sqlite"
        served.start()
        assert served.predict() == 200
        with filled(folder), Clients(served) as clients:
            time.sleep(2)
            assert clients.statuses[-1] == (503 if policy == "refuse" else 200)
            assert ask(f"{served.url}/ready").status == (503 if policy == "refuse" else 200)
            assert ask(f"{served.url}/health").status == 200
        assert max(clients.seconds) < 3
        wait_until(lambda: ask(f"{served.url}/ready").body == '{"status":"ready"}')
        assert served.predict() == 200
        unlogged = float(figure(served, "predictions_unlogged_total"))
        assert len(served.logged()) + unlogged == len(clients.acknowledged) + 2
        assert (unlogged > 0) == (policy == "serve")
        if policy == "refuse":
            assert set(clients.acknowledged) <= set(served.logged())
        served.end(signal.SIGTERM)


def test_a_log_that_is_deleted_is_made_anew(endpoint: Callable[..., Endpoint]) -> None:
    served = endpoint()
    served.start()
    with Clients(served) as clients:
        time.sleep(0.5)
        for file in served.log.parent.glob("predictions.sqlite*"):
            file.unlink()
        before = len(clients.acknowledged)
        time.sleep(1)
    # Those under way when it happened may be lost with the file.
    assert set(clients.acknowledged[before + 16 :]) <= set(served.logged())
    assert clients.statuses.count(200) > before + 16


def figure(served: Endpoint, name: str) -> str:
    """A figure of the metrics."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", ask(f"{served.url}/metrics").body, re.MULTILINE)
    assert found, name
    return found[1]


# --- PostgreSQL -----------------------------------------------------------------------------------


def test_a_database_may_hang_die_and_come_back(endpoint: Callable[..., Endpoint], database: Database) -> None:
    served = endpoint(PREDICTION_LOG=database.address)
    served.start()
    with Clients(served) as clients:
        time.sleep(1)
        assert set(clients.statuses) == {200}

        database.signal(signal.SIGSTOP)
        wait_until(lambda: clients.statuses[-1] == 503)
        time.sleep(1)
        database.signal(signal.SIGCONT)
        wait_until(lambda: clients.statuses[-1] == 200)

        database.signal(signal.SIGKILL)
        database.process.wait()
        wait_until(lambda: clients.statuses[-1] == 503)
        assert ask(f"{served.url}/ready").status == 503
        assert ask(f"{served.url}/health").status == 200
        database.start()
        wait_until(lambda: clients.statuses[-1] == 200)
    assert set(clients.statuses) == {200, 503}
    assert max(clients.seconds) < 6
    assert set(clients.acknowledged) <= set(database.query("SELECT request_id FROM predictions"))
    truth = json.dumps({"request_id": clients.acknowledged[0], "truth": True})
    assert json.loads(ask(f"{served.url}/feedback", truth).body) == {"status": "recorded"}
    assert served.end(signal.SIGTERM)[0] == 0


# --- workers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_workers_share_port_log_and_figures(
    store: str, endpoint: Callable[..., Endpoint], request: pytest.FixtureRequest
) -> None:
    database: Database | None = request.getfixturevalue("database") if store == "postgres" else None
    log = {"PREDICTION_LOG": database.address} if database else {}
    served = endpoint(WEB_CONCURRENCY="2", **log)
    served.start()
    with Clients(served, 16) as clients:
        time.sleep(2)
    assert set(clients.statuses) == {200}
    count = len(clients.acknowledged)
    logged = database.query("SELECT request_id FROM predictions") if database else served.logged()
    assert sorted(clients.acknowledged) == sorted(logged)
    name = 'http_requests_total{route="/predict",status="200"}'
    assert {float(figure(served, name)) for _ in range(10)} == {count}
    assert float(figure(served, 'http_request_duration_seconds_count{route="/predict"}')) == count

    # One of them dies: another takes its place, and what it had counted stays counted.
    assert served.process
    supervisor = served.process.pid
    before = children(supervisor)
    os.kill(max(before), signal.SIGKILL)
    wait_until(lambda: children(supervisor) - before != set())
    wait_until(lambda: answers(served))
    assert float(figure(served, name)) >= count
    status, seconds = served.end(signal.SIGTERM)
    assert status == 0
    assert seconds < 5


def test_workers_end_with_their_supervisor(endpoint: Callable[..., Endpoint]) -> None:
    served = endpoint(WEB_CONCURRENCY="2")
    served.start()
    assert served.process
    workers = children(served.process.pid)
    served.end(signal.SIGKILL)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    served.start()  # the port is free again
    assert served.predict() == 200


def answers(served: Endpoint) -> bool:
    try:
        return all(served.predict() == 200 for _ in range(5))
    except OSError:
        return False


# --- what it takes --------------------------------------------------------------------------------


def test_it_stays_small(endpoint: Callable[..., Endpoint]) -> None:
    served = endpoint()
    served.start()
    with Clients(served):
        time.sleep(3)
    assert served.process
    status: dict[str, Any] = dict(
        line.split(":", 1) for line in Path(f"/proc/{served.process.pid}/status").read_text().splitlines()
    )
    assert int(status["VmRSS"].split()[0]) < 130_000


# --- who means no good ----------------------------------------------------------------------------


def request(content: bytes, path: str = "/predict", kind: str = "application/json") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def middle(asked: list[Asked]) -> float:
    return median(each.seconds for each in asked)


@pytest.mark.slow
def test_at_twice_what_it_can_do_some_are_refused_at_once_and_the_others_wait_no_longer(
    endpoint: Callable[..., Endpoint],
) -> None:
    """Twenty rows each, so that this client is faster than the endpoint."""
    served = endpoint(LOG_LEVEL="warning")
    served.start()
    rows = request(b'{"rows": [' + ", ".join(served.bodies[:20]).encode() + b"]}", "/predict/batch")
    asyncio.run(closed_loop(served.port, rows, 8, 1))
    # As many as may wait, and a group that is being answered: the most that it takes on without refusing any.
    full = asyncio.run(closed_loop(served.port, rows, 64, 4))
    assert {each.status for each in full} == {200}
    capacity = len(full) / 4

    asked = asyncio.run(open_loop(served.port, rows, 500, 2 * capacity, 5))

    accepted = [each for each in asked if each.status == 200]
    refused = [each for each in asked if each.status == 503]
    print(
        f"{capacity:.0f}/s in {middle(full) * 1000:.0f} ms; of {len(asked) / 5:.0f}/s"
        f" {len(accepted) / 5:.0f}/s accepted in {middle(accepted) * 1000:.0f} ms,"
        f" the others refused in {middle(refused) * 1000:.0f} ms"
    )
    assert len(accepted) + len(refused) == len(asked)
    assert all(b"retry-after: 1" in each.head for each in refused)
    assert len(asked) > 5 * 1.2 * capacity
    assert len(accepted) > 5 * 0.3 * capacity
    assert middle(accepted) < 3 * middle(full)
    assert middle(refused) < middle(accepted)
    assert {each.status for each in asyncio.run(closed_loop(served.port, rows, 8, 1))} == {200}


@pytest.mark.slow
def test_schemathesis_finds_nothing(endpoint: Callable[..., Endpoint], tools: Tools, tmp_path: Path) -> None:
    """What a tool makes of the OpenAPI schema: each route with what it allows, and with what it does not."""
    served = endpoint(LOG_LEVEL="warning")
    served.start()
    hooks = {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [
            tools("schemathesis") / "schemathesis",
            "run",
            f"{served.url}/openapi.json",
            "--max-examples=50",
            "--seed=1",
        ],
        cwd=tmp_path,
        env=served.environment | hooks,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert '"level": "error"' not in served.output.read_text()


# How many requests: 100,000 take some minutes.
FUZZ = int(os.environ.get("FUZZ", "10000"))


@pytest.mark.slow
def test_whatever_is_sent_it_neither_fails_nor_grows(endpoint: Callable[..., Endpoint]) -> None:
    served = endpoint(LOG_LEVEL="warning")
    served.start()
    chance = random.Random(1)  # noqa: S311
    warm = asyncio.run(fuzz(served, chance, FUZZ // 5))
    before = resident(served)
    statuses = warm + asyncio.run(fuzz(served, chance, FUZZ - FUZZ // 5))
    after = resident(served)
    print(f"{statuses}; resident {before / 1000:.1f} MB, then {after / 1000:.1f} MB")

    assert set(statuses) <= {200, 400, 404, 405, 408, 413, 415, 422}
    assert statuses[200] > FUZZ / 50
    assert statuses[422] > FUZZ / 5
    assert after < before + 6_000 + 0.02 * FUZZ  # the pages of the log that SQLite holds
    assert '"level": "error"' not in served.output.read_text()


async def fuzz(served: Endpoint, chance: random.Random, count: int) -> Counter[int]:
    """Send requests that are right, somewhat wrong, or nonsense; count the answers by their status."""
    statuses: Counter[int] = Counter()

    async def client(share: int) -> None:
        connection = await connect(served.port)
        for _ in range(share):
            try:
                status = (await connection.ask(nonsense(chance, served.bodies))).status
            except ConnectionError:
                status = 400  # closed before
            statuses[status] += 1
            if connection.transport.is_closing():
                connection = await connect(served.port)
        connection.transport.close()

    await asyncio.gather(*(client(count // 8) for _ in range(8)))
    return statuses


VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1e308,
    10**30,
    10**400,
    "",
    "\0",
    "\ud800",
    "x" * 5000,
    [],
    {},
    [[[]]],
    "1",
    float("nan"),
]
PATHS = [
    "/predict",
    "/predict/batch",
    "/feedback",
    "/explain",
    "/score",
    "/health",
    "/%00",
    "/predict/../model",
]


def nonsense(chance: random.Random, bodies: list[str]) -> bytes:
    """A request that is right one time in ten, and else wrong in some way."""
    body: Any = json.loads(chance.choice(bodies))
    for _ in range(chance.choice([0, 1, 1, 2])):
        name = chance.choice([*body, "decided_at", "rows", "request_id", "truth", "\0"])
        body[name] = chance.choice(VALUES)
    if chance.random() < 0.3:
        body = {"rows": [body] * chance.choice([0, 1, 3])}
    content = json.dumps(body).encode("utf-8", "surrogatepass")
    if chance.random() < 0.3:
        place, length = chance.randrange(len(content)), chance.randrange(20)
        content = content[:place] + chance.randbytes(length) + content[place + length :]
    if chance.random() < 0.02:
        content = b"[" * 50_000
    kind = "application/json" if chance.random() < 0.95 else "text/plain"
    return request(content, chance.choice(PATHS), kind)


def resident(served: Endpoint) -> int:
    """How many kB the endpoint holds in memory."""
    assert served.process
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{served.process.pid}/status").read_text())
    assert found
    return int(found[1])


def test_slow_clients_are_let_go_and_others_notice_nothing(endpoint: Callable[..., Endpoint]) -> None:
    served = endpoint()
    served.start()
    whole = request(served.bodies[0].encode())
    slow = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(100)]
    begun = time.monotonic()
    for number, client in enumerate(slow):
        client.settimeout(20)
        client.sendall(whole[: 40 if number % 2 else -1])
    with Clients(served) as clients:
        time.sleep(1)
    assert set(clients.statuses) == {200}
    assert max(clients.seconds) < 1
    for client in slow:
        assert client.recv(1000).startswith(b"HTTP/1.1 408 ")
        client.close()
    assert 9 < time.monotonic() - begun < 15
