"""Questions about the champion that need further models: what it lives on, how it ages, what did not help.

They are answered with quicker fits, on every fourth training row, and each is compared with the same quick fit
of the champion's kind; only differences are reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.isotonic import IsotonicRegression

from .. import problem
from ..calibration import cost_threshold
from ..models.candidates import Rows, fit_boosting, fit_platt, score
from . import metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..encoding import FloatMatrix
    from ..models.candidates import Params
    from ..models.dataset import Dataset
    from .metrics import Interval

EVERY = 4
# A calibration that has seen fewer positives would follow chance.
MIN_POSITIVES = 100
# Of the random split: the share of the test rows that is judged, and of all rows that calibrates.
JUDGED_SHARE, CALIBRATED_SHARE = 0.3, 0.15


@dataclass(frozen=True)
class Finding:
    """One thing tried: its cost on the test rows, and by how much that exceeds the reference's."""

    name: str
    tried: str
    cost: float
    difference: Interval

    @property
    def verdict(self) -> str:
        """What the interval of the difference allows to say."""
        if self.difference.high < 0:
            return "cheaper"
        if self.difference.low > 0:
            return "dearer"
        return "no difference beyond noise"


@dataclass(frozen=True)
class Studies:
    """Fits quick models to one data set, and judges them on the same test rows."""

    data: Dataset
    params: Params

    def quick(
        self,
        x: FloatMatrix,
        fit_on: NDArray[np.bool_],
        calibrate_on: NDArray[np.bool_],
        judge_on: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """Return calibrated probabilities of the rows `judge_on`, of a quick fit to the rows `fit_on`."""
        y = self.data.y
        check_on = Rows(x[calibrate_on], y[calibrate_on])
        stop_on = Rows(check_on.x[::EVERY], check_on.y[::EVERY])
        model = fit_boosting(Rows(x[fit_on][::EVERY], y[fit_on][::EVERY]), stop_on, self.params)
        return fit_platt(score(model, check_on.x), check_on.y)(score(model, x[judge_on]))

    def by_split(self, x: FloatMatrix) -> NDArray[np.float64]:
        """Return probabilities of the test rows, of a quick fit to the training rows of `x`."""
        return self.quick(x, *(self.data.rows(split) for split in ("train", "validation", "test")))

    def finding(self, name: str, tried: str, answers: NDArray[np.bool_], reference: NDArray[np.bool_]) -> Finding:
        """Compare answers for the test rows with the reference's."""
        test = self.data.rows("test")
        y, days = self.data.y[test], self.data.days(test)
        cost = metrics.cost_of(y, answers)
        difference = metrics.mean_interval(cost - metrics.cost_of(y, reference), days)
        return Finding(name, tried, float(cost.mean()), difference)

    def ablation(self, reference: NDArray[np.float64]) -> list[Finding]:
        """Leave out one group of fields at a time."""
        found = []
        for group, about in problem.GROUPS.items():
            x = self.data.x.copy()
            x[:, [field.group == group for field in problem.FIELDS]] = np.nan
            answers = self.by_split(x) >= cost_threshold()
            found.append(self.finding(group, about, answers, reference >= cost_threshold()))
        return found

    def staleness(self, reference: NDArray[np.float64]) -> pd.DataFrame:
        """Compare, from the second period of the test on, the model as it is with one trained anew on what came before.

        The fresh model learns from everything but the last two periods, which calibrate it, as for the champion, or
        more where these are too quiet; in the first period of the test the two would be the same.
        """
        test = self.data.rows("test")
        times = self.data.table[problem.TIME]
        periods = times.dt.to_period(problem.PERIOD[0].upper())
        first, *later = sorted(periods[test].unique())
        rows = []
        for period in later:
            # What is answered only in this period was not known when it began.
            known = np.asarray(times < period.start_time - problem.EMBARGO)
            since = period - 2
            while self.data.y[known & (periods >= since)].sum() < MIN_POSITIVES:
                since -= 1
            fit_on, calibrate_on = np.asarray(times < since.start_time - problem.EMBARGO), known & (periods >= since)
            judged = test & np.asarray(periods == period)
            fresh = self.quick(self.data.x, fit_on, np.asarray(calibrate_on), judged)
            y, days = self.data.y[judged], self.data.days(judged)
            old = metrics.cost_of(y, reference[judged[test]] >= cost_threshold())
            new = metrics.cost_of(y, fresh >= cost_threshold())
            saved = metrics.mean_interval(old - new, days)
            rows.append(((period - first).n + 1, str(period), float(old.mean()), float(new.mean()), saved))
        return pd.DataFrame(rows, columns=["age", "period", "stale", "fresh", "saved"])

    def random_split(self, reference: NDArray[np.float64]) -> dict[str, float]:
        """Judge the same rows twice: as the future of all training rows, and as a random part of all rows.

        Returns cost and AUC of both; the difference is what a careless split would have made up.
        """
        place = np.random.default_rng(0).random(len(self.data.y))
        test = self.data.rows("test")
        judge_on = test & (place < JUDGED_SHARE)
        calibrate_on = ~judge_on & (place > 1 - CALIBRATED_SHARE)
        random = self.quick(self.data.x, ~judge_on & ~calibrate_on, calibrate_on, judge_on)
        y, by_time = self.data.y[judge_on], reference[judge_on[test]]
        return {
            "cost": metrics.expected_cost(y, random, random >= cost_threshold()),
            "roc_auc": metrics.roc_auc(y, random, random >= cost_threshold()),
            "time_split_cost": metrics.expected_cost(y, by_time, by_time >= cost_threshold()),
            "time_split_roc_auc": metrics.roc_auc(y, by_time, by_time >= cost_threshold()),
        }

    def experiments(self, judged: pd.DataFrame, best: str, reference: NDArray[np.float64]) -> list[Finding]:
        """Try what others would suggest. `judged` holds the validation and test rows with the champion's answers."""
        validation, test = (judged[judged["split"] == split] for split in ("validation", "test"))
        y = validation[problem.TARGET].to_numpy()
        champion = test[best].to_numpy() >= cost_threshold()
        raw = f"{best} (uncalibrated)"
        isotonic = IsotonicRegression(out_of_bounds="clip").fit(validation[raw], y)
        found = [
            self.finding(
                "threshold searched on the validation period",
                f"The threshold with the least cost there ({searched_threshold(validation[best].to_numpy(), y):.3f}), "
                f"not the one that follows from the costs ({cost_threshold():.3f})",
                test[best].to_numpy() >= searched_threshold(validation[best].to_numpy(), y),
                champion,
            ),
            self.finding(
                "no calibration",
                "The model's own probabilities against the same threshold",
                test[raw].to_numpy() >= cost_threshold(),
                champion,
            ),
            self.finding(
                "isotonic calibration",
                "A free-form calibration curve instead of Platt's two numbers",
                isotonic.predict(test[raw]) >= cost_threshold(),
                champion,
            ),
            self.finding(
                "average with logistic regression",
                "The mean of two models' probabilities",
                (test[best].to_numpy() + test["logistic regression"].to_numpy()) / 2 >= cost_threshold(),
                champion,
            ),
        ]
        quick_champion = reference >= cost_threshold()
        found += [
            self.finding(
                "positives weighted by their cost",
                "Training rows repeated by what missing them costs, and a threshold of one half",
                self.weighted() >= 0.5,
                quick_champion,
            ),
            self.finding(
                "only the recent half of training",
                "Older rows forgotten, in case they are out of date",
                self.recent_half() >= cost_threshold(),
                quick_champion,
            ),
        ]
        if left_out := [name for name in problem.SLICES if name not in problem.NAMES]:
            more = self.data.table[left_out].to_numpy(np.float32)
            answers = self.by_split(np.hstack([self.data.x, more])) >= cost_threshold()
            tried = f"{' and '.join(left_out)} added to the fields"
            found.append(self.finding("the slices as fields", tried, answers, quick_champion))
        return found

    def weighted(self) -> NDArray[np.float64]:
        """Return test probabilities, uncalibrated, of a fit to positives that are repeated by their cost."""
        train, validation = self.data.rows("train"), self.data.rows("validation")
        x, y = self.data.x[train][::EVERY], self.data.y[train][::EVERY]
        times = round(problem.FALSE_NEGATIVE_COST / problem.FALSE_POSITIVE_COST)
        repeated = np.repeat(np.arange(len(y)), np.where(y == 1, max(times, 1), 1))
        stop_on = Rows(self.data.x[validation][::EVERY], self.data.y[validation][::EVERY])
        model = fit_boosting(Rows(x[repeated], y[repeated]), stop_on, self.params)
        return score(model, self.data.x[self.data.rows("test")])

    def recent_half(self) -> NDArray[np.float64]:
        """Return test probabilities of a fit to the later half of the training rows."""
        train = self.data.rows("train")
        recent = train & (np.cumsum(train) > train.sum() / 2)
        return self.quick(self.data.x, recent, self.data.rows("validation"), self.data.rows("test"))


def searched_threshold(probability: NDArray[np.float64], y: NDArray[np.int8]) -> float:
    """Return the threshold with the least cost on these rows, out of 200 quantiles."""
    tries = np.unique(np.quantile(probability, np.linspace(0, 1, 200)))
    return float(tries[np.argmin([metrics.cost_of(y, probability >= t).mean() for t in tries])])
