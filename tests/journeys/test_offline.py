"""A wheel in an environment of its own, and no network: a project is made, worked on and updated."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from mlportfolio.releases import GitError, git, history, order
from tests.conftest import REPOSITORY, Ran, content_of, run
from tests.package import commit, hatch, set_version, with_package

pytestmark = pytest.mark.slow

NOW, NEXT = "98.0.0", "99.0.0"
ANSWERS = ".copier-answers.yml"
NOBODY_ANSWERS = "http://127.0.0.1:1"


@dataclass
class Machine:
    """A machine without a network, where the package is installed.

    Attributes:
        environment: The folder of its Python.
        settings: The variables of its shell.
        alone: What a command is run by, so that it finds no network.
    """

    environment: Path
    settings: dict[str, str]
    alone: tuple[str, ...]

    def __call__(self, folder: Path, *words: str | Path) -> Ran:
        """Run the command there."""
        return self.run(folder, self.environment / "bin/mlportfolio", *words)

    def run(self, folder: Path, *words: str | Path) -> Ran:
        """Run any program there."""
        done = run(folder, self.settings, *self.alone, *words)
        assert "Traceback" not in done.output
        return done

    def install(self, wheel: Path) -> None:
        """Put another version into its Python."""
        words = ("--quiet", "--offline", "--no-deps", "--python", self.environment / "bin/python")
        done = self.run(Path(), "uv", "pip", "install", *words, wheel)
        assert done.code == 0, done.output


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What is here, as a release, and the one after it."""
    try:
        history(REPOSITORY)
    except GitError as error:
        pytest.skip(f"there is no history to read: {error}")
    base = tmp_path_factory.mktemp("wheels")
    clone = base / "clone"
    git(base, "clone", "--quiet", "--shared", REPOSITORY, clone)
    git(clone, "remote", "remove", "origin")
    with_package(clone, NOW)
    built: list[Path] = []
    for version in (NOW, NEXT):
        if version == NEXT:
            tree = clone / "template/<<project_slug>>"
            (tree / "docs/next.md").write_text("# What is next\n")
            (tree / "README.md.jinja").write_text(
                (tree / "README.md.jinja").read_text() + "\n## A new section\n\nIt came later.\n"
            )
            set_version(clone, version)
            commit(clone)
        done = hatch(clone, base / version, "wheel")
        assert done.code == 0, done.output
        built += (base / version).iterdir()
    first, second = built
    shutil.rmtree(clone)  # nothing may be read but the wheels
    return first, second


