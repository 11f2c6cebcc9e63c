"""Where the template comes from, and what it declares: its questions and its domains."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlportfolio import __version__
from mlportfolio.errors import UserError
from mlportfolio.releases import (
    CONTENT,
    VERSION,
    GitError,
    check_git,
    fetch_what_lacks,
    git,
    history,
    is_bare,
    is_checkout,
    keep_files_as_they_are,
    order,
)

BUNDLE = Path(__file__).parent / "template.bundle"
# Answers that name a project's files, so that nothing may change them later.
FROZEN = ("project_slug", "package_name")


@dataclass(frozen=True)
class Source:
    """A template on this machine, and what a project records about where it came from.

    Attributes:
        path: The folder that holds copier.yml.
        url: The address that a later update reads; None where there is none that holds on other machines.
        commit: The version at that address; None where it is unknown or the files have changed since.
    """

    path: Path
    url: str | None = None
    commit: str | None = None


@dataclass(frozen=True)
class Declared:
    """What copier.yml says about one question, before any answer is known."""

    key: str
    section: str
    type: str
    choices: tuple[str, ...]
    computed: bool
    advice: str


class Releases:
    """Every version of a template, in a bare repository of our own.

    Args:
        repository: That repository.
        url: As the attribute.
        place: What messages call the template.
        lender: The checkout whose objects the repository uses, if it has none of its own.

    Attributes:
        url: The address that a project records; None where there is none that holds on other machines.
        versions: What is released, oldest first, as `v1.2.3`.
    """

    def __init__(self, repository: Path, url: str | None, place: str, lender: Path | None = None) -> None:
        self._repository = repository
        self._place = place
        self._lender = lender
        self.url = url
        tags = git(repository, "tag", "--list").splitlines()
        self.versions = sorted((tag for tag in tags if VERSION.fullmatch(tag)), key=order)
        self._sources: dict[str, Source] = {}

    @property
    def newest(self) -> str:
        """The latest release.

        Raises:
            UserError: There is none.
        """
        if not self.versions:
            raise UserError(
                f"{self._place} has no release: no tag, and no version in pyproject.toml.", exit_code=1
            )
        return self.versions[-1]

    def resolve(self, wanted: str) -> str:
        """A version (`1.2.3` or `v1.2.3`) or a commit, as a project records it.

        Raises:
            UserError: There is no such thing here.
        """
        for name in (wanted, f"v{wanted}"):
            if name in self.versions:
                return name
        with suppress(GitError):
            commit = self._commit(wanted)
            if commit.startswith(_described(wanted)):
                return wanted
            # A branch moves on; what is recorded must not.
            return git(self._repository, "describe", "--tags", "--always", commit)
        raise UserError(
            f"{self._place} has no version {wanted}; it has {', '.join(self.versions) or 'none'}."
        )

    def is_newer(self, version: str, than: str) -> bool:
        """Whether one version comes after another, in their numbers or, of commits, in the history.

        Raises:
            UserError: One of them is not here.
        """
        if VERSION.fullmatch(version) and VERSION.fullmatch(than):
            return order(version) > order(than)
        old, new = (self._commit(self.resolve(each)) for each in (than, version))
        with suppress(GitError):
            git(self._repository, "merge-base", "--is-ancestor", old, new)
            return old != new
        return False

    def at(self, wanted: str) -> Source:
        """The template as it was at a version or commit, in a folder that lasts while the releases are open.

        Raises:
            UserError: There is no such version, or no template in it.
        """
        if wanted not in self._sources:
            version = self.resolve(wanted)
            commit = self._commit(version)
            folder = self._repository.parent / commit
            if self._lender:
                fetch_what_lacks(self._lender, "--no-walk", commit)
            if not folder.exists():
                folder.mkdir()
                index = {"GIT_INDEX_FILE": str(folder) + ".index", "GIT_WORK_TREE": str(folder)}
                where = f"--git-dir={self._repository}"
                git(folder, where, "read-tree", commit, environment=index)
                git(folder, where, "checkout-index", "--all", "--quiet", environment=index)
            if not (folder / "copier.yml").is_file():
                raise UserError(f"{self._place} is no template: {version} has no copier.yml.")
            self._sources[wanted] = Source(folder, self.url, version)
        return self._sources[wanted]

    def _commit(self, version: str) -> str:
        return git(self._repository, "rev-parse", "--verify", "--quiet", f"{_described(version)}^{{commit}}")


@contextmanager
def open_template(wanted: str | None = None, version: str | None = None) -> Iterator[Source]:
    """Find the template: `wanted` (a folder or a git URL), else MLPORTFOLIO_TEMPLATE, else our own.

    A folder is taken as it is, unless a version is named. Of everything else it is the newest release.

    Raises:
        UserError: There is no template there, or no such version.
    """
    folder = _folder(wanted)
    if folder and not version:
        yield _checkout(folder, _folder_url(wanted, folder))
        return
    with open_releases(wanted) as releases:
        yield releases.at(version or releases.newest)


@contextmanager
def open_releases(wanted: str | None = None) -> Iterator[Releases]:
    """Find every version of the template: of `wanted`, else of MLPORTFOLIO_TEMPLATE, else of our own.

    Raises:
        UserError: There is no template there, or git is missing, too old, or cannot reach it.
    """
    wanted = _wanted(wanted)
    folder = _folder(wanted)
    with plain_git_errors(), TemporaryDirectory(prefix="mlportfolio-") as name:
        check_git()
        repository = Path(name, "template.git")
        if folder:
            if not is_checkout(folder):
                raise UserError(f"{_with_questions(folder)} is no git repository, so it has no versions.")
            origin, url, place = str(folder), _folder_url(wanted, folder), str(folder)
        elif wanted:
            url = portable_url(wanted)
            path = Path(wanted).expanduser()
            if not url and not path.exists():
                raise UserError(f"There is no template at {wanted}: neither a folder nor a git repository.")
            origin = _expanded(wanted) if url else str(path.resolve())
            place = (url or origin).removeprefix("git+")
        else:
            origin, url, place = str(BUNDLE), own_url(), f"This mlportfolio ({__version__})"
        try:
            # A folder's objects are used where they are.
            shared = ["--shared"] if folder else []
            git(Path(name), "clone", "--bare", "--quiet", "--template=", *shared, "--", origin, repository)
        except GitError as error:
            what = origin if origin == str(BUNDLE) else place
            raise UserError(f"git cannot clone {what}: {error}.", exit_code=1) from error
        keep_files_as_they_are(repository)
        if origin != str(BUNDLE):
            _tag(repository, folder or repository, place)
        yield Releases(repository, url, place, folder)


def _tag(repository: Path, root: Path, place: str) -> None:
    """Give every release in the history of `root` its tag, where there is none."""
    try:
        found = history(root)
    except GitError as error:
        raise UserError(f"{place}: {error}.", exit_code=1) from error
    for release in found:
        git(repository, "update-ref", f"refs/tags/{release.tag}", release.commit)


@contextmanager
def plain_git_errors() -> Iterator[None]:
    """Turn what git refuses into one sentence.

    Raises:
        UserError: Git is missing, too old, or refused.
    """
    try:
        yield
    except GitError as error:
        raise UserError(f"{str(error)[:1].upper()}{str(error)[1:]}.", exit_code=1) from error


def own_url() -> str | None:
    """The address of this package's own template.

    It is the git URL that the package was installed from, or the origin of the checkout that it runs from, or
    the repository that its metadata name.
    """
    from importlib.metadata import PackageNotFoundError, distribution  # not for --help

    try:
        package = distribution("mlportfolio")
    except PackageNotFoundError:
        return None
    # https://packaging.python.org/en/latest/specifications/direct-url/
    installed = json.loads(package.read_text("direct_url.json") or "{}")
    if installed.get("vcs_info", {}).get("vcs") == "git":
        return portable_url(installed["url"])
    folder = _own_checkout()
    if folder and (origin := _checkout_url(folder)):
        return origin
    links = (link.partition(", ") for link in package.metadata.get_all("Project-URL") or [])
    return next((portable_url(url) for label, _, url in links if label == "Repository"), None)


def is_same_address(one: str, other: str) -> bool:
    """Whether two spellings (`gh:a/b`, `https://github.com/a/b.git`, `git@github.com:a/b`) name one place."""
    return _place(one) == _place(other)


def _place(url: str) -> str:
    plain = (portable_url(_expanded(url)) or url).removeprefix("git+").removesuffix(".git")
    return re.sub(r"^\w+://", "", plain).rpartition("@")[2].replace(":", "/", 1)


def own_questions() -> dict[str, "Declared"]:
    """The questions of our own template, for --help, which must not fail for want of them."""
    with suppress(UserError), open_template() as found:
        return declared(found.path)
    return {}


def _wanted(wanted: str | None) -> str | None:
    return wanted or os.environ.get("MLPORTFOLIO_TEMPLATE") or None


def _folder(wanted: str | None) -> Path | None:
    """The folder that is meant, where one is."""
    if not (wanted := _wanted(wanted)):
        return _own_checkout()
    path = Path(wanted).expanduser()
    return path.resolve() if path.is_dir() and not is_bare(path) else None


def _own_checkout() -> Path | None:
    """The checkout that this package runs from; None where it is installed.

    Raises:
        UserError: It is neither.
    """
    if BUNDLE.is_file():
        return None
    for folder in Path(__file__).resolve().parents:
        if (folder / "copier.yml").is_file():
            return folder
    raise UserError("This installation of mlportfolio holds no template. Install it again.", exit_code=1)


def _folder_url(wanted: str | None, folder: Path) -> str | None:
    return _checkout_url(folder) if _wanted(wanted) else own_url()


def _checkout(path: Path, url: str | None) -> Source:
    """A template in a folder, which is a checkout only if the repository begins there."""
    _with_questions(path)
    if not (path / ".git").exists():
        return Source(path)
    changed = _asked(path, "status", "--porcelain", "--", "copier.yml", "template")
    commit = _version_here(path) if changed == "" else None
    return Source(path, url, commit)


def _version_here(path: Path) -> str | None:
    """The release that the last commit equals, as far as projects are concerned; else the commit."""
    with suppress(GitError):
        for release in reversed(history(path)):
            if _asked(path, "diff", "--quiet", release.commit, "HEAD", "--", *CONTENT) is not None:
                return release.tag
    return _asked(path, "describe", "--tags", "--always") or None


def _checkout_url(path: Path) -> str | None:
    if not (path / ".git").exists():
        return None  # git would answer for a repository further up
    # As it was given: `git remote get-url` puts in what `insteadOf` has for it, mirrors and secrets.
    return portable_url(_asked(path, "config", "--get", "remote.origin.url") or "")


def _with_questions(path: Path) -> Path:
    if not (path / "copier.yml").is_file():
        raise UserError(f"{path} is no template: it has no copier.yml. Name the folder that holds it.")
    return path


def _asked(path: Path, *arguments: str) -> str | None:
    """What git prints, or None where git is missing or refuses."""
    try:
        return git(path, *arguments)
    except GitError:
        return None


def _described(version: str) -> str:
    """The commit in what `git describe` prints: `v0.2.0-3-gabc1234` is abc1234."""
    found = re.fullmatch(r".+-\d+-g([0-9a-f]{4,})", version)
    return found[1] if found else version


def portable_url(url: str) -> str | None:
    """`url` as plain copier reads it, without credentials; None for a path, which no other machine has."""
    url = without_credentials(url).removeprefix("git+")
    if not re.match(r"(g[hl]|[\w.-]+@[\w.-]+):", url):
        if not re.match(r"(https?|ssh|git|file)://", url):
            return None
        url = url.partition("?")[0].rstrip("/")
    # https://copier.readthedocs.io/en/stable/configuring/#template-sources
    known = ("gh:", "gl:", "git@", "git://", "https://github.com/", "https://gitlab.com/")
    return url if url.startswith(known) or url.endswith(".git") else f"git+{url}"


def without_credentials(url: str) -> str:
    """`url` without a password, and without a name except for ssh, where `git@` is no secret."""

    def cut(found: re.Match[str]) -> str:
        name = found["login"].partition(":")[0] if found["scheme"].endswith("ssh") else ""
        return f"{found['scheme']}://{name}{'@' * bool(name)}"

    return re.sub(r"^(?P<scheme>[\w+.-]+)://(?P<login>[^/?#]*)@", cut, url)


def _expanded(url: str) -> str:
    """An address as git itself reads it."""
    url = re.sub(r"^gh:/?", "https://github.com/", url)
    return re.sub(r"^gl:/?", "https://gitlab.com/", url).removeprefix("git+")


def read_yaml(path: Path, *, foreign: bool = False) -> Any:
    """The content of a YAML file; `foreign` as for `parse_yaml`.

    Raises:
        UserError: The file is missing, unreadable or no YAML; the message says where.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    return parse_yaml(content, str(path), foreign=foreign)


