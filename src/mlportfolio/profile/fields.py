"""What may be wrong with single columns: how they are written, what they hold, whether they are of use."""

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from itertools import combinations

from mlportfolio.profile.columns import Column
from mlportfolio.profile.findings import SHOWN, Finding, Look, rows_of, share_of
from mlportfolio.profile.kinds import ENTITY_WORDS
from mlportfolio.profile.names import words

_PERSONAL = {
    "name": {"firstname", "lastname", "surname", "fullname", "forename", "apellido", "apellidos", "nombres"},
    "e-mail address": {"email", "mail", "correo"},
    "phone number": {"phone", "telephone", "telefono", "mobile", "movil", "celular", "tel"},
    "postal address": {"address", "street", "direccion", "calle", "domicilio", "addr"},
    "date of birth": {"birth", "birthday", "birthdate", "dob", "nacimiento", "born"},
    "official number": set(words("ssn dni nie nif passport pasaporte curp rfc cpf iban license")),
    "IP address": {"ip"},
}
_OF_PERSONS = set(
    words(
        "age edad sex sexo gender genero birth dob nacimiento email correo phone telefono surname "
        "apellido ssn dni"
    )
)
BIRTH = _PERSONAL["date of birth"]
_SENSITIVE = {
    *("sex", "gender", "sexo", "genero", "race", "raza", "ethnicity", "ethnic", "religion", "nationality"),
    *("nacionalidad", "disability", "discapacidad", "marital", "civil", "pregnant", "orientation"),
}
_BOUNDS: list[tuple[set[str], float, float, str]] = [
    ({"age", "edad"}, 0, 120, "an age"),
    ({"lat", "latitude", "latitud"}, -90, 90, "a latitude"),
    ({"lon", "lng", "long", "longitude", "longitud"}, -180, 360, "a longitude"),
    ({"month", "mes"}, 0, 12, "a month"),
    ({"hour", "hora"}, 0, 24, "an hour"),
    ({"percent", "pct", "percentage", "porcentaje"}, 0, 100, "a percentage"),
    ({"humidity", "humedad"}, 0, 100, "a humidity"),
    ({"probability", "prob", "probabilidad"}, 0, 1, "a probability"),
    ({"ph"}, 0, 14, "a pH"),
]
_POSITIVE = set(
    words(
        "price precio height altura weight peso area superficie distance distancia duration duracion "
        "count salary salario rooms population poblacion length width quantity cantidad"
    )
)
_NEVER_ZERO = set(
    words("glucose bmi bloodpressure insulin skinthickness height altura weight peso area pressure")
)


def written(look: Look) -> Iterator[Finding]:
    """What had to be put right to read the table, and what could not be read."""
    for note in look.table.notes:
        yield Finding("reading", "note", [], note, "Look whether the rows are as you know them.")
    for column in look.columns:
        for code, note in column.reading.notes.items():
            if code == "number for missing":
                continue
            level = "warning" if code in {"day or month", "mixed units"} else "note"
            proposal = {
                "day or month": "Say which, by a column in ISO form (2020-12-31).",
                "thousands": "If they are decimal points, write another digit or none behind them.",
                "mixed units": "Turn them into one unit before anything else.",
                "mixed offsets": "Compare times in UTC; take hour and weekday from the local time.",
                "lost offsets": "Say on which clock the others were read.",
                "mixed dates": "Each form is read; see that none is read wrongly.",
            }[code]
            yield Finding(
                code,
                level,
                [column.name],
                f"{column.name}: {note}",
                proposal,
                {"formats": column.reading.formats},
            )
        if column.invalid:
            yield Finding(
                "invalid",
                "note",
                [column.name],
                f"{column.name}: {column.invalid:,} cells are no {column.kind}: "
                f"{', '.join(map(repr, column.examples))}.",
                "They are read as missing; put them right in the source if they are not.",
                {"rows": column.invalid, "examples": column.examples},
            )
        if column.form == "nested":
            yield Finding(
                "nested",
                "warning",
                [column.name],
                f"{column.name} holds lists or records, not values.",
                "Take the values that matter out of it in SQL; it is left out until then.",
                {},
                {"exclude": [column.name]},
            )


