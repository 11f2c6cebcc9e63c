"""Holds tables against their contract: bad rows are set aside with a reason, an unfit table stops the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from .. import problem
from ..errors import ProjectError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# Above this share of bad rows something is wrong with the table, not with the rows.
MAX_REJECTED_SHARE = 0.01

PAIRS = 100_000
# With fewer pairs that differ in both, chance alone may agree.
MIN_PAIRS = 500

# What is wrong with a table's shape, in pandera's words and in ours.
SHAPE = {"column_in_dataframe": "the column is missing", "column_in_schema": "the contract has no such column"}


def missing_at_most(share: float) -> pa.Check:
    """Return a check of a column: no more than `share` (0 to 1) of its values are missing."""
    return pa.Check(
        lambda column: bool(column.isna().mean() <= share),
        ignore_na=False,
        error=f"more than {share:.0%} missing",
    )


def newest_is_from(day: str) -> pa.Check:
    """Return a check of a time column: its newest value is from `day` (YYYY-MM-DD) or later."""
    return pa.Check(
        lambda column: bool(pd.to_datetime(column.max()).tz_localize(None) >= pd.Timestamp(day)),
        error=f"nothing as new as {day}",
    )


def features_schema() -> pa.DataFrameSchema:
    """Return the contract of the feature table, which follows from the fields of the problem."""
    columns = {
        problem.KEY: pa.Column(int, unique=True),
        problem.TIME: pa.Column("datetime64[us]"),
        problem.RULE: pa.Column(bool),
        problem.TARGET: pa.Column("int8", pa.Check.isin([0, 1])),
    }
    for field in problem.FIELDS:
        check = pa.Check.isin(field.categories) if field.is_category else pa.Check.in_range(field.low, field.high)
        columns[field.name] = pa.Column(checks=check, nullable=field.optional)
    return pa.DataFrameSchema(columns)


def check(name: str, table: pd.DataFrame, schema: pa.DataFrameSchema, rejected: Path) -> list[int]:
    """Return the positions of rows of `table` that break `schema`, and write them to `rejected`/NAME.csv.

    `table` has the default index. Raises ProjectError when the table as a whole is unfit: a column is missing
    or of another type, too much of it is missing, it is out of date, or too many rows are bad.
    """
    file = rejected / f"{name}.csv"
    file.unlink(missing_ok=True)
    try:
        schema.validate(table, lazy=True)
    except SchemaErrors as error:
        failures = error.failure_cases
    else:
        return []

    of_table = failures[failures["index"].isna()]
    if len(of_table):
        # A failure of the table's shape has no column of its own, and names it as its case.
        reasons = "; ".join(
            f"{row.failure_case}: {SHAPE[row.check]}" if row.check in SHAPE else f"{row.column or name}: {row.check}"
            for row in of_table.itertuples()
        )
        raise ProjectError(
            f"The table {name} breaks its contract: {reasons}. Get a sound copy, or change the contract."
        )

    reasons = (failures["column"] + ": " + failures["check"].astype(str)).groupby(failures["index"].astype(int))
    bad = reasons.agg(lambda texts: "; ".join(sorted(set(texts)))).sort_index()
    rejected.mkdir(parents=True, exist_ok=True)
    table.loc[bad.index].assign(reason=bad).to_csv(file, index_label="row")
    if len(bad) > MAX_REJECTED_SHARE * len(table):
        raise ProjectError(
            f"{len(bad):,} of {len(table):,} rows of {name} break the contract, more than the "
            f"{MAX_REJECTED_SHARE:.0%} that are put up with. They are in {file}, each with its reason."
        )
    return [int(position) for position in bad.index]


def refuse_leaks(features: pd.DataFrame, later: pd.DataFrame) -> None:
    """Raise ProjectError if a field is, or follows, something that is known only after the decision.

    `later` holds the columns of the examples whose names begin with later_, row by row beside `features`; the
    target itself is known only later, too. What counts is the order of pairs (Goodman and Kruskal's gamma,
    1954): pairs that are equal in either column say nothing, so a change of unit, a clip, or a cut into two
    classes hides nothing.
    """
    if hidden := [name for name in problem.NAMES if name in later.columns or name.startswith("later_")]:
        raise ProjectError(
            f"The field {hidden[0]} is known only after the decision. Take it out of sql/features.sql and problem.py."
        )
    facts = later.select_dtypes("number").assign(**{problem.TARGET: features[problem.TARGET].to_numpy()})
    pairs = np.random.default_rng(0).integers(0, len(features), (2, PAIRS))
    for field in problem.FIELDS:
        if field.is_category:
            continue
        for name in facts:
            agreement = agreement_of(features[field.name], facts[name], pairs)
            if agreement > problem.MAX_LATER_AGREEMENT:
                raise ProjectError(
                    f"The field {field.name} follows {name} (it orders pairs of rows alike, {agreement:.2f} of 1), "
                    "which is known only after the decision. Take it out of sql/features.sql and problem.py."
                )


def agreement_of(feature: pd.Series[Any], fact: pd.Series[Any], pairs: NDArray[np.int64]) -> float:
    """Return from 0 to 1 how alike, or how oppositely, two columns order `pairs` (2, n) of rows."""
    ups = [np.subtract(*column.to_numpy(float, na_value=np.nan)[pairs]) for column in (feature, fact)]
    alike = np.sign(ups[0]) * np.sign(ups[1])
    told = alike[~np.isnan(alike) & (alike != 0)]
    return abs(float(told.mean())) if len(told) >= MIN_PAIRS else 0.0
