"""Runs, models and which of them are in service, as plain files: one JSON record a run, one folder a version."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from typing import TYPE_CHECKING, Any

from .errors import ProjectError
from .serving import folders

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
    """Keep the candidate as a new version in artifacts/registry, and return its number."""
    version = max(versions(paths), default=0) + 1
    folder = registry(paths) / str(version)
    shutil.copytree(paths.candidate, folder)
    write_record(folder, {"replaced": None, "metrics": dict(metrics), "tags": dict(tags)})
    return str(version)


def follow(paths: Paths, champion: str | None = None) -> None:
    """Write down which versions are in service, in the files champion and challenger of the registry.

    Of several versions of the same model it is the newest, unless the number of the `champion` is said. A version
    that follows an older one as champion remembers which.
    """
    models = {number: folders.version_of(registry(paths) / str(number)) for number in versions(paths)}
    for alias, folder in (("champion", paths.champion), ("challenger", paths.challenger)):
        old, model = holder(paths, alias), folders.version_of(folder)
        told = champion if alias == "champion" else None
        if old and models[old] == model and not told:
            continue
        (registry(paths) / alias).unlink(missing_ok=True)
        new = int(told) if told else max((number for number, same in models.items() if same == model), default=None)
        if new:
            (registry(paths) / alias).write_text(f"{new}\n", encoding="utf-8")
        if alias == "champion" and old and new and new > old:
            version = registry(paths) / str(new)
            write_record(version, read_record(version) | {"replaced": old})


def fetch_replaced(paths: Paths, folder: Path) -> str:
    """Copy the version that the champion replaced to a new folder, and return its number.

    Raises ProjectError if there is no champion, or none before it.
    """
    current = holder(paths, "champion")
    if current is None:
        raise ProjectError("No champion is registered. Run `make run` first.")
    replaced = read_record(registry(paths) / str(current))["replaced"]
    if replaced is None:
        raise ProjectError(f"Version {current} is the first champion; there is none to go back to.")
    shutil.copytree(registry(paths) / str(replaced), folder, ignore=shutil.ignore_patterns("run.json"))
    return str(replaced)


def holder(paths: Paths, alias: str) -> int | None:
    """Return the number of the version that has an alias, or None."""
    marker = registry(paths) / alias
    return int(marker.read_text(encoding="utf-8")) if marker.is_file() else None


def registry(paths: Paths) -> Path:
    """Return the folder of all versions."""
    return paths.artifacts / "registry"


def versions(paths: Paths) -> list[int]:
    """Return the numbers of all versions."""
    return [int(folder.name) for folder in registry(paths).glob("[0-9]*")]


def read_record(version: Path) -> dict[str, Any]:
    """Read what is recorded of a version."""
    record: dict[str, Any] = json.loads((version / "run.json").read_text(encoding="utf-8"))
    return record


def write_record(version: Path, record: Mapping[str, Any]) -> None:
    """Write what is recorded of a version."""
    (version / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
