"""How far the model's inputs and answers have moved from what it was trained on.

The champion's manifest keeps the training data as shares of bins, so no training table is needed here. It
also keeps how far single stretches of the training period were from the whole: weather and seasons always
move, and only what moves further than they did is worth a person's time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

# Below this many rows, bins are so thin that the PSI of unchanged data often looks like drift.
MIN_ROWS = 500
# A PSI above this is customarily called a shift (Siddiqi, Credit Risk Scorecards, 2006).
SHIFTED = 0.2
# A field that moved this many times as far as it ever did in training has most likely changed its meaning.
UNHEARD_OF = 5.0
# Shares of rows by which a window may exceed every stretch of training: to note, and to act on.
MARGIN_TO_NOTE, MARGIN_TO_ACT = 0.05, 0.25
# Shares of rows with values that training never saw: to note, and to act on.
NOVEL_TO_NOTE, NOVEL_TO_ACT = 0.01, 0.2

# The training period is cut into so many stretches of equal length to learn what is usual.
STRETCHES = 30
# Bins that held less than this count as one: over a hundred thin bins, the PSI measures chance.
RARE = 0.02
# A bin that is empty on one side would make the PSI infinite.
FLOOR = 1e-4


@dataclass(frozen=True)
class FieldDrift:
    """One field in one window; `usual_*` is the most that a stretch of the training period reached."""

    name: str
    shares: NDArray[np.float64]
    psi: float
    usual_psi: float
    jensen_shannon: float
    missing: float
    usual_missing: float
    repeated: float
    usual_repeated: float
    novel: float

    @property
    def faults(self) -> list[str]:
        """What no season explains: someone has to look at the data."""
        found = []
        if self.missing > self.usual_missing + MARGIN_TO_ACT:
            found.append(f"missing in {self.missing:.0%} of rows{at_most(self.usual_missing)}")
        if self.novel > NOVEL_TO_ACT:
            found.append(f"{self.novel:.0%} of values are unlike any in training")
        if self.repeated > self.usual_repeated + MARGIN_TO_ACT:
            found.append(f"stuck: one value in {self.repeated:.0%} of rows{at_most(self.usual_repeated)}")
        if self.psi > max(SHIFTED, UNHEARD_OF * self.usual_psi):
            found.append(f"PSI {self.psi:.2f} (in training at most {self.usual_psi:.2f})")
        return found

    @property
    def changes(self) -> list[str]:
        """What is worth knowing, but may be the season."""
        found = []
        if self.psi > max(SHIFTED, self.usual_psi):
            found.append(f"PSI {self.psi:.2f} (in training at most {self.usual_psi:.2f})")
        if self.missing > self.usual_missing + MARGIN_TO_NOTE:
            found.append(f"missing in {self.missing:.0%} of rows{at_most(self.usual_missing)}")
        if self.novel > NOVEL_TO_NOTE:
            found.append(f"{self.novel:.0%} of values are unlike any in training")
        return found


def at_most(usual_share: float) -> str:
    """Say what was usual in training."""
    return f" (in training at most {usual_share:.0%})"


def reference(columns: Mapping[str, Any], probability: NDArray[Any]) -> dict[str, Any]:
    """Summarise the training data, for the champion's manifest.

    `columns` holds every field of the problem, rows in the order of time; a missing value is None or NaN.
    `probability` is what the model answers, best for other rows: of those it learned from it is too sure.
    """
    return {
        "rows": len(columns[problem.NAMES[0]]),
        "fields": {
            field.name: summary(columns[field.name], field.is_category)
            for field in problem.FIELDS
            if not field.personal  # which the log leaves out
        },
        "probability": summary(probability, is_category=False),
        "positive_rate": float(np.mean(probability)),
    }


def compare(
    columns: Mapping[str, NDArray[Any]], probability: NDArray[Any], before: Mapping[str, Any]
) -> list[FieldDrift]:
    """Compare a window with a `reference`: the probability first, then the fields, the most moved before."""
    fields = [drift(name, columns[name], bins) for name, bins in before["fields"].items()]
    fields.sort(key=lambda field: -field.psi)
    return [drift("probability", probability, before["probability"]), *fields]


def summary(column: Any, is_category: bool) -> dict[str, Any]:
    """Bin one column of the training data, and say how far stretches of it were from the whole."""
    values = typed(column, is_category)
    known = values[~missing(values)]
    bins: dict[str, Any]
    if is_category:
        bins = {"levels": np.unique(known.astype(str)).tolist()}
    else:
        # Where one value is frequent, several deciles fall together.
        deciles = np.quantile(known, np.linspace(0.1, 0.9, 9)) if len(known) else np.zeros(1)
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
        bins = {"edges": np.unique(deciles).tolist(), "low": low, "high": high}
    bins["shares"] = shares(values, bins).tolist()
    bins["missing"] = float(missing(values).mean())
    stretches = [part for part in np.array_split(values, STRETCHES) if len(part)]
    bins["usual"] = {
        "psi": max(psi(bins["shares"], shares(part, bins)) for part in stretches),
        "missing": max(float(missing(part).mean()) for part in stretches),
        "repeated": max(repeated(part) for part in stretches),
    }
    return bins


def drift(name: str, column: Any, bins: Mapping[str, Any]) -> FieldDrift:
    """Compare one column of a window with its `summary`."""
    values = typed(column, "levels" in bins)
    now = shares(values, bins)
    usual = bins["usual"]
    return FieldDrift(
        name=name,
        shares=now,
        psi=psi(bins["shares"], now),
        usual_psi=usual["psi"],
        jensen_shannon=jensen_shannon(bins["shares"], now),
        missing=float(missing(values).mean()),
        usual_missing=usual["missing"],
        repeated=repeated(values),
        usual_repeated=usual["repeated"],
        novel=novel(values, bins),
    )


def psi(before: Sequence[float] | NDArray[np.float64], now: NDArray[np.float64]) -> float:
    """Return the population stability index of two lists of shares; 0 where one side knows no value."""
    p, q = lumped(np.asarray(before), now)
    if not p.any() or not q.any():
        return 0.0
    p, q = np.maximum(p, FLOOR), np.maximum(q, FLOOR)
    return float(np.sum((q - p) * np.log(q / p)))


def jensen_shannon(before: Sequence[float] | NDArray[np.float64], now: NDArray[np.float64]) -> float:
    """Return the Jensen-Shannon distance of two lists of shares: 0 is the same, 1 nothing in common."""
    p, q = lumped(np.asarray(before), now)
    if not p.any() or not q.any():
        return 0.0
    middle = np.maximum((p + q) / 2, np.finfo(float).tiny)
    halves = [np.sum(side[side > 0] * np.log2((side / middle)[side > 0])) / 2 for side in (p, q)]
    return float(np.sqrt(max(halves[0] + halves[1], 0.0)))


def lumped(before: NDArray[np.float64], now: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count the bins that are rare in the reference as one, on both sides."""
    rare = before < RARE
    return np.append(before[~rare], before[rare].sum()), np.append(now[~rare], now[rare].sum())


