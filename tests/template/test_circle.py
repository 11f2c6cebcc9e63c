"""The whole circle on a finished project: an alarm, a challenger from newer data, its share, and the truth.

The project is set back: its tables end in June, and so does the test of its problem. Then time passes.
"""

import json
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import run
from tests.template.conftest import ask
from tests.template.test_endpoint import Clients, Endpoint

pytestmark = pytest.mark.slow

DATES = {"VALIDATION_FROM": "2013, 5, 1", "TEST_FROM": "2013, 6, 1", "TEST_UNTIL": "2013, 7, 1"}
CONNECTIONS = 16


class Life:
    """The project that was set back, its endpoint, and what passes through it."""

    def __init__(self, project: Path, folder: Path, environment: dict[str, str]) -> None:
        self.project = project
        self.folder = folder / "project"
        left_out = shutil.ignore_patterns(".venv", ".*_cache", ".git", "mlflow.db*", "mlruns", "artifacts")
        shutil.copytree(project, self.folder, ignore=left_out)
        self.log = folder / "predictions.sqlite"
        self.environment = environment | {
            "PYTHONPATH": str(self.folder / "src"),
            "PREDICTION_LOG": str(self.log),
            "CHALLENGER_SHARE": "0.5",
        }
        package = next((self.folder / "src").iterdir())
        problem = (package / "problem.py").read_text()
        for name, day in DATES.items():
            problem, changed = re.subn(
                rf"^{name} = date\(.*\)$", f"{name} = date({day})", problem, flags=re.MULTILINE
            )
            assert changed == 1
        (package / "problem.py").write_text(problem)
        tables = package / "data" / "tables.py"
        tables.write_text(
            re.sub(r'newest_is_from\(".*?"\)', 'newest_is_from("2013-06-30")', tables.read_text())
        )

    def python(self, program: str, *arguments: str | Path) -> str:
        """What a program prints, in the project's environment."""
        done = run(
            self.folder, self.environment, self.project / ".venv/bin/python", "-c", program, *arguments
        )
        assert done.code == 0, done.output
        return done.output

    def command(self, *words: str) -> tuple[int, str]:
        """Exit status and output of the project's command."""
        done = run(self.folder, self.environment, self.project / ".venv/bin/flight-delay", *words)
        assert "Traceback" not in done.output
        return done.code, done.output

    def tables_until(self, day: str) -> None:
        """Let the raw tables end before a day, as they would have on it."""
        self.python(
            "import duckdb, sys\n"
            "for table, time in (('flights', 'sched_dep'), ('weather', 'CAST(time_hour AS TIMESTAMP)')):\n"
            "    old, new = (f'{folder}/{table}.parquet' for folder in sys.argv[2:])\n"
            "    rows = duckdb.read_parquet(old).filter(f\"{time} < '{sys.argv[1]}'\")\n"
            "    rows.write_parquet(new)\n",
            *(day, self.project / "data/raw", self.folder / "data/raw"),
        )

    def requests(self, first: str, until: str, rows: int) -> list[tuple[dict[str, Any], bool]]:
        """Flights of a period, at equal distances, as requests, each with what happened."""
        program = (
            "import json, sys, numpy as np, pandas as pd\n"
            "from flight_delay import problem\n"
            "from flight_delay.data.pipeline import read_table\n"
            "from flight_delay.monitoring.simulate import requests\n"
            "from pathlib import Path\n"
            "file, first, until, rows = sys.argv[1:]\n"
            "table = read_table(Path(file)).sort_values(['decided_at', problem.KEY])\n"
            "table = table[(table.decided_at >= first) & (table.decided_at < until)]\n"
            "table = table.iloc[np.linspace(0, len(table) - 1, int(rows)).astype(int)]\n"
            "print(json.dumps(list(zip(requests(table), table[problem.TARGET].astype(bool).tolist()))))"
        )
        features = self.project / "data/processed/features.parquet"
        return [
            (row, truth) for row, truth in json.loads(self.python(program, features, first, until, str(rows)))
        ]

    def pass_time(self, first: str, until: str, rows: int, endpoint: Endpoint) -> Counter[str]:
        """Ask for the flights of a period, tell what happened to each, and return who answered how many."""
        flights = self.requests(first, until, rows)
        answers: list[dict[str, Any]] = []
        for start in range(0, len(flights), 100):
            body = {"rows": [row for row, _ in flights[start : start + 100]]}
            answer = ask(f"{endpoint.url}/predict/batch", json.dumps(body))
            assert answer.status == 200, answer.body
            answers += json.loads(answer.body)["predictions"]
        told = [
            {"request_id": answer["request_id"], "truth": truth}
            for answer, (_, truth) in zip(answers, flights, strict=True)
        ]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            shares = [told[first::CONNECTIONS] for first in range(CONNECTIONS)]
            list(pool.map(lambda share: tell(endpoint.port, share), shares))
        return Counter(answer["model_version"] for answer in answers)

    def version(self, name: str) -> str:
        manifest = json.loads((self.folder / "artifacts" / name / "manifest.json").read_text())
        return str(manifest["version"])

    def round(self) -> dict[str, Any]:
        """Do a round of the workflow, and return its record."""
        code, output = self.command("watch")
        file = max((self.folder / "artifacts/rounds").iterdir())
        record: dict[str, Any] = json.loads(file.read_text())
        assert f"{record['outcome']}\n" in output
        assert code == (3 if record["needs_person"] else 0)
        return record

    def aliases(self) -> dict[str, str]:
        """Which models the registry calls what."""
        program = (
            "import json\n"
            "from pathlib import Path\n"
            "from flight_delay import problem, tracking\n"
            "from flight_delay.paths import Paths\n"
            "client = tracking.connect(Paths(Path.cwd()))\n"
            "aliases = client.get_registered_model(problem.PROJECT).aliases\n"
            "tags = {a: client.get_model_version(problem.PROJECT, v).tags for a, v in aliases.items()}\n"
            "print(json.dumps({alias: of['version'] for alias, of in tags.items()}))"
        )
        found: dict[str, str] = json.loads(self.python(program).splitlines()[-1])
        return found


