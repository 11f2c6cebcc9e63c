"""The image as each platform starts it: by environment, mounts and command alone, with nothing writable."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.template.engine import Engine, address, ask, wait_until_ready

pytestmark = pytest.mark.slow

OTHER = "0123456789ab"


@dataclass
class Platform:
    """How a platform starts the image, and what it calls."""

    environment: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    user: str = ""
    model: str = ""
    port: int = 8080
    health: str = "/health"
    predict: str = "/predict"
    many: bool = False


PLATFORMS = {
    "vm": Platform(),
    "cloud_run": Platform({"PORT": "9090", "K_SERVICE": "flights"}, port=9090),
    "hugging_face": Platform({"SPACE_ID": "ada/flights"}, user="1000"),
    "sagemaker": Platform(command=("serve",), health="/ping", predict="/invocations"),
    "sagemaker, several containers, its own model": Platform(
        {"SAGEMAKER_BIND_TO_PORT": "8081"},
        command=("serve",),
        model="/opt/ml/model",
        port=8081,
        health="/ping",
        predict="/invocations",
    ),
    "azure_ml": Platform(
        {"AZUREML_MODEL_DIR": "/var/azureml-app/azureml-models/flights/3"},
        model="/var/azureml-app/azureml-models/flights/3/champion",
        predict="/score",
    ),
    "vertex_ai": Platform(
        {
            "AIP_HTTP_PORT": "8085",
            "AIP_HEALTH_ROUTE": "/v1/endpoints/7/deployedModels/9",
            "AIP_PREDICT_ROUTE": "/v1/endpoints/7/deployedModels/9:predict",
            "AIP_STORAGE_URI": "gs://bucket/model",
        },
        port=8085,
        health="/v1/endpoints/7/deployedModels/9",
        predict="/v1/endpoints/7/deployedModels/9:predict",
        many=True,
    ),
}


@pytest.fixture
def other_model(finished_project: Path, tmp_path: Path) -> Path:
    """The champion under another version, to tell it from the one in the image."""
    folder = tmp_path / "champion"
    folder.mkdir()
    for file in (finished_project / "artifacts" / "champion").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"version": OTHER}))
    tmp_path.chmod(0o755)
    return folder


@contextmanager
def started(engine: Engine, *arguments: str) -> Iterator[str]:
    name = engine.docker("run", "--detach", "--read-only", "--cap-drop=ALL", *arguments)
    try:
        yield name
    finally:
        engine.docker("rm", "--force", "--volumes", name, check=False)


@pytest.mark.parametrize("platform", PLATFORMS.values(), ids=list(PLATFORMS))
def test_it_answers_as_the_platform_expects(
    platform: Platform, engine: Engine, image: str, other_model: Path, finished_project: Path
) -> None:
    arguments = [
        part for name, value in platform.environment.items() for part in ("--env", f"{name}={value}")
    ]
    arguments += ["--user", platform.user] if platform.user else []
    arguments += ["--volume", f"{other_model}:{platform.model}:ro"] if platform.model else []
    arguments += ["--publish", f"127.0.0.1::{platform.port}", image, *platform.command]
    with started(engine, *arguments) as name:
        wait_until_ready(engine, name, platform.port)
        url = address(engine, name, platform.port)
        row = ask(f"{url}/examples")[0]["inputs"]
        expected = ask(f"{url}/predict", row)

        assert ask(url + platform.health) == {"status": "ok"}
        if platform.many:
            (answer,) = ask(url + platform.predict, {"instances": [row]})["predictions"]
        else:
            answer = ask(url + platform.predict, row)

        assert answer["probability"] == expected["probability"]
        champion = json.loads((finished_project / "artifacts" / "champion" / "manifest.json").read_text())
        assert answer["model_version"] == (OTHER if platform.model else champion["version"])
        assert engine.docker("exec", name, "id", "-u") == "1000"


def test_the_health_check_asks_where_the_platform_listens(engine: Engine, image: str) -> None:
    probe = json.loads(engine.docker("inspect", "-f", "{{json .Config.Healthcheck.Test}}", image))
    with started(engine, "--env", "AIP_HTTP_PORT=8085", "--publish", "127.0.0.1::8085", image) as name:
        wait_until_ready(engine, name, 8085)
        engine.docker("exec", name, *probe[1:])
        assert "refused" in engine.docker("exec", "--env", "PORT=8086", name, *probe[1:], check=False)


def test_a_platform_that_sets_nothing_finds_the_usual_port(engine: Engine, image: str) -> None:
    config: dict[str, Any] = json.loads(engine.docker("inspect", "-f", "{{json .Config}}", image))
    environment = dict(pair.split("=", 1) for pair in config["Env"])
    assert config["Cmd"] == ["serve"]
    assert len(config["Entrypoint"]) == 1
    assert config["User"] == "1000"
    assert list(config["ExposedPorts"]) == ["8080/tcp"]
    assert not {"PORT", "MODEL_DIR"} & set(environment)
