"""`--run`: install and run a project with its own make targets, and show how it goes."""

import json
import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from mlportfolio.errors import UserError

if TYPE_CHECKING:
    from rich.progress import TaskID

# The project announces each stage with such a line.
_STAGE = re.compile(r"==> (.+)")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TAIL = 20


class Display(Protocol):
    """Whoever watches a run."""

    def stage(self, name: str) -> None:
        """A stage begins, and the one before it has ended."""

    def line(self, text: str) -> None:
        """The stage says what it is doing."""


class Silent:
    """Shows nothing, for `--json`."""

    def stage(self, name: str) -> None:
        """Nothing."""

    def line(self, text: str) -> None:
        """Nothing."""


class Plain:
    """Every line as it comes, for a log."""

    def __init__(self) -> None:
        self._began = monotonic()

    def stage(self, name: str) -> None:
        """The stage, and the seconds since the run began."""
        print(f"==> {name} ({monotonic() - self._began:.0f} s)", flush=True)

    def line(self, text: str) -> None:
        """The line."""
        print(f"    {text}", flush=True)


class Live(AbstractContextManager["Live"]):
    """One row for each stage: whether it is done, how long it took, and what it is doing."""

    def __init__(self) -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.table import Column  # rich is for terminals only

        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            TextColumn(
                "{task.fields[doing]}", style="dim", markup=False, table_column=Column(no_wrap=True, ratio=1)
            ),
            expand=True,
        )
        self._row: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._end()
        self._progress.stop()

    def stage(self, name: str) -> None:
        """A new row; the one before is done."""
        self._end()
        self._row = self._progress.add_task(name, total=1, doing="")

    def line(self, text: str) -> None:
        """What the row's stage is doing."""
        if self._row is not None:
            self._progress.update(self._row, doing=text)

    def _end(self) -> None:
        if self._row is not None:
            self._progress.update(self._row, completed=1, doing="")


def check_make() -> None:
    """Refuse `--run` before anything is written.

    Raises:
        UserError: make is not installed.
    """
    if not shutil.which("make"):
        raise UserError("--run needs make; install it (on Debian: apt install make), or leave --run out.", 1)


def run(project: Path, display: Display) -> None:
    """Install the project and run its whole pipeline.

    Raises:
        UserError: A stage failed, or the user stopped it; the message says what to do. The project stays.
    """
    for target in ("install", "run"):
        try:
            _make(project, target, display)
        except KeyboardInterrupt:
            raise UserError(
                f"Stopped. The project is in {project}; go on there with: make {target}", exit_code=130
            ) from None


def _make(project: Path, target: str, display: Display) -> None:
    stage = target
    display.stage(stage)
    tail: deque[str] = deque(maxlen=_TAIL)
    with subprocess.Popen(
        ["make", "--no-print-directory", target],
        cwd=project,
        env=_environment(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            for raw in process.stdout or ():
                text = _COLOURS.sub("", raw).rstrip()
                if announced := _STAGE.match(text):
                    stage = announced[1]
                    display.stage(stage)
                    tail.clear()
                elif text:
                    tail.append(text)
                    display.line(text)
        except BaseException:
            process.terminate()  # make passes it on to what it started
            raise
    if process.returncode:
        said = "\n".join(f"    {line}" for line in tail) or "    (it printed nothing)"
        raise UserError(
            f"{stage} failed (make {target}, exit {process.returncode}). The last lines it printed:\n{said}\n"
            f"The project is in {project}. Put the cause right, then go on there with: make {target}",
            exit_code=1,
        )


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Ours, without what belongs to the virtual environment and the make that this command may run in."""
    foreign = {"VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"}
    return {**{name: value for name, value in ours.items() if name not in foreign}, "PYTHONUNBUFFERED": "1"}


def headline(project: Path) -> dict[str, str]:
    """The figures that the run puts first in reports/metrics.json; none where it has none."""
    try:
        rows = json.loads((project / "reports/metrics.json").read_text("utf-8"))["headline"]
        return {str(row["name"]): str(row["value"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
