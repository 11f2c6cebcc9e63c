"""Every model that is compared, in one table. A model is a row here; nothing else names one.

Each is fitted to the same matrix (encoding.py), judged by the same calibration and threshold, and could be
served: whichever is best on the validation period is exported.

A kernel SVM is not among them: its kernel matrix has an entry for every pair of training rows. A linear one draws
the same kind of line as logistic regression.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import lightgbm
import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from .. import problem
from ..calibration import Platt, logit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from ..encoding import FloatMatrix

Params = dict[str, Any]

BASELINE = "baseline"
BOOSTING = "boosting"
MAX_TREES = 1000
PATIENCE = 50

# Where tuning starts; what it finds is in params.json.
START_PARAMS: Params = {
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_child_samples": 100,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
    "reg_lambda": 0.0,
}


class Classifier(Protocol):
    """What scikit-learn and LightGBM classifiers have in common."""

    def predict_proba(self, x: FloatMatrix) -> NDArray[np.float64]:
        """Return (n, 2) probabilities of NEGATIVE and POSITIVE."""
        ...


@dataclass(frozen=True)
class Rows:
    """Rows to fit or to check a fit: `x` (n, fields) and `y` (n,)."""

    x: FloatMatrix
    y: NDArray[np.int8]


def fit_baseline(train: Rows, validation: Rows, params: Params) -> Classifier:  # noqa: ARG001
    """Fit the baseline: logistic regression on the groups of fields that it knows."""
    return logistic([i for i, field in enumerate(problem.FIELDS) if field.group in problem.BASELINE_GROUPS], train)


def fit_logistic(train: Rows, validation: Rows, params: Params) -> Classifier:  # noqa: ARG001
    """Fit the baseline's model to every field, to tell the worth of the model from that of the features."""
    return logistic(list(range(len(problem.FIELDS))), train)


def logistic(known: list[int], train: Rows) -> Classifier:
    """Fit logistic regression to the columns `known`: a weight for each level and each standardised number."""
    categories = [i for i in known if problem.FIELDS[i].is_category]
    numbers = [i for i in known if not problem.FIELDS[i].is_category]
    columns = ColumnTransformer(
        [
            (
                "categories",
                Pipeline(
                    [
                        ("fill", SimpleImputer(strategy="constant", fill_value=-1)),
                        ("one_hot", OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
                    ]
                ),
                categories,
            ),
            (
                "numbers",
                Pipeline([("fill", SimpleImputer(strategy="median")), ("scale", StandardScaler())]),
                numbers,
            ),
        ]
    )
    return fitted([("columns", columns), ("weights", LogisticRegression(solver="newton-cholesky"))], train)


def fitted(steps: list[tuple[str, Any]], train: Rows) -> Classifier:
    """Fit a pipeline of scikit-learn's."""
    model: Classifier = Pipeline(steps).fit(train.x, train.y)
    return model


def fit_tree(train: Rows, validation: Rows, params: Params) -> Classifier:  # noqa: ARG001
    """Fit one tree, shallow enough to print."""
    tree = DecisionTreeClassifier(max_depth=7, min_samples_leaf=200, random_state=0)
    return fitted([("fill", SimpleImputer(strategy="median")), ("tree", tree)], train)


def fit_forest(train: Rows, validation: Rows, params: Params) -> Classifier:  # noqa: ARG001
    """Fit a random forest (Breiman, 2001)."""
    forest = RandomForestClassifier(
        n_estimators=60, min_samples_leaf=20, max_features=0.3, max_samples=0.3, n_jobs=-1, random_state=0
    )
    return fitted([("fill", SimpleImputer(strategy="median")), ("forest", forest)], train)


def fit_boosting(train: Rows, validation: Rows, params: Params) -> Classifier:
    """Fit gradient boosting (LightGBM); trees are added until the validation rows stop getting better."""
    model = lightgbm.LGBMClassifier(
        n_estimators=MAX_TREES,
        subsample_freq=1,
        random_state=0,
        # The same numbers on every run, however many threads there are.
        deterministic=True,
        force_row_wise=True,
        n_jobs=2,
        verbose=-1,
        **params,
    )
    boosted: Classifier = model.fit(
        train.x,
        train.y,
        eval_X=(validation.x,),
        eval_y=(validation.y,),
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )
    return boosted


MODELS: Mapping[str, Callable[[Rows, Rows, Params], Classifier]] = {
    BASELINE: fit_baseline,
    "logistic regression": fit_logistic,
    "decision tree": fit_tree,
    "random forest": fit_forest,
    BOOSTING: fit_boosting,
}


def score(model: Classifier, x: FloatMatrix) -> NDArray[np.float64]:
    """Return the uncalibrated probability (n,) of POSITIVE."""
    return np.asarray(model.predict_proba(x)[:, 1], dtype=np.float64)


def fit_platt(raw: NDArray[np.float64], y: NDArray[np.int8]) -> Platt:
    """Fit the calibration to scores (n,) and outcomes (n,) of rows that the model has not learned from."""
    # C so large that it does not shrink: there are only two numbers to learn, and Newton's steps find them to the last
    # digits, where the default solver stops in the fifth.
    line = LogisticRegression(C=1e6, solver="newton-cholesky", tol=1e-10).fit(logit(raw)[:, None], y)
    # Rounded, as those depend on how busy the machine's threads are, and the model's version on these two.
    return Platt(round(float(line.coef_[0, 0]), 6), round(float(line.intercept_[0]), 6))
