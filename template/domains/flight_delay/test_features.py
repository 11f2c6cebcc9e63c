"""The flights' own tests: every feature by hand, no look at what is not yet known, and the contract's real cases."""

# ruff: noqa: S608 — the queries are made of the project's own text

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from << package_name >> import problem
from << package_name >>.data import contract, pipeline
from << package_name >>.data.tables import TABLES
from << package_name >>.errors import ProjectError

from conftest import ROOT

EXAMPLES = (ROOT / "sql" / "examples.sql").read_text(encoding="utf-8")
FEATURES = (ROOT / "sql" / "features.sql").read_text(encoding="utf-8")

OURS = datetime(2013, 6, 10, 12, 0)  # noqa: DTZ001 — local, as in the data


def at(clock: str, day: int = 10, month: int = 6) -> datetime:
    return datetime(2013, month, day, int(clock[:2]), int(clock[3:]))  # noqa: DTZ001


def empty() -> duckdb.DuckDBPyConnection:
    """Return a database with the three tables, without rows."""
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    for name in TABLES:
        connection.execute(f"CREATE TABLE {name} AS FROM '{ROOT}/data/raw/{name}.parquet' LIMIT 0")
    return connection


def fly(
    connection: duckdb.DuckDBPyConnection,
    route: str,
    scheduled: datetime,
    delay: int | None = 0,
    arrival: int | None = 0,
    *,
    tail: str | None = None,
    arrival_clock: int = 1345,
) -> None:
    """Add a flight; `route` is carrier, flight number, origin and destination. No `delay`: it was cancelled."""
    carrier, flight, origin, destination = route.split()
    arrival = None if delay is None else arrival
    row = (scheduled, arrival_clock, carrier, int(flight), tail, origin, destination, 719, delay, arrival)
    connection.execute("INSERT INTO flights VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def report(connection: duckdb.DuckDBPyConnection, time: datetime, origin: str = "EWR", **values: float) -> None:
    """Add an hour's weather."""
    utc = f"{time + timedelta(hours=4):%Y-%m-%dT%H:00:00Z}"
    row = {"origin": origin, "year": time.year, "month": time.month, "day": time.day, "hour": time.hour}
    columns: dict[str, Any] = {**row, **values, "time_hour": utc}
    holes = ", ".join("?" * len(columns))
    connection.execute(f"INSERT INTO weather ({', '.join(columns)}) VALUES ({holes})", [*columns.values()])


def features_by_departure(connection: duckdb.DuckDBPyConnection, flight: int = 100) -> dict[datetime, dict[str, Any]]:
    """Return the feature rows of one flight number by its scheduled departures; what is missing is None."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE examples AS {EXAMPLES}")
    found = connection.execute(
        f"SELECT features.* FROM ({FEATURES}) AS features JOIN examples USING (flight_id) "
        f"WHERE flight_number = {flight}"
    )
    names = [column[0] for column in found.description or ()]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return {row["scheduled_departure"]: row for row in rows}


def features_of(connection: duckdb.DuckDBPyConnection, scheduled: datetime = OURS) -> dict[str, Any]:
    """Return the feature row of our flight."""
    return features_by_departure(connection)[scheduled]


@pytest.fixture
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with our flight: United 100 from Newark to Chicago, at noon on Monday 10 June 2013."""
    with empty() as connection:
        fly(connection, "UA 100 EWR ORD", OURS)
        yield connection


# --- by hand


def test_every_feature_is_what_a_calculation_by_hand_gives(tables: duckdb.DuckDBPyConnection) -> None:
    # The desk decides at 10:00. Departures known then:
    fly(tables, "AA 1 EWR ORD", at("06:50"), 10)  # at 07:00
    fly(tables, "UA 2 EWR LAX", at("09:30"), 29)  # at 09:59
    fly(tables, "UA 3 EWR ORD", at("08:00"), -5, tail="N10YRS")  # at 07:55
    fly(tables, "DL 4 LGA ORD", at("08:30"), 0)
    fly(tables, "AA 5 EWR LAX", at("06:30"), 29)  # at 06:59, more than five hours before noon
    fly(tables, "B6 6 JFK ORD", at("04:00"), 4)  # at 04:04
    fly(tables, "AA 7 LGA ORD", at("03:50"), 9)  # at 03:59, more than eight hours before noon
    # Due by then, but not gone:
    fly(tables, "UA 8 EWR ORD", at("09:40"), 20, tail="N99NEW")  # at 10:00, too late to be known
    fly(tables, "B6 9 JFK ORD", at("08:00"), 200)
    fly(tables, "UA 10 EWR ORD", at("08:45"), None)  # cancelled
    # In the timetable around noon:
    fly(tables, "DL 11 EWR ATL", at("12:30"))
    fly(tables, "DL 12 EWR ATL", at("12:31"))
    # Earlier days; 15 minutes are late:
    fly(tables, "UA 100 EWR ORD", at("12:00", 9), 0, 15)
    fly(tables, "UA 100 EWR ORD", at("12:01", 9), 0, 99)  # less than a day ago
    fly(tables, "UA 100 EWR DEN", at("12:00", 13, 5), 0, 14)
    fly(tables, "UA 100 EWR DEN", at("11:59", 13, 5), 0, 99)  # more than 28 days ago
    fly(tables, "AA 13 EWR ORD", at("12:00", 7), 0, 0)
    fly(tables, "AA 13 EWR ORD", at("11:59", 7), 0, 99)  # more than 3 days ago
    fly(tables, "DL 14 EWR ATL", at("12:00", 27, 5), None)  # cancelled
    fly(tables, "UA 15 LGA DEN", at("09:00", 8), 0, 0)
    fly(tables, "B6 16 JFK ORD", at("00:00", 9), 0, 0)
    fly(tables, "B6 16 JFK ORD", at("23:59", 8), 0, 99)  # more than 36 hours ago
    tables.execute("INSERT INTO planes (tailnum, year, seats) VALUES ('N10YRS', 2003, 150), ('N99NEW', 2013, 20)")
    # At 10:00 the row of 9 o'clock is complete, and that of 10 o'clock will hold reports until 10:51.
    for hour, pressure in ((6, 1010.0), (7, 1000.0), (8, 1020.0), (9, 1013.5), (10, 900.0)):
        report(tables, at(f"{hour:02}:00"), pressure=pressure, temp=61.0 + hour, dewp=50.0, humid=40.0, visib=9.0)
    tables.execute(
        "UPDATE weather SET wind_dir = 10 + 10 * hour, wind_speed = 1 + hour, wind_gust = 2 + 2 * hour, precip = .1"
    )

    assert {name: value for name, value in features_of(tables).items() if name in problem.NAMES} == {
        "origin": "EWR",
        "destination": "ORD",
        "carrier": "UA",
        "departure_minute": 720,
        "weekday": 0,
        "scheduled_minutes": 105,
        "distance_miles": 719,
        "scheduled_departures": 2,
        "plane_age_years": 10,
        "plane_seats": 150,
        "airport_delay_min": pytest.approx((10 + 29 - 5) / 3),
        "airport_departures": 3,
        "airport_waiting": 4 - 3,
        "airport_late_share": 1.0,
        "city_delay_min": (29 + 0) / 2,
        "carrier_delay_min": (29 - 5) / 2,
        "destination_delay_min": (10 - 5 + 0 + 4) / 4,
        "destination_waiting": 7 - 4,
        "flight_late_share_28d": 1 / 2,
        "route_late_share_3d": 1 / 2,
        "hour_late_share_14d": pytest.approx(2 / 3),
        "carrier_late_share_3d": 1 / 2,
        "destination_late_share_12h": 1 / 2,
        "temperature_f": 70.0,
        "dew_point_f": 50.0,
        "humidity_pct": 40.0,
        "wind_direction_deg": 100.0,
        "wind_speed_mph": 10.0,
        "wind_gust_mph": 20.0,
        "precipitation_in": 0.1,
        "pressure_hpa": 1013.5,
        "pressure_change_hpa": 3.5,
        "visibility_miles": 9.0,
    }


def test_a_flight_of_which_nothing_is_known_has_no_delays_and_no_weather(tables: duckdb.DuckDBPyConnection) -> None:
    row = features_of(tables)
    counts = {"airport_departures", "airport_waiting", "destination_waiting"}
    assert {row[name] for name in counts} == {0}
    optional = {field.name for field in problem.FIELDS if field.optional}
    assert {name for name in problem.NAMES if row[name] is None} == optional
    assert row["rule"] is False


# Minutes before our departure: the first and the last at which another flight's leaving is seen, and its neighbours.
DEPARTURE_WINDOWS = {
    "airport_delay_min": (300, 121),
    "airport_late_share": (180, 121),
    "city_delay_min": (240, 121),
    "carrier_delay_min": (300, 121),
    "destination_delay_min": (480, 121),
}
# The same for when another flight was due whose outcome is seen.
OUTCOME_WINDOWS = {
    "flight_late_share_28d": (28 * 1440, 1440),
    "route_late_share_3d": (3 * 1440, 1440),
    "hour_late_share_14d": (14 * 1440, 1440),
    "carrier_late_share_3d": (3 * 1440, 1440),
    "destination_late_share_12h": (36 * 60, 1440),
}
# And for when a flight was due that has not left.
WAITING_WINDOWS = {"airport_waiting": (300, 121), "destination_waiting": (480, 121)}


def edges(windows: dict[str, tuple[int, int]]) -> list[tuple[str, int, bool, datetime]]:
    """Return for each window the minutes around its ends, whether they belong to it, and a day of their own."""
    cases = [
        (feature, minutes, last <= minutes <= first)
        for feature, (first, last) in windows.items()
        for minutes in (first + 1, first, last, last - 1)
    ]
    return [(*case, OURS + timedelta(days=60 * number)) for number, case in enumerate(cases)]


def test_a_window_over_departures_ends_to_the_minute() -> None:
    cases = edges(DEPARTURE_WINDOWS)
    with empty() as connection:
        for _, minutes, _, ours in cases:
            fly(connection, "UA 100 EWR ORD", ours, None)
            fly(connection, "UA 2 EWR ORD", ours - timedelta(minutes=minutes + 20), 20)
        rows = features_by_departure(connection)
    assert {(feature, minutes): rows[ours][feature] is not None for feature, minutes, _, ours in cases} == {
        (feature, minutes): inside for feature, minutes, inside, _ in cases
    }


@pytest.mark.parametrize(("minutes", "known"), [(120, False), (121, True), (40_000, True)])
def test_the_last_plane_is_the_last_that_left(tables: duckdb.DuckDBPyConnection, minutes: int, known: bool) -> None:
    tables.execute("INSERT INTO planes (tailnum, year, seats) VALUES ('N12345', 2000, 100)")
    fly(tables, "UA 2 EWR ORD", OURS - timedelta(minutes=minutes + 20), 20, tail="N12345")
    assert features_of(tables)["plane_seats"] == (100 if known else None)


def test_a_window_over_outcomes_ends_a_day_before_to_the_minute() -> None:
    cases = edges(OUTCOME_WINDOWS)
    with empty() as connection:
        for _, minutes, _, ours in cases:
            fly(connection, "UA 100 EWR ORD", ours)
            fly(connection, "UA 100 EWR ORD", ours - timedelta(minutes=minutes), 0, 99)
        rows = features_by_departure(connection)
    assert {(feature, minutes): rows[ours][feature] == 1 for feature, minutes, _, ours in cases} == {
        (feature, minutes): inside for feature, minutes, inside, _ in cases
    }


def test_who_waits_is_counted_to_the_minute() -> None:
    cases = edges(WAITING_WINDOWS)
    with empty() as connection:
        for _, minutes, _, ours in cases:
            fly(connection, "UA 100 EWR ORD", ours)
            fly(connection, "AA 2 EWR ORD", ours - timedelta(minutes=minutes), None)
        rows = features_by_departure(connection)
    assert {(feature, minutes): rows[ours][feature] == 1 for feature, minutes, _, ours in cases} == {
        (feature, minutes): inside for feature, minutes, inside, _ in cases
    }


def test_one_extreme_delay_is_clipped_in_a_mean(tables: duckdb.DuckDBPyConnection) -> None:
    fly(tables, "UA 2 EWR LAX", at("08:00") - timedelta(minutes=1300), 1300)
    assert features_of(tables)["airport_delay_min"] == 180
    fly(tables, "UA 3 EWR LAX", at("08:00") + timedelta(minutes=50), -50)
    assert features_of(tables)["airport_delay_min"] == (180 - 15) / 2


@pytest.mark.parametrize(("arrival", "late"), [(14, 0), (15, 1), (None, 1)])
def test_late_is_15_minutes_or_diverted(arrival: int | None, late: int) -> None:
    with empty() as connection:
        fly(connection, "UA 100 EWR ORD", OURS, 0, arrival)
        assert features_of(connection)["late"] == late


def test_a_cancelled_flight_is_late() -> None:
    with empty() as connection:
        fly(connection, "UA 100 EWR ORD", OURS, None)
        assert features_of(connection)["late"] == 1


def test_an_arrival_after_midnight_counts_from_the_next_day() -> None:
    with empty() as connection:
        fly(connection, "UA 100 EWR ORD", at("23:50"), arrival_clock=30)
        row = features_of(connection, at("23:50"))
        assert (row["scheduled_minutes"], row["departure_minute"]) == (40, 1430)


@pytest.mark.parametrize(("clock", "delay", "acts"), [("17:59", 20, False), ("17:59", 21, True), ("18:00", 0, True)])
def test_the_desks_rule(clock: str, delay: int, acts: bool) -> None:
    with empty() as connection:
        fly(connection, "UA 100 EWR ORD", at(clock))
        fly(connection, "AA 2 EWR LAX", at(clock) - timedelta(minutes=200), delay)
        assert features_of(connection, at(clock))["rule"] is acts


def test_the_hour_that_comes_twice_has_its_first_report(tables: duckdb.DuckDBPyConnection) -> None:
    report(tables, at("09:00"), temp=50.0)
    tables.execute(
        "INSERT INTO weather SELECT * REPLACE ('2013-06-10T15:00:00Z' AS time_hour, 90 AS temp) FROM weather"
    )
    assert features_of(tables)["temperature_f"] == 50


@pytest.mark.parametrize(("clock", "temperature"), [("12:51", 9.0), ("12:52", 10.0), ("13:51", 10.0)])
def test_the_weather_is_known_from_52_minutes_past_its_hour(clock: str, temperature: float) -> None:
    with empty() as connection:
        fly(connection, "UA 100 EWR ORD", at(clock))
        for hour in (8, 9, 10, 11):
            report(connection, at(f"{hour:02}:00"), temp=float(hour))
        assert features_of(connection, at(clock))["temperature_f"] == temperature


# --- nothing is used that is not yet known

# Calm and stormy days, early, busy and late; in each of these minutes several flights are decided about.
MOMENTS = [
    datetime(2013, month, day, hour, minute)  # noqa: DTZ001
    for month, day, hour, minute in [
        (6, 27, 15, 59), (6, 28, 13, 0), (6, 29, 4, 0), (6, 30, 17, 0), (7, 1, 12, 0),
        (7, 3, 6, 0), (7, 5, 8, 0), (7, 7, 14, 30), (7, 8, 15, 0), (7, 10, 12, 0),
    ]
]  # fmt: skip
A_MOMENT = datetime(2013, 6, 28, 13, 0)  # noqa: DTZ001


def real(first: str, last: str) -> duckdb.DuckDBPyConnection:
    """Return a database with the real flights of some days, as tables whose names begin with real_."""
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    raw = ROOT / "data" / "raw"
    connection.execute(
        f"CREATE TABLE real_flights AS FROM '{raw}/flights.parquet' "
        f"WHERE sched_dep BETWEEN TIMESTAMP '{first}' AND TIMESTAMP '{last}'"
    )
    connection.execute(f"CREATE TABLE real_weather AS FROM '{raw}/weather.parquet' WHERE month IN (6, 7)")
    connection.execute(f"CREATE TABLE planes AS FROM '{raw}/planes.parquet'")
    return connection


@pytest.fixture(scope="module")
def weeks() -> Iterator[duckdb.DuckDBPyConnection]:
    """Three weeks of the real flights."""
    with real("2013-06-20", "2013-07-11") as connection:
        yield connection


@pytest.fixture(scope="module")
def days() -> Iterator[duckdb.DuckDBPyConnection]:
    """Five days of the real flights, for what a few of them show."""
    with real("2013-06-24", "2013-06-29") as connection:
        yield connection


def featured(connection: duckdb.DuckDBPyConnection, flights: str, weather: str, sql: str = FEATURES) -> pd.DataFrame:
    """Make the features from tables that are queries of the real ones."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE flights AS {flights}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE weather AS {weather}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE examples AS {EXAMPLES}")
    return connection.execute(sql).df().drop(columns="late")


def featured_as_it_was(connection: duckdb.DuckDBPyConnection, sql: str = FEATURES) -> pd.DataFrame:
    """Make the features from the real tables."""
    return featured(connection, "FROM real_flights", "FROM real_weather", sql)


def differ(before: pd.DataFrame, after: pd.DataFrame, rows: "pd.Series[bool]") -> set[str]:
    """Return the columns in which some of `rows` are not exactly as before."""
    assert after["flight_id"].equals(before["flight_id"])
    old, new = before[rows], after[rows]
    return {name for name in before.columns.astype(str) if not new[name].equals(old[name])}


HOUR = "make_timestamp(year, month, day, hour, 0, 0)"
LEFT = "(sched_dep + to_minutes(dep_delay))"


def not_yet_known(moment: datetime, seed: int) -> tuple[str, str]:
    """Return queries of the real tables in which all that is not known at `moment` has become another.

    Seed 0 cancels whatever has not left; another seed draws new delays, planes, outcomes and weather. The delay
    that a flight gets keeps it on the ground until `moment`: that it had not left by then is known.
    """
    now = f"TIMESTAMP '{moment}'"
    waits = f"(dep_delay IS NULL OR {LEFT} >= {now})"
    chance = f"CAST(hash(sched_dep, carrier, flight, {seed}) % 1000 AS INT)"
    if seed == 0:
        delay, tail, arrival = "NULL", "NULL", "NULL"
    else:
        # A third leaves at that very minute.
        delay = f"date_diff('minute', sched_dep, {now}) + greatest(0, {chance} - 300)"
        tail = f"(SELECT max(tailnum) FROM planes WHERE tailnum < 'N{seed}')"
        arrival = f"CASE WHEN {chance} % 7 > 0 THEN {chance} % 2 * 100 END"
    flights = f"""SELECT * REPLACE (
        CAST(CASE WHEN {waits} THEN {delay} ELSE dep_delay END AS SMALLINT) AS dep_delay,
        CASE WHEN {waits} THEN {tail} ELSE tailnum END AS tailnum,
        CAST(CASE WHEN sched_dep > {now} - INTERVAL 22 HOURS THEN {arrival} ELSE arr_delay END AS SMALLINT) AS arr_delay
    ) FROM real_flights"""
    changed = ", ".join(
        f"CASE WHEN {HOUR} + INTERVAL 52 MINUTES > {now} THEN {seed} + 7 ELSE {name} END AS {name}"
        for name in ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
    )
    return flights, f"SELECT * REPLACE ({changed}) FROM real_weather"


def test_what_is_not_yet_known_changes_no_feature(weeks: duckdb.DuckDBPyConnection) -> None:
    before = featured_as_it_was(weeks)
    for number, moment in enumerate(MOMENTS):
        after = featured(weeks, *not_yet_known(moment, seed=number % 3))
        # Who was decided about earlier knew even less; most of all this is about who is decided about right now.
        decided = before["decided_at"] <= moment
        assert (before["decided_at"] == moment).sum() >= 2
        assert differ(before, after, decided) == set()
        assert differ(before, after, ~decided)


@pytest.mark.parametrize(
    ("right", "leaky", "feature"),
    [
        ("now.left_at < decided_at", "now.left_at <= decided_at", "airport_delay_min"),
        ("now.left_at < decided_at", "now.left_at < examples.scheduled_departure", "carrier_delay_min"),
        (
            "28 DAYS PRECEDING AND INTERVAL 1 DAY PRECEDING",
            "28 DAYS PRECEDING AND CURRENT ROW",
            "flight_late_share_28d",
        ),
        ("3 DAYS PRECEDING AND INTERVAL 1 DAY", "3 DAYS PRECEDING AND INTERVAL 23 HOURS", "carrier_late_share_3d"),
        ("tailnum = route.tail_number", "tailnum = later_tail_number", "plane_age_years"),
        ("route.left_at < decided_at", "route.left_at < scheduled_departure", "plane_seats"),
        ("examples.decided_at - INTERVAL 52 MINUTES", "examples.decided_at", "temperature_f"),
        ("lag(pressure, 3)", "lead(pressure, 1)", "pressure_change_hpa"),
    ],
)
def test_a_query_that_looks_ahead_is_found_out(
    days: duckdb.DuckDBPyConnection, right: str, leaky: str, feature: str
) -> None:
    assert right in FEATURES
    sql = FEATURES.replace(right, leaky)
    before = featured_as_it_was(days, sql)
    after = featured(days, *not_yet_known(A_MOMENT, seed=1), sql)
    assert feature in differ(before, after, before["decided_at"] == A_MOMENT)


def test_what_is_known_changes_features(days: duckdb.DuckDBPyConnection) -> None:
    now = f"TIMESTAMP '{A_MOMENT}'"
    # The plane and the delay of who left just before, the outcomes of the days before, the last full weather report.
    flights = f"""SELECT * REPLACE (
        CAST(CASE WHEN {LEFT} < {now} AND {LEFT} > {now} - INTERVAL 2 HOURS THEN dep_delay - 1 ELSE dep_delay END
            AS SMALLINT) AS dep_delay,
        CASE WHEN {LEFT} < {now} THEN 'N10156' ELSE tailnum END AS tailnum,
        CAST(CASE WHEN sched_dep <= {now} - INTERVAL 22 HOURS THEN coalesce(15 - arr_delay, 0) ELSE arr_delay END
            AS SMALLINT) AS arr_delay
    ) FROM real_flights"""
    warmer = f"CASE WHEN {HOUR} = {now} - INTERVAL 1 HOUR THEN temp + 1 ELSE temp END"
    weather = f"SELECT * REPLACE ({warmer} AS temp) FROM real_weather"
    before = featured_as_it_was(days)
    assert differ(before, featured(days, flights, weather), before["decided_at"] == A_MOMENT) == {
        "airport_delay_min", "city_delay_min", "carrier_delay_min", "destination_delay_min", "plane_age_years",
        "plane_seats", "flight_late_share_28d", "route_late_share_3d", "hour_late_share_14d",
        "carrier_late_share_3d", "destination_late_share_12h", "temperature_f", "airport_late_share",
    }  # fmt: skip


# --- the contract, on the real tables


def raw(name: str) -> pd.DataFrame:
    return pipeline.read_table(ROOT / "data" / "raw" / f"{name}.parquet")


@pytest.fixture(scope="module")
def some_flights() -> pd.DataFrame:
    """Every hundredth flight, the last day's among them."""
    return raw("flights").sort_values("sched_dep").iloc[::-100].reset_index(drop=True)


def test_a_wind_of_1048_mph_is_set_aside(tmp_path: Path) -> None:
    weather = raw("weather")
    (wrong,) = weather.index[weather["wind_speed"] > 1000]
    assert contract.check("weather", weather, TABLES["weather"], tmp_path) == [wrong]
    (row,) = pd.read_csv(tmp_path / "weather.csv").to_dict("records")
    assert row["row"] == wrong
    assert row["wind_speed"] == pytest.approx(1048, abs=1)
    assert row["reason"] == "wind_speed: in_range(0, 150)"


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("carrier", "ZZ", "carrier: isin"),
        ("origin", "BOS", "origin: isin"),
        ("distance", 9, "distance: in_range(10, 6000)"),
        ("sched_arr_time", 2500, "sched_arr_time: in_range(0, 2359)"),
        ("tailnum", "n/a", "tailnum: str_matches"),
        ("dep_delay", 2001, "dep_delay: in_range(-60, 2000)"),
    ],
)
def test_one_bad_flight_is_set_aside(
    some_flights: pd.DataFrame, tmp_path: Path, column: str, value: Any, reason: str
) -> None:
    flights = some_flights.copy()
    flights.loc[7, column] = value
    assert contract.check("flights", flights, TABLES["flights"], tmp_path) == [7]
    assert pd.read_csv(tmp_path / "flights.csv")["reason"].item().startswith(reason)


