"""Random work, and deaths at random moments: whatever an owner did is there after an update."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlportfolio import cli
from mlportfolio import project as projects

from .conftest import commit_all, git_in

pytestmark = pytest.mark.slow

OLD_FILES = (
    "README.md",
    "src/rain/steps.py",
    "src/rain/old.py",
    "src/rain/problem.py",
    "sql/features.sql",
    "docs/problem.md",
    "data/raw.csv",
    ".gitignore",
)
NEW_FILES = ("src/rain/new.py", "src/rain/own.py", "notes/naïve plan.md", "sql/more/x.sql", "Dockerfile")

position = st.integers(0, 40)
edits = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.sampled_from(OLD_FILES), position),
        st.tuples(st.just("replace"), st.sampled_from(OLD_FILES), position),
        st.tuples(st.just("cut"), st.sampled_from(OLD_FILES), position),
        st.tuples(st.just("add"), st.sampled_from(NEW_FILES), position),
        st.tuples(st.just("remove"), st.sampled_from(OLD_FILES), position),
        st.tuples(st.just("rename"), st.sampled_from(OLD_FILES), position),
    ),
    max_size=8,
)
answers = st.fixed_dictionaries(
    {
        "domain": st.sampled_from(["rain", "snow"]),
        "threshold": st.sampled_from(["0.5", "0.25"]),
        "container": st.sampled_from(["yes", "no"]),
    }
)


def everything(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in projects.files_of(folder)}


def work(folder: Path, steps: list[tuple[str, str, int]]) -> set[str]:
    """Do what an owner does, and return every line that is hers."""
    hers: set[str] = set()
    for number, (kind, name, at) in enumerate(steps):
        path = folder / name
        mark = f"# hers {number}"
        if kind == "add":
            path.parent.mkdir(parents=True, exist_ok=True)
            hers -= set(path.read_text().splitlines()) if path.exists() else set()
            path.write_text(f"{mark}\n" * (1 + at % 3))
            hers.add(mark)
        elif not path.exists():
            continue
        elif kind == "remove":
            hers -= set(path.read_text().splitlines())
            path.unlink()
        elif kind == "rename":
            path.rename(path.with_name(f"moved_{number}_{path.name}"))
        else:
            lines = path.read_text().splitlines()
            here = min(at, len(lines))
            if kind == "insert":
                lines.insert(here, mark)
                hers.add(mark)
            elif kind == "replace" and here < len(lines):
                hers.discard(lines[here])
                lines[here] = mark
                hers.add(mark)
            elif here < len(lines):
                hers.discard(lines.pop(here))
            path.write_text("".join(f"{line}\n" for line in lines))
    return hers


@pytest.fixture
def made(home: Path, released: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for projects, and the template that they come from."""
    monkeypatch.setenv("MLPORTFOLIO_TEMPLATE", str(released))
    return Path.cwd()


def project(folder: Path, chosen: dict[str, str]) -> Path:
    """A copy of the project that the first release makes from some answers."""
    kept = folder / "-".join(chosen.values())
    if not kept.exists():
        pairs = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
        assert cli.main(["new", str(kept), "--yes", "--version", "0.1.0", *pairs]) == 0
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(kept, copy, symlinks=True)
    return copy


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=edits, chosen=answers)
def test_no_edit_is_ever_lost(made: Path, steps: list[tuple[str, str, int]], chosen: dict[str, str]) -> None:
    folder = project(made, chosen)
    hers = work(folder, steps)
    if git_in(folder, "status", "--porcelain"):
        commit_all(folder, "Work")
    before = everything(folder)
    code = cli.main(["update", str(folder), "--yes"])
    after = everything(folder)
    text = b"\n".join(after.values()).decode("utf-8", "replace")
    assert not [line for line in hers if line not in text]
    assert not [name for name in after if name.endswith((".rej", ".orig"))]
    unmerged = git_in(folder, "diff", "--name-only", "--diff-filter=U", "-z").strip("\0").split("\0")
    marked = [name for name, content in after.items() if b"<<<<<<< " in content]
    assert code == (1 if unmerged != [""] else 0)
    assert set(marked) <= set(unmerged)
    for name in ("docs/problem.md", "data/raw.csv"):
        assert after.get(name) == before.get(name)
    # What she removed stays away, but for what the template brings under the same name.
    gone = {name for name in OLD_FILES if name not in before}
    assert not gone & set(after)
    if code == 0:
        assert "v0.3.0" in after[".copier-answers.yml"].decode()
        commit_all(folder, "Update")
        assert cli.main(["update", str(folder)]) == 0
        assert everything(folder) == after
    git_in(folder, "reset", "--quiet", "--hard", "HEAD" if code else "HEAD~")
    assert everything(folder) == before


def run_and_kill(arguments: list[str], after: float) -> int | None:
    """Run the command, and kill it and its git after some seconds; its status, or None if it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mlportfolio", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    begun = monotonic()
    while process.poll() is None and monotonic() - begun < after:
        sleep(0.001)
    if process.poll() is not None:
        return process.returncode
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return None


def moments(seconds: float, count: int) -> list[float]:
    """Moments of a run: some anywhere, most near its end, where it writes."""
    chance = random.Random(0)  # noqa: S311 - the same moments every time
    return [seconds * (chance.random() if n % 4 == 0 else 0.6 + 0.4 * chance.random()) for n in range(count)]


def timed(arguments: list[str]) -> float:
    begun = monotonic()
    assert run_and_kill(arguments, 60) == 0
    return monotonic() - begun


def test_an_update_that_is_killed_at_any_moment_loses_nothing(made: Path) -> None:
    chosen = {"domain": "rain", "threshold": "0.5", "container": "yes"}
    folder = project(made, chosen)
    seconds = timed(["update", str(folder), "--yes"])
    finished = everything(folder)
    killed = 0
    for moment in moments(seconds, 32):
        folder = project(made, chosen)
        started = everything(folder)
        killed += run_and_kill(["update", str(folder), "--yes"], moment) is None
        if everything(folder) != finished:
            # Half-made or not begun: the next update makes it whole, and first undoes what was begun.
            assert run_and_kill(["update", str(folder), "--yes"], 60) == 0
            assert everything(folder) == finished
        git_in(folder, "reset", "--quiet", "--hard")
        assert everything(folder) == started
        assert git_in(folder, "status", "--porcelain") == ""
        assert not list((folder / ".git").glob("*mlportfolio*"))
    assert killed > 16


def test_a_project_that_is_killed_while_it_is_made_is_whole_or_not_there(made: Path) -> None:
    seconds = timed(["new", "whole", "--yes"])
    finished = everything(Path("whole"))
    killed = 0
    for number, moment in enumerate(moments(seconds, 24)):
        name = f"p{number}"
        killed += run_and_kill(["new", name, "--yes", "--set", "project_slug=rain"], moment) is None
        folder = Path(name)
        if folder.exists():
            assert set(everything(folder)) == set(finished)
            assert git_in(folder, "status", "--porcelain") == ""
    assert killed > 12
