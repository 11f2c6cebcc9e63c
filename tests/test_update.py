"""An update brings every improvement, and loses nothing of the owner's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
import yaml

from mlportfolio import merge, releases, update
from mlportfolio import project as projects
from mlportfolio.errors import UserError
from tests.conftest import QUESTIONS, Command, answers_of, commit_all, git_in, write

STEPS = "src/rain/steps.py"


@pytest.fixture(autouse=True)
def template(released: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The template that every command here reads."""
    monkeypatch.setenv("MLPORTFOLIO_TEMPLATE", str(released))
    return released


@pytest.fixture
def rain(command: Command, template: Path) -> Path:
    """A project as the first release made it."""
    made = command("new", "rain", "--yes", "--version", "0.1.0")
    assert made.code == 0, made.err
    return Path("rain").resolve()


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a project but git's own."""
    return {name: (folder / name).read_bytes() for name in projects.files_of(folder)}


def edit(path: Path, old: str, new: str) -> None:
    """Replace a piece of text that is there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_an_untouched_project_becomes_a_fresh_one(command: Command, rain: Path) -> None:
    done = command("update", "rain")
    assert done.code == 0, done.err
    command("new", "fresh", "--yes", "--set", "project_name=Rain")
    now, fresh = files(rain), files(Path("fresh"))
    owned = {"docs/problem.md", "data/raw.csv"}
    assert {name: text for name, text in now.items() if name not in owned} == {
        name: text for name, text in fresh.items() if name not in owned
    }
    assert (rain / "data/raw.csv").read_text() == "a,b\n1,2\n"
    assert (rain / "docs/problem.md").read_text() == "From 0.5 on we act.\n"
    assert "region: rainland" in (rain / ".copier-answers.yml").read_text()
    assert "New question region: rainland" in done.out


def test_what_comes_is_staged_and_can_be_undone_by_one_command(command: Command, rain: Path) -> None:
    before = files(rain)
    command("update", "rain")
    assert git_in(rain, "diff", "--name-only") == ""
    staged = git_in(rain, "diff", "--staged", "--name-status").splitlines()
    assert "A\tsrc/rain/new.py" in staged
    assert "D\tsrc/rain/old.py" in staged
    git_in(rain, "reset", "--quiet", "--hard")
    assert files(rain) == before
    assert git_in(rain, "status", "--porcelain") == ""


def test_edits_survive_and_improvements_arrive(command: Command, rain: Path) -> None:
    edit(rain / STEPS, "rows[10:]", "rows[10:]  # mine")
    edit(rain / "README.md", "## Result\n\n-", "## Result\n\nAll dry.")
    git_in(rain, "mv", "sql/features.sql", "sql/columns.sql")
    write(rain, {"src/rain/own.py": "MINE = 1\n", "docs/problem.md": "My own words.\n"})
    commit_all(rain, "Work")
    done = command("update", "rain")
    assert done.code == 0, done.out + done.err
    steps = (rain / STEPS).read_text()
    assert "rows[10:]  # mine" in steps
    assert "rows[3:][::-1]" in steps
    assert "last_step(" in steps
    assert "All dry." in (rain / "README.md").read_text()
    assert "a < 9" in (rain / "sql/columns.sql").read_text()
    assert not (rain / "sql/features.sql").exists()
    assert (rain / "src/rain/own.py").read_text() == "MINE = 1\n"
    assert (rain / "docs/problem.md").read_text() == "My own words.\n"


def test_a_removed_file_that_the_owner_changed_stays(command: Command, rain: Path) -> None:
    write(rain, {"src/rain/old.py": "OLD = 2  # mine\n"})
    commit_all(rain, "Work")
    done = command("update", "rain")
    assert done.code == 0
    assert (rain / "src/rain/old.py").read_text() == "OLD = 2  # mine\n"
    assert "kept" in done.out
    assert "you changed it; the template no longer has it" in done.out


def test_a_file_that_the_owner_removed_does_not_come_back(command: Command, rain: Path) -> None:
    (rain / STEPS).unlink()
    commit_all(rain, "Work")
    done = command("update", "rain", "--json")
    assert done.code == 0
    assert not (rain / STEPS).exists()
    assert json.loads(done.out)["kept"] == {
        STEPS: "you removed or moved it; the template changed it",
        "data/raw.csv": "yours; the template has another",
        "docs/problem.md": "yours; the template has another",
    }


def test_an_owner_s_file_where_the_template_has_a_new_one_is_a_conflict(command: Command, rain: Path) -> None:
    write(rain, {"src/rain/new.py": "MINE = 3\n"})
    commit_all(rain, "Work")
    done = command("update", "rain")
    assert done.code == 1
    text = (rain / "src/rain/new.py").read_text()
    assert "MINE = 3" in text
    assert "NEW = 2" in text


def test_conflicts_are_listed_open_and_cannot_be_committed_unseen(command: Command, rain: Path) -> None:
    edit(rain / STEPS, "rows[3:]", "rows[3:99]")
    commit_all(rain, "Work")
    before = files(rain)
    dry = command("update", "rain", "--dry-run", "--json")
    assert dry.code == 1
    assert files(rain) == before
    assert json.loads(dry.out)["conflicts"] == [STEPS]
    done = command("update", "rain")
    assert done.code == 1
    assert f"conflict  {STEPS}" in done.out
    assert f"git add {STEPS}" in done.out
    text = (rain / STEPS).read_text()
    assert "rows[3:99]" in text
    assert "rows[3:][::-1]" in text
    assert ">>>>>>> mlportfolio-v0.3.0" in text
    refused = subprocess.run(
        ["git", "-C", rain, "commit", "-m", "x"], capture_output=True, text=True, check=False
    )
    assert refused.returncode != 0
    assert git_in(rain, "diff", "--name-only", "--diff-filter=U") == STEPS
    assert command("update", "rain").code == 2
    git_in(rain, "reset", "--quiet", "--hard")
    assert files(rain) == before


def test_a_dry_run_shows_what_the_update_does(command: Command, rain: Path) -> None:
    before = files(rain), (rain / ".git/index").read_bytes()
    dry = json.loads(command("update", "rain", "--dry-run", "--json").out)
    assert (files(rain), (rain / ".git/index").read_bytes()) == before
    real = json.loads(command("update", "rain", "--json").out)
    assert {**dry, "dry_run": False} == real
    letters = {"A": "added", "M": "changed", "D": "removed"}
    staged = git_in(rain, "diff", "--staged", "--no-renames", "--name-status").splitlines()
    assert {path: letters[letter] for letter, path in (line.split("\t") for line in staged)} == {
        each["path"]: each["kind"] for each in real["changes"]
    }


def test_step_by_step_is_as_good_as_at_once(command: Command, rain: Path) -> None:
    subprocess.run(["cp", "-r", rain, "other"], check=True)
    for version in ("0.2.0", "v0.3.0"):
        assert command("update", "rain", "--to", version).code == 0
        commit_all(rain, version)
    command("update", "other")
    assert files(rain) == files(Path("other"))
    done = command("update", "rain")
    assert done.code == 0
    assert "Nothing to change." in done.out


def test_answers_can_change_on_the_way_and_alone(command: Command, rain: Path) -> None:
    assert (
        command("update", "rain", "--to", "current", "--set", "threshold=0.7", "--set", "container=no").code
        == 0
    )
    assert "THRESHOLD = 0.7" in (rain / "src/rain/problem.py").read_text()
    assert not (rain / "Dockerfile").exists()
    answers = yaml.safe_load((rain / ".copier-answers.yml").read_text())
    assert answers["_commit"] == "v0.1.0"
    assert answers["threshold"] == 0.7
    commit_all(rain, "Answers")
    assert command("update", "rain", "--set", "region=Alps").code == 0
    assert "REGION = 'Alps'" in (rain / "src/rain/problem.py").read_text()
    assert "THRESHOLD = 0.7" in (rain / "src/rain/problem.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "9.9.9"], "has no version 9.9.9; it has v0.1.0, v0.2.0, v0.3.0"),
        (["--set", "colour=red"], "there is no such question"),
        (["--set", "project_slug=snow"], "project_slug cannot change"),
        (["--set", "package_name=snow"], "package_name cannot change"),
        (["--set", "domain=hail"], "'hail' is not one of: rain, snow"),
        (["--set", "threshold=much"], "'much' is not a number"),
        (["--template", "/nowhere"], "There is no template at /nowhere"),
    ],
)
def test_wrong_input_is_refused_in_a_sentence(
    command: Command, rain: Path, arguments: list[str], said: str
) -> None:
    before = files(rain)
    done = command("update", "rain", *arguments)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert files(rain) == before


def test_what_is_no_project_of_ours_is_refused(command: Command, rain: Path, tmp_path: Path) -> None:
    def refusal(path: str | Path) -> str:
        done = command("update", str(path))
        assert done.code == 2
        return done.err

    assert "is no directory" in refusal("nowhere")
    Path("empty").mkdir()
    assert "was not made by mlportfolio" in refusal("empty")
    Path("link").symlink_to(rain)
    assert f"leads through a link; name the folder itself: {rain}" in refusal("link")
    copy = Path("copy")
    subprocess.run(["cp", "-r", rain, copy], check=True)
    subprocess.run(["rm", "-rf", copy / ".git"], check=True)
    assert "is not the root of a git repository" in refusal(copy)
    git_in(copy, "init", "--quiet")
    assert "has no commit yet" in refusal(copy)
    write(copy, {".copier-answers.yml": "colour: red\n"})
    assert "was not made by mlportfolio" in refusal(copy)
    write(copy, {".copier-answers.yml": "[\n"})
    assert "not valid YAML" in refusal(copy)
    write(copy, {".copier-answers.yml": "project_slug: rain\npackage_name: rain\n"})
    assert "does not say which version" in refusal(copy)


@pytest.mark.parametrize("name", ["src/rain/own.py", STEPS])
def test_work_that_is_not_committed_is_refused(command: Command, rain: Path, name: str) -> None:
    write(rain, {name: "MINE = 1\n"})
    done = command("update", "rain")
    assert done.code == 2
    assert f"has changes that are not committed ({name})" in done.err
    assert (rain / name).read_text() == "MINE = 1\n"


def test_what_her_own_git_ignores_is_no_work_of_hers(command: Command, rain: Path, home: Path) -> None:
    write(home, {"ignored": ".idea/\nnew.py\n"})
    git_in(rain, "config", "--global", "core.excludesFile", str(home / "ignored"))
    write(rain, {".idea/settings.xml": "hers"})
    done = command("update", "rain")
    assert done.code == 0, done.err
    assert (rain / ".idea/settings.xml").read_text() == "hers"
    staged = git_in(rain, "diff", "--cached", "--name-only").splitlines()
    assert "src/rain/new.py" in staged  # what the template brings is not hers to ignore
    assert ".idea/settings.xml" not in staged


def test_lines_end_as_her_git_wants(command: Command, rain: Path) -> None:
    git_in(rain, "config", "--global", "core.autocrlf", "true")
    for name in git_in(rain, "ls-files").splitlines():
        (rain / name).unlink()
    git_in(rain, "checkout", "--", ".")
    (rain / STEPS).write_bytes((rain / STEPS).read_bytes().replace(b"rows[10:]", b"rows[10:]  # mine"))
    commit_all(rain, "Work")
    (rain / "README.md").touch()  # else git would not look into it again
    assert b"\r\n" in (rain / STEPS).read_bytes()
    done = command("update", "rain")
    assert done.code == 0, done.err
    steps = (rain / STEPS).read_bytes()
    assert steps.count(b"\r\n") == steps.count(b"\n") > 0
    assert b"rows[10:]  # mine" in steps
    assert b"rows[3:][::-1]" in steps
    commit_all(rain, "Update")
    assert git_in(rain, "status", "--porcelain") == ""
    assert "\r" not in git_in(rain, "show", f"HEAD:{STEPS}")


def test_a_project_newer_than_the_template_is_refused(command: Command, rain: Path) -> None:
    edit(rain / ".copier-answers.yml", "v0.1.0", "v1.0.0")
    commit_all(rain, "Later")
    done = command("update", "rain")
    assert done.code == 2
    assert "newer than v0.3.0" in done.err
    edit(rain / ".copier-answers.yml", "v1.0.0", "v0.2.0")
    commit_all(rain, "Sooner")
    assert "there is no way back" in command("update", "rain", "--to", "0.1.0").err


def test_an_ignored_file_in_the_way_is_not_lost(command: Command, rain: Path) -> None:
    write(rain, {".gitignore": "/artifacts/\nnew.py\n"})
    commit_all(rain, "Ignore")
    write(rain, {"src/rain/new.py": "SECRET = 1\n"})
    before = files(rain)
    done = command("update", "rain")
    assert done.code == 1
    assert "src/rain/new.py" in done.err
    assert files(rain) == before
    assert git_in(rain, "status", "--porcelain") == ""


def test_a_folder_that_cannot_be_written_leaves_the_project_as_it_was(
    command: Command, rain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = releases.git
    before = files(rain)

    def fails(folder: Path, *arguments: str, **more: object) -> str:
        said = real(folder, *arguments, **more)  # type: ignore[arg-type]
        if arguments[0] == "read-tree" and "-u" in arguments:
            raise releases.GitError("No space left on device")  # as git says it, after it has begun
        return said

    monkeypatch.setattr(merge, "git", fails)
    done = command("update", "rain")
    assert done.code == 1
    assert "No space left on device. It is as it was" in done.err
    assert files(rain) == before
    assert git_in(rain, "status", "--porcelain") == ""


def stopped(path: Path, monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    """Run an update that dies just before git is asked for something."""
    real = releases.git

    class Killed(BaseException):
        pass

    def dies(folder: Path, *arguments: str, **more: object) -> str:
        if arguments[0] == before and "mlportfolio-update.index" in str(more.get("environment")):
            raise Killed
        return real(folder, *arguments, **more)  # type: ignore[arg-type]

    ours = update.read_project(path)
    with update.releases_of(ours) as known, update.planned(ours, known, known.newest) as plan:
        monkeypatch.setattr(merge, "git", dies)
        with pytest.raises(Killed):
            merge.apply(plan)
    monkeypatch.setattr(merge, "git", real)


def test_an_update_killed_in_the_middle_is_undone_by_the_next(
    command: Command, rain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(rain)
    stopped(rain, monkeypatch, "read-tree")
    # As far as git might have come: some files new, one of them cut off, some gone.
    write(rain, {"src/rain/new.py": "NEW", STEPS: CODE_SO_FAR})
    (rain / "src/rain/old.py").unlink()
    assert merge.recover(rain)
    assert files(rain) == before
    assert git_in(rain, "status", "--porcelain") == ""
    assert not merge.recover(rain)
    stopped(rain, monkeypatch, "read-tree")
    done = command("update", "rain")
    assert done.code == 0
    assert "what it had begun is undone" in done.err
    assert (rain / "src/rain/new.py").read_text() == "NEW = 2\n"


def test_an_update_killed_when_all_is_written_is_undone(
    command: Command, rain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(rain)
    stopped(rain, monkeypatch, "read-tree")
    journal = (rain / ".git/mlportfolio-update").read_bytes()
    assert merge.recover(rain)
    assert command("update", "rain").code == 0
    after = files(rain)
    assert after != before
    (rain / ".git/mlportfolio-update").write_bytes(journal)
    assert merge.recover(rain)
    assert files(rain) == before
    assert git_in(rain, "status", "--porcelain") == ""


CODE_SO_FAR = "def step_0(rows):\n    return rows[0:]\n"


def test_work_on_a_killed_update_is_not_lost(
    command: Command, rain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(rain, monkeypatch, "read-tree")
    write(rain, {STEPS: "mine\n"})
    done = command("update", "rain")
    assert done.code == 1
    assert f"{STEPS} was changed since" in done.err
    assert (rain / STEPS).read_text() == "mine\n"
    git_in(rain, "checkout", "HEAD", "--", STEPS)
    assert command("update", "rain").code == 0


def test_an_answer_that_is_no_longer_offered_is_asked_for(
    command: Command, rain: Path, template: Path
) -> None:
    edit(template / "copier.yml", "[rain, snow], default: rain", "[snow, fog], default: snow")
    commit_all(template, "Fourth", "v0.4.0")
    done = command("update", "rain")
    assert done.code == 2
    assert (
        "domain in .copier-answers.yml (give another with --set): 'rain' is not one of: snow, fog" in done.err
    )
    assert command("update", "rain", "--set", "domain=fog").code == 0
    assert "DOMAIN = 'fog'" in (rain / "src/rain/problem.py").read_text()


def test_symlinks_modes_and_bytes_survive(command: Command, rain: Path) -> None:
    (rain / "tool").write_text("#!/bin/sh\n")
    (rain / "tool").chmod(0o755)
    (rain / "link").symlink_to("README.md")
    (rain / "naïve file.bin").write_bytes(bytes(range(256)))
    (rain / "windows.txt").write_bytes(b"a\r\nb\r\n")
    commit_all(rain, "Work")
    assert command("update", "rain").code == 0
    assert os.access(rain / "tool", os.X_OK)
    assert (rain / "link").readlink() == Path("README.md")
    assert (rain / "naïve file.bin").read_bytes() == bytes(range(256))
    assert (rain / "windows.txt").read_bytes() == b"a\r\nb\r\n"


@pytest.mark.slow
def test_a_new_question_is_asked_at_a_terminal_and_no_other(
    rain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPT_TOOLKIT_NO_CPR", "1")
    words = ["-m", "mlportfolio", "update", "rain"]
    terminal = pexpect.spawn(sys.executable, words, timeout=30, encoding="utf-8", dimensions=(50, 120))
    try:
        asked = terminal.expect(["domain", "threshold", "Which region"])
        assert asked == 2
        terminal.expect("rainland")
        terminal.send("\x15Alps\r")
        terminal.expect("git diff --staged")
        terminal.expect(pexpect.EOF)
        terminal.wait()
        assert terminal.exitstatus == 0
    finally:
        terminal.close(force=True)
    assert "REGION = 'Alps'" in (rain / "src/rain/problem.py").read_text()
    assert yaml.safe_load((rain / ".copier-answers.yml").read_text())["region"] == "Alps"


@pytest.mark.slow
def test_ctrl_c_at_a_new_question_changes_nothing(rain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPT_TOOLKIT_NO_CPR", "1")
    before = files(rain)
    words = ["-m", "mlportfolio", "update", "rain"]
    terminal = pexpect.spawn(sys.executable, words, timeout=30, encoding="utf-8", dimensions=(50, 120))
    try:
        terminal.expect("Which region")
        terminal.send("\x03")
        terminal.expect("Stopped; nothing was written")
        terminal.expect(pexpect.EOF)
        terminal.wait()
        assert terminal.exitstatus == 130
    finally:
        terminal.close(force=True)
    assert files(rain) == before
    assert git_in(rain, "status", "--porcelain") == ""


def test_read_project_needs_no_trailing_parts(rain: Path) -> None:
    assert update.read_project(Path("rain/../rain/.")).path == rain
    with pytest.raises(UserError):
        update.read_project(Path("rain/src"))


PLACES = """\
places:
  type: str
  multiselect: true
  help: Where?
  choices: [vm, cloud, shore]
  default: "[vm]"
