"""From a model's score to a probability that means what it says, and to a decision.

The graph that is served holds the bare model; the two numbers of the calibration and the threshold stand
beside it in the manifest, where a converter cannot change them. Training fits them (models/training.py).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import problem

# Log-odds of a score of exactly 0 or 1 are not finite.
EDGE = 1e-6


@dataclass(frozen=True)
class Platt:
    """Platt's scaling (1999): p = sigmoid(a * logit(score) + b)."""

    a: float
    b: float

    def __call__(self, score: NDArray[Any]) -> NDArray[np.float64]:
        """Return calibrated probabilities (n,) of scores (n,) between 0 and 1."""
        return 1 / (1 + np.exp(-(self.a * logit(score) + self.b)))


def logit(score: NDArray[Any]) -> NDArray[np.float64]:
    """Return log-odds (n,)."""
    p = np.clip(score.astype(np.float64), EDGE, 1 - EDGE)
    return np.asarray(np.log(p) - np.log1p(-p))


def cost_threshold() -> float:
    """Return the probability from which acting is cheaper than waiting (Elkan, 2001)."""
    return problem.FALSE_POSITIVE_COST / (problem.FALSE_POSITIVE_COST + problem.FALSE_NEGATIVE_COST)
