"""Where a template comes from, what a project records of it, and what is said where there is none."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from copier._vcs import get_repo

from mlportfolio import __version__, source
from mlportfolio.releases import fetch_what_lacks, git, is_bare, write_bundle
from mlportfolio.source import (
    is_same_address,
    open_releases,
    open_template,
    own_url,
    portable_url,
    without_credentials,
)
from tests.conftest import REPOSITORY, Command, Ran, answers_of, commit_all, content_of, run
from tests.package import hatch, with_package

pytestmark = pytest.mark.usefixtures("home")

SECRET = "hunter2"  # noqa: S105 - of nobody
NOTE = "updates come with a newer mlportfolio and `mlportfolio update`"


@pytest.fixture
def bare(released: Path, tmp_path: Path) -> Path:
    """The template as a server has it."""
    folder = tmp_path / "served.git"
    git(tmp_path, "clone", "--quiet", "--bare", released, folder)
    git(folder, "config", "uploadpack.allowFilter", "true")
    return folder


@dataclass
class Installed:
    """The package in a folder of its own, as an installer unpacks the wheel."""

    folder: Path

    def __call__(
        self, *words: str | Path, prefix: tuple[str, ...] = (), env: Mapping[str, str] | None = None
    ) -> Ran:
        """Run the command, with more in its environment."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder), **(env or {})}
        done = run(Path(), environment, *prefix, sys.executable, "-m", "mlportfolio", *words)
        assert "Traceback" not in done.output
        return done

    def recorded(self, *words: str | Path, env: Mapping[str, str] | None = None) -> tuple[str | None, str]:
        """The address and the version that a new project records."""
        shutil.rmtree("made", ignore_errors=True)
        done = self("new", "made", "--yes", *words, env=env)
        assert done.code == 0, done.output
        answers = answers_of(Path("made"))
        assert done.output.count(NOTE) == (0 if "_src_path" in answers else 1), done.output
        return answers.get("_src_path"), answers["_commit"]

    @property
    def metadata(self) -> Path:
        [folder] = self.folder.glob("*.dist-info")
        return folder

    def came_from(self, record: Mapping[str, object]) -> None:
        """What an installer writes down about it: PEP 610."""
        (self.metadata / "direct_url.json").write_text(json.dumps(record))

    def says_repository(self, url: str, label: str = "Repository") -> None:
        """The address that its author gave."""
        file = self.metadata / "METADATA"
        lines = file.read_text().splitlines()
        lines.insert(1, f"Project-URL: {label}, {url}")
        file.write_text("\n".join(lines))


@pytest.fixture
def package(released: Path) -> Path:
    """The package beside the small template, in the repository of its releases."""
    return with_package(released, "0.3.0")


@pytest.fixture
def installed(package: Path, tmp_path: Path) -> Installed:
    built = hatch(package, tmp_path / "dist", "wheel")
    assert built.code == 0, built.output
    [wheel] = (tmp_path / "dist").iterdir()
    shutil.unpack_archive(wheel, tmp_path / "installed", "zip")
    return Installed(tmp_path / "installed")


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "recorded", "read"),
    [
        ("https://example.org/a/b.git", "https://example.org/a/b.git", "https://example.org/a/b.git"),
        ("https://example.org:8443/a/b", "git+https://example.org:8443/a/b", "https://example.org:8443/a/b"),
        ("git+https://example.org/a", "git+https://example.org/a", "https://example.org/a"),
        ("git+https://example.org/a.git", "https://example.org/a.git", "https://example.org/a.git"),
        ("https://github.com/a/b", "https://github.com/a/b", "https://github.com/a/b.git"),
        ("https://github.com/a/b/", "https://github.com/a/b", "https://github.com/a/b.git"),
        ("https://gitlab.com/a/b", "https://gitlab.com/a/b", "https://gitlab.com/a/b.git"),
        ("https://codeberg.org/a/b", "git+https://codeberg.org/a/b", "https://codeberg.org/a/b"),
        ("gh:a/b", "gh:a/b", "https://github.com/a/b.git"),
        ("gl:a/b", "gl:a/b", "https://gitlab.com/a/b.git"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("git@example.org:a/b", "git@example.org:a/b", "git@example.org:a/b"),
        ("ada@example.org:a/b", "git+ada@example.org:a/b", "ada@example.org:a/b"),
        ("ssh://git@example.org/a", "git+ssh://git@example.org/a", "ssh://git@example.org/a"),
        ("git://example.org/a", "git://example.org/a", "git://example.org/a"),
        ("file:///srv/class", "git+file:///srv/class", "file:///srv/class"),
        ("git+file:///srv/class.git", "file:///srv/class.git", "file:///srv/class.git"),
    ],
)
def test_plain_copier_reads_what_is_recorded(url: str, recorded: str, read: str) -> None:
    assert portable_url(url) == recorded
    assert get_repo(recorded) == read
    assert portable_url(recorded) == recorded


