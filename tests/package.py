"""Repositories to build the package from, and what is built."""

import os
import shutil
import sys
from pathlib import Path

from mlportfolio.releases import git
from tests.conftest import REPOSITORY, Ran, run


def commit(folder: Path, *, minute: int = 0) -> str:
    """Commit everything, as if in that minute of 2024."""
    git(folder, "add", "--all")
    when = f"{1_704_067_200 + 60 * minute} +0100"
    who = {"NAME": "Ada Example", "EMAIL": "ada@example.org", "DATE": when}
    git(
        folder,
        *("commit", "--quiet", "--allow-empty", "--message", "Work"),
        environment={
            f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in who.items()
        },
    )
    return git(folder, "rev-parse", "HEAD")


def with_package(checkout: Path, version: str) -> Path:
    """Put the package's sources, as they are now, beside the template in a checkout, and commit them."""
    for name in (".gitignore", "CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, checkout)
    for name in ("src", "scripts"):
        shutil.copytree(
            REPOSITORY / name,
            checkout / name,
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
    set_version(checkout, version)
    commit(checkout, minute=50)
    return checkout


def set_version(package: Path, version: str) -> None:
    """Write another version into pyproject.toml."""
    lines = (package / "pyproject.toml").read_text().splitlines()
    [place] = [number for number, line in enumerate(lines) if line.startswith("version = ")]
    lines[place] = f'version = "{version}"'
    (package / "pyproject.toml").write_text("\n".join(lines) + "\n")


def hatch(folder: Path, out: Path, target: str, environment: dict[str, str] | None = None) -> Ran:
    """Build without an environment of its own, which would need the network."""
    words = (sys.executable, "-m", "hatchling", "build", "-d", str(out), "-t", target)
    return run(folder, {**os.environ, **(environment or {})}, *words)
