"""From every release, for every domain and each option left out: updated to now, it is as if made now."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mlportfolio import cli, releases
from mlportfolio import project as projects
from tests.conftest import REPOSITORY, commit_all, git_in, write

pytestmark = pytest.mark.slow

NOW = "99.0.0"
WITHOUT: dict[str, dict[str, str]] = {
    "everything": {},
    "mlflow": {"tracking": "files"},
    "container": {"container": "no"},
    "ci": {"ci": "none"},
    "licence": {"licence": "none"},
}


def history() -> list[str]:
    """The releases in the history; none where the checkout has no history to read."""
    try:
        return [each.version for each in releases.history(REPOSITORY)]
    except releases.GitError:
        return []


def domains() -> list[str]:
    return sorted(path.parent.name for path in (REPOSITORY / "template/domains").glob("*/facts.yml"))


def first_with(domain: str) -> list[str]:
    """The releases that have a domain."""
    return [
        version
        for version, commit in ((each.version, each.commit) for each in releases.history(REPOSITORY))
        if subprocess.run(
            ["git", "-C", REPOSITORY, "cat-file", "-e", f"{commit}:template/domains/{domain}/facts.yml"],
            check=False,
            capture_output=True,
        ).returncode
        == 0
    ]


Case = tuple[str, str, str]  # a release, a domain, what is left out
CASES = [
    pytest.param((version, domain, without), id=f"{version}-{domain}-without-{without}")
    for domain in domains()
    for version in (first_with(domain) if history() else [])
    for without in WITHOUT
]


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's history, with its last commit as a release."""
    folder = tmp_path_factory.mktemp("now") / "template"
    git_in(REPOSITORY, "clone", "--quiet", "--shared", str(REPOSITORY), str(folder))
    for each in releases.history(REPOSITORY):
        git_in(folder, "tag", "--force", each.tag, each.commit)
    git_in(folder, "tag", f"v{NOW}", "HEAD")
    return folder


def make(folder: str, version: str, domain: str, without: str) -> Path:
    """Make a project of a release."""
    answers = {"domain": domain, "author_name": "Ada Example", "project_slug": "made", **WITHOUT[without]}
    pairs = [word for key, value in answers.items() for word in ("--set", f"{key}={value}")]
    assert cli.main(["new", folder, "--yes", "--version", version, *pairs]) == 0
    return Path(folder).resolve()


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        name: ((folder / name).read_bytes(), (folder / name).stat().st_mode & 0o111)
        for name in projects.files_of(folder)
    }


def owned(template: Path, name: str) -> bool:
    """Whether no update touches a file."""
    entries = yaml.safe_load((template / "copier.yml").read_text())["_skip_if_exists"]
    assert all(entry.startswith("/") for entry in entries)
    return any(
        f"/{name}" == entry or (entry.endswith("/") and f"/{name}".startswith(entry)) for entry in entries
    )


@pytest.mark.parametrize("case", CASES)
def test_made_then_and_updated_it_is_as_made_now(
    home: Path, now: Path, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    monkeypatch.setenv("MLPORTFOLIO_TEMPLATE", str(now))
    old = make("old", *case)
    before = files(old)
    assert cli.main(["update", str(old), "--yes"]) == 0
    after, fresh = files(old), files(make("fresh", NOW, *case[1:]))
    theirs = {name for name in before if owned(now, name)}
    assert {name: after.get(name) for name in theirs} == {name: before[name] for name in theirs}
    assert {name: each for name, each in after.items() if name not in theirs} == {
        name: each for name, each in fresh.items() if name not in theirs
    }


@pytest.mark.parametrize("case", [each for each in CASES if "everything" in str(each.id)])
def test_an_owner_s_work_survives_every_release(
    home: Path, now: Path, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    monkeypatch.setenv("MLPORTFOLIO_TEMPLATE", str(now))
    folder = make("old", *case)
    package = Path("src/made")
    written = {
        f"{package}/calibration.py": '\n\ndef hers() -> int:\n    """Return one."""\n    return 1\n',
        "README.md": "\n## Hers\n\nWhat I learned.\n",
        "sql/features.sql": "\n-- hers: to be looked at again\n",
        "tests/test_features.py": "\n\ndef test_hers() -> None:\n    assert True\n",
    }
    for name, text in written.items():
        write(folder, {name: (folder / name).read_text() + text})
    new = {f"{package}/hers.py": '"""Hers."""\n', "docs/experiments.md": "All mine.\n", "params.json": "{}\n"}
    write(folder, dict(new))
    shutil.move(folder / "docs/runbook.md", folder / "docs/on_call.md")
    commit_all(folder, "Work")
    assert cli.main(["update", str(folder), "--yes"]) == 0
    for name, text in written.items():
        assert text in (folder / name).read_text()
    for name, text in new.items():
        assert (folder / name).read_text() == text
    assert not (folder / "docs/runbook.md").exists()
    assert (folder / "docs/on_call.md").exists()
    after = files(folder)
    assert not [
        name for name, (text, _) in after.items() if text.count(b"\n<<<<<<< ") or name.endswith(".rej")
    ]


def test_there_is_a_history(now: Path) -> None:
    assert len(CASES) >= len(domains()) * len(WITHOUT)
