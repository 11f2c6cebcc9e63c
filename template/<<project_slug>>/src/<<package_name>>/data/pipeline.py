"""The data stage: raw tables, held to their contract, become one feature table."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import subprocess
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd

from .. import problem
from ..errors import ProjectError
from . import contract
from .tables import TABLES

if TYPE_CHECKING:
    from pathlib import Path

    from ..paths import Paths

log = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")


class Split(NamedTuple):
    """The first day of the validation period, of the test period, and of what comes after."""

    validation_from: date
    test_from: date
    test_until: date


def make_features(connection: duckdb.DuckDBPyConnection, sql: Path) -> pd.DataFrame:
    """Run the queries of the folder `sql` over the tables in `connection`: one row a decision, in time order.

    Raises ProjectError if a query lacks a column, or a feature is known only after the decision.
    """
    examples = (sql / "examples.sql").read_text(encoding="utf-8")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE examples AS {examples}")
    features = connection.execute((sql / "features.sql").read_text(encoding="utf-8")).df()
    needed = {
        problem.KEY,
        problem.TIME,
        "decided_at",
        problem.RULE,
        problem.TARGET,
        *problem.NAMES,
        *problem.SLICES,
    }
    if absent := sorted(needed - set(features.columns)):
        raise ProjectError(f"sql/features.sql does not make {', '.join(absent)}, which problem.py names.")
    later = connection.table("examples").order(f"{problem.TIME}, {problem.KEY}").project("columns('^later_')")
    contract.refuse_leaks(features, later.df())
    return features


def build(paths: Paths, *, newest: bool = False) -> dict[str, Any]:
    """Make the feature table and its manifest, and return the manifest.

    With `newest`, the split moves on to the end of the tables, if they reach beyond the test period. Raises
    ProjectError for a missing table, or one that its contract refuses.
    """
    rows, rejected = {}, {}
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        for name, schema in TABLES.items():
            file = paths.raw / f"{name}.parquet"
            if not file.is_file():
                raise ProjectError(f"{file} is missing. data/raw/SOURCE.md says where it comes from.")
            table = read_table(file)
            bad = contract.check(name, table, schema, paths.rejected)
            rows[name], rejected[name] = len(table), len(bad)
            connection.register(name, table.drop(index=bad))
        features = make_features(connection, paths.sql)
        bad = contract.check("features", features, contract.features_schema(), paths.rejected)
        rows["features"], rejected["features"] = len(features), len(bad)
    features = features.drop(index=bad)
    split = split_until(features[problem.TIME].max().date() if newest else None)
    features["split"] = split_of(features[problem.TIME], split)
    features = features[features["split"].notna()]
    write_table(features, paths.features)
    for name, count in rejected.items():
        log.info("%s: %s rows, %s rejected", name, f"{rows[name]:,}", f"{count:,}")

    by_split = features.groupby("split")[problem.TARGET].agg(["size", "mean"])
    if lacking := [split for split in SPLITS if split not in by_split.index]:
        raise ProjectError(f"No rows are left to {', '.join(lacking)}. Check the dates of the split in problem.py.")
    manifest = {
        "inputs": {
            file.name: sha256(file) for file in sorted([*paths.raw.glob("*.parquet"), *paths.sql.glob("*.sql")])
        },
        "features": sha256(paths.features),
        "split": {name: str(day) for name, day in split._asdict().items()},
        "rows": rows,
        "rejected": rejected,
        "splits": {
            split: {"rows": int(by_split["size"][split]), "positive_rate": float(by_split["mean"][split])}
            for split in SPLITS
        },
        "code": code_version(paths.root),
    }
    paths.data_manifest.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest


def load(paths: Paths) -> pd.DataFrame:
    """Read the feature table. Raises ProjectError if it has not been made yet."""
    if not paths.features.is_file():
        raise ProjectError(f"{paths.features} is missing. Run `make data` first.")
    return read_table(paths.features)


def read_table(file: Path) -> pd.DataFrame:
    """Read a Parquet file. DuckDB does it, so that no second Parquet library is needed."""
    with duckdb.connect() as connection:
        return connection.read_parquet(str(file)).df()


def write_table(table: pd.DataFrame, file: Path) -> None:
    """Write a table as a Parquet file, and make its folder if need be."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.from_df(table).write_parquet(str(file), compression="zstd")


def split_until(newest: date | None = None) -> Split:
    """Return the split of problem.py, or, where `newest` is later, as many days later as the test then ends with it."""
    later = max(newest + timedelta(days=1) - problem.TEST_UNTIL, timedelta()) if newest else timedelta()
    return Split(problem.VALIDATION_FROM + later, problem.TEST_FROM + later, problem.TEST_UNTIL + later)


def split_of(times: pd.Series[pd.Timestamp], split: Split) -> pd.Series[str]:
    """Return "train", "validation" or "test" for each time; nothing after the test period, or in an embargo before."""
    edges = [pd.Timestamp.min, *map(pd.Timestamp, split)]
    names = pd.cut(times, edges, right=False, labels=list(SPLITS)).astype(object)
    for edge in edges[1:-1]:
        names[(times >= edge - problem.EMBARGO) & (times < edge)] = None
    return names


def with_offset(times: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]:
    """Return times of the feature table with the offset that the clocks of problem.TIMEZONE then had.

    When summer time ends, an hour comes twice; it is taken for the first of the two.
    """
    is_summer = np.ones(len(times), dtype=bool)
    return times.dt.tz_localize(problem.TIMEZONE, ambiguous=is_summer, nonexistent="shift_forward")


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def code_version(root: Path) -> str:
    """Return the commit checked out at `root`, with -dirty if files differ, or "unknown" without git."""
    if (git := shutil.which("git")) is None:
        return "unknown"
    described = subprocess.run(  # noqa: S603 — no part of the command comes from outside
        [git, "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"
