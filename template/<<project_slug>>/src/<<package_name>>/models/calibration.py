"""From a model's score to a probability that means what it says, and to a decision.

The graph that is served holds the bare model; the two numbers of the calibration and the threshold stand
beside it in the manifest, where a converter cannot change them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import LogisticRegression

from .. import problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Log-odds of a score of exactly 0 or 1 are not finite.
EDGE = 1e-6


@dataclass(frozen=True)
class Platt:
    """Platt's scaling (1999): p = sigmoid(a * logit(score) + b)."""

    a: float
    b: float

    @classmethod
    def fit(cls, score: NDArray[np.float64], y: NDArray[np.int8]) -> Platt:
        """Fit to scores (n,) between 0 and 1, and outcomes (n,) of rows that the model has not learned from."""
        # C so large that it does not shrink: there are only two numbers to learn.
        fitted = LogisticRegression(C=1e6).fit(logit(score)[:, None], y)
        return cls(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))

    def __call__(self, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return calibrated probabilities (n,)."""
        return 1 / (1 + np.exp(-(self.a * logit(score) + self.b)))


def logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log-odds."""
    clipped = np.clip(p, EDGE, 1 - EDGE)
    return np.log(clipped / (1 - clipped))


def cost_threshold() -> float:
    """Return the probability from which acting is cheaper than waiting (Elkan, 2001)."""
    return problem.FALSE_POSITIVE_COST / (problem.FALSE_POSITIVE_COST + problem.FALSE_NEGATIVE_COST)
