"""The outbreaks' own tests: every feature by hand, no look at what is not yet known, and the contract's real cases."""

# ruff: noqa: S608 — the queries are made of the project's own text

from collections.abc import Iterator
from datetime import date, datetime, timedelta
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

MONDAY = date(2010, 8, 2)
OURS = "Tainan City", "Ours"
# Places on a line to the north, so many hundredths of a degree (1.106 km) away: five neighbours, and one too many.
PLACES = {"A": 1, "B": 2, "C": 3, "D": 4, "E": 5, "Sixth": 6}


@pytest.fixture
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    """Our township and those around, one case in Ours just within the season, and a record that ends much later."""
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        for name in TABLES:
            connection.execute(f"CREATE TABLE {name} AS FROM '{ROOT}/data/raw/{name}.parquet' LIMIT 0")
        connection.execute("INSERT INTO townships VALUES ('Tainan City', 'Ours', 120.2, 23.0)")
        for name, hundredths in PLACES.items():
            county = "Kaohsiung City" if name == "E" else "Tainan City"
            connection.execute("INSERT INTO townships VALUES (?, ?, 120.2, ?)", [county, name, 23 + hundredths / 100])
        notify(connection, 84)
        notify(connection, -700, ("Taipei City", None), origin="imported")
        yield connection


def notify(
    connection: duckdb.DuckDBPyConnection,
    days_before: int,
    place: tuple[str, str | None] = OURS,
    cases: int = 1,
    origin: str = "local",
) -> None:
    """Add cases, notified so many days before our Monday (on it: 0)."""
    day = MONDAY - timedelta(days=days_before)
    connection.execute("INSERT INTO cases VALUES (?, ?, ?, ?, ?)", [day, *place, origin, cases])


