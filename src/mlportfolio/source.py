"""Where the template comes from, and what it declares: its questions and its domains."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from mlportfolio.errors import UserError

PACKAGED = Path(__file__).parent / "_template"


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


@contextmanager
def open_template(wanted: str | None = None) -> Iterator[Source]:
    """Find the template: `wanted` (a folder or a git URL), else MLPORTFOLIO_TEMPLATE, else our own.

    Raises:
        UserError: There is no template there.
    """
    wanted = wanted or os.environ.get("MLPORTFOLIO_TEMPLATE")
    if not wanted:
        yield _own()
    elif (path := Path(wanted)).is_dir():
        yield _checkout(path.resolve())
    else:
        from mlportfolio.form import cloned  # noqa: PLC0415 - copier takes most of a second to import

        with cloned(wanted) as (path, commit):
            yield Source(_with_questions(path), portable_url(wanted), commit)


def own_path() -> Path:
    """The template that this package carries, or that of the checkout it runs from."""
    for folder in (PACKAGED, *Path(__file__).resolve().parents):
        if (folder / "copier.yml").is_file():
            return folder
    raise UserError("This installation of mlportfolio holds no template. Install it again.", exit_code=1)


def _own() -> Source:
    path = own_path()
    return Source(path, _published_url()) if path == PACKAGED else _checkout(path)


def _checkout(path: Path) -> Source:
    """A template in a folder, which is a checkout only if the repository begins there."""
    _with_questions(path)
    if not (path / ".git").exists():
        return Source(path)
    changed = _git(path, "status", "--porcelain", "--", "copier.yml", "template")
    commit = _git(path, "describe", "--tags", "--always") if changed == "" else None
    return Source(path, portable_url(_git(path, "remote", "get-url", "origin") or ""), commit or None)


def _with_questions(path: Path) -> Path:
    if not (path / "copier.yml").is_file():
        raise UserError(f"{path} is no template: it has no copier.yml. Name the folder that holds it.")
    return path


def _git(path: Path, *arguments: str) -> str | None:
    """What git prints, or None where git is missing or refuses."""
    try:
        done = subprocess.run(["git", "-C", path, *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _published_url() -> str | None:
    from importlib.metadata import PackageNotFoundError, metadata  # noqa: PLC0415 - not for --help

    try:
        links = metadata("mlportfolio").get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    return next(
        (url for label, _, url in (link.partition(", ") for link in links) if label == "Repository"), None
    )


def portable_url(url: str) -> str | None:
    """`url` without credentials; None for a path, which means nothing on another machine."""
    if re.match(r"(git@[\w.-]+:|g[hl]:)", url):
        return url
    parts = urlsplit(url)
    if parts.scheme.removeprefix("git+") not in {"http", "https", "ssh", "git"}:
        return None
    login, _, host = parts.netloc.rpartition("@")
    user = login.partition(":")[0] if parts.scheme.endswith("ssh") else ""  # ssh://git@… names no secret
    return urlunsplit(parts._replace(netloc=f"{user}@{host}" if user else host))


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        UserError: The file is missing, unreadable or no YAML; the message says where.
    """
    import yaml  # noqa: PLC0415 - not for --help

    try:
        return yaml.load(path.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}).") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UserError(
            f"{path}{where}: not valid YAML ({getattr(error, 'problem', None) or error})."
        ) from error


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
