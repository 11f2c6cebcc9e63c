"""Runs, models and the champion, as plain files: one JSON record a run, one folder a version."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from typing import TYPE_CHECKING, Any

from .errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .paths import Paths


def record(
    paths: Paths,
    name: str,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    files: tuple[Path, ...] = (),
) -> str:
    """Record one run with its files as artifacts/runs/ID, and return its id."""
    run = uuid.uuid4().hex[:12]
    folder = paths.artifacts / "runs" / run
    folder.mkdir(parents=True)
    written = {
        "name": name,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "params": dict(params),
        "metrics": dict(metrics),
        "tags": dict(tags),
    }
    (folder / "run.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    for file in files:
        shutil.copy2(file, folder)
    return run


def register(paths: Paths, metrics: Mapping[str, float], tags: Mapping[str, str]) -> str:
    """Keep the candidate as a new version in artifacts/registry, and put it in service.

    The version remembers which one it replaces. Returns its number.
    """
    version = max(versions(paths), default=0) + 1
    folder = registry(paths) / str(version)
    shutil.copytree(paths.candidate, folder)
    (folder / "run.json").write_text(
        json.dumps({"replaced": champion(paths), "metrics": dict(metrics), "tags": dict(tags)}, indent=2) + "\n",
        encoding="utf-8",
    )
    put_in_service(paths, version)
    return str(version)


def rollback(paths: Paths) -> str:
    """Put the version that the champion replaced back in service, and return its number.

    Raises ProjectError if there is no champion, or none before it.
    """
    current = champion(paths)
    if current is None:
        raise ProjectError("No champion is registered. Run `make run` first.")
    record = json.loads((registry(paths) / str(current) / "run.json").read_text(encoding="utf-8"))
    if record["replaced"] is None:
        raise ProjectError(f"Version {current} is the first champion; there is none to go back to.")
    put_in_service(paths, record["replaced"])
    return str(record["replaced"])


def champion(paths: Paths) -> int | None:
    """Return the number of the version in service, or None if there is none."""
    marker = registry(paths) / "champion"
    return int(marker.read_text(encoding="utf-8")) if marker.is_file() else None


def registry(paths: Paths) -> Path:
    """Return the folder of all versions."""
    return paths.artifacts / "registry"


def versions(paths: Paths) -> list[int]:
    """Return the numbers of all versions."""
    return [int(folder.name) for folder in registry(paths).glob("[0-9]*")]


def put_in_service(paths: Paths, version: int) -> None:
    """Replace the champion's folder by a copy of a version, and remember which."""
    incoming = paths.champion.with_name("champion.incoming")
    shutil.rmtree(incoming, ignore_errors=True)
    shutil.copytree(registry(paths) / str(version), incoming)
    shutil.rmtree(paths.champion, ignore_errors=True)
    incoming.rename(paths.champion)
    (registry(paths) / "champion").write_text(f"{version}\n", encoding="utf-8")
