"""What must hold of every single prediction, whatever the season: each of these is a fault of a system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..problem import Field
    from ..serving.predictor import Predictor
    from .served import Served

# So many of a window's rows are answered again. An answer may be rounded otherwise, but not be another.
SAMPLE = 500
MAX_GAP = 1e-4
MAX_SKEWED = 0.001
# Shares of rows by which a window may exceed the stretches of training.
MORE_COPIES, MORE_AT_ONCE = 0.05, 0.2


def check(window: Served, predictor: Predictor, usual: Mapping[str, float]) -> dict[str, str]:
    """Return how much is wrong with a window, by check; a check that is passed is not there.

    `predictor` holds the champion, `usual` the most `repeats` that any stretch of training had.
    """
    found = {}
    if broken := {name: int(rows.sum()) for name, rows in breaches(window).items() if rows.any()}:
        found["contract"] = ", ".join(f"{name} in {rows:,} rows" for name, rows in broken.items())
    if rows := int(unsound(window).sum()):
        found["answers"] = f"{rows:,} of {len(window):,} are no probability, or decide against their threshold"
    if (skew := skewed(window, predictor)) > MAX_SKEWED:
        found["skew"] = f"{skew:.0%} of {SAMPLE} answers are more than {MAX_GAP} off"
    share = repeats(window.copy, window.decided_at)
    if share["copies"] > usual["copies"] + MORE_COPIES:
        found["copies"] = (
            f"{share['copies']:.0%} of rows say what another said, in training at most {usual['copies']:.0%}"
        )
    if share["at_once"] > usual["at_once"] + MORE_AT_ONCE:
        found["clock"] = f"{share['at_once']:.0%} of rows, in training at most {usual['at_once']:.0%}"
    return found


def repeats(copy: NDArray[Any], decided_at: NDArray[np.datetime64]) -> dict[str, float]:
    """Return the share of rows that say what another says, and the share that was decided at one moment."""
    _, alike = np.unique(copy, return_counts=True)
    _, at_once = np.unique(decided_at, return_counts=True)
    return {"copies": float(alike[alike > 1].sum()) / len(copy), "at_once": float(at_once.max()) / len(copy)}


def breaches(window: Served) -> dict[str, NDArray[np.bool_]]:
    """Tell for each field which rows (n,) break the data contract of problem.py."""
    found = {}
    for field in problem.FIELDS:
        if field.personal:
            continue
        values = window.inputs[field.name]
        gap = np.isnan(values)
        high = len(field.categories) - 1 if field.is_category else field.high
        wrong = (values < field.low) | (values > high) | (gap & (not field.optional))
        if field.integer:
            wrong |= ~gap & (values != np.rint(values))
        found[field.name] = wrong
    return found


def unsound(window: Served) -> NDArray[np.bool_]:
    """Tell which answers (n,) are no probability, or another decision than the threshold's."""
    in_range = (window.probability >= 0) & (window.probability <= 1)
    return np.asarray(~in_range | (window.positive != (window.probability >= window.threshold)))


def skewed(window: Served, predictor: Predictor) -> float:
    """Return the share of a sample of answers that the champion does not give to the same inputs here.

    The gate holds the champion's graph to the code that trained it, so this is skew between training and serving. It
    cannot be told, and is 0, where the model reads what is personal: the log lacks it.
    """
    if any(field.personal for field in problem.FIELDS):
        return 0.0
    some = window.part(np.linspace(0, len(window) - 1, min(len(window), SAMPLE)).astype(int))
    columns = [untyped(field, some.inputs[field.name]) for field in problem.FIELDS]
    rows = [dict(zip(problem.NAMES, row, strict=True)) for row in zip(*columns, strict=True)]
    return float(np.mean(np.abs(predictor.predict(rows) - some.probability) > MAX_GAP))


def untyped(field: Field, values: NDArray[np.float64]) -> list[Any]:
    """Return a field as a request has it: the reverse of drift.typed."""
    if not field.is_category:
        return [None if np.isnan(value) else value for value in values.tolist()]
    names = dict(enumerate(field.categories))
    return [names.get(value) for value in values.tolist()]
