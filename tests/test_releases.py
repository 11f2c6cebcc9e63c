"""The same history gives the same releases and the same bytes, whoever builds it, and on which machine."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlportfolio.releases import (
    CONTENT,
    GitError,
    check_git,
    git,
    history,
    is_checkout,
    order,
    synthesized,
    write_bundle,
)
from tests.conftest import REPOSITORY, content_of, run
from tests.package import commit, hatch, set_version, with_package

pytestmark = pytest.mark.usefixtures("home")

Bump = Callable[..., str]
Build = Callable[..., Path]


def write(folder: Path, version: object) -> None:
    (folder / "pyproject.toml").write_text(f'[project]\nname = "x"\nversion = "{version}"\n')


def versions(folder: Path) -> list[str]:
    return [each.version for each in history(folder)]


@pytest.fixture
def checkout(tiny: Path) -> Path:
    """A repository of a small template, with a colon and a space in its path, and no commit yet."""
    folder = tiny.rename(tiny.with_name('a "tiny: ünit'))
    git(folder, "init", "--quiet", "--initial-branch=main")
    return folder


@pytest.fixture
def bump(checkout: Path) -> Bump:
    """`bump("1.2.3")` commits a version, and a line in the template that says so."""

    def to(version: object, *, minute: int = 0) -> str:
        write(checkout, version)
        (checkout / "template/version.txt").write_text(f"{version}\n")
        return commit(checkout, minute=minute)

    return to


def write_large(folder: Path, version: str) -> None:
    """Files of a size that git stores as differences, most lines the same, and one as Windows has them."""
    rows = [
        f"{hashlib.sha256(f'{row}{version * (row % 7 == 0)}'.encode()).hexdigest()}\n" for row in range(500)
    ]
    (folder / "template/data.txt").write_text("".join(rows))
    (folder / "template/dos.bat").write_bytes(b"echo\r\n")
    with (folder / "copier.yml").open("a") as file:
        file.write(f"# {version}\n")


@pytest.fixture
def released(checkout: Path, bump: Bump) -> Path:
    """The repository with three releases, and work between and after them."""
    for minute, version in enumerate(("0.1.0", "0.2.0", "0.10.0")):
        write_large(checkout, version)
        bump(version, minute=minute)
        (checkout / "not-of-the-template.txt").write_text(version)
        commit(checkout, minute=minute)
    return checkout


# --- which commits are releases -------------------------------------------------------------------


def test_commit_that_changes_the_version_is_a_release(checkout: Path, bump: Bump) -> None:
    first = bump("0.9.0", minute=1)
    (checkout / "other.txt").write_text("no release")
    commit(checkout, minute=2)
    with (checkout / "pyproject.toml").open("a") as file:
        file.write('description = "no release either"\n')
    commit(checkout, minute=3)
    second = bump("0.10.0", minute=4)
    assert [(each.tag, each.commit) for each in history(checkout)] == [("v0.9.0", first), ("v0.10.0", second)]
    assert [each.time for each in history(checkout)] == [1_704_067_260, 1_704_067_440]


def test_history_counts_and_not_the_clock(bump: Bump, checkout: Path) -> None:
    commits = [bump(version, minute=minute) for version, minute in (("1.0.0", 9), ("1.1.0", 5), ("1.2.0", 7))]
    assert [each.commit for each in history(checkout)] == commits


def test_version_that_is_set_back_and_forth_stays_where_it_was_first(checkout: Path, bump: Bump) -> None:
    commits = {version: bump(version) for version in ("0.1.0", "0.2.0")}
    bump("0.1.0")
    bump("0.2.0")
    commits["0.2.1"] = bump("0.2.1")
    assert {each.version: each.commit for each in history(checkout)} == commits


@settings(max_examples=15)
@given(st.lists(st.sampled_from(["0.1.0", "0.2.0", "0.10.0", "1.0.0rc1", "words"]), min_size=1, max_size=6))
def test_what_was_released_stays_released(
    tmp_path_factory: pytest.TempPathFactory, sequence: list[str]
) -> None:
    """Whatever is committed, no release moves or goes, and they are in the order of their numbers."""
    folder = tmp_path_factory.mktemp("checkout")
    git(folder, "init", "--quiet")
    (folder / "template").mkdir()
    (folder / "copier.yml").write_text("")
    before: dict[str, str] = {}
    for number, version in enumerate(sequence):
        write(folder, version)
        (folder / "template/a.txt").write_text(str(number))
        head = commit(folder, minute=number)
        expected = before | ({version: head} if version not in before and version[-1] == "0" else {})
        now = {each.version: each.commit for each in history(folder)}
        assert now == expected
        assert list(now) == sorted(now, key=order)
        before = now


def test_real_tags_win(checkout: Path, bump: Bump) -> None:
    first = bump("0.1.0")
    bump("0.2.0")
    (checkout / "template/late.txt").write_text("in at the last moment")
    second = commit(checkout, minute=5)
    git(checkout, "tag", "--annotate", "--message", "Second", "v0.2.0")
    git(checkout, "branch", "v0.2.0", first)  # a name that means two things
    (checkout / "template/later.txt").write_text("never in pyproject.toml")
    third = commit(checkout)
    git(checkout, "tag", "v0.2.1")
    assert {each.version: each.commit for each in history(checkout)} == {
        "0.1.0": first,
        "0.2.0": second,
        "0.2.1": third,
    }
    assert history(checkout)[1].time == 1_704_067_500


def test_tags_that_are_no_release_are_left_out(checkout: Path, bump: Bump) -> None:
    (checkout / "README").write_text("before there was a template")
    for name in CONTENT:
        (checkout / name).rename(checkout.with_name(name))
    commit(checkout)
    git(checkout, "tag", "v0.0.1")
    for name in CONTENT:
        checkout.with_name(name).rename(checkout / name)
    bump("0.1.0")
    git(checkout, "switch", "--quiet", "--create", "aside")
    bump("0.3.0")
    git(checkout, "tag", "v0.3.0")
    git(checkout, "switch", "--quiet", "main")
    for name in ("latest", "v1", "v1.2", "v1.2.3rc1", "v1.2.3.4", "1.2.3", "v01.2.3", "v1.2.3-4", "x/v1.2.3"):
        git(checkout, "tag", name)
    git(checkout, "tag", "v4.0.0", "HEAD^{tree}")
    assert versions(checkout) == ["0.1.0"]


def test_of_a_merge_only_what_it_brings(checkout: Path, bump: Bump) -> None:
    first = bump("0.1.0")
    git(checkout, "switch", "--quiet", "--create", "aside")
    bump("0.2.0")
    bump("0.3.0")
    git(checkout, "switch", "--quiet", "main")
    (checkout / "other.txt").write_text("meanwhile")
    commit(checkout)
    git(checkout, "merge", "--quiet", "--no-edit", "--no-ff", "aside")
    merge = git(checkout, "rev-parse", "HEAD")
    assert {each.version: each.commit for each in history(checkout)} == {"0.1.0": first, "0.3.0": merge}


@pytest.mark.parametrize(
    "text",
    [
        b"[project\n",
        b"\xff\xfe",
        b"project = 1\n",
        b'project = "1.0.0"\n',
        b"[project]\nversion = 1\n",
        b"[project]\nversion = [1]\n",
        b'[project]\ndynamic = ["version"]\n',
        b'[project]\nversion = "v1.0.0"\n',
        b'[project]\nversion = "1.0"\n',
        b"",
        None,
    ],
)
def test_pyproject_that_names_no_version_is_passed_over(
    text: bytes | None, checkout: Path, bump: Bump
) -> None:
    first = bump("0.1.0")
    if text is None:
        (checkout / "pyproject.toml").unlink()
    else:
        (checkout / "pyproject.toml").write_bytes(text)
    commit(checkout)
    bump("0.1.0")
    last = bump("0.2.0")
    assert {each.version: each.commit for each in history(checkout)} == {"0.1.0": first, "0.2.0": last}


def test_version_before_the_template_is_no_release(checkout: Path, bump: Bump) -> None:
    (checkout / "template").rename(checkout / "later")
    write(checkout, "0.1.0")
    commit(checkout)
    (checkout / "later").rename(checkout / "template")
    commit(checkout)
    assert versions(checkout) == []
    bump("0.2.0")
    assert versions(checkout) == ["0.2.0"]


def test_nothing_is_released_before_the_first_commit(checkout: Path) -> None:
    assert versions(checkout) == []


def test_shallow_clone_is_refused(released: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth", "1", released.as_uri(), shallow],
        check=True,
        capture_output=True,
    )
    with pytest.raises(GitError, match=r"shallow clone.*git fetch --unshallow"):
        history(shallow)
    git(shallow, "fetch", "--quiet", "--unshallow")
    assert versions(shallow) == ["0.1.0", "0.2.0", "0.10.0"]


# --- the bundle -----------------------------------------------------------------------------------


def bundle_of(folder: Path, version: str = "0.10.0") -> bytes:
    bundle = Path("made.bundle").resolve()
    write_bundle(folder, version, bundle)
    return bundle.read_bytes()


def test_bundle_holds_each_release_and_nothing_else(released: Path) -> None:
    bundle_of(released)
    git(Path(), "bundle", "verify", "--quiet", "made.bundle", environment={"GIT_DIR": str(released / ".git")})
    git(Path(), "clone", "--quiet", "made.bundle", "clone")
    clone = Path("clone")
    assert git(clone, "tag").split() == ["v0.1.0", "v0.10.0", "v0.2.0"]
    for each in history(released):
        trees = [
            git(folder, "ls-tree", name) for folder, name in ((released, each.commit), (clone, each.tag))
        ]
        assert trees[1].splitlines() == [line for line in trees[0].splitlines() if line.endswith(CONTENT)]
        author = git(clone, "log", "-1", "--format=%an|%ct|%ci|%s", each.tag)
        assert author.startswith(f"mlportfolio|{each.time}|")
        assert author.endswith(f"+0000|The template of mlportfolio {each.version}")
    # One line of history, whose end is what a plain clone shows.
    assert git(clone, "log", "--format=%s").splitlines() == [
        f"The template of mlportfolio {version}" for version in ("0.10.0", "0.2.0", "0.1.0")
    ]
    assert (clone / "template/version.txt").read_text() == "0.10.0\n"
    wanted = git(clone, "rev-list", "--all", "--objects").splitlines()
    assert git(clone, "count-objects", "-v").count(f"in-pack: {len(wanted)}\n") == 1


def test_same_bytes_from_the_same_history(released: Path, tmp_path: Path) -> None:
    first = bundle_of(released)
    assert bundle_of(released) == first
    clone = tmp_path / "fresh clone"
    git(tmp_path, "clone", "--quiet", released.as_uri(), clone)
    assert bundle_of(clone) == first
    git(clone, "gc", "--quiet", "--aggressive", "--prune=now")
    assert bundle_of(clone) == first
    git(clone, "switch", "--quiet", "--create", "elsewhere")
    git(clone, "worktree", "add", "--quiet", tmp_path / "worktree", "main")
    assert bundle_of(tmp_path / "worktree") == first
    git(tmp_path, "clone", "--quiet", "--shared", released, tmp_path / "borrowed")
    assert bundle_of(tmp_path / "borrowed") == first


def test_later_work_adds_and_changes_no_release(released: Path, bump: Bump) -> None:
    def refs() -> dict[str, str]:
        bundle_of(released)
        lines = git(Path(), "bundle", "list-heads", Path("made.bundle").resolve()).splitlines()
        return {name: commit for commit, name in map(str.split, lines) if "tags" in name}

    before = refs()
    bump("0.11.0", minute=99)
    after = refs()
    assert len(before) == 3
    assert after.pop("refs/tags/v0.11.0")
    assert after == before


def test_no_setting_of_the_machine_changes_a_byte(
    released: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, plain = bundle_of(released), bundle_of(exported(released, tmp_path / "plain"))
    (home / "ignore").write_text("*\n")
    (home / "attributes").write_text("* text=auto eol=crlf\n")
    (home / "templates/info").mkdir(parents=True)
    (home / "templates/info/exclude").write_text("*\n")
    for name, value in {
        "core.autocrlf": "true",
        "core.excludesFile": home / "ignore",
        "core.attributesFile": home / "attributes",
        "core.compression": "0",
        "pack.compression": "9",
        "pack.depth": "1",
        "pack.threads": "3",
        "pack.window": "0",
        "pack.windowMemory": "100",
        "pack.packSizeLimit": "1m",
        "core.bigFileThreshold": "1k",
        "commit.gpgSign": "true",
        "log.showSignature": "true",
        "i18n.commitEncoding": "ISO-8859-1",
        "init.templateDir": home / "templates",
        "init.defaultBranch": "trunk",
        "safe.bareRepository": "explicit",
        "user.name": "Somebody Else",
    }.items():
        git(home, "config", "--global", name, str(value))
    for name, value in {
        "GIT_DEFAULT_HASH": "sha256",
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
        "GIT_DIR": "/",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GIT_AUTHOR_DATE", "2001-01-01")
    (tmp_path / 'a "folder: of').mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / 'a "folder: of'))
    assert bundle_of(released) == first
    assert bundle_of(tmp_path / "plain") == plain


def test_replaced_commits_are_read_as_they_were(released: Path) -> None:
    first = bundle_of(released)
    old, new = history(released)[0].commit, history(released)[2].commit
    git(released, "replace", old, new)
    assert bundle_of(released) == first


def served(released: Path, tmp_path: Path) -> str:
    """The repository as a server has it that lets clients leave files out."""
    bare = tmp_path / "served.git"
    git(tmp_path, "clone", "--quiet", "--bare", released, bare)
    for name in ("allowFilter", "allowAnySHA1InWant"):
        git(bare, "config", f"uploadpack.{name}", "true")
    return bare.as_uri()


def test_partial_clone_fetches_what_it_lacks_and_gives_the_same(
    released: Path, bump: Bump, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pip makes one, of a git URL that it installs from."""
    for patch in range(9):
        bump(f"0.11.{patch}")
    partial = tmp_path / "partial"
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", served(released, tmp_path), partial)
    blobs = "cat-file", "--batch-all-objects", "--batch-check", "--unordered"
    assert git(partial, *blobs).count(" blob ") < git(released, *blobs).count(" blob ") / 2
    trace = tmp_path / "trace"
    monkeypatch.setenv("GIT_TRACE", str(trace))
    made = bundle_of(partial, "0.11.8")
    monkeypatch.delenv("GIT_TRACE")
    assert made == bundle_of(released, "0.11.8")
    # Twelve versions and twelve templates, and two ways to the server.
    assert trace.read_text().count("built-in: git fetch ") == 2


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("0.11.0", "version 0.11.0 of pyproject.toml is not in the history: commit it first"),
        ("1.0rc1", "X.Y.Z"),
    ],
)
def test_version_that_is_not_released_is_refused(version: str, reason: str, released: Path) -> None:
    with pytest.raises(GitError, match=reason):
        bundle_of(released, version)
    assert not Path("made.bundle").exists()


