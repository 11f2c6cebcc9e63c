"""Whether the rows bear the claim: what of the target is missing, rare, or too little."""

from collections.abc import Iterator

from mlportfolio.profile.findings import SHOWN, Finding, Look, rows_of, share_of
from mlportfolio.profile.task import Task, half_width


def target(look: Look) -> Iterator[Finding]:
    """What of the target is missing or rare, and what so few rows can show."""
    task, target = look.task, look.target
    if not task or not target:
        return
    rows = task.rows
    if task.dropped:
        yield Finding(
            "target missing",
            "warning",
            [target.name],
            f"{target.name} is missing in {rows_of(task.dropped)} "
            f"({share_of(task.dropped, look.table.rows)}).",
            "Leave these rows out; ask whether those that are missing differ from the others.",
            {"rows": task.dropped},
            {"drop_rows": True},
        )
    fields = len(look.fields)
    if task.classifies:
        yield from _rare(task)
        rare = task.rarest[1]
        test = rare / 5
        if rare < 200 and task.kind == "binary":
            width = half_width(0.8, test)
            yield Finding(
                "small sample",
                "warning",
                [target.name],
                f"{rare:,} rows are {task.rarest[0]!r}: a test with a fifth of them holds "
                f"{test:.0f}, and a recall of 80 % measured on these is uncertain by ±{min(width, 1):.0%}.",
                "Cross-validate, report the interval, and claim no difference that is smaller.",
                {"rows": rare, "test": test, "half_width": min(width, 1)},
            )
        elif rows < 1000:
            width = half_width(0.8, rows / 5)
            yield Finding(
                "small sample",
                "warning",
                [],
                f"{rows:,} rows: an accuracy of 80 % measured on a fifth of them is uncertain by "
                f"±{width:.0%}.",
                "Cross-validate, report the interval, and claim no difference that is smaller.",
                {"rows": rows, "half_width": width},
            )
    elif rows < 500:
        yield Finding(
            "small sample",
            "warning",
            [],
            f"{rows:,} rows: a test of a fifth holds {rows // 5}, too few to tell two models apart.",
            "Cross-validate, report the interval, and prefer the simpler model.",
            {"rows": rows},
        )
    if fields > rows / 10:
        more = "more than there are rows" if fields > rows else f"one for every {rows / fields:.1f} rows"
        yield Finding(
            "more columns than the rows bear",
            "warning",
            [],
            f"{fields:,} fields, {more}: some will fit the target by chance.",
            "Begin with a regularised linear model, choose fields inside the cross-validation only, "
            "and prefer few.",
            {"fields": fields, "rows": rows},
        )


def _rare(task: Task) -> Iterator[Finding]:
    tiny = [(value, count) for value, count in task.classes if count < 10]
    if tiny:
        listed = ", ".join(f"{value!r} ({count})" for value, count in tiny[:SHOWN]) + (
            f" and {len(tiny) - SHOWN} more" if len(tiny) > SHOWN else ""
        )
        least = tiny[-1][1]
        cannot = (
            f"; with {least} there is not one for each of training, validation and test" if least < 3 else ""
        )
        yield Finding(
            "rare class",
            "warning",
            [task.target.name],
            f"Classes with fewer than 10 rows, of {len(task.classes)}: {listed}{cannot}.",
            "Join them to a related class or to 'other', or leave them out and say so."
            if len(task.classes) > 2
            else "Collect more rows of it before anything is claimed.",
            {"classes": dict(tiny)},
            {"merge": [value for value, _ in tiny]} if len(task.classes) > 2 else {},
        )
    elif task.kind == "binary" and task.rarest[1] < 0.05 * task.rows:
        value, count = task.rarest
        yield Finding(
            "rare class",
            "warning",
            [task.target.name],
            f"{value!r} is {share_of(count, task.rows)} of rows, {count:,} of {task.rows:,}.",
            "Judge by cost and average precision, not by accuracy; keep every one of them; do not "
            "resample the test.",
            {"rows": count, "share": count / task.rows},
        )
