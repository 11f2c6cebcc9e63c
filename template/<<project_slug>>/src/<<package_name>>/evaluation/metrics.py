"""What a prediction is worth, and how sure one can be of it.

Every score takes the truth (n,), the probability (n,), the answer (n,), and optional weights (n,).
"""

# ruff: noqa: ARG001 — all scores have one signature, and few need all of it

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn import metrics as sklearn_metrics

from .. import problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Truth = NDArray[np.int8]
    Answers = NDArray[np.bool_]
    Probabilities = NDArray[np.float64]
    Weights = NDArray[np.float64] | None
    Score = Callable[[Truth, Probabilities, Answers, Weights], float]

RESAMPLES = 1000


class Interval(NamedTuple):
    """A figure, and the middle 95 % of what it would be in periods like the one it was measured in."""

    value: float
    low: float
    high: float


def cost_of(y: Truth, positive: Answers) -> NDArray[np.float64]:
    """Return the cost (n,) of each answer, in problem.COST_UNIT."""
    missed, needless = (y == 1) & ~positive, (y == 0) & positive
    return np.asarray(problem.FALSE_NEGATIVE_COST * missed + problem.FALSE_POSITIVE_COST * needless, dtype=np.float64)


def expected_cost(y: Truth, probability: Probabilities, positive: Answers, weight: Weights = None) -> float:
    """Return the mean cost of a decision."""
    return float(np.average(cost_of(y, positive), weights=weight))


def accuracy(y: Truth, probability: Probabilities, positive: Answers, weight: Weights = None) -> float:
    """Return the share of right answers."""
    return float(np.average((y == 1) == positive, weights=weight))


def average_precision(y: Truth, probability: Probabilities, positive: Answers, weight: Weights = None) -> float:
    """Return the area under the precision-recall curve."""
    return float(sklearn_metrics.average_precision_score(y, probability, sample_weight=weight))


def roc_auc(y: Truth, probability: Probabilities, positive: Answers, weight: Weights = None) -> float:
    """Return the chance that a positive row has a higher probability than a negative one."""
    return float(sklearn_metrics.roc_auc_score(y, probability, sample_weight=weight))


def brier(y: Truth, probability: Probabilities, positive: Answers, weight: Weights = None) -> float:
    """Return the mean squared error of the probability (Brier, 1950)."""
    return float(np.average((probability - y) ** 2, weights=weight))


def log_loss(y: Truth, probability: Probabilities) -> float:
    """Return the mean negative log-likelihood."""
    return float(sklearn_metrics.log_loss(y, probability))


METRICS: dict[str, Score] = {
    "expected_cost": expected_cost,
    "average_precision": average_precision,
    "roc_auc": roc_auc,
    "brier": brier,
    "accuracy": accuracy,
}
LOWER_IS_BETTER = {"expected_cost", "brier"}


def scores(y: Truth, probability: Probabilities, positive: Answers) -> dict[str, float]:
    """Return every metric."""
    return {name: compute(y, probability, positive, None) for name, compute in METRICS.items()}


def as_loss(value: float) -> float:
    """Turn a value of the primary metric so that less is better."""
    return value if problem.PRIMARY_METRIC in LOWER_IS_BETTER else -value


def primary_loss(y: Truth, probability: Probabilities, positive: Answers, weight: Weights = None) -> float:
    """Return the primary metric, turned so that less is better."""
    return as_loss(METRICS[problem.PRIMARY_METRIC](y, probability, positive, weight))


def drawn_days(days: NDArray[np.int64], resamples: int) -> NDArray[np.int64]:
    """Return how often (resamples, days) each day is drawn, when blocks of consecutive days are drawn at random.

    Rows of one day share its troubles, and these reach into the next days; drawn one by one, rows would promise more
    certainty than there is (the circular block bootstrap of Politis and Romano, 1992).
    """
    count = int(days.max()) + 1
    length = max(1, min(problem.BLOCK_DAYS, count // 4))  # a short period still needs several blocks to draw from
    starts = np.random.default_rng(0).integers(count, size=(resamples, math.ceil(count / length)))
    drawn = (starts[:, :, None] + np.arange(length)) % count
    return np.apply_along_axis(np.bincount, 1, drawn.reshape(resamples, -1), minlength=count)


def mean_interval(values: NDArray[np.float64], days: NDArray[np.int64]) -> Interval:
    """Return the mean of values (n,), which fall on days (n,), with its 95 % bootstrap interval."""
    drawn = drawn_days(days, RESAMPLES)
    sums, sizes = np.bincount(days, values), np.bincount(days)
    means = (drawn @ sums) / np.maximum(drawn @ sizes, 1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high))


def difference_interval(
    ours: NDArray[np.float64], our_days: NDArray[np.int64], theirs: NDArray[np.float64], their_days: NDArray[np.int64]
) -> Interval:
    """Return the mean of our values (n,) less that of theirs (m,), other rows of the same days, with its interval.

    Both are drawn on the same days, so that a hard day is hard for both.
    """
    drawn = drawn_days(np.concatenate([our_days, their_days]), RESAMPLES)
    days = drawn.shape[1]

    def means(values: NDArray[np.float64], on: NDArray[np.int64]) -> NDArray[np.float64]:
        sums, sizes = np.bincount(on, values, days), np.bincount(on, minlength=days)
        return np.asarray((drawn @ sums) / np.maximum(drawn @ sizes, 1))

    low, high = np.percentile(means(ours, our_days) - means(theirs, their_days), [2.5, 97.5])
    return Interval(float(ours.mean() - theirs.mean()), float(low), float(high))


def cost_interval(y: Truth, positive: Answers, days: NDArray[np.int64]) -> Interval:
    """Return the expected cost with its 95 % interval."""
    return mean_interval(cost_of(y, positive), days)


def loss_difference(
    y: Truth,
    days: NDArray[np.int64],
    challenger: tuple[Probabilities, Answers],
    champion: tuple[Probabilities, Answers],
) -> Interval:
    """Return by how much the challenger's loss exceeds the champion's: below 0 where the challenger is better.

    The two are compared on the same drawn days, so that a hard day is hard for both.
    """
    if problem.PRIMARY_METRIC == "expected_cost":
        return mean_interval(cost_of(y, challenger[1]) - cost_of(y, champion[1]), days)
    differences = [
        primary_loss(y, *challenger, weight) - primary_loss(y, *champion, weight)
        for weight in (drawn[days] for drawn in drawn_days(days, RESAMPLES // 5))
    ]
    low, high = np.percentile(differences, [2.5, 97.5])
    return Interval(primary_loss(y, *challenger) - primary_loss(y, *champion), float(low), float(high))


def expected_calibration_error(y: Truth, probability: Probabilities, bins: int = 10) -> float:
    """Return the mean gap between probability and observed share, over bins of equally many rows."""
    order = np.argsort(probability, kind="stable")
    gaps = [len(part) * abs(float(probability[part].mean() - y[part].mean())) for part in np.array_split(order, bins)]
    return sum(gaps) / len(y)
