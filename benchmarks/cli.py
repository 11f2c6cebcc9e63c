"""How long the command takes, beside copier's own and two well-known project generators.

    python benchmarks/cli.py [--rounds N] [--write] [--ccds-template FOLDER]

All commands of one table run in turn, round after round, so that a busy machine slows each of them alike. The
package, as a wheel, and the two other generators are installed by uv into environments that are thrown away.
`ccds` clones its template at every call: name a clone of github.com/drivendataorg/cookiecutter-data-science
to leave the network out of it.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import results

from mlportfolio import releases

REPOSITORY = Path(__file__).parents[1]
FIRST = "0.1.0"
OTHERS = {"ccds": "cookiecutter-data-science", "kedro": "kedro"}

Words = list[str | Path]


def main() -> None:
    """Measure, print, and with `--write` record the tables in benchmarks/RESULTS.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="how often each command runs")
    parser.add_argument("--write", action="store_true", help="record the tables in benchmarks/RESULTS.md")
    parser.add_argument(
        "--ccds-template",
        type=Path,
        default="https://github.com/drivendataorg/cookiecutter-data-science",
        help="where ccds finds its template",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        ours = installed(work / "mlportfolio", str(wheel(work / "dist")))
        bins = {name: installed(work / name, package) for name, package in OTHERS.items()}
        helps: dict[str, Words] = {
            "mlportfolio --help": [ours / "mlportfolio", "--help"],
            "copier --help": [ours / "copier", "--help"],
            "ccds --help": [bins["ccds"] / "ccds", "--help"],
            "kedro --help": [bins["kedro"] / "kedro", "--help"],
        }
        template = snapshot(work / "template")
        makes: dict[str, Words] = {
            "mlportfolio new --yes": [ours / "mlportfolio", "new", "ours", "--yes"],
            "copier copy --defaults": [ours / "copier", "copy", "--quiet", "--defaults", template, "copier"],
            "ccds --no-input": [bins["ccds"] / "ccds", str(options.ccds_template), "--no-input"],
            "kedro new": [
                bins["kedro"] / "kedro",
                "new",
                "--name=Flights",
                "--tools=lint,test",
                "--example=n",
            ],
        }
        others = ", ".join(f"{OTHERS[name]} {released(path, OTHERS[name])}" for name, path in bins.items())
        intro = (
            f"{os.cpu_count()} cores, Python {platform.python_version()}, copier {released(ours, 'copier')}, "
            f"{others}; median of {options.rounds} rounds, the commands of a table in turn. "
            "`mlportfolio new` takes the newest release out of its wheel, and also makes the first commit; "
            "`copier copy` reads that release in a plain folder; ccds and kedro have templates of their own, "
            f"with fewer files. Both updates go from release {FIRST} to the last commit. "
            "Again: `python benchmarks/cli.py --write`."
        )
        address = f"file://{history(work / 'history')}"
        old = ["--template", address, "--version", FIRST]
        subprocess.run(
            [ours / "mlportfolio", "new", work / "old", "--yes", *old], check=True, stdout=subprocess.DEVNULL
        )
        updates: dict[str, Words] = {
            "mlportfolio update --yes": [ours / "mlportfolio", "update", "ours", "--yes"],
            "copier update --defaults": [ours / "copier", "update", "--quiet", "--defaults", "copier"],
        }
        tables = (
            table(helps, "copier --help", options.rounds, work),
            table(makes, "copier copy --defaults", options.rounds, work),
            table(updates, "copier update --defaults", options.rounds, work, work / "old"),
        )
    report = "\n\n".join((intro, *tables))
    print(report)
    if options.write:
        results.write("cli", "The command", report)


def wheel(folder: Path) -> Path:
    """The package as others install it."""
    subprocess.run(["uv", "build", "--quiet", "--wheel", "--out-dir", folder, REPOSITORY], check=True)
    [built] = folder.glob("*.whl")
    return built


def installed(folder: Path, package: str) -> Path:
    """The folder of the commands of `package`, in an environment of its own."""
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, folder], check=True)
    subprocess.run(
        ["uv", "pip", "install", "--quiet", "--python", folder / "bin/python", package], check=True
    )
    return folder / "bin"


def released(commands: Path, package: str) -> str:
    """The version of a package in the environment of these commands."""
    [record] = commands.parent.glob(f"lib/*/site-packages/{package.replace('-', '_')}-*.dist-info")
    return record.name.removesuffix(".dist-info").rpartition("-")[2]


def snapshot(folder: Path) -> Path:
    """The newest release as a plain folder: copier need not clone it, and both render the same files."""
    newest = releases.history(REPOSITORY)[-1].commit
    releases.git(REPOSITORY, "archive", f"--output={folder}.tar", newest, "--", *releases.CONTENT)
    shutil.unpack_archive(f"{folder}.tar", folder)
    return folder


def history(folder: Path) -> Path:
    """The repository with its releases as tags, and its last commit as a later one."""
    subprocess.run(["git", "clone", "--quiet", "--shared", REPOSITORY, folder], check=True)
    for each in releases.history(REPOSITORY):
        releases.git(folder, "tag", "--force", each.tag, each.commit)
    releases.git(folder, "tag", "v99.0.0", "HEAD")
    return folder


def table(
    commands: dict[str, Words], reference: str, rounds: int, work: Path, project: Path | None = None
) -> str:
    """Run every command `rounds` times in turn, and set its median beside that of `reference`.

    With a project, each of the two updates gets a copy of its own.
    """
    (work / ".gitconfig").write_text("[user]\nname = Bench\nemail = bench@example.org\n")
    environment = {**os.environ, "HOME": str(work), "DO_NOT_TRACK": "1", "KEDRO_DISABLE_TELEMETRY": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else every start would compile every module anew
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    out = work / "out"
    for _ in range(rounds + 1):  # the first round fills the caches, and is dropped
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        if project:
            for name in ("ours", "copier"):
                shutil.copytree(project, out / name, symlinks=True)
        for name, words in commands.items():
            began = perf_counter()
            done = subprocess.run(
                words,
                cwd=out,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            seconds[name].append(perf_counter() - began)
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stdout}{done.stderr}")
    medians = {name: median(taken[1:]) for name, taken in seconds.items()}
    rows = [
        f"| `{name}` | {medians[name]:.2f} | {min(taken[1:]):.2f} to {max(taken[1:]):.2f} "
        f"| {medians[name] / medians[reference]:.2f} |"
        for name, taken in seconds.items()
    ]
    return "\n".join(
        [f"| command | median, s | range, s | times `{reference}` |", "|---|---:|---:|---:|", *rows]
    )


if __name__ == "__main__":
    main()
