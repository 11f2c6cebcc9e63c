"""A real PostgreSQL for tests, from Debian's programs, that can be stopped in its tracks."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def wait_until(true: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


class Database:
    """A PostgreSQL server of our own, from Debian's programs."""

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            pytest.skip("there is no PostgreSQL: apt-get install postgresql")
        self.programs = found[-1].parent
        self.folder = folder
        self.user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.address = f"postgresql://log@127.0.0.1:{self.port}/postgres"
        if self.user:
            shutil.chown(folder, self.user)
        self.run("initdb", "--auth=trust", "--username=log", "-D", "data")

    def run(self, program: str, *options: str) -> str:
        done = subprocess.run(
            [str(self.programs / program), *options],
            cwd=self.folder,
            user=self.user,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout

    def start(self) -> None:
        with (self.folder / "output").open("a") as output:
            options = ("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", "data", "-p", str(self.port), *options],
                cwd=self.folder,
                user=self.user,
                stdout=output,
                stderr=output,
            )
        wait_until(self.answers)

    def answers(self) -> bool:
        done = subprocess.run([self.programs / "pg_isready", "-q", "-d", self.address], check=False)
        return done.returncode == 0

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and all its processes, which are sessions of their own."""
        for pid in (self.process.pid, *children(self.process.pid)):
            os.kill(pid, number)

    def query(self, query: str) -> list[str]:
        return self.run("psql", "-qAt", "-d", self.address, "-c", query).split()


@pytest.fixture
def database() -> Iterator[Database]:
    # In a folder that PostgreSQL's user may enter, which pytest's are not.
    folder = Path(subprocess.run(["mktemp", "-d"], check=True, capture_output=True, text=True).stdout.strip())
    folder.chmod(0o755)
    try:
        database = Database(folder)
        database.start()
        yield database
        database.signal(signal.SIGCONT)
        database.signal(signal.SIGKILL)
        database.process.wait()
    finally:
        shutil.rmtree(folder)


def children(parent: int) -> set[int]:
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return {int(pid) for pid in listed}
