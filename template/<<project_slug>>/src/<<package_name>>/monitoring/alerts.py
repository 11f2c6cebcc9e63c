"""What to tell whoever is on call: what is wrong, since when, how much, what to do, and where it is written down."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal

from .. import problem
from . import performance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from .drift import FieldDrift
    from .performance import Accuracy
    from .served import Served

# What is wrong where a check of checks.py fails, what to do, and the runbook's heading.
CHECKS = {
    "contract": (
        "Rows break the data contract",
        "The endpoint refuses such rows: find out what else writes to the log.",
        "Rows break the contract",
    ),
    "answers": (
        "Answers contradict themselves",
        "Stop the endpoint, and go back to the last champion.",
        "The answers look broken",
    ),
    "skew": (
        "The endpoint answers otherwise than the champion",
        "Check which model is served, and what stands between it and the log.",
        "The answers look broken",
    ),
    "copies": (
        "The same requests come again and again",
        "Ask the caller: a retry that never ends, or a job that runs twice.",
        "Requests come again, or all at one time",
    ),
    "clock": (
        "Decisions are all of one moment",
        "Ask the caller: its clock stands still, or it sends no time.",
        "Requests come again, or all at one time",
    ),
}
# With the truth of a smaller share of a window, its cost says too little.
MIN_COVERAGE = 0.3

# The test ends so many days after the training.
OLDEST = (problem.TEST_UNTIL - problem.VALIDATION_FROM).days

UNITS = {field.name: field.unit for field in problem.FIELDS}


@dataclass(frozen=True)
class Alert:
    """One finding: an "alarm" asks for a person today, a "note" is worth knowing. `runbook` is a heading there."""

    level: Literal["alarm", "note"]
    what: str
    since: str
    how_much: str
    to_do: str
    runbook: str

    def __str__(self) -> str:
        """Say it in one line, as the command prints it."""
        return f"{self.what}, since {self.since}: {self.how_much}. {self.to_do} (docs/runbook.md: {self.runbook})"


@dataclass(frozen=True)
class Judged:
    """One window with everything that was found out about it."""

    window: Served
    accuracy: Accuracy
    drift: list[FieldDrift]
    latency: dict[str, float]
    checks: dict[str, str]

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


def find(judged: Sequence[Judged], manifest: Mapping[str, Any]) -> list[Alert]:
    """Return what is wrong, or worth knowing, in the newest window; the alarms first."""
    alerts = [
        *accuracy_alerts(judged, manifest["metrics"]["expected_cost"]),
        *answer_alerts(judged),
        *input_alerts(judged),
        *check_alerts(judged),
        *latency_alerts(judged),
        *age_alerts(judged[-1], manifest),
    ]
    return sorted(alerts, key=lambda alert: alert.level)


def accuracy_alerts(judged: Sequence[Judged], test_cost: float) -> list[Alert]:
    """Compare what decisions cost with what they cost in the champion's test."""
    # The truth lags behind, so this may be an older window than the newest.
    checked = [one for one in judged if one.accuracy.coverage >= MIN_COVERAGE]
    if not checked:
        return []
    now, alerts = checked[-1].accuracy, []
    if now.is_turned:
        alerts.append(
            Alert(
                "alarm",
                "The answers point the wrong way",
                since(checked, lambda window: window.accuracy.is_turned),
                f"ROC AUC {now.roc_auc.value:.2f} (95 % interval {now.roc_auc.low:.2f} to {now.roc_auc.high:.2f}), "
                f"where guessing has {performance.COIN_TOSS}",
                "Look whether the truth, or the probability, is told the wrong way round.",
                "The answers point the wrong way",
            )
        )
    if now.costs_more_than(test_cost):
        alerts.append(
            Alert(
                "alarm",
                "Decisions cost more than in the test",
                since(checked, lambda window: window.accuracy.costs_more_than(test_cost)),
                f"{now.cost.value:.2f} {problem.COST_UNIT} a {problem.SUBJECT} (95 % interval {now.cost.low:.2f} to "
                f"{now.cost.high:.2f}), in the test {test_cost:.2f}",
                "Look for broken inputs first; if there are none, retrain.",
                "The cost rises",
            )
        )
    return alerts


def answer_alerts(judged: Sequence[Judged]) -> list[Alert]:
    """Judge the probabilities; when the world moves so must they, and only the truth tells which it was."""
    newest = judged[-1]
    answers = newest.drift[0]
    if answers.faults:
        return [
            Alert(
                "alarm",
                "The answers look broken",
                since(judged, lambda window: bool(window.drift[0].faults)),
                in_words(answers),
                "Look for broken inputs; if there are none, check which model is served.",
                "The answers look broken",
            )
        ]
    if not answers.moved:
        return []
    began = since(judged, lambda window: window.drift[0].moved)
    how_much = f"PSI {answers.psi:.2f}, {further(answers)}"
    if newest.accuracy.coverage < MIN_COVERAGE:
        to_do = "Get the truth of recent cases: it shows whether the answers are still right."
        what = "The answers moved, and too little truth is known"
        return [Alert("alarm", what, began, how_much, to_do, "The answers look broken")]
    to_do = "Nothing, as long as the truth that has come shows no higher cost."
    return [Alert("note", "The answers moved", began, how_much, to_do, "The cost rises")]


