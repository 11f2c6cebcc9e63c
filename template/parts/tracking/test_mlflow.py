import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from << package_name >> import problem, rollout, tracking
from << package_name >>.errors import ProjectError
from << package_name >>.paths import Paths
from << package_name >>.serving import folders


def recorded(paths: Paths, run: str) -> dict[str, Any]:
    """Return what is recorded of a run."""
    found = tracking.connect(paths).get_run(run)
    tags = {key: value for key, value in found.data.tags.items() if not key.startswith("mlflow.")}
    files = {file.path for file in tracking.connect(paths).list_artifacts(run)}
    return {"name": found.info.run_name, "params": found.data.params, "metrics": found.data.metrics, "tags": tags,
            "files": files}  # fmt: skip


def holder(paths: Paths, alias: str) -> str | None:
    """Return the version that has an alias in the registry."""
    aliases = tracking.connect(paths).get_registered_model(problem.PROJECT).aliases
    return str(aliases[alias]) if alias in aliases else None


def test_everything_is_kept_in_the_project(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tracking.record(paths, "any", {}, {}, {}, (paths.candidate / "model.onnx",))
    assert (paths.root / "mlflow.db").is_file()
    assert [file.name for file in (paths.root / "mlruns").rglob("*.onnx")] == ["model.onnx"]
    # MLflow names its store to subprocesses; the next project must not take it for a server.
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert list(tmp_path.iterdir()) == []


def test_a_version_keeps_its_metrics_and_the_hash_of_its_data(paths: Paths) -> None:
    version = tracking.register(paths, {"test_cost": 0.5}, {"data": "hash of the data"})
    client = tracking.connect(paths)
    found = client.get_model_version(problem.PROJECT, version)
    run = str(found.run_id)
    assert found.tags["data"] == "hash of the data"
    assert client.get_run(run).data.metrics == {"test_cost": 0.5}
    artifacts = {file.path for file in client.list_artifacts(run, tracking.FOLDER)}
    assert artifacts == {f"{tracking.FOLDER}/{file.name}" for file in paths.candidate.iterdir()}


def test_the_environment_names_another_server(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: Path
) -> None:
    before = hashlib.sha256((paths.root / "mlflow.db").read_bytes()).digest()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}")
    run = tracking.record(paths, "on the server", {"a": 1}, {}, {})
    assert MlflowClient(f"sqlite:///{elsewhere}").get_run(run).info.run_name == "on the server"
    assert hashlib.sha256((paths.root / "mlflow.db").read_bytes()).digest() == before


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, project: Paths) -> Path:
    """Another store, a copy of the project's, because making one takes seconds."""
    tracking.record(project, "first", {}, {}, {})
    copy = tmp_path_factory.mktemp("server") / "elsewhere.db"
    copy.write_bytes((project.root / "mlflow.db").read_bytes())
    return copy
