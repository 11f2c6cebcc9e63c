"""The data contract: what a row of the raw tables must be to be used, and when a whole table is unfit."""

from typing import get_args

import pandera.pandas as pa

from .. import problem
from .contract import missing_at_most, newest_is_from

TABLES = {
    "flights": pa.DataFrameSchema(
        {
            "sched_dep": pa.Column("datetime64[us]", newest_is_from("2013-12-31")),
            "sched_arr_time": pa.Column("int16", pa.Check.in_range(0, 2359)),
            "carrier": pa.Column(str, pa.Check.isin(get_args(problem.Carrier))),
            "flight": pa.Column("int16", pa.Check.in_range(1, 9999)),
            # All that is missing here is cancelled flights: see last_plane in sql/features.sql.
            "tailnum": pa.Column(str, [pa.Check.str_matches(r"^[A-Z0-9]{5,6}$"), missing_at_most(0.02)], nullable=True),
            "origin": pa.Column(str, pa.Check.isin(get_args(problem.Origin))),
            "dest": pa.Column(str, pa.Check.isin(get_args(problem.Destination))),
            "distance": pa.Column("int16", pa.Check.in_range(10, 6000)),
            # Minutes; missing for a cancelled flight, and the arrival's for a diverted one.
            "dep_delay": pa.Column("Int16", [pa.Check.in_range(-60, 2000), missing_at_most(0.05)], nullable=True),
            "arr_delay": pa.Column("Int16", [pa.Check.in_range(-120, 2000), missing_at_most(0.05)], nullable=True),
        },
        unique=["sched_dep", "carrier", "flight", "origin"],
        strict=True,
    ),
    "weather": pa.DataFrameSchema(
        {
            "origin": pa.Column(str, pa.Check.isin(get_args(problem.Origin))),
            "year": pa.Column(int, pa.Check.eq(2013)),
            "month": pa.Column(int, pa.Check.in_range(1, 12)),
            "day": pa.Column(int, pa.Check.in_range(1, 31)),
            "hour": pa.Column(int, pa.Check.in_range(0, 23)),
            "temp": pa.Column(float, [pa.Check.in_range(-40, 130), missing_at_most(0.01)], nullable=True),
            "dewp": pa.Column(float, [pa.Check.in_range(-60, 100), missing_at_most(0.01)], nullable=True),
            "humid": pa.Column(float, [pa.Check.in_range(0, 100), missing_at_most(0.01)], nullable=True),
            "wind_dir": pa.Column(float, [pa.Check.in_range(0, 360), missing_at_most(0.05)], nullable=True),
            "wind_speed": pa.Column(float, [pa.Check.in_range(0, 150), missing_at_most(0.01)], nullable=True),
            # Reported only when there are gusts.
            "wind_gust": pa.Column(float, pa.Check.in_range(0, 200), nullable=True),
            "precip": pa.Column(float, [pa.Check.in_range(0, 10), missing_at_most(0.01)], nullable=True),
            "pressure": pa.Column(float, [pa.Check.in_range(850, 1100), missing_at_most(0.2)], nullable=True),
            "visib": pa.Column(float, [pa.Check.in_range(0, 20), missing_at_most(0.01)], nullable=True),
            # UTC, and so unique even in the hour that is repeated when summer time ends.
            "time_hour": pa.Column(str, newest_is_from("2013-12-30")),
        },
        unique=["origin", "time_hour"],
        strict=True,
    ),
    "planes": pa.DataFrameSchema(
        {
            "tailnum": pa.Column(str, unique=True),
            "year": pa.Column(float, [pa.Check.in_range(1940, 2014), missing_at_most(0.05)], nullable=True),
            "seats": pa.Column(int, pa.Check.in_range(1, 500)),
        },
    ),
}
