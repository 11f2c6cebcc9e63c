"""How good the answers were, once the truth has come, and how fast they came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..evaluation import metrics
from ..evaluation.metrics import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .served import Served

# Decisions may cost this much more than in the test before anyone is called: months differ.
COST_TOLERANCE = 1.1
# An answer that points the right way is above this ROC AUC, however little it knows.
COIN_TOSS = 0.5
# The interval comes from how days differ; fewer days say nothing about that.
MIN_DAYS = 5
# Who works through a list does not notice less than this.
LATENCY_LIMIT_MS = 100.0
# Probabilities are sorted into so many bins before rows are drawn: the AUC then moves by less than .001.
BINS = 200

NAN = float("nan")


@dataclass(frozen=True)
class Accuracy:
    """One window, judged on those of its rows whose truth is known; NaN is what cannot be told."""

    since: np.datetime64
    until: np.datetime64
    rows: int
    coverage: float
    cost: Interval
    roc_auc: Interval
    acted: float
    expected: float
    actual: float

    def costs_more_than(self, test_cost: float) -> bool:
        """Whether the whole interval lies above what the champion cost in its test, plus the tolerance."""
        return self.cost.low > test_cost * COST_TOLERANCE

    @property
    def is_turned(self) -> bool:
        """Whether the answers surely point the wrong way."""
        return self.roc_auc.high < COIN_TOSS


def accuracy(window: Served) -> Accuracy:
    """Judge one window."""
    known = ~np.isnan(window.truth)
    truth = window.truth[known].astype(np.int8)
    probability, positive = window.probability[known], window.positive[known]
    _, day = np.unique(window.decided_at[known].astype("datetime64[D]"), return_inverse=True)
    cost = Interval(mean(metrics.cost_of(truth, positive)), NAN, NAN)
    auc = Interval(NAN, NAN, NAN)
    if len(np.unique(day)) >= MIN_DAYS:
        cost = metrics.cost_interval(truth, positive, day)
        auc = auc_interval(truth, probability, day)
    return Accuracy(
        since=window.decided_at[0],
        until=window.decided_at[-1],
        rows=len(window),
        coverage=float(known.mean()),
        cost=cost,
        roc_auc=auc,
        acted=float(window.positive.mean()),
        expected=mean(probability),
        actual=mean(truth),
    )


def auc_interval(truth: NDArray[np.int8], probability: NDArray[np.float64], day: NDArray[np.int64]) -> Interval:
    """Return the ROC AUC with its 95 % interval, from drawing days; NaN if there is one class only.

    Counts of each day, class and bin are enough to draw from, so that a million rows take no longer than a thousand.
    """
    bins = np.searchsorted(np.quantile(probability, np.linspace(0, 1, BINS + 1)[1:-1]), probability)
    days = int(day.max()) + 1
    counts = np.bincount((truth * days + day) * BINS + bins, minlength=2 * days * BINS).reshape(2, days, BINS)
    drawn = np.vstack([np.ones(days), metrics.drawn_days(day, metrics.RESAMPLES)])
    negative, positive = drawn @ counts[0], drawn @ counts[1]
    # A positive outranks the negatives of lower bins, and half of those in its own.
    outranked = np.cumsum(negative, axis=1) - negative / 2
    pairs = negative.sum(axis=1) * positive.sum(axis=1)
    areas = (positive * outranked).sum(axis=1) / np.where(pairs, pairs, NAN)
    if not pairs.all():
        return Interval(float(areas[0]), NAN, NAN)
    low, high = np.percentile(areas[1:], [2.5, 97.5])
    return Interval(float(areas[0]), float(low), float(high))


def latency(window: Served) -> dict[str, float]:
    """Return percentiles of the time to answer, in milliseconds; NaN where none is logged."""
    known = window.latency_ms[~np.isnan(window.latency_ms)]
    p50, p95, p99 = np.percentile(known, [50, 95, 99]) if len(known) else (NAN, NAN, NAN)
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}


def mean(values: NDArray[Any]) -> float:
    """Return the mean, or NaN of nothing."""
    return float(np.mean(values)) if len(values) else NAN
