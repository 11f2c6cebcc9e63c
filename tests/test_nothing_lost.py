"""Random work, and deaths at random moments: whatever an owner did is there after an update."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlportfolio import cli
from mlportfolio import project as projects
from tests.conftest import commit_all, git_in

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


DEADLY_GIT = """\
#!/bin/sh
# Git, that kills whoever called it, and itself, at the call that is named.
echo call >> "$CALLS"
[ "$(wc -l < "$CALLS")" = "$DEADLY" ] && kill -KILL 0
exec "$GIT" "$@"
"""


def run_and_kill(arguments: list[str], folder: Path, at: int = 0) -> tuple[int, int]:
    """Run the command, and kill it at a call of git; its status, and how many calls there were."""
    stub, calls = folder / "bin/git", folder / "calls"
    if not stub.exists():
        stub.parent.mkdir()
        stub.write_text(DEADLY_GIT)
        stub.chmod(0o755)
    calls.write_text("")
    real = shutil.which("git")
    assert real
    done = subprocess.run(
        [sys.executable, "-m", "mlportfolio", *arguments],
        capture_output=True,
        check=False,
        start_new_session=True,
        env={
            **os.environ,
            "PATH": f"{stub.parent}:{os.environ['PATH']}",
            "GIT": real,
            "CALLS": str(calls),
            "DEADLY": str(at),
        },
    )
    return done.returncode, len(calls.read_text().splitlines())


def test_an_update_that_is_killed_at_any_moment_loses_nothing(made: Path, tmp_path: Path) -> None:
    chosen = {"domain": "rain", "threshold": "0.5", "container": "yes"}
    folder = project(made, chosen)
    code, calls = run_and_kill(["update", str(folder), "--yes"], tmp_path)
    assert code == 0
    finished = everything(folder)
    undone = 0
    for call in range(1, calls + 1):
        folder = project(made, chosen)
        started = everything(folder)
        code, _ = run_and_kill(["update", str(folder), "--yes"], tmp_path, call)
        assert code == -signal.SIGKILL
        if begun := (folder / ".git/mlportfolio-update").exists():
            undone += begun
            # Half-made: the next update first undoes what was begun.
            assert run_and_kill(["update", str(folder), "--yes"], tmp_path)[0] == 0
            assert everything(folder) == finished
            git_in(folder, "reset", "--quiet", "--hard")
        assert everything(folder) == started
        assert git_in(folder, "status", "--porcelain") == ""
        assert not (folder / ".git/mlportfolio-update").exists()
    assert undone >= 1


def test_a_project_that_is_killed_while_it_is_made_is_whole_or_not_there(made: Path, tmp_path: Path) -> None:
    code, calls = run_and_kill(["new", "whole", "--yes"], tmp_path)
    assert code == 0
    finished = everything(Path("whole"))
    for call in range(1, calls + 1):
        name = f"p{call}"
        code, _ = run_and_kill(["new", name, "--yes"], tmp_path, call)
        assert code == -signal.SIGKILL
        assert not Path(name).exists()
        assert run_and_kill(["new", name, "--yes"], tmp_path)[0] == 0
        assert everything(Path(name)) == finished
