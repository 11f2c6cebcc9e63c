"""How long `mlportfolio status` takes on a cohort's projects, half of them behind, all worked on.

    python benchmarks/status.py [--projects N] [--rounds N] [--write]

The template is the one of this checkout, with a second release that changes files which owners changed too.
"""

import argparse
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter

import results

from mlportfolio import cli

REPOSITORY = Path(__file__).parents[1]
OURS = Path(sys.executable).parent / "mlportfolio"
LIMIT = 30  # seconds for a hundred projects on two cores
OLD, NEW = "v1.0.0", "v1.1.0"


def main() -> None:
    """Measure, print, and with `--write` record the figures in benchmarks/RESULTS.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--projects", type=int, default=100, help="how many projects there are")
    parser.add_argument("--rounds", type=int, default=3, help="how often the command runs")
    parser.add_argument("--write", action="store_true", help="record the figures in benchmarks/RESULTS.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / ".gitconfig").write_text("[user]\nname = Bench\nemail = bench@example.org\n")
        os.environ |= {"HOME": str(work), "MLPORTFOLIO_TEMPLATE": str(template(work / "template"))}
        projects = [project(work / "cohort", number) for number in range(options.projects)]
        (work / "cohort.txt").write_text("".join(f"{each}\n" for each in projects))
        rounds = [status(work / "cohort.txt") for _ in range(options.rounds)]
    seconds = sorted(taken for taken, _ in rounds)
    of = rounds[0][1]
    if of["behind"] != options.projects // 2 or of["broken"] or not of["conflicts"]:
        sys.exit(f"the projects are not as they were made: {of}")
    report = (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, copier {version('copier')}; "
        f"{of['projects']} projects that their owners worked on, {of['behind']} of them behind and "
        f"{of['conflicts']} of those with conflicts, in {options.rounds} rounds. "
        "Again: `python benchmarks/status.py --write`.\n\n"
        "| command | median, s | range, s | a project, s | goal, s |\n|---|---:|---:|---:|---:|\n"
        f"| `mlportfolio status cohort.txt` | {median(seconds):.1f} | {seconds[0]:.1f} to {seconds[-1]:.1f} "
        f"| {median(seconds) / options.projects:.2f} | {LIMIT * options.projects / 100:g} |"
    )
    print(report)
    if options.write:
        results.write("status", "The status of a cohort", report)


def template(folder: Path) -> Path:
    """The template as it is, and a release later, as a git repository."""
    shutil.copytree(REPOSITORY / "template", folder / "template")
    shutil.copy(REPOSITORY / "copier.yml", folder)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "Old")
    git(folder, "tag", OLD)
    tree = folder / "template/<<project_slug>>"
    append(tree / "README.md.jinja", "\n## New\n\nA paragraph of the template's.\n")
    append(tree / "Makefile", "\nnew: ## a new target\n\techo new\n")
    append(tree / "src/<<package_name>>/paths.py", "\nNEW = 1\n")
    (tree / "docs/new.md").write_text("New.\n")
    commit(folder, "New")
    git(folder, "tag", NEW)
    return folder


def project(cohort: Path, number: int) -> Path:
    """A project that its owner worked on; every second has the old version, and some of these conflict."""
    folder = cohort / f"learner-{number:03}"
    answers = {"project_name": f"Flights {number}", "author_name": f"Learner {number}"}
    words = [word for key, value in answers.items() for word in ("--set", f"{key}={value}")]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        code = cli.main(["new", str(folder), "--yes", "--version", NEW if number % 2 else OLD, *words])
    if code:
        sys.exit(f"{folder} could not be made")
    readme = folder / "README.md"
    readme.write_text(readme.read_text("utf-8").replace("## ", "## My ", 1), "utf-8")
    [package] = (each.parent for each in folder.glob("src/*/__init__.py"))
    append(package / "errors.py", "\n\nclass MineError(Exception):\n    pass\n")
    (package / "mine.py").write_text("MINE = 1\n")
    append(folder / "docs/experiments.md", "\nWhat did not work.\n")
    if number % 8 == 0:
        append(readme, "\n## Mine\n\nWords where the template will have others.\n")
    commit(folder, "Work")
    return folder


def status(cohort: Path) -> tuple[float, dict[str, int]]:
    """Run the command once, and return how long it took, and its summary."""
    began = perf_counter()
    done = subprocess.run([OURS, "status", cohort, "--json"], capture_output=True, text=True, check=False)
    taken = perf_counter() - began
    printed = json.loads(done.stdout)
    if "error" in printed:
        sys.exit(printed["error"])
    return taken, printed["summary"]


def append(file: Path, text: str) -> None:
    """Add a text at the end of a file."""
    with file.open("a", encoding="utf-8") as opened:
        opened.write(text)


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder."""
    subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True)


def commit(folder: Path, message: str) -> None:
    """Commit everything."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


if __name__ == "__main__":
    main()
