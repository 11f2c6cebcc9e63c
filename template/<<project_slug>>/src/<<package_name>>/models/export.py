"""The export: a model as an ONNX graph, and beside it a manifest with all else that serving must know."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
import onnxmltools
import onnxruntime
import skl2onnx
from onnxmltools.convert.common.data_types import FloatTensorType as LightGBMInput
from skl2onnx.common.data_types import FloatTensorType as ScikitInput

from .. import problem
from ..calibration import cost_threshold
from ..data.pipeline import with_offset
from ..monitoring import drift

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from ..calibration import Platt
    from ..encoding import FloatMatrix
    from ..paths import Paths
    from .candidates import Classifier
    from .dataset import Dataset

# High enough for missing values in trees, and known to every runtime of the last years.
OPSET = 15
EXAMPLES = 24


def export(paths: Paths, data: Dataset, name: str, model: Classifier, calibration: Platt, judged: pd.DataFrame) -> None:
    """Write `paths.candidate`: model.onnx, manifest.json and examples.json.

    `judged` holds the validation and test rows with the model's calibrated probability in the column `name`.
    """
    shutil.rmtree(paths.candidate, ignore_errors=True)
    paths.candidate.mkdir(parents=True)
    graph = to_onnx(model, data.x.shape[1])
    (paths.candidate / "model.onnx").write_bytes(graph)

    train = data.table[data.table["split"] == "train"]
    validation = judged.loc[judged["split"] == "validation", name].to_numpy()
    made_from = json.loads(paths.data_manifest.read_text(encoding="utf-8"))
    manifest = {
        # Two exports of the same model have the same version.
        "version": hashlib.sha256(graph + repr(calibration).encode()).hexdigest()[:12],
        "model": name,
        "trained": {"from": str(train[problem.TIME].min().date()), "until": made_from["split"]["validation_from"]},
        "data": made_from,
        "encoding": data.encoding.to_json(),
        "calibration": {"a": calibration.a, "b": calibration.b},
        "threshold": cost_threshold(),
        "typical": {field.name: typical(train[field.name], field) for field in problem.FIELDS},
        "reference": drift.reference(
            {field.name: drift.typed(field, train[field.name].to_numpy()) for field in drift.FIELDS},
            train["decided_at"].to_numpy(),
            validation,
        ),
    }
    write_manifest(paths.candidate, manifest)
    test = data.table[data.table["split"] == "test"]
    chosen = test.iloc[np.linspace(0, len(test) - 1, EXAMPLES, dtype=int)]
    chosen = chosen.assign(decided_at=with_offset(chosen["decided_at"]))
    examples = [
        {
            "label": problem.EXAMPLE_LABEL.format_map(row),
            "decided_at": row["decided_at"].isoformat(),
            "inputs": {name: plain(row[name]) for name in problem.NAMES},
            "outcome": bool(row[problem.TARGET]),
        }
        for row in chosen.to_dict("records")
    ]
    (paths.candidate / "examples.json").write_text(json.dumps(examples, indent=1) + "\n", encoding="utf-8")


def to_onnx(model: Classifier, fields: int) -> bytes:
    """Convert a model to an ONNX graph: "features" (n, fields) float32 in, probabilities (n, 2) last out."""
    shape = [None, fields]
    if isinstance(model, lightgbm.LGBMClassifier):
        inputs = [("features", LightGBMInput(shape))]
        booster = exact_in_float32(model.booster_)
        graph = onnxmltools.convert_lightgbm(booster, "model", inputs, target_opset=OPSET, zipmap=False)
    else:
        inputs = [("features", ScikitInput(shape))]
        graph = skl2onnx.convert_sklearn(model, "model", inputs, target_opset=OPSET, options={"zipmap": False})
    serialized: bytes = graph.SerializeToString()
    return serialized


def exact_in_float32(booster: lightgbm.Booster) -> lightgbm.Booster:
    """Return the same trees with every threshold moved to the next float32 below it.

    LightGBM keeps thresholds as float64, and a graph rounds them to the nearest float32, which can lie on the
    other side of a value. For inputs of float32, x <= t holds exactly when x <= t rounded down.
    """
    lines = []
    for line in booster.model_to_string().splitlines():
        if line.startswith("threshold="):
            exact = np.array(line.removeprefix("threshold=").split(), dtype=np.float64)
            below = exact.astype(np.float32)
            below = np.where(below > exact, np.nextafter(below, np.float32(-np.inf)), below)
            lines.append("threshold=" + " ".join(repr(float(t)) for t in below))
        elif not line.startswith("tree_sizes="):  # in bytes, which have just changed; it may be left out
            lines.append(line)
    return lightgbm.Booster(model_str="\n".join(lines) + "\n")


def run_onnx(graph: Path, x: FloatMatrix) -> NDArray[np.float64]:
    """Return the uncalibrated probability (n,) of POSITIVE that a graph gives for encoded rows."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; it warns of a label's shape, which nobody reads
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"features": x})[-1][:, 1], dtype=np.float64)


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read the manifest of a candidate or champion."""
    manifest: dict[str, Any] = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    return manifest


def write_manifest(directory: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest of a candidate or champion."""
    (directory / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def typical(values: pd.Series[Any], field: problem.Field) -> Any:
    """Return a field's median (a value that occurs), or its most frequent name; None if most are missing."""
    known = values.dropna()
    if 2 * len(known) < len(values):
        return None
    return plain(known.mode()[0] if field.is_category else known.quantile(interpolation="lower"))


def plain(value: Any) -> Any:
    """Return a cell as JSON has it: a missing value is null, and a whole number has no decimals."""
    if isinstance(value, (float, np.floating)):
        return None if np.isnan(value) else int(value) if value == int(value) else round(float(value), 4)
    return int(value) if isinstance(value, np.integer) else value
