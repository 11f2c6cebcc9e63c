"""The template's releases: one commit each, made from the history of its repository, everywhere the same.

A release is a commit that changes the version in pyproject.toml, or a real tag of that version. Of it only
copier.yml and template/ are kept. The build of the package runs this file by itself: nothing but the standard
library, and git, may be needed here.
"""

import os
import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

CONTENT = ("copier.yml", "template")
OLDEST_GIT = (2, 31)
VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
# Settings of the machine that would change what is stored.
_NEUTRAL = (
    *("-c", "core.autocrlf=false", "-c", "core.excludesFile=", "-c", "core.attributesFile="),
    *("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", "-c", "gc.auto=0"),
)
_AUTHOR = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "mlportfolio"), ("EMAIL", "template@mlportfolio.invalid"))
}
# Names by which git's environment binds every command to one repository.
BINDINGS = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)


class GitError(Exception):
    """Git is missing, too old, or refused; the message is its own last line."""


@dataclass(frozen=True)
class Release:
    """A version, the commit of the history that holds it, and when that was made (seconds since 1970)."""

    version: str
    commit: str
    time: int

    @property
    def tag(self) -> str:
        """The name that a project records."""
        return f"v{self.version}"


def order(version: str) -> tuple[int, ...]:
    """The key that sorts versions, `v` in front or not; nothing else is a version.

    Raises:
        ValueError: It is not X.Y.Z.
    """
    if not (found := VERSION.fullmatch(version)):
        raise ValueError(version)
    return tuple(map(int, found.groups()))


def git(
    folder: Path,
    *arguments: str | Path,
    given: bytes | str = "",
    environment: Mapping[str, str] | None = None,
) -> str:
    """What git prints.

    Raises:
        GitError: It is missing, or refuses.
    """
    printed = git_bytes(folder, *arguments, given=given, environment=environment)
    return printed.decode("utf-8", "replace").strip()


def git_bytes(
    folder: Path,
    *arguments: str | Path,
    given: bytes | str = "",
    environment: Mapping[str, str] | None = None,
) -> bytes:
    """As `git`, whole and as bytes."""
    inherited = {name: value for name, value in os.environ.items() if name not in BINDINGS}
    try:
        done = subprocess.run(
            ["git", "-C", folder, *_NEUTRAL, *arguments],
            input=given.encode() if isinstance(given, str) else given,
            capture_output=True,
            check=False,
            env={
                **inherited,
                "LC_ALL": "C.UTF-8",
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_OPTIONAL_LOCKS": "0",
                **(environment or {}),
            },
        )
    except FileNotFoundError as error:
        raise GitError("git is not installed") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).decode("utf-8", "replace").splitlines()
        reasons = [line for line in said if line.startswith(("fatal:", "error:"))] or said[-1:]
        raise GitError(reasons[0].split(": ", 1)[-1] if reasons else f"git {arguments[0]} failed")
    return done.stdout


def check_git() -> None:
    """Find git.

    Raises:
        GitError: It is missing, or older than we can work with.
    """
    said = git(Path.cwd(), "--version")
    found = re.search(r"(\d+)\.(\d+)", said)
    if found and (int(found[1]), int(found[2])) < OLDEST_GIT:
        raise GitError(f"git {found[0]} is too old: {'.'.join(map(str, OLDEST_GIT))} is needed")


def is_checkout(root: Path) -> bool:
    """Whether a repository begins in `root`, not further up."""
    try:
        return Path(git(root, "rev-parse", "--show-toplevel")).resolve() == root.resolve()
    except GitError:
        return False


def is_bare(root: Path) -> bool:
    """Whether `root` is a repository without files, as servers hold them."""
    return (root / "HEAD").is_file() and (root / "objects").is_dir()


def history(root: Path) -> list[Release]:
    """The releases in the history of the checkout `root`, oldest first.

    Raises:
        GitError: The history is cut off, so that it cannot be told which commit changed the version.
    """
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise GitError(
            "this is a shallow clone, and the releases of the template are read from the history: "
            "run `git fetch --unshallow` first"
        )
    # Of a merge only what it brought to the branch it was merged into.
    log = git(root, "log", "--first-parent", "--reverse", "--format=%H %ct", "--", "pyproject.toml")
    commits = [(commit, int(time)) for commit, time in (line.split() for line in log.splitlines())]
    found: dict[str, Release] = {}
    before = None
    for (commit, time), text in zip(commits, _versions_of(root, [each for each, _ in commits]), strict=True):
        if text and text != before and text not in found and _has_template(root, commit):
            found[text] = Release(text, commit, time)
        before = text
    for line in git(root, "tag", "--merged", "HEAD", "--format=%(refname:short)").splitlines():
        if VERSION.fullmatch(line) and line.startswith("v") and _has_template(root, line):
            commit, time_text = git(root, "log", "-1", "--format=%H %ct", line).split()
            found[line[1:]] = Release(line[1:], commit, int(time_text))
    return sorted(found.values(), key=lambda each: order(each.version))