@pytest.mark.parametrize(
    "path", ["/home/ada/template", "../template", "~/template", "C:/template", "template", "ext::sh -c x", ""]
)
def test_path_is_no_address(path: str) -> None:
    assert portable_url(path) is None


@pytest.mark.parametrize(
    ("url", "without"),
    [
        (f"https://ada:{SECRET}@example.org/a/b.git", "https://example.org/a/b.git"),
        (f"https://{SECRET}@example.org/a", "https://example.org/a"),
        (f"https://a@b:{SECRET}@example.org/a", "https://example.org/a"),
        (f"git+https://ada:{SECRET}@example.org:1/a#b.yml", "git+https://example.org:1/a#b.yml"),
        (f"ssh://git:{SECRET}@example.org/a", "ssh://git@example.org/a"),
        (f"git+ssh://git:{SECRET}@example.org/a", "git+ssh://git@example.org/a"),
        (f"git://{SECRET}@example.org/a", "git://example.org/a"),
        ("https://example.org/a@b", "https://example.org/a@b"),
        ("git@example.org:a", "git@example.org:a"),
        ("/home/ada@work/a", "/home/ada@work/a"),
    ],
)
def test_no_credentials_are_left(url: str, without: str) -> None:
    assert without_credentials(url) == without
    assert SECRET not in (portable_url(url) or "")


def test_token_in_a_query_is_no_part_of_the_address() -> None:
    assert portable_url(f"https://example.org/a.git?private_token={SECRET}") == "https://example.org/a.git"


def test_spellings_of_one_address() -> None:
    for spellings in (
        ("gh:a/b", "https://github.com/a/b", "https://github.com/a/b.git", "git@github.com:a/b.git"),
        ("git+https://example.org/a", f"https://ada:{SECRET}@example.org/a.git/", "ssh://git@example.org/a"),
        ("git+file:///srv/a", "file:///srv/a.git"),
    ):
        for each in spellings:
            assert is_same_address(spellings[0], each), each
    for other in ("gh:a/c", "https://example.org/a/b", "git+https://github.com:8443/a/b", "/a/b"):
        assert not is_same_address("gh:a/b", other), other


# --- what a project records -----------------------------------------------------------------------


