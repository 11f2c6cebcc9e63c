"""A mentor and three learners, from wheels, without a network: nothing that anybody did is lost.

The first learner began with the first release, before there were starters.
"""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlportfolio import releases
from tests.conftest import REPOSITORY, Ran, commit_all, git_in, run, write

pytestmark = pytest.mark.suite

# The first release had flights alone, so the first learner has them.
DOMAINS = sorted(
    (path.parent.name for path in (REPOSITORY / "template/domains").glob("*/facts.yml")),
    key=lambda name: (name != "flight_delay", name),
)
LEARNERS = {
    "ada": {"tracking": "mlflow"},
    "grace": {"tracking": "files", "container": "no"},
    "mary": {"ci": "none", "metric": "roc_auc"},
}
STARTER: dict[str, Any] = {
    "name": "Spring cohort",
    "welcome": "Welcome to the spring cohort.",
    "fixed": {"licence": "MIT"},
    "defaults": {"success": "A desk that trusts the list."},
    "domains": DOMAINS,
    "files": {"docs/cohort.md": "# Our cohort\n\nWe meet on Mondays.\n"},
}
# A command in a network of its own, which has nothing but itself.
OFFLINE = ["unshare", "--map-root-user", "--net"]


@dataclass(frozen=True)
class Installed:
    """The command in an environment of its own, and the two releases that it is to have."""

    folder: Path
    wheels: tuple[Path, Path]

    @property
    def command(self) -> Path:
        return self.folder / "bin/mlportfolio"

    def take(self, wheel: Path) -> None:
        """Put another release into the environment."""
        words: list[str | Path] = [
            "uv",
            "pip",
            "install",
            "--quiet",
            "--offline",
            "--no-deps",
            "--python",
            self.folder / "bin/python",
        ]
        subprocess.run([*words, "--reinstall", wheel], check=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, outside: dict[str, str]) -> Installed:
    """The environment with the first of two releases."""
    if subprocess.run([*OFFLINE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody make a network of their own")
    base = tmp_path_factory.mktemp("wheels")
    clone = base / "repository"
    git_in(REPOSITORY, "clone", "--quiet", "--shared", str(REPOSITORY), str(clone))
    for name in ("user.name", "user.email"):
        git_in(clone, "config", name, "release@example.org")
    first = wheel(clone, "98.0.0", base, outside)
    tree = clone / "template/<<project_slug>>"
    write(
        tree,
        {
            "docs/glossary.md": "# Glossary\n\n- **Champion**: the model in service.\n",
            "docs/runbook.md.jinja": (tree / "docs/runbook.md.jinja").read_text()
            + "\n## Later\n\nAsk early.\n",
        },
    )
    later = wheel(clone, "99.0.0", base, outside)
    environment = base / "environment"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, environment], check=True)
    subprocess.run(
        ["uv", "pip", "install", "--quiet", "--python", environment / "bin/python", first], check=True
    )
    return Installed(environment, (first, later))


def wheel(clone: Path, version: str, base: Path, environment: dict[str, str]) -> Path:
    """Release a version, and build it."""
    text = (clone / "pyproject.toml").read_text()
    write(
        clone,
        {"pyproject.toml": re.sub(r'^version = ".*"', f'version = "{version}"', text, flags=re.MULTILINE)},
    )
    commit_all(clone, f"Release {version}")
    built = run(clone, environment, "uv", "build", "--quiet", "--wheel", "--out-dir", base)
    assert built.code == 0, built.output
    return base / f"mlportfolio-{version}-py3-none-any.whl"


def work(folder: Path, name: str) -> dict[str, str]:
    """What a learner does in her project: texts that must be in these files for ever."""
    package = f"src/{yaml.safe_load((folder / '.copier-answers.yml').read_text())['package_name']}"
    added = {
        "README.md": f"\n## What I learned\n\n{name} learned to look at the data first.\n",
        "sql/features.sql": f"\n-- {name}: to be looked at again\n",
        "docs/runbook.md": "",
        f"{package}/calibration.py": f'\n\ndef whose() -> str:\n    """Say so."""\n    return "{name}"\n',
    }
    for file, text in added.items():
        write(folder, {file: (folder / file).read_text() + text})
    package_name = package.removeprefix("src/")
    made = {
        "docs/experiments.md": f"# What {name} tried\n\nEverything.\n",
        "tests/test_whose.py": '"""Hers."""\n\n'
        f"from {package_name} import calibration\n\n\n"
        f'def test_whose() -> None:\n    """It is hers."""\n    assert calibration.whose() == "{name}"\n',
    }
    write(folder, dict(made))
    commit_all(folder, f"What {name} did")
    return {**added, **made}


def test_a_cohort_from_the_first_day_to_the_next_release(
    installed: Installed, outside: dict[str, str], home: Path, tmp_path: Path
) -> None:
    def offline(*words: str | Path) -> Ran:
        return run(tmp_path, outside, *OFFLINE, installed.command, *words)

    write(tmp_path, {"spring.yml": yaml.safe_dump(STARTER)})
    checked = offline("starter", "check", "spring.yml")
    assert checked.code == 0, checked.output

    hers = {}
    for number, (name, choices) in enumerate(LEARNERS.items()):
        answers = {"domain": DOMAINS[number % len(DOMAINS)], "author_name": name.title(), **choices}
        pairs = [word for key, value in answers.items() for word in ("--set", f"{key}={value}")]
        way = ["--version", "0.1.0"] if name == "ada" else ["--starter", "spring.yml"]
        made = offline("new", name, "--yes", *way, *pairs)
        assert made.code == 0, made.output
        recorded = yaml.safe_load((tmp_path / name / ".copier-answers.yml").read_text())
        if name == "ada":
            assert recorded["_commit"] == "v0.1.0"
        else:
            assert "Welcome to the spring cohort." in made.output
            assert (recorded["_commit"], recorded["starter"]["name"]) == ("v98.0.0", "Spring cohort")
            assert (tmp_path / name / "docs/cohort.md").read_text() == STARTER["files"]["docs/cohort.md"]
        hers[name] = work(tmp_path / name, name)

    installed.take(installed.wheels[1])
    write(tmp_path, {"cohort.txt": "".join(f"{name}\n" for name in LEARNERS)})
    status = offline("status", "cohort.txt", "--csv")
    assert status.code == 1
    rows = list(csv.DictReader(io.StringIO(status.output)))
    assert [row["version"] for row in rows] == ["v0.1.0", "v98.0.0", "v98.0.0"]
    assert [row["newest"] for row in rows] == ["v99.0.0"] * 3

    for name, texts in hers.items():
        folder = tmp_path / name
        done = offline("update", name, "--yes", "--json")
        assert done.code == 0, done.output
        assert json.loads(done.output)["conflicts"] == []
        for file, text in texts.items():
            assert text in (folder / file).read_text()
        assert "Ask early." in (folder / "docs/runbook.md").read_text()
        assert (folder / "docs/glossary.md").is_file()
        commit_all(folder, "Update")
    after = offline("status", "cohort.txt")
    assert after.code == 0, after.output

    for name in LEARNERS:
        tested = run(tmp_path / name, outside, "make", "test")
        assert tested.code == 0, tested.output[-5000:]
        assert re.search(r"\d+ passed", tested.output)
        assert not [
            path for path in releases.git(tmp_path / name, "ls-files").splitlines() if path.endswith(".rej")
        ]
        shutil.rmtree(tmp_path / name / ".venv")  # a gigabyte each
