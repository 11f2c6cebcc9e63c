"""How projects stand is told truly, of all of them, and none of them is touched."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlportfolio import source, status
from mlportfolio import starter as starters
from mlportfolio import update as updates

from .conftest import Command, Result, commit_all, git_in, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STEPS = "src/rain/steps.py"
MEASURED = '{"headline": [{"name": "cost a day", "value": "0.61"}, {"name": "rows", "value": "1,200"}]}\n'


@pytest.fixture(autouse=True)
def template(released: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The template that every command here reads."""
    monkeypatch.setenv("MLPORTFOLIO_TEMPLATE", str(released))
    return released


def make(command: Command, name: str, version: str = "0.1.0") -> Path:
    """A project as a release made it."""
    made = command("new", name, "--yes", "--version", version, "--set", "project_name=Rain")
    assert made.code == 0, made.err
    return Path(name).resolve()


def worked_on(project: Path, *, conflicting: bool = False) -> None:
    """Do an owner's work: a file of each kind of change."""
    steps = (project / STEPS).read_text()
    ours = "def last_step_of_mine(" if conflicting else "def step_0_of_mine("
    write(
        project,
        {
            STEPS: steps.replace("def step_9(" if conflicting else "def step_0(", ours),
            "src/rain/own.py": "MINE = 1\n",
            "Dockerfile": None,
            "reports/metrics.json": MEASURED,
        },
    )
    commit_all(project, "Work")


def told(command: Command, *paths: str | Path) -> list[dict[str, Any]]:
    """What `--json` says about each project."""
    return list(json.loads(command("status", *map(str, paths), "--json").out)["projects"])


def everything_in(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file and folder, git's own too: its mode, when it was changed, and what it holds."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in (folder, *folder.rglob("*"))
    }


# --- one project ----------------------------------------------------------------------------------


def test_a_current_project(command: Command) -> None:
    project = make(command, "rain", "0.3.0")
    done = command("status", "rain", "--json")
    assert done.code == 0
    assert json.loads(done.out) == {
        "projects": [
            {
                "path": str(project),
                "state": "current",
                "version": "v0.3.0",
                "newest": "v0.3.0",
                "edits": {"changed": 0, "added": 0, "removed": 0, "files": []},
                "conflicts": [],
                "uncommitted": [],
                "headline": {},
                "starter": None,
                "notes": [],
                "error": None,
            }
        ],
        "summary": {"projects": 1, "current": 1, "behind": 0, "broken": 0, "conflicts": 0},
    }


@pytest.mark.parametrize("version", ["0.1.0", "0.3.0"])
def test_what_the_owner_did_is_counted_against_the_version_of_the_project(
    version: str, command: Command
) -> None:
    project = make(command, "rain", version)
    worked_on(project)
    write(project, {"new file.txt": "new", "README.md": "# Mine\n"})
    git_in(project, "mv", "sql/features.sql", "sql/columns.sql")
    [record] = told(command, "rain")
    assert record["edits"] == {
        "changed": 1,
        "added": 2,
        "removed": 1,
        "files": [
            {"path": "Dockerfile", "kind": "removed"},
            {"path": "reports/metrics.json", "kind": "added"},
            {"path": "src/rain/own.py", "kind": "added"},
            {"path": STEPS, "kind": "changed"},
        ],
    }
    assert record["uncommitted"] == ["README.md", "new file.txt", "sql/columns.sql", "sql/features.sql"]
    assert record["headline"] == {"cost a day": "0.61", "rows": "1,200"}


@pytest.mark.parametrize("conflicting", [False, True])
def test_a_conflict_is_foretold_exactly_where_the_update_has_one(
    conflicting: bool,  # noqa: FBT001
    command: Command,
) -> None:
    project = make(command, "rain")
    worked_on(project, conflicting=conflicting)
    done = command("status", "rain", "--json")
    assert done.code == 1
    [record] = json.loads(done.out)["projects"]
    assert (record["state"], record["version"], record["newest"]) == ("behind", "v0.1.0", "v0.3.0")
    updated = command("update", "rain", "--json")
    assert record["conflicts"] == json.loads(updated.out)["conflicts"] == [STEPS] * conflicting


