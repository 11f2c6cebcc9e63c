"""The profile of a table for a person: in the terminal, and as a page."""

import os
from collections.abc import Iterator
from datetime import datetime
from io import StringIO
from pathlib import Path

from mlportfolio.errors import UserError
from mlportfolio.profile import Profile
from mlportfolio.profile.columns import Column

PAGE = Path(__file__).parent / "page.html"
_SHOWN = 40  # columns that the terminal lists
_TASKS = {
    "binary": "binary classification",
    "multiclass": "classification",
    "regression": "regression",
    "forecast": "forecast",
}


def text(profile: Profile, width: int) -> str:
    """The profile in `width` columns of a terminal."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(file=StringIO(), width=max(width, 60), markup=False, highlight=False, color_system=None)
    console.print(Text(plain(headline(profile))))
    console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
    for name in ("column", "meaning", "missing", "values"):
        table.add_column(name, overflow="fold", justify="right" if name == "missing" else "left")
    for column in profile.columns[:_SHOWN]:
        table.add_row(
            *(
                Text(plain(each))
                for each in (column.name, meaning(column), missing(profile, column), values(column))
            )
        )
    console.print(table)
    if more := len(profile.columns) - _SHOWN:
        console.print(
            f"and {more} more; --html or --json shows them all" if more > 0 else "",
            end="\n" if more > 0 else "",
        )
    console.print()
    rows = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, show_header=False, pad_edge=False)
    for label, told in task(profile):
        rows.add_row(label, Text(plain(told)))
    console.print(rows)
    for level, title in (("warning", "Warnings"), ("note", "Notes")):
        found = [each for each in profile.findings if each.level == level]
        if found:
            console.print(f"\n{title}")
        for number, each in enumerate(found, 1):
            console.print(Padding(Text(plain(f"{number}. {each.message}")), (0, 0, 0, 2)))
            console.print(Padding(Text(plain(f"→ {each.proposal}")), (0, 0, 0, 5)))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in str(written).splitlines())


def headline(profile: Profile) -> str:
    """What the table is, in a line."""
    columns = len(profile.columns)
    return (
        f"{profile.source}: {profile.format}, {profile.rows:,} rows, {columns:,} column{'s' * (columns != 1)}"
    )


def meaning(column: Column) -> str:
    """What a column means, in a few words."""
    kind = {"id": "id", "time": "time"}.get(column.kind, column.kind)
    if column.kind == "number" and column.reading.integer:
        kind = "whole number"
    details = [
        each for each in (column.form, column.reading.unit) if each and each not in {"words", "0 or 1"}
    ]
    if column.kind in {"constant", "empty"}:
        details = []
    return f"{kind} ({', '.join(details)})" if details else kind


def missing(profile: Profile, column: Column) -> str:
    """How much of a column is missing."""
    if not column.missing:
        return "-"
    share = column.missing / profile.rows
    shown = f"{share:.0%}" if share >= 0.1 or share == 0 else f"{share:.1%}"
    return f"{column.missing:,} ({shown})"


def values(column: Column) -> str:
    """What the values of a column are, in a few words."""
    if column.kind == "number":
        return (
            f"{_figure(column.low)} to {_figure(column.high)}, half below "
            f"{_figure(column.quantiles.get('0.5'))}"
        )
    if column.kind == "time":
        return f"{_when(column.low)} to {_when(column.high)}"
    if column.kind in {"category", "boolean", "constant"}:
        shown = [f"{_short(value)} {count:,}" for value, count in column.categories[:4]]
        more = f", and {column.distinct - 4:,} more" if column.distinct > 4 else ""
        return ", ".join(shown) + more
    if column.kind == "empty":
        return ""
    return f"{column.distinct:,} different"


def task(profile: Profile) -> Iterator[tuple[str, str]]:
    """What is predicted and how, in lines with a label."""
    found = profile.task
    if not found:
        named = f" (perhaps {', '.join(profile.candidates)})" if profile.candidates else ""
        yield "target", f"none given; --target COLUMN says what is to be predicted{named}"
        return
    yield "target", f"{found.target.name}: {_TASKS[found.kind]} ({found.why})"
    if found.classes:
        shown = ", ".join(f"{value} {count:,}" for value, count in found.classes[:10])
        yield "classes", shown + (f", and {len(found.classes) - 10} more" if len(found.classes) > 10 else "")
    yield "metric", f"{found.metric}: {found.metric_why}; beside it {', '.join(found.others)}"
    by = f" by {found.split['by']}" if found.split["by"] else ""
    yield "split", f"{found.split['kind']}{by}: {found.split['why']}"
    left = ", ".join(f"{name} ({why})" for name, why in list(found.excluded.items())[:8])
    more = len(found.excluded) - 8
    left += f", and {more} more" if more > 0 else ""
    yield (
        "features",
        f"{len(found.features):,} of {len(profile.columns) - 1:,}{f'; left out: {left}' if left else ''}",
    )
    for each in found.questions:
        choices = f" ({' or '.join(each['choices'])})" if each["choices"] else ""
        yield "asked", f"{each['question']}{choices} {each.get('hint', '')}".rstrip()


def page(profile: Profile) -> str:
    """One page of HTML that needs nothing else."""
    from jinja2 import Environment, StrictUndefined

    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template.globals.update(meaning=meaning, missing=missing, values=values)
    levels = {
        title: [each for each in profile.findings if each.level == level]
        for level, title in (("warning", "Warnings"), ("note", "Notes"))
    }
    return template.from_string(PAGE.read_text("utf-8")).render(
        profile=profile,
        headline=headline(profile),
        lines=list(task(profile)),
        levels=levels,
        time=datetime.now().astimezone().isoformat(" ", "minutes"),
    )


def check_page(file: Path, source: str) -> None:
    """Make sure, before the work, that a page can be written.

    Raises:
        UserError: It cannot, or would replace the table.
    """
    if file.is_dir() or not file.parent.is_dir():
        what = "is a folder" if file.is_dir() else "lies in no folder that is there"
        raise UserError(f"--html {file} {what}; name a file to write.")
    if file.exists() and os.path.realpath(source) == os.path.realpath(file):
        raise UserError(f"--html {file} would replace the table; name another file.")


def write_page(file: Path, profile: Profile) -> None:
    """Write the page, whole or not at all."""
    draft = file.resolve().with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_text(page(profile), "utf-8", errors="replace")
        draft.replace(file.resolve())
    finally:
        draft.unlink(missing_ok=True)


def plain(text_: str) -> str:
    """Text of a foreign table, without what would steer the terminal."""
    return "".join(each if each.isprintable() else " " if each in "\n\r\t" else "?" for each in text_)


def _short(value: str) -> str:
    return value if len(value) <= 24 else value[:23] + "…"


def _figure(value: float | None) -> str:
    if value is None:
        return "?"
    if 10_000 <= abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value.is_integer() and abs(value) < 10_000 else f"{value:.4g}"


def _when(value: str | None) -> str:
    return (value or "?").removesuffix(" 00:00:00")