# --- without git's history ------------------------------------------------------------------------


def exported(checkout: Path, folder: Path) -> Path:
    """The files of the last commit, as `git archive` hands them on."""
    folder.mkdir(parents=True)
    git(checkout, "archive", "--output", folder / "files.tar", "HEAD")
    shutil.unpack_archive(folder / "files.tar", folder)
    (folder / "files.tar").unlink()
    return folder


def test_files_without_git_are_one_release(released: Path, bump: Bump, tmp_path: Path) -> None:
    bump("0.11.0")
    folder = exported(released, tmp_path / "files")
    bundle_of(folder, "0.11.0")
    git(Path(), "clone", "--quiet", "made.bundle", "clone")
    assert git(Path("clone"), "tag") == "v0.11.0"
    tree = git(released, "ls-tree", "HEAD", "--", *CONTENT)
    assert git(Path("clone"), "ls-tree", "v0.11.0") == tree
    assert not is_checkout(folder)
    assert not (folder / ".git").exists()


def test_files_in_somebody_elses_repository_are_one_release(released: Path, tmp_path: Path) -> None:
    alone = bundle_of(exported(released, tmp_path / "alone"))
    theirs = tmp_path / "theirs"
    git(tmp_path, "init", "--quiet", theirs)
    write(theirs, "7.0.0")
    (theirs / ".gitignore").write_text("vendor\n")
    commit(theirs)
    folder = exported(released, theirs / "vendor/mlportfolio")
    assert not is_checkout(folder)
    assert bundle_of(folder) == alone
    (folder / ".git").mkdir()  # left by somebody, and no repository
    assert not is_checkout(folder)
    assert bundle_of(folder) == alone
    commit(theirs)
    assert bundle_of(folder) == alone
    assert git(theirs, "status", "--porcelain") == ""