def input_alerts(judged: Sequence[Judged]) -> list[Alert]:
    """Judge the inputs; fields of one source fail, or move, together, and are one finding."""
    broken: dict[tuple[str, str], list[FieldDrift]] = {}
    moved: dict[str, list[FieldDrift]] = {}
    for field in judged[-1].drift[1:]:
        if field.faults:
            began = field_since(judged, field.name, lambda past: bool(past.faults))
            broken.setdefault((next(iter(field.faults)), began), []).append(field)
        elif field.moved:
            began = field_since(judged, field.name, lambda past: past.moved)
            moved.setdefault(began, []).append(field)
    return [
        Alert(
            "alarm",
            f"Looks broken: {names(fields)}",
            began,
            in_words(max(fields, key=lambda field: field.faults[sign])),
            "Compare its source with what training read: unit, feed, meaning, new values.",
            "An input looks broken",
        )
        for (sign, began), fields in broken.items()
    ] + [
        Alert(
            "note",
            f"Moved: {names(fields)}",
            began,
            f"{fields[0].name} the most, PSI {fields[0].psi:.2f}, {further(fields[0])}",
            "Look whether its source has changed; a season may also do this.",
            "An input has moved",
        )
        for began, fields in moved.items()
    ]


def check_alerts(judged: Sequence[Judged]) -> list[Alert]:
    """Report what no single prediction may do."""
    return [
        Alert("alarm", what, check_since(judged, check), how_much, to_do, runbook)
        for check, (what, to_do, runbook) in CHECKS.items()
        if (how_much := judged[-1].checks.get(check))
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
            "Look at the load of the machine, and at the disk of the log.",
            "Answers are slow, or fail",
        )
    ]


def age_alerts(newest: Judged, manifest: Mapping[str, Any]) -> list[Alert]:
    """Compare the model's age with the oldest at which its test has seen it."""
    days = age(newest, manifest)
    if days <= OLDEST:
        return []
    return [
        Alert(
            "alarm",
            "The model is older than it ever was in its test",
            str(trained_until(manifest) + timedelta(days=OLDEST)),
            f"{days} days since the last data it learned from; the test goes up to {OLDEST}",
            "Retrain on newer data.",
            "The model is old",
        )
    ]


def age(newest: Judged, manifest: Mapping[str, Any]) -> int:
    """Return how many days lie between the last data that the model learned from and the newest prediction."""
    last = date.fromisoformat(day(newest.window.decided_at[-1]))
    return (last - trained_until(manifest)).days


def trained_until(manifest: Mapping[str, Any]) -> date:
    """Return the day before which the training data ends."""
    return date.fromisoformat(manifest["trained"]["until"])


def in_words(field: FieldDrift) -> str:
    """Say in which ways, two at most, a field is broken the worst, and how unusual that is."""
    worst = list(field.faults.items())[:2]
    return f"{field.name} " + ", and ".join(
        f"{said(field, sign)} ({times:.0f} times the usual)" for sign, times in worst
    )


def said(field: FieldDrift, sign: str) -> str:
    """Say one sign of a fault in figures."""
    now, training = field.now, field.training
    off = f"{abs(now.offset) * training['deviation']:.3g} {UNITS.get(field.name, '')}"
    words = {
        "missing": f"is missing in {now.missing:.0%} of rows, in training in {training['missing']:.0%}",
        "unseen": f"has a value that training never had in {now.unseen:.0%} of rows",
        "stuck": f"has one value in {now.repeated:.0%} of rows, in training in {training['repeated']:.0%}",
        "offset": f"lies {off} {'above' if now.offset > 0 else 'below'} what the other fields suggest",
    }
    return words[sign]


def further(field: FieldDrift) -> str:
    """Say how far a field is from training."""
    return f"{field.times_furthest:.1f} times as far from training as any of its stretches"


def names(fields: Sequence[FieldDrift]) -> str:
    """List the names of fields."""
    return ", ".join(field.name for field in fields)


def field_since(judged: Sequence[Judged], name: str, wrong: Callable[[FieldDrift], bool]) -> str:
    """Return since when a field is wrong."""
    return since(judged, lambda window: wrong(window.field(name)))


def check_since(judged: Sequence[Judged], check: str) -> str:
    """Return since when a check fails."""
    return since(judged, lambda window: check in window.checks)


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
