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
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

CONTENT = ("copier.yml", "template")
OLDEST_GIT = (2, 31)
VERSION = re.compile(r"v?(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
# Settings of the machine that would change what we do.
_NEUTRAL = (
    *("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", "-c", "gc.auto=0"),
    *("-c", "core.useReplaceRefs=false", "-c", "safe.bareRepository=all", "-c", "i18n.commitEncoding=UTF-8"),
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
        raise GitError(f"git is not installed; install git {_needed()} or newer") from error
    except OSError as error:
        raise GitError(f"git cannot be run: {error.strerror}") from error
    if done.returncode:
        raise GitError(_reason(done.stderr.strip() or done.stdout.strip()) or f"git {arguments[0]} failed")
    return done.stdout


def _reason(said: bytes) -> str:
    """The one line of git's that says what is wrong."""
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
    # Of a failing connection git says only that it failed; ssh has said why on the line before.
    if reasons and "read from remote repository" in reasons[0]:
        reasons = lines
    reason = " ".join(reasons[:1])
    if reason.endswith(":"):
        reason = f"{reason} {' '.join(lines[lines.index(reason) + 1 :][:1])}"
    return reason.removeprefix("fatal: ").removeprefix("error: ").rstrip(". ")


def check_git() -> None:
    """Find git.

    Raises:
        GitError: It is missing, or older than we can work with.
    """
    said = git(Path.cwd(), "--version")
    found = re.search(r"(\d+)\.(\d+)", said)
    if found and (int(found[1]), int(found[2])) < OLDEST_GIT:
        raise GitError(f"git {found[0]} is too old; install git {_needed()} or newer")


def _needed() -> str:
    return ".".join(map(str, OLDEST_GIT))


def is_checkout(root: Path) -> bool:
    """Whether a repository begins in `root`, not further up.

    Raises:
        GitError: One does, and git refuses to read it.
    """
    if not (root / ".git").exists():
        return False
    return Path(git(root, "rev-parse", "--show-toplevel")).resolve() == root.resolve()


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
    try:
        git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    except GitError:
        return []  # no commit yet
    fetch_what_lacks(root, "--first-parent", "HEAD", "--", "pyproject.toml")
    found: dict[str, Release] = {}
    commits = _that_touch_the_version(root)
    for (commit, time), version in zip(commits.items(), _versions_at(root, commits), strict=True):
        # The first commit of a version is the release for good, though the version be set back and forth.
        if version and version not in found and _has_template(root, commit):
            found[version] = Release(version, commit, time)
    for tag in git(root, "for-each-ref", "--merged=HEAD", "--format=%(refname)", "refs/tags/v*").splitlines():
        name = tag.removeprefix("refs/tags/")
        if VERSION.fullmatch(name) and _has_template(root, tag):
            time_text, commit = git(root, "rev-list", "--max-count=1", "--timestamp", tag).split()
            found[name[1:]] = Release(name[1:], commit, int(time_text))
    return sorted(found.values(), key=lambda each: order(each.version))


def fetch_what_lacks(root: Path, *wanted: str) -> None:
    """Fetch at once what a partial clone lacks of the objects that `git rev-list` lists.

    Read one by one, each would be a way to the server.

    Raises:
        GitError: The server cannot be reached.
    """
    listed = git(root, "rev-list", "--objects", "--missing=print", *wanted).splitlines()
    lacking = [line[1:] for line in listed if line.startswith("?")]
    if lacking:
        git_bytes(root, "pack-objects", "--stdout", "--quiet", given="\n".join(lacking) + "\n")


def _that_touch_the_version(root: Path) -> dict[str, int]:
    """The commits of the branch that touch pyproject.toml, oldest first, and when they were made."""
    # Of a merge only what it brought to the branch it was merged into.
    words = ("--first-parent", "--reverse", "--timestamp", "HEAD", "--", "pyproject.toml")
    lines = git(root, "rev-list", *words).splitlines()
    return {commit: int(time) for time, commit in map(str.split, lines)}


def _versions_at(root: Path, commits: Iterable[str]) -> Iterator[str | None]:
    """The version in pyproject.toml at each commit; None where there is none that counts."""
    names = [f"{commit}:pyproject.toml\n" for commit in commits]
    printed = BytesIO(git_bytes(root, "cat-file", "--batch", given="".join(names)))
    for _ in names:
        about = printed.readline().split()
        yield None if about[-1] == b"missing" else _version_in(printed.read(int(about[-1]) + 1))


def _version_in(pyproject: bytes) -> str | None:
    try:
        project = tomllib.loads(pyproject.decode()).get("project")
    except ValueError:
        return None
    version = project.get("version") if isinstance(project, dict) else None
    return version if re.fullmatch(VERSION, f"v{version}") else None


def _has_template(root: Path, commit: str) -> bool:
    return len(git(root, "ls-tree", commit, "--", *CONTENT).splitlines()) == len(CONTENT)


def keep_files_as_they_are(repository: Path) -> None:
    """Let nothing be left out or converted in a repository of ours, as the user's settings may want.

    In hers they hold: there they say which of her files are no work of hers, and how lines end on her disk.
    """
    with (repository / "config").open("a") as config:
        config.write("[core]\n\tautocrlf = false\n\texcludesFile =\n\tattributesFile =\n")


@contextmanager
def synthesized(root: Path, version: str) -> Iterator[Path]:
    """A bare repository with one commit and one tag for each release, for as long as the block lasts.

    Args:
        root: A checkout of the template's repository, or its files without git.
        version: The current version: the only release where there is no history.

    Raises:
        GitError: The history is cut off, or lacks the current version.
    """
    if not VERSION.fullmatch(f"v{version}"):
        raise GitError(f"version {version} of pyproject.toml is not of the form X.Y.Z")
    with TemporaryDirectory() as folder:
        repository = Path(folder)
        words = ("--bare", "--quiet", "--initial-branch=main", "--template=", "--object-format=sha1")
        git(repository, "init", *words)
        keep_files_as_they_are(repository)
        if is_checkout(root):
            objects = git(root, "rev-parse", "--path-format=absolute", "--git-path", "objects")
            (repository / "objects/info/alternates").write_text(objects + "\n")
            releases = history(root)
            if version not in {each.version for each in releases}:
                raise GitError(f"version {version} of pyproject.toml is not in the history: commit it first")
            trees = [_content(root, repository, each) for each in releases]
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


def _content(root: Path, repository: Path, release: Release) -> str:
    """The tree of a release: of its commit, what a project is made from."""
    entries = git(root, "ls-tree", release.commit, "--", *CONTENT)
    # A partial clone may not have them yet; it fetches what it lacks when the objects are packed.
    return git(repository, "mktree", "--missing", given=entries + "\n")


def _files(root: Path, repository: Path) -> str:
    """The tree of the files as they are."""
    index = {"GIT_INDEX_FILE": str(repository / "files.index"), "GIT_WORK_TREE": str(root)}
    git(root, f"--git-dir={repository}", "add", "--", *CONTENT, environment=index)
    return git(root, f"--git-dir={repository}", "write-tree", environment=index)


def _quoted(path: Path) -> str:
    """A path as git reads it from a list with colons between."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def write_bundle(root: Path, version: str, bundle: Path) -> None:
    """Write every release as a git bundle: the same bytes from the same history.

    Raises:
        GitError: As for `synthesized`.
    """
    with synthesized(root, version) as repository:
        refs = git(repository, "for-each-ref", "--format=%(objectname) %(refname)")
        head = git(repository, "rev-parse", "refs/heads/main")
        pack = git_bytes(
            # Asked in the checkout: a partial clone knows where to fetch what it lacks.
            root if is_checkout(root) else repository,
            # Nothing is taken over from how this machine stored its objects, or stores others.
            *("-c", "pack.compression=6", "-c", "core.bigFileThreshold=512m"),
            *("-c", "pack.windowMemory=0", "-c", "pack.usePathWalk=false", "-c", "pack.useSparse=false"),
            *("pack-objects", "--stdout", "--revs", "--threads=1", "--no-reuse-object"),
            *("--no-use-bitmap-index", "--window=10", "--depth=50", "--quiet"),
            given="\n".join({line.split()[0]: "" for line in refs.splitlines()}) + "\n",
            environment={"GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(repository / "objects")},
        )
        # https://git-scm.com/docs/gitformat-bundle
        header = f"# v2 git bundle\n{head} HEAD\n{refs}\n\n"
        bundle.write_bytes(header.encode() + pack)
