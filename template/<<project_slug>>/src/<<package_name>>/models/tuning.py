"""Looks for better parameters of the boosting inside a time budget, and keeps them in params.json."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import optuna

from .. import tracking
from ..errors import ProjectError
from ..evaluation.metrics import log_loss
from . import dataset
from .candidates import START_PARAMS, Rows, fit_boosting, fit_platt, score

if TYPE_CHECKING:
    from ..paths import Paths
    from .candidates import Params

log = logging.getLogger(__name__)

# Trials learn from every third training row: three trials for the price of one, with the same ranking.
EVERY = 3
# As many for everyone: a search that only the clock ends finds other parameters on every machine.
TRIALS = 12


def tune(paths: Paths, seconds: float) -> Params:
    """Search for TRIALS trials, or `seconds`, write the best parameters to params.json, and return them.

    A trial is judged by its log loss on the validation period, after calibration: a smooth figure, where the
    cost at one threshold would reward chance. The first trial is START_PARAMS, so tuning cannot do worse.
    """
    data = dataset.load(paths)
    train, validation = data.rows("train"), data.rows("validation")
    fit_on = Rows(data.x[train][::EVERY], data.y[train][::EVERY])
    check_on = Rows(data.x[validation], data.y[validation])

    def trial_loss(trial: optuna.Trial) -> float:
        params = {
            "learning_rate": trial.suggest_float("learning_rate", 0.05, 0.2, log=True),
            "num_leaves": trial.suggest_int("num_leaves", 8, 64, log=True),
            "min_child_samples": trial.suggest_int("min_child_samples", 50, 500, log=True),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
            "reg_lambda": trial.suggest_float("reg_lambda", 0.0, 50.0),
        }
        probability = score(fit_boosting(fit_on, check_on, params), check_on.x)
        return log_loss(check_on.y, fit_platt(probability, check_on.y)(probability))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.enqueue_trial(START_PARAMS)
    study.optimize(trial_loss, n_trials=TRIALS, timeout=seconds)
    # Rounded, so that the file can be read; the model is fitted with what the file says.
    best = {name: round(value, 4) for name, value in study.best_params.items()}
    start = float(study.trials[0].values[0])
    log.info("%d trials, best log loss %.5f (at the start %.5f)", len(study.trials), study.best_value, start)
    paths.params.write_text(json.dumps(best, indent=2) + "\n", encoding="utf-8")
    found = {"trials": len(study.trials), "log_loss": study.best_value, "log_loss_at_the_start": start}
    tracking.record(paths, "tuning", best, found, {})
    return best


def read_params(paths: Paths) -> Params:
    """Read params.json. Raises ProjectError if there is none, or it cannot be read."""
    try:
        params: Params = json.loads(paths.params.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ProjectError(f"{paths.params} is missing. Run `make tune` first.") from error
    except json.JSONDecodeError as error:
        raise ProjectError(f"{paths.params} is not JSON ({error}). Mend it, or run `make tune`.") from error
    if unknown := sorted(set(params) - set(START_PARAMS)):
        raise ProjectError(f"{paths.params} has {', '.join(unknown)}; allowed are {', '.join(START_PARAMS)}.")
    return params
