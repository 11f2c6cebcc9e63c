"""Runs, models and the champion's alias, in MLflow: a local SQLite file, or the server in MLFLOW_TRACKING_URI."""

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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities.model_registry import ModelVersion

    from .paths import Paths

# It reports each step of setting up its database, as if something were the matter.
for noisy in ("mlflow", "alembic"):
    logging.getLogger(noisy).setLevel(logging.WARNING)

ALIAS = "champion"
FOLDER = "model"  # where a run keeps the candidate's folder
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
    """Record the candidate as a new version of the model, give it the alias champion, and put it in service.

    The version remembers which one it replaces. Returns its number.
    """
    client = connect(paths)
    replaced = champion(client)
    with mlflow.start_run(run_name="champion", tags=dict(tags)) as run:
        mlflow.log_metrics(dict(metrics))
        mlflow.log_artifacts(str(paths.candidate), FOLDER)
    if not client.search_registered_models(f"name = '{problem.PROJECT}'"):
        client.create_registered_model(problem.PROJECT)
    source = f"{run.info.artifact_uri}/{FOLDER}"
    version = client.create_model_version(problem.PROJECT, source, run.info.run_id, tags=dict(tags)).version
    if replaced is not None:
        client.set_model_version_tag(problem.PROJECT, version, REPLACED, replaced.version)
    client.set_registered_model_alias(problem.PROJECT, ALIAS, version)
    put_in_service(paths, paths.candidate)
    return str(version)


def rollback(paths: Paths) -> str:
    """Give the alias back to the version that the champion replaced, put that in service, and return its number.

    Raises ProjectError if there is no champion, or none before it.
    """
    client = connect(paths)
    current = champion(client)
    if current is None:
        raise ProjectError("No champion is registered. Run `make run` first.")
    if REPLACED not in current.tags:
        raise ProjectError(f"Version {current.version} is the first champion; there is none to go back to.")
    previous = client.get_model_version(problem.PROJECT, current.tags[REPLACED])
    with tempfile.TemporaryDirectory() as folder:
        mlflow.artifacts.download_artifacts(artifact_uri=previous.source, dst_path=folder)
        put_in_service(paths, next(Path(folder).rglob("manifest.json")).parent)
    client.set_registered_model_alias(problem.PROJECT, ALIAS, previous.version)
    return str(previous.version)


def champion(client: MlflowClient) -> ModelVersion | None:
    """Return the version with the alias champion, or None if there is none."""
    try:
        return client.get_model_version_by_alias(problem.PROJECT, ALIAS)
    except MlflowException:
        return None


def put_in_service(paths: Paths, directory: Path) -> None:
    """Replace the champion's folder by a copy of `directory`."""
    incoming = paths.champion.with_name("champion.incoming")
    shutil.rmtree(incoming, ignore_errors=True)
    shutil.copytree(directory, incoming)
    shutil.rmtree(paths.champion, ignore_errors=True)
    incoming.rename(paths.champion)
