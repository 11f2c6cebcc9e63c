"""How good the answers were, once the truth has come, and how fast they came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..evaluation import metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .served import Served

# Decisions may cost this much more than in the test before anyone is called: months differ.
COST_TOLERANCE = 1.1
# The interval comes from how days differ; fewer days say nothing about that.
MIN_DAYS = 5
# A desk that works through a list of flights does not notice less than this.
LATENCY_LIMIT_MS = 100.0

NAN = float("nan")


@dataclass(frozen=True)
class Accuracy:
    """One window, judged on those of its rows whose truth is known; NaN is what cannot be told."""

    since: np.datetime64
    until: np.datetime64
    rows: int
    coverage: float
    cost: float
    low: float
    high: float
    roc_auc: float
    average_precision: float
    acted: float
    expected: float
    actual: float

    def costs_more_than(self, test_cost: float) -> bool:
        """Whether the whole interval lies above what the champion cost in its test, plus the tolerance."""
        return self.low > test_cost * COST_TOLERANCE


def accuracy(window: Served) -> Accuracy:
    """Judge one window."""
    known = ~np.isnan(window.truth)
    truth = window.truth[known].astype(np.int8)
    probability, positive = window.probability[known], window.positive[known]
    _, day = np.unique(window.decided_at[known].astype("datetime64[D]"), return_inverse=True)
    cost, low, high = mean(metrics.cost_of(truth, positive)), NAN, NAN
    if len(np.unique(day)) >= MIN_DAYS:
        cost, low, high = metrics.cost_interval(truth, positive, day)
    both = len(np.unique(truth)) == 2
    return Accuracy(
        since=window.decided_at[0],
        until=window.decided_at[-1],
        rows=len(window),
        coverage=float(known.mean()),
        cost=cost,
        low=low,
        high=high,
        roc_auc=metrics.roc_auc(truth, probability, positive) if both else NAN,
        average_precision=metrics.average_precision(truth, probability, positive) if both else NAN,
        acted=float(window.positive.mean()),
        expected=mean(probability),
        actual=mean(truth),
    )


def latency(window: Served) -> dict[str, float]:
    """Return percentiles of the time to answer, in milliseconds; the newest row's may not be in the log yet."""
    p50, p95, p99 = np.nanpercentile(window.latency_ms, [50, 95, 99])
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}


def mean(values: NDArray[Any]) -> float:
    """Return the mean, or NaN of nothing."""
    return float(np.mean(values)) if len(values) else NAN