def missing_codes(look: Look) -> Iterator[Finding]:
    """Words and numbers that stand for a missing value, or may."""
    rows = look.table.rows
    blank: defaultdict[str, list[Column]] = defaultdict(list)
    kept: defaultdict[str, list[Column]] = defaultdict(list)
    for column in look.columns:
        words_ = {code: count for code, count in column.codes.items() if count}
        if (
            len(words_) == 1
            and "number for missing" not in column.reading.notes
            and (column is not look.target or column.kind == "number")
        ):
            blank[next(iter(words_))].append(column)
        elif words_:
            listed = ", ".join(f"{code!r} in {rows_of(count)}" for code, count in words_.items())
            note = column.reading.notes.get("number for missing")
            stand = "stand" if len(words_) > 1 else "stands"
            extra = f": {note}" if note else "."
            yield Finding(
                "missing code",
                "warning" if note or column is look.target else "note",
                [column.name],
                f"{column.name}: {listed} {stand} for a missing value{extra}",
                "Read it as missing; keep it if it is a value, such as a top-coded amount or a class."
                if note
                else "Read it as missing; keep it if it is a class.",
                {"codes": words_, "share": sum(words_.values()) / rows},
                {"missing": {column.name: list(words_)}},
            )
        for code, count in column.doubtful.items():
            if count and column.kind != "text":
                kept[code].append(column)
    for code, columns in blank.items():
        rows_ = {each.name: each.codes[code] for each in columns}
        yield Finding(
            "missing code",
            "note",
            [each.name for each in columns],
            f"{code!r} stands for a missing value in {_counted(rows_)}.",
            "Read it as missing; keep it where it is a class.",
            {"code": code, "rows": rows_},
            {"missing": {each.name: [code] for each in columns}},
        )
    for code, columns in kept.items():
        rows_ = {each.name: each.doubtful[code] for each in columns}
        yield Finding(
            "class or missing",
            "note",
            [each.name for each in columns],
            f"{code!r} is kept as a class in {_counted(rows_)}: {_why_class(look, columns[0])}.",
            "Say so where it stands for a missing value instead.",
            {"code": code, "rows": rows_},
        )


def _counted(rows: dict[str, int]) -> str:
    listed = ", ".join(f"{name} ({rows_of(count)})" for name, count in list(rows.items())[:SHOWN])
    return listed + (f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else "")


def _why_class(look: Look, column: Column) -> str:
    if column.missing:
        return "missing cells of this column are blank"
    if look.table.nulls:
        return "the format has missing values of its own"
    return "missing values are written otherwise in this table, or the word names a class"


def useless(look: Look) -> Iterator[Finding]:
    """Columns that hold nothing, or hardly anything, or too much that is different."""
    rows = look.table.rows
    for column in look.columns:
        if column is look.target:
            continue
        if column.kind == "empty":
            yield Finding(
                "empty",
                "warning",
                [column.name],
                f"{column.name} holds no value in any row.",
                "Leave it out.",
                {},
                {"exclude": [column.name]},
            )
        elif column.kind == "constant":
            value = column.categories[0][0] if column.categories else column.low
            yield Finding(
                "constant",
                "warning",
                [column.name],
                f"{column.name} is {str(value)!r} wherever it has a value.",
                "Leave it out.",
                {"value": value, "missing": column.missing},
                {"exclude": [column.name]},
            )
        elif column.categories and column.categories[0][1] > 0.998 * rows and column.kind != "text":
            value, count = column.categories[0]
            yield Finding(
                "nearly constant",
                "note",
                [column.name],
                f"{column.name} is {value!r} in all but {rows - count:,} rows.",
                "Leave it out unless those few rows are what matters.",
                {"value": value, "rows": count},
            )
        if column.kind not in {"empty", "constant"} and column.missing > 0.6 * rows:
            yield Finding(
                "mostly missing",
                "note",
                [column.name],
                f"{column.name} is missing in {share_of(column.missing, rows)} of rows.",
                "Ask why: use whether it is there, or leave it out.",
                {"missing": column.missing, "rows": rows},
            )
        if column.kind == "category" and column.distinct > 50:
            yield Finding(
                "many categories",
                "note",
                [column.name],
                f"{column.name} has {column.distinct:,} categories, "
                f"{column.filled / column.distinct:.1f} rows each on average.",
                "Group the rare ones, or let a boosting model take them as they are; expect values "
                "that training has not seen.",
                {"distinct": column.distinct},
            )


