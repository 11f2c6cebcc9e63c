"""From named fields to the matrix that every model reads; training and serving share this code.

A category becomes its rank: levels are ordered by how often they were positive in training, so that one
split of a tree cuts off the safe ones. A level never seen, and a missing value, become NaN. This keeps the
exported graph to plain comparisons of floats, which ONNX Runtime and LightGBM answer alike. A number that grows by
factors becomes log(1 + n): a linear model needs that, and to a tree it is the same.
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
    """The columns of the matrix, in order: a field's name, and its ranked levels if it is a category.

    `logs` names the numbers of which the logarithm is taken.
    """

    levels: Mapping[str, tuple[str, ...] | None]
    logs: frozenset[str] = frozenset()

    def encode(self, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> FloatMatrix:
        """Encode columns of equal length n, one for each field, as an (n, fields) matrix of float32.

        Raises KeyError for a field that is not there.
        """
        matrix = [
            columns[name] if ranks is None else [ranks.get(value, np.nan) for value in columns[name]]
            for name, ranks in self._ranks
        ]
        # None becomes NaN on the way to float.
        numbers = np.array(matrix, dtype=np.float64)
        numbers[self._logged] = np.log1p(numbers[self._logged])
        return numbers.T.astype(np.float32, order="C")

    @cached_property
    def _ranks(self) -> list[tuple[str, dict[str, float] | None]]:
        return [
            (name, None if levels is None else {level: float(rank) for rank, level in enumerate(levels)})
            for name, levels in self.levels.items()
        ]

    @cached_property
    def _logged(self) -> list[int]:
        return [i for i, name in enumerate(self.levels) if name in self.logs]

    def to_json(self) -> list[dict[str, Any]]:
        """Return the form that the model's manifest keeps."""
        return [
            {"name": name, "log": name in self.logs} if levels is None else {"name": name, "levels": list(levels)}
            for name, levels in self.levels.items()
        ]

    @classmethod
    def from_json(cls, fields: Sequence[Mapping[str, Any]]) -> "Encoding":
        """Read what `to_json` wrote."""
        levels = {field["name"]: tuple(field["levels"]) if "levels" in field else None for field in fields}
        return cls(levels, frozenset(field["name"] for field in fields if field.get("log")))
