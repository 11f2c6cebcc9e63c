"""Which inputs and answers moved since training, and which of them look broken.

The champion's manifest keeps the training data as figures of each field, so no training table is needed here.
The world moves, with seasons above all, and nothing is wrong: that is worth a note. What no season does is a fault:

- missing: more gaps than in training
- unseen: values that training never had
- stuck: one value in more rows than in training
- offset: values lie elsewhere than the other fields suggest (relations.py)

How much is too much, training itself tells. Its period is cut into stretches, each is compared with the whole as a
window will be, and a sign counts from `limit` times what is usual for its field. The limit lets so few stretches
have a fault, in whatever field, that a new one has by chance at most with MAX_FALSE_ALARMS (conformal prediction:
Vovk, Gammerman and Shafer, 2005).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import problem
from . import checks, relations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..problem import Field

    Values = NDArray[np.float64]
    Columns = Mapping[str, Values]
    Figures = dict[str, Any]

# What is personal is neither in the log nor in the manifest.
FIELDS = tuple(field for field in problem.FIELDS if not field.personal)

# Below so many rows a window is not judged: the PSI of unchanged data would often look like a shift.
MIN_ROWS = 500
# With fewer known values, a window says nothing about where they lie.
FEW = 50
QUANTILES = np.linspace(0.05, 0.95, 19)

# A PSI above this is customarily called a shift (Siddiqi, Credit Risk Scorecards, 2006).
SHIFTED = 0.2
# Bins that held less than this share count as one: over a hundred thin bins, the PSI measures chance.
RARE = 0.02
# A bin that is empty on one side would make the PSI infinite.
EMPTY = 1e-4

MAX_FALSE_ALARMS = 0.05
# A stretch of training is as long as a window, unless that makes fewer than this. Of 39 one may lie beyond the limit,
# as the first often does: what looks back for weeks has nothing to look at yet.
STRETCH_DAYS, MIN_STRETCHES = 7, 39
# What is usual, 95 of 100 stretches stayed within.
USUAL = 0.95
# However alike all stretches were, nothing counts below twice what is usual.
LEAST_LIMIT = 2.0
# What grows by factors may go so many times as high as it ever was before it counts as never seen.
GROWTH = 10
# Nor does what only the rounding of another machine makes higher: in deviations.
ROUNDING = 1e-6
# What counts as usual at the least, however still a field lay in training: shares of rows, and standard deviations.
LEAST = {"missing": 0.03, "unseen": 0.04, "stuck": 0.05, "offset": 0.2}


@dataclass(frozen=True)
class Summary:
    """One field in one window; quantiles are of numbers alone, and NaN where too little is known."""

    shares: Values
    quantiles: Values
    missing: float
    unseen: float
    repeated: float
    offset: float


@dataclass(frozen=True)
class FieldDrift:
    """One field in one window, beside its figures of training.

    `shift` is its distance from training; `faults` holds the signs that count, the worst first, and how many times
    the usual each is.
    """

    name: str
    now: Summary
    training: Figures
    psi: float
    shift: float
    faults: dict[str, float]

    @property
    def times_furthest(self) -> float:
        """How many times as far from training it is as any stretch of training was."""
        return self.shift / float(self.training["furthest"])

    @property
    def moved(self) -> bool:
        """Whether it shifted, and further from training than training's own stretches: a season, or a slow change."""
        return self.psi > SHIFTED and self.times_furthest > 1


def typed(field: Field, values: NDArray[Any]) -> Values:
    """Return a field of the feature table (n,) as floats: a name by its position in the field's list, a gap as NaN."""
    if not field.is_category:
        return np.asarray(values, dtype=np.float64)
    place = {level: float(i) for i, level in enumerate(field.categories)}
    return np.where(pd.isna(values), np.nan, [place.get(value, len(field.categories)) for value in values])


