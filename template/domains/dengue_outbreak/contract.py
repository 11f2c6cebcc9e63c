"""The data contract: what a row of the raw tables must be to be used, and when a whole table is unfit."""

from typing import get_args

import pandera.pandas as pa

from .. import problem
from .contract import missing_at_most, newest_is_from

TABLES = {
    "cases": pa.DataFrameSchema(
        {
            "notified": pa.Column("datetime64[us]", newest_is_from("2024-09-10")),
            # Missing for a few of the first years.
            "county": pa.Column(str, missing_at_most(0.05), nullable=True),
            # Given for the three counties whose townships are decided about, and for no other.
            "township": pa.Column(str, missing_at_most(0.5), nullable=True),
            "origin": pa.Column(str, pa.Check.isin(["local", "imported"])),
            # A day without a case has no row.
            "cases": pa.Column("int16", pa.Check.in_range(1, 1000)),
        },
        unique=["notified", "county", "township", "origin"],
        strict=True,
    ),
    "townships": pa.DataFrameSchema(
        {
            "county": pa.Column(str, pa.Check.isin(get_args(problem.County))),
            "township": pa.Column(str),
            # Degrees east and north; the three counties lie within these.
            "longitude": pa.Column(float, pa.Check.in_range(119.9, 121.2)),
            "latitude": pa.Column(float, pa.Check.in_range(21.8, 23.6)),
        },
        unique=["county", "township"],
        strict=True,
    ),
}
