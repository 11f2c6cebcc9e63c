"""The default project after one run from end to end: what it measured, wrote, registered and answers."""

import json
import re
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.conftest import git, run
from tests.template.conftest import ask

PAGES = ["exploration", "evaluation", "monitoring"]


@pytest.fixture(scope="module")
def metrics(finished_project: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((finished_project / "reports/metrics.json").read_text())
    return found


@pytest.fixture(scope="module")
def manifest(finished_project: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((finished_project / "artifacts/champion/manifest.json").read_text())
    return found


# --- what it measured -----------------------------------------------------------------------------


def test_the_champion_is_cheap_enough_on_every_test_flight(metrics: dict[str, Any]) -> None:
    cost = metrics["models"][metrics["champion"]]["cost"]
    assert metrics["test"] | {"positive_rate": 0} == {
        "from": "2013-10-01",
        "until": "2014-01-01",
        "rows": 84_292,
        "positive_rate": 0,
    }
    assert 0.5 < cost["value"] <= 0.605
    assert cost["low"] < cost["value"] < cost["high"]
    assert cost["high"] - cost["low"] > 0.02  # whole days are drawn; rows alone would promise a fifth of this


def test_it_is_compared_with_what_a_desk_could_do_instead(metrics: dict[str, Any]) -> None:
    costs = {name: found["cost"]["value"] for name, found in metrics["models"].items()}
    assert costs["the desk's rule"] == pytest.approx(0.80, abs=0.005)
    assert 0.60 < costs["baseline"] < 0.64
    # What these cost follows from the share of late flights alone.
    share = metrics["test"]["positive_rate"]
    assert costs["always on time"] == pytest.approx(4 * share, abs=1e-5)
    assert costs["always late"] == pytest.approx(1 - share, abs=1e-5)
    for name in ("the desk's rule", "baseline", "always on time", "always late"):
        assert metrics["dearer_than_champion"][name]["low"] > 0, name


def test_the_optimism_of_a_random_split_is_shown(metrics: dict[str, Any]) -> None:
    split = metrics["random_split"]
    assert split["roc_auc"] > split["time_split_roc_auc"] + 0.01


def test_the_costs_of_the_slices_add_up(metrics: dict[str, Any]) -> None:
    whole = metrics["models"][metrics["champion"]]["cost"]["value"]
    for field in ("origin", "carrier", "departure_hour", "month"):
        slices = [found for found in metrics["slices"] if found["slice"] == field]
        assert sum(found["rows"] for found in slices) == 84_292
        assert sum(found["rows"] * found["cost"]["value"] for found in slices) / 84_292 == pytest.approx(
            whole, abs=1e-4
        )


# --- what it wrote --------------------------------------------------------------------------------


class Sources(HTMLParser):
    """The addresses of pictures and links in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's own form
        self.found += [value for name, value in attrs if name in {"src", "href"} and value]


@pytest.mark.parametrize("page", PAGES)
def test_reports_show_pictures_that_are_there(page: str, finished_project: Path) -> None:
    report = finished_project / f"reports/{page}.html"
    sources = Sources()
    sources.feed(report.read_text())
    pictures = [source for source in sources.found if source.endswith(".png")]
    local = [source for source in sources.found if not source.startswith(("#", "data:", "https://"))]
    assert len(pictures) >= 2
    assert [source for source in local if not (report.parent / unquote(source)).is_file()] == []
    for picture in pictures:
        content = (report.parent / unquote(picture)).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) > 3000  # more than an empty plot
    assert "<<" not in report.read_text()
    assert not re.search(r">\s*(nan|None|inf)\s*<", report.read_text())


def test_the_documents_tell_what_was_measured(finished_project: Path, metrics: dict[str, Any]) -> None:
    cost = metrics["models"][metrics["champion"]]["cost"]
    figure = f"{cost['value']:.3f} ({cost['low']:.3f} to {cost['high']:.3f})"
    for name in ("README.md", "docs/model_card.md"):
        text = (finished_project / name).read_text()
        measured = text.partition("<!-- measured:begin -->")[2].partition("<!-- measured:end -->")[0]
        assert figure in measured, name
        assert "84,292" in measured, name
    rows = [
        line for line in (finished_project / "README.md").read_text().splitlines() if line.startswith("|")
    ]
    for name, found in metrics["models"].items():
        row = next(row for row in rows if row.replace("*", "").startswith(f"| {name} |"))
        assert f"| {found['cost']['value']:.3f} |" in row


@pytest.mark.parametrize(
    "name",
    ["README.md", *(f"docs/{name}.md" for name in ("experiments", "model_card", "problem", "runbook"))],
)
def test_links_of_the_documents_lead_somewhere(name: str, finished_project: Path) -> None:
    document = finished_project / name
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text())
    local = [link for link in links if not link.startswith("https://")]
    assert [link for link in local if not (document.parent / link).exists()] == []


def test_experiments_tells_what_did_not_work(finished_project: Path, metrics: dict[str, Any]) -> None:
    text = (finished_project / "docs/experiments.md").read_text()
    tried = set(metrics["models"]) - {metrics["champion"], "baseline", "always late", "always on time"}
    assert [name for name in tried if "rule" not in name and f"| {name} |" not in text] == []
    assert f"{metrics['random_split']['roc_auc']:.3f}" in text


def test_parameters_are_kept_in_git(finished_project: Path) -> None:
    assert json.loads((finished_project / "params.json").read_text())
    committed = set(git(finished_project, "ls-files").splitlines())
    assert {"params.json", "uv.lock", "reports/metrics.json", "reports/evaluation.html"} <= committed
    assert not [
        name for name in committed if name.startswith(("artifacts/", ".venv/", "data/processed/", "mlruns/"))
    ]


def test_the_history_is_the_learners_and_nothing_is_left_over(finished_project: Path) -> None:
    assert git(finished_project, "status", "--porcelain") == ""
    history = git(finished_project, "log", "--reverse", "--format=%s").splitlines()
    assert history == ["Start Flight delay", "Record the results of the first run"]
    assert len(set(git(finished_project, "log", "--format=%an <%ae>%cn <%ce>").splitlines())) == 1


def test_bad_rows_are_set_aside_with_a_reason(finished_project: Path) -> None:
    rejected = (finished_project / "data/rejected/weather.csv").read_text().splitlines()
    assert "reason" in rejected[0]
    assert len(rejected) == 2


# --- what it registered ---------------------------------------------------------------------------


def test_the_champion_is_registered_in_mlflow(finished_project: Path, manifest: dict[str, Any]) -> None:
    with sqlite3.connect(f"file:{finished_project / 'mlflow.db'}?mode=ro", uri=True) as database:
        aliases = database.execute("SELECT alias, version FROM registered_model_aliases").fetchall()
        tags = dict(database.execute("SELECT key, value FROM model_version_tags").fetchall())
        keys = {key for (key,) in database.execute("SELECT DISTINCT key FROM metrics")}
    assert [alias for alias, _ in aliases] == ["champion"]
    assert manifest["version"] in tags.values()
    assert any("cost" in key for key in keys)


@pytest.fixture
def copy(finished_project: Path, tmp_path: Path) -> Path:
    """The project's files elsewhere, to be changed, without the tracked runs, which stay where they are."""
    folder = tmp_path / "copy"
    left_out = shutil.ignore_patterns(".venv", ".*_cache", "mlflow.db*", "mlruns")
    shutil.copytree(finished_project, folder, ignore=left_out)
    return folder


def stage(project: Path, folder: Path, environment: dict[str, str], *words: str) -> tuple[int, str]:
    """Call the project's own command, as it is installed, on a folder."""
    done = run(folder, environment, project / ".venv/bin/flight-delay", "--root", folder, *words)
    return done.code, done.output


def test_a_leak_stops_the_gate_or_the_contract(
    finished_project: Path, copy: Path, outside: dict[str, str], manifest: dict[str, Any]
) -> None:
    """A feature that is not known in time is refused, and nothing is registered."""
    query = copy / "sql/features.sql"
    text = query.read_text()
    leak = re.sub(
        r"airport\.delay_3h AS airport_delay_min",
        "examples.later_arrival_delay AS airport_delay_min",
        text,
    )
    assert leak != text
    query.write_text(leak)
    code, output = stage(finished_project, copy, outside, "data")
    assert code == 1
    assert "later_arrival_delay" in output
    assert "Traceback" not in output
    champion = json.loads((copy / "artifacts/champion/manifest.json").read_text())
    assert champion["version"] == manifest["version"]


def test_the_monitor_judges_the_replay(finished_project: Path, copy: Path, outside: dict[str, str]) -> None:
    report = copy / "reports/monitoring.html"
    report.unlink()
    code, output = stage(finished_project, copy, outside, "monitor")
    assert report.read_text().startswith("<!doctype html>")
    assert (code == 1) == ("ALARM" in output)


# --- what it answers ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def endpoint(
    finished_project: Path, outside: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The project's own `serve`, on a free port, with a log of its own."""
    folder = tmp_path_factory.mktemp("endpoint")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "output").open("w") as output:
        server = subprocess.Popen(
            [finished_project / ".venv/bin/flight-delay", "serve", "--port", str(port)],
            cwd=finished_project,
            env=outside | {"PREDICTION_LOG": str(folder / "predictions.sqlite")},
            stdout=output,
            stderr=output,
        )
    for _ in range(300):
        assert server.poll() is None, (folder / "output").read_text()
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(timeout=10)


def test_it_answers_every_example_as_the_champion_should(endpoint: str, manifest: dict[str, Any]) -> None:
    examples = json.loads(ask(f"{endpoint}/examples").body)
    acts = 0
    for example in examples:
        answer = json.loads(ask(f"{endpoint}/predict", json.dumps(example["inputs"])).body)
        assert answer["model_version"] == manifest["version"]
        assert answer["threshold"] == pytest.approx(1 / 5)
        acted = answer["probability"] >= answer["threshold"]
        assert answer["decision"] == ("rebook tight connections" if acted else "leave bookings as they are")
        acts += acted
    assert 0 < acts < len(examples)


def test_it_answers_a_batch_takes_the_truth_and_counts(endpoint: str) -> None:
    inputs = [example["inputs"] for example in json.loads(ask(f"{endpoint}/examples").body)]
    one = json.loads(ask(f"{endpoint}/predict", json.dumps(inputs[3])).body)
    batch = json.loads(ask(f"{endpoint}/predict/batch", json.dumps({"rows": inputs})).body)["predictions"]
    assert len(batch) == len(inputs)
    assert batch[3]["probability"] == one["probability"]
    truth = ask(f"{endpoint}/feedback", json.dumps({"request_id": one["request_id"], "truth": True}))
    assert json.loads(truth.body) == {"status": "recorded"}
    text = ask(f"{endpoint}/metrics").body
    assert re.search(r"^\w*predictions?_total\S* [1-9]", text, re.MULTILINE), text


def test_it_names_the_field_that_is_wrong(endpoint: str) -> None:
    inputs = json.loads(ask(f"{endpoint}/examples").body)[0]["inputs"]
    for field, value in {"carrier": "ZZ", "distance_miles": -1, "weekday": "Monday"}.items():
        answer = ask(f"{endpoint}/predict", json.dumps(inputs | {field: value}))
        assert answer.status == 422
        assert f'"{field}"' in answer.body
    missing = {name: value for name, value in inputs.items() if name != "origin"}
    answer = ask(f"{endpoint}/predict", json.dumps(missing))
    assert answer.status == 422
    assert '"origin"' in answer.body


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_the_curl_of_the_readme_works(endpoint: str, finished_project: Path, tmp_path: Path) -> None:
    """Word for word, but for the port, which is 8080 there."""
    readme = (finished_project / "README.md").read_text()
    block = next(block for block in re.findall(r"```sh\n(.+?)```", readme, re.DOTALL) if "/predict" in block)
    script = block.replace("http://localhost:8080", endpoint).replace("localhost:8080", endpoint)
    done = subprocess.run(["sh", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0 < json.loads(done.stdout)["probability"] < 1


# --- the same again -------------------------------------------------------------------------------


def test_a_second_run_changes_nothing_that_is_committed(
    finished_project: Path, copy: Path, outside: dict[str, str]
) -> None:
    code, output = stage(finished_project, copy, outside, "run")
    assert code == 0, output[-3000:]
    assert git(copy, "status", "--porcelain") == ""
    assert (copy / "artifacts/candidate/model.onnx").stat().st_mtime > (
        finished_project / "artifacts/candidate/model.onnx"
    ).stat().st_mtime


def test_rollback_puts_the_champion_before_back(
    finished_project: Path, copy: Path, outside: dict[str, str], manifest: dict[str, Any]
) -> None:
    """With other parameters a second champion is trained and registered; then the first one comes back."""
    champion = copy / "artifacts/champion/manifest.json"
    shutil.rmtree(champion.parent)  # the copy has a registry of its own, and nothing in it yet
    assert stage(finished_project, copy, outside, "gate")[0] == 0
    code, output = stage(finished_project, copy, outside, "rollback")
    assert code == 1
    assert "there is none to go back to" in output

    parameters = json.loads((copy / "params.json").read_text())
    (copy / "params.json").write_text(json.dumps(changed(parameters)))
    code, output = stage(finished_project, copy, outside, "retrain")
    assert code == 0, output[-2000:]
    assert json.loads(champion.read_text())["version"] == manifest["version"]  # it is tried first
    code, output = stage(finished_project, copy, outside, "canary", "promote")
    assert code == 0, output
    assert json.loads(champion.read_text())["version"] != manifest["version"]

    code, output = stage(finished_project, copy, outside, "rollback")
    assert code == 0, output
    assert json.loads(champion.read_text())["version"] == manifest["version"]


def changed(value: Any) -> Any:
    """The same parameters with every whole number above 20 a tenth smaller."""
    if isinstance(value, dict):
        return {key: changed(each) for key, each in value.items()}
    return value * 9 // 10 if isinstance(value, int) and value > 20 else value