def shares(values: NDArray[Any], bins: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the shares of known values in each bin.

    For names: one for each level, and last what is none of them. For numbers: one for each bin between edges,
    the outer two open; an edge belongs to the bin below it.
    """
    known = values[~missing(values)]
    if "levels" in bins:
        place = {level: i for i, level in enumerate(bins["levels"])}
        found = np.array([place.get(value, len(place)) for value in known], dtype=np.intp)
        counts = np.bincount(found, minlength=len(place) + 1)
    else:
        counts = np.bincount(np.searchsorted(bins["edges"], known), minlength=len(bins["edges"]) + 1)
    return counts / max(len(known), 1)


def novel(values: NDArray[Any], bins: Mapping[str, Any]) -> float:
    """Return the share of known values that training never saw: another level, a number out of range."""
    if "levels" in bins:
        return float(shares(values, bins)[-1])
    known = values[~missing(values)]
    return float(np.mean((known < bins["low"]) | (known > bins["high"]))) if len(known) else 0.0


def repeated(values: NDArray[Any]) -> float:
    """Return the share of all rows, known or not, that hold the most frequent value."""
    known = values[~missing(values)]
    if not len(known):
        return 0.0
    _, counts = np.unique(known.astype(str) if known.dtype == object else known, return_counts=True)
    return float(counts.max() / len(values))


def typed(column: Any, is_category: bool) -> NDArray[Any]:
    """Return names as objects and numbers as floats, with None or NaN for what is missing."""
    return np.asarray(column, dtype=object if is_category else np.float64)


def missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which values are None or NaN."""
    if values.dtype == object:
        return np.array([value is None or value != value for value in values], dtype=bool)  # noqa: PLR0124
    gaps: NDArray[np.bool_] = np.isnan(values)
    return gaps
