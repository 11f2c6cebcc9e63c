"""Runs, models and their aliases, in MLflow: a local SQLite file, or the server in MLFLOW_TRACKING_URI."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

# MLflow reports usage to its makers unless told otherwise.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from . import problem
from .errors import ProjectError
from .serving import folders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities.model_registry import ModelVersion

    from .paths import Paths

# It reports each step of setting up its database, as if something were the matter.
for noisy in ("mlflow", "alembic"):
    logging.getLogger(noisy).setLevel(logging.WARNING)

FOLDER = "model"  # where a run keeps the candidate's folder
MODEL = "version"  # the tag of a version with the model's own
REPLACED = "replaced"  # the tag of a version that names the champion before it


def connect(paths: Paths) -> MlflowClient:
    """Return a client of the server in MLFLOW_TRACKING_URI, or else of mlflow.db in the project."""
    server = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(server or f"sqlite:///{paths.root / 'mlflow.db'}")
    if not server:
        # MLflow has just put its own file there, for subprocesses; another project would take it for a server.
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    client = MlflowClient()
    if client.get_experiment_by_name(problem.PROJECT) is None:
        client.create_experiment(
            problem.PROJECT, artifact_location=None if server else (paths.root / "mlruns").as_uri()
        )
    mlflow.set_experiment(problem.PROJECT)
    return client


def record(
    paths: Paths,
    name: str,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    files: tuple[Path, ...] = (),
) -> str:
    """Record one run with its files, and return its id."""
    connect(paths)
    with mlflow.start_run(run_name=name, tags=dict(tags)) as run:
        mlflow.log_params(dict(params))
        mlflow.log_metrics(dict(metrics))
        for file in files:
            mlflow.log_artifact(str(file))
    return str(run.info.run_id)


def register(paths: Paths, metrics: Mapping[str, float], tags: Mapping[str, str]) -> str:
    """Record the candidate as a new version of the model, and return its number."""
    client = connect(paths)
    tags = {**tags, MODEL: str(folders.version_of(paths.candidate))}
    with mlflow.start_run(run_name="candidate", tags=tags) as run:
        mlflow.log_metrics(dict(metrics))
        mlflow.log_artifacts(str(paths.candidate), FOLDER)
    if not client.search_registered_models(f"name = '{problem.PROJECT}'"):
        client.create_registered_model(problem.PROJECT)
    source = f"{run.info.artifact_uri}/{FOLDER}"
    return str(client.create_model_version(problem.PROJECT, source, run.info.run_id, tags=tags).version)


def follow(paths: Paths, champion: str | None = None) -> None:
    """Give the aliases champion and challenger to the versions that are in service.

    Of several versions of the same model it is the newest, unless the number of the `champion` is said. A version
    that follows an older one as champion remembers which.
    """
    client = connect(paths)
    for alias, folder in (("champion", paths.champion), ("challenger", paths.challenger)):
        old, model = holder(client, alias), folders.version_of(folder)
        told = champion if alias == "champion" else None
        if old and old.tags.get(MODEL) == model and not told:
            continue
        if old:
            client.delete_registered_model_alias(problem.PROJECT, alias)
        same = client.search_model_versions(f"name = '{problem.PROJECT}' and tags.{MODEL} = '{model}'")
        new = int(told) if told else max((int(version.version) for version in same), default=None)
        if new:
            client.set_registered_model_alias(problem.PROJECT, alias, str(new))
        if alias == "champion" and old and new and new > int(old.version):
            client.set_model_version_tag(problem.PROJECT, str(new), REPLACED, old.version)


def fetch_replaced(paths: Paths, folder: Path) -> str:
    """Copy the version that the champion replaced to a new folder, and return its number.

    Raises ProjectError if there is no champion, or none before it.
    """
    client = connect(paths)
    current = holder(client, "champion")
    if current is None:
        raise ProjectError("No champion is registered. Run `make run` first.")
    if REPLACED not in current.tags:
        raise ProjectError(f"Version {current.version} is the first champion; there is none to go back to.")
    replaced = client.get_model_version(problem.PROJECT, current.tags[REPLACED])
    with tempfile.TemporaryDirectory() as download:
        mlflow.artifacts.download_artifacts(artifact_uri=replaced.source, dst_path=download)
        shutil.copytree(next(Path(download).rglob("manifest.json")).parent, folder)
    return str(replaced.version)


def holder(client: MlflowClient, alias: str) -> ModelVersion | None:
    """Return the version that has an alias, or None."""
    try:
        return client.get_model_version_by_alias(problem.PROJECT, alias)
    except MlflowException:
        return None
