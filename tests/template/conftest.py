"""Generated projects: rendered ones in a second, suites of variants, and one that has run from end to end."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import copier
import pytest

from mlportfolio.source import declared
from tests.conftest import REPOSITORY, run
from tests.template.engine import engine, image
from tests.template.postgres import database

__all__ = ["database", "engine", "image"]  # fixtures

Render = Callable[..., Path]
Tools = Callable[..., Path]

BIN = Path(sys.executable).parent


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark all that look at the finished project: making it takes minutes."""
    if "finished_project" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.suite)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it is now, held still: a checkout may change while tests run."""
    folder = tmp_path_factory.mktemp("template")
    shutil.copy(REPOSITORY / "copier.yml", folder)
    caches = shutil.ignore_patterns("__pycache__", ".*_cache")
    shutil.copytree(REPOSITORY / "template", folder / "template", ignore=caches)
    return folder


@pytest.fixture(scope="session")
def render(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """`render(metric="accuracy")`: a project with these answers, made by copier without any trust."""

    def make(**answers: Any) -> Path:
        folder = tmp_path_factory.mktemp("rendered")
        copier.run_copy(str(template), folder, data=answers, defaults=True, quiet=True, unsafe=False)
        return folder

    return make


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until no other process is in a block with this lock."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def finished_project(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str, template: Path, outside: dict[str, str]
) -> Path:
    """The default project, made and run from end to end by the command, once for all processes.

    FINISHED_PROJECT names one that was made before, to work on tests without waiting.
    """
    if earlier := os.environ.get("FINISHED_PROJECT"):
        return Path(earlier).resolve()
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    project = shared / "flight-delay"
    with alone(shared / "flight-delay.lock"):
        if not project.exists():
            flags = ("--yes", "--run", "--template", template)
            made = run(shared, outside, BIN / "mlportfolio", "new", project, *flags)
            (shared / "flight-delay.log").write_text(made.output)
    log = (shared / "flight-delay.log").read_text()
    assert (project / "artifacts" / "champion" / "model.onnx").is_file(), log[-4000:]
    return project


@dataclass
class Answer:
    """What an endpoint answered."""

    status: int
    body: str


def ask(url: str, body: str | None = None) -> Answer:
    """GET, or with a body POST it as JSON."""
    request = Request(url, body.encode() if body else None, {"content-type": "application/json"})  # noqa: S310
    try:
        with urlopen(request, timeout=10) as answer:  # noqa: S310 - an address of our own
            return Answer(answer.status, answer.read().decode())
    except HTTPError as error:
        return Answer(error.code, error.read().decode())


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """`tools("moto[server]")`: the commands of packages from PyPI, in an environment of their own."""

    def make(*packages: str) -> Path:
        if not shutil.which("uv"):
            pytest.skip("there is no uv to install tools with")
        folder = tmp_path_factory.mktemp("tools")
        subprocess.run(["uv", "venv", "--quiet", "--python", "3.11", folder], check=True)
        installed = subprocess.run(
            ["uv", "pip", "install", "--quiet", "--python", folder / "bin/python", *packages],
            capture_output=True,
            text=True,
            check=False,
        )
        if installed.returncode != 0:
            pytest.skip(f"{' '.join(packages)} cannot be installed: {installed.stderr[-300:]}")
        return folder / "bin"

    return make


@pytest.fixture(scope="session")
def deployed(render: Render) -> Path:
    """A project, not run, with the files for every place that it can be brought to."""
    return render(deploy=list(declared(REPOSITORY)["deploy"].choices))
