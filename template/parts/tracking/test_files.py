import json
from pathlib import Path
from typing import Any

import pytest

from << package_name >> import problem, rollout, tracking
from << package_name >>.errors import ProjectError
from << package_name >>.paths import Paths
from << package_name >>.serving import folders


def recorded(paths: Paths, run: str) -> dict[str, Any]:
    """Return what is recorded of a run."""
    folder = paths.artifacts / "runs" / run
    found = json.loads((folder / "run.json").read_text())
    # MLflow keeps parameters as text; whoever changes the tracker finds the same here.
    found["params"] = {name: str(value) for name, value in found["params"].items()}
    found["files"] = {file.name for file in folder.iterdir()} - {"run.json"}
    del found["time"]
    return dict(found)


def holder(paths: Paths, alias: str) -> str | None:
    """Return the version that has an alias in the registry."""
    marker = tracking.registry(paths) / alias
    return marker.read_text().strip() if marker.is_file() else None


def test_a_version_keeps_its_metrics_and_the_hash_of_its_data(paths: Paths) -> None:
    version = tracking.register(paths, {"test_cost": 0.5}, {"data": "hash of the data"})
    folder = tracking.registry(paths) / version
    found = json.loads((folder / "run.json").read_text())
    assert found["metrics"] == {"test_cost": 0.5}
    assert found["tags"] == {"data": "hash of the data"}
    assert {file.name for file in folder.iterdir()} == {file.name for file in paths.candidate.iterdir()} | {"run.json"}
