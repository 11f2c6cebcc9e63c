"""Writes the project's boosting, as scikit-learn's pipeline on a pandas frame, to the file that is named.

It is fitted as the project fits it, behind the encoder that scikit-learn has for it; one thread, one core.
"""

import sys
from pathlib import Path

import joblib
import numpy as np
from flight_delay.models import candidates, dataset, tuning
from flight_delay.paths import Paths
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

paths = Paths(Path.cwd())
data = dataset.load(paths)
rows = [candidates.Rows(data.x[data.rows(name)], data.y[data.rows(name)]) for name in ("train", "validation")]
model = candidates.fit_boosting(*rows, tuning.read_params(paths)).set_params(n_jobs=1)

levels = data.encoding.levels
names = [name for name in levels if levels[name]]  # they come first, here and in the encoder's output
ranks = OrdinalEncoder(
    categories=[levels[name] for name in names],
    handle_unknown="use_encoded_value",
    unknown_value=np.nan,
    encoded_missing_value=np.nan,
)
encoder = ColumnTransformer([("ranks", ranks, names)], remainder="passthrough")
numbers = {name: float for name in levels if name not in names}
encoder.fit(data.table.loc[data.rows("train"), list(levels)].astype(numbers))
joblib.dump(Pipeline([("encoder", encoder), ("model", model)]), sys.argv[1])