def test_time_of_files_without_git_is_that_of_the_build(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = exported(released, tmp_path / "files")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    with synthesized(folder, "0.10.0") as repository:
        assert git(repository, "log", "--format=%ct", "v0.10.0") == "1700000000"


def test_repository_that_git_refuses_is_no_tree_without_git(
    released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a build by another user, as in a container, would silently lose every release but one."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(GitError, match="dubious ownership"):
        bundle_of(released)


# --- git itself -----------------------------------------------------------------------------------


def put_git(folder: Path, says: str) -> str:
    """A PATH on which git prints that, and fails if asked for anything but its version."""
    folder.mkdir()
    (folder / "git").write_text(f'#!/bin/sh\ncase "$*" in *--version) echo "{says}";; *) exit 9;; esac\n')
    (folder / "git").chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ("git version 2.31.0", None),
        ("git version 2.50.1 (Apple Git-155)", None),
        ("git version 3.0.0-rc1", None),
        ("git version 2.30.9", "git 2.30 is too old; install git 2.31 or newer"),
        ("git version 1.99", "git 1.99 is too old; install git 2.31 or newer"),
    ],
)
def test_old_git_is_named(
    says: str, reason: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", put_git(tmp_path / "bin", says))
    if reason is None:
        check_git()
    else:
        with pytest.raises(GitError, match=reason):
            check_git()


def test_missing_git_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match=r"git is not installed; install git 2\.31 or newer"):
        check_git()
    (tmp_path / "git").write_text("no program")
    (tmp_path / "git").chmod(0o755)
    with pytest.raises(GitError, match="git cannot be run: "):
        check_git()


