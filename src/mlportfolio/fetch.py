"""Fetch one small file: from this machine, over https, or from a git repository."""

import time
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from mlportfolio import __version__
from mlportfolio.errors import UserError
from mlportfolio.releases import GitError, git, git_bytes
from mlportfolio.source import without_credentials

_SECONDS = 30  # for a download in all
_SILENCE = 10  # seconds without a byte


@dataclass(frozen=True)
class Fetched:
    """A file.

    Attributes:
        content: Its bytes.
        address: Where it is: an absolute path, or the URL without a password.
        folder: Where it is on this machine; None where it is not.
    """

    content: bytes
    address: str
    folder: Path | None = None


def fetch(where: str, limit: int) -> Fetched:
    """Read a file at a path, an https URL, or `git+URL[@REF]#PATH`.

    Args:
        where: Its address.
        limit: How many bytes it has at most.

    Raises:
        UserError: It cannot be read, is too large, or would come over a way that others can change it on.
    """
    if where.startswith("git+"):
        found = Fetched(_from_git(where, limit), without_credentials(where))
    elif "://" in where:
        found = Fetched(_downloaded(where, limit), where)
    else:
        found = _opened(where, limit)
    if len(found.content) > limit:
        raise UserError(_too_large(where, limit))
    return found


def _too_large(where: str, limit: int) -> str:
    return f"{where} has more than {limit:,} bytes; name a smaller file."


def _opened(where: str, limit: int) -> Fetched:
    try:
        path = Path(where).expanduser()
        if path.exists() and not path.is_file():
            raise UserError(f"{where} is no file.")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise UserError(f"{where} cannot be read: {error.strerror}.") from error
    except (RuntimeError, ValueError) as error:  # no such user's home; a NUL in the name
        raise UserError(f"{where!r} is no path: {error}.") from error
    path = path.resolve()
    return Fetched(content, str(path), path.parent)


class _HttpsOnly(HTTPRedirectHandler):
    """Follows a redirection only where nobody can change what is read on its way."""

    def redirect_request(  # noqa: PLR0913, PLR0917 - as its base has it
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        _check_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _check_https(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https":
        raise UserError(f"{url} is not safe on its way here; use an https:// address, or git+https://.")
    if "@" in parts.netloc:
        raise UserError(
            f"The address at {parts.hostname} holds a password; a private file is read with git+https:// "
            "or git+ssh://."
        )


def _downloaded(url: str, limit: int) -> bytes:
    until = time.monotonic() + _SECONDS
    content = b""
    try:
        _check_https(url)
        request = Request(url, headers={"User-Agent": f"mlportfolio/{__version__}"})  # noqa: S310 - checked
        with build_opener(_HttpsOnly()).open(request, timeout=_SILENCE) as answer:
            while len(content) <= limit and (piece := answer.read1(65_536)):
                content += piece
                if time.monotonic() > until:
                    raise TimeoutError(f"it takes more than {_SECONDS} seconds")
    except (OSError, HTTPException, ValueError) as error:
        reason, code = getattr(error, "reason", None), getattr(error, "code", None)
        said = f"{code} {reason}" if code else str(reason or error) or type(error).__name__
        raise UserError(f"{url} cannot be read: {said}.", exit_code=1) from error
    return content


def _from_git(where: str, limit: int) -> bytes:
    address, _, name = where.removeprefix("git+").partition("#")
    where = without_credentials(where)
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise UserError(f"{where} is no address: {error}.") from error
    if parts.scheme not in {"https", "ssh", "file"}:
        raise UserError(f"{where}: write git+https://, git+ssh:// or git+file://, and the repository.")
    if not name:
        raise UserError(f"{where} names no file in the repository; put #PATH behind it.")
    path, at, ref = parts.path.rpartition("@") if "@" in parts.path else (parts.path, "", "HEAD")
    url = parts._replace(path=path).geturl()
    try:
        with TemporaryDirectory(prefix="mlportfolio-") as folder:
            here = Path(folder)
            git(here, "init", "--bare", "--quiet")
            try:
                git(here, "fetch", "--quiet", "--no-tags", "--depth=1", "--", url, ref)
                commit = git(here, "rev-parse", "FETCH_HEAD^{commit}")
            except GitError:
                if not at:
                    raise
                # An abbreviated commit is found only among all of them.
                git(here, "fetch", "--quiet", "--", url, "+refs/*:refs/*")
                commit = git(here, "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}")
            if int(git(here, "cat-file", "-s", f"{commit}:{name}")) > limit:
                raise UserError(_too_large(where, limit))
            return git_bytes(here, "cat-file", "blob", f"{commit}:{name}")
    except GitError as error:
        raise UserError(f"{where} cannot be read: {error}.", exit_code=1) from error