def test_a_project_made_between_releases_has_nowhere_to_go(command: Command, template: Path) -> None:
    write(template, {"template/later.txt": "later\n"})
    commit_all(template, "Later")
    make(command, "rain", git_in(template, "rev-parse", "HEAD"))
    [record] = told(command, "rain")
    assert record["state"] == "current"
    assert record["version"] == record["newest"] == git_in(template, "rev-parse", "HEAD")


def test_another_address_than_the_recorded_one_is_no_conflict(
    command: Command, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(command, "rain")
    answers = project / ".copier-answers.yml"
    elsewhere = "_src_path: https://git.example/template\n"
    answers.write_text(answers.read_text().replace("_commit: v0.1.0\n", f"_commit: v0.1.0\n{elsewhere}"))
    commit_all(project, "Recorded")
    [record] = told(command, "rain")
    assert (record["state"], record["conflicts"], record["error"]) == ("behind", [], None)
    assert record["edits"]["files"] == []


def test_what_stands_in_the_way_of_an_update_is_said(command: Command) -> None:
    project = make(command, "rain")
    worked_on(project)
    write(project, {"src/rain/new.py": "not committed\n"})
    done = command("status", "rain", "--json")
    assert done.code == 1
    [record] = json.loads(done.out)["projects"]
    assert record["state"] == "behind"
    assert "src/rain/new.py is in the way" in record["error"]
    assert record["edits"]["added"] == 2
    assert "blocked" in command("status", "rain").out


def test_the_working_directory_is_meant_if_nothing_is_named(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(command, "rain")
    worked_on(project, conflicting=True)
    write(project, {"notes.md": "mine"})
    monkeypatch.chdir(project)
    done = command("status")
    assert done.code == 1
    assert done.out.splitlines() == [
        f"{project}: 1 conflict",
        "  version      v0.1.0; the newest is v0.3.0",
        "  edits        1 changed, 2 added, 1 removed",
        "               - Dockerfile",
        "               + reports/metrics.json",
        "               + src/rain/own.py",
        f"               ~ {STEPS}",
        f"  update       1 conflict: {STEPS}",
        "  uncommitted  notes.md",
        "  result       cost a day: 0.61",
        "               rows: 1,200",
    ]


# --- which projects -------------------------------------------------------------------------------


def test_a_file_lists_projects_relative_to_its_folder(command: Command, home: Path) -> None:
    for name in ("cohort/ada", "cohort/b #2", "grace"):
        make(command, name)
    Path("grace").rename(home / "grace")
    lines = ["# spring", "", "ada  # the first", "  b #2", "~/grace", "./ada"]
    Path("cohort/list.txt").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    paths = [record["path"] for record in told(command, "cohort/list.txt", "cohort/ada/")]
    cohort = Path("cohort").resolve()
    # What follows a space and # is a comment, so that a folder of such a name is named directly.
    assert paths == [str(cohort / "ada"), str(cohort / "b"), str(home / "grace")]
    assert told(command, "cohort/b #2")[0]["state"] == "behind"


def test_a_link_is_followed(command: Command) -> None:
    make(command, "rain", "0.3.0")
    Path("link").symlink_to("rain")
    [record] = told(command, "link", "rain")
    assert record["state"] == "current"


def test_broken_projects_are_named_and_the_others_are_told(command: Command, tmp_path: Path) -> None:
    sound = make(command, "sound", "0.3.0")
    whys = {"missing": "missing is no directory.", "foreign": "foreign was not made by mlportfolio"}
    Path("foreign").mkdir()
    for name, why in {
        "no-git": "is not the root of a git repository",
        "no-commit": "has no commit yet",
        "no-yaml": ".copier-answers.yml, line 1: not valid YAML",
        "no-text": "is not UTF-8",
        "no-list": "was not made by mlportfolio",
        "unknown": "has no version v9.8.7-rc; it has v0.1.0, v0.2.0, v0.3.0",
        "newer": "newer than v0.3.0",
        "refused": "threshold in .copier-answers.yml",
        "half": "An update was stopped in the middle",
        "torn": "git cannot read its last commit",
    }.items():
        subprocess.run(["cp", "-r", sound, name], check=True)
        whys[name] = why
    subprocess.run(["rm", "-rf", "no-git/.git", "no-commit/.git"], check=True)
    git_in(Path("no-commit"), "init", "--quiet")
    for name, content in {
        "no-yaml": b"{",
        "no-text": b"\xff",
        "no-list": b"- 1\n",
        "unknown": (sound / ".copier-answers.yml").read_bytes().replace(b"v0.3.0", b"v9.8.7-rc"),
        "newer": (sound / ".copier-answers.yml").read_bytes().replace(b"v0.3.0", b"v9.8.7"),
        "refused": (sound / ".copier-answers.yml").read_bytes().replace(b"0.5", b"half"),
    }.items():
        Path(name, ".copier-answers.yml").write_bytes(content)
    Path("half/.git/mlportfolio-update").write_text("{}")
    for file in Path("torn/.git/objects").rglob("*"):
        if file.is_file():
            file.unlink()

    done = command("status", "sound", *whys, "--json")
    assert done.code == 1
    first, *broken = json.loads(done.out)["projects"]
    assert first["state"] == "current"
    for record, (name, why) in zip(broken, whys.items(), strict=True):
        assert record["path"] == str(Path(name).resolve())
        assert record["state"] == "broken", record
        assert why in record["error"]
        assert record["error"].endswith((".", "…"))
        assert "\n" not in record["error"]
        assert "did not foresee" not in record["error"]
        assert record["edits"] is None
    table = command("status", "sound", *whys).out
    for name, why in whys.items():
        assert len([line for line in table.splitlines() if name in line and why in line]) == 1
    assert "13 projects: 1 current, 12 broken." in table


def test_what_we_do_not_foresee_is_said_of_one_project(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(command, "rain", "0.3.0")
    make(command, "snow", "0.3.0")
    real = updates.planned

    def fails(project: updates.Project, *others: Any, **more: Any) -> Any:
        if project.path.name == "rain":
            raise ZeroDivisionError("by zero")
        return real(project, *others, **more)

    monkeypatch.setattr(updates, "planned", fails)
    rain, snow = told(command, "rain", "snow")
    assert "ZeroDivisionError: by zero" in rain["error"]
    assert snow["state"] == "current"


def test_an_answers_file_of_any_depth_is_one_sentence(command: Command) -> None:
    # In a process of its own: the parser in C is brought down by such a file, and all else with it.
    make(command, "deep", "0.3.0")
    Path("deep/.copier-answers.yml").write_text("a: " + "[" * 100_000)
    done = subprocess.run(
        [sys.executable, "-m", "mlportfolio", "status", "deep"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "not valid YAML" in done.stdout


# --- where the template comes from ----------------------------------------------------------------


def recorded(project: Path, url: str) -> None:
    """Let a project record an address."""
    answers = project / ".copier-answers.yml"
    text = "".join(
        line for line in answers.read_text().splitlines(keepends=True) if not line.startswith("_src")
    )
    answers.write_text(f"{text}_src_path: {url}\n")
    commit_all(project, "Recorded")


def test_each_template_is_opened_once_and_one_that_is_gone_stops_no_other(
    command: Command, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", template, other], check=True)
    names = ("a", "b", "c", "d", "e")
    projects = [make(command, name) for name in names]
    monkeypatch.delenv("MLPORTFOLIO_TEMPLATE")
    for project, url in zip(projects, [f"file://{other}", f"file://{template}/.git"] * 2, strict=False):
        recorded(project, url)
    recorded(projects[-1], f"file://{tmp_path}/gone.git")
    opened = []
    real = source.open_releases

    def counted(wanted: str | None = None) -> Any:
        opened.append(wanted)
        return real(wanted)

    monkeypatch.setattr(status, "open_releases", counted)
    records = told(command, *names)
    assert sorted(map(str, opened)) == sorted(
        [f"file://{other}", f"file://{template}/.git", f"file://{tmp_path}/gone.git"]
    )
    assert [record["state"] for record in records] == ["behind"] * 4 + ["broken"]
    assert f"git cannot clone file://{tmp_path}/gone.git" in records[-1]["error"]


def test_a_template_that_is_named_and_not_there_is_wrong_input(command: Command) -> None:
    make(command, "rain")
    done = command("status", "rain", "--template", "nowhere")
    assert (done.code, done.out) == (2, "")
    assert "There is no template at nowhere" in done.err


# --- starters ---------------------------------------------------------------------------------------


def test_a_starter_s_version_is_the_newest_and_it_is_read_once(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter = Path("spring.yml")
    starter.write_text('name: Spring\nversion: "0.2.0"\n')
    for name in ("ada", "grace"):
        assert command("new", name, "--yes", "--starter", "spring.yml").code == 0
    reads = []
    real = starters.load

    def counted(where: str) -> starters.Starter:
        reads.append(where)
        return real(where)

    monkeypatch.setattr(starters, "load", counted)
    records = told(command, "ada", "grace")
    assert reads == [str(starter.resolve())]
    for record in records:
        assert (record["state"], record["version"], record["newest"]) == ("current", "v0.2.0", "v0.2.0")
        assert (record["starter"], record["notes"]) == ("Spring", [])
        assert record["edits"]["files"] == []

    starter.write_text('name: Spring\nversion: "0.3.0"\n')
    done = command("status", "ada", "grace")
    assert done.code == 1
    assert "starter" in done.out.splitlines()[0]
    assert re.match(r"ada +v0.2.0 +v0.3.0 +behind .* Spring", done.out.splitlines()[1])

    # What the project recorded holds where there is nothing else.
    starter.unlink()
    done = command("status", "ada", "grace")
    assert done.code == 0
    [note] = [line for line in done.out.splitlines() if line.startswith("note: ")]
    assert "The starter Spring cannot be used" in note


def test_a_starter_s_record_that_was_changed_by_hand(command: Command) -> None:
    for number, text in enumerate(("{name: Spring, version: 7}", "[1]")):
        project = make(command, f"rain{number}", "0.3.0")
        with (project / ".copier-answers.yml").open("a") as answers:
            answers.write(f"starter: {text}\n")
        [record] = told(command, project)
        assert record["state"] == "broken"
        assert "The record of the starter in .copier-answers.yml was changed by hand" in record["error"]


# --- nothing is touched ---------------------------------------------------------------------------


def test_no_project_is_touched(command: Command, tmp_path: Path) -> None:
    current, behind = make(command, "current", "0.3.0"), make(command, "behind")
    monitor = tmp_path / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    monitor.chmod(0o755)
    for project in (current, behind):
        worked_on(project, conflicting=project == behind)
        # What invites git to write: times that its index does not know, a cache, a monitor.
        for file in (project / STEPS, project / "README.md"):
            os.utime(file, (1, 1))
        git_in(project, "config", "core.untrackedCache", "true")
        git_in(project, "config", "core.fsmonitor", str(monitor))
        write(project, {"new.txt": "new"})
    before = everything_in(Path())
    records = told(command, "current", "behind")
    assert [record["state"] for record in records] == ["current", "behind"]
    assert [record["uncommitted"] for record in records] == [["new.txt"], ["new.txt"]]
    command("status", "current", "behind")
    assert everything_in(Path()) == before
    assert not (tmp_path / "ran").exists()


# --- many -----------------------------------------------------------------------------------------


@pytest.fixture
def cohort(command: Command) -> list[str]:
    """Ten projects: every second behind, with and without conflicts."""
    old, new = make(command, "old"), make(command, "new", "0.3.0")
    names = [f"p{number}" for number in range(10)]
    for number, name in enumerate(names):
        subprocess.run(["cp", "-r", old if number % 2 else new, name], check=True)
        if number % 3:
            worked_on(Path(name), conflicting=number % 4 == 1)
    return names


def test_processes_tell_the_same_as_one(
    cohort: list[str], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = status.find(cohort)
    counted: list[int] = []
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    alone = status.collect(places, None, counted.append)
    assert counted == list(range(1, 11))
    real = status._compare  # noqa: SLF001

    def signed(found: status.Status, *others: Any) -> status.Status:
        found = real(found, *others)
        found.starter = str(os.getpid())
        return found

    monkeypatch.setattr(status, "_compare", signed)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    together = status.collect(places)
    processes = {each.starter for each in together}
    assert len(processes) == 2
    assert str(os.getpid()) not in processes
    assert [{**each.record(), "starter": None} for each in together] == [each.record() for each in alone]
    assert {each.outlook for each in alone} == {"current", "behind", "1 conflict"}


def children_of(process: int) -> list[int]:
    """The processes that a process started and that are still there."""
    found = Path(f"/proc/{process}/task/{process}/children")
    return [int(each) for each in found.read_text().split()] if found.exists() else []


def is_there(process: int) -> bool:
    """Whether a process runs: not ended, nor waiting to be noticed."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


ON_TWO_CORES = """\
import os, sys
from mlportfolio.cli import main
os.cpu_count = lambda: 2
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux to see processes")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_it_leaves_no_process_and_says_so(
    number: signal.Signals, cohort: list[str], template: Path, tmp_path: Path
) -> None:
    write(
        template,
        {
            "template/s.txt.jinja": "{% for i in range(999) %}{% for j in range(999) %}"
            "{% for k in range(99) %}{% endfor %}{% endfor %}{% endfor %}"
        },
    )
    commit_all(template, "Slow", "v0.4.0")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with subprocess.Popen(
        [
            *(sys.executable, "-c", ON_TWO_CORES, "status", *cohort),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(elsewhere)},
    ) as process:
        # Both have begun to render.
        deadline = time.monotonic() + 60
        while len(list(elsewhere.glob("*/before"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        helpers = children_of(process.pid)
        assert len(helpers) == 2
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert out == ""
    assert "Traceback" not in err
    if number != signal.SIGKILL:
        assert process.returncode == (130 if number == signal.SIGINT else 143)
        assert list(elsewhere.iterdir()) == []
    if number == signal.SIGINT:
        assert err == "Stopped; nothing was written.\n"
    deadline = time.monotonic() + 20
    while any(map(is_there, helpers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_there, helpers))


# --- for a person ---------------------------------------------------------------------------------


def test_the_table_is_aligned_and_fits_its_terminal(
    cohort: list[str], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = Path("a/very/long/way/down/to/where/somebody/put/项目-the-one")
    long.parent.mkdir(parents=True)
    Path("p9").rename(long)
    names = [*cohort[:9], str(long), "nowhere"]
    done = command("status", *names)
    for width in (120, 80):
        monkeypatch.setenv("COLUMNS", str(width))
        done = command("status", *names)
        assert done.code == 1
        head, *rows = done.out.split("\n\n")[0].splitlines()
        assert head.split() == ["project", "version", "newest", "state", "edits", "dirty", "result"]
        assert len(rows) == 11
        # The Chinese name takes two columns more than it has characters, and stays whole at its end.
        assert rows[9].partition("  ")[0].endswith("项目-the-one")
        at = head.index("version")
        for number, row in enumerate(rows):
            assert len(row) + 2 * (number == 9) <= width
            assert re.match(r"v0|-", row[at - 2 * (number == 9) :]), row
        assert rows[1].endswith("0.61")
    assert "nowhere is no directory." in done.out
    assert done.out.endswith("11 projects: 5 current, 5 behind (2 with conflicts), 1 broken.\n")


def test_no_project_steers_the_terminal(command: Command) -> None:
    evil = "\\u001b]0;gone\\u0007\\u202e\\nFAKE ROW"
    for name in ("rain", "b\x1b[31m"):
        project = make(command, "made", "0.3.0").rename(name)
        write(project, {"reports/metrics.json": MEASURED.replace("0.61", evil), "\x1bfile": "x"})
    for arguments in (["rain", "b\x1b[31m"], ["rain"], ["b\x1b[31m"], ["b\x1b[31m", "c\x1b[31m"]):
        out = command("status", *arguments).out
        assert "FAKE ROW" in out
        assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", out)
        assert not re.search("^FAKE", out, re.MULTILINE)


# --- for programs ---------------------------------------------------------------------------------


def rows_of(result: Result) -> list[dict[str, str]]:
    return list(csv.DictReader(result.out.splitlines()))


def test_csv_has_one_row_a_project(command: Command) -> None:
    project = make(command, "rain")
    worked_on(project, conflicting=True)
    done = command("status", "rain", "gone, really", "--csv")
    assert done.code == 1
    assert rows_of(done) == [
        {
            "path": str(project),
            "state": "behind",
            "version": "v0.1.0",
            "newest": "v0.3.0",
            "changed": "1",
            "added": "2",
            "removed": "1",
            "conflicts": "1",
            "uncommitted": "0",
            "result_name": "cost a day",
            "result": "0.61",
            "starter": "",
            "error": "",
        },
        {
            **dict.fromkeys(status.COLUMNS, ""),
            "path": str(Path("gone, really").resolve()),
            "state": "broken",
            "conflicts": "0",
            "uncommitted": "0",
            "error": "gone, really is no directory.",
        },
    ]


@pytest.mark.parametrize(
    ("value", "cell"),
    [("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"), ("-1+cmd", "-1+cmd"), ("+HYPERLINK", "'+HYPERLINK")],
)
def test_no_cell_is_a_formula(value: str, cell: str, command: Command) -> None:
    project = make(command, "rain", "0.3.0")
    write(project, {"reports/metrics.json": MEASURED.replace("0.61", value)})
    assert rows_of(command("status", "rain", "--csv"))[0]["result"] == cell


def test_no_projects(command: Command) -> None:
    Path("list.txt").write_text("# nobody yet\n")
    done = command("status", "list.txt")
    assert (done.code, done.out) == (0, "No projects.\n")
    done = command("status", "list.txt", "--csv")
    assert (done.code, done.out) == (0, ",".join(status.COLUMNS) + "\n")
    done = command("status", "list.txt", "--json")
    assert json.loads(done.out) == {
        "projects": [],
        "summary": {"projects": 0, "current": 0, "behind": 0, "broken": 0, "conflicts": 0},
    }
    assert command("status", "list.txt", "--html", "page.html").code == 0
    page = Path("page.html").read_text()
    assert "<title>Projects: No projects.</title>" in page
    assert "<h1>No projects</h1>" in page


def test_wrong_input_is_one_sentence_and_writes_nothing(command: Command) -> None:
    make(command, "rain", "0.3.0")
    Path("list.txt").write_text("rain\n")
    Path("picture").write_bytes(b"\x89PNG\xff")
    Path("zeros").write_bytes(b"\0\0")
    for arguments, why in {
        ("rain", "--json", "--csv"): "--json and --csv exclude each other",
        ("picture",): "picture is no list of projects: it is not UTF-8 text",
        ("zeros",): "zeros is no list of projects: it is not plain text",
        ("",): "A PATH is empty",
        ("list.txt", "--html", "list.txt"): "--html list.txt would replace the list of projects",
        ("rain", "--html", "rain"): "--html rain is a folder",
        ("rain", "--html", "no/page.html"): "--html no/page.html lies in no folder that is there",
    }.items():
        done = command("status", *arguments)
        assert done.code == 2
        assert why in done.out + done.err
    assert Path("list.txt").read_text() == "rain\n"
    assert sorted(path.name for path in Path().iterdir()) == ["list.txt", "picture", "rain", "zeros"]


def test_the_help_names_the_exit_statuses(command: Command) -> None:
    shown = " ".join(command("status", "--help").out.split())
    assert "0 if every project is current; 1 if one is behind or broken; 2 if the input was wrong" in shown


# --- for a mentor ---------------------------------------------------------------------------------


EVIL = "<script>document.title='stolen'</script><img src=x onerror=\"document.title='stolen'\">"


@pytest.fixture
def written(cohort: list[str], command: Command) -> Path:
    """The page about ten projects, one that would steal, and one that is not there."""
    worked_on(Path("p0"))
    write(Path("p0"), {"reports/metrics.json": json.dumps({"headline": [{"name": EVIL, "value": EVIL}]})})
    write(Path("p0"), {f"{EVIL.replace('/', '')}.py": "x"})
    commit_all(Path("p0"), EVIL)
    Path("page.html").write_text("an older one")
    done = command("status", *cohort, EVIL, "nowhere", "--html", "page.html")
    assert done.code == 1
    assert done.out == "page.html: 12 projects: 5 current, 5 behind (2 with conflicts), 2 broken.\n"
    assert [each.name for each in Path().iterdir() if each.name.startswith(".")] == []
    return Path("page.html").resolve()


def test_the_page_needs_nothing_else(written: Path) -> None:
    text = written.read_text("utf-8")
    assert not re.search(r"https?:|//[\w.]|\b(src|href|action)=[^ ]*[\"']?\w+[:/.]|@import|url\(", text)
    assert "<img" not in text
    assert text.count("<script") == 1


SIZES = {"desktop": (1200, 800), "phone": (390, 844)}


@pytest.fixture(params=[(name, scheme) for name in SIZES for scheme in ("light", "dark")], ids="-".join)
def opened(
    request: pytest.FixtureRequest, browser: "Browser", written: Path, tmp_path: Path
) -> Iterator["Page"]:
    """The page in a browser, as large as a desk's and a hand's, by day and by night."""
    name, scheme = request.param
    width, height = SIZES[name]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda each: asked.append(each.url))
    page.on("console", lambda each: wrong.append(each.text))
    page.on("pageerror", lambda each: wrong.append(str(each)))
    page.goto(written.as_uri())
    yield page
    page.screenshot(path=Path(os.environ.get("SCREENSHOTS", tmp_path), f"status-{name}-{scheme}.png"))
    assert wrong == []
    assert asked == [written.as_uri()]
    page.close()


def column(page: "Page", number: int) -> list[str]:
    return [each.strip() for each in page.locator(f"tbody tr > :nth-child({number})").all_inner_texts()]


def test_the_page_is_sorted_by_any_column_and_fits(opened: "Page") -> None:
    assert opened.title().startswith("Projects: 12 projects: 5 current, 5 behind (2 with conflicts)")
    assert column(opened, 1)[:10] == [f"p{number}" for number in range(10)]
    head = opened.get_by_role("button", name="Project")
    head.click()
    head.click()
    assert column(opened, 1)[:2] == ["p9", "p8"]
    opened.get_by_role("button", name="State").click()
    states = [re.search("current|behind|conflict|broken", each) for each in column(opened, 2)]
    kinds = [each[0] for each in states if each]
    assert kinds == ["current"] * 5 + ["behind"] * 3 + ["conflict"] * 2 + ["broken"] * 2
    assert opened.locator("th[aria-sort]").count() == 1
    opened.get_by_role("button", name="Result").click()
    assert EVIL in column(opened, 6)[0] + column(opened, 6)[-6]
    assert opened.title().startswith("Projects:")
    conflict = opened.locator("summary.conflict").first
    assert not opened.get_by_text(STEPS).first.is_visible()
    conflict.click()
    assert opened.locator("details[open]").inner_text().split()[-1] == STEPS
    for details in opened.locator("details").all():
        details.evaluate("each => { each.open = true }")
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_its_words_can_be_read(opened: "Page") -> None:
    """Every text stands out from what is behind it: https://www.w3.org/TR/WCAG22/#contrast-minimum."""
    ratios = opened.evaluate(
        """() => {
          const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
            .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
          const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
          const behind = (each) => {
            for (; each; each = each.parentElement) {
              const colour = parts(getComputedStyle(each).backgroundColor);
              if (colour.length === 3 || colour[3] === 1) return colour;
            }
            return [255, 255, 255];
          };
          return [...document.querySelectorAll("body *:not(script)")]
            .filter((each) => [...each.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
            .map((each) => {
              const both = [light(parts(getComputedStyle(each).color)), light(behind(each))].sort();
              return [(Math.max(...both) + 0.05) / (Math.min(...both) + 0.05), each.outerHTML.slice(0, 90)];
            });
        }"""
    )
    assert len(ratios) > 60
    assert [each for each in ratios if each[0] < 4.5] == []