# --- the package ----------------------------------------------------------------------------------


@pytest.fixture
def package(released: Path) -> Path:
    """The package's own sources beside the small template, in a repository with three releases."""
    return with_package(released, "0.10.0")


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """`build(folder, "wheel")` is the path of what it makes."""

    def made(folder: Path, target: str) -> Path:
        out = tmp_path / f"dist-{len(list(tmp_path.iterdir()))}"
        done = hatch(folder, out, target)
        assert done.code == 0, done.output
        [artefact] = out.iterdir()
        return artefact

    return made


def unpacked(sdist: Path, folder: Path) -> Path:
    shutil.unpack_archive(sdist, folder)
    [root] = folder.iterdir()
    return root


@pytest.mark.slow
def test_same_wheel_and_sdist_wherever_they_are_built(package: Path, build: Build, tmp_path: Path) -> None:
    wheel, sdist = (build(package, target).read_bytes() for target in ("wheel", "sdist"))
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", package.as_uri(), clone)
    git(clone, "gc", "--quiet", "--aggressive", "--prune=now")
    partial = tmp_path / "partial"
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", served(package, tmp_path), partial)
    for folder in (package, clone, partial):
        assert build(folder, "wheel").read_bytes() == wheel
        assert build(folder, "sdist").read_bytes() == sdist
        assert git(folder, "status", "--porcelain") == ""