def tell(port: int, truths: list[dict[str, Any]]) -> None:
    """Tell truths over one connection; a busy disk may refuse one for a moment."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        for truth in truths:
            refused, content = 0, b""
            while refused < 20:
                connection.request(
                    "POST", "/feedback", json.dumps(truth), {"content-type": "application/json"}
                )
                answer = connection.getresponse()
                content = answer.read()
                if answer.status != 503:
                    break
                refused += 1
                time.sleep(0.5)
            assert content == b'{"status":"recorded"}'


def in_service(endpoint: Endpoint) -> dict[str, str | None]:
    """What the endpoint says it serves."""
    found = json.loads(ask(f"{endpoint.url}/model").body)
    challenger = found["challenger"]
    return {"champion": found["version"], "challenger": challenger and challenger["version"]}


def wait_for(endpoint: Endpoint, champion: str, challenger: str | None) -> None:
    """Until the endpoint serves these, some seconds at most."""
    until = time.monotonic() + 15
    while in_service(endpoint) != {"champion": champion, "challenger": challenger}:
        assert time.monotonic() < until, in_service(endpoint)
        time.sleep(0.1)


@pytest.fixture(scope="module")
def life(finished_project: Path, outside: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Life:
    """The project in July, with a champion that learned until May."""
    life = Life(finished_project, tmp_path_factory.mktemp("life"), outside)
    life.tables_until("2013-07-01")
    code, output = life.command("retrain")
    assert code == 0, output[-3000:]
    assert not (life.folder / "artifacts/challenger").exists()
    return life


@pytest.fixture(scope="module")
def endpoint(life: Life, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """Its endpoint, started once and never again."""
    served = Endpoint(life.project, tmp_path_factory.mktemp("served"), life.environment)
    served.log = life.log
    yield from started(served, life)


@pytest.fixture
def two_workers(life: Life, tmp_path: Path) -> Iterator[Endpoint]:
    """Another endpoint over the same models, of two processes and with a log of its own."""
    settings = {"WEB_CONCURRENCY": "2", "PREDICTION_LOG": str(tmp_path / "predictions.sqlite")}
    yield from started(Endpoint(life.project, tmp_path, life.environment | settings), life)


def started(served: Endpoint, life: Life) -> Iterator[Endpoint]:
    """Start an endpoint over the project that was set back, and stop it in the end."""
    program = life.project / ".venv/bin/flight-delay"
    with served.output.open("a") as output:
        served.process = subprocess.Popen(
            [program, "--root", life.folder, "serve", "--port", str(served.port)],
            cwd=life.folder,
            env=served.environment,
            stdout=output,
            stderr=output,
        )
    until = time.monotonic() + 60
    while True:
        try:
            if ask(f"{served.url}/ready").status == 200:
                break
        except OSError:
            assert time.monotonic() < until, served.output.read_text()
            time.sleep(0.1)
    yield served
    served.process.terminate()
    served.process.wait(timeout=30)


def test_an_alarm_leads_to_a_champion_of_newer_data(life: Life, endpoint: Endpoint) -> None:
    first = life.version("champion")
    assert life.pass_time("2013-08-01", "2013-08-29", 6000, endpoint) == {first: 6000}
    code, output = life.command("monitor")
    assert code == 3
    assert "ALARM The model is older than it ever was in its test" in output

    # There is nothing newer to learn from, so nothing is trained; then there is.
    assert life.round()["outcome"].startswith("nothing newer to learn from: refresh data/raw")
    life.tables_until("2013-09-01")
    made = life.round()
    assert [name for name, _, _ in made["steps"]] == ["monitor", "data", "train", "evaluate", "gate"]
    second = life.version("challenger")
    assert made["outcome"].startswith(f"{second} is tried as the challenger")
    assert life.version("champion") == first != second
    wait_for(endpoint, first, second)

    answered = life.pass_time("2013-09-01", "2013-09-29", 16_000, endpoint)
    assert set(answered) == {first, second}
    assert 0.45 < answered[second] / 16_000 < 0.55
    with Clients(endpoint, 4) as clients:
        promoted = life.round()
        wait_for(endpoint, second, None)
    assert promoted["outcome"].startswith(f"promoted {second}: it costs no more than")
    assert life.version("champion") == second
    assert life.version("previous") == first
    assert set(clients.statuses) == {200}
    assert life.aliases() == {"champion": second}

    page = (life.folder / "reports/workflow.html").read_text()
    for words in ("nothing newer to learn from", f"{second} is tried", f"promoted {second}"):
        assert words in page


def test_a_bad_challenger_is_dropped(life: Life, endpoint: Endpoint) -> None:
    champion = life.version("champion")
    life.python(
        "import json, shutil, sys\n"
        "from pathlib import Path\n"
        "from flight_delay import rollout\n"
        "from flight_delay.paths import Paths\n"
        "paths = Paths(Path.cwd())\n"
        "file = paths.candidate / 'manifest.json'\n"
        "manifest = json.loads(file.read_text())\n"
        "a, b = manifest['calibration']['a'], manifest['calibration']['b']\n"
        "manifest |= {'version': 'bad', 'calibration': {'a': -a, 'b': -b - 2.5}}\n"
        "file.write_text(json.dumps(manifest))\n"
        "rollout.challenge(paths, {}, {})\n"
    )
    wait_for(endpoint, champion, "bad")
    answered = life.pass_time("2013-10-01", "2013-10-15", 8000, endpoint)
    assert set(answered) == {champion, "bad"}

    with Clients(endpoint, 4) as clients:
        dropped = life.round()
        wait_for(endpoint, champion, None)

    assert dropped["outcome"].startswith("dropped bad: ")
    assert life.version("champion") == champion
    assert life.aliases() == {"champion": champion}
    assert set(clients.statuses) == {200}


def test_a_rollback_under_load_loses_no_request(
    life: Life, endpoint: Endpoint, two_workers: Endpoint
) -> None:
    before, replaced = life.version("champion"), life.version("previous")
    with Clients(endpoint) as clients:
        time.sleep(0.5)
        code, output = life.command("rollback")
        assert code == 0, output
        wait_for(endpoint, replaced, None)
        time.sleep(3)  # every worker has looked by then

    assert set(clients.statuses) == {200}
    assert set(clients.acknowledged) <= set(endpoint.logged())
    for each in (endpoint, two_workers):
        answers = [json.loads(ask(f"{each.url}/predict", body).body) for body in each.bodies]
        assert {answer["model_version"] for answer in answers} == {replaced} != {before}
