"""What all tests share: a home of their own, the command in this process, and a small template."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import yaml
from xdist.scheduler import LoadScopeScheduling

from mlportfolio import cli

if TYPE_CHECKING:
    from playwright.sync_api import Browser

REPOSITORY = Path(__file__).parents[1]

# Whoever starts these tests in the background has them ignore signals that the command is tested with.
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

hypothesis.settings.register_profile("here", database=None, deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("here")


# Tests of the project that has run from end to end.
FINISHED = ("test_circle.py", "test_container.py", "test_endpoint.py", "test_finished.py", "test_page.py")


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Sends what looks at the finished project to one process, which makes it once."""

    def _split_scope(self, nodeid: str) -> str:
        return "finished" if nodeid.partition("::")[0].endswith(FINISHED) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler:
    """Xdist asks for this before its own ways of `--dist`."""
    return Scheduler(config, log)


@dataclass
class Result:
    """What a call of the command gave."""

    code: int
    out: str
    err: str


Command = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an identity for git, and nothing of the developer's own settings."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / ".gitconfig").write_text("[user]\nname = Ada Example\nemail = ada@example.org\n")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("GIT_CONFIG_GLOBAL", "MLPORTFOLIO_TEMPLATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / ".config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("COLUMNS", "120")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("new", "x", "--yes")` runs the command in this process, without a terminal."""

    def run(*arguments: str) -> Result:
        code = cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Result(code, out, err)

    return run


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A template with a question of each kind, and a Makefile that needs nothing installed."""
    folder = tmp_path / "tiny"
    tree = folder / "template"
    tree.mkdir(parents=True)
    (folder / "copier.yml").write_text(
        """\
_subdirectory: template
# --- the problem ---
prediction: {type: str, default: whether it rains, help: "What is predicted?"}
false_negative_cost: {type: float, default: 4, help: "A miss?"}
false_positive_cost: {type: float, default: 1, help: "A false alarm?"}
metric: {type: str, choices: [expected_cost, roc_auc, accuracy], default: expected_cost, help: "Metric?"}
problem_statement: {type: str, multiline: true, default: "Predict {{ prediction }}.", help: The statement}
# --- the names ---
project_name: {type: str, default: Rain, help: A name}
project_slug:
  type: str
  help: A slug
  default: "{{ project_name | lower }}"
  validator: "{% if project_slug == 'pandas' %}taken, choose another{% endif %}"
