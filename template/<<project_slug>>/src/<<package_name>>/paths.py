"""Where each stage reads and writes. Nothing else in the package spells out a path."""

from dataclasses import dataclass
from pathlib import Path

from .serving.folders import CHALLENGER


@dataclass(frozen=True)
class Paths:
    """The files of a project, below `root` (in normal use the folder that holds pyproject.toml)."""

    root: Path

    @property
    def raw(self) -> Path:
        """The tables as published, one Parquet file each."""
        return self.root / "data" / "raw"

    @property
    def rejected(self) -> Path:
        """Rows that broke the data contract, with the reason."""
        return self.root / "data" / "rejected"

    @property
    def features(self) -> Path:
        """The feature table: one row a decision."""
        return self.root / "data" / "processed" / "features.parquet"

    @property
    def data_manifest(self) -> Path:
        """What the feature table was made from: hashes, counts, the code's version."""
        return self.root / "data" / "processed" / "manifest.json"

    @property
    def sql(self) -> Path:
        """The queries that make examples and features."""
        return self.root / "sql"

    @property
    def params(self) -> Path:
        """Tuned parameters; committed, because a result depends on them."""
        return self.root / "params.json"

    @property
    def artifacts(self) -> Path:
        """Everything a run leaves that is not committed."""
        return self.root / "artifacts"

    @property
    def models(self) -> Path:
        """What the last training found of each model on the validation period, and which was best."""
        return self.artifacts / "models.json"

    @property
    def probabilities(self) -> Path:
        """What each model answered for the validation and test rows."""
        return self.artifacts / "probabilities.parquet"

    @property
    def candidate(self) -> Path:
        """What the last training exported: model.onnx, manifest.json, examples.json."""
        return self.artifacts / "candidate"

    @property
    def champion(self) -> Path:
        """The model that is served."""
        return self.artifacts / "champion"

    @property
    def challenger(self) -> Path:
        """The model that is tried on a share of the requests, while there is one."""
        return self.artifacts / CHALLENGER

    @property
    def prediction_log(self) -> Path:
        """The endpoint's log: predictions and, when known, their truth (SQLite)."""
        return self.artifacts / "predictions.sqlite"

    @property
    def simulation_log(self) -> Path:
        """The log of the last replay of the test period: never mixed with what people asked."""
        return self.artifacts / "simulation.sqlite"

    @property
    def rounds(self) -> Path:
        """A record of each round of the workflow."""
        return self.artifacts / "rounds"

    @property
    def reports(self) -> Path:
        """Reports for people, and the figures behind them."""
        return self.root / "reports"

    @property
    def figures(self) -> Path:
        """Pictures that the reports and the README show."""
        return self.reports / "figures"

    @property
    def metrics(self) -> Path:
        """Every measured number of the last evaluation."""
        return self.reports / "metrics.json"
