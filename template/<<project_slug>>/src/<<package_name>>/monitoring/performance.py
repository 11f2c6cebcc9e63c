"""How good the answers were, once the truth has come, and how fast they came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from .. import problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .served import Served

# Decisions may cost this much more than in the test before anyone is called: months differ.
COST_TOLERANCE = 1.1
# Rows of one day share their weather, so days are what is drawn; fewer of them say nothing about the spread.
MIN_DAYS = 5
DRAWS = 1000
# A desk that works through a list of flights does not notice less than this.
LATENCY_LIMIT_MS = 100.0


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
    truth = window.truth[known] == 1
    probability = window.probability[known]
    costs = decision_costs(truth, window.positive[known])
    low, high = interval_by_day(costs, window.decided_at[known])
    both = bool(truth.any() and not truth.all())
    return Accuracy(
        since=window.decided_at[0],
        until=window.decided_at[-1],
        rows=len(window),
        coverage=float(known.mean()),
        cost=mean(costs),
        low=low,
        high=high,
        roc_auc=float(roc_auc_score(truth, probability)) if both else float("nan"),
        average_precision=float(average_precision_score(truth, probability)) if both else float("nan"),
        acted=float(window.positive.mean()),
        expected=mean(probability),
        actual=mean(truth),
    )


def decision_costs(truth: NDArray[np.bool_], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return what each decision cost."""
    return np.where(
        truth & ~positive,
        problem.FALSE_NEGATIVE_COST,
        np.where(~truth & positive, problem.FALSE_POSITIVE_COST, 0.0),
    ).astype(np.float64)


def interval_by_day(costs: NDArray[np.float64], times: NDArray[np.datetime64]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean cost, drawing days; NaN for too few days."""
    _, day = np.unique(times.astype("datetime64[D]"), return_inverse=True)
    rows = np.bincount(day)
    if len(rows) < MIN_DAYS:
        return float("nan"), float("nan")
    cost = np.bincount(day, weights=costs)
    drawn = np.random.default_rng(0).integers(len(rows), size=(DRAWS, len(rows)))
    low, high = np.quantile(cost[drawn].sum(axis=1) / rows[drawn].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


def latency(window: Served) -> dict[str, float]:
    """Return percentiles of the time to answer, in milliseconds."""
    p50, p95, p99 = np.percentile(window.latency_ms, [50, 95, 99])
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}


def mean(values: NDArray[Any]) -> float:
    """Return the mean, or NaN of nothing."""
    return float(np.mean(values)) if len(values) else float("nan")