def test_a_flight_that_is_there_twice_is_set_aside(some_flights: pd.DataFrame, tmp_path: Path) -> None:
    flights = pd.concat([some_flights, some_flights.iloc[[5]]], ignore_index=True)
    bad = contract.check("flights", flights, TABLES["flights"], tmp_path)
    assert set(bad) <= {5, len(some_flights)}
    assert bad


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda flights: flights.drop(columns="arr_delay"), "arr_delay: the column is missing"),
        (lambda flights: flights.assign(gate="A1"), "gate: the contract has no such column"),
        (lambda flights: flights.assign(distance=flights["distance"].astype(str)), "distance: dtype"),
        (lambda flights: flights[flights["sched_dep"] < "2013-12-31"].reset_index(drop=True), "nothing as new as 2013"),
        (lambda flights: flights.assign(dep_delay=flights["dep_delay"].mask(flights.index < 300)), "more than 5%"),
    ],
)
def test_an_unfit_table_stops_the_run(some_flights: pd.DataFrame, tmp_path: Path, change: Any, reason: str) -> None:
    with pytest.raises(ProjectError, match=f"The table flights breaks its contract: .*{reason}"):
        contract.check("flights", change(some_flights), TABLES["flights"], tmp_path)


def test_the_answers_of_a_day_belong_together(weeks: duckdb.DuckDBPyConnection) -> None:
    """Days differ in how many flights are late by far more than chance: why days are drawn, not flights."""
    shares, sizes = np.array(
        weeks.execute(
            "SELECT avg(CAST(coalesce(arr_delay >= 15, true) AS INT)), count(*) "
            "FROM real_flights GROUP BY CAST(sched_dep AS DATE)"
        ).fetchall()
    ).T
    by_chance = np.sqrt(np.mean(shares * (1 - shares) / sizes))
    assert shares.std() > 3 * by_chance
