"""Puts models in service, one step at a time: the folders first, as they are what answers; the registry follows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from . import tracking
from .errors import ProjectError
from .serving import folders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .paths import Paths


def release(paths: Paths, metrics: Mapping[str, float], tags: Mapping[str, str]) -> str:
    """Register the candidate, make it the champion at once, and return its number in the registry."""
    number = tracking.register(paths, metrics, tags)
    folders.put_in_service(paths.champion, paths.candidate)
    folders.drop(paths.champion)
    tracking.follow(paths, champion=number)
    return number


def challenge(paths: Paths, metrics: Mapping[str, float], tags: Mapping[str, str]) -> str:
    """Register the candidate, make it the challenger, and return its number in the registry."""
    number = tracking.register(paths, metrics, tags)
    folders.challenge(paths.champion, paths.candidate)
    tracking.follow(paths)
    return number


def promote(paths: Paths) -> str:
    """Make the challenger the champion, and return its version; raise ProjectError if there is none."""
    version = challenger_version(paths)
    folders.promote(paths.champion)
    tracking.follow(paths)
    return version


def drop(paths: Paths) -> str:
    """Take the challenger away, and return its version; raise ProjectError if there is none."""
    version = challenger_version(paths)
    folders.drop(paths.champion)
    tracking.follow(paths)
    return version


def rollback(paths: Paths) -> str:
    """Put the champion that this one replaced back in service, and return its number in the registry.

    Raises ProjectError if there is no champion, or none before it.
    """
    with tempfile.TemporaryDirectory() as folder:
        replaced = Path(folder) / "replaced"
        number = tracking.fetch_replaced(paths, replaced)
        folders.put_in_service(paths.champion, replaced)
    tracking.follow(paths, champion=number)
    return number


def challenger_version(paths: Paths) -> str:
    """Return the version of the challenger; raise ProjectError if there is none."""
    version = folders.version_of(paths.challenger)
    if version is None:
        raise ProjectError("There is no challenger. `make retrain` makes one, if it passes the gate.")
    return version
