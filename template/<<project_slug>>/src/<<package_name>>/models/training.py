"""The train stage: fits every model of the table, and exports the best of them as the candidate."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

from .. import problem
from ..calibration import cost_threshold
from ..data.pipeline import write_table
from ..evaluation import metrics
from . import dataset, export, tuning
from .candidates import BASELINE, MODELS, Rows, fit_platt, score

if TYPE_CHECKING:
    from ..calibration import Platt
    from ..paths import Paths
    from .candidates import Classifier

log = logging.getLogger(__name__)


def train(paths: Paths) -> dict[str, Any]:
    """Fit all models to the training period, and calibrate them on the validation period.

    Writes `paths.probabilities` (validation and test rows, a column a model) and `paths.models` (what the later
    stages need to know), and exports the model with the best primary metric on the validation period as
    `paths.candidate`. The test period is only predicted here; `evaluate` looks at them.
    """
    data = dataset.load(paths)
    params = tuning.read_params(paths)
    train_rows, validation_rows = data.rows("train"), data.rows("validation")
    judged_rows = ~train_rows
    fit_on = Rows(data.x[train_rows], data.y[train_rows])
    check_on = Rows(data.x[validation_rows], data.y[validation_rows])

    columns = [problem.KEY, problem.TIME, "split", problem.TARGET, problem.RULE]
    judged = data.table.loc[judged_rows, columns].reset_index(drop=True)
    is_validation = (judged["split"] == "validation").to_numpy()
    fitted: dict[str, tuple[Classifier, Platt]] = {}
    summary: dict[str, dict[str, float]] = {}
    for name, fit in MODELS.items():
        started = time.perf_counter()
        model = fit(fit_on, check_on, params)
        raw = score(model, data.x[judged_rows])
        calibration = fit_platt(raw[is_validation], check_on.y)
        probability = calibration(raw)
        judged[name] = probability
        judged[f"{name} (uncalibrated)"] = raw
        fitted[name] = (model, calibration)
        on_validation = probability[is_validation]
        answers = on_validation >= cost_threshold()
        summary[name] = metrics.scores(check_on.y, on_validation, answers)
        log.info(
            "%s: %s %.4f on validation, %.1f s",
            name,
            problem.PRIMARY_METRIC,
            summary[name][problem.PRIMARY_METRIC],
            time.perf_counter() - started,
        )

    challengers = [name for name in MODELS if name != BASELINE]
    best = min(challengers, key=lambda name: metrics.as_loss(summary[name][problem.PRIMARY_METRIC]))
    model, calibration = fitted[best]
    write_table(judged, paths.probabilities)
    result = {
        "best": best,
        "validation": summary,
    }
    paths.models.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    export.export(paths, data, best, model, calibration, judged)
    log.info("best on validation: %s; exported to %s", best, paths.candidate.relative_to(paths.root))
    return result