@pytest.mark.slow
def test_order_of_addresses(installed: Installed, released: Path, bare: Path) -> None:
    """Each is recorded only where the ones before it are not there."""
    assert installed.recorded() == (None, "v0.3.0")
    installed.says_repository("https://example.org/issues", "Issues")
    assert installed.recorded() == (None, "v0.3.0")
    installed.says_repository(f"https://ada:{SECRET}@example.org/metadata")
    assert installed.recorded() == ("git+https://example.org/metadata", "v0.3.0")
    for no_repository in (
        {"url": "file:///downloads/mlportfolio.whl", "archive_info": {}},
        {"url": "file:///home/ada/mlportfolio", "dir_info": {"editable": True}},
        {"url": "https://example.org/hg", "vcs_info": {"vcs": "hg", "commit_id": "1"}},
    ):
        installed.came_from(no_repository)
        assert installed.recorded() == ("git+https://example.org/metadata", "v0.3.0")
    git_info = {"vcs": "git", "commit_id": "1", "requested_revision": "main"}
    installed.came_from({"url": f"https://ada:{SECRET}@example.org/a.git", "vcs_info": git_info})
    assert installed.recorded() == ("https://example.org/a.git", "v0.3.0")
    assert installed.recorded("--version", "0.1.0") == ("https://example.org/a.git", "v0.1.0")
    git(released, "remote", "add", "origin", "git@example.org:checkout.git")
    named = {"MLPORTFOLIO_TEMPLATE": str(released)}
    assert installed.recorded(env=named) == ("git@example.org:checkout.git", "v0.3.0")
    assert installed.recorded("--template", bare.as_uri(), env=named) == (bare.as_uri(), "v0.3.0")
    assert installed.recorded("--template", bare, "--version", "v0.2.0", env=named) == (None, "v0.2.0")


@pytest.mark.slow
def test_origin_of_the_checkout_that_the_package_runs_from(
    installed: Installed, package: Path, tmp_path: Path
) -> None:
    """An editable installation knows no address but that of its checkout."""
    installed.says_repository("https://example.org/metadata")
    sources = {"PYTHONPATH": f"{package / 'src'}:{installed.folder}"}
    assert installed.recorded(env=sources) == ("git+https://example.org/metadata", "v0.3.0")
    git(package, "remote", "add", "origin", f"https://{SECRET}@example.org/mine.git")
    assert installed.recorded(env=sources) == ("https://example.org/mine.git", "v0.3.0")
    git_info = {"vcs": "git", "commit_id": "1"}
    installed.came_from({"url": "https://example.org/installed.git", "vcs_info": git_info})
    # The files are those of the checkout, and yet the installer knows better what was asked for.
    assert installed("domains", env=sources).code == 0
    shown = run(
        Path(),
        {**os.environ, **sources},
        *(sys.executable, "-c", "from mlportfolio.source import own_url; print(own_url())"),
    )
    assert shown.output.strip() == "https://example.org/installed.git"


