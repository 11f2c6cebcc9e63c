"""How long a generated project takes: each stage of its whole run, and its own tests, on this machine.

    python benchmarks/pipeline.py [--rounds N] [--write]

The first round also tunes, as a learner's first run does; the later ones find tuned parameters. Beside it,
one fit of the boosting with threads that wait asleep, spin shortly (as the project sets it), and spin as
GNU's OpenMP does by itself, in turn, on a quiet machine and with a second process that keeps one core busy.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import results

OURS = Path(sys.executable).parent / "mlportfolio"
LIMITS = {"data": 8, "run": 120, "make test": 90}  # seconds, on two cores
SPINS = {"none": "0", "the project's": "1000", "GNU's": "300000"}  # GOMP_SPINCOUNT
FIT = """
import sys, time
from pathlib import Path
from flight_delay.models import candidates, dataset
from flight_delay.paths import Paths
data = dataset.load(Paths(Path.cwd()))
rows = [candidates.Rows(data.x[data.rows(name)], data.y[data.rows(name)]) for name in ("train", "validation")]
begun = time.perf_counter()
candidates.fit_boosting(*rows, candidates.START_PARAMS)
print(time.perf_counter() - begun)
"""


def main() -> None:
    """Measure, print, and with `--write` record the tables in benchmarks/RESULTS.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often the whole project runs")
    parser.add_argument("--write", action="store_true", help="record the tables in benchmarks/RESULTS.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "flights"
        subprocess.run(
            [OURS, "new", project, "--yes", "--set", "project_slug=flight-delay"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        subprocess.run(["make", "install"], cwd=project, check=True)
        rounds = [stages(project) for _ in range(options.rounds)]
        tests = seconds(["make", "test"], project)
        waits = {
            busy: [
                median(fits)
                for fits in zip(
                    *([fit(project, spins, busy=busy) for spins in SPINS] for _ in range(3)), strict=True
                )
            ]
            for busy in (False, True)
        }
    report = "\n\n".join((introduction(options.rounds), stage_table(rounds, tests), wait_table(waits)))
    print(report)
    if options.write:
        results.write("pipeline", "The generated project", report)


def introduction(rounds: int) -> str:
    """Say what was measured, on what."""
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}; seconds of {rounds} whole runs on all "
        "336,776 flights, the first of which tunes. Again: `python benchmarks/pipeline.py --write`."
    )


def seconds(words: list[str], project: Path) -> float:
    """Run a command in the project, and return how long it took."""
    begun = perf_counter()
    done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return perf_counter() - begun


def stages(project: Path) -> dict[str, float]:
    """Run the whole project, and return the seconds of each stage as it prints them, and of the whole."""
    begun = perf_counter()
    done = subprocess.run(["make", "run"], cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"make run failed:\n{done.stdout}{done.stderr}")
    taken = {
        name: float(spent)
        for name, spent in re.findall(r"^    (\w+): ([\d.]+) s$", done.stdout, re.MULTILINE)
    }
    return taken | {"run": perf_counter() - begun}


def stage_table(rounds: list[dict[str, float]], tests: float) -> str:
    """Set the stages of every round side by side."""
    names = list(dict.fromkeys(name for taken in rounds for name in taken))
    lines = [f"| stage | {' | '.join(f'run {n}' for n in range(1, len(rounds) + 1))} | goal |"]
    lines.append("|---|" + "---:|" * (len(rounds) + 1))
    for name in names:
        cells = [f"{taken[name]:.1f}" if name in taken else "" for taken in rounds]
        lines.append(f"| `{name}` | {' | '.join(cells)} | {LIMITS.get(name, '')} |")
    lines.append(f"| its own tests | {tests:.1f} |{' |' * (len(rounds) - 1)} {LIMITS['make test']} |")
    return "\n".join(lines)


def fit(project: Path, spins: str, *, busy: bool) -> float:
    """Return the seconds of one fit with a way of waiting, beside a busy process or not."""
    rival = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        done = subprocess.run(
            [".venv/bin/python", "-c", FIT],
            cwd=project,
            env={**os.environ, "GOMP_SPINCOUNT": SPINS[spins]},
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        if rival:
            rival.kill()
            rival.wait()
    return float(done.stdout)


def wait_table(waits: dict[bool, list[float]]) -> str:
    """Set the three ways of waiting side by side."""
    lines = [
        f"| one fit, median of 3, s | {' | '.join(f'spins: {spins}' for spins in SPINS)} |",
        "|---|" + "---:|" * len(SPINS),
    ]
    for busy, label in ((False, "nothing else runs"), (True, "another process keeps a core busy")):
        lines.append(f"| {label} | {' | '.join(f'{taken:.1f}' for taken in waits[busy])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
