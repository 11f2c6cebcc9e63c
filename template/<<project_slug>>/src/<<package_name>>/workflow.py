"""The loop around the model, a round at a time: canary, monitor, and a new challenger where retraining helps.

compose.yaml and .github/workflows call it on a schedule. What a round does depends on what it finds:

- a challenger is tried: promote it, drop it, or wait, as monitoring/canary.py says
- an alarm that newer data may end: data, train, evaluate, gate; what passes is tried as the challenger
- any other alarm: a person is needed, whatever else was done

Each round leaves a record, and reports/workflow.html shows them all.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from . import rollout, tracking
from .data import pipeline
from .errors import ProjectError
from .evaluation import gate
from .evaluation.report import evaluate
from .models import training
from .models.export import read_manifest
from .monitoring import canary
from .monitoring.report import monitor
from .reporting import Report
from .serving import folders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .monitoring.served import Log
    from .paths import Paths

# Headings of the runbook where retraining may be what to do. It learns from the raw tables, which have a contract of
# their own, and not from what was served: a broken input there cannot spoil it.
RETRAINING_HELPS = {"The cost rises", "The model is old"}
SHOWN_ROUNDS = 200


@dataclass
class Round:
    """One round: what each step found and how long it took (s), and how it ended."""

    begun: str
    outcome: str = "broken off"
    needs_person: bool = False
    steps: list[tuple[str, float, str]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time a step; what is put into the list is what it found. An error is the outcome, too."""
        print(f"==> {name}", flush=True)
        started, found = time.perf_counter(), list[str]()
        try:
            yield found
        except ProjectError as error:
            found.append(str(error))
            self.end(str(error), needs_person=True)
            raise
        finally:
            self.steps.append((name, round(time.perf_counter() - started, 1), " ".join(found)))
            print(f"    {' '.join(found)}", flush=True)

    def end(self, outcome: str, *, needs_person: bool = False) -> None:
        """Say how it ended."""
        self.outcome, self.needs_person = outcome, needs_person


def run_round(paths: Paths, log: Log | None = None) -> Round:
    """Go through one round, and write it down, however it ends; `log` as for the monitor.

    Raises ProjectError as the stages do; only that a challenger does not pass the gate is an outcome like others.
    """
    this = Round(datetime.now(UTC).isoformat(timespec="seconds"))
    file = paths.rounds / f"{this.begun.replace(':', '')}.json"
    write(file, this)
    try:
        go_through(this, paths, log)
    finally:
        write(file, this)
        show(paths)
    return this


def go_through(this: Round, paths: Paths, log: Log | None) -> None:
    """Do what there is to do in a round."""
    # An exchange of models may have been killed half way.
    folders.mend(paths.champion)
    if not paths.champion.is_dir():
        raise ProjectError("There is no champion to watch. Make one with `make run`.")
    tracking.follow(paths)

    was_tried = paths.challenger.is_dir()
    if was_tried:
        with this.step("canary") as found:
            this.end(decide(paths, log))
            found.append(this.outcome)
    with this.step("monitor") as found:
        alarms = [alert for alert in monitor(paths, log) if alert.level == "alarm"]
        found.append("; ".join(alert.what for alert in alarms) or "no alarm")
    others = [alert.what for alert in alarms if alert.runbook not in RETRAINING_HELPS]
    if not was_tried:
        this.end("nothing to do")
        if len(others) < len(alarms):
            retrain(this, paths)
    if others:
        this.end(f"{this.outcome}; a person is needed: {'; '.join(others)}", needs_person=True)


def decide(paths: Paths, log: Log | None) -> str:
    """Promote or drop the challenger, or wait, as the rule says; return what was done and why."""
    verdict = canary.judge(paths, log)
    version = rollout.challenger_version(paths)
    if verdict.decision == "promote":
        rollout.promote(paths)
        return f"promoted {version}: {verdict.why}"
    if verdict.decision == "drop":
        rollout.drop(paths)
        return f"dropped {version}: {verdict.why}"
    return f"{version} is still tried: {verdict.why}"


def retrain(this: Round, paths: Paths) -> None:
    """Make a challenger from data that are newer than the champion's."""
    with this.step("data") as found:
        until = pipeline.build(paths, newest=True)["split"]["test_until"]
        learned_until = read_manifest(paths.champion)["data"]["split"]["test_until"]
        found.append(f"until {until}; the champion's end on {learned_until}")
    if until <= learned_until:
        this.end("nothing newer to learn from: refresh data/raw, as its SOURCE.md says", needs_person=True)
        return
    with this.step("train") as found:
        found.append(str(training.train(paths)["best"]))
    with this.step("evaluate"):
        evaluate(paths)
    with this.step("gate") as found:
        gate.promote(paths, canary=True)
        found.append("passed")
    this.end(f"{folders.version_of(paths.challenger)} is tried as the challenger")


def write(file: Path, this: Round) -> None:
    """Write a round down."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asdict(this), indent=1) + "\n", encoding="utf-8")


def history(paths: Paths) -> list[Round]:
    """Return the last rounds, the newest first."""
    files = sorted(paths.rounds.glob("*.json"), reverse=True)[:SHOWN_ROUNDS]
    return [Round(**json.loads(file.read_text(encoding="utf-8"))) for file in files]


def show(paths: Paths) -> None:
    """Write reports/workflow.html."""
    rounds = history(paths)
    newest = rounds[0]
    report = Report("Workflow", "Canary, monitor, retrain: what each round found and did.", paths.figures)
    level = "bad" if newest.needs_person else "good"
    report.alert(f"The newest round, {newest.begun}: {newest.outcome}.", level=level)
    report.section("Rounds")
    report.table(
        ("Begun", "Outcome", "Steps", "Seconds"),
        [
            (
                one.begun,
                one.outcome,
                "; ".join(f"{name}: {found}" if found else name for name, _, found in one.steps),
                f"{sum(seconds for _, seconds, _ in one.steps):.0f}",
            )
            for one in rounds
        ],
    )
    report.write(paths.reports / "workflow.html")
