"""A project is made whole or not at all, and its history is the learner's own."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlportfolio import project
from tests.conftest import REPOSITORY, Command, answers_of, content_of, git

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The real template as it is now, committed: others may be at work on it."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    shutil.copy(REPOSITORY / "copier.yml", folder)
    shutil.copytree(
        REPOSITORY / "template", folder / "template", ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "As it is now")
    return folder


@pytest.fixture
def slow_template(tiny: Path) -> Path:
    """Takes many seconds to render, after its first file is written."""
    (tiny / "template/slow.txt.jinja").write_text(
        "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}"
    )
    return tiny


# --- what is made ---------------------------------------------------------------------------------


def test_same_project_as_plain_copier(checkout: Path, command: Command) -> None:
    result = command("new", "ours", "--yes", "--template", str(checkout))
    assert result.code == 0, result.err
    subprocess.run(
        [Path(sys.executable).with_name("copier"), "copy", "--quiet", "--defaults", checkout, "theirs"],
        check=True,
    )
    answers = ".copier-answers.yml"
    assert content_of(Path("ours"), answers) == content_of(Path("theirs"), answers)
    ours, theirs = answers_of(Path("ours")), answers_of(Path("theirs"))
    assert theirs.pop("_src_path") == str(checkout)
    assert ours == theirs  # the same _commit too
    assert str(checkout) not in (Path("ours") / answers).read_text()


def test_uncommitted_work_is_rendered_and_not_called_a_version(checkout: Path, command: Command) -> None:
    tree = next(folder for folder in (checkout / "template").iterdir() if "slug" in folder.name)
    (tree / "new.txt").write_text("new")
    assert command("new", "x", "--yes", "--template", str(checkout)).code == 0
    assert Path("x/new.txt").read_text() == "new"
    assert "_commit" not in answers_of(Path("x"))


def test_first_commit_holds_everything(tiny: Path, command: Command) -> None:
    result = command("new", "x", "--yes", "--template", str(tiny))
    assert git(Path("x"), "log", "--format=%s|%an|%ae") == "Start Rain|Ada Example|ada@example.org"
    assert git(Path("x"), "branch", "--show-current") == "main"
    assert git(Path("x"), "status", "--porcelain") == ""
    assert git(Path("x"), "rev-parse", "--short=7", "HEAD") in result.out
    assert sorted(git(Path("x"), "ls-files").splitlines()) == project.files_of(Path("x"))


@pytest.mark.parametrize("there", [False, True])
def test_destination_has_ordinary_permissions(there: bool, tiny: Path, command: Command) -> None:  # noqa: FBT001
    if there:
        Path("x").mkdir()
    before = os.umask(0o022)
    try:
        command("new", "x", "--yes", "--template", str(tiny))
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path("x").stat().st_mode) == 0o755


def test_working_directory_can_be_filled(tiny: Path, command: Command) -> None:
    inode = Path().stat().st_ino
    result = command("new", ".", "--yes", "--template", str(tiny))
    assert result.code == 0, result.err
    assert Path().stat().st_ino == inode
    assert "cd " not in result.out
    assert sorted(project.files_of(Path.cwd())) == sorted(
        [".copier-answers.yml", ".gitignore", "Makefile", "README.md"]
    )


@pytest.mark.parametrize("name", ["a/b/c", "with space", "ünïcode", "-dash"])
def test_odd_destinations(name: str, tiny: Path, command: Command) -> None:
    result = command("new", "--yes", "--template", str(tiny), "--", name)
    assert result.code == 0, result.err
    assert answers_of(Path(name))["project_name"] == "Rain"


def test_tilde_is_the_home(home: Path, tiny: Path, command: Command) -> None:
    assert command("new", "~/x", "--yes", "--template", str(tiny)).code == 0
    assert answers_of(home / "x")["project_name"] == "Rain"


def test_symbolic_link_is_followed(tiny: Path, command: Command) -> None:
    Path("real").mkdir()
    Path("link").symlink_to("real")
    assert command("new", "link", "--yes", "--template", str(tiny)).code == 0
    assert Path("link").is_symlink()
    assert answers_of(Path("real"))["project_name"] == "Rain"


# --- where nothing may be written -----------------------------------------------------------------


def test_taken_destinations_stay_as_they_are(tiny: Path, command: Command) -> None:
    Path("full").mkdir()
    Path("full/mine.txt").write_text("mine")
    Path("file").write_text("mine")
    Path("loop").symlink_to("loop")
    for name, reason in {"full": "is not empty", "file": "is a file", "": "DESTINATION is empty"}.items():
        result = command("new", name, "--yes", "--template", str(tiny))
        assert result.code == 2
        assert reason in result.err
    assert command("new", "loop", "--yes", "--template", str(tiny)).code != 0
    assert command("new", "file/below", "--yes", "--template", str(tiny)).code != 0
    assert command("new", "a\0b", "--yes", "--template", str(tiny)).code == 2
    assert Path("full/mine.txt").read_text() == Path("file").read_text() == "mine"
    assert sorted(path.name for path in Path().iterdir()) == ["file", "full", "loop"]


@pytest.mark.parametrize("there", [False, True])
def test_faulty_template_leaves_nothing(there: bool, tiny: Path, command: Command) -> None:  # noqa: FBT001
    (tiny / "template/zzz.txt.jinja").write_text("{{ nothing.at.all }}\n")
    if there:
        Path("x").mkdir()
    result = command("new", "x", "--yes", "--template", str(tiny))
    assert result.code == 1
    assert "has a mistake: 'nothing' is undefined" in result.err
    assert list(Path().rglob("*")) == ([Path("x")] if there else [])


def test_what_somebody_else_puts_there_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not empty"), project.staged(tmp_path / "work") as folder:  # noqa: PT012
        (folder / "a.txt").write_text("ours")
        Path("b.txt").write_text("theirs")
    assert [path.name for path in Path().iterdir()] == ["b.txt"]


def test_half_moved_project_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def fails_for_z(path: Path, target: Path) -> Path:
        if path.name == "z":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails_for_z)
    with pytest.raises(OSError, match="Input/output"), project.staged(tmp_path / "work") as folder:  # noqa: PT012
        for name in ("a", "z", "b"):
            (folder / name).mkdir()
        (folder / "c").write_text("c")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("questions", ["- domain\n", "just words\n", ""])
def test_template_without_questions_is_named(questions: str, tiny: Path, command: Command) -> None:
    (tiny / "copier.yml").write_text(questions)
    result = command("new", "x", "--yes", "--template", str(tiny))
    assert result.code == 2
    assert "asks no questions" in result.err


def test_template_that_would_run_code_is_refused(tiny: Path, command: Command) -> None:
    with (tiny / "copier.yml").open("a") as file:
        file.write('_tasks: ["touch ran"]\n')
    result = command("new", "x", "--yes", "--template", str(tiny))
    assert result.code == 1
    assert "unsafe" in result.err
    assert list(Path().iterdir()) == []


def test_broken_questions_are_named(tiny: Path, command: Command) -> None:
    (tiny / "copier.yml").write_text("project_slug: [1\n")
    result = command("new", "x", "--yes", "--template", str(tiny))
    assert result.code == 2
    assert "copier.yml, line" in result.err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for almost nothing."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not shutil.which("mount"):
        pytest.skip("there is no mount command")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_disk_leaves_nothing(small_disk: Path, tiny: Path, command: Command) -> None:
    (tiny / "template/big.bin").write_bytes(bytes(200_000))
    result = command("new", str(small_disk / "x"), "--yes", "--template", str(tiny))
    assert result.code == 1
    assert "No space left on device" in result.err
    assert list(small_disk.iterdir()) == []
    result = command("new", str(small_disk), "--yes", "--template", str(tiny))  # a mount point, empty
    assert result.code == 1
    assert list(small_disk.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(
    ("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_stopped_while_rendering(
    stop: signal.Signals,
    code: int,
    there: bool,  # noqa: FBT001
    slow_template: Path,
) -> None:
    if there:
        Path("x").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "mlportfolio", "new", "x", "--yes", "--template", slow_template],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not any(path.name == "Makefile" for path in Path().rglob("*")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(stop)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in err
    assert list(Path().rglob("*")) == ([Path("x")] if there else [])


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stop_that_somebody_swallows_still_leaves_nothing(stop: signal.Signals, tmp_path: Path) -> None:
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt if stop == signal.SIGINT else SystemExit),
        project.stop_signals(),
        project.staged(tmp_path / "work/x") as folder,
    ):
        with contextlib.suppress(BaseException):
            signal.raise_signal(stop)
        (folder / "late.txt").write_text("written after the stop")
    assert list(Path().iterdir()) == []


def test_signals_that_are_ignored_stay_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with project.stop_signals():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


# --- git ------------------------------------------------------------------------------------------


def test_no_identity_is_invented(home: Path, tiny: Path, command: Command) -> None:
    (home / ".gitconfig").unlink()
    result = command("new", "x", "--yes", "--template", str(tiny))
    assert result.code == 0
    assert "git does not know who you are" in result.err
    assert git(Path("x"), "for-each-ref") == ""
    commands = [line for line in result.err.splitlines() if line.startswith("  git ")]
    assert len(commands) == 3
    subprocess.run(["bash", "-e", "-c", "\n".join(commands)], check=True, cwd="/", capture_output=True)
    assert git(Path("x"), "log", "--format=%s|%an|%ae") == "Start Rain|Your Name|you@example.com"
    assert answers_of(Path("x"))["project_name"] == "Rain"


def test_git_may_be_missing(
    tiny: Path, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    result = command("new", "x", "--yes", "--template", str(tiny))
    assert result.code == 0, result.err
    assert "git is not installed" in result.err
    assert not Path("x/.git").exists()
    assert answers_of(Path("x"))["project_name"] == "Rain"


def test_repository_of_a_hook_is_left_alone(
    tiny: Path, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    subprocess.run(["git", "init", "--quiet", other], check=True)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    command("new", "x", "--yes", "--template", str(tiny))
    assert git(Path("x"), "log", "--format=%s") == "Start Rain"
    assert git(other, "for-each-ref") == ""


def test_failing_commit_leaves_the_project_and_says_so(home: Path, tiny: Path, command: Command) -> None:
    hooks = home / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\necho not on my watch >&2\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    git(home, "config", "--global", "core.hooksPath", str(hooks))
    result = command("new", "x", "--yes", "--template", str(tiny))
    assert result.code == 0
    assert "git commit failed, so this is not committed: not on my watch" in result.err
    assert answers_of(Path("x"))["project_name"] == "Rain"
