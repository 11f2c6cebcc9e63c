"""How long the monitor takes over a log of a million predictions, beside Evidently on the same rows.

    python benchmarks/monitoring.py [--project FOLDER] [--rows N] [--rounds N] [--write]

The project is cut to twenty fields and trained on them, and its own prediction log is filled with the test
months, each row many times. Then both report, each in a process of its own, in turn: the project from its log
(drift, cost, ROC AUC, latency and row checks, as a page), Evidently's drift preset from the same rows in
Parquet, with the training rows that it needs as its reference. Evidently gets an environment of its own.
Needs uv.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import results

OURS = Path(sys.executable).parent / "mlportfolio"
FIELDS = 20
LIMITS = {"seconds": 5, "MB": 1000}
EVIDENTLY = ["evidently==0.7.23", "pandas<3", "pyarrow"]
CUT = f"""

FIELDS = FIELDS[:{FIELDS}]
NAMES = tuple(field.name for field in FIELDS)
"""
FILL = """
import json, shutil, sys
from datetime import datetime
from pathlib import Path
import duckdb
import numpy as np
from flight_delay import problem
from flight_delay.data.pipeline import load
from flight_delay.monitoring import drift
from flight_delay.monitoring.simulate import requests
from flight_delay.paths import Paths
from flight_delay.serving.log import Entry, Group, SqliteLog, utc
from flight_delay.serving.predictor import Predictor
from flight_delay.serving.settings import KEEP
paths = Paths(Path.cwd())
shutil.rmtree(paths.champion, ignore_errors=True)
shutil.copytree(paths.candidate, paths.champion)
manifest = json.loads((paths.champion / "manifest.json").read_text())
manifest["metrics"] = {"expected_cost": 0.58, "roc_auc": 0.73}
(paths.champion / "manifest.json").write_text(json.dumps(manifest))
champion, table = Predictor(paths.champion), load(paths)
test = table[table["split"] == "test"].sort_values(["decided_at", problem.KEY])
test = test.iloc[np.linspace(0, len(test) - 1, int(sys.argv[1])).astype(int)]
paths.prediction_log.unlink(missing_ok=True)
log, answers = SqliteLog(paths.prediction_log, KEEP), []
for start in range(0, len(test), 2000):
    part = test.iloc[start : start + 2000]
    entries, truths = [], []
    rows = requests(part)
    probabilities = champion.predict(rows)
    told = zip(rows, probabilities.tolist(), part[problem.TARGET])
    for number, (row, probability, truth) in enumerate(told, start):
        at = utc(datetime.fromisoformat(row.pop("decided_at")))
        key = f"{number:032x}"
        positive = probability >= champion.threshold
        inputs = json.dumps(row, separators=(",", ":"))
        answer = (probability, positive, champion.threshold, champion.version)
        entries.append(Entry(key, at, at, inputs, *answer))
        truths.append((key, bool(truth)))
    log.write(Group(entries, [(entry.request_id, 1.5) for entry in entries], truths))
    answers.append(probabilities)
log.close()
names = list(problem.NAMES)
train = table[table["split"] == "train"][names]
train["probability"] = np.resize(np.concatenate(answers), len(train))
current = test[names].assign(probability=np.concatenate(answers))
for name, frame in (("reference", train), ("current", current)):
    duckdb.from_df(frame).write_parquet(f"{name}.parquet")
"""
REPORT = """
import resource, sys, time
from pathlib import Path
from flight_delay.monitoring import report
from flight_delay.paths import Paths
begun = time.perf_counter()
report.monitor(Paths(Path.cwd()))
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
PEER = """
import resource, time
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
begun = time.perf_counter()
frames = [pd.read_parquet(f"{name}.parquet") for name in ("current", "reference")]
names = list(frames[0].select_dtypes("object"))
definition = DataDefinition(
    categorical_columns=names, numerical_columns=[name for name in frames[0] if name not in names]
)
current, reference = (Dataset.from_pandas(frame, data_definition=definition) for frame in frames)
Report([DataDriftPreset()]).run(current, reference).save_html("evidently.html")
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main() -> None:
    """Measure, print, and with `--write` record the table in benchmarks/RESULTS.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--project", type=Path, help="a flight-delay that has run; else one is made")
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many predictions are in the log")
    parser.add_argument("--rounds", type=int, default=3, help="how often each of the two reports")
    parser.add_argument("--write", action="store_true", help="record the table in benchmarks/RESULTS.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "flight-delay"
        if options.project:
            shutil.copytree(options.project, project, ignore=shutil.ignore_patterns(".venv"))
        else:
            run([OURS, "new", project, "--yes", "--set", "project_slug=flight-delay"], Path(folder))
            run(["make", "data"], project)
        python = (options.project or project).resolve() / ".venv/bin/python"
        cut(project / "src/flight_delay")
        run([python, "-c", "from flight_delay.cli import main; main(['train'])"], project)
        run([python, "-c", FILL, str(options.rows)], project)
        peer = Path(folder) / "evidently"
        run(["uv", "venv", "--quiet", peer], project)
        run(["uv", "pip", "install", "--quiet", "--python", peer / "bin/python", *EVIDENTLY], project)
        reports: dict[str, list[str | Path]] = {
            "the project": [python, "-c", REPORT],
            "Evidently": [peer / "bin/python", "-c", PEER],
        }
        taken: dict[str, list[list[float]]] = {name: [] for name in reports}
        for _ in range(options.rounds):
            for name, words in reports.items():
                taken[name].append([float(part) for part in run(words, project).split()[-2:]])
    report = "\n\n".join((introduction(options), table(taken)))
    print(report)
    if options.write:
        results.write("monitoring", "The monitor", report)


def cut(package: Path) -> None:
    """Leave of the project's fields the first ones."""
    problem, schema = package / "problem.py", package / "serving/schema.py"
    text = problem.read_text("utf-8")
    problem.write_text(text + CUT, "utf-8")
    too_many = [f'about("{name}")' for name in re.findall(r'^ +Field\("(\w+)"', text, re.MULTILINE)[FIELDS:]]
    lines = schema.read_text("utf-8").splitlines(keepends=True)
    schema.write_text("".join(line for line in lines if not any(name in line for name in too_many)), "utf-8")


def run(words: Sequence[str | Path], folder: Path) -> str:
    """Run a command in the project, and return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))[:200]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def introduction(options: argparse.Namespace) -> str:
    """Say what was measured, on what."""
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {EVIDENTLY[0].replace('==', ' ')}; "
        f"{options.rows:,} logged predictions of {FIELDS} fields, {options.rounds} reports of each, in turn. "
        "Of a report's time, the imports are no part. Again: `python benchmarks/monitoring.py --write`."
    )


def table(taken: dict[str, list[list[float]]]) -> str:
    """Set the two side by side."""
    lines = ["| a report | median, s | range, s | resident at most, MB |", "|---|---:|---:|---:|"]
    for name, rounds in taken.items():
        seconds, sizes = ([each[i] for each in rounds] for i in (0, 1))
        spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
        lines.append(f"| {name} | {median(seconds):.1f} | {spread} | {max(sizes):,.0f} |")
    return "\n".join([*lines, f"| goal | {LIMITS['seconds']} | | {LIMITS['MB']:,} |"])


if __name__ == "__main__":
    main()
