"""What can be predicted, how it is measured, and how the rows are split: proposed, with reasons."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

from mlportfolio.errors import UserError
from mlportfolio.profile.columns import Column
from mlportfolio.profile.kinds import CODE_WORDS, COUNT_WORDS
from mlportfolio.profile.names import plain, words
from mlportfolio.profile.reading import Table

MOST_CLASSES = 50
_FEW_INTEGERS = 10
_RARE = 0.1
_CANDIDATES = set(
    words(
        "target label y class outcome churn churned survived default defaulted fraud response result "
        "diagnosis quality price clase objetivo etiqueta resultado abandono impago readmitted approved"
    )
)


@dataclass
class Task:
    """What is predicted.

    Attributes:
        kind: `binary`, `multiclass`, `regression` or `forecast`.
        why: Why it is taken for that.
        target: The column.
        classes: The classes and their counts, the most frequent first.
        rows: The rows in which the target is known.
        dropped: The rows in which it is missing.
        metric: The number that decides; one of expected_cost, macro_f1, accuracy, mae, mase.
        metric_why: Why that one.
        others: What is worth reporting beside it.
        split: How the rows are divided.
        features: The columns that are left to predict from.
        questions: What only the owner can answer.
    """

    kind: str
    why: str
    target: Column
    classes: list[tuple[str, int]] = field(default_factory=list)
    rows: int = 0
    dropped: int = 0
    metric: str = ""
    metric_why: str = ""
    others: list[str] = field(default_factory=list)
    split: dict[str, Any] = field(default_factory=dict)
    features: list[str] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)
    questions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def classifies(self) -> bool:
        """Whether a class is predicted."""
        return self.kind in {"binary", "multiclass"}

    @property
    def rarest(self) -> tuple[str, int]:
        """The class with the fewest rows."""
        return self.classes[-1]

    def record(self) -> dict[str, Any]:
        """The task for programs."""
        return {
            "kind": self.kind,
            "why": self.why,
            "target": self.target.name,
            "classes": [{"value": value, "rows": count} for value, count in self.classes],
            "positive": None,
            "rows": self.rows,
            "rows_without_target": self.dropped,
            "metric": self.metric,
            "metric_why": self.metric_why,
            "other_metrics": self.others,
            "split": self.split,
            "features": self.features,
            "excluded": self.excluded,
            "questions": self.questions,
        }


def find(table: Table, wanted: str) -> int:
    """The place of the column that is predicted.

    Raises:
        UserError: There is none of this name, or there are several.
    """
    places = [place for place, name in enumerate(table.names) if name == wanted]
    if not places:
        small = plain(wanted).strip().lower()
        places = [
            place for place, name in enumerate(table.names) if plain(name).strip().lower() == small and small
        ]
    if len(places) == 1:
        return places[0]
    if places:
        raise UserError(f"{table.source} has {len(places)} columns named {wanted!r}; rename all but one.")
    near = difflib.get_close_matches(wanted, table.names, 3, 0.5)
    listed = near or table.names[:12]
    more = ", …" if not near and len(table.names) > len(listed) else ""
    lead = "do you mean" if near else "it has"
    raise UserError(
        f"{table.source} has no column {wanted!r}; {lead}: {', '.join(listed)}{more}{'?' if near else ''}"
    )


def candidates(columns: Sequence[Column]) -> list[str]:
    """The columns that look as if they were meant to be predicted."""
    able = [each for each in columns if each.kind in {"boolean", "category", "number"} and each.distinct > 1]
    able = [each for each in able if each.kind == "number" or each.distinct <= MOST_CLASSES]
    named = [each.name for each in able if each.words & _CANDIDATES]
    last = [each.name for each in able if each is columns[-1] and each.name not in named]
    return (named + last)[:5]


def propose(table: Table, columns: Sequence[Column], target: Column) -> Task:
    """Tell the task from the target.

    Raises:
        UserError: From this target, in these rows, nothing can be learned.
    """
    rows = target.filled
    where = f"The target {target.name!r}"
    if not rows:
        raise UserError(f"{where} has no value in any row; choose another target.")
    if table.rows == 1 or rows == 1:
        raise UserError(f"{table.source} has one row with a target: nothing can be learned from one row.")
    if target.distinct == 1:
        value = target.categories[0][0] if target.categories else target.low
        raise UserError(
            f"{where} is constant: it is {value!r} in every row that has one; choose another target."
        )
    if len(columns) == 1:
        raise UserError(
            f"{table.source} has no column besides {target.name!r}: no feature is left to predict from."
        )
    kind, why = _kind(target)
    task = Task(kind, why, target, rows=rows, dropped=table.rows - rows)
    if task.classifies:
        task.classes = _classes(table, target)
        if kind == "binary":
            _ask_positive(task)
    _measure(task)
    return task


def _kind(target: Column) -> tuple[str, str]:
    where = f"The target {target.name!r}"
    distinct = target.distinct
    if target.kind == "time":
        raise UserError(
            f"{where} is a date; predict the days until it, or whether it comes within some days, "
            "as a column of its own."
        )
    if target.kind == "number":
        return _number_kind(target)
    if target.kind == "id" and target.reading.form == "number" and target.words & (CODE_WORDS | _CANDIDATES):
        return "regression", "whole numbers"
    if target.kind in {"id", "text"} and (target.unique or distinct > MOST_CLASSES):
        what = "an id" if target.kind == "id" else "free text"
        raise UserError(
            f"{where} is {what}: {distinct:,} different values in {target.filled:,} rows are no classes."
        )
    if distinct == 2:
        return "binary", f"two values: {' and '.join(repr(value) for value, _ in target.categories)}"
    if distinct > target.filled / 2:
        raise UserError(
            f"{where} has {distinct:,} different values in {target.filled:,} rows: too few rows a "
            "class to learn from."
        )
    why = f"{distinct} classes"
    if target.form == "coded" and target.reading.why.startswith("whole"):
        why += "; the numbers are codes, by their name"
    return "multiclass", why


def _number_kind(target: Column) -> tuple[str, str]:
    """Whether numbers are amounts or classes: how many there are does not tell alone."""
    distinct = target.distinct
    if distinct == 2:
        return "binary", f"two values: {' and '.join(repr(value) for value, _ in target.categories)}"
    if not target.reading.integer:
        return "regression", f"{distinct:,} different numbers from {target.low:g} to {target.high:g}"
    if distinct > _FEW_INTEGERS:
        many = f"{distinct:,} different whole numbers from {target.low:g} to {target.high:g}"
        return "regression", f"{many}: amounts with an order, not {distinct:,} classes"
    counts = [count for _, count in target.categories]
    steady = target.high - target.low + 1 == distinct and target.low in {0.0, 1.0}
    counted = target.words & (COUNT_WORDS - {"rank"})
    named = bool(target.words & (CODE_WORDS | {"label", "etiqueta", "diagnosis"}))
    even = min(counts) > max(counts) / 5
    if named or (steady and even and not counted):
        reason = "by its name" if named else "numbered without a gap, all about as frequent"
        return (
            "multiclass",
            f"{distinct} whole numbers that are classes, {reason}; if their order counts, predict the number",
        )
    return (
        "regression",
        f"{distinct} whole numbers with an order: a miss by 3 is worse than by 1; if they are codes, say so",
    )


def _classes(table: Table, target: Column) -> list[tuple[str, int]]:
    rows = table.connection.execute(
        f"SELECT CAST({target.key} AS VARCHAR) AS v, count(*) FROM typed WHERE {target.key} IS NOT NULL "
        "GROUP BY v ORDER BY 2 DESC, 1"
    ).fetchall()
    if target.kind == "number":
        return [(value.removesuffix(".0"), count) for value, count in rows]
    return [(value, count) for value, count in rows]


def _ask_positive(task: Task) -> None:
    rarer, count = task.rarest
    task.questions.append(
        {
            "key": "positive",
            "question": f"Which value of {task.target.name!r} is the case that the decision is about?",
            "choices": [value for value, _ in task.classes],
            "hint": f"{rarer!r} is the rarer one, with {count:,} of {task.rows:,} rows.",
        }
    )


def _measure(task: Task) -> None:
    """The metric, with a reason from the figures."""
    target = task.target
    if task.kind == "binary":
        rarer, count = task.rarest
        share = count / task.rows
        task.metric = "expected_cost"
        task.metric_why = "the two mistakes rarely cost the same: say what a miss and a false alarm cost"
        task.others = ["average_precision", "roc_auc"] if share < 0.2 else ["roc_auc", "log_loss"]
        if share < _RARE:
            idle = f"always {task.classes[0][0]!r} is right in {1 - share:.1%} of rows"
            task.metric_why += f"; accuracy says nothing here: {idle} and finds no {rarer!r}"
        task.questions.append(
            {"key": "costs", "question": "What does a miss cost, and what a false alarm?", "choices": None}
        )
    elif task.kind == "multiclass":
        common, rare = task.classes[0][1], task.rarest[1]
        if rare < common / 3:
            task.metric, task.others = "macro_f1", ["accuracy", "log_loss"]
            task.metric_why = (
                f"classes differ in size ({common:,} to {rare:,} rows): with accuracy "
                "the small ones would not count"
            )
        else:
            task.metric, task.others = "accuracy", ["macro_f1", "log_loss"]
            task.metric_why = "classes are of about the same size"
        if len(task.classes) > 10:
            task.others.append("top_3_accuracy")
    else:
        task.metric, task.others = "mae", ["rmse", "r2"]
        task.metric_why = "an error in the target's own unit, that a few extreme rows do not rule"
        low, high = target.quantiles.get("0.5", 0.0), target.quantiles.get("0.99", 0.0)
        if target.low is not None and target.low >= 0 and low > 0 and high > 6 * low:
            task.metric_why += (
                f"; the values are skewed (median {low:g}, 99 % below {high:g}): learn their logarithm"
            )
        elif target.low == 0 and target.zeros > task.rows / 3:
            task.metric_why += (
                f"; {target.zeros / task.rows:.0%} are 0: consider first whether, then how much"
            )
    if task.kind == "forecast":
        task.questions.append(
            {
                "key": "horizon",
                "question": "How far ahead is it needed? If the rest of its row is known by then, it is a "
                "regression.",
                "choices": None,
            }
        )
        task.metric, task.others = "mase", ["mae", "rmse"]
        task.metric_why = (
            "the error beside that of repeating the last season, the rule that a forecast must beat"
        )


def as_forecast(task: Task, why: str) -> None:
    """Turn a regression into a forecast."""
    task.kind, task.why = "forecast", why
    _measure(task)


def propose_split(task: Task, time: dict[str, Any] | None, group: dict[str, Any] | None) -> None:
    """How to divide the rows, so that the test is like the use.

    Args:
        task: What is predicted.
        time: The column that orders the rows, and why: `by`, `why`.
        group: The column that repeats, and why.
    """
    small = task.rows < 2000
    if time and group:
        task.split = {
            "kind": "time",
            "by": time["by"],
            "group": group["by"],
            "why": f"{time['why']}; {group['why']}: also report the score on a {group['by']} that "
            "training has not seen",
        }
    elif time:
        task.split = {"kind": "time", "by": time["by"], "why": time["why"]}
    elif group:
        task.split = {"kind": "group", "by": group["by"], "why": group["why"]}
    elif task.classifies:
        task.split = {
            "kind": "stratified",
            "by": task.target.name,
            "why": "no time and no group is known, and each part needs its share of every class",
        }
    else:
        task.split = {"kind": "random", "by": None, "why": "no time and no group is known"}
    if small:
        folds = 5
        if task.classifies:
            folds = max(2, min(5, task.rarest[1]))
        task.split["folds"] = folds
        how = {"time": " of later and later rows", "group": " of whole groups"}.get(task.split["kind"], "")
        task.split["why"] += (
            f"; {task.rows:,} rows are few for one test part: cross-validate, {folds} folds{how}"
        )


def half_width(share: float, rows: float) -> float:
    """Half of the 95 % interval of a share (normal approximation)."""
    return 1.96 * sqrt(max(share * (1 - share), 0.25 / max(rows, 1)) / max(rows, 1))
