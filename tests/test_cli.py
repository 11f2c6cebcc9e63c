"""The command's surface: help, speed of loading, --json, --dry-run, --run, domains."""

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

import mlportfolio
from mlportfolio import cli, pipeline
from mlportfolio.source import declared, domains
from tests.conftest import REPOSITORY, Command, answers_of, content_of, git

pytestmark = pytest.mark.usefixtures("home")

HEAVY = {"copier", "duckdb", "jinja2", "plumbum", "prompt_toolkit", "pydantic", "questionary", "rich", "yaml"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_what_stays_unloaded(arguments: list[str]) -> None:
    code = "import sys; from mlportfolio.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    assert HEAVY.isdisjoint(done.stdout.splitlines()[-1].split())
    assert mlportfolio.__version__ in done.stdout or "mlportfolio new" in done.stdout


def test_domains_need_no_copier() -> None:
    code = "import sys; from mlportfolio.cli import main; main(['domains', '--json']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "copier" not in done.stdout.splitlines()[-1].split()


def test_help_speaks_the_words_of_copier_yml(command: Command) -> None:
    text = " ".join(command("new", "--help").out.split())
    for key, question in declared(REPOSITORY).items():
        if question.computed:
            assert f"--{key.replace('_', '-')}" not in text
        else:
            assert key in text or key.replace("_", "-") in text
            assert question.advice in text
    assert "[mlflow|files]" in text


def test_every_flag_is_a_question() -> None:
    parameters = set(inspect.signature(cli.new).parameters) - {"ctx"}
    assert parameters >= cli.OWN_FLAGS
    asked = {key for key, question in declared(REPOSITORY).items() if not question.computed}
    assert parameters - cli.OWN_FLAGS <= asked
    assert not asked & cli.OWN_FLAGS


def test_version_and_module(command: Command) -> None:
    assert command("--version").out == f"mlportfolio {mlportfolio.__version__}\n"
    done = subprocess.run(
        [sys.executable, "-m", "mlportfolio", "nwe"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "No such command 'nwe'" in done.stderr
    assert "Traceback" not in done.stderr


def test_windows_is_told_what_to_do(tiny: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "WINDOWS", True)
    result = command("new", "x", "--yes", "--template", str(tiny))
    assert result.code == 2
    assert "WSL" in result.err


def test_domains(command: Command) -> None:
    listed = json.loads(command("domains", "--json").out)
    assert list(listed) == list(domains(REPOSITORY))
    assert listed["flight_delay"]["rows"] == 336776
    assert listed["flight_delay"]["metric"] == "expected cost: a miss 4, a false alarm 1"
    table = command("domains").out
    for word in ("flight_delay", "336,776", "binary", "public"):
        assert word in table


def test_domains_in_a_pipe_are_blocks(command: Command) -> None:
    lines = command("domains").out.splitlines()
    # A blank line between two, and each indented below its name.
    assert [line for line in lines if line[:1].strip()] == ["dengue_outbreak", "flight_delay"]
    assert "  rows     336,776" in lines
    assert any(line.startswith("  problem  Late departures from New York's three airports") for line in lines)


# --- --json and --dry-run -------------------------------------------------------------------------


def test_json_is_one_object(tiny: Path, command: Command) -> None:
    result = command("new", "x", "--yes", "--json", "--template", str(tiny), "--project-name=MNIST")
    assert result.err == ""
    record = json.loads(result.out)
    assert record["path"] == str(Path("x").resolve())
    assert record["answers"] == {k: v for k, v in answers_of(Path("x")).items() if k[0] != "_"}
    assert record["files"] == [".copier-answers.yml", ".gitignore", "Makefile", "README.md"]
    assert record["commit"] == git(Path("x"), "rev-parse", "HEAD")
    assert record["version"] == mlportfolio.__version__
    assert "MNIST" in record["notes"][0]
    assert record["dry_run"] is False


@pytest.mark.parametrize("extra", [["--metric=acc"], ["--nope"], ["--answers=absent"], ["--set", "shout=x"]])
def test_json_errors(extra: list[str], tiny: Path, command: Command) -> None:
    result = command("new", "x", "--yes", "--json", "--template", str(tiny), *extra)
    assert result.code == 2
    assert result.err == ""
    assert list(json.loads(result.out)) == ["error"]
    assert list(Path().iterdir()) == []


def test_json_never_asks(tiny: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_at_terminal", lambda: True)
    result = command("new", "x", "--json", "--template", str(tiny))
    message = json.loads(result.out)["error"]
    assert message.startswith("Nothing is asked here (no terminal, or --json); these are missing: ")
    assert "--project-slug" in message


def test_dry_run_shows_the_files_and_writes_none(tiny: Path, command: Command) -> None:
    (tiny / "template/a/b").mkdir(parents=True)
    (tiny / "template/a/b/c.txt").write_text("c")
    result = command("new", "x", "--yes", "--dry-run", "--template", str(tiny))
    assert "├── README.md\n└── a/\n    └── b/\n        └── c.txt\n\n5 files, not written to" in result.out
    record = json.loads(command("new", "x", "--yes", "--dry-run", "--json", "--template", str(tiny)).out)
    assert record["dry_run"] is True
    assert record["commit"] is None
    assert "a/b/c.txt" in record["files"]
    assert list(Path().iterdir()) == []
    assert command("new", "x", "--yes", "--dry-run", "--run", "--template", str(tiny)).code == 2


def test_default_destination_is_the_slug(tiny: Path, command: Command) -> None:
    result = command("new", "--yes", "--template", str(tiny), "--project-name=Snow")
    assert answers_of(Path("snow"))["project_slug"] == "snow"
    assert "1. cd snow\n" in result.out
    assert "2. make run" in result.out
    assert "3. make serve" in result.out


# --- --run ----------------------------------------------------------------------------------------


def test_run_shows_the_stages_and_commits_the_results(tiny: Path, command: Command) -> None:
    result = command("new", "x", "--yes", "--run", "--template", str(tiny))
    assert result.code == 0, result.err
    assert Path("x/env").exists()
    order = [
        result.out.index(word) for word in ("==> install", "installing", "==> data", "3 rows", "==> train")
    ]
    assert order == sorted(order)
    assert "cost  0.6 a flight" in result.out
    assert "make run" not in result.out.partition("Next:")[2]
    assert git(Path("x"), "log", "--format=%s").splitlines() == [
        "Record the results of the first run",
        "Start Rain",
    ]
    assert git(Path("x"), "show", "--name-only", "--format=") == "reports/metrics.json"
    assert git(Path("x"), "status", "--porcelain") == ""


def test_run_as_json(tiny: Path, command: Command) -> None:
    result = command("new", "x", "--yes", "--run", "--json", "--template", str(tiny))
    record = json.loads(result.out)
    assert record["headline"] == {"cost": "0.6 a flight"}
    assert record["commit"] == git(Path("x"), "rev-parse", "HEAD")
    assert result.err == ""


def test_run_without_identity_commits_nothing(home: Path, tiny: Path, command: Command) -> None:
    (home / ".gitconfig").unlink()
    result = command("new", "x", "--yes", "--run", "--template", str(tiny))
    assert result.code == 0
    assert result.err.count("git does not know who you are") == 1
    assert git(Path("x"), "for-each-ref") == ""


def test_failing_stage_shows_the_real_error(tiny: Path, command: Command) -> None:
    (tiny / "template/Makefile").write_text(
        "install:\n\t@true\n"
        "run:\n\t@echo '==> data'; echo fine; echo '==> train'; echo no such column: dep; exit 3\n"
    )
    result = command("new", "x", "--yes", "--run", "--template", str(tiny))
    assert result.code == 1
    assert "Error: train failed (make run, exit 2)" in result.err
    assert "no such column: dep" in result.err
    assert "fine" not in result.err
    assert "go on there with: make run" in result.err
    assert answers_of(Path("x"))["project_name"] == "Rain"
    assert git(Path("x"), "log", "--format=%s") == "Start Rain"


def test_run_needs_make_before_anything_is_written(
    tiny: Path, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    result = command("new", "x", "--yes", "--run", "--template", str(tiny))
    assert result.code == 1
    assert "--run needs make" in result.err
    assert list(Path().iterdir()) == []


def test_run_is_no_part_of_the_make_it_was_started_from(
    tiny: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAKEFLAGS", "n")  # a dry run, which must not reach the project's own make
    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    (tiny / "template/Makefile").write_text("install:\n\t@touch env\nrun:\n\t@echo venv=$$VIRTUAL_ENV\n")
    result = command("new", "x", "--yes", "--run", "--template", str(tiny))
    assert Path("x/env").exists()
    assert "venv=\n" in result.out


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopping_a_run_keeps_the_project_and_stops_its_stages(
    tiny: Path, stop: signal.Signals, code: int
) -> None:
    (tiny / "template/Makefile").write_text(
        "install:\n\t@true\nrun:\n\t@echo '==> train'; sleep 3; touch late\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "mlportfolio", "new", "x", "--yes", "--run", "--template", tiny],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    for line in process.stdout:
        if "==> train" in line:
            break
    os.kill(process.pid, stop)
    _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert "Traceback" not in err
    if stop == signal.SIGINT:
        assert "Stopped. The project is in" in err
    time.sleep(3.2)
    assert not Path("x/late").exists()
    assert git(Path("x"), "log", "--format=%s") == "Start Rain"


@pytest.mark.slow
def test_run_at_a_terminal_shows_stages_and_times(tiny: Path) -> None:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "mlportfolio", "new", "x", "--yes", "--run", "--template", str(tiny)],
        timeout=30,
        encoding="utf-8",
        dimensions=(40, 100),
    )
    shown = child.read()
    child.wait()
    assert child.exitstatus == 0
    for word in ("install", "data", "train", "0:00:0", "✓", "cost  0.6 a flight", "Next:"):
        assert word in shown


@pytest.mark.parametrize("content", ["", "[]", '{"headline": 3}', '{"headline": [{"name": 1}]}', "\xff"])
def test_headline_is_read_leniently(content: str, tmp_path: Path) -> None:
    assert pipeline.headline(tmp_path) == {}
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/metrics.json").write_text(content, "latin-1")
    assert pipeline.headline(tmp_path) == {}


def test_real_template_default_project(command: Command) -> None:
    result = command("new", "--yes", "--template", str(REPOSITORY))
    assert result.code == 0, result.err
    answers = answers_of(Path("flight-delay"))
    assert answers["domain"] == "flight_delay"
    assert not {"facts", "here", "taken_names"} & set(answers)
    assert str(REPOSITORY) not in (Path("flight-delay") / ".copier-answers.yml").read_text()
    assert content_of(Path("flight-delay"))