@pytest.fixture(scope="module")
def machine(
    wheels: tuple[Path, Path], outside: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Machine:
    """The first wheel and what it needs; installing that is the last time that the network is there."""
    if not shutil.which("uv"):
        pytest.skip("uv makes the environment")
    folder = tmp_path_factory.mktemp("machine") / "environment"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    install = ["uv", "pip", "install", "--quiet", "--python", str(folder / "bin/python"), str(wheels[0])]
    if subprocess.run([*install, "--offline"], check=False, capture_output=True).returncode:
        subprocess.run(install, check=True)
    alone = ("unshare", "--map-root-user", "--net")
    try:
        refused = subprocess.run([*alone, "true"], check=False, capture_output=True).returncode
    except FileNotFoundError:
        refused = 1
    settings = {name: value for name, value in outside.items() if name != "PYTHONPATH"}
    if refused:  # nobody may make a network of their own here, so every way goes by a proxy that refuses
        proxies = ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY")
        settings |= dict.fromkeys(proxies, NOBODY_ANSWERS)
    return Machine(folder, settings, () if refused else alone)


@pytest.fixture
def listener() -> Iterator[int]:
    """The port of something outside that would answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_machine_has_no_network(machine: Machine, listener: int, tmp_path: Path) -> None:
    """Else nothing here would show anything."""
    if not machine.alone:
        pytest.skip("this machine lets nobody make a network of their own")
    knock = f"import socket; socket.create_connection(('127.0.0.1', {listener}), 5)"
    words = (machine.environment / "bin/python", "-c", knock)
    assert run(tmp_path, machine.settings, *words).code == 0
    assert run(tmp_path, machine.settings, *machine.alone, *words).code == 1


def test_new_then_the_next_wheel_then_update(
    machine: Machine, wheels: tuple[Path, Path], tmp_path: Path
) -> None:
    made = machine(tmp_path, "new", "flights", "--yes", "--json")
    assert made.code == 0, made.output
    flights = tmp_path / "flights"
    assert len(content_of(flights)) > 50
    answers = yaml.safe_load((flights / ANSWERS).read_text())
    assert answers["_commit"] == f"v{NOW}"
    assert "_src_path" not in answers
    assert str(tmp_path.parent) not in (flights / ANSWERS).read_text()
    assert machine(tmp_path, "domains").code == 0

    mine = "\n<!-- what I learned -->\n"
    readme = flights / "README.md"
    heading, _, rest = readme.read_text().partition("\n")
    readme.write_text(f"{heading}\n{mine}{rest}")
    (flights / "notes.md").write_text("My own notes.\n")
    (flights / "docs/problem.md").write_text("My own problem.\n")
    (flights / "Makefile").rename(flights / "GNUmakefile")
    git_settings = {"GIT_CONFIG_GLOBAL": machine.settings["GIT_CONFIG_GLOBAL"]}
    git(flights, "add", "--all")
    git(flights, "commit", "--quiet", "--message", "My work", environment=git_settings)
    before = content_of(flights)

    nothing = machine(tmp_path, "update", "flights", "--yes")
    assert nothing.code == 0, nothing.output
    assert "Nothing to change." in nothing.output
    assert content_of(flights) == before

    machine.install(wheels[1])
    assert machine(tmp_path, "--version").output == f"mlportfolio {NEXT}\n"
    shown = machine(tmp_path, "update", "flights", "--yes", "--dry-run")
    assert shown.code == 0, shown.output
    assert content_of(flights) == before
    updated = machine(tmp_path, "update", "flights", "--yes")
    assert updated.code == 0, updated.output
    assert {line.split()[1] for line in shown.output.splitlines() if line.startswith("  ")} == {
        ANSWERS,
        "README.md",
        "docs/next.md",
    }
    text = readme.read_text()
    assert mine in text
    assert text.endswith("\n## A new section\n\nIt came later.\n")
    assert yaml.safe_load((flights / ANSWERS).read_text()) == answers | {"_commit": f"v{NEXT}"}

    # But for what is hers, it is what the new version makes.
    assert machine(tmp_path, "new", "fresh", "--yes").code == 0
    fresh, now = content_of(tmp_path / "fresh"), content_of(flights)
    assert now.pop("notes.md")[0] == b"My own notes.\n"
    assert now.pop("docs/problem.md")[0] == b"My own problem.\n"
    assert now.pop("GNUmakefile") == fresh.pop("Makefile")
    assert now.pop("README.md")[0] == readme.read_bytes()
    del fresh["docs/problem.md"], fresh["README.md"]
    assert now == fresh
    assert git(flights, "status", "--porcelain").splitlines() == [
        f"M  {ANSWERS}",
        "M  README.md",
        "A  docs/next.md",
    ]


def test_every_release_that_the_wheel_carries_can_be_made(
    machine: Machine, wheels: tuple[Path, Path], tmp_path: Path
) -> None:
    machine.install(wheels[1])
    unknown = machine(tmp_path, "new", "x", "--yes", "--version", "97.0.0")
    assert unknown.code == 2
    versions = unknown.output.rpartition("it has ")[2].strip(" .\n").split(", ")
    assert versions == sorted(versions, key=order)
    assert versions[-1] == f"v{NEXT}"
    assert versions[-2] == f"v{NOW}"
    for version in versions:
        made = machine(tmp_path, "new", version, "--yes", "--version", version)
        assert made.code == 0, made.output
        assert yaml.safe_load((tmp_path / version / ANSWERS).read_text())["_commit"] == version
        assert (tmp_path / version / "docs/next.md").exists() == (version == f"v{NEXT}")
