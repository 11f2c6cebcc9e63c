"""A learner's own table: what its columns mean, what may go wrong with it, and how it could be predicted."""

from dataclasses import dataclass, field
from typing import Any

from mlportfolio.errors import UserError
from mlportfolio.profile import columns as measured
from mlportfolio.profile import series
from mlportfolio.profile import task as tasks
from mlportfolio.profile.columns import Column
from mlportfolio.profile.findings import Finding, Look
from mlportfolio.profile.reading import Options, opened
from mlportfolio.profile.search import search
from mlportfolio.profile.task import Task

__all__ = ["Column", "Finding", "Options", "Profile", "Task", "make"]


@dataclass
class Profile:
    """What is known of a table.

    Attributes:
        source: Where it was read from.
        format: What it is, in words.
        rows: How many rows it has.
        columns: Its columns, in order.
        findings: What may go wrong, the gravest first.
        task: What is predicted, and how; None without a target.
        candidates: Without a target, columns that look like one.
    """

    source: str
    format: str
    rows: int
    columns: list[Column]
    findings: list[Finding] = field(default_factory=list)
    task: Task | None = None
    candidates: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """The profile for programs."""
        return {
            "source": self.source,
            "format": self.format,
            "rows": self.rows,
            "columns": [each.record() for each in self.columns],
            "findings": [each.record() for each in self.findings],
            "task": self.task.record() if self.task else None,
            "target_candidates": self.candidates,
        }


def make(source: str, target: str | None = None, options: Options | None = None) -> Profile:
    """Profile a table.

    Args:
        source: A file, or the address of a PostgreSQL database.
        target: The column that is predicted, if that is known.
        options: What the source does not tell.

    Raises:
        UserError: The source is no table, or nothing can be learned from it.
    """
    with opened(source, options or Options()) as table:
        place = tasks.find(table, target) if target is not None else None
        found = measured.measure(table)
        result = Profile(table.source, table.format, table.rows, found)
        look = Look(table, found, None)
        if place is None:
            result.candidates = tasks.candidates(found)
        else:
            result.task = look.task = tasks.propose(table, found, found[place])
        result.findings = search(look)
        if result.task:
            _decide(result, look)
    return result


def _decide(profile: Profile, look: Look) -> None:
    """What follows from the findings for the task: features, split, forecast."""
    task = profile.task
    if not task:
        return
    why: dict[str, str] = {}
    for finding in profile.findings:
        for name in finding.action.get("exclude", ()):
            why.setdefault(name, finding.code)
    features = [each for each in profile.columns if each is not task.target]
    for column in features:
        if column.kind in {"empty", "constant"} or (column.kind == "id"):
            why.setdefault(column.name, column.kind)
    task.excluded = why
    task.features = [each.name for each in features if each.name not in why]
    if look.time and (reason := series.forecast(look)):
        tasks.as_forecast(task, reason)
    doomed = {"empty", "constant", "id"}
    if not task.features and task.kind != "forecast" and all(why[each.name] in doomed for each in features):
        listed = ", ".join(f"{name} ({reason})" for name, reason in list(why.items())[:6])
        raise UserError(
            f"{profile.source} has no feature left to predict {task.target.name!r} from: {listed}."
        )
    tasks.propose_split(task, look.time, look.group)
