"""How projects stand: their version beside the newest, their owners' work, and what was measured last.

A project is only read. Whether an update would conflict is found by making it, elsewhere: `update.planned`.
"""

import csv
import io
import os
import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from multiprocessing import get_all_start_methods, get_context, parent_process
from pathlib import Path
from typing import Any, TypeVar

from mlportfolio import merge, update
from mlportfolio import starter as starters
from mlportfolio.errors import UserError, sentence
from mlportfolio.pipeline import headline
from mlportfolio.releases import GitError, git_bytes
from mlportfolio.source import Releases, open_releases

PAGE = Path(__file__).parent / "status.html"
COLUMNS = (
    *("path", "state", "version", "newest", "changed", "added", "removed", "conflicts", "uncommitted"),
    *("result_name", "result", "starter", "error"),
)
_A = TypeVar("_A")
_R = TypeVar("_R")
_FEW = 4  # projects that are not worth a process of their own
_SHOWN = 8  # names of files that a person is shown
_MARKS = {"changed": "~", "added": "+", "removed": "-"}


@dataclass
class Status:
    """How one project stands.

    Attributes:
        path: Its folder.
        version: The version of the template that it has; None where that cannot be read.
        newest: The newest version that it can go to; None where that is unknown.
        edits: What its owner has changed against its version, as committed; None where that is unknown.
        conflicts: The files that an update to `newest` leaves to the owner to decide about.
        uncommitted: The files that differ from the last commit.
        headline: The figures that its last run put first.
        starter: The name of the starter that it was made with, if any.
        notes: What is to be known about that starter.
        error: Why it, or the way to `newest`, cannot be told.
    """

    path: Path
    version: str | None = None
    newest: str | None = None
    edits: list[merge.Change] | None = None
    conflicts: list[str] = field(default_factory=list)
    uncommitted: list[str] = field(default_factory=list)
    headline: dict[str, str] = field(default_factory=dict)
    starter: str | None = None
    notes: list[str] = field(default_factory=list)
    error: str | None = None

    @property
    def state(self) -> str:
        """`current`, `behind`, or `broken` where it cannot be compared."""
        if self.edits is None:
            return "broken"
        return "current" if self.version == self.newest else "behind"

    @property
    def outlook(self) -> str:
        """The state, and of a project that is behind what an update would meet."""
        if self.state == "behind" and self.error:
            return "blocked"
        return _count(self.conflicts, "conflict") if self.conflicts else self.state

    @property
    def name(self) -> str:
        """The folder as one would type it here."""
        here = Path.cwd()
        inside = self.path != here and self.path.is_relative_to(here)
        return str(self.path.relative_to(here) if inside else self.path)

    @property
    def counts(self) -> Counter[str]:
        """How many files its owner changed, added and removed."""
        return Counter(each.kind for each in self.edits or ())

    @property
    def told(self) -> str:
        """The counts, for a person."""
        return ", ".join(f"{self.counts[kind]} {kind}" for kind in _MARKS if self.counts[kind]) or "none"

    @property
    def result(self) -> tuple[str, str]:
        """The first figure of its last run, and its name; empty where there is none."""
        return next(iter(self.headline.items()), ("", ""))

    def record(self) -> dict[str, Any]:
        """The status for programs."""
        edits = self.edits
        files = [{"path": each.path, "kind": each.kind} for each in edits or ()]
        return {
            "path": str(self.path),
            "state": self.state,
            "version": self.version,
            "newest": self.newest,
            "edits": None
            if edits is None
            else {kind: self.counts[kind] for kind in _MARKS} | {"files": files},
            "conflicts": self.conflicts,
            "uncommitted": self.uncommitted,
            "headline": self.headline,
            "starter": self.starter,
            "notes": self.notes,
            "error": self.error,
        }


# --- which projects -------------------------------------------------------------------------------


def find(paths: Iterable[str]) -> list[Path]:
    """The folders that are named, or that the files named list: each once, whether it is there or not.

    Raises:
        UserError: A file is no list.
    """
    named: list[str] = []
    for each in paths:
        if not each:
            raise UserError("A PATH is empty; name a project, or leave it out.")
        path = os.path.expanduser(each)  # noqa: PTH111 - Path("~nobody").expanduser() is an error
        named += _listed(Path(path)) if os.path.isfile(path) else [path]  # noqa: PTH113 - never an error
    return [Path(os.path.abspath(path)) for path in {os.path.realpath(path): path for path in named}.values()]  # noqa: PTH100


