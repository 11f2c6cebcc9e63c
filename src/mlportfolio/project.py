"""Make a project directory, whole or not at all, and its first commit."""

import errno
import os
import secrets
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlportfolio.errors import UserError
from mlportfolio.releases import BINDINGS

if TYPE_CHECKING:
    from mlportfolio.form import Form


def leave_foreign_repository() -> None:
    """Forget the repository whose hook this command may have been started from."""
    for name in BINDINGS:
        os.environ.pop(name, None)


def check_destination(name: str) -> Path:
    """The absolute path to write to.

    Raises:
        UserError: Something is there already, or it cannot be written.
    """
    if not name:
        raise UserError("DESTINATION is empty; name a folder, or leave it out.")
    try:
        path = Path(name).expanduser().resolve()
        taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
    except (RuntimeError, ValueError) as error:  # a link that leads back to itself; a NUL in the name
        raise UserError(f"{name!r} is no place to write to: {error}.") from error
    if taken:
        what = "not empty" if path.is_dir() else "a file"
        raise UserError(f"{path} is {what}; name a folder that is empty or not there yet.")
    return path


_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_stopped: list[int] = []


@contextmanager
def stop_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that what was begun is removed.

    Each is also remembered: an exception that rises in somebody's `__del__` or callback goes nowhere.
    """
    _stopped.clear()

    def stop(number: int, _frame: object) -> None:
        _stopped.append(number)
        _stop(number)

    # What is ignored stays so: nohup, or a shell's background job.
    before = {each: handler for each in _STOPPING if (handler := signal.getsignal(each)) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int) -> None:
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


@contextmanager
def staged(destination: Path) -> Iterator[Path]:
    """A folder on the destination's own file system, that becomes the destination if the block succeeds.

    An empty destination is kept and filled, as it may be a mount point or somebody's working directory.
    """
    there = destination.exists()
    home = destination if there else next(folder for folder in destination.parents if folder.exists())
    workshop = home / f".mlportfolio-{secrets.token_hex(4)}"
    folder = workshop / destination.name
    try:
        folder.mkdir(parents=True)
        yield folder
        with uninterrupted():
            for number in _stopped:
                _stop(number)
            if there:
                _fill(destination, workshop, folder)
            else:
                destination.parent.mkdir(parents=True, exist_ok=True)
                folder.rename(destination)
    finally:
        with uninterrupted():
            shutil.rmtree(workshop, ignore_errors=True)


def _fill(destination: Path, workshop: Path, folder: Path) -> None:
    """Move what is in `folder` to `destination`, empty but for the workshop: all of it or nothing."""
    if list(destination.iterdir()) != [workshop]:
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
    moved: list[Path] = []
    try:
        for child in list(folder.iterdir()):
            moved.append(child.rename(destination / child.name))  # noqa: PERF401 - needed if the next one fails
    except OSError:
        for child in moved:
            shutil.rmtree(child) if child.is_dir() else child.unlink()
        raise


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold signals back for the moment in which half a project could be left."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def files_of(folder: Path) -> list[str]:
    """Every file below `folder` but git's own, as sorted relative paths."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if not path.is_dir() and ".git" not in path.relative_to(folder).parts[:1]
    )


@contextmanager
def _plain_refusal(destination: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{destination} cannot be written: {error.strerror or error}. Nothing was left there.",
            exit_code=1,
        ) from error


@dataclass
class Made:
    """A project as it was made.

    Attributes:
        path: Its folder.
        files: What it holds, as relative paths, without git's own.
        commit: Its last commit; None where there is none, and then a note says why.
        notes: What the user should know.
    """

    path: Path
    files: list[str]
    commit: str | None = None
    notes: list[str] = field(default_factory=list)


def make(form: "Form", destination: Path, message: str, *, dry_run: bool) -> Made:
    """Render the project and make its first commit; with `dry_run` only find out which files it would have.

    Raises:
        UserError: The template has a mistake, or the disk is full or refuses. Nothing is left.
    """
    if dry_run:
        with TemporaryDirectory() as elsewhere:
            folder = Path(elsewhere, destination.name)
            form.render(folder)
            return Made(destination, files_of(folder))
    with _plain_refusal(destination), staged(destination) as folder:
        form.render(folder)
        made = Made(destination, files_of(folder))
        if not shutil.which("git"):
            made.notes.append("git is not installed, so there is no repository and no first commit.")
        # Without a repository of its own, `git add` would reach for one further up.
        elif (done := _git(folder, "init", "--quiet", "--initial-branch=main")).returncode:
            made.notes.append(f"git init failed, so nothing is committed: {_last_line(done)}")
        else:
            commit(made, message, folder)
    return made


def commit(made: Made, message: str, folder: Path | None = None) -> None:
    """Commit everything in the project (or in the folder where it is being made), or note why not.

    Without an identity git would make one up from the machine's name, and the history would carry it.
    """
    folder = folder or made.path
    place = shlex.quote(str(made.path))
    for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        if _git(folder, "-c", "user.useConfigOnly=true", "var", who).returncode:
            made.notes.append(
                "git does not know who you are, so nothing is committed. Tell it, then commit:\n"
                '  git config --global user.name "Your Name"\n'
                "  git config --global user.email you@example.com\n"
                f"  git -C {place} add --all && git -C {place} commit -m {shlex.quote(message)}"
            )
            return
    steps = {
        "add": [
            "-c",
            "core.looseCompression=0",
            "add",
            "--all",
        ],  # the tables, its bulk, are compressed already
        "commit": ["commit", "--quiet", "--message", message],
    }
    for name, arguments in steps.items():
        done = _git(folder, *arguments)
        if done.returncode:
            made.notes.append(f"git {name} failed, so this is not committed: {_last_line(done)}")
            return
    made.commit = _git(folder, "rev-parse", "HEAD").stdout.strip()


def has_changes(folder: Path) -> bool:
    """Whether anything in the repository differs from its last commit."""
    return bool(_git(folder, "status", "--porcelain").stdout.strip())


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    words = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return words[-1] if words else f"exit {done.returncode}"


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", folder, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    )


def tree(name: str, files: list[str]) -> str:
    """The files as a tree, folders first opened where they stand in the sorted list."""
    branches: dict[str, Any] = {}
    for file in files:
        folder = branches
        for part in file.split("/"):
            folder = folder.setdefault(part, {})

    def lines(folder: dict[str, Any], indent: str) -> Iterator[str]:
        for position, (part, below) in enumerate(folder.items(), 1):
            last = position == len(folder)
            yield f"{indent}{'└── ' if last else '├── '}{part}{'/' if below else ''}"
            yield from lines(below, indent + ("    " if last else "│   "))

    return "\n".join([f"{name}/", *lines(branches, "")])