def ids(look: Look) -> Iterator[Finding]:
    """Columns that name a row."""
    for column in look.fields:
        if column.kind == "id" and (column.unique or column.form == "bytes"):
            yield Finding(
                "id",
                "warning",
                [column.name],
                f"{column.name} is an id ({column.reading.why}): it names a row and says nothing about it.",
                "Leave it out of the features; keep it to find a row again.",
                {"distinct": column.distinct, "values": column.filled},
                {"exclude": [column.name]},
            )


def personal(look: Look) -> Iterator[Finding]:
    """Columns that say who a person is, or what a decision must often not rest on."""
    for column in look.columns:
        if column.kind == "empty":
            continue
        name = column.words
        joined = "".join(words(column.name))
        what = ""
        if column.form in _PERSONAL or column.form in {
            "IBAN",
            "social security number",
            "national id number",
        }:
            what = column.form
        else:
            for kind, marks in _PERSONAL.items():
                if name & marks or joined in marks or (kind == "name" and _is_name(look, column, joined)):
                    what = kind
                    break
        digits = column.kind in {"number", "id", "category", "boolean"} and column.form not in {
            "coded",
            "label",
            "code",
            "words",
        }
        if what in {"name", "postal address", "e-mail address", "IP address"} and (
            column.kind in {"number", "boolean"} or (column.distinct < 20 and column.filled > 100)
        ):
            continue
        if what == "phone number" and column.distinct < 20:
            continue
        del digits
        if what:
            yield Finding(
                "personal data",
                "warning",
                [column.name],
                f"{column.name} looks like personal data: {what}.",
                "Derive what the model may use (an age from a date of birth), then leave it out; do "
                "not publish it."
                if what == "date of birth"
                else "Leave it out, and do not publish it.",
                {"kind": what},
                {"exclude": [column.name]},
            )
        elif name & _SENSITIVE and column is not look.target:
            yield Finding(
                "sensitive",
                "note",
                [column.name],
                f"{column.name} says something that decisions must often not rest on.",
                "Decide whether the model may use it; report errors for each of its values in any case.",
                {"distinct": column.distinct},
            )


def _is_name(look: Look, column: Column, joined: str) -> bool:
    """Whether a column called name, or of some person, holds names of persons."""
    if column.kind not in {"id", "text", "category"}:
        return False
    if joined in {"name", "nombre"}:  # of a person, or of anything else
        return any(each.words & _OF_PERSONS for each in look.columns)
    return joined.endswith(("name", "nombre")) and bool(column.words & ENTITY_WORDS)


