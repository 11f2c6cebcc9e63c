"""Plain copier and our command work on the same projects, over git's own protocol, in turn."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest
import yaml

from mlportfolio import project as projects
from tests.conftest import Command, commit_all, git_in, write

pytestmark = pytest.mark.slow

COPIER = Path(sys.executable).with_name("copier")
OWNED = {"docs/problem.md", "data/raw.csv"}


@pytest.fixture
def served(released: Path, tmp_path: Path) -> Iterator[str]:
    """The address of the template behind git's own server."""
    git_in(tmp_path, "clone", "--quiet", "--bare", str(released), "srv/released.git")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [f"--base-path={tmp_path / 'srv'}", "--export-all", "--listen=127.0.0.1", f"--port={port}"]
    server = subprocess.Popen(["git", "daemon", "--reuseaddr", *words])
    try:
        address = f"git://127.0.0.1:{port}/released.git"
        end = monotonic() + 20
        while subprocess.run(["git", "ls-remote", address], capture_output=True, check=False).returncode:
            assert monotonic() < end, "git daemon does not answer"
            sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in projects.files_of(folder)}


def copier(*arguments: str | Path) -> None:
    done = subprocess.run([COPIER, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def work(folder: Path) -> None:
    """What an owner does."""
    steps = folder / "src/rain/steps.py"
    steps.write_text(steps.read_text().replace("rows[10:]", "rows[10:]  # mine"))
    write(folder, {"src/rain/own.py": "MINE = 1\n", "docs/problem.md": "My own words.\n"})
    commit_all(folder, "Work")


def check(folder: Path, version: str) -> None:
    """Her work is there, and so is what came."""
    steps = (folder / "src/rain/steps.py").read_text()
    assert "rows[10:]  # mine" in steps
    assert "rows[3:][::-1]" in steps
    assert (folder / "src/rain/own.py").read_text() == "MINE = 1\n"
    assert (folder / "docs/problem.md").read_text() == "My own words.\n"
    assert (folder / "src/rain/new.py").exists()
    assert not (folder / "src/rain/old.py").exists()
    assert not [name for name in files(folder) if name.endswith(".rej")]
    assert not [name for name, text in files(folder).items() if b"<<<<<<<" in text]
    assert yaml.safe_load((folder / ".copier-answers.yml").read_text())["_commit"] == version


def test_made_by_us_updated_by_copier_and_back(command: Command, served: str) -> None:
    made = command("new", "rain", "--yes", "--template", served, "--version", "0.1.0")
    assert made.code == 0, made.err
    rain = Path("rain").resolve()
    answers = yaml.safe_load((rain / ".copier-answers.yml").read_text())
    assert (answers["_src_path"], answers["_commit"]) == (served, "v0.1.0")
    work(rain)
    shutil.copytree(rain, "ours", symlinks=True)
    copier("update", "--defaults", "--quiet", "--vcs-ref", "v0.2.0", rain)
    check(rain, "v0.2.0")
    assert command("update", "ours", "--to", "0.2.0").code == 0
    assert files(Path("ours")) == files(rain)
    commit_all(rain, "Update")
    done = command("update", str(rain))
    assert done.code == 0, done.err
    check(rain, "v0.3.0")
    assert "last_step(" in (rain / "src/rain/steps.py").read_text()


def test_made_by_copier_updated_by_us_and_back(command: Command, served: str) -> None:
    copier("copy", "--defaults", "--quiet", "--vcs-ref", "v0.1.0", served, "rain")
    rain = Path("rain").resolve()
    git_in(rain, "init", "--quiet")
    commit_all(rain, "Start")
    work(rain)
    done = command("update", str(rain), "--to", "0.2.0")
    assert done.code == 0, done.err
    check(rain, "v0.2.0")
    commit_all(rain, "Update")
    copier("update", "--defaults", "--quiet", rain)
    check(rain, "v0.3.0")
    command("new", "fresh", "--yes", "--template", served)
    copier("copy", "--defaults", "--quiet", served, "copied")
    assert files(Path("fresh")) == files(Path("copied"))
    theirs = {name: text for name, text in files(rain).items() if name in files(Path("fresh"))}
    hers = {*OWNED, "src/rain/steps.py"}
    assert {name for name, text in theirs.items() if text != files(Path("fresh"))[name]} <= hers


def test_a_server_that_is_gone_is_said_in_a_sentence(command: Command, served: str, tmp_path: Path) -> None:
    command("new", "rain", "--yes", "--template", served, "--version", "0.1.0")
    shutil.rmtree(tmp_path / "srv")
    done = command("update", "rain")
    assert done.code == 1
    assert done.err.startswith(f"Error: git cannot clone {served}: ")
    assert len(done.err.splitlines()) == 1