@pytest.mark.slow
def test_wheel_from_the_sdist_is_the_wheel_from_the_checkout(
    package: Path, build: Build, tmp_path: Path
) -> None:
    wheel, sdist = build(package, "wheel").read_bytes(), build(package, "sdist")
    alone = unpacked(sdist, tmp_path / "alone")
    assert (alone / "template.bundle").read_bytes() == bundle_of(package)
    assert build(alone, "wheel").read_bytes() == wheel
    done = hatch(alone, tmp_path / "no-git", "wheel", {"PATH": str(tmp_path / "nothing")})
    assert done.code == 0, done.output
    assert [path.read_bytes() for path in (tmp_path / "no-git").iterdir()] == [wheel]
    # Somebody else's repository, where everything is ignored.
    theirs = tmp_path / "theirs"
    git(tmp_path, "init", "--quiet", theirs)
    (theirs / ".gitignore").write_text("*\n")
    inside = unpacked(sdist, theirs / "inside")
    assert build(inside, "wheel").read_bytes() == wheel
    # A packager's own, where the history is not ours.
    git(alone, "init", "--quiet")
    commit(alone)
    assert build(alone, "wheel").read_bytes() == wheel
    assert build(inside, "sdist").read_bytes() == sdist.read_bytes()


def test_wheel_holds_the_template_once(package: Path, build: Build) -> None:
    names = set(zipfile.ZipFile(build(package, "wheel")).namelist())
    ours = {name for name in names if ".dist-info/" not in name}
    sources = REPOSITORY / "src/mlportfolio"
    assert ours == {
        f"mlportfolio/{path.relative_to(sources).as_posix()}"
        for path in sources.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } | {"mlportfolio/template.bundle"}
    assert {Path(name).name for name in names - ours} == {
        "METADATA",
        "WHEEL",
        "RECORD",
        "LICENSE",
        "entry_points.txt",
    }