"""


def test_a_question_of_several_choices(command: Command, template: Path, rain: Path) -> None:
    write(template, {"copier.yml": QUESTIONS + PLACES})
    commit_all(template, "Fourth", "v0.4.0")

    done = command("update", "rain")
    assert done.code == 0, done.err
    assert "New question places: vm (another: --set places=…)" in done.out
    assert answers_of(rain)["places"] == ["vm"]

    commit_all(rain, "Update")
    changed = command("update", "rain", "--to", "current", "--set", "places=shore,vm")
    assert changed.code == 0, changed.err
    assert answers_of(rain)["places"] == ["vm", "shore"]


@pytest.mark.parametrize("fixed", ["shore, vm", "vm"])
def test_a_starter_fixes_several_choices(fixed: str, command: Command, template: Path, rain: Path) -> None:
    write(template, {"copier.yml": QUESTIONS + PLACES})
    commit_all(template, "Fourth", "v0.4.0")
    starter = Path("cohort.yml")
    starter.write_text("name: Spring\nfixed: {places: 'vm,shore'}\n")
    made = command("new", "x", "--yes", "--starter", "cohort.yml")
    assert made.code == 0, made.err
    assert answers_of(Path("x"))["places"] == ["vm", "shore"]

    starter.write_text(f"name: Spring\nfixed: {{places: '{fixed}'}}\n")
    done = command("update", "x")
    assert done.code == 0, done.err
    assert ("now fixes places to vm; it was vm,shore." in done.err) == (fixed == "vm")
    assert answers_of(Path("x"))["places"] == (["vm"] if fixed == "vm" else ["vm", "shore"])
