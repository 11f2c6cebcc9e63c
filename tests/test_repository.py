"""What a reader finds in this repository holds: links, commands, workflows, the version."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from mlportfolio import __version__
from tests.conftest import REPOSITORY, Command, assert_workflow, git

TRACKED = [REPOSITORY / name for name in git(REPOSITORY, "ls-files", "-z").split("\0") if name]
OURS = [path for path in TRACKED if REPOSITORY / "template" not in path.parents and path.is_file()]
DOCUMENTS = [path for path in OURS if path.suffix == ".md"]
MAKEFILE = (REPOSITORY / "Makefile").read_text()
README = (REPOSITORY / "README.md").read_text()
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text())
    assert [
        link for link in links if not link.startswith("https://") and not (document.parent / link).exists()
    ] == []


def shell_lines(text: str) -> list[str]:
    """The commands of a document's shell examples, without what is said about them."""
    blocks = re.findall(r"^```sh\n(.+?)^```", text, re.MULTILINE | re.DOTALL)
    return [line.partition("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_make_targets_that_are_named_exist(document: Path) -> None:
    named = {line.split()[1] for line in shell_lines(document.read_text()) if line.startswith("make ")}
    assert named - {"-C"} <= TARGETS


EXAMPLES = [
    line for line in shell_lines(README) if line.startswith("mlportfolio ") and line != "mlportfolio new"
]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("line", EXAMPLES)
def test_commands_of_the_readme_are_accepted(line: str, command: Command) -> None:
    words = [word for word in line.split()[1:] if word not in {"--run", "--dry-run"}]
    if words[0] == "new":
        words.append("--dry-run")
    if "--starter" in words:
        assert command("starter", "init", "spring.yml").code == 0
        words.append("--yes")
    if words[0] in {"update", "status"}:
        version = "0.1.0" if words[0] == "update" else __version__
        assert command("new", "flight_delay", "--yes", "--version", version).code == 0
        Path("cohort.txt").write_text("flight_delay\n")
    if words[0] == "update":
        words.append("flight_delay")
    result = command(*words)
    assert result.code == 0, result.err
    made = "".join(path.read_text() for path in Path().glob("*.[yh]*ml"))
    assert "flight_delay" in result.out + made


def test_the_readme_opens_with_pictures_and_the_two_commands() -> None:
    opening = README.partition("## Make your own")[0]
    assert opening.index("docs/images/report.png") < opening.index("make demo") < opening.index("make test")


def test_every_target_is_explained() -> None:
    shown = subprocess.run(
        ["make", "-C", REPOSITORY, "--no-print-directory", "help"], capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[0] for line in shown.splitlines()} == TARGETS


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == __version__


@pytest.mark.parametrize(
    "workflow", sorted((REPOSITORY / ".github/workflows").glob("*.yml")), ids=lambda p: p.name
)
def test_workflows_are_valid(workflow: Path) -> None:
    assert_workflow(workflow)


def test_ci_tries_every_python_that_is_promised() -> None:
    jobs = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text())["jobs"]
    least = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["requires-python"]
    tried = jobs["quick"]["strategy"]["matrix"]["python"]
    assert f">={tried[0]}" == least
    assert [int(python.split(".")[1]) for python in tried] == list(range(11, 11 + len(tried)))


def test_hooks_run_offline() -> None:
    config = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())
    assert [source["repo"] for source in config["repos"]] == ["local"]
    for hook in config["repos"][0]["hooks"]:
        tool = hook["entry"].removeprefix("uv run --no-sync ").split()[0]
        assert Path(sys.executable).with_name(tool).exists(), hook["id"]


def test_no_file_knows_where_it_was_written() -> None:
    traces = re.compile(
        rf"{re.escape(str(REPOSITORY))}/|/home/(?!ada/)\w+/|files\.python[h]osted|index-[u]rl|pypi\.[o]rg"
    )
    found = {
        str(path.relative_to(REPOSITORY))
        for path in TRACKED
        if path.is_file()
        and b"\0" not in (content := path.read_bytes())
        and traces.search(content.decode("utf-8"))
    }
    assert found == set()


def test_decisions_are_numbered_and_listed() -> None:
    folder = REPOSITORY / "docs/decisions"
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in records] == list(range(1, len(records) + 1))
    index = (folder / "README.md").read_text()
    for name in records:
        text = (folder / name).read_text()
        assert f"]({name})" in index
        assert re.findall(r"^## (.+)", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "Measured",
            "Consequences",
        ]
