"""The champion as it is served: from named fields to a calibrated probability, by ONNX Runtime alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from .. import problem
from ..calibration import Platt
from ..encoding import Encoding
from ..errors import ProjectError


class Predictor:
    """A model directory, loaded: `model.onnx`, `manifest.json` and `examples.json`.

    Raises ProjectError if one of them is missing, broken, or made for other fields than problem.py has.
    """

    def __init__(self, directory: Path) -> None:
        self.manifest: dict[str, Any] = _read_json(directory / "manifest.json")
        self.examples: list[dict[str, Any]] = _read_json(directory / "examples.json")
        try:
            self.version: str = self.manifest["version"]
            self.threshold: float = self.manifest["threshold"]
            self.typical: dict[str, Any] = self.manifest["typical"]
            self._calibration = Platt(**self.manifest["calibration"])
            self._encoding = Encoding.from_json(self.manifest["encoding"])
        except KeyError as error:
            raise ProjectError(
                f"{directory / 'manifest.json'} has no {error}: it was made by older code. Make it again: make run"
            ) from None
        unknown = sorted(set(self._encoding.levels) - set(problem.NAMES))
        if unknown:
            raise ProjectError(
                f"The model in {directory} reads {', '.join(unknown)}, which problem.py no longer names. "
                "Train one for the fields as they are now: make run"
            )
        self._session = _load_graph(directory / "model.onnx")
        self._probabilities = self._session.get_outputs()[-1].name

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Return the calibrated probability of problem.POSITIVE for each row; None is a missing value."""
        columns = {name: [row[name] for row in rows] for name in self._encoding.levels}
        matrix = self._encoding.encode(columns)
        (probabilities,) = self._session.run([self._probabilities], {"features": matrix})
        return self._calibration(probabilities[:, 1])

    def explain(self, row: Mapping[str, Any]) -> tuple[float, dict[str, float]]:
        """Return a row's probability, and by how much it exceeds the one with each field's typical value instead.

        Fields change one at a time, in one run of the graph; what two of them do together counts for both.
        """
        tried = [{**row, name: value} for name, value in self.typical.items()]
        probability, *others = self.predict([row, *tried]).tolist()
        return probability, {name: probability - other for name, other in zip(self.typical, others, strict=True)}


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _no_model(path) from None
    except ValueError as error:
        raise ProjectError(f"{path} is not valid JSON ({error}). Make it again: make run") from error


def _load_graph(path: Path) -> ort.InferenceSession:
    if not path.is_file():
        raise _no_model(path)
    options = ort.SessionOptions()
    # One row is too little work to share: a second thread would only wait, and take a core from the server.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no base class of their own
        raise ProjectError(f"{path} is not a model that can be loaded. Make it again: make run") from error


def _no_model(path: Path) -> ProjectError:
    return ProjectError(
        f"There is no model to serve: {path} is missing. "
        "Train one with `make run`, or name a folder that holds one in MODEL_DIR."
    )