def features_of(connection: duckdb.DuckDBPyConnection, place: str = "Ours", monday: date = MONDAY) -> dict[str, Any]:
    """Return the feature row of a township on a Monday."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE examples AS {EXAMPLES}")
    found = connection.execute(
        f"SELECT * FROM ({FEATURES}) WHERE township = ? AND CAST(decided_at AS DATE) = ?", [place, monday]
    )
    names = [column[0] for column in found.description or ()]
    (row,) = found.fetchall()
    return dict(zip(names, row, strict=True))


# --- by hand


def test_every_feature_is_what_a_calculation_by_hand_gives(tables: duckdb.DuckDBPyConnection) -> None:
    notify(tables, 1, cases=2)
    notify(tables, 8, cases=3)
    notify(tables, 20, cases=5)
    notify(tables, 50, cases=7)
    notify(tables, 300, cases=11)
    notify(tables, 3, ("Tainan City", "A"), 4)
    notify(tables, 20, ("Kaohsiung City", "E"), 10)
    notify(tables, 40, ("Tainan City", "B"), 6)
    notify(tables, 2, ("Tainan City", "Sixth"), 9)
    notify(tables, 2, ("Tainan City", "Of four cases ever"), 1)
    notify(tables, 2, ("Taipei City", None), 13)
    notify(tables, 9, ("Tainan City", "A"), 3, origin="imported")
    around = {name: 1 / (1 + (1.106 * hundredths / 5) ** 2) for name, hundredths in PLACES.items()}
    found = features_of(tables)
    assert found == {
        "decision_id": found["decision_id"],
        "week_start": datetime(2010, 7, 26),  # noqa: DTZ001 — local, as in the data
        "decided_at": datetime(2010, 8, 2, 8),  # noqa: DTZ001
        "county": "Tainan City",
        "township": "Ours",
        "week_of_year": 30,
        "local_cases_week": 2,
        "local_cases_prev_week": 3,
        "local_cases_4w": 10,
        "local_cases_12w": 18,
        "local_cases_52w": 29,
        "weeks_since_local_case": 0,
        "neighbour_cases_week": 4,
        "neighbour_cases_4w": 14,
        "neighbour_cases_prev_4w": 6,
        "cases_around_week": pytest.approx(4 * around["A"] + 9 * around["Sixth"], abs=0.006),
        "cases_around_4w": pytest.approx(4 * around["A"] + 9 * around["Sixth"] + 10 * around["E"], abs=0.006),
        "county_cases_week": 2 + 4 + 9 + 1,
        "county_cases_4w": 10 + 4 + 9 + 1,
        "county_cases_12w": 18 + 4 + 9 + 1 + 6,
        "county_imported_4w": 3,
        "taiwan_cases_4w": 10 + 4 + 9 + 1 + 10 + 13,
        "quarter": 3,
        "no_case_yet": 0,
        "rule": True,
        "outbreak": 0,
    }


@pytest.mark.parametrize(
    ("feature", "newest", "oldest"),
    [
        ("local_cases_week", 1, 7),
        ("local_cases_prev_week", 8, 14),
        ("local_cases_4w", 1, 28),
        ("local_cases_12w", 1, 84),
        ("local_cases_52w", 1, 364),
    ],
)
def test_a_window_ends_on_sunday_and_is_so_many_weeks_long(
    tables: duckdb.DuckDBPyConnection, feature: str, newest: int, oldest: int
) -> None:
    before = features_of(tables)[feature]
    for days, inside in ((newest - 1, False), (newest, True), (oldest, True), (oldest + 1, False)):
        notify(tables, days, cases=50)
        assert features_of(tables)[feature] == before + 50 * inside
        tables.execute("DELETE FROM cases WHERE cases = 50")


@pytest.mark.parametrize(("days", "weeks"), [(1, 0), (7, 0), (8, 1), (14, 1), (15, 2)])
def test_weeks_since_the_last_case(tables: duckdb.DuckDBPyConnection, days: int, weeks: int) -> None:
    notify(tables, days)
    assert features_of(tables)["weeks_since_local_case"] == weeks


def test_weeks_since_the_last_case_end_at_five_years(tables: duckdb.DuckDBPyConnection) -> None:
    notify(tables, 7 * 400, ("Tainan City", "A"))
    assert features_of(tables, "A")["weeks_since_local_case"] == 260
    assert features_of(tables, "B")["weeks_since_local_case"] == 260  # there never was one


@pytest.mark.parametrize(
    ("cases", "days", "origin", "outbreak"),
    [
        (3, 0, "local", 1),
        (3, -27, "local", 1),
        (2, -10, "local", 0),
        (3, -28, "local", 0),
        (3, 1, "local", 0),
        (9, -10, "imported", 0),
    ],
)
def test_an_outbreak_is_three_local_cases_in_four_weeks(
    tables: duckdb.DuckDBPyConnection, cases: int, days: int, origin: str, outbreak: int
) -> None:
    notify(tables, days, cases=cases, origin=origin)
    assert features_of(tables)["outbreak"] == outbreak


def test_nobody_decides_while_there_is_no_dengue_about(tables: duckdb.DuckDBPyConnection) -> None:
    # The case of 84 days before is just within the twelve weeks; a Monday later it is not.
    assert features_of(tables)["rule"] is False
    with pytest.raises(ValueError, match="not enough values"):
        features_of(tables, monday=MONDAY + timedelta(days=7))
    notify(tables, 1, ("Pingtung County", "Elsewhere"))
    notify(tables, 1, OURS, origin="imported")
    with pytest.raises(ValueError, match="not enough values"):
        features_of(tables, monday=MONDAY + timedelta(days=7))


@pytest.mark.parametrize(("days", "acts"), [(28, True), (29, False)])
def test_the_four_week_rule(tables: duckdb.DuckDBPyConnection, days: int, acts: bool) -> None:
    notify(tables, days)
    assert features_of(tables)["rule"] is acts
    assert features_of(tables)["no_case_yet"] == (not acts)


# --- nothing is used that is not yet known


@pytest.fixture(scope="module")
def real() -> Iterator[duckdb.DuckDBPyConnection]:
    """The real tables until the end of 2007; the cases as real_cases."""
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        raw = ROOT / "data" / "raw"
        connection.execute(f"CREATE TABLE real_cases AS FROM '{raw}/cases.parquet' WHERE notified < DATE '2008-01-07'")
        connection.execute(f"CREATE TABLE townships AS FROM '{raw}/townships.parquet'")
        yield connection


def featured(connection: duckdb.DuckDBPyConnection, cases: str, sql: str = FEATURES) -> pd.DataFrame:
    """Make the features where the cases are a query of the real ones."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE cases AS {cases}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE examples AS {EXAMPLES}")
    return connection.execute(sql).df().drop(columns=["outbreak", "decision_id"])


def otherwise_from(monday: date) -> str:
    """Return a query of the real cases in which each day from a Monday on had others."""
    return (
        f"FROM real_cases WHERE notified < DATE '{monday}' OR notified > DATE '2007-12-31' UNION ALL SELECT * REPLACE "
        f"(cases * 7 + 1 AS cases, CASE origin WHEN 'local' THEN 'imported' ELSE 'local' END AS origin) "
        f"FROM real_cases WHERE notified BETWEEN DATE '{monday}' AND DATE '2007-12-31'"
    )


def differ(before: pd.DataFrame, after: pd.DataFrame, until: date) -> set[str]:
    """Return the columns that are not as before for decisions until a Monday."""
    old, new = (
        table[table["decided_at"] < pd.Timestamp(until) + pd.Timedelta(days=1)].reset_index(drop=True)
        for table in (before, after)
    )
    assert len(old) > 1000
    assert old[["week_start", "township"]].equals(new[["week_start", "township"]])
    return {name for name in old.columns.astype(str) if not np.array_equal(old[name], new[name])}


