"""A finding: something about a table that its owner must know or decide; and what all searches share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mlportfolio.profile.columns import Column
from mlportfolio.profile.reading import Table
from mlportfolio.profile.task import Task

SHOWN = 6  # names, or findings of a kind, that are listed


@dataclass
class Finding:
    """Something about the table that the owner must know or decide.

    Attributes:
        code: What it is, in a word or two.
        level: `warning` where a model would be wrong without the proposal; `note` where it may be.
        columns: The columns that it is about.
        message: What is the case.
        evidence: The figures.
        proposal: What to do.
        action: The same for programs: exclude, missing, split, deduplicate, weight, …
    """

    code: str
    level: str
    columns: list[str]
    message: str
    proposal: str
    evidence: dict[str, Any] = field(default_factory=dict)
    action: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The finding for programs."""
        return {
            "code": self.code,
            "level": self.level,
            "columns": self.columns,
            "message": self.message,
            "evidence": self.evidence,
            "proposal": self.proposal,
            "action": self.action,
        }


@dataclass
class Look:
    """A table that is searched, with what is known of it so far."""

    table: Table
    columns: list[Column]
    task: Task | None
    time: dict[str, Any] | None = None
    group: dict[str, Any] | None = None
    series: Column | None = None

    def run(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self.table.connection.execute(query, list(values)).fetchall()

    @property
    def target(self) -> Column | None:
        """The column that is predicted."""
        return self.task.target if self.task else None

    @property
    def fields(self) -> list[Column]:
        """The columns besides the target that hold more than one value."""
        return [
            each
            for each in self.columns
            if each is not self.target and each.kind not in {"constant", "empty"}
        ]


def some(names: Sequence[str]) -> str:
    """The first few names."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def rows_of(count: int) -> str:
    """A number of rows, in words."""
    return f"{count:,} row{'s' * (count != 1)}"


def share_of(part: float, whole: float) -> str:
    """A share in percent, with more digits where it is small."""
    share = part / whole if whole else 0.0
    if share in {0.0, 1.0} or 0.1 <= share <= 0.99:
        return f"{share:.0%}"
    return f"{share:.1%}" if 0.01 <= share < 0.999 else f"{share:.2%}"


def numeric_sql(column: Column) -> str:
    """The column as a number, in SQL."""
    return f"epoch({column.key})" if column.kind == "time" else f"try_cast({column.key} AS DOUBLE)"


def escaped(text: str) -> str:
    """The text inside the quotes of SQL."""
    return text.replace("'", "''")