def ranges(look: Look) -> Iterator[Finding]:
    """Values that cannot be, or are far from all others."""
    today = date.today().isoformat()  # noqa: DTZ011
    for column in look.columns:
        name = column.words
        if column.kind == "time":
            late = f"{column.key} > TIMESTAMP '{today}' + INTERVAL 1 YEAR"
            early = f"{column.key} < TIMESTAMP '1900-01-02'"
            [(future, past)] = look.run(
                f"SELECT count(*) FILTER ({late}), count(*) FILTER ({early}) FROM typed"
            )
            for count, what in (
                (future, "more than a year from now"),
                (past, "before 1900, or the first day that a computer counts"),
            ):
                if 0 < count < (0.5 if "from now" in what else 0.01) * column.filled:
                    yield Finding(
                        "impossible",
                        "warning",
                        [column.name],
                        f"{column.name}: {count:,} dates lie {what} ({column.low[:10]} to "
                        f"{column.high[:10]}).",
                        "Read them as missing unless they are meant.",
                        {"rows": count, "low": column.low, "high": column.high},
                    )
            continue
        if column.kind != "number" or column.low is None:
            continue
        for marks, low, high, what in _BOUNDS:
            if not name & marks or column.form in {"clock", "year"}:
                continue
            inside = column.quantiles.get("0.05", 0) >= low and column.quantiles.get("0.95", 0) <= high
            if inside and (column.low < low or column.high > high):
                [(count,)] = look.run(
                    f"SELECT count(*) FROM typed WHERE {column.key} < {low} OR {column.key} > {high}"
                )
                yield Finding(
                    "impossible",
                    "warning",
                    [column.name],
                    f"{column.name}: {count:,} values are not possible for {what}: it goes from "
                    f"{column.low:g} to {column.high:g}.",
                    f"Read what lies outside {low:g} to {high:g} as missing.",
                    {"rows": count, "low": column.low, "high": column.high},
                )
        if name & _POSITIVE and 0 < column.negatives < column.filled / 20:
            yield Finding(
                "impossible",
                "warning",
                [column.name],
                f"{column.name}: {column.negatives:,} values are below 0, down to {column.low:g}.",
                "Read them as missing unless a negative one has a meaning (a refund).",
                {"rows": column.negatives, "low": column.low},
            )
        yield from _zeros(look, column)
        yield from _extremes(look, column)


def _zeros(look: Look, column: Column) -> Iterator[Finding]:
    """A crowd of zeros far from all other values stands for something else than an amount."""
    if (
        column is look.target
        or not 1 < column.zeros < 0.9 * column.filled
        or column.negatives
        or column.form == "clock"
    ):
        return
    [(least, middle, distinct)] = look.run(
        f"SELECT min(x), median(x), count(DISTINCT x) FROM (SELECT {column.key} AS x FROM typed "
        f"WHERE {column.key} > 0)"
    )
    joined = "".join(words(column.name))
    named = bool(column.words & _NEVER_ZERO) or joined in _NEVER_ZERO
    step = (column.high - least) / max(distinct - 1, 1)
    apart = least > 0.3 * middle and least > 3 * step and column.distinct > 12
    counts = [count for value, count in column.categories if value not in {"0", "0.0"}]
    [(following,)] = look.run(f"SELECT min({column.key}) FROM typed WHERE {column.key} > {least!r}")
    apart = apart and following is not None and least > 2.5 * (following - least)
    crowd = (
        counts
        and column.zeros > 5 * counts[0]
        and least > 4 * step
        and 0.05 < column.zeros / column.filled < 0.6
    )
    named = named and following is not None and least > 2 * (following - least)
    if distinct > 10 and (apart or named or crowd):
        yield Finding(
            "zero for missing",
            "warning",
            [column.name],
            f"{column.name} is 0 in {column.zeros:,} rows; all other values are {least:g} or more, "
            f"with a median of {middle:g}.",
            "If 0 is not possible, read it as missing; if it means none, add a field that says so.",
            {"rows": column.zeros, "least_other": least, "median": middle},
            {"missing": {column.name: ["0"]}},
        )


