"""The clouds' own Python packages with a finished project: the scripts of deploy/, and their local modes."""

import base64
import json
import shutil
import socket
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import run
from tests.template.conftest import BIN, Tools
from tests.template.engine import Engine, address, ask, wait_until_ready

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def everywhere(deployed: Path, finished_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished project, with the files for every place."""
    project = tmp_path_factory.mktemp("everywhere") / "project"
    shutil.copytree(deployed, project)
    shutil.copytree(finished_project / "artifacts" / "champion", project / "artifacts" / "champion")
    shutil.copy(finished_project / "uv.lock", project)
    return project


def read(project: Path, name: str) -> Any:
    """A file of the project's champion."""
    return json.loads((project / "artifacts" / "champion" / name).read_text())


def example(project: Path) -> str:
    """A row to ask about, as JSON."""
    return json.dumps(read(project, "examples.json")[0]["inputs"])


# --- Hugging Face ---------------------------------------------------------------------------------


@dataclass
class Hub:
    """What reached a server that answers as Hugging Face does."""

    address: str = ""
    made: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)

    def answer(self, path: str, body: bytes) -> Any:
        if path == "/api/repos/create":
            self.made.append(json.loads(body))
            return {"url": f"{self.address}/spaces/ada/flights"}
        if path.startswith("/api/spaces/ada/flights/tree/"):
            return [
                {"type": "file", "path": name, "size": 1, "oid": "0"} for name in ("README.md", "old.txt")
            ]
        if path.startswith("/api/spaces/ada/flights/preupload/"):
            names = [each["path"] for each in json.loads(body)["files"]]
            return {"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]}
        if path.startswith("/api/spaces/ada/flights/commit/"):
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
                elif entry["key"] == "deletedFile":
                    self.deleted.append(entry["value"]["path"])
            return {"commitUrl": f"{self.address}/spaces/ada/flights/commit/1", "commitOid": "1"}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        return {"id": "ada/flights", "sha": "0"}


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            content = json.dumps(hub.answer(self.path.partition("?")[0], body)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = respond  # noqa: N815 - http.server's own names

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield hub
        server.shutdown()
        thread.join()


def test_a_space_gets_what_the_image_is_built_from(
    everywhere: Path, hub: Hub, tools: Tools, engine: Engine, tmp_path: Path
) -> None:
    python = tools("huggingface-hub") / "python"
    script = everywhere / "deploy" / "hugging_face" / "deploy.py"
    environment = engine.environment | {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_TOKEN": "hf_test",
    }
    assert "USER/NAME" in run(tmp_path, environment, python, script).output

    done = run(tmp_path, environment, python, script, "ada/flights")

    assert done.code == 0, done.output
    assert done.output.splitlines()[-1] == f"{hub.address}/spaces/ada/flights"
    assert hub.made == [{"name": "flights", "organization": "ada", "type": "space", "sdk": "docker"}]
    assert hub.deleted == ["old.txt"]
    assert hub.files["README.md"].startswith(b'---\ntitle: "Flight delay"\nsdk: docker\napp_port: 8080\n')
    assert {name.partition("/")[0] for name in hub.files} == {
        ".dockerignore",
        "Dockerfile",
        "README.md",
        "artifacts",
        "pyproject.toml",
        "src",
        "uv.lock",
    }

    # Hugging Face builds what it got, and runs it as user 1000 with the page where the card says.
    space = tmp_path / "space"
    for name, content in hub.files.items():
        (space / name).parent.mkdir(parents=True, exist_ok=True)
        (space / name).write_bytes(content)
    built = engine.build(space, "space")
    assert built.returncode == 0, built.stdout[-3000:]
    name = engine.docker("run", "--detach", "--user", "1000", "--publish", "127.0.0.1::8080", "space")
    try:
        wait_until_ready(engine, name)
        assert ask(f"{address(engine, name)}/examples")
    finally:
        engine.docker("rm", "--force", "--volumes", name)
        engine.docker("image", "rm", "--force", "space")


def test_without_a_champion_there_is_nothing_to_upload(
    deployed: Path, tools: Tools, outside: dict[str, str], hub: Hub
) -> None:
    python = tools("huggingface-hub") / "python"
    script = deployed / "deploy" / "hugging_face" / "deploy.py"
    refused = run(
        deployed, outside | {"HF_ENDPOINT": hub.address, "HF_TOKEN": "x"}, python, script, "ada/flights"
    )
    assert refused.code == 1
    assert refused.output.splitlines()[-1].endswith("Train one first: make run")
    assert hub.files == {}


# --- Vertex AI ------------------------------------------------------------------------------------

# The script with the package's own calls, each held to its signature, and no cloud behind them.
VERTEX_SCRIPT = """
import runpy, sys
from unittest import mock
from google.cloud import aiplatform
from google.cloud.aiplatform import Endpoint, Model

earlier = sys.argv[1] == "again"
script = runpy.run_path(sys.argv[2])
endpoint = mock.create_autospec(Endpoint, instance=True)
endpoint.list_models.return_value = [mock.Mock(id="7")] if earlier else []
model = mock.create_autospec(Model, instance=True)
model.resource_name = "projects/p/locations/r/models/3"
with (
    mock.patch.object(aiplatform, "init", autospec=True) as init,
    mock.patch.object(Model, "list", return_value=[model] if earlier else []) as models,
    mock.patch.object(Model, "upload", autospec=True, return_value=model) as upload,
    mock.patch.object(Endpoint, "list", return_value=[endpoint] if earlier else []) as endpoints,
    mock.patch.object(Endpoint, "create", autospec=True, return_value=endpoint) as create,
):
    assert script["deploy"]("p", "r", "r-docker.pkg.dev/p/x:1") is endpoint
init.assert_called_once_with(project="p", location="r")
for listing in (models, endpoints):
    listing.assert_called_once_with(filter='display_name="flight-delay"')
given = upload.call_args.kwargs
assert given["parent_model"] == (model.resource_name if earlier else None), given
assert given["serving_container_image_uri"] == "r-docker.pkg.dev/p/x:1"
assert create.call_count == (0 if earlier else 1)
assert endpoint.deploy.call_args.args == (model,)
assert endpoint.deploy.call_args.kwargs["traffic_percentage"] == 100
assert [call.args for call in endpoint.undeploy.call_args_list] == ([("7",)] if earlier else [])
order = [call[0] for call in endpoint.method_calls]
assert order == ["list_models", "deploy"] + ["undeploy"] * earlier, order
print({key: value for key, value in given.items() if key.endswith(("_route", "_ports"))})
"""

VERTEX_LOCAL = """
import ast, json, sys
from google.cloud.aiplatform.prediction import LocalModel

image, routes, row = sys.argv[1:]
model = LocalModel(serving_container_image_uri=image, **ast.literal_eval(routes))
with model.deploy_to_local_endpoint() as endpoint:
    health = endpoint.run_health_check()
    body = json.dumps({"instances": [json.loads(row)] * 2})
    answer = endpoint.predict(request=body, headers={"content-type": "application/json"})
print(json.dumps([health.status_code, answer.status_code, answer.json()]))
"""


def test_vertex_ai_gets_the_image_and_runs_it(
    everywhere: Path, image: str, engine: Engine, tools: Tools
) -> None:
    python = tools("google-cloud-aiplatform[prediction]") / "python"
    script = everywhere / "deploy" / "vertex_ai" / "deploy.py"
    environment = engine.environment | {"NO_GCE_CHECK": "true", "GOOGLE_CLOUD_PROJECT": "p"}
    quiet = (python, "-W", "ignore", "-c")
    first, again = (
        run(everywhere, environment, *quiet, VERTEX_SCRIPT, when, script) for when in ("first", "again")
    )
    assert first.code == 0, first.output
    assert again.code == 0, again.output

    routes = first.output.splitlines()[-1]
    served = run(everywhere, environment, *quiet, VERTEX_LOCAL, image, routes, example(everywhere))
    assert served.code == 0, served.output
    health, status, answer = json.loads(served.output.splitlines()[-1])
    assert (health, status) == (200, 200)
    version = read(everywhere, "manifest.json")["version"]
    assert [each["model_version"] for each in answer["predictions"]] == [version] * 2


# --- SageMaker ------------------------------------------------------------------------------------

SAGEMAKER_LOCAL = """
import json, sys
import boto3
from sagemaker.deserializers import JSONDeserializer
from sagemaker.local import LocalSession
from sagemaker.model import Model
from sagemaker.predictor import Predictor
from sagemaker.serializers import JSONSerializer

image, model, row, root, port = sys.argv[1:]
session = LocalSession(boto3.Session(region_name="eu-west-1"))
session.config = {"local": {"container_root": root, "local_code": True, "serving_port": int(port)}}
served = Model(
    image_uri=image,
    model_data="file://" + model,
    role="arn:aws:iam::123456789012:role/endpoint",
    sagemaker_session=session,
    predictor_cls=Predictor,
)
predictor = served.deploy(initial_instance_count=1, instance_type="local", endpoint_name="flight-delay")
predictor.serializer, predictor.deserializer = JSONSerializer(), JSONDeserializer()
try:
    answer = predictor.predict(json.loads(row))
finally:
    predictor.delete_endpoint()
print("ANSWER " + json.dumps(answer))
"""


def test_sagemakers_local_mode_runs_the_image_with_a_model_of_its_own(
    image: str, engine: Engine, tools: Tools, everywhere: Path, tmp_path: Path
) -> None:
    python = tools("sagemaker[local]<3") / "python"
    champion = shutil.copytree(everywhere / "artifacts" / "champion", tmp_path / "champion")
    manifest = read(everywhere, "manifest.json") | {"version": "0123456789ab"}
    (champion / "manifest.json").write_text(json.dumps(manifest))
    # It unpacks the model beside the archive, and mounts that folder, which user 1000 must be able to read.
    brought = tmp_path / "brought"
    brought.mkdir()
    model = brought / "model.tar.gz"
    with tarfile.open(model, "w:gz") as archive:
        archive.add(champion, ".")
    (tmp_path / "config.yaml").write_text(
        'SchemaVersion: "1.0"\nSageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}\n'
    )
    (tmp_path / "root").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    environment = engine.environment | {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SECRET_ACCESS_KEY": "test",
        "PATH": f"{BIN}:{engine.environment['PATH']}",  # which has docker-compose
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(tmp_path / "config.yaml"),
    }
    arguments = (image, str(model), example(everywhere), str(tmp_path / "root"), port)
    try:
        served = run(tmp_path, environment, python, "-W", "ignore", "-c", SAGEMAKER_LOCAL, *arguments)
    finally:
        engine.docker("network", "rm", "sagemaker-local", check=False)
    assert served.code == 0, served.output
    (line,) = (line for line in served.output.splitlines() if line.startswith("ANSWER "))
    assert json.loads(line.removeprefix("ANSWER "))["model_version"] == "0123456789ab"
