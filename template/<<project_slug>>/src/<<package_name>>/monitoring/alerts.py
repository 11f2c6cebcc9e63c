"""What to tell whoever is on call: what is wrong, since when, how much, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from .. import problem
from . import performance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from .drift import FieldDrift
    from .performance import Accuracy
    from .served import Served

# With the truth of a smaller share of a window, its cost says too little.
MIN_COVERAGE = 0.3


@dataclass(frozen=True)
class Alert:
    """One finding: an "alarm" asks for a person today, a "note" is worth knowing."""

    level: Literal["alarm", "note"]
    what: str
    since: str
    how_much: str
    to_do: str

    def __str__(self) -> str:
        """Say it in one line, as the command prints it."""
        return f"{self.what}, since {self.since}: {self.how_much}. {self.to_do}"


@dataclass(frozen=True)
class Judged:
    """One window with everything that was found out about it."""

    window: Served
    accuracy: Accuracy
    drift: list[FieldDrift]
    latency: dict[str, float]

    @property
    def since(self) -> str:
        """The day on which the window begins."""
        return day(self.window.decided_at[0])

    @property
    def period(self) -> str:
        """The first and the last day."""
        return period(self.window.decided_at[0], self.window.decided_at[-1])

    def field(self, name: str) -> FieldDrift:
        """Return the drift of one field."""
        return next(field for field in self.drift if field.name == name)


def find(judged: Sequence[Judged], test_cost: float) -> list[Alert]:
    """Return what is wrong, or worth knowing, in the newest window; the alarms first."""
    alerts = [*accuracy_alerts(judged, test_cost), *latency_alerts(judged), *answer_alerts(judged)]
    # Fields of one source fail together, and are one finding.
    inputs: dict[Alert, list[str]] = {}
    for moved in judged[-1].drift[1:]:
        for alert in input_alerts(judged, moved):
            inputs.setdefault(alert, []).append(moved.name)
    alerts += [replace(alert, what=alert.what.format(", ".join(names))) for alert, names in inputs.items()]
    return sorted(alerts, key=lambda alert: alert.level)


def accuracy_alerts(judged: Sequence[Judged], test_cost: float) -> list[Alert]:
    """Compare what decisions cost with what they cost in the champion's test."""
    # The truth lags behind, so this may be an older window than the newest.
    checked = [one for one in judged if one.accuracy.coverage >= MIN_COVERAGE]
    if not checked or not checked[-1].accuracy.costs_more_than(test_cost):
        return []
    now = checked[-1].accuracy
    return [
        Alert(
            "alarm",
            "Decisions cost more than in the test",
            since(checked, lambda window: window.accuracy.costs_more_than(test_cost)),
            f"{now.cost:.2f} {problem.COST_UNIT} a {problem.SUBJECT} (95 % interval {now.low:.2f} to "
            f"{now.high:.2f}), in the test {test_cost:.2f}",
            "Look for broken inputs below; if there are none, retrain.",
        )
    ]


def latency_alerts(judged: Sequence[Judged]) -> list[Alert]:
    """Compare the slowest answers with the limit."""

    def slow(window: Judged) -> bool:
        return window.latency["p99"] > performance.LATENCY_LIMIT_MS

    if not slow(judged[-1]):
        return []
    return [
        Alert(
            "alarm",
            "Answers are slow",
            since(judged, slow),
            f"one in a hundred takes {judged[-1].latency['p99']:.0f} ms or more, "
            f"the limit is {performance.LATENCY_LIMIT_MS:.0f} ms",
            "Look at the load of the machine and at the size of the log.",
        )
    ]


def answer_alerts(judged: Sequence[Judged]) -> list[Alert]:
    """Judge the probabilities; when the world moves so must they, and only the truth tells which it was."""
    newest = judged[-1]
    answers = newest.drift[0]
    if answers.faults:
        began = since(judged, lambda window: bool(window.drift[0].faults))
        to_do = "Look for broken inputs; if there are none, check which model is served."
        return [Alert("alarm", "The answers look broken", began, "; ".join(answers.faults), to_do)]
    if not answers.changes:
        return []
    began = since(judged, lambda window: bool(window.drift[0].changes))
    how_much = "; ".join(answers.changes)
    if newest.accuracy.coverage < MIN_COVERAGE:
        to_do = "Get the truth of recent cases: it shows whether the answers are still right."
        return [Alert("alarm", "The answers moved, and too little truth is known", began, how_much, to_do)]
    to_do = "Nothing, as long as the truth that has come shows no higher cost."
    return [Alert("note", "The answers moved", began, how_much, to_do)]


def input_alerts(judged: Sequence[Judged], moved: FieldDrift) -> list[Alert]:
    """Judge one input; `{}` stands for its name."""
    if moved.faults:
        began = since(judged, lambda window: bool(window.field(moved.name).faults))
        to_do = "Compare its source with what training read: unit, feed, meaning, new values."
        return [Alert("alarm", "Looks broken: {}", began, "; ".join(moved.faults), to_do)]
    if not moved.changes:
        return []
    began = since(judged, lambda window: bool(window.field(moved.name).changes))
    to_do = "Look whether its source has a gap or a change; a season may also do this."
    return [Alert("note", "Moved: {}", began, "; ".join(moved.changes), to_do)]


def since(judged: Sequence[Judged], wrong: Callable[[Judged], bool]) -> str:
    """Return the first day of the unbroken run of wrong windows that ends with the newest."""
    first = judged[-1]
    for window in reversed(judged):
        if not wrong(window):
            break
        first = window
    return first.since


def period(first: np.datetime64, last: np.datetime64) -> str:
    """Write a period, with the year once where it is one."""
    end = day(last)
    return f"{day(first)} to {end[5:] if day(first)[:4] == end[:4] else end}"


def day(time: np.datetime64) -> str:
    """Write a date."""
    return str(time.astype("datetime64[D]"))
