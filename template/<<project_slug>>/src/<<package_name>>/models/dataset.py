"""The feature table as arrays, with the split and what the reports need beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import problem
from ..data import pipeline
from ..encoding import Encoding, FloatMatrix

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from ..paths import Paths

# A level seen n times in training is ranked as if it had been seen this many more times at the overall rate.
SMOOTHING_ROWS = 50


@dataclass(frozen=True)
class Dataset:
    """All rows in time order: `x` (n, fields), `y` (n,) of 0 and 1, and the feature table they came from."""

    table: pd.DataFrame
    encoding: Encoding
    x: FloatMatrix
    y: NDArray[np.int8]

    def rows(self, split: str) -> NDArray[np.bool_]:
        """Return which rows belong to "train", "validation" or "test"."""
        return np.asarray(self.table["split"] == split)

    def days(self, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the number of the day on which each of `rows` falls, from 0."""
        return day_numbers(self.table.loc[rows, problem.TIME])


def day_numbers(times: pd.Series[pd.Timestamp]) -> NDArray[np.int64]:
    """Return the number of the day (n,) on which each time falls, from 0."""
    days = np.asarray(times.to_numpy().astype("datetime64[D]").astype(np.int64))
    return np.asarray(days - days.min())


def load(paths: Paths) -> Dataset:
    """Read the feature table, and encode it as learned from the training rows alone.

    Raises ProjectError if the table has not been made.
    """
    table = pipeline.load(paths)
    encoding = fit_encoding(table[table["split"] == "train"])
    x = encoding.encode({name: table[name].to_numpy() for name in problem.NAMES})
    return Dataset(table, encoding, x, table[problem.TARGET].to_numpy(np.int8))


def fit_encoding(train: pd.DataFrame) -> Encoding:
    """Learn the order of each category's levels: by their smoothed share of positives, rarest positives first."""
    overall = train[problem.TARGET].mean()
    levels: dict[str, tuple[str, ...] | None] = {}
    for field in problem.FIELDS:
        if field.is_category:
            seen = train.groupby(field.name)[problem.TARGET].agg(["sum", "size"])
            rate = (seen["sum"] + SMOOTHING_ROWS * overall) / (seen["size"] + SMOOTHING_ROWS)
            levels[field.name] = tuple(rate.sort_values(kind="stable").index)
        else:
            levels[field.name] = None
    return Encoding(levels, frozenset(field.name for field in problem.FIELDS if field.log))