# Before, in and after an epidemic.
@pytest.mark.parametrize("monday", [date(2006, 7, 3), date(2006, 10, 16), date(2007, 3, 5), date(2007, 9, 24)])
def test_what_is_not_yet_known_changes_no_feature(real: duckdb.DuckDBPyConnection, monday: date) -> None:
    before, after = featured(real, "FROM real_cases"), featured(real, otherwise_from(monday))
    assert differ(before, after, monday) == set()


@pytest.mark.parametrize(
    ("right", "leaky", "feature"),
    [
        ("sum(cases) OVER (weekwise ROWS 3", "sum(cases) OVER (weekwise ROWS BETWEEN 2", "local_cases_4w"),
        ("lag(cases, 1, 0)", "lead(cases, 1, 0)", "local_cases_prev_week"),
        ("lag(cases_4w, 4, 0)", "lead(cases_4w, 4, 0)", "neighbour_cases_prev_4w"),
        ("ORDER BY week_start ROWS 3 PRECEDING", "ORDER BY week_start ROWS 3 FOLLOWING", "taiwan_cases_4w"),
    ],
)
def test_a_query_that_looks_ahead_is_found_out(
    real: duckdb.DuckDBPyConnection, right: str, leaky: str, feature: str
) -> None:
    assert right in FEATURES
    sql = FEATURES.replace(right, leaky)
    if "BETWEEN 2" in leaky:
        sql = sql.replace("BETWEEN 2 PRECEDING", "BETWEEN 2 PRECEDING AND 1 FOLLOWING")
    sql = sql.replace("ROWS 3 FOLLOWING", "ROWS BETWEEN CURRENT ROW AND 3 FOLLOWING")
    monday = date(2007, 9, 24)
    before, after = featured(real, "FROM real_cases", sql), featured(real, otherwise_from(monday), sql)
    assert feature in differ(before, after, monday)


# --- the contract, on the real tables


def raw(name: str) -> pd.DataFrame:
    return pipeline.read_table(ROOT / "data" / "raw" / f"{name}.parquet")


@pytest.mark.parametrize(
    ("name", "column", "value", "reason"),
    [
        ("cases", "origin", "unknown", "origin: isin"),
        ("cases", "cases", 0, "cases: in_range(1, 1000)"),
        ("cases", "notified", None, "notified: not_nullable"),
    ],
)
def test_one_bad_row_is_set_aside(tmp_path: Path, name: str, column: str, value: Any, reason: str) -> None:
    table = raw(name)
    table.loc[7, column] = value
    assert contract.check(name, table, TABLES[name], tmp_path) == [7]
    assert pd.read_csv(tmp_path / f"{name}.csv")["reason"].item().startswith(reason)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("cases", lambda cases: cases.drop(columns="origin"), "origin: the column is missing"),
        ("cases", lambda cases: cases.assign(age=30), "age: the contract has no such column"),
        ("cases", lambda cases: cases.assign(township=None), "township: "),
        ("cases", lambda cases: cases[cases["notified"] < "2024-09-01"].reset_index(drop=True), "nothing as new as"),
        ("townships", lambda towns: towns.assign(latitude=towns["latitude"].astype(str)), "latitude: dtype"),
    ],
)
def test_an_unfit_table_stops_the_run(tmp_path: Path, name: str, change: Any, reason: str) -> None:
    with pytest.raises(ProjectError, match=f"The table {name} breaks its contract: .*{reason}"):
        contract.check(name, change(raw(name)), TABLES[name], tmp_path)


def test_townships_that_lie_elsewhere_stop_the_run(tmp_path: Path) -> None:
    towns = raw("townships")
    with pytest.raises(ProjectError, match=r"98 of 98 rows of townships break the contract"):
        contract.check("townships", towns.assign(longitude=towns["latitude"]), TABLES["townships"], tmp_path)


def test_no_person_is_in_the_tables() -> None:
    cases = raw("cases")
    assert list(cases) == ["notified", "county", "township", "origin", "cases"]
    assert cases["cases"].sum() == 107_117


# --- the split


def test_the_answers_of_one_part_do_not_reach_into_the_next() -> None:
    """A row looks at the four weeks after its own; the embargo is as long."""
    assert timedelta(days=7) + problem.TRUTH_AFTER == problem.EMBARGO


def test_the_weeks_of_an_epidemic_belong_together() -> None:
    """How many cases a week has says much about the next weeks, and little a block later: why blocks are drawn."""
    cases = raw("cases")
    weekly = np.log1p(cases[cases["origin"] == "local"].resample("W", on="notified")["cases"].sum())
    assert weekly.autocorr(4) > 0.6
    assert weekly.autocorr(problem.BLOCK_DAYS // 7) < 0.5
