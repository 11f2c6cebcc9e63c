"""From named fields to the matrix that every model reads; training and serving share this code.

A category becomes its rank: levels are ordered by how often they were positive in training, so that one
split of a tree cuts off the safe ones. A level never seen, and a missing value, become NaN. This keeps the
exported graph to plain comparisons of floats, which ONNX Runtime and LightGBM answer alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
        matrix = [
            columns[name] if ranks is None else [ranks.get(value, np.nan) for value in columns[name]]
            for name, ranks in self._ranks
        ]
        # None becomes NaN on the way to float.
        return np.array(matrix, dtype=np.float64).T.astype(np.float32, order="C")

    @cached_property
    def _ranks(self) -> list[tuple[str, dict[str, float] | None]]:
        return [
            (name, None if levels is None else {level: float(rank) for rank, level in enumerate(levels)})
            for name, levels in self.levels.items()
        ]

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