def _versions_of(root: Path, commits: Iterable[str]) -> Iterator[str | None]:
    for commit in commits:
        try:
            text = git(root, "show", f"{commit}:pyproject.toml")
            version = tomllib.loads(text).get("project", {}).get("version")
        except (GitError, tomllib.TOMLDecodeError):
            version = None
        yield version if version and VERSION.fullmatch(version) else None


def _has_template(root: Path, commit: str) -> bool:
    return len(git(root, "ls-tree", commit, *CONTENT).splitlines()) == len(CONTENT)


@contextmanager
def synthesized(root: Path, version: str) -> Iterator[Path]:
    """A bare repository with one commit and one tag for each release, for as long as the block lasts.

    Args:
        root: A checkout of the template's repository, or its files without git.
        version: The current version: the only release where there is no history.

    Raises:
        GitError: The history is cut off, or lacks the current version.
    """
    with TemporaryDirectory() as folder:
        repository = Path(folder)
        git(repository, "init", "--bare", "--quiet", "--initial-branch=main")
        if is_checkout(root):
            objects = git(root, "rev-parse", "--path-format=absolute", "--git-path", "objects")
            releases = history(root)
            trees = [_content(root, repository, objects, each) for each in releases]
            if version not in {each.version for each in releases}:
                raise GitError(f"version {version} of pyproject.toml is not in the history: commit it first")
            (repository / "objects/info/alternates").write_text(objects + "\n")
        else:
            releases = [Release(version, "", int(os.environ.get("SOURCE_DATE_EPOCH", "1577836800")))]
            trees = [_files(root, repository)]
        parent: list[str] = []
        for release, tree in zip(releases, trees, strict=True):
            when = f"{release.time} +0000"
            commit = git(
                repository,
                *("commit-tree", tree, *parent, "-m", f"The template of mlportfolio {release.version}"),
                environment={**_AUTHOR, "GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when},
            )
            git(repository, "update-ref", f"refs/tags/{release.tag}", commit)
            git(repository, "update-ref", "refs/heads/main", commit)
            parent = ["-p", commit]
        yield repository


def _content(root: Path, repository: Path, objects: str, release: Release) -> str:
    """The tree of a release: of its commit, what a project is made from."""
    # Asked in the checkout: a partial clone fetches there what it lacks.
    entries = git(root, "ls-tree", release.commit, *CONTENT)
    return git(
        repository,
        "mktree",
        given=entries + "\n",
        environment={"GIT_ALTERNATE_OBJECT_DIRECTORIES": objects},
    )


def _files(root: Path, repository: Path) -> str:
    """The tree of the files as they are."""
    index = {"GIT_INDEX_FILE": str(repository / "files.index"), "GIT_WORK_TREE": str(root)}
    git(root, f"--git-dir={repository}", "add", "--", *CONTENT, environment=index)
    return git(root, f"--git-dir={repository}", "write-tree", environment=index)


def write_bundle(root: Path, version: str, bundle: Path) -> None:
    """Write every release as a git bundle: the same bytes from the same history.

    Raises:
        GitError: As for `synthesized`.
    """
    with synthesized(root, version) as repository:
        refs = git(repository, "for-each-ref", "--format=%(objectname) %(refname)")
        head = git(repository, "rev-parse", "refs/heads/main")
        checkout = is_checkout(root)
        pack = git_bytes(
            # Asked in the checkout, as above.
            root if checkout else repository,
            # Nothing is taken over from how this machine happens to have stored its objects.
            *("-c", "core.compression=6", "-c", "core.bigFileThreshold=512m"),
            *("pack-objects", "--stdout", "--revs", "--threads=1", "--no-reuse-delta", "--no-reuse-object"),
            *("--no-use-bitmap-index", "--window=10", "--depth=50", "--quiet"),
            given="\n".join({line.split()[0]: "" for line in refs.splitlines()}) + "\n",
            environment={"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(repository / "objects")},
        )
        # https://git-scm.com/docs/gitformat-bundle
        header = f"# v2 git bundle\n{head} HEAD\n{refs}\n\n"
        bundle.write_bytes(header.encode() + pack)
