"""What Prometheus and Grafana get: rules that promtool tests, and a real Prometheus on a real endpoint."""

import json
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import run
from tests.template.conftest import BIN, Render, ask
from tests.template.postgres import wait_until
from tests.template.test_endpoint import Endpoint

METRIC = re.compile(r"\b(?:http|predictions?|model|up)(?:_[a-z_]+)?(?=[\[{ )]|$)")


@pytest.fixture(scope="module")
def rendered(render: Render) -> Path:
    return render()


def rules(project: Path) -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((project / "monitoring/alerts.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def panels(project: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((project / "monitoring/grafana/dashboard.json").read_text())[
        "panels"
    ]
    return found


def expressions(project: Path) -> list[str]:
    shown = [target["expr"] for panel in panels(project) for target in panel["targets"]]
    return [rule["expr"] for rule in rules(project)] + shown


@pytest.fixture(scope="module")
def promtool() -> str:
    return program("promtool")


def program(name: str) -> str:
    found = shutil.which(name)
    if not found:
        pytest.skip(f"there is no {name}: apt-get install prometheus")
    return found


@pytest.mark.parametrize("words", [("config", "prometheus.yml"), ("rules", "alerts.yml")])
def test_promtool_finds_nothing_wrong(
    promtool: str, words: tuple[str, str], rendered: Path, outside: dict[str, str]
) -> None:
    checked = run(rendered / "monitoring", outside, promtool, "check", *words)
    assert checked.code == 0, checked.output


def test_every_alert_comes_when_it_must_and_only_then(
    promtool: str, rendered: Path, outside: dict[str, str], tmp_path: Path
) -> None:
    folder = shutil.copytree(rendered / "monitoring", tmp_path / "monitoring")
    tested = run(folder, outside, promtool, "test", "rules", "alerts_test.yml")
    assert tested.code == 0, tested.output
    cases = yaml.safe_load((folder / "alerts_test.yml").read_text())["tests"]
    expected = {
        case["alertname"] for test in cases for case in test["alert_rule_test"] if "exp_alerts" in case
    }
    assert expected == {rule["alert"] for rule in rules(rendered)}

    # And the tests can fail: no rule survives another comparison.
    text = (folder / "alerts.yml").read_text()
    for rule in rules(rendered):
        head, _, tail = text.partition(f"alert: {rule['alert']}\n")
        turned = re.sub(r"== 0|> [\d.]+", "> 1e9", tail, count=1)
        (folder / "alerts.yml").write_text(f"{head}alert: {rule['alert']}\n{turned}")
        assert run(folder, outside, promtool, "test", "rules", "alerts_test.yml").code != 0, rule["alert"]


def test_every_alert_leads_to_its_section_of_the_runbook(rendered: Path) -> None:
    headings = re.findall(r"^## (.*)$", (rendered / "docs/runbook.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for rule in rules(rendered):
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert file == "docs/runbook.md"
        assert anchor in anchors


def test_grafana_finds_its_datasource_and_its_dashboard(rendered: Path) -> None:
    folder = rendered / "monitoring/grafana"
    (source,) = yaml.safe_load((folder / "datasource.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in panels(rendered)} == {source["uid"]}
    (provider,) = yaml.safe_load((folder / "dashboards.yml").read_text())["providers"]
    services = yaml.safe_load((rendered / "compose.yaml").read_text())["services"]
    mounted = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    assert all((rendered / name).is_file() for name in mounted)
    dashboard = Path(mounted["./monitoring/grafana/dashboard.json"])
    assert str(dashboard.parent) == provider["options"]["path"]
    assert source["url"] == "http://prometheus:9090"
    for name in ("prometheus", "grafana"):
        assert services[name]["profiles"] == ["monitoring"]
    (scraped,) = yaml.safe_load((rendered / "monitoring/prometheus.yml").read_text())["scrape_configs"]
    assert scraped["static_configs"] == [{"targets": ["endpoint:8080"]}]


def test_compose_starts_both_only_when_asked(rendered: Path, outside: dict[str, str]) -> None:
    schema = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    checked = run(rendered, outside, *schema)
    assert checked.code == 0, checked.output
    at = outside | {"PWD": str(rendered)}
    plain = run(rendered, at, BIN / "docker-compose", "config", "--services")
    more = run(rendered, at, BIN / "docker-compose", "--profile", "monitoring", "config", "--services")
    assert plain.code == more.code == 0, plain.output + more.output
    assert set(more.output.split()) - set(plain.output.split()) == {"prometheus", "grafana"}


def test_panels_lie_side_by_side(rendered: Path) -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels(rendered))
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


class Prometheus:
    """A real one with the project's own files, but less patience: it asks every second, no alert waits."""

    def __init__(self, project: Path, folder: Path, endpoint: str) -> None:
        shutil.copytree(project / "monitoring", folder)
        for name, before, after in (
            ("prometheus.yml", r"interval: 15s", "interval: 1s"),
            ("prometheus.yml", r"endpoint:8080", endpoint),
            ("alerts.yml", r"for: \d+m", "for: 0s"),
        ):
            text = (folder / name).read_text()
            assert re.search(before, text)
            (folder / name).write_text(re.sub(before, after, text))
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{address}"
        words = (
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address={address}",
        )
        with (folder / "output").open("w") as output:
            self.process = subprocess.Popen([program("prometheus"), *words], cwd=folder, stderr=output)

    def get(self, path: str) -> Any:
        """Return what its API answers; nothing, as long as it does not."""
        try:
            return json.loads(ask(f"{self.url}/api/v1/{path}").body)["data"]
        except OSError:
            return {}

    def value(self, query: str) -> str:
        """Return the one value of a query, or nothing."""
        found = self.get(f"query?query={query}").get("result", [])
        return str(found[0]["value"][1]) if found else ""

    def firing(self) -> dict[str, str]:
        """Return what the alerts say that fire now."""
        alerts = [alert for alert in self.get("alerts")["alerts"] if alert["state"] == "firing"]
        return {alert["labels"]["alertname"]: alert["annotations"]["summary"] for alert in alerts}


def test_a_real_prometheus_scrapes_the_endpoint_and_raises_its_alerts(
    finished_project: Path, outside: dict[str, str], tmp_path: Path
) -> None:
    program("prometheus")
    endpoint = Endpoint(finished_project, tmp_path, outside)
    endpoint.start()
    prometheus = Prometheus(finished_project, tmp_path / "monitoring", f"127.0.0.1:{endpoint.port}")
    try:
        assert endpoint.predict() == 200
        wait_until(lambda: prometheus.value("sum(predictions_total)") == "1", 30)
        assert prometheus.value("up") == "1"
        known = set(prometheus.get("label/__name__/values"))
        asked = {name for expression in expressions(finished_project) for name in METRIC.findall(expression)}
        assert len(asked) >= 8
        assert asked <= known
        assert prometheus.firing() == {}

        def refuses() -> bool:
            assert ask(f"{endpoint.url}/predict", "{}").status == 422
            return "RequestsRefused" in prometheus.firing()

        wait_until(refuses, 30)
        assert prometheus.firing()["RequestsRefused"].startswith(f"127.0.0.1:{endpoint.port} refuses ")
        endpoint.end(signal.SIGTERM)
        wait_until(lambda: "EndpointDown" in prometheus.firing(), 30)
    finally:
        for process in (endpoint.process, prometheus.process):
            if process:
                process.terminate()
                process.wait()
