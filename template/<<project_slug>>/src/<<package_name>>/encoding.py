"""From named fields to the matrix that every model reads; training and serving share this code.

A category becomes its rank: levels are ordered by how often they were positive in training, so that one
split of a tree cuts off the safe ones. A level never seen, and a missing value, become NaN. This keeps the
exported graph to plain comparisons of floats, which ONNX Runtime and LightGBM answer alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatMatrix = NDArray[np.float32]


@dataclass(frozen=True)
class Encoding:
    """The columns of the matrix, in order: a field's name, and its ranked levels if it is a category."""

    levels: Mapping[str, tuple[str, ...] | None]

    def encode(self, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> FloatMatrix:
        """Encode columns of equal length n, one for each field, as an (n, fields) matrix of float32.

        Raises KeyError for a field that is not there.
        """
        n = len(columns[next(iter(self.levels))])
        matrix = np.empty((n, len(self.levels)), dtype=np.float32)
        for i, (name, levels) in enumerate(self.levels.items()):
            if levels is None:
                # None becomes NaN on the way to float.
                matrix[:, i] = np.asarray(columns[name], dtype=np.float64)
            else:
                rank = {level: float(r) for r, level in enumerate(levels)}
                matrix[:, i] = [rank.get(value, np.nan) for value in columns[name]]
        return matrix

    def to_json(self) -> list[dict[str, Any]]:
        """Return the form that the model's manifest keeps."""
        return [
            {"name": name} if levels is None else {"name": name, "levels": list(levels)}
            for name, levels in self.levels.items()
        ]

    @classmethod
    def from_json(cls, fields: Sequence[Mapping[str, Any]]) -> "Encoding":
        """Read what `to_json` wrote."""
        return cls({field["name"]: tuple(field["levels"]) if "levels" in field else None for field in fields})
