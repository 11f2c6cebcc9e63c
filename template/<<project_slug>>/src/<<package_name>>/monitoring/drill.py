"""A fire drill: the newest window of the replay is broken in ten ways, and the monitor has to notice each.

What it notices, and how often it cries wolf, goes into docs/runbook.md.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.pipeline import load
from ..errors import ProjectError
from ..evaluation.documents import fill, markdown_table
from ..serving.predictor import Predictor
from . import checks, drift, report, served
from .alerts import find, in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

    from ..paths import Paths
    from ..problem import Field
    from .alerts import Judged
    from .drift import Values
    from .served import Served

    # A way to break a window, once for each field (or two) that it may happen to.
    Broken = dict[str, Served]

log = logging.getLogger(__name__)

# How many weeks are drawn from the training period.
DRAWS = 200
WEEK = np.timedelta64(7, "D")
# A fault that makes the endpoint refuse more than this share of rows needs no monitor.
REFUSED = 0.05
SWAP = " / "

NUMBERS = [field for field in drift.FIELDS if not field.is_category]
CATEGORIES = [field for field in drift.FIELDS if field.is_category]


def drill(paths: Paths) -> None:
    """Break the newest window of the replay, and write into docs/runbook.md what was noticed.

    Raises ProjectError if there is no champion, no feature table, or too short a replay.
    """
    manifest = report.read_manifest(paths.champion / "manifest.json")
    table = load(paths)
    windows = served.windows(report.read(paths.simulation_log, manifest), drift.MIN_ROWS)
    if not windows:
        raise ProjectError("The replay is too short to break a part of it. Make a longer one with `make simulate`.")
    champion = Predictor(paths.champion)
    # How fast this machine answered is no part of it.
    windows = [replace(window, latency_ms=np.full(len(window), np.nan)) for window in windows]
    judged = report.judge(windows, manifest["reference"], champion)
    false_alarms = cried_wolf(table[table["split"] == "train"], manifest["reference"])
    rows = [
        *(input_row(name, broken(windows[-1]), manifest) for name, broken in INPUT_FAULTS.items()),
        *(output_row(name, judged, broken(windows[-1]), manifest, champion) for name, broken in OUTPUT_FAULTS.items()),
    ]
    told = (
        (
            f"Of {DRAWS} weeks of the training period, or more where a week has fewer than {drift.MIN_ROWS} rows, "
            f"{false_alarms} would raise an alarm for an input. The replay of the test, as it is, raises:"
        ),
        replayed(judged, manifest),
        "Broken on purpose, its newest window raises:",
        markdown_table(["Fault", "Tried on", "Refused", "Alarm", "Silent", "For instance"], rows),
    )
    fill(paths.root / "docs" / "runbook.md", "\n\n".join(told))
    log.info("%d false alarms in %d weeks of the training period; docs/runbook.md has more", false_alarms, DRAWS)


def cried_wolf(train: pd.DataFrame, reference: Mapping[str, Any]) -> int:
    """Return in how many of DRAWS weeks of the training period an input would look broken."""
    columns = {field.name: drift.typed(field, train[field.name].to_numpy()) for field in drift.FIELDS}
    decided_at = train["decided_at"].to_numpy()
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(DRAWS):
        latest = min(decided_at[-1] - WEEK, decided_at[-drift.MIN_ROWS])
        begin = decided_at[0] + rng.random() * (latest - decided_at[0])
        first, last = np.searchsorted(decided_at, [begin, begin + WEEK])
        week = np.arange(first, max(last, first + drift.MIN_ROWS))
        rows = rng.choice(week, drift.MIN_ROWS, replace=False)
        found = drift.compare({name: of[rows] for name, of in columns.items()}, np.full(len(rows), np.nan), reference)
        alarms += any(field.faults for field in found[1:])
    return alarms


def replayed(judged: list[Judged], manifest: Mapping[str, Any]) -> str:
    """Return a table of what each window of the replay would have raised when it was the newest."""
    rows = []
    for i, newest in enumerate(judged, start=1):
        found = find(judged[:i], manifest)
        told = ["; ".join(alert.what for alert in found if alert.level == level) for level in ("alarm", "note")]
        rows.append([newest.period, *(what or "none" for what in told)])
    return markdown_table(["Window", "Alarms", "Notes"], rows)


def input_row(name: str, variants: Broken, manifest: Mapping[str, Any]) -> list[str]:
    """Return a row of the table for a fault of the inputs: an alarm counts if it names no other field."""
    refused, noticed, silent = [], [], []
    worst: tuple[float, str] = (0.0, "")
    for label, window in variants.items():
        # The endpoint refuses such rows, and the monitor never sees them.
        breaks = np.any(list(checks.breaches(window).values()), axis=0)
        if breaks.mean() > REFUSED:
            refused.append(label)
            continue
        taken = window.part(~breaks)
        found = drift.compare(taken.inputs, taken.probability, manifest["reference"])
        accused = [field for field in found[1:] if field.faults]
        if accused and {field.name for field in accused} <= set(label.split(SWAP)):
            noticed.append(label)
            worst = max([worst, *((max(field.faults.values()), in_words(field)) for field in accused)])
        else:
            silent.append(label)
    counts = [str(len(labels)) for labels in (variants, refused, noticed)]
    return [name, *counts, ", ".join(silent) or "none", worst[1] or "the endpoint names the field, and answers 422"]


def output_row(
    name: str, judged: list[Judged], window: Served, manifest: Mapping[str, Any], champion: Predictor
) -> list[str]:
    """Return a row of the table for a fault that concerns all fields, or none."""
    before = {alert.what for alert in find(judged, manifest)}
    windows = [*(one.window for one in judged[:-1]), window]
    alerts = find(report.judge(windows, manifest["reference"], champion), manifest)
    new = [alert for alert in alerts if alert.level == "alarm" and alert.what not in before]
    instance = f"{new[0].what}: {new[0].how_much}" if new else ""
    return [name, "all rows", "0", str(int(bool(new))), "none" if new else "all rows", instance]


def unit_changed(window: Served) -> Broken:
    """Send what was inches as centimetres."""
    return each(window, NUMBERS, lambda _, values: values * 2.54)


def stuck(window: Served) -> Broken:
    """Send the first value again and again."""
    return each(window, drift.FIELDS, lambda _, values: np.where(np.isnan(values), np.nan, first_known(values)))


def renamed(window: Served) -> Broken:
    """Send a name that nobody knows in every third row."""
    return each(window, CATEGORIES, lambda field, values: every(3, values, len(field.categories)))


def missing(window: Served) -> Broken:
    """Leave every second value out."""
    return each(window, drift.FIELDS, lambda _, values: every(2, values, np.nan))


def shifted(window: Served) -> Broken:
    """Add a standard deviation."""
    return each(window, NUMBERS, lambda _, values: values + np.nanstd(values))


def swapped(window: Served) -> Broken:
    """Swap each number with the next one of its group."""
    return {
        f"{one.name}{SWAP}{other.name}": replace(
            window,
            inputs=window.inputs | {one.name: window.inputs[other.name], other.name: window.inputs[one.name]},
        )
        for one, other in pairwise(NUMBERS)
        if one.group == other.group
    }


def clock_stopped(window: Served) -> Served:
    """Date every request as the last one."""
    return replace(window, decided_at=np.full(len(window), window.decided_at[-1]))


def sent_twice(window: Served) -> Served:
    """Repeat every row."""
    return window.part(np.repeat(np.arange(len(window)), 2))


def scaled(window: Served) -> Served:
    """Scale the answers, and decide by what comes out."""
    probability = window.probability * 0.8
    return replace(window, probability=probability, positive=probability >= window.threshold)


def turned(window: Served) -> Served:
    """Turn the truth."""
    return replace(window, truth=1 - window.truth)


INPUT_FAULTS = {
    "A unit changes: values are 2.54 times as large": unit_changed,
    "A sensor is stuck": stuck,
    "A third of the names is a new one": renamed,
    "Half of the values are missing": missing,
    "The mean shifts by a standard deviation": shifted,
    "Two columns are swapped": swapped,
}
OUTPUT_FAULTS = {
    "The caller's clock stands still": clock_stopped,
    "Every request comes twice": sent_twice,
    "The answers are a fifth too low": scaled,
    "The truth is told the wrong way round": turned,
}


def each(window: Served, fields: Iterable[Field], change: Callable[[Field, Values], Values]) -> Broken:
    """Change one field after the other."""
    return {
        field.name: replace(window, inputs=window.inputs | {field.name: change(field, window.inputs[field.name])})
        for field in fields
    }


def first_known(values: Values) -> Values:
    """Return the first known value (1,)."""
    return values[~np.isnan(values)][:1]


def every(n: int, values: Values, value: float) -> Values:
    """Put a value into every n-th row."""
    return np.where(np.arange(len(values)) % n == 0, value, values)
