"""How fast a finished project's endpoint answers, beside the limit and other ways to serve the same model.

    python benchmarks/serving.py [--project FOLDER] [--rounds N] [--seconds N] [--write]

Every server runs alone, with one worker, on the first core. From the second one, wrk asks for the same flight
over and over, on 16 connections. A round starts every server anew, one after the other, so that other work on
the machine slows all alike. The limit has the project's request and answer, and predicts nothing. The peers
serve the project's LightGBM model as scikit-learn's pipeline on a pandas frame, each in an environment of its
own; they must give the project's probability as it is before calibration. Needs Linux, uv, and Debian's wrk.
"""

import argparse
import json
import math
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from urllib.request import Request, urlopen

import results

Words = Sequence[str | Path]
Figures = dict[str, float]

SERVERS = Path(__file__).resolve().parent / "servers"
LIMIT, OURS = "the limit", "the project"
CONNECTIONS, BATCH_CONNECTIONS, BATCH_ROWS = 16, 2, 1_000
WARM_SECONDS, START_SECONDS, STOP_SECONDS = 1, 120, 10
# What the peers need to read the model, in the project's own versions.
PINNED = ("joblib", "lightgbm", "numpy", "pandas", "scikit-learn")
# Of each peer: its package, and its command; mlflow serves what mlflow_model.py saves.
MLFLOW = "mlflow models serve"
PEERS = {
    "FastAPI, joblib, pandas": ("fastapi[standard]", "python tutorial.py PORT"),
    MLFLOW: ("mlflow", "mlflow models serve -m model --env-manager local -w 1 -p PORT"),
    "BentoML": ("bentoml", "bentoml serve bento:Served --port PORT"),
    "LitServe": ("litserve", "python lit.py PORT"),
}
HEAD = (
    "one row a request|requests/s|of the limit|project's, times|p50, ms|p99, ms|resident, MB|ready after, s"
)
GOAL = "the project's goal||≥ 0.70|≥ 20 of each peer||≤ 2 of the limit|≤ 130|≤ 1.5"


@dataclass
class Server:
    """One way to answer: its command, in which PORT is the port's place, and how it is asked."""

    name: str
    folder: Path
    command: Words
    rounds: list[Figures] = field(default_factory=list)
    answer: Any = None

    def median(self, figure: str) -> float:
        """Return a figure's median over all rounds."""
        return median(each[figure] for each in self.rounds)


def main() -> None:
    """Measure, print, and with `--write` record the tables in benchmarks/RESULTS.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--project", type=Path, help="a flight-delay that has run; else one is made")
    parser.add_argument("--rounds", type=int, default=5, help="how often each server is started")
    parser.add_argument("--seconds", type=int, default=5, help="how long it is asked each time")
    parser.add_argument("--write", action="store_true", help="record the tables in benchmarks/RESULTS.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        project = options.project.resolve() if options.project else made(work / "flight-delay")
        python = project / ".venv/bin/python"
        row = json.loads((project / "artifacts/champion/examples.json").read_text())[0]["inputs"]
        (work / "batch.json").write_text(json.dumps({"rows": [row] * BATCH_ROWS}))
        limit = Server(LIMIT, project, [python, SERVERS / "limit.py", "PORT"])
        ours = Server(OURS, project, [python.parent / "flight-delay", "serve", "--port", "PORT"])
        peers, missing = installed(project, work)
        os.sched_setaffinity(0, {1})
        for _ in range(options.rounds):
            for server in (limit, ours, *peers):
                server.rounds.append(measured(server, row, options.seconds, work))
        check_same_model(project, ours, peers)
        steps = json.loads(
            run(["taskset", "-c", "0", python, SERVERS / "steps.py", work / "batch.json"], project)
        )
    report = "\n\n".join(
        (introduction(options, missing), table([limit, ours, *peers]), batch_table(limit, ours, steps))
    )
    print(report)
    if options.write:
        results.write("serving", "The endpoint", report)


def made(project: Path) -> Path:
    """Make a project and run it from end to end."""
    command = Path(sys.executable).parent / "mlportfolio"
    run([command, "new", project, "--yes", "--run", "--set", "project_slug=flight-delay"], project.parent)
    return project


def run(words: Words, folder: Path) -> str:
    """Run a command in a folder, and return what it prints."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise RuntimeError(f"{' '.join(map(str, words))} failed: {said}")
    return str(done.stdout)


def installed(project: Path, work: Path) -> tuple[list[Server], list[str]]:
    """Install the peers; return those that can be had, and sentences about the others."""
    python = project / ".venv/bin/python"
    run([python, SERVERS / "fit.py", work / "model.joblib"], project)
    pinned = [f"{name}=={released(project, name)}" for name in PINNED]
    peers, missing = [], []
    for name, (package, command) in PEERS.items():
        folder = work / package
        shutil.copytree(SERVERS, folder)
        shutil.copy(work / "model.joblib", folder)
        commands = folder / ".venv/bin"
        try:
            run(["uv", "venv", "--quiet", "--python", python, ".venv"], folder)
            run(["uv", "pip", "install", "--quiet", "--python", ".venv/bin/python", package, *pinned], folder)
            if name == MLFLOW:
                run([commands / "python", "mlflow_model.py"], folder)
        except RuntimeError as error:
            missing.append(f"{name} cannot be had here: {str(error).splitlines()[-1].strip()}")
        else:
            peers.append(Server(name, folder, [commands / command.split()[0], *command.split()[1:]]))
    return peers, missing