def _listed(file: Path) -> list[str]:
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is no list of projects: it is not UTF-8 text.") from error
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from error
    if "\0" in text:
        raise UserError(f"{file} is no list of projects: it is not plain text.")
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [str(file.parent / os.path.expanduser(line)) for line in lines if line]  # noqa: PTH111


# --- how they stand -------------------------------------------------------------------------------


def collect(
    paths: Sequence[Path],
    template: str | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Status]:
    """Read every project, and compare it with the template.

    Args:
        paths: The projects' folders.
        template: Another template than the one that each project records.
        progress: Is told how many are done.

    Raises:
        UserError: There is no template at the address that the user gave.
    """
    found = [Status(path) for path in paths]
    with ExitStack() as stack:
        opened = _Opened(stack, template)
        tasks = []
        for status in found:
            with _explained(status):
                project = _read(status)
                tasks.append((status, project, *opened.of(project)))
        results = {id(status): status for status in found}
        for number, (task, result) in enumerate(zip(tasks, _compared(tasks), strict=True), 1):
            results[id(task[0])] = result
            progress(number)
    return [results[id(status)] for status in found]


_Task = tuple[Status, update.Project, Releases, starters.Followed | None]


class _Opened:
    """The templates and the starters of all projects: each is fetched once, each version unpacked once."""

    def __init__(self, stack: ExitStack, wanted: str | None) -> None:
        self._stack = stack
        self._wanted = wanted
        self._address = cache(update.address)
        self._releases = _kept(self._open)
        self._starter = _kept(starters.load)

    def of(self, project: update.Project) -> tuple[Releases, starters.Followed | None]:
        """The versions of a project's template, and its starter as it is now.

        Raises:
            UserError: The template cannot be reached, or the project's record of its starter is broken.
        """
        starter = starters.follow(project.answers, project.path, self._starter)
        named = starter.after.address if starter else None
        address = self._address(project.url, self._wanted or named)
        try:
            releases = self._releases(address)
        except UserError as error:
            if address and address != self._wanted:
                raise
            raise _WrongTemplateError(error) from error
        # Here, as two processes must not unpack the same version.
        with suppress(UserError, GitError, OSError):
            releases.at(project.version)
            releases.at(update.newest(project, releases, starter))
        return releases, starter

    def _open(self, address: str | None) -> Releases:
        return self._stack.enter_context(open_releases(address))


def _kept(function: Callable[[_A], _R]) -> Callable[[_A], _R]:
    """The function, asked once about each argument; what it refuses is remembered too."""
    known: dict[_A, _R | UserError] = {}

    def ask(argument: _A) -> _R:
        if argument not in known:
            try:
                known[argument] = function(argument)
            except UserError as error:
                known[argument] = error
        result = known[argument]
        if isinstance(result, UserError):
            raise result
        return result

    return ask


class _WrongTemplateError(Exception):
    """The template that was asked for is wrong, not a project."""


@contextmanager
def _explained(status: Status) -> Iterator[None]:
    """Whatever is wrong with one project is said of it, and the others go on."""
    try:
        yield
    except _WrongTemplateError as error:
        raise error.args[0] from error
    except GitError as error:
        status.error = f"git cannot read it: {error}."
    except Exception as error:  # noqa: BLE001 - a hundred projects are not lost for one
        status.error = " ".join(sentence(error).split())


def _read(status: Status) -> update.Project:
    real = status.path.resolve()
    # To look through a link is harmless, as nothing is written.
    project = update.read_project(Path(status.name) if real == status.path else real)
    status.version = project.version
    status.headline = headline(project.path)
    starter = project.answers.get(starters.KEY)
    name = starter.get("name") if isinstance(starter, dict) else None
    status.starter = name if isinstance(name, str) else None
    return project


