"""What somebody does first, `make demo`, and does again; here with a template that takes a second."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Ran, git, run

pytestmark = pytest.mark.slow

Demo = Callable[[], Ran]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """This repository as git would hand it on, with what is not committed yet."""
    folder = tmp_path / "clone"
    names = git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in names:
        if name and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture
def environment(outside: dict[str, str], tiny: Path) -> dict[str, str]:
    """A machine where git knows nobody."""
    settings = tiny.parent / "nobody"
    settings.write_text("")
    return outside | {"GIT_CONFIG_GLOBAL": str(settings), "MLPORTFOLIO_TEMPLATE": str(tiny)}


@pytest.fixture
def demo(clone: Path, environment: dict[str, str]) -> Demo:
    return lambda: run(clone, environment, "make", "demo")


def test_demo_is_made_run_committed_and_made_again(demo: Demo, clone: Path) -> None:
    made = demo()

    assert made.code == 0, made.output
    assert "make -C demo serve" in made.output
    assert "0.6 a flight" in made.output
    assert (clone / "demo/reports/metrics.json").is_file()
    assert git(clone / "demo", "status", "--porcelain") == ""
    assert set(git(clone / "demo", "log", "--format=%an").splitlines()) == {"mlportfolio demo"}

    first = (clone / "demo").stat().st_ino, git(clone / "demo", "log", "-1", "--format=%ct")
    again = demo()
    assert again.code == 0, again.output
    assert ((clone / "demo").stat().st_ino, git(clone / "demo", "log", "-1", "--format=%ct")) != first


def test_demo_keeps_what_is_not_its_own(demo: Demo, clone: Path) -> None:
    (clone / "demo").mkdir()
    (clone / "demo/mine.txt").write_text("mine")
    refused = demo()
    assert refused.code != 0
    assert "was not made by make demo" in refused.output
    assert (clone / "demo/mine.txt").read_text() == "mine"

    shutil.rmtree(clone / "demo")
    assert demo().code == 0
    (clone / "demo/README.md").write_text("mine now")
    refused = demo()
    assert refused.code != 0
    assert "holds work of yours" in refused.output
    assert (clone / "demo/README.md").read_text() == "mine now"


def test_demo_that_failed_is_made_again(demo: Demo, clone: Path, tiny: Path) -> None:
    makefile = (tiny / "template/Makefile").read_text()
    (tiny / "template/Makefile").write_text("install:\n\t@echo half > made; false\n")
    failed = demo()
    assert failed.code != 0
    assert "install failed" in failed.output
    (tiny / "template/Makefile").write_text(makefile)
    assert demo().code == 0


def test_without_uv_one_is_fetched_into_this_folder(
    clone: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """The machine has Python, git and make, and no uv."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("git", "make", "python3", "sh", "env", "id", "grep", "sed", "expand", "nproc", "rm", "cat"):
        found = shutil.which(name)
        assert found, name
        (tools / name).symlink_to(found)
    (tools / "python3").unlink()
    # Not the environment that runs these tests: a machine's own Python is no virtual environment.
    python = subprocess.run(
        ["python3", "-c", "import sys; print(sys._base_executable)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (tools / "python3").write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
    (tools / "python3").chmod(0o755)
    made = run(clone, environment | {"PATH": str(tools)}, "make", "install")

    assert made.code == 0, made.output
    assert (clone / ".venv-uv/bin/uv").exists()
    shown = run(clone, environment, clone / ".venv/bin/mlportfolio", "--version")
    assert shown.output.startswith("mlportfolio ")
