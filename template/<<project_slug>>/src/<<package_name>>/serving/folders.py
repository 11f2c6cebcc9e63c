"""Folders of models beside each other, exchanged so that a kill at any moment leaves one to serve.

`champion` answers, `challenger` answers a share until it is promoted or dropped, `previous` was the champion before.
A folder is made elsewhere and then renamed; nothing is ever written to it in its place. It takes two renames to
exchange the champion, and whoever comes between them, or after a kill between them, finds it in `previous`.
"""

import json
import shutil
from pathlib import Path

CHALLENGER = "challenger"
PREVIOUS = "previous"


def version_of(folder: Path) -> str | None:
    """Return the version of the model in a folder, or None if there is none."""
    manifest = folder / "manifest.json"
    return json.loads(manifest.read_text(encoding="utf-8"))["version"] if manifest.is_file() else None


def folder_to_serve(champion: Path) -> Path:
    """Return the folder of the champion, which is `previous` in the middle of an exchange."""
    previous = champion.with_name(PREVIOUS)
    return previous if not champion.exists() and previous.exists() else champion


def mend(champion: Path) -> None:
    """Take back an exchange that was killed between its renames."""
    if (serving := folder_to_serve(champion)) != champion:
        serving.rename(champion)


def put_in_service(champion: Path, model: Path) -> None:
    """Make a copy of a model the champion."""
    exchange(champion, copy_beside(champion, model))


def challenge(champion: Path, model: Path) -> None:
    """Make a copy of a model the challenger, in place of an earlier one."""
    incoming = copy_beside(champion, model)
    drop(champion)
    incoming.rename(champion.with_name(CHALLENGER))


def promote(champion: Path) -> None:
    """Make the challenger the champion."""
    exchange(champion, champion.with_name(CHALLENGER))


def drop(champion: Path) -> None:
    """Take the challenger away, if there is one."""
    challenger, leaving = champion.with_name(CHALLENGER), champion.with_name("leaving")
    if challenger.exists():
        shutil.rmtree(leaving, ignore_errors=True)
        challenger.rename(leaving)  # it is there, or it is not, but never with half of its files
        shutil.rmtree(leaving)


def copy_beside(champion: Path, model: Path) -> Path:
    """Return a whole copy of a model, on the champion's file system."""
    incoming = champion.with_name("incoming")
    shutil.rmtree(incoming, ignore_errors=True)
    return Path(shutil.copytree(model, incoming))


def exchange(champion: Path, model: Path) -> None:
    """Rename the champion to `previous`, and a model to its name."""
    previous = champion.with_name(PREVIOUS)
    if champion.exists():
        shutil.rmtree(previous, ignore_errors=True)
        champion.rename(previous)
    model.rename(champion)