def _compared(tasks: list[_Task]) -> Iterator[Status]:
    """Compare every project, on all cores where that is worth it."""
    workers = min(os.cpu_count() or 1, len(tasks) // _FEW)
    if workers < 2 or "fork" not in get_all_start_methods():  # noqa: PLR2004
        yield from (_compare(*task) for task in tasks)
        return
    from mlportfolio import form  # noqa: F401 - with copier, imported once for all processes

    sys.stdout.flush()
    # Forked, they have what was imported and opened so far; nothing of it has to be sent.
    executor = ProcessPoolExecutor(workers, get_context("fork"), _begin, (tasks,))
    try:
        yield from executor.map(_compare_one, range(len(tasks)))
    finally:
        executor.shutdown(cancel_futures=True)


_tasks: list[_Task] = []


def _begin(tasks: list[_Task]) -> None:
    """Make ready a process that compares: it ends with the one that started it, not on its own."""
    _tasks[:] = tasks
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
    os._exit(1)


def _compare_one(number: int) -> Status:
    return _compare(*_tasks[number])


def _compare(
    status: Status, project: update.Project, releases: Releases, starter: starters.Followed | None
) -> Status:
    with _explained(status):
        update.check_committed(project)
        if merge.is_half_done(project.path):
            raise UserError(
                "An update was stopped in the middle; the next `mlportfolio update` undoes it first."
            )
        status.uncommitted = _uncommitted(project.path)
        status.newest = update.newest(project, releases, starter)
        try:
            with update.planned(project, releases, starter=starter) as plan:
                status.newest = plan.version
                status.edits = plan.edits
                status.conflicts = [each.path for each in plan.conflicts]
                status.notes = plan.notes
        except UserError:
            if status.newest == project.version:
                raise
            # Though there is no way on, what the owner did can be told.
            with update.planned(project, releases, update.CURRENT) as plan:
                status.edits = plan.edits
            raise
    return status


def _uncommitted(path: Path) -> list[str]:
    # A monitor of the file system, if one is set up, would be started, and would write.
    words = git_bytes(path, "-c", "core.fsmonitor=false", "status", "--porcelain", "-z", "--no-renames")
    return sorted(os.fsdecode(word[3:]) for word in words.split(b"\0") if word)


# --- for persons and programs ---------------------------------------------------------------------


def summary(found: Sequence[Status]) -> dict[str, int]:
    """How many there are of each state; of those behind, how many would conflict."""
    states = Counter(each.state for each in found)
    return {
        "projects": len(found),
        **{state: states[state] for state in ("current", "behind", "broken")},
        "conflicts": sum(bool(each.conflicts) for each in found),
    }


def summary_line(found: Sequence[Status]) -> str:
    """The summary, for a person."""
    of = summary(found)
    if not found:
        return "No projects."
    conflicts = f" ({of['conflicts']} with conflicts)" if of["conflicts"] else ""
    parts = [f"{of[state]} {state}" for state in ("current", "behind", "broken") if of[state]]
    line = ", ".join(parts).replace(" behind", f" behind{conflicts}")
    return f"{_count(found, 'project')}: {line}."


def table(found: Sequence[Status], width: int) -> str:
    """One row a project, in `width` columns if that can be, and below it what is wrong."""
    heads = ["project", "version", "newest", "state", "edits", "dirty", "starter", "result"]
    rows = [
        [
            *(_plain(each.name), _plain(each.version or "-"), _plain(each.newest or "-"), each.outlook),
            *(_edits(each), str(len(each.uncommitted) or "-"), _plain(each.starter or "-")),
            _plain(each.result[1] or "-"),
        ]
        for each in found
    ]
    if not any(each.starter for each in found):
        for row in (heads, *rows):
            del row[6]
    lines = _aligned([heads, *rows], width) if found else []
    if any(each.edits for each in found):
        lines += ["", "edits: files changed (~), added (+) and removed (-) against the template"]
    if notes := _notes(found):
        lines += ["", *(f"note: {_plain(note)}" for note in notes)]
    if wrong := [each for each in found if each.error]:
        lines += ["", *(_plain(_named(each)) for each in wrong)]
    return "\n".join([*lines, *([""] if lines else []), summary_line(found)])


def detail(status: Status) -> str:
    """Everything about one project."""
    rows = []
    if status.version:
        newest = {"current": ", the newest", "behind": f"; the newest is {status.newest}"}
        rows.append(("version", status.version + newest.get(status.state, "")))
    if status.edits is not None:
        rows.append(("edits", status.told))
        rows += [("", f"{_MARKS[each.kind]} {each.path}") for each in status.edits[:_SHOWN]]
        if more := len(status.edits[_SHOWN:]):
            rows.append(("", f"and {more} more"))
    if status.state == "behind" and not status.error:
        names = f": {_some(status.conflicts)}" if status.conflicts else ""
        rows.append(("update", f"{_count(status.conflicts, 'conflict') if names else 'no conflict'}{names}"))
    if status.uncommitted:
        rows.append(("uncommitted", _some(status.uncommitted)))
    rows += [(("result" if first else ""), f"{name}: {value}") for first, name, value in _figures(status)]
    if status.starter:
        rows.append(("starter", status.starter))
    rows += [("note", note) for note in status.notes]
    if status.error:
        rows.append(("problem", status.error))
    width = max((len(label) for label, _ in rows), default=0)
    lines = [f"  {label:{width}}  {_plain(text)}" for label, text in rows]
    return "\n".join([f"{_plain(str(status.path))}: {status.outlook}", *lines])


def table_of_values(found: Sequence[Status]) -> str:
    """CSV, one row a project, below a row of names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in found:
        name, result = each.result
        counts = ["" if each.edits is None else each.counts[kind] for kind in _MARKS]
        writer.writerow(
            [
                *(_cell(each.path), each.state, _cell(each.version), _cell(each.newest), *counts),
                *(len(each.conflicts), len(each.uncommitted)),
                *(_cell(name), _cell(result), _cell(each.starter), _cell(each.error)),
            ]
        )
    return text.getvalue()


def page(found: Sequence[Status]) -> str:
    """One page of HTML that needs nothing else."""
    from jinja2 import Environment, StrictUndefined  # not for --help

    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return template.from_string(PAGE.read_text("utf-8")).render(
        found=found,
        summary=summary(found),
        line=summary_line(found),
        notes=_notes(found),
        time=datetime.now().astimezone().isoformat(" ", "minutes"),
    )


def check_page(file: Path, paths: Iterable[str]) -> None:
    """Make sure, before the work, that a page can be written.

    Raises:
        UserError: It cannot, or would replace a list of projects.
    """
    if file.is_dir() or not file.parent.is_dir():
        what = "is a folder" if file.is_dir() else "lies in no folder that is there"
        raise UserError(f"--html {file} {what}; name a file to write.")
    if file.exists() and any(os.path.realpath(path) == os.path.realpath(file) for path in paths):
        raise UserError(f"--html {file} would replace the list of projects; name another file.")


def write_page(file: Path, found: Sequence[Status]) -> None:
    """Write the page, whole or not at all."""
    draft = file.resolve().with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_text(page(found), "utf-8", errors="replace")
        draft.replace(file.resolve())
    finally:
        draft.unlink(missing_ok=True)


def _aligned(rows: list[list[str]], width: int) -> list[str]:
    from rich.cells import cell_len, set_cell_size  # a Chinese character takes two columns

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    # The result gives way first, at its end; then the folder, at its beginning.
    for column, least in ((-1, 12), (0, 24)):
        over = sum(widths) + 2 * (len(widths) - 1) - width
        widths[column] = min(widths[column], max(least, widths[column] - max(over, 0)))

    def fitted(column: int, text: str) -> str:
        room = widths[column]
        if cell_len(text) <= room:
            return set_cell_size(text, room)
        if column:
            return set_cell_size(text, room - 1) + "…"
        return "…" + set_cell_size(text[::-1], room - 1)[::-1]

    return ["  ".join(fitted(place, text) for place, text in enumerate(row)).rstrip() for row in rows]


def _notes(found: Sequence[Status]) -> list[str]:
    """What is to be known about the starters: each once, as a cohort has one in common."""
    return list(dict.fromkeys(note for each in found for note in each.notes))


def _named(status: Status) -> str:
    """What is wrong with a project, and with which."""
    error = status.error or ""
    return error if error.startswith(status.name) else f"{status.name}: {error}"


def _edits(status: Status) -> str:
    marked = [f"{mark}{status.counts[kind]}" for kind, mark in _MARKS.items() if status.counts[kind]]
    return " ".join(marked) or "-"


def _figures(status: Status) -> Iterator[tuple[bool, str, str]]:
    for place, (name, value) in enumerate(status.headline.items()):
        yield not place, name, value


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _count(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"


def _plain(text: str) -> str:
    """Text of somebody else's project, without what would steer the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _cell(value: object) -> str:
    """Text of somebody else's project, that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if re.match(r"[=@\t\r]|[+-](?![\d.])", text) else text