def reference(columns: Columns, decided_at: NDArray[np.datetime64], probability: Values) -> dict[str, Any]:
    """Summarise the training data, for the champion's manifest.

    `columns` holds each of FIELDS (n,) in the order of `decided_at` (n,). `probability` is what the model answers, best
    for other rows, in their order: of those it learned from it is too sure.
    """
    weeks = int((decided_at[-1] - decided_at[0]) / np.timedelta64(STRETCH_DAYS, "D"))
    count = max(MIN_STRETCHES, min(weeks, len(decided_at) // MIN_ROWS))
    # What grows by factors goes with the other fields in another way each time.
    related = relations.fit(
        {field.name: columns[field.name] for field in FIELDS if not field.is_category and not field.log}
    )
    left = relations.residuals(columns, related)
    fields, signs = {}, []
    for field in FIELDS:
        fields[field.name], of_stretches = learn(columns[field.name], left.get(field.name), field.categories, count)
        if field.log:
            fields[field.name]["range"][1] *= GROWTH
        signs.append(of_stretches)
    answers, _ = learn(probability, None, (), count)
    copy = pd.util.hash_pandas_object(pd.DataFrame({**columns, "decided_at": decided_at}), index=False).to_numpy()
    repeated = [checks.repeats(copy[part], decided_at[part]) for part in np.array_split(np.arange(len(copy)), count)]
    return {
        "rows": len(decided_at),
        "stretches": count,
        "repeats": {name: max(part[name] for part in repeated) for name in repeated[0]},
        "limit": limit(np.concatenate(signs, axis=1)),
        "fields": fields,
        "relations": related,
        "probability": answers,
    }


def learn(values: Values, left: Values | None, levels: Sequence[str], count: int) -> tuple[Figures, Values]:
    """Return the figures of one field for the manifest, and the signs (count, len(LEAST)) of each stretch."""
    figures = describe(values, levels)
    # As many rows as the smallest window has, for chance is part of what is usual.
    rng = np.random.default_rng(0)
    parts = np.array_split(np.arange(len(values)), count)
    rows = [np.sort(rng.choice(part, min(len(part), MIN_ROWS), replace=False)) for part in parts]
    stretches = [summarise(values[part], None if left is None else left[part], figures) for part in rows]
    signs = np.array([list(signs_of(stretch, figures).values()) for stretch in stretches])
    usual = np.maximum(np.quantile(signs, USUAL, axis=0), list(LEAST.values()))
    figures["usual"] = dict(zip(LEAST, usual.tolist(), strict=True))
    figures["furthest"] = max(distance(stretch, figures) for stretch in stretches) or 1.0
    return figures, signs


def describe(values: Values, levels: Sequence[str]) -> Figures:
    """Return what a window is compared with: where values lay, and how many were missing, or one and the same."""
    known = np.sort(values[~np.isnan(values)])
    figures: Figures = {"deviation": (float(known.std()) if len(known) else 0.0) or 1.0}
    if levels:
        figures |= {"levels": list(levels), "edges": [i + 0.5 for i in range(len(levels))]}
    else:
        # Where one value is frequent, several deciles fall together.
        deciles = np.quantile(known, np.linspace(0.1, 0.9, 9)) if len(known) else np.empty(0)
        slack = ROUNDING * figures["deviation"]
        low, high = (known[0] - slack, known[-1] + slack) if len(known) else (0, 0)
        figures |= {"edges": np.unique(deciles).tolist(), "range": [float(low), float(high)]}
    figures["shares"] = shares(known, figures["edges"]).tolist()
    whole = summarise(values, None, figures)
    return figures | {
        "missing": whole.missing,
        "repeated": whole.repeated,
        "quantiles": np.nan_to_num(whole.quantiles).tolist(),
    }


def summarise(values: Values, left: Values | None, figures: Figures) -> Summary:
    """Summarise one field (n,) of a window, or of a stretch of training; `left` (n,) are its residuals."""
    known = np.sort(values)[: len(values) - np.count_nonzero(np.isnan(values))]
    told = len(known) >= FEW
    now = shares(known, figures["edges"])
    if "levels" in figures:
        unseen = float(now[np.array(figures["shares"]) == 0].sum())
    else:
        low, high = figures["range"]
        unseen = 1 - float(np.searchsorted(known, high, "right") - np.searchsorted(known, low)) / max(len(known), 1)
    # One value ends, and the next begins, where two neighbours differ.
    ends = np.flatnonzero(np.diff(known, append=np.inf))
    return Summary(
        shares=now,
        quantiles=known[np.rint(QUANTILES * (len(known) - 1)).astype(int)] if told else np.full(len(QUANTILES), np.nan),
        missing=1 - len(known) / len(values),
        unseen=unseen if told else 0.0,
        repeated=float(np.diff(ends, prepend=-1).max()) / len(known) if told else 0.0,
        offset=float(np.nanmean(left)) if told and left is not None else 0.0,
    )


def shares(known: Values, edges: Sequence[float]) -> Values:
    """Return the shares of sorted values in each bin; the outer two are open, and an edge belongs below."""
    cuts = np.searchsorted(known, edges, side="right")
    return np.diff(cuts, prepend=0, append=len(known)) / max(len(known), 1)


def signs_of(now: Summary, figures: Figures) -> dict[str, float]:
    """Return how much there is of each sign of a fault, in the order of LEAST."""
    return {
        "missing": now.missing - figures["missing"],
        "unseen": now.unseen,
        "stuck": now.repeated - figures["repeated"],
        "offset": abs(now.offset),
    }


def distance(now: Summary, figures: Figures) -> float:
    """Return how far values are from training: in its deviations, numbers; names by the share that changed.

    Both are Wasserstein distances, and unlike a PSI they have no ceiling that a season may reach.
    """
    if "levels" in figures:
        return float(np.abs(now.shares - figures["shares"]).sum()) / 2
    return float(np.nan_to_num(np.abs(now.quantiles - figures["quantiles"])).mean()) / float(figures["deviation"])


def limit(signs: Values) -> float:
    """Return how many times the usual a sign must be, from the signs (stretches, n) of all fields."""
    least = np.tile(list(LEAST.values()), signs.shape[1] // len(LEAST))
    scores = []
    for i, here in enumerate(signs):
        usual = np.maximum(np.quantile(np.delete(signs, i, axis=0), USUAL, axis=0), least)
        scores.append(float((here / usual).max()))
    rank = int(MAX_FALSE_ALARMS * (len(scores) + 1))
    return max(sorted(scores, reverse=True)[rank - 1], LEAST_LIMIT)


def compare(columns: Columns, probability: Values, before: Mapping[str, Any]) -> list[FieldDrift]:
    """Compare the fields and the probabilities (n,) of a window with a `reference`.

    Returns the probability first, then the fields: the broken before the most moved.
    """
    left = relations.residuals(columns, before["relations"])
    fields = [
        drift(name, summarise(columns[name], left.get(name), figures), figures, before["limit"])
        for name, figures in before["fields"].items()
    ]
    answers = before["probability"]
    return [
        drift("probability", summarise(probability, None, answers), answers, before["limit"]),
        *sorted(accused(fields), key=lambda field: (not field.faults, -field.times_furthest)),
    ]


def drift(name: str, now: Summary, figures: Figures, limit: float) -> FieldDrift:
    """Hold one field of a window against training."""
    times = {sign: value / figures["usual"][sign] for sign, value in signs_of(now, figures).items()}
    return FieldDrift(
        name=name,
        now=now,
        training=figures,
        psi=psi(figures["shares"], now.shares),
        shift=distance(now, figures),
        faults={sign: times[sign] for sign in sorted(times, key=lambda sign: -times[sign]) if times[sign] > limit},
    )


def accused(fields: list[FieldDrift]) -> list[FieldDrift]:
    """Return the fields with those faults alone that are their own.

    A broken field pulls its companions along, so an offset accuses only where nothing else does, and the worst one.
    """
    own = [field.name for field in fields if set(field.faults) - {"offset"}]
    if not own:
        own = [max(fields, key=lambda field: max(field.faults.values(), default=0)).name]
    return [field if field.name in own else replace(field, faults={}) for field in fields]


def psi(before: Sequence[float], now: Values) -> float:
    """Return the population stability index of two lists of shares; 0 where one side knows no value."""
    p, q = lumped(np.asarray(before), now)
    if not p.any() or not q.any():
        return 0.0
    p, q = np.maximum(p, EMPTY), np.maximum(q, EMPTY)
    return float(np.sum((q - p) * np.log(q / p)))


def lumped(before: Values, now: Values) -> tuple[Values, Values]:
    """Count the bins that are rare in the reference as one, on both sides."""
    rare = before < RARE
    return np.append(before[~rare], before[rare].sum()), np.append(now[~rare], now[rare].sum())