def test_origin_of_somebody_elses_repository_is_not_ours(package: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    git(tmp_path, "init", "--quiet", theirs)
    git(theirs, "remote", "add", "origin", "https://example.org/theirs.git")
    shutil.copytree(package, theirs / "vendor", ignore=shutil.ignore_patterns(".git"))
    commit_all(theirs, "Theirs", "v7.0.0")
    with open_template(str(theirs / "vendor")) as found:
        assert (found.url, found.commit) == (None, None)
    shown = run(
        Path(),
        {**os.environ, "PYTHONPATH": str(theirs / "vendor/src")},
        *(sys.executable, "-c", "from mlportfolio import source; print(source.own_url(), source.__file__)"),
    )
    assert shown.output.split() == ["None", str(theirs / "vendor/src/mlportfolio/source.py")]


def test_no_address_where_none_is_known() -> None:
    """No URL that nobody owns is baked into this package."""
    origin = run(REPOSITORY, {**os.environ}, "git", "remote", "get-url", "origin")
    assert own_url() == (portable_url(origin.output.strip()) if origin.code == 0 else None)


@pytest.fixture
def from_git(bare: Path, package: Path, tmp_path: Path) -> Callable[[str], Installed]:
    """Install from a git URL, as people do."""
    uv = shutil.which("uv")
    if not uv:
        pytest.skip("uv installs the package")
    git(package, "push", "--quiet", bare, "main")

    def install(url: str) -> Installed:
        folder = tmp_path / "from-git"
        words = ("--quiet", "--offline", "--no-deps", "--no-build-isolation", "--python", sys.executable)
        done = run(Path(), {**os.environ}, uv, "pip", "install", *words, "--target", folder, url)
        assert done.code == 0, done.output
        return Installed(folder)

    return install


@pytest.mark.slow
def test_installed_from_git_and_updated_by_plain_copier(
    from_git: Callable[[str], Installed], bare: Path
) -> None:
    installed = from_git(f"git+{bare.as_uri()}")
    assert installed.recorded("--version", "0.1.0") == (bare.as_uri(), "v0.1.0")
    assert (installed.folder / "mlportfolio/template.bundle").is_file()
    copier = Path(sys.executable).with_name("copier")
    done = run(Path("made"), {**os.environ}, copier, "update", "--defaults", "--quiet")
    assert done.code == 0, done.output
    assert installed.recorded() == (bare.as_uri(), "v0.3.0")
    git(Path("made"), "add", "--all")


def test_no_credentials_reach_the_project(released: Path, command: Command) -> None:
    """Neither its answers nor its history, though git needs them on the way."""
    secret = f"https://ada:{SECRET}@example.org/template.git"
    git(released, "config", "--global", f"url.{released}.insteadOf", secret)
    git(released, "remote", "add", "origin", secret)
    for number, place in enumerate((secret, f"git+{secret}", str(released))):
        result = command("new", f"x{number}", "--yes", "--json", "--template", place)
        assert result.code == 0, result.out
        made = json.loads(result.out)
        assert made["template"] == {"url": "https://example.org/template.git", "commit": "v0.3.0"}
        assert answers_of(Path(f"x{number}"))["_src_path"] == "https://example.org/template.git"
        everything = [path.read_bytes() for path in Path(f"x{number}").rglob("*") if path.is_file()]
        assert len(everything) > 20
        assert not [data for data in everything if SECRET.encode() in data]
        assert not [
            line for line in git(Path(f"x{number}"), "log", "--patch", "--all").splitlines() if SECRET in line
        ]


# --- versions -------------------------------------------------------------------------------------


def test_folder_is_the_release_that_it_equals(released: Path) -> None:
    def recorded() -> str | None:
        with open_template(str(released)) as found:
            return found.commit

    assert recorded() == "v0.3.0"
    (released / "README.md").write_text("About the template, and no part of it.")
    assert recorded() == "v0.3.0"
    commit_all(released, "README")
    assert recorded() == "v0.3.0"
    (released / "template/late.txt").write_text("late")
    assert recorded() is None
    commit_all(released, "Late")
    assert recorded() == f"v0.3.0-2-g{git(released, 'rev-parse', '--short', 'HEAD')}"
    git(released, "rm", "--quiet", "template/late.txt")
    assert recorded() is None
    commit_all(released, "Not so late")
    assert recorded() == "v0.3.0"


def test_release_needs_no_tag(released: Path, command: Command) -> None:
    git(released, "tag", "--delete", "v0.1.0", "v0.2.0", "v0.3.0")
    assert command("new", "x", "--yes", "--template", str(released), "--version", "0.1.0").code == 2
    (released / "pyproject.toml").write_text('[project]\nversion = "1.0.0"\n')
    commit_all(released, "Release")
    with open_template(str(released)) as found:
        assert found.commit == "v1.0.0"
    for place in (str(released), released.as_uri()):
        with open_releases(place) as releases:
            assert releases.versions == ["v1.0.0"]
    assert git(released, "tag") == ""


def test_tags_and_history_are_read_together(released: Path, bare: Path) -> None:
    (released / "pyproject.toml").write_text('[project]\nversion = "0.10.0"\n')
    commit_all(released, "Release")
    git(released, "push", "--quiet", bare, "main")
    for place in (str(released), released.as_uri(), str(bare), bare.as_uri(), f"git+{bare.as_uri()}"):
        with open_releases(place) as releases:
            assert releases.versions == ["v0.1.0", "v0.2.0", "v0.3.0", "v0.10.0"]
            assert releases.newest == "v0.10.0"


def test_what_a_version_may_be_called(released: Path) -> None:
    git(released, "branch", "feature/x", "v0.2.0")
    (released / "template/late.txt").write_text("late")
    commit_all(released, "Late")
    head = git(released, "rev-parse", "HEAD")
    described = f"v0.3.0-1-g{head[:7]}"
    with open_releases(str(released)) as releases:
        for wanted, recorded, has_late in (
            ("0.2.0", "v0.2.0", False),
            ("v0.2.0", "v0.2.0", False),
            (head, head, True),
            (head[:9], head[:9], True),
            (described, described, True),
            ("main", described, True),  # a branch moves on
            ("HEAD", described, True),
            ("feature/x", "v0.2.0", False),
        ):
            found = releases.at(wanted)
            assert found.commit == recorded, wanted
            assert (found.path / "template/late.txt").exists() == has_late, wanted
        assert releases.is_newer("0.10.0", "0.9.0")
        assert not releases.is_newer("v0.2.0", "0.2.0")
        assert releases.is_newer(described, "v0.3.0")
        assert not releases.is_newer("v0.3.0", described)
        assert not releases.is_newer(head, described)


def test_unrelated_histories_are_neither_newer(released: Path) -> None:
    git(released, "switch", "--quiet", "--orphan", "other")
    (released / "copier.yml").write_text("a: {type: str}\n")
    commit_all(released, "Other")
    other = git(released, "rev-parse", "HEAD")
    git(released, "switch", "--quiet", "main")
    with open_releases(str(released)) as releases:
        assert not releases.is_newer(other, "v0.3.0")
        assert not releases.is_newer("v0.3.0", other)


def test_partial_clone_lends_what_it_lacks(released: Path, bare: Path, tmp_path: Path) -> None:
    for version in ("0.4.0", "0.5.0"):
        (released / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
        commit_all(released, "Release")
    git(released, "push", "--quiet", bare, "main")
    partial = tmp_path / "partial"
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", bare.as_uri(), partial)
    with open_releases(str(partial)) as releases, open_releases(str(bare)) as whole:
        for version in releases.versions:
            assert content_of(releases.at(version).path) == content_of(whole.at(version).path)
    assert releases.versions == ["v0.1.0", "v0.2.0", "v0.3.0", "v0.4.0", "v0.5.0"]
    shutil.rmtree(bare)
    fetch_what_lacks(partial, "--all")  # nothing is left to fetch


def test_folder_is_left_as_it_was(released: Path, bare: Path) -> None:
    for place in (released, bare):
        before = content_of(place), git(place, "for-each-ref")
        with open_releases(str(place)) as releases:
            releases.at("0.1.0")
        assert (content_of(place), git(place, "for-each-ref")) == before
    assert is_bare(bare)


def test_order_of_templates(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_template() as found:
        assert found.path == REPOSITORY
    monkeypatch.setenv("MLPORTFOLIO_TEMPLATE", str(tiny))
    with open_template() as found:
        assert found.path == tiny
    with open_template(str(REPOSITORY)) as found:
        assert found.path == REPOSITORY


# --- what is missing ------------------------------------------------------------------------------


@dataclass
class Said:
    """What a command that fails says."""

    code: int
    words: str


Ask = Callable[..., Said]
FIRST = {"new": ("new", "x", "--yes"), "domains": ("domains",), "update": ("update", "project", "--yes")}
COMMANDS = pytest.mark.parametrize("name", list(FIRST))


@pytest.fixture
def ask(released: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """`ask("update", ...)` runs a command of an installed package; it must fail with one sentence."""
    bundle = tmp_path / "template.bundle"
    (released / "pyproject.toml").write_text('[project]\nversion = "0.3.0"\n')
    commit_all(released, "With a version")
    write_bundle(released, "0.3.0", bundle)
    monkeypatch.setattr(source, "BUNDLE", bundle)
    assert command("new", "project", "--yes", "--version", "0.1.0").code == 0

    def run_command(name: str, *words: str | Path) -> Said:
        before = content_of(Path("project"))
        done = command(*FIRST[name], *words)
        assert [path.name for path in Path().iterdir()] == ["project"]
        assert content_of(Path("project")) == before
        assert done.out == ""
        return Said(done.code, one_sentence(done.err))

    return run_command


def one_sentence(output: str) -> str:
    assert output.startswith("Error: ")
    assert len(output.splitlines()) == 1
    assert output.endswith(".\n")
    assert not output.endswith("..\n")
    return output.removeprefix("Error: ").strip()


@COMMANDS
def test_git_is_missing_or_old(name: str, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path / "nothing"))
        said = ask(name)
    assert said == Said(1, "Git is not installed; install git 2.31 or newer.")
    stub = tmp_path / "stub"
    stub.mkdir()
    (stub / "git").write_text("#!/bin/sh\necho git version 2.30.2\n")
    (stub / "git").chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{stub}:/usr/bin:/bin")
        said = ask(name)
    assert said == Said(1, "Git 2.30 is too old; install git 2.31 or newer.")


def test_help_needs_no_git(installed: Installed, tmp_path: Path) -> None:
    done = installed("new", "--help", env={"PATH": str(tmp_path / "nothing")})
    assert done.code == 0, done.output
    assert "--template" in done.output
    assert "Which domain?" not in done.output
    assert "Which domain?" in installed("new", "--help").output


@COMMANDS
def test_nothing_answers_at_the_address(
    name: str, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", "echo ssh: who is that? >&2; false")
    for address, reason in {
        f"https://ada:{SECRET}@127.0.0.1:1/a": "127.0.0.1 port 1",
        "git://127.0.0.1:1/a": "Connection refused",
        f"ssh://ada:{SECRET}@127.0.0.1:1/a": "ssh: who is that?",
        "https://nowhere.invalid/a": "Could not resolve host",
        (tmp_path / "absent").as_uri(): "does not appear to be a git repository",
    }.items():
        said = ask(name, "--template", address)
        assert said.code == 1
        assert said.words.startswith(f"git cannot clone {without_credentials(address)}: ")
        assert reason in said.words
        assert SECRET not in said.words


@COMMANDS
def test_address_that_is_none(name: str, ask: Ask, tmp_path: Path) -> None:
    for address in (str(tmp_path / "absent"), "absent.git", "ftp://example.org/a", "ext::sh -c id", "-x"):
        reason = "neither a folder nor a git repository"
        assert ask(name, f"--template={address}") == Said(2, f"There is no template at {address}: {reason}.")
    said = ask(name, "--template", tmp_path / "home/.gitconfig")
    assert said.code == 1
    assert "does not look like a v2 or v3 bundle file" in said.words


@COMMANDS
def test_repository_that_holds_no_template(name: str, ask: Ask, tmp_path: Path) -> None:
    other = tmp_path / "other"
    address = other.as_uri()
    git(tmp_path, "init", "--quiet", "--initial-branch=main", other)
    no_release = Said(1, f"{address} has no release: no tag, and no version in pyproject.toml.")
    assert ask(name, "--template", address) == no_release
    (other / "README.md").write_text("Something else.\n")
    commit_all(other, "Something else")
    assert ask(name, "--template", address) == no_release
    git(other, "tag", "v1.0.0")
    said = ask(name, "--template", address)
    if name == "update":
        assert said == Said(2, f"{address} has no version v0.1.0; it has v1.0.0.")
    else:
        assert said == Said(2, f"{address} is no template: v1.0.0 has no copier.yml.")
        said = ask(name, "--template", other)
        assert said == Said(
            2, f"{other} is no template: it has no copier.yml. Name the folder that holds it."
        )


def test_template_in_a_folder_without_git(ask: Ask, tiny: Path) -> None:
    refused = Said(2, f"{tiny} is no git repository, so it has no versions.")
    assert ask("new", "--template", tiny, "--version", "1.0.0") == refused
    assert ask("update", "--template", tiny) == refused


@pytest.mark.parametrize("version", ["9.9.9", "v9.9.9", "-h", "--all", "nothing", "main:copier.yml", "../.."])
def test_unknown_version_names_those_that_there_are(version: str, ask: Ask, bare: Path) -> None:
    there = f"has no version {version}; it has v0.1.0, v0.2.0, v0.3.0."
    for name, flag in (("new", "--version"), ("update", "--to")):
        said = ask(name, f"{flag}={version}")
        assert said == Said(2, f"This mlportfolio ({__version__}) {there}")
        said = ask(name, "--template", bare.as_uri(), f"{flag}={version}")
        assert said == Said(2, f"{bare.as_uri()} {there}")


def test_shallow_template_says_so(ask: Ask, bare: Path, tmp_path: Path, command: Command) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth", "1", bare.as_uri(), shallow)
    for name, words in (("new", ["--version=1.0.0"]), ("update", [])):
        said = ask(name, "--template", shallow, *words)
        assert said.code == 1
        assert said.words.startswith(f"{shallow}: this is a shallow clone")
        assert said.words.endswith("run `git fetch --unshallow` first.")
    # Its files are as good as any.
    result = command("new", "x", "--yes", "--template", str(shallow))
    assert result.code == 0, result.err


@pytest.fixture
def ordinary() -> tuple[str, ...]:
    """What makes the superuser, who may otherwise read and write everything, an ordinary user."""
    if os.geteuid():
        return ()
    words = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    if not shutil.which(words[0]):
        pytest.skip("the superuser may read and write everything")
    return words


@pytest.mark.slow
def test_no_permission_to_read_the_template(
    bare: Path, installed: Installed, ordinary: tuple[str, ...]
) -> None:
    assert installed("new", "project", "--yes").code == 0
    bundle = installed.folder / "mlportfolio/template.bundle"
    for folder in (bare, bundle):
        folder.chmod(0)
    no_repository = f"'{bare}' does not appear to be a git repository"
    for words in FIRST.values():
        for place, said in {
            str(bare): f"Permission denied: {bare}/HEAD.",
            bare.as_uri(): f"git cannot clone {bare.as_uri()}: {no_repository}.",
            "": f"git cannot clone {bundle}: could not open '{bundle}'.",
        }.items():
            done = installed(*words, "--template", place, prefix=ordinary)
            assert (done.code, one_sentence(done.output)) == (1, said)
    assert [path.name for path in Path().iterdir()] == ["project"]


@pytest.mark.slow
def test_no_permission_to_write(installed: Installed, ordinary: tuple[str, ...]) -> None:
    assert installed("new", "project", "--yes", "--version", "0.1.0").code == 0
    before = content_of(Path("project"))
    here = Path.cwd()
    here.chmod(0o555)
    done = installed("new", "x", "--yes", prefix=ordinary)
    here.chmod(0o755)
    said = f"{here / 'x'} cannot be written: Permission denied. Nothing was left there."
    assert (done.code, one_sentence(done.output)) == (1, said)
    objects = Path("project/.git/objects")
    folders = [objects, *(path for path in objects.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    done = installed("update", "project", "--yes", "--json", prefix=ordinary)
    for folder in folders:
        folder.chmod(0o755)
    assert done.code == 1
    said = json.loads(done.output)["error"]
    assert said.startswith(f"{here / 'project'} could not be written: insufficient permission")
    assert said.endswith(". It is as it was.")
    assert content_of(Path("project")) == before
    assert git(Path("project"), "status", "--porcelain") == ""
