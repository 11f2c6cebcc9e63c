"""The columns of a table: what each means, and what is measured of it, in DuckDB over all rows."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import isfinite
from typing import Any

from mlportfolio.profile.kinds import BOOLEANS, PLAIN, Cells, Context, Reading, read, spelled
from mlportfolio.profile.names import safe, words
from mlportfolio.profile.reading import Table, _quoted

SAMPLE = 20_000  # rows that a column's meaning is told from, if it has many values
CELLS = 1_500_000  # cells that are looked at so
EXACT = 200_000  # rows up to which quantiles and counts of different values are exact
SHOWN = 50  # categories that are listed
TEXT = {"", "VARCHAR"}
_BINS = 24
_DRAWN = 300  # columns that get a histogram
_FEW = 1000  # different values that are all looked at
_BATCH = 60  # columns that one query measures
_LONGEST = 400  # characters of a cell that its meaning is told from
_SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass
class Column:
    """One column.

    Attributes:
        place: Where it stands in the table, from 0.
        name: Its name in the source.
        safe: Its name in SQL and Python.
        stored: The type in which the source keeps it; empty where that is text.
        reading: What it means.
        sql: Its value, as an expression over the column of the source.
        missing: How many cells have no value; blank ones and codes.
        codes: The codes for a missing value, and how many cells hold them.
        doubtful: Words that are taken for a class but may stand for a missing value.
        invalid: How many cells hold what is no value of this kind, and some of them.
        distinct: How many different values there are; by estimate in a large table.
        categories: The most frequent values and their counts, the most frequent first.
        low: The least value; a number, or a time in ISO form.
        high: The greatest value.
        mean: The mean of a number.
        deviation: Its standard deviation.
        quantiles: Its quantiles.
        zeros: How many are 0.
        negatives: How many are below 0.
        histogram: Counts in bins of equal width, from the 1 % quantile to the 99 % quantile.
    """

    place: int
    name: str
    safe: str
    stored: str
    reading: Reading
    sql: str = ""
    filled: int = 0
    missing: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    doubtful: dict[str, int] = field(default_factory=dict)
    invalid: int = 0
    examples: list[str] = field(default_factory=list)
    distinct: int = 0
    categories: list[tuple[str, int]] = field(default_factory=list)
    low: Any = None
    high: Any = None
    mean: float | None = None
    deviation: float | None = None
    quantiles: dict[str, float] = field(default_factory=dict)
    zeros: int = 0
    negatives: int = 0
    histogram: list[int] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """What it is."""
        return self.reading.kind

    @property
    def form(self) -> str:
        """What it is more closely."""
        return self.reading.form

    @property
    def key(self) -> str:
        """Its name in the tables of the profile."""
        return f"c{self.place}"

    @property
    def words(self) -> set[str]:
        """The words of its name."""
        return set(words(self.name))

    @property
    def unique(self) -> bool:
        """Whether no two rows share a value, or hardly any."""
        return self.filled > 10 and self.distinct >= 0.99 * self.filled

    def record(self) -> dict[str, Any]:
        """The column for programs."""
        reading = self.reading
        return {
            "name": self.name,
            "safe": self.safe,
            "kind": self.kind,
            "form": self.form,
            "why": reading.why,
            "unit": reading.unit,
            "integer": reading.integer,
            "stored": self.stored,
            "sql": self.sql,
            "values": self.filled,
            "missing": self.missing,
            "missing_codes": self.codes,
            "doubtful_codes": self.doubtful,
            "invalid": self.invalid,
            "invalid_examples": self.examples,
            "distinct": self.distinct,
            "categories": [{"value": value, "rows": count} for value, count in self.categories],
            "low": self.low,
            "high": self.high,
            "mean": self.mean,
            "deviation": self.deviation,
            "quantiles": self.quantiles,
            "zeros": self.zeros,
            "negatives": self.negatives,
            "histogram": self.histogram,
            "formats": reading.formats,
        }


def measure(table: Table) -> list[Column]:
    """Tell what each column means, make the table `typed` of their values, and measure it.

    Args:
        table: The table; it gets a companion `typed`, with columns of the same names.
    """
    cells, context = _cells(table)
    blanks = any(each.filled < table.rows for each in cells)
    context.blanks = blanks
    first = [read(each, context) for each in cells]
    context.spelled = frozenset(word for each in first for word in spelled(each))
    context.decimal_comma |= any("decimal comma" in each.why for each in first)
    context.day_first = _day_first(first)
    # What the whole table says may change what a column means, but of a plain number.
    readings = [
        reading
        if reading.kind == "number" and reading.sql == PLAIN and not reading.missing
        else read(each, context)
        for each, reading in zip(cells, first, strict=True)
    ]
    columns = [
        Column(place, name, new, table.stored[place], reading)
        for place, (name, new, reading) in enumerate(
            zip(table.names, safe(table.names), readings, strict=True)
        )
    ]
    for column in columns:
        name = _quoted(column.name)
        column.sql = _value(column, f"trim({name if column.stored in TEXT else f'CAST({name} AS VARCHAR)'})")
    _type(table, columns)
    _count(table, columns, cells)
    for batch in batches(columns):
        _measure(table, batch)
    for column in columns:
        _list(table, column)
        _draw(table, column)
        _settle(column)
    return columns


def _day_first(readings: Sequence[Reading]) -> bool | None:
    """Whether the day comes first in the dates of this table that tell."""
    for reading in readings:
        if reading.kind == "time" and "day or month" not in reading.notes:
            for each in reading.formats:
                if each.startswith(("%d/", "%d-%m", "%d.", "%m/", "%m-%d")):
                    return each.startswith("%d")
    return None


def _cells(table: Table) -> tuple[list[Cells], Context]:
    """The text of every column, with frequencies: of all rows if it has few values, else of a sample."""
    run = table.connection.execute
    places = range(len(table.names))
    counter = "count(DISTINCT c{0})" if table.rows <= EXACT else "approx_count_distinct(c{0})"
    counts: list[int] = []
    for batch in _chunks(places):
        wanted = ", ".join(f"count(c{n}), {counter.format(n)}" for n in batch)
        counts += run(f"SELECT {wanted} FROM data").fetchall()[0]
    size = max(2000, min(SAMPLE, CELLS // len(places)))
    step = max(1, table.rows // size)
    if step > 1:
        run(f"CREATE TABLE sample AS SELECT * FROM data WHERE hash(rowid) % {step} = 0")
    result = []
    for n in places:
        filled, distinct = counts[2 * n : 2 * n + 2]
        origin = "data" if step == 1 or distinct <= _FEW else "sample"
        rows = run(
            f"SELECT left(c{n}, {_LONGEST}) AS v, count(*) FROM {origin} WHERE c{n} IS NOT NULL "
            "GROUP BY v ORDER BY 2 DESC, 1"
        ).fetchall()
        values = Counter(dict(rows))
        result.append(Cells(table.names[n], values, table.stored[n], filled, min(distinct, filled)))
    return result, Context(table.rows, table.nulls, decimal_comma=table.decimal_comma)


def _chunks(places: Sequence[int], size: int = _BATCH) -> Iterator[list[int]]:
    iterator = iter(places)
    while chunk := list(islice(iterator, size)):
        yield chunk


def batches(columns: Sequence[Column]) -> Iterator[list[Column]]:
    """The columns, as many at a time as one query measures."""
    iterator = iter(columns)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _value(column: Column, text: str) -> str:
    """The expression that makes a value of a column of text."""
    reading = column.reading
    value = reading.sql.replace("{v}", text)
    codes = ", ".join("'" + code.replace("'", "''") + "'" for code in reading.missing)
    if not codes:
        return f"nullif({value}, '')" if value == text else value
    return f"CASE WHEN {text} NOT IN ({codes}) THEN {value} END"


def _finite(column: Column) -> str:
    """The value; infinity and NaN are none."""
    value = _value(column, column.key)
    return f"CASE WHEN isfinite({value}) THEN {value} END" if column.kind == "number" else value


def _type(table: Table, columns: list[Column]) -> None:
    values = ", ".join(f"{_finite(column)} AS {column.key}" for column in columns)
    table.connection.execute(f"CREATE TABLE typed AS SELECT {values} FROM data")


def _count(table: Table, columns: list[Column], cells: list[Cells]) -> None:
    """Count values, codes, and what is neither."""
    run = table.connection.execute
    for batch in batches(columns):
        wanted = ", ".join(f"count({column.key})" for column in batch)
        for column, count in zip(batch, run(f"SELECT {wanted} FROM typed").fetchall()[0], strict=True):
            column.filled = count
            column.missing = table.rows - count
    for column, each in zip(columns, cells, strict=True):
        for words_, counts in (
            (column.reading.missing, column.codes),
            (column.reading.doubtful, column.doubtful),
        ):
            for word in words_:
                [(counts[word],)] = run(
                    f"SELECT count(*) FROM data WHERE {column.key} = ?",
                    [word],
                ).fetchall()
        column.invalid = each.filled - sum(column.codes.values()) - column.filled
        if column.invalid:
            column.examples = [
                value
                for (value,) in run(
                    f"SELECT DISTINCT left(d.{column.key}, 40) FROM data d JOIN typed t ON d.rowid = t.rowid "
                    f"WHERE t.{column.key} IS NULL AND d.{column.key} IS NOT NULL "
                    f"AND NOT list_contains(?, d.{column.key}) ORDER BY 1 LIMIT 5",
                    [column.reading.missing],
                ).fetchall()
            ]


def _measure(table: Table, columns: list[Column]) -> None:
    exact = table.rows <= EXACT
    quantile = "quantile_cont" if exact else "approx_quantile"
    counter = "count(DISTINCT {0})" if exact else "approx_count_distinct({0})"
    wanted: list[str] = []
    setters: list[Callable[[Column, Any], None]] = []
    owners: list[Column] = []

    def want(column: Column, expression: str, setter: Callable[[Column, Any], None]) -> None:
        wanted.append(expression.format(column.key))
        setters.append(setter)
        owners.append(column)

    for column in columns:
        want(column, counter, lambda c, v: setattr(c, "distinct", min(v, c.filled)))
        if column.kind == "number":
            want(column, "min({0})", lambda c, v: setattr(c, "low", v))
            want(column, "max({0})", lambda c, v: setattr(c, "high", v))
            want(column, "avg({0})", lambda c, v: setattr(c, "mean", v))
            want(
                column,
                "CASE WHEN max(abs({0})) < 1e150 THEN stddev_samp({0}) END",
                lambda c, v: setattr(c, "deviation", v),
            )
            want(column, f"{quantile}({{0}}, {list(_SHARES)})", _set_quantiles)
            want(column, "count(*) FILTER ({0} = 0)", lambda c, v: setattr(c, "zeros", v))
            want(column, "count(*) FILTER ({0} < 0)", lambda c, v: setattr(c, "negatives", v))
        elif column.kind == "time":
            want(column, "CAST(min({0}) AS VARCHAR)", lambda c, v: setattr(c, "low", v))
            want(column, "CAST(max({0}) AS VARCHAR)", lambda c, v: setattr(c, "high", v))
    [row] = table.connection.execute(f"SELECT {', '.join(wanted)} FROM typed").fetchall()
    for column, setter, value in zip(owners, setters, row, strict=True):
        setter(column, value)


def _set_quantiles(column: Column, values: list[float] | None) -> None:
    column.quantiles = {f"{share:g}": value for share, value in zip(_SHARES, values or (), strict=False)}


def _list(table: Table, column: Column) -> None:
    """List the categories of a column."""
    if column.kind == "time" or not column.filled or (column.distinct > _FEW and column.kind != "category"):
        return
    if column.kind == "number" and column.distinct > max(SHOWN, 0.5 * column.filled):
        return
    column.categories = table.connection.execute(
        f"SELECT CAST({column.key} AS VARCHAR), count(*) FROM typed WHERE {column.key} IS NOT NULL "
        f"GROUP BY {column.key} ORDER BY 2 DESC, 1 LIMIT {SHOWN}"
    ).fetchall()
    if column.kind == "number" and column.reading.integer:
        column.categories = [(value.removesuffix(".0"), count) for value, count in column.categories]


def _draw(table: Table, column: Column) -> None:
    """Count the values of a number in bins."""
    low, high = column.quantiles.get("0.01"), column.quantiles.get("0.99")
    if column.place >= _DRAWN or low is None or high is None or not low < high or not isfinite(high - low):
        return
    place = (
        f"least({_BINS - 1}, greatest(0, floor(({column.key} - ({low!r})) / ({(high - low)!r}) * {_BINS})))"
    )
    column.histogram = [0] * _BINS
    for number, count in table.connection.execute(
        f"SELECT CAST({place} AS INTEGER) AS b, count(*) FROM typed WHERE {column.key} IS NOT NULL GROUP BY b"
    ).fetchall():
        column.histogram[number] = count


def _settle(column: Column) -> None:
    """A column of one value, or none, is no more than that, whatever it looks like."""
    reading = column.reading
    if not column.filled:
        reading.kind, reading.form = "empty", ""
        reading.why = (
            reading.why if reading.why.startswith(("no cell", "only codes")) else "no cell holds a value"
        )
    elif (column.distinct == 1 and reading.form != "one word or blank") or (
        column.distinct == 1 and not column.missing
    ):
        reading.kind, reading.why = "constant", "every value is the same"
    elif column.kind == "boolean" and {value.lower() for value, _ in column.categories} not in BOOLEANS:
        reading.kind, reading.form = "category", "words"