def parse_yaml(content: bytes, where: str, *, foreign: bool = False) -> Any:
    """The value of a YAML text that comes from `where`.

    A `foreign` text is read by the loader that is slower, and that no depth of nesting can bring down.

    Raises:
        UserError: It is no UTF-8 or no YAML; the message says in which line.
    """
    import yaml  # not for --help

    loader = yaml.SafeLoader if foreign else getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(content.decode("utf-8"), loader)  # noqa: S506 - both loaders are safe
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8 text (byte {error.start}).") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise UserError(f"{where}{line}: not valid YAML ({problem}).") from error
    except RecursionError as error:
        raise UserError(f"{where}: not valid YAML (nested too deep).") from error
    except ValueError as error:  # a date or a number that cannot be
        raise UserError(f"{where}: not valid YAML ({error}).") from error


def declared(path: Path) -> dict[str, Declared]:
    """The questions of the template in `path`, in their order, with the section each stands in.

    A comment `# --- the names ---` in copier.yml begins a section.
    """
    config = read_yaml(path / "copier.yml")
    if not isinstance(config, dict):
        raise UserError(f"{path / 'copier.yml'} asks no questions.")
    sections = {}
    section = ""
    for line in (path / "copier.yml").read_text("utf-8").splitlines():
        if heading := re.match(r"# -+ (.+?) -+$", line):
            section = heading[1]
        elif key := re.match(r"(\w+):", line):
            sections[key[1]] = section
    # "What does a miss cost (<< facts… >>)?" is cut where only the other answers can fill it in.
    opening = config.get("_envops", {}).get("variable_start_string", "{{")
    return {
        key: Declared(
            key=key,
            section=sections.get(key, ""),
            type=details.get("type", "str"),
            choices=_values(details.get("choices")),
            computed=details.get("when") is False,
            advice=re.sub(rf"\s*\(?{re.escape(opening)}.*", "?", details.get("help", "")),
        )
        for key, details in config.items()
        if not key.startswith("_")
    }


def _values(choices: Any) -> tuple[str, ...]:
    return tuple(str(value) for value in (choices.values() if isinstance(choices, dict) else choices or ()))


def domains(path: Path) -> dict[str, dict[str, Any]]:
    """The facts of every domain that the template in `path` offers, by its slug."""
    return {
        file.parent.name: read_yaml(file) for file in sorted((path / "template/domains").glob("*/facts.yml"))
    }