def released(project: Path, package: str) -> str:
    """Return the version of a package in the project's environment."""
    [record] = project.glob(f".venv/lib/*/site-packages/{package.replace('-', '_')}-*.dist-info")
    return record.name.removesuffix(".dist-info").rpartition("-")[2]


def measured(server: Server, row: dict[str, Any], seconds: int, work: Path) -> Figures:
    """Start a server, ask it for one row until it answers, load it, and stop it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    address = f"http://127.0.0.1:{port}"
    url = address + ("/invocations" if server.name == MLFLOW else "/predict")
    body = work / "body.json"
    body.write_text(json.dumps({"dataframe_records": [row]} if server.name == MLFLOW else row))
    log = {"PREDICTION_LOG": str(work / f"{time.time_ns()}.sqlite")}
    paths = {"PATH": f"{Path(server.command[0]).parent}:{os.environ['PATH']}"}
    with (work / "server.txt").open("w") as output:
        begun = perf_counter()
        process = subprocess.Popen(
            ["taskset", "-c", "0", *(port if word == "PORT" else word for word in server.command)],
            cwd=server.folder,
            env={**os.environ, **log, **paths},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            server.answer = first_answer(url, body.read_bytes(), process)
            ready = perf_counter() - begun
            load(url, body, WARM_SECONDS, CONNECTIONS)
            figures = load(url, body, seconds, CONNECTIONS)
            figures |= {"ready": ready, "memory": resident(process.pid)}
            if server.name in {OURS, LIMIT}:
                asked = load(f"{address}/predict/batch", work / "batch.json", seconds, BATCH_CONNECTIONS)
                figures["rows"] = asked["requests"] * BATCH_ROWS
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            sys.exit(f"{server.name}: {error}\n{(work / 'server.txt').read_text()[-2000:]}")
        finally:
            stop(process)
    return figures


def first_answer(url: str, body: bytes, process: "subprocess.Popen[bytes]") -> Any:
    """Ask until there is an answer, and return it."""
    request = Request(url, body, {"content-type": "application/json"})  # noqa: S310 - an address of our own
    for _ in range(START_SECONDS * 100):
        with suppress(OSError), urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise RuntimeError("it never answered")


def load(url: str, body: Path, seconds: int, connections: int) -> Figures:
    """Return what wrk measures: requests a second, the latency's p50 and p99 in ms."""
    script: Words = ["--timeout", "10", "--script", SERVERS / "ask.lua"]
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", *script, url],
        env={**os.environ, "BODY": str(body)},
        capture_output=True,
        text=True,
        check=True,
    )
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    if figures["errors"]:
        raise RuntimeError(f"{figures['errors']} requests failed")
    return figures


def resident(pid: int) -> float:
    """Return the resident memory of a process and its children in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6 + sum(resident(int(child)) for child in children)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a server and what it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(timeout=STOP_SECONDS)


def check_same_model(project: Path, ours: Server, peers: list[Server]) -> None:
    """Compare what the servers answered: ours, before its calibration, and every peer's."""
    calibration = json.loads((project / "artifacts/champion/manifest.json").read_text())["calibration"]
    odds = math.log(ours.answer["probability"] / (1 - ours.answer["probability"]))
    expected = 1 / (1 + math.exp((calibration["b"] - odds) / calibration["a"]))
    for server in peers:
        answer = server.answer["predictions"] if isinstance(server.answer, dict) else server.answer
        if not math.isclose(answer[0][1], expected, abs_tol=1e-5):
            sys.exit(f"{server.name} serves another model: {answer[0][1]}, where ours says {expected}")


def introduction(options: argparse.Namespace, missing: list[str]) -> str:
    """Say what was measured, on what, and what could not be."""
    told = (
        f"{os.cpu_count()} cores, Python {platform.python_version()}; medians of {options.rounds} rounds of "
        f"{options.seconds} s on {CONNECTIONS} connections; one worker on one core, wrk on the other. "
        "The project logs every answer to disk, and counts it. The limit has the same request and the same "
        "answer, and does nothing else; the peers serve the same LightGBM model by pandas and scikit-learn, "
        "with no log."
    )
    return " ".join((told, *missing, "Again: `python benchmarks/serving.py --write`."))


def table(servers: list[Server]) -> str:
    """Set the servers side by side."""
    limit, ours = (servers[i].median("requests") for i in (0, 1))
    rows = [HEAD, "---|" + "|".join(["---:"] * 7)]
    for server in servers:
        requests, p50, p99, memory, ready = map(server.median, ("requests", "p50", "p99", "memory", "ready"))
        rates = f"{requests:,.0f}|{requests / limit:.3f}|{ours / requests:.1f}"
        rows.append(f"{server.name}|{rates}|{p50:.1f}|{p99:.1f}|{memory:.0f}|{ready:.1f}")
    return "\n".join(f"|{row}|" for row in (*rows, GOAL))


def batch_table(limit: Server, ours: Server, steps: Figures) -> str:
    """Say how many rows a second come out of requests with many, and where the time goes."""
    whole = 1 / ours.median("rows")
    parts = {name: taken / BATCH_ROWS for name, taken in steps.items()}
    parts[f"**in all: {ours.median('rows'):,.0f} rows/s**"] = whole
    parts[f"the limit in all: {limit.median('rows'):,.0f} rows/s"] = 1 / limit.median("rows")
    lines = [f"| {BATCH_ROWS:,} rows a request | µs a row |", "|---|---:|"]
    return "\n".join(lines + [f"| {name} | {seconds * 1e6:.2f} |" for name, seconds in parts.items()])


if __name__ == "__main__":
    main()