def test_build_says_why_it_cannot_be(package: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth", "1", package.as_uri(), shallow)
    refused = hatch(shallow, tmp_path / "dist", "wheel")
    assert refused.code == 1
    assert "cannot be bundled: this is a shallow clone" in refused.output
    assert "git fetch --unshallow" in refused.output
    set_version(package, "0.11.0")
    for target in ("wheel", "sdist"):
        refused = hatch(package, tmp_path / "dist", target)
        assert refused.code == 1
        assert "version 0.11.0 of pyproject.toml is not in the history: commit it first." in refused.output
    refused = hatch(package, tmp_path / "dist", "wheel", {"PATH": str(tmp_path / "nothing")})
    assert refused.code == 1
    assert "cannot be bundled: git is not installed; install git 2.31 or newer." in refused.output
    assert "Traceback" not in refused.output
    assert not list(tmp_path.glob("dist/*"))


def test_build_without_git_gives_one_release(package: Path, build: Build, tmp_path: Path) -> None:
    alone = exported(package, tmp_path / "alone")
    theirs = tmp_path / "theirs"
    git(tmp_path, "init", "--quiet", theirs)
    commit(theirs)
    wheel = build(alone, "wheel")
    assert build(exported(package, theirs / "inside"), "wheel").read_bytes() == wheel.read_bytes()
    shutil.unpack_archive(wheel, tmp_path / "installed", "zip")
    bundle = tmp_path / "installed/mlportfolio/template.bundle"
    lines = git(tmp_path, "bundle", "list-heads", bundle).splitlines()
    assert [line.split()[1] for line in lines] == ["HEAD", "refs/heads/main", "refs/tags/v0.10.0"]


def test_editable_install_reads_the_checkout_and_needs_no_history(package: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth", "1", package.as_uri(), shallow)
    done = hatch(shallow, tmp_path / "dist", "wheel:editable")
    assert done.code == 0, done.output
    [wheel] = (tmp_path / "dist").iterdir()
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if "bundle" in name]


@pytest.mark.slow
def test_new_from_the_wheel_is_new_from_the_checkout(build: Build, tmp_path: Path) -> None:
    """The real template, at each of its releases; the wheel is made as people make it."""
    uv = shutil.which("uv")
    if not uv:
        pytest.skip("uv builds the package")
    try:
        released = history(REPOSITORY)
    except GitError as error:
        pytest.skip(f"there is no history to read: {error}")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--shared", REPOSITORY, clone)
    with_package(clone, released[-1].version)
    subprocess.run([uv, "build", "--quiet", "--out-dir", tmp_path / "uv", clone], check=True)
    [wheel] = (tmp_path / "uv").glob("*.whl")
    assert build(clone, "wheel").read_bytes() == wheel.read_bytes()  # uv's came from the sdist
    shutil.unpack_archive(wheel, tmp_path / "installed", "zip")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    git(clone, "remote", "remove", "origin")
    command = (sys.executable, "-m", "mlportfolio", "new")
    notes = 0
    for each in released:
        wheels, checkouts = (Path(f"{place}-{each.version}") for place in ("wheel", "checkout"))
        words = ("--yes", "--version", each.version)
        made = run(Path(), environment, *command, wheels, *words)
        assert made.code == 0, made.output
        notes += made.output.count("`mlportfolio update`")
        made = run(Path(), {**os.environ}, *command, checkouts, *words, "--template", clone)
        assert made.code == 0, made.output
        assert len(content_of(wheels)) > 50
        assert content_of(wheels) == content_of(checkouts)
        assert f"_commit: {each.tag}\n" in (wheels / ".copier-answers.yml").read_text()
    assert notes == len(released) > 0
