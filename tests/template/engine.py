"""A Docker engine for tests, the image of the finished project, and how to ask what runs in it.

The engine is the running one, or the script that CONTAINER_ENGINE names (it has `up`, `build` and
`image`), or that script where this project's developers keep it, in ../shared/tools beside the repository.
Such an engine is left running, because its next start takes a minute; `container-engine down` removes it.
"""
# ruff: noqa: S310 — every address is one of our own

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.conftest import REPOSITORY


class Engine:
    """A Docker engine, and how it builds."""

    def __init__(self, tool: Path | None, environment: dict[str, str]) -> None:
        self.tool = tool
        self.environment = environment

    def docker(self, *arguments: str, check: bool = True) -> str:
        done = run(["docker", *arguments], self.environment)
        assert done.returncode == 0 or not check, done.stdout
        return done.stdout.strip()

    def build(self, folder: Path, tag: str, *options: str) -> "subprocess.CompletedProcess[str]":
        if self.tool:
            return run([str(self.tool), "build", str(folder), tag, *options], self.environment)
        return run(["docker", "build", "-t", tag, *options, str(folder)], self.environment)


def run(command: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )


@pytest.fixture(scope="session")
def engine() -> Engine:
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    if shutil.which("docker") and run(["docker", "info"], environment).returncode == 0:
        return Engine(None, environment)
    usual = REPOSITORY.parent / "shared" / "tools" / "container-engine"
    tool = Path(os.environ.get("CONTAINER_ENGINE", usual))
    if not tool.exists():
        pytest.skip("there is no Docker engine, and CONTAINER_ENGINE names no script that starts one")
    started = subprocess.run([tool, "up"], env=environment, text=True, capture_output=True, check=False)
    if started.returncode != 0:
        pytest.skip(f"the container engine did not start: {started.stderr[-300:]}")
    name, _, value = started.stdout.strip().removeprefix("export ").partition("=")
    return Engine(tool, {**environment, name: value})


@pytest.fixture(scope="session")
def image(engine: Engine, finished_project: Path) -> Iterator[str]:
    tag = f"endpoint-{uuid.uuid4().hex[:8]}"
    built = engine.build(finished_project, tag, "--target", "endpoint")
    assert built.returncode == 0, built.stdout[-3000:]
    yield tag
    # What others started and left, the clouds' local modes for instance.
    for name in engine.docker("ps", "--all", "--quiet", "--filter", f"ancestor={tag}").split():
        engine.docker("rm", "--force", "--volumes", name)
    engine.docker("image", "rm", "--force", tag, check=False)


def address(engine: Engine, name: str, port: int = 8080) -> str:
    """The address on this machine of a port inside."""
    return "http://" + engine.docker("port", name, str(port)).splitlines()[0]


def wait_until_ready(engine: Engine, name: str, port: int = 8080) -> None:
    for _ in range(150):
        running = engine.docker("inspect", "-f", "{{.State.Running}}", name)
        assert running == "true", engine.docker("logs", name)
        try:
            with urlopen(f"{address(engine, name, port)}/ready", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"not ready after 30 s: {engine.docker('logs', name)}")


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"content-type": "application/json"}), timeout=10) as answer:
        return json.load(answer)