def _extremes(look: Look, column: Column) -> Iterator[Finding]:
    quantiles = column.quantiles
    low, high = quantiles.get("0.25"), quantiles.get("0.75")
    if low is None or high is None or high <= low or column.distinct < 20:
        return
    reach = high - low
    far_low, far_high = low - 20 * reach, high + 20 * reach
    if column.low >= far_low and column.high <= far_high:
        return
    [(count,)] = look.run(
        f"SELECT count(*) FROM typed WHERE {column.key} < {far_low} OR {column.key} > {far_high}"
    )
    if 0 < count <= 0.005 * column.filled:
        yield Finding(
            "extreme",
            "note",
            [column.name],
            f"{column.name}: {count:,} values lie far outside: half are from {low:g} to {high:g}, "
            f"these reach {column.low if column.low < far_low else column.high:g}.",
            "See whether they are errors (a unit, a decimal point); if not, a model of trees takes "
            "them as they are.",
            {"rows": count, "low": column.low, "high": column.high, "quartiles": [low, high]},
        )


def spellings(look: Look) -> Iterator[Finding]:
    """Categories that differ in case, blanks or signs only."""
    for column in look.columns:
        if column.kind != "category" or (
            column.form == "coded" and all(v.isdigit() for v, _ in column.categories)
        ):
            continue
        same: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        for value, count in column.categories:
            if not re.search(r"[^\W\d_]", value):
                continue
            same[re.sub(r"[\W_]+", " ", value.casefold()).strip()].append((value, count))
        if groups := [group for key, group in same.items() if len(group) > 1 and key]:
            listed = "; ".join(
                " = ".join(f"{value!r} ({count:,})" for value, count in group) for group in groups[:4]
            )
            yield Finding(
                "spellings",
                "warning",
                [column.name],
                f"{column.name} spells the same in several ways: {listed}.",
                "Make them one in SQL.",
                {"groups": [[value for value, _ in group] for group in groups]},
            )


def twins(look: Look) -> Iterator[Finding]:
    """Columns that say the same as another one."""
    able = [each for each in look.fields if each.kind != "time" or each.distinct > 1]
    by_count: defaultdict[tuple[int, int], list[Column]] = defaultdict(list)
    for column in able:
        by_count[column.filled, column.distinct].append(column)
    taken: set[int] = set()
    for group in by_count.values():
        if len(group) < 2 or (group[0].unique and group[0].kind == "id"):
            continue
        for one, other in combinations(group[:12], 2):
            if other.place in taken or (one.kind == "boolean" and other.kind == "number"):
                continue
            many = one.distinct > one.filled / 5  # of so many values, only equal columns say the same
            if many and (one.kind, one.low, one.high, one.mean) != (
                other.kind,
                other.low,
                other.high,
                other.mean,
            ):
                continue
            step = max(1, look.table.rows // 100_000)
            [(both, pairs, equal)] = look.run(
                f"SELECT count(*) FILTER ({one.key} IS NOT NULL AND {other.key} IS NOT NULL), "
                f"count(DISTINCT hash({one.key}, {other.key})) FILTER ({one.key} IS NOT NULL), "
                f"count(*) FILTER (CAST({one.key} AS VARCHAR) = CAST({other.key} AS VARCHAR)) FROM "
                f"typed WHERE hash(rowid) % {step} = 0"
            )
            expected = min(one.filled, one.filled // step + 1)
            [(distinct,)] = look.run(
                f"SELECT count(DISTINCT {one.key}) FROM typed WHERE hash(rowid) % {step} = 0"
            )
            repeated = distinct < both / 5 or equal == both
            if both and both >= 0.5 * expected and pairs == distinct and repeated and distinct > 1:
                taken.add(other.place)
                how = "holds the same as" if equal == both else "says the same as"
                yield Finding(
                    "same as another",
                    "note",
                    [other.name, one.name],
                    f"{other.name} {how} {one.name}: each value of one goes with one value of the other.",
                    f"Leave {other.name} out.",
                    {"rows": both, "values": distinct},
                    {"exclude": [other.name]} if equal == both or distinct < both / 3 else {},
                )