shout: {type: str, when: false, default: "{{ project_name | upper }}"}
# --- the parts ---
container: {type: bool, default: true, help: "A container?"}
port: {type: int, default: 80, when: "{{ container }}", help: "Which port?"}
workers: {type: int, default: 2, help: "How many?"}
"""
    )
    (tree / "README.md.jinja").write_text("# {{ shout }}\n\n{{ problem_statement }}\n")
    (tree / ".gitignore").write_text("/env\n")
    (tree / "{{ _copier_conf.answers_file }}.jinja").write_text("{{ _copier_answers | to_nice_yaml }}")
    (tree / "Makefile").write_text(
        "install:\n\t@touch env && echo installing\n"
        "run:\n\t@echo '==> data' && echo 3 rows && echo '==> train' && echo fitting\n"
        '\t@mkdir -p reports && echo \'{"headline": [{"name": "cost", "value": "0.6 a flight"}]}\''
        " > reports/metrics.json\n"
    )
    return folder


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a learner's shell: git knows her, and nothing of the tests' own is left."""
    settings = tmp_path_factory.mktemp("git") / "config"
    settings.write_text("[user]\nname = Ada Example\nemail = ada@example.org\n")
    foreign = {"MLPORTFOLIO_TEMPLATE", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {name: value for name, value in ours.items() if name not in foreign} | {
        "GIT_CONFIG_GLOBAL": str(settings),
        "GIT_CONFIG_NOSYSTEM": "1",
    }


FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's Chromium; on a Debian machine where this may be done, it is installed."""
    found = shutil.which("chromium")
    if not found and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
            subprocess.run(command, check=False, capture_output=True)
        found = shutil.which("chromium")
    if not found:
        pytest.skip("there is no Chromium: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> "Iterator[Browser]":
    """Chromium, for one file of tests: until it is closed nothing else here can run an event loop."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Ran:
    """What a command in a project gave."""

    code: int
    output: str


def run(folder: Path, environment: dict[str, str], *command: str | Path) -> Ran:
    """Run a command in a folder, whatever it gives."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return Ran(done.returncode, done.stdout)


def git(folder: Path, *arguments: str) -> str:
    """What git prints in `folder`."""
    return subprocess.run(
        ["git", "-C", folder, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def answers_of(project: Path) -> dict[str, Any]:
    """The answers that a project recorded."""
    answers: dict[str, Any] = yaml.safe_load((project / ".copier-answers.yml").read_text("utf-8"))
    return answers


def assert_workflow(workflow: Path) -> None:
    """A workflow of GitHub keeps to its schema, and has none of the usual holes."""
    for command in (
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"],
        ["zizmor", "--offline", "--quiet", f"--config={REPOSITORY / '.github/zizmor.yml'}"],
    ):
        tool = Path(sys.executable).with_name(command[0])
        done = subprocess.run([tool, *command[1:], workflow], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def content_of(folder: Path, *but: str) -> dict[str, tuple[bytes, int]]:
    """The bytes and the mode of every file, without git's own and those named."""
    return {
        name: (path.read_bytes(), path.stat().st_mode)
        for path in folder.rglob("*")
        if path.is_file()
        and not (name := path.relative_to(folder).as_posix()).startswith(".git/")
        and name not in but
    }


QUESTIONS = """\
_subdirectory: template
_skip_if_exists: [docs/problem.md, data/, params.json]
# --- the problem ---
domain: {type: str, choices: [rain, snow], default: rain, help: "Which domain?"}
threshold: {type: float, default: 0.5, help: "From which probability on?"}
# --- the names ---
project_name: {type: str, default: Rain, help: A name}
project_slug: {type: str, default: "{{ project_name | lower }}", help: A slug}
package_name: {type: str, default: "{{ project_slug | replace('-', '_') }}", help: A package}
# --- the parts ---
container: {type: bool, default: true, help: "A container?"}
"""
README = "# {{ project_name }}\n\nAbout {{ domain }}.\n\n## Run\n\n`make run`\n\n## Result\n\n-\n"
PROBLEM = "DOMAIN = '{{ domain }}'\nTHRESHOLD = {{ threshold }}\n"
CODE = "".join(f"def step_{n}(rows):\n    return rows[{n}:]\n\n\n" for n in range(12))


def write(folder: Path, files: dict[str, str | None]) -> None:
    """Write texts to files below a folder; None removes one."""
    for name, text in files.items():
        path = folder / name
        if text is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def git_in(folder: Path, *arguments: str) -> str:
    """What git prints, in a folder."""
    done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit_all(folder: Path, message: str, tag: str | None = None) -> None:
    """Commit what is there, and tag it."""
    git_in(folder, "add", "--all")
    git_in(folder, "commit", "--quiet", "--message", message)
    if tag:
        git_in(folder, "tag", tag)


@pytest.fixture
def released(home: Path, tmp_path: Path) -> Path:
    """A template's repository with three releases: files come, change and go, and a question is new."""
    folder = tmp_path / "released"
    folder.mkdir()
    git_in(folder, "init", "--quiet", "--initial-branch=main")
    tree = "template/"
    package = f"{tree}src/{{{{ package_name }}}}/"
    write(
        folder,
        {
            "copier.yml": QUESTIONS,
            f"{tree}{{{{ _copier_conf.answers_file }}}}.jinja": "{{ _copier_answers | to_nice_yaml }}",
            f"{tree}README.md.jinja": README,
            f"{tree}.gitignore": "/artifacts/\n",
            f"{package}steps.py": CODE,
            f"{package}problem.py.jinja": PROBLEM,
            f"{package}old.py": "OLD = 1\n",
            f"{tree}sql/features.sql": "SELECT a\nFROM t\nWHERE a > 0\nORDER BY a\n",
            f"{tree}docs/problem.md.jinja": "From {{ threshold }} on we act.\n",
            f"{tree}data/raw.csv": "a,b\n1,2\n",
            f"{tree}{{% if container %}}Dockerfile{{% endif %}}": "FROM scratch\n",
        },
    )
    commit_all(folder, "First", "v0.1.0")
    write(
        folder,
        {
            f"{package}steps.py": CODE.replace("rows[3:]", "rows[3:][::-1]"),
            f"{package}old.py": None,
            f"{package}new.py": "NEW = 2\n",
            f"{tree}sql/features.sql": "SELECT a\nFROM t\nWHERE a > 0 AND a < 9\nORDER BY a\n",
            f"{tree}docs/problem.md.jinja": "Above {{ threshold }} we act.\n",
            f"{tree}data/raw.csv": "a,b\n1,3\n",
        },
    )
    commit_all(folder, "Second", "v0.2.0")
    write(
        folder,
        {
            "copier.yml": QUESTIONS
            + 'region: {type: str, default: "{{ domain }}land", help: "Which region?"}\n',
            f"{package}problem.py.jinja": PROBLEM + "REGION = '{{ region }}'\n",
            f"{package}steps.py": CODE.replace("rows[3:]", "rows[3:][::-1]").replace("step_9(", "last_step("),
        },
    )
    commit_all(folder, "Third", "v0.3.0")
    return folder
