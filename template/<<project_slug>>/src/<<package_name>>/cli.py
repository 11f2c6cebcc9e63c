"""The project's own command: one subcommand a stage, and `run` for all of them.

A stage imports what it needs when it runs, so that `serve` starts fast, and also where only the serving
packages are installed.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import problem
from .errors import ProjectError
from .paths import Paths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Stage = Callable[[Paths, argparse.Namespace], int]


# Told apart from 1, an error: a workflow retrains on the one, and stops on the other.
ALARM = 3


def data(paths: Paths, arguments: argparse.Namespace) -> int:
    """Check the raw tables, and make the feature table from them."""
    from .data import pipeline

    pipeline.build(paths, newest=arguments.command is retrain)
    return 0


def explore(paths: Paths, _: argparse.Namespace) -> int:
    """Write reports/exploration.html."""
    from .data.exploration import explore as write

    write(paths)
    return 0


def tune(paths: Paths, arguments: argparse.Namespace) -> int:
    """Look for better parameters, and write params.json."""
    from .models import tuning

    tuning.tune(paths, arguments.seconds)
    return 0


def train(paths: Paths, _: argparse.Namespace) -> int:
    """Fit every model, and export the best as the candidate."""
    from .models import training

    training.train(paths)
    return 0


def evaluate(paths: Paths, _: argparse.Namespace) -> int:
    """Measure the candidate on the test period, and write the reports."""
    from .evaluation import report

    report.evaluate(paths)
    return 0


def gate(paths: Paths, arguments: argparse.Namespace) -> int:
    """Hold the candidate to the requirements, and register it as champion."""
    from .evaluation import gate as requirements

    requirements.promote(paths, canary=arguments.command is retrain)
    return 0


def serve(paths: Paths, arguments: argparse.Namespace) -> int:
    """Answer requests, and show the page to try it."""
    from .serving.server import serve as answer

    answer(paths.root, arguments.host, arguments.port)
    return 0


def simulate(paths: Paths, _: argparse.Namespace) -> int:
    """Replay the test period through the endpoint."""
    from .monitoring.simulate import simulate as replay

    replay(paths)
    return 0


def monitor(paths: Paths, arguments: argparse.Namespace) -> int:
    """Judge what was served, write reports/monitoring.html, and exit with 3 on an alarm."""
    from .monitoring.report import monitor as judge

    alerts = [alert for alert in judge(paths, arguments.log) if alert.level == "alarm"]
    for alert in alerts:
        print(f"ALARM {alert}", file=sys.stderr)
    return ALARM if alerts else 0


def drill(paths: Paths, _: argparse.Namespace) -> int:
    """Break the replay in ten ways, and see what the monitor notices."""
    from .monitoring.drill import drill as rehearse

    rehearse(paths)
    return 0


def retrain(paths: Paths, arguments: argparse.Namespace) -> int:
    """Make a challenger from the newest data (data, train, evaluate, gate), or say why not."""
    return in_turn([data, train, evaluate, gate], paths, arguments)


def canary(paths: Paths, arguments: argparse.Namespace) -> int:
    """Hold the challenger against the champion, by what came true; promote or drop it."""
    from . import rollout, workflow
    from .monitoring import canary as comparison

    if arguments.action == "status":
        verdict = comparison.judge(paths, arguments.log)
        print(f"{rollout.challenger_version(paths)}: {verdict.decision}, as {verdict.why}")
    elif arguments.action == "decide":
        print(workflow.decide(paths, arguments.log))
    elif arguments.action == "promote":
        print(f"Version {rollout.promote(paths)} is the champion; the endpoint serves it within a second.")
    else:
        print(f"Version {rollout.drop(paths)} is dropped; the champion answers alone within a second.")
    return 0


def rollback(paths: Paths, _: argparse.Namespace) -> int:
    """Put the champion before this one back in service."""
    from . import rollout

    print(f"Version {rollout.rollback(paths)} is the champion again; the endpoint serves it within a second.")
    return 0


def watch(paths: Paths, arguments: argparse.Namespace) -> int:
    """Do one round: decide about a challenger, monitor, retrain on an alarm; exit with 3 if a person is needed."""
    from . import workflow

    this = workflow.run_round(paths, arguments.log)
    print(f"Round of {this.begun}: {this.outcome}")
    return ALARM if this.needs_person else 0


def schedule(paths: Paths, arguments: argparse.Namespace) -> int:
    """Do a round again and again, and show the history of all rounds on a page."""
    from .schedule import keep_going

    keep_going(paths, arguments.every, (arguments.host, arguments.port))
    return 0


def run(paths: Paths, arguments: argparse.Namespace) -> int:
    """Do everything, from raw tables to a watched endpoint."""
    stages: list[Stage] = [data, explore, train, evaluate, gate, simulate]
    if not paths.params.is_file():
        stages.insert(2, tune)
    in_turn(stages, paths, arguments)
    announce(monitor)
    if monitor(paths, arguments):
        print("The monitor found something in the replay: that is its result, not a failure of this run.")
    in_turn([drill], paths, arguments)
    print(f"\nDone. Read {paths.reports.name}/evaluation.html; `make serve` starts the endpoint and its page.")
    return 0


COMMANDS: tuple[Stage, ...] = (
    run,
    data,
    explore,
    tune,
    train,
    evaluate,
    gate,
    serve,
    simulate,
    monitor,
    drill,
    retrain,
    canary,
    rollback,
    watch,
    schedule,
)


def log_of(name: str) -> Path | str:
    """Return the log of a name: a file's path, or a database's address as it is."""
    return name if "://" in name else Path(name)


def in_turn(stages: Sequence[Stage], paths: Paths, arguments: argparse.Namespace) -> int:
    """Run stages one after the other, each announced by a line that begins with ==>."""
    for stage in stages:
        announce(stage)
        started = time.perf_counter()
        stage(paths, arguments)
        print(f"    {stage.__name__}: {time.perf_counter() - started:.1f} s", flush=True)
    return 0


def announce(stage: Stage) -> None:
    """Say which stage begins."""
    print(f"==> {stage.__name__}: {(stage.__doc__ or '').strip()}", flush=True)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    root = argparse.ArgumentParser(prog=problem.PROJECT, description=f"{problem.TITLE}: every stage of the project.")
    root.add_argument("--root", type=Path, default=Path.cwd(), help="the project's folder (default: this one)")
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(command.__name__, help=command.__doc__, description=command.__doc__)
        sub.set_defaults(command=command)
        if command in (run, tune):
            sub.add_argument("--seconds", type=float, default=60.0, help="time to tune for at most (default: 60)")
        if command in (run, monitor, canary, watch):
            log = os.environ.get("PREDICTION_LOG")
            sub.add_argument(
                "--log",
                type=log_of,
                default=log,
                help="the log to judge (default: PREDICTION_LOG, or the endpoint's here)",
            )
        if command is canary:
            actions = ("status", "decide", "promote", "drop")
            sub.add_argument("action", nargs="?", choices=actions, default="status", help="decide acts as status says")
        if command is schedule:
            sub.add_argument("--every", type=float, default=24.0, help="hours from one round to the next (default: 24)")
            sub.add_argument("--host", default="127.0.0.1", help="address of the page (default: 127.0.0.1)")
            sub.add_argument("--port", type=int, default=8090, help="port of the page (default: 8090)")
        if command is serve:
            host = os.environ.get("SERVE_HOST", "127.0.0.1")
            sub.add_argument("--host", default=host, help="address to listen on (default: SERVE_HOST, or 127.0.0.1)")
            sub.add_argument("--port", type=int, help="port to listen on (default: PORT from the environment, or 8080)")
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; a ProjectError is printed as one sentence."""
    chosen = parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="    %(message)s", stream=sys.stdout)
    logging.getLogger(__package__).setLevel(logging.INFO)
    try:
        status: int = chosen.command(Paths(chosen.root.resolve()), chosen)
    except ProjectError as error:
        print(f"{problem.PROJECT}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(
            f"{problem.PROJECT}: {error.name} is not installed. Run `make install` for everything but serving.",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        if "libgomp" not in str(error):
            raise
        print(f"{problem.PROJECT}: LightGBM needs the library libgomp.so.1: apt-get install libgomp1", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status
