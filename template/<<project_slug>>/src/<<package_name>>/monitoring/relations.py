"""How the numbers among the fields go together: each is predicted from all others, and what is left is watched.

A season moves temperature and dew point alike; a broken sensor moves one of them alone. All these regressions
come from one matrix, the inverse of the fields' correlations (Whittaker, Graphical Models, 1990, section 5.7), so
the manifest keeps a row of weights for each field, and no training data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Columns = Mapping[str, NDArray[np.float64]]

# Added to every variance, as in ridge regression: fields that say nearly the same would get weights of any size.
RIDGE = 0.05
# In standard deviations from the mean: one delay of ten hours must not outweigh a week.
FURTHEST = 4.0


def fit(columns: Columns) -> dict[str, Any]:
    """Return what `residuals` needs of fields (n,): each one's mean and deviation, and its weights on the others."""
    known = {name: values[~np.isnan(values)] for name, values in columns.items()}
    relations: dict[str, Any] = {
        # A field that is empty, or the same everywhere, says nothing, and nothing is said of it.
        name: {"mean": float(of.mean()), "deviation": float(of.std()) or 1.0}
        if len(of)
        else {"mean": 0.0, "deviation": 1.0}
        for name, of in known.items()
    }
    z = standardised(columns, relations)
    inverse = np.linalg.inv(z.T @ z / len(z) + RIDGE * np.eye(len(relations)))
    for of, weights in zip(relations.values(), inverse / np.diag(inverse)[:, None], strict=True):
        of["weights"] = weights.round(4).tolist()
    return relations


def residuals(columns: Columns, relations: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Return for each field (n,) by how much it exceeds what the others suggest, in deviations; NaN if missing."""
    left = standardised(columns, relations) @ np.array([of["weights"] for of in relations.values()]).T
    return {name: np.where(np.isnan(columns[name]), np.nan, left[:, i]) for i, name in enumerate(relations)}


def standardised(columns: Columns, relations: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the fields (n, fields) in deviations from their means; a gap counts as the mean."""
    z = np.column_stack([(columns[name] - of["mean"]) / of["deviation"] for name, of in relations.items()])
    return np.asarray(np.nan_to_num(z.clip(-FURTHEST, FURTHEST)))
