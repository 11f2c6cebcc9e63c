"""What the cells of a column mean, told from their text, their frequencies and the column's name."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from mlportfolio.profile.names import words

# --- numbers --------------------------------------------------------------------------------------

_CURRENCIES = "$€£¥₹₩₽₺₪฿"
_CODES = "USD|EUR|GBP|JPY|CHF|CAD|AUD|MXN|COP|ARS|CLP|PEN|BRL|INR|CNY|SEK|NOK|DKK|PLN|ZAR|US\\$|R\\$|S/"
_SPACE = " \u00a0\u202f"
_POINT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_GROUPED = {  # thousands apart: the separator, and the decimal point that goes with it
    ",": re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?"),
    ".": re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?"),
    " ": re.compile(rf"[+-]?\d{{1,3}}([{_SPACE}]\d{{3}})+([.,]\d+)?"),
    "'": re.compile(r"[+-]?\d{1,3}(['\u2019]\d{3})+(\.\d+)?"),
}
_DRESSED = re.compile(
    rf"(?P<open>\()?(?P<sign>[+\-\u2212])?\s*(?P<before>[{_CURRENCIES}]|{_CODES})?\s*"
    rf"(?P<number>[+-]?\.?\d[\d.,'\u2019{_SPACE}]*(?:[eE][+-]?\d+)?)\s*"
    rf"(?P<after>%|[{_CURRENCIES}]|{_CODES}|(?!(?:AM|PM|am|pm)\b)[A-Za-zµ°²³/]{{1,12}})?(?P<close>\))?"
)
PLAIN = "try_cast({v} AS DOUBLE)"
_LONG = 15  # digits that a float holds

# --- times ----------------------------------------------------------------------------------------

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_FULL = "january|february|march|april|may|june|july|august|september|october|november|december"
_CLOCK = (
    r"(?P<gap>[ T]|, | at "
    r")(?P<clock>\d{1,2}:\d{2})(?P<second>:\d{2})?(?P<part>\.\d{1,9})?(?P<half> ?[AaPp][Mm])?"
)
_ZONE = r"(?P<zone> ?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2}))?"
_WEEKDAY = r"(?P<weekday>(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?"
_DATES = [
    re.compile(rf"{_WEEKDAY}(?P<date>{date})(?:{_CLOCK}{_ZONE})?", re.IGNORECASE)
    for date in (
        r"\d{4}(?P<s1>[-/.])(?P<m1>\d{1,2})(?P=s1)(?P<d1>\d{1,2})",
        r"(?P<a>\d{1,2})(?P<s2>[-/.])(?P<b>\d{1,2})(?P=s2)(?P<y2>\d{4}|\d{2})",
        rf"\d{{1,2}}(?P<s3>[- /.]?)(?P<b3>{_FULL}|{_MONTHS})(?P=s3)(?P<y3>\d{{4}}|\d{{2}})",
        rf"(?P<b4>{_FULL}|{_MONTHS})(?P<s4>[- ])\d{{1,2}}(?P<c4>,? |-)\d{{4}}",
        rf"(?P<b5>{_FULL}|{_MONTHS})(?P<s5>[- ])(?P<y5>\d{{4}})",
        r"\d{4}-(?P<m6>0[1-9]|1[0-2])",
    )
]
_COMPACT = re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_QUARTER = re.compile(r"(19|20)\d{2}[- ]?[Qq][1-4]")
_HOURS = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?")
_SECONDS = (631_152_000, 2_208_988_800)  # 1990 to 2040

# --- words ----------------------------------------------------------------------------------------

BOOLEANS = [
    *({"no", "yes"}, {"n", "y"}, {"f", "t"}, {"false", "true"}, {"no", "si"}, {"no", "sí"}, {"n", "s"}),
    *({"0", "1"}, {"off", "on"}, {"falso", "verdadero"}, {"non", "oui"}, {"nein", "ja"}, {"não", "sim"}),
    *({"nao", "sim"}, {"0.0", "1.0"}),
]
# What no one uses as a name for something that is there.
_NEVER = {
    *("?", "??", "???", "-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "*", "**", "#n/a", "#na"),
    *("\\n", "(null)", "[null]", "<null>", "<na>", "nan", "-nan", "nat", "null", "#null!", "#value!"),
    *("#div/0!", "#ref!", "#num!", "#name?", "(blank)", "(missing)", "s/d", "n.d.", "-nan(ind)", "1.#qnan"),
}
# What is missing in one table and a class in another.
_MAYBE = {
    *("na", "n/a", "n.a.", "none", "nil", "nd", "unknown", "missing", "not available", "not applicable"),
    *(
        "desconocido",
        "desconocida",
        "sin dato",
        "sin datos",
        "no disponible",
        "no aplica",
        "ninguno",
        "ninguna",
    ),
    *("unk", "tbd", "not known", "no data", "undefined", "x", "not recorded", "(none)", "[none]"),
}
_ABSENT = {
    "na",
    "n/a",
    "n.a.",
    "nd",
}  # of these, what stands for a missing value where nothing speaks against it

TIME_WORDS = set(
    words(
        "date datetime time timestamp ts day fecha hora dia datum zeit jahr created updated at when "
        "moment start end week month period mes semana instante momento epoch"
    )
)
YEAR_WORDS = set(words("year yr anio ano anyo jahr annee season yyyy"))
ID_WORDS = set(words("id ids key uuid guid folio rowid index idx identifier identificador clave pk"))
ENTITY_WORDS = set(
    words(
        "patient paciente customer cliente client user usuario subject sujeto household hogar person "
        "persona student alumno estudiante player jugador member account cuenta employee empleado driver "
        "conductor session device machine maquina sensor unit store tienda shop school escuela hospital "
        "company empresa respondent participant animal plot site station family firm fund ship turbine "
        "vehicle"
    )
)
CODE_WORDS = set(
    words(
        "code cod codigo class clase type tipo kind group grupo zone zona region sex sexo gender genero "
        "race raza status estado estatus category categoria cluster label species especie marital civil "
        "zip zipcode postal cp district distrito dept department departamento municipio provincia brand "
        "marca color colour origin origen sector industry occupation ocupacion job state province county "
        "city ciudad country pais religion nationality ethnicity ethnic faixa canal channel treatment arm"
    )
)
_LEADING = {"code", "cod", "codigo", "tipo", "clase", "grupo", "zona", "categoria", "estado", "class", "type"}
COUNT_WORDS = set(
    words(
        "n num nr numero number count counts cnt total qty quantity cantidad age edad years days hours "
        "minutes score rating grade nota points puntos size rooms bedrooms bathrooms children hijos "
        "visits rings length width height weight temp temperature stars level quality calidad rank "
        "duration freq frequency habitaciones"
    )
)
MONEY_WORDS = set(
    words(
        "price precio cost costo coste salary salario sueldo importe amount monto income ingreso ingresos "
        "fare revenue sales ventas fee tarifa wage wages payment pago balance saldo usd eur charges "
        "profit expenditure spend spending gasto gastos loan debt budget presupuesto premium valor"
    )
)
TEXT_WORDS = set(
    words(
        "text texto comment comments comentario comentarios description descripcion message mensaje "
        "review resena note notes nota notas body title titulo subject abstract summary resumen "
        "observaciones tweet question answer narrative remark remarks"
    )
)
_PATTERNS = {
    "e-mail address": re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}"),
    "URL": re.compile(r"(https?://|www\.)\S+", re.IGNORECASE),
    "UUID": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE),
    "IP address": re.compile(r"(\d{1,3}\.){3}\d{1,3}"),
    "IBAN": re.compile(r"[A-Z]{2}\d{2} ?([A-Z0-9]{4} ?){3,7}[A-Z0-9]{1,4}"),
    "hash": re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}", re.IGNORECASE),
    "phone number": re.compile(
        r"\+\d[\d ().-]{7,17}\d|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}|\d{3}[ .-]\d{2}[ .-]\d{2}[ .-]\d{2}"
    ),
    "social security number": re.compile(r"\d{3}-\d{2}-\d{4}"),
    "national id number": re.compile(r"\d{8}-?[A-Z]|[XYZ]\d{7}-?[A-Z]"),
}


@dataclass
class Reading:
    """How the text of one column is understood.

    Attributes:
        kind: `number`, `boolean`, `category`, `time`, `text`, `id`, `constant` or `empty`.
        form: What it is more closely: money, percent, year, coded, clock, e-mail address, …
        why: Why it is taken for that, in words.
        sql: The value, as an expression over `{v}`, the trimmed text; DOUBLE, TIMESTAMP or VARCHAR.
        missing: The words and numbers that stand for a missing value.
        doubtful: Words that may stand for a missing value, or for a class; they are taken for a class.
        unit: A currency, `%`, or what else stands beside each number.
        integer: Whether all numbers are whole.
        formats: The forms of date that occur.
        notes: What is to be known about how the column is written: `code: sentence`.
    """

    kind: str
    form: str = ""
    why: str = ""
    sql: str = "{v}"
    missing: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)
    unit: str = ""
    integer: bool = False
    formats: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)


@dataclass
class Context:
    """What the rest of the table says about a column."""

    rows: int  # of the whole table
    nulls: bool  # the format has missing values of its own
    blanks: bool = False  # some column has blank cells
    spelled: frozenset[str] = frozenset()  # words that stand for missing numbers elsewhere in the table
    decimal_comma: bool = False
    day_first: bool | None = None


@dataclass
class Cells:
    """The text of one column: a sample with frequencies, and what is known of the whole."""

    name: str
    values: Counter[str]
    stored: str
    filled: int  # cells that are not blank, in the whole table
    distinct: int  # of the whole table, perhaps by estimate

    @property
    def words(self) -> set[str]:
        """The words in the name."""
        return set(words(self.name))

    @property
    def repeats(self) -> float:
        """How often a value occurs, on average."""
        return self.filled / max(self.distinct, 1)


def is_number(text: str) -> bool:
    """Whether a cell looks like a number, in any of the usual spellings."""
    return _number(text) is not None


@lru_cache(maxsize=1 << 16)
def _number(text: str) -> tuple[str, str, str] | None:  # noqa: PLR0911 - one for each spelling
    """The bare number, the currency or unit beside it, and how it is spelled: `.`, `,`, or a separator."""
    if _POINT.fullmatch(text):
        return text, "", "?." if re.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", text) else "."
    if not (match := _DRESSED.fullmatch(text)) or bool(match["open"]) != bool(match["close"]):
        return None
    bare = match["number"].strip()
    unit = match["before"] or match["after"] or ""
    if match["after"] and match["before"] and match["after"] != match["before"]:
        return None
    if _POINT.fullmatch(bare):
        return bare, unit, "?." if re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", bare) else "."
    if re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", bare):
        return bare, unit, "?,"
    if _COMMA.fullmatch(bare):
        return bare, unit, ","
    for separator, pattern in _GROUPED.items():
        if pattern.fullmatch(bare):
            tail = {".": ",", " ": "," if "," in bare else "."}.get(separator, ".")
            return bare, unit, separator + tail
    return None


def is_time(text: str) -> bool:
    """Whether a cell looks like a date."""
    return time_format(text, day_first=True) is not None


def time_format(text: str, *, day_first: bool) -> str | None:  # noqa: C901, PLR0912 - one for each form
    """The strptime format of a date; None where it is none."""
    if not 6 <= len(text) <= 48 or _POINT.fullmatch(text) or not any(map(str.isdigit, text)):
        return None
    for pattern in _DATES:
        if match := pattern.fullmatch(text):
            break
    else:
        return None
    found = match.groupdict()
    if found.get("s1"):
        if not (0 < int(found["m1"]) <= 12 and 0 < int(found["d1"]) <= 31):
            return None
        date = "%Y{0}%m{0}%d".format(found["s1"])
    elif found.get("s2"):
        first, second = int(found["a"]), int(found["b"])
        if max(first, second) > 31 or min(first, second) > 12 or 0 in {first, second}:
            return None
        if (first > 12) != (second > 12):
            day_first = first > 12
        order = "%d{0}%m{0}" if day_first else "%m{0}%d{0}"
        date = order.format(found["s2"]) + _year(found["y2"])
    elif found.get("b3"):
        date = "%d{0}{1}{0}".format(found["s3"], _month(found["b3"])) + _year(found["y3"])
    elif found.get("b4"):
        date = f"{_month(found['b4'])}{found['s4']}%d{found['c4']}%Y"
    elif found.get("b5"):
        date = f"{_month(found['b5'])}{found['s5']}%Y"
    else:
        date = "%Y-%m"
    if found["weekday"]:
        name = re.match(r"[A-Za-z]+", found["weekday"])
        date = ("%a" if name and len(name[0]) == 3 else "%A") + found["weekday"].lstrip(_LETTERS) + date
    if found["clock"]:
        hour = "%I" if found["half"] else "%H"
        date += f"{found['gap']}{hour}:%M{':%S' if found['second'] else ''}{'.%f' if found['part'] else ''}"
        date += found["half"].replace(found["half"].strip(), "%p") if found["half"] else ""
        zone = found["zone"] or ""
        date += (" " if zone.startswith(" ") else "") + (
            zone.strip() if zone.strip().isalpha() else "%z" if zone else ""
        )
    return date


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _year(digits: str) -> str:
    return "%Y" if len(digits) == 4 else "%y"


def _month(name: str) -> str:
    return "%b" if len(name) == 3 else "%B"


# --- one column -----------------------------------------------------------------------------------


def read(cells: Cells, context: Context) -> Reading:
    """Tell what a column means."""
    values = cells.values
    if not values:
        return Reading("empty", why="no cell holds a value")
    known = {value for value in values if value.lower() in _NEVER | _MAYBE}
    proper = Counter({value: count for value, count in values.items() if value not in known})
    for attempt in (_as_stored, _as_boolean, _as_date, _as_moment, _as_number):
        if proper and (reading := attempt(cells, proper, context)):
            reading.missing = sorted(known) + reading.missing
            return reading
    missing, doubtful = _absent(known, proper, cells, context)
    proper = Counter({value: count for value, count in values.items() if value not in missing})
    reading = _as_words(cells, proper) if proper else Reading("empty", why="only codes for missing")
    reading.missing, reading.doubtful = sorted(missing), sorted(doubtful)
    return reading


def spelled(reading: Reading) -> set[str]:
    """The words that stand for missing numbers or times in a column."""
    return {word for word in reading.missing if reading.kind in {"number", "time"} and not is_number(word)}


def _absent(
    known: set[str], proper: Counter[str], cells: Cells, context: Context
) -> tuple[set[str], set[str]]:
    """Of the words that may mean "missing": which do here, and which may."""
    missing: set[str] = set()
    doubtful: set[str] = set()
    blank = cells.filled < context.rows
    signs = any(not re.search(r"\w", value) for value in proper)
    for word in known:
        small = word.lower()
        if small in _NEVER:
            # Where + stands in the column, - is its opposite.
            (doubtful if signs else missing).add(word)
        elif small == "nd" and _alike(word, proper):
            continue  # North Dakota among states
        elif word in context.spelled and not blank:
            missing.add(word)
        elif context.nulls or blank or context.blanks or small not in _ABSENT or _alike(word, proper):
            doubtful.add(word)
        else:
            missing.add(word)
    return missing, doubtful


def _alike(word: str, proper: Iterable[str]) -> bool:
    """Whether NA stands among codes that look like it: continents, countries, states."""
    return all(len(value) == len(word) and value.isupper() == word.isupper() for value in proper)


def _as_stored(cells: Cells, proper: Counter[str], _context: Context) -> Reading | None:
    """What the source keeps as a type of its own."""
    stored = cells.stored
    if stored == "BOOLEAN" and len(proper) > 1:
        return Reading("boolean", "true or false", "stored as true or false")
    if stored.startswith(("DATE", "TIMESTAMP")) and len(proper) > 1:
        return Reading(
            "time",
            "date" if stored == "DATE" else "timestamp",
            f"stored as {stored}",
            "try_cast({v} AS TIMESTAMP)",
        )
    if stored.startswith(("STRUCT", "MAP")) or stored.endswith("]"):
        return Reading("text", "nested", "holds lists or records; take out of them what the model needs")
    if stored == "BLOB":
        return Reading("id", "bytes", "holds bytes, not values")
    if (
        stored == "VARCHAR"
        and cells.words & {"code", "cod", "codigo", "zip", "postal"}
        and all(map(str.isdigit, proper))
    ):
        return _coded(cells, "digits that are stored as text, and the name says a code")
    return None


def _as_boolean(_cells: Cells, proper: Counter[str], _context: Context) -> Reading | None:
    small = {value.lower() for value in proper}
    if small in BOOLEANS:
        shown = " or ".join(sorted(proper, key=str.lower)[:2])
        form = "0 or 1" if "0" in small or "0.0" in small else "two words"
        sql = "CAST(try_cast(try_cast({v} AS DOUBLE) AS INTEGER) AS VARCHAR)" if "0.0" in small else "{v}"
        return Reading("boolean", form, f"only {shown}", sql if len(proper) == len(small) else "lower({v})")
    return None


def _as_date(cells: Cells, proper: Counter[str], context: Context) -> Reading | None:
    day_first, sure = _day_first(proper, context)
    formats = _formats(proper, day_first=day_first)
    if formats.total() >= 0.95 * proper.total():
        return _time(cells, formats, day_first=day_first, sure=sure)
    if not any(_SPANISH.search(value.lower()) for value in proper):
        return None
    here: Counter[str] = Counter()
    for value, count in proper.items():
        here[_english(value)] += count
    formats = _formats(here, day_first=True)
    if formats.total() < 0.95 * here.total():
        return None
    reading = _time(cells, formats, day_first=True, sure=True)
    reading.sql = reading.sql.replace("{v}", _ENGLISH_SQL)
    return reading


def _formats(values: Mapping[str, int], *, day_first: bool) -> Counter[str]:
    """The forms of date that occur, and how often."""
    formats: Counter[str] = Counter()
    for value, count in values.items():
        if found := time_format(value, day_first=day_first):
            formats[found] += count
    return formats


def _as_moment(cells: Cells, proper: Counter[str], _context: Context) -> Reading | None:
    """Times in other forms than dates: of day, quarters, digits in a row, seconds since 1970."""
    if len(proper) > 1 and all(_HOURS.fullmatch(value) for value in proper):
        hour, minute = (f"try_cast(split_part({{v}}, ':', {place}) AS DOUBLE)" for place in (1, 2))
        sql = f"(60 * {hour} + {minute})"
        return Reading("number", "clock", "times of day", sql, unit="min after midnight", integer=True)
    if len(proper) > 1 and all(_QUARTER.fullmatch(value) for value in proper):
        month = "(3 * try_cast({v}[-1] AS INTEGER) - 2)"
        sql = f"try_cast({{v}}[:4] || '-' || {month} || '-01' AS TIMESTAMP)"
        return Reading("time", "quarter", "a year and a quarter", sql)
    if len(proper) > 2 and all(_COMPACT.fullmatch(value.removesuffix(".0")) for value in proper):
        sql = "try_strptime(replace({v}, '.0', ''), '%Y%m%d')"
        return Reading("time", "date", "dates written as YYYYMMDD", sql, formats=["%Y%m%d"])
    if cells.words & TIME_WORDS and all(re.fullmatch(r"\d{9,13}(\.\d+)?", value) for value in proper):
        for scale, unit in ((1, "seconds"), (1000, "milliseconds")):
            if all(_SECONDS[0] <= float(value) / scale <= _SECONDS[1] for value in proper):
                number = f"try_cast({{v}} AS DOUBLE) / {scale}"
                sql = f"CASE WHEN {number} < 1e11 THEN make_timestamp(CAST(1e6 * {number} AS BIGINT)) END"
                return Reading("time", "timestamp", f"{unit} since 1970, by its size and its name", sql)
    return None


_SPANISH = re.compile(r"(ene|feb|mar|abr|may|jun|jul|ago|sep|oct|nov|dic)[a-z]*\.?")
_MONTHS_THERE = {"ene": "jan", "abr": "apr", "ago": "aug", "dic": "dec"}
_ENGLISH_SQL = (
    f"regexp_replace(regexp_replace(lower({{v}}), ' del? ', ' ', 'g'), '{_SPANISH.pattern}', '\\1')"
)
for _there, _here in _MONTHS_THERE.items():
    _ENGLISH_SQL = f"replace({_ENGLISH_SQL}, '{_there}', '{_here}')"


def _english(text: str) -> str:
    """A date with a Spanish month as time_format reads it; _ENGLISH_SQL does the same."""
    text = _SPANISH.sub(r"\1", re.sub(" del? ", " ", text.lower()), count=1)
    for there, here in _MONTHS_THERE.items():
        text = text.replace(there, here)
    return text


def _day_first(proper: Counter[str], context: Context) -> tuple[bool, bool]:
    """Whether 01/02 is the first of February, and whether that is certain."""
    first = second = pairs = 0
    for value in proper:
        if match := re.match(r"(\d{1,2})[-/.](\d{1,2})[-/.](?:\d{4}|\d{2})\b", value):
            pairs += 1
            first += int(match[1]) > 12
            second += int(match[2]) > 12
    if first or second:
        return first >= second, True
    if context.day_first is not None:
        return context.day_first, True
    return context.decimal_comma or any(re.match(r"\d{1,2}\.\d", value) for value in proper), not pairs


def _time(cells: Cells, formats: Counter[str], *, day_first: bool, sure: bool) -> Reading:
    listed = [each for each, _ in formats.most_common()]
    quoted = ", ".join(f"'{each}'" for each in listed)
    sql = f"try_strptime({{v}}, {quoted if len(listed) == 1 else f'[{quoted}]'})"
    if any("%z" in each for each in listed):
        sql = f"CAST({sql} AS TIMESTAMP)"
    reading = Reading(
        "time", "timestamp" if any("%H" in each or "%I" in each for each in listed) else "date", sql=sql
    )
    reading.formats = listed
    reading.why = f"dates like {next(iter(cells.values))}"
    if len({re.split("[ T]%[HI]", each)[0] for each in listed}) > 1:
        reading.why = f"dates in {len(listed)} forms"
        reading.notes["mixed dates"] = f"Dates are written in {len(listed)} forms: {', '.join(listed[:6])}."
    zones = {
        match[0].replace(":", "")
        for value in cells.values
        if (match := re.search(r"[+-]\d{2}:?\d{2}$|Z$", value))
    }
    zones = {zone for zone in zones if any("%z" in each or each.endswith("Z") for each in listed)}
    zoned = sum(count for each, count in formats.items() if each.endswith(("%z", "Z", "UTC", "GMT")))
    if len({"+0000" if zone == "Z" else zone for zone in zones}) > 1:
        shown = ", ".join(sorted(zones)[:6])
        reading.notes["mixed offsets"] = f"Times have several UTC offsets: {shown}; all are turned into UTC."
    if 0 < zoned < formats.total():
        reading.notes["lost offsets"] = (
            f"{formats.total() - zoned:,} of {formats.total():,} times have no UTC offset; they are "
            "read as UTC."
        )
    if not sure:
        order = "day before month" if day_first else "month before day"
        reading.notes["day or month"] = (
            f"No date tells whether day or month comes first; they are read with the {order}."
        )
    return reading


def _as_number(cells: Cells, proper: Counter[str], context: Context) -> Reading | None:  # noqa: C901
    total = proper.total()
    found = {value: _number(value) for value in proper}
    fits = {value: each for value, each in found.items() if each}
    good = sum(proper[value] for value in fits)
    strangers = len(proper) - len(fits)
    if good < 0.97 * total or (strangers and len(fits) < 10):
        return None
    units = Counter[str]()
    for value, each in fits.items():
        units[each[1]] += proper[value]
    unit = max((each for each in units if each), key=lambda each: units[each], default="")
    if unit and (units[unit] < 0.5 * good or (unit.isalpha() and len(fits) < 3 and total > 20)):
        return None
    if len([each for each in units if each]) > 1 and not all(_is_currency(each) for each in units if each):
        return None
    bare = [each[0] for each in fits.values()]
    if any(re.fullmatch(r"0\d+", each) for each in bare):
        return _coded(cells, "digits with leading zeros: to read them as numbers would lose these")
    if any(
        len(re.sub(r"\D", "", each.lower().split("e")[0])) > _LONG and "." not in each and "," not in each
        for each in bare
    ):
        return _coded(cells, "more digits than a number holds")
    spelling = {each[2] for each in fits.values()}
    notes: dict[str, str] = {}
    points = spelling <= {"?.", "."} and not any("." in each[0] for each in fits.values() if each[2] == ".")
    if points and "?." in spelling and (context.decimal_comma or _is_currency(unit)):
        spelling = {".,"}
        notes["thousands"] = "Points are read as signs of thousands: all have three digits behind them."
    expression, decimal = _expression(
        spelling, context, dressed=any(each[0] != value for value, each in fits.items())
    )
    convert = _converter(decimal)
    numbers = Counter[float]()
    for value, each in fits.items():
        if (number := convert(each[0], value)) is not None:
            numbers[number] += proper[value]
    whole = all(number.is_integer() for number in numbers)
    reading = Reading("number", sql=expression, integer=whole, notes=notes)
    if len([each for each in units if each]) > 1:
        shown = ", ".join(f"{each} in {units[each]:,}" for each in units if each)
        reading.notes["mixed units"] = f"The numbers have several units: {shown}."
    reading.unit = unit
    codes, note = sentinels(numbers, cells.words)
    if codes:
        spellings = [value for value, each in fits.items() if convert(each[0], value) in codes]
        reading.missing = sorted(spellings)
        reading.notes["number for missing"] = note
        numbers = Counter({number: count for number, count in numbers.items() if number not in codes})
    reading = _meaning(cells, numbers, reading)
    if decimal == "," and any("," in value for value in fits):
        reading.why += ", with a decimal comma"
    return reading


def _is_currency(unit: str) -> bool:
    return bool(unit) and (unit in _CURRENCIES or bool(re.fullmatch(_CODES, unit)))


def _expression(spelling: set[str], context: Context, *, dressed: bool) -> tuple[str, str]:
    """The SQL that makes a DOUBLE of the text, and the decimal point."""
    comma = spelling & {",", ".,", " ,"}
    point = spelling & {".", ",.", " .", "'."}
    doubt = spelling & {"?.", "?,"}
    if comma and not (spelling & {",."}):
        decimal = ","
    elif point or not doubt:
        decimal = "."
    elif doubt == {"?,"}:
        decimal = "," if context.decimal_comma else "."
    else:
        decimal = "." if not context.decimal_comma or "?," not in spelling else ","
    if spelling <= {".", "?."} and decimal == "." and not dressed:
        return PLAIN, decimal
    if spelling <= {".", ",", "?,"} and decimal == "," and not dressed:
        return "try_cast(replace({v}, ',', '.') AS DOUBLE)", decimal
    kept = "[^0-9eE.,+-]"
    text = (
        f"regexp_replace(replace({{v}}, '\u2212', '-'), '{kept}', '', 'g')"
        if not dressed
        else (
            "regexp_replace(regexp_replace(replace({v}, '\u2212', '-'), "
            "'[A-DF-Za-df-z/]+|^[^0-9.(+-]+', '', 'g'), "
            f"'{kept}|[eE]$', '', 'g')"
        )
    )
    grouped, point_ = (".", ",") if decimal == "," else (",", ".")
    text = f"replace({text}, '{grouped}', '')"
    if point_ == ",":
        text = f"replace({text}, ',', '.')"
    number = f"try_cast({text} AS DOUBLE)"
    if dressed:
        number = f"CASE WHEN {{v}} LIKE '(%' THEN -{number} ELSE {number} END"
    return number, decimal


def _converter(decimal: str) -> Callable[[str, str], float | None]:
    def convert(bare: str, text: str) -> float | None:
        digits = re.sub(rf"['\u2019{_SPACE}]", "", bare)
        digits = digits.replace(".", "").replace(",", ".") if decimal == "," else digits.replace(",", "")
        try:
            number = float(digits)
        except ValueError:
            return None
        negative = text.startswith("(") or (text[0] in "-\u2212" and not bare.startswith("-"))
        return -number if negative else number

    return convert


def _meaning(cells: Cells, numbers: Counter[float], reading: Reading) -> Reading:
    """What a number stands for: an amount, a code, a year, an id, yes or no."""
    name = cells.words
    distinct = len(numbers)
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    if distinct == 2 and set(numbers) == {0.0, 1.0}:
        reading.kind, reading.form, reading.why = "boolean", "0 or 1", "only 0 and 1"
        reading.sql = f"CAST(try_cast({reading.sql} AS INTEGER) AS VARCHAR)"
        return reading
    if (
        not reading.integer
        and name & (TIME_WORDS | YEAR_WORDS)
        and 1700 < low < high < 2100
        and distinct > 10
    ):
        reading.form, reading.why = "year", f"years with a fraction, from {low:.2f} to {high:.2f}"
        return reading
    if reading.integer and not reading.unit:
        if _is_year(name, low, high, cells):
            reading.form, reading.why = "year", f"years from {low:.0f} to {high:.0f}"
            return reading
        if why := _is_key(cells, numbers, low, high):
            reading.kind, reading.form, reading.why = "id", "number", why
            reading.sql = f"CAST(try_cast({reading.sql} AS BIGINT) AS VARCHAR)"
            return reading
        if why := _is_code(cells, numbers):
            reading.kind, reading.form, reading.why = "category", "coded", why
            reading.sql = f"CAST(try_cast({reading.sql} AS BIGINT) AS VARCHAR)"
            return reading
    _amount(cells, reading, distinct)
    return reading


def _amount(cells: Cells, reading: Reading, distinct: int) -> None:
    """What kind of amount a number is."""
    if reading.unit == "%":
        reading.form, reading.why = "percent", "numbers with %"
    elif reading.unit and _is_currency(reading.unit):
        reading.form, reading.why = "money", f"amounts in {reading.unit}"
    elif not reading.unit and (unit := re.search(r"[(\[]\s*([^()\[\]\d]{1,12}?)\s*[)\]]\s*$", cells.name)):
        reading.unit = unit[1]
        reading.form = "money" if _is_currency(unit[1]) else "measure"
        reading.why = f"numbers, and the name says {unit[1]}"
    elif reading.unit:
        reading.form, reading.why = "measure", f"numbers with the unit {reading.unit}"
    elif cells.words & MONEY_WORDS and not cells.words & ID_WORDS:
        reading.form, reading.why = "money", "numbers, and the name says money"
    else:
        reading.why = "whole numbers" if reading.integer else "numbers"
        if reading.integer and 2 < distinct <= 10 and cells.filled > 10 * distinct:
            reading.why += f"; only {distinct} values: if they are codes, say so"


def _is_year(name: set[str], low: float, high: float, cells: Cells) -> bool:
    if low < 1800 or high > 2100 or cells.distinct < 2:
        return False
    return bool(name & YEAR_WORDS) or any(word.endswith("year") for word in name)


def _is_key(cells: Cells, numbers: Counter[float], low: float, high: float) -> str:
    """Why a whole number is the key of a row or of something that rows are about; empty where it is none."""
    name = cells.words
    unique = cells.distinct >= 0.99 * cells.filled and cells.filled > 10
    named = bool(name & ID_WORDS) or any(word.endswith("id") and len(word) > 3 for word in name - _NOT_IDS)
    entity = bool(name & ENTITY_WORDS) and len(name) == 1
    if named and cells.distinct > 10:
        return "the name says an id" + (", and no two rows share one" if unique else "")
    if (
        unique
        and low in {0.0, 1.0}
        and high - low + 1 <= 1.05 * cells.filled
        and not name & (TIME_WORDS | YEAR_WORDS)
    ):
        return "numbers the rows"
    if entity and low >= 0 and cells.distinct > 10 and cells.repeats > 1:
        return "the name says who or what a row is about"
    digits = {len(f"{number:.0f}") for number in numbers}
    if unique and len(digits) == 1 and digits.pop() >= 7 and not name & MONEY_WORDS:
        return "long numbers of one length, no two alike"
    return ""


_NOT_IDS = set(
    words(
        "paid unpaid bid android covid arid acid valid invalid said grid rapid solid humid fluid mid "
        "hybrid did"
    )
)


def _is_code(cells: Cells, numbers: Counter[float]) -> str:
    name = cells.words
    if len(numbers) < 2 or len(numbers) > 200:
        return ""
    if name & {"zip", "zipcode", "postal", "cp", "postcode"}:
        return "the name says a code"
    if cells.distinct > 60 or name & COUNT_WORDS:
        return ""
    inside = words(cells.name)
    # county_code and tipo_cliente are codes, county_cases is a count.
    coded = (inside[-1:] and inside[-1] in CODE_WORDS) or (inside[:1] and inside[0] in _LEADING)
    coded = coded or any(word.endswith(("class", "code", "type", "cd", "cat")) for word in name)
    if coded and cells.filled > 2 * cells.distinct:
        return "whole numbers, and the name says a code"
    if set(numbers) == {1.0, 2.0}:
        return "only 1 and 2"
    return ""


def _coded(cells: Cells, why: str) -> Reading:
    """Digits that are no amount."""
    unique = cells.distinct >= 0.99 * cells.filled and cells.filled > 10
    if unique or (cells.distinct > 200 and cells.words & ID_WORDS):
        return Reading("id", "code", why)
    return Reading("category", "coded", why)


_SIGNED = set(
    words(
        "temp temperature deg celsius angle change diff delta balance saldo lat lon error profit net growth"
    )
)
_HIGH = {float(digit * size) for digit in "789" for size in range(2, 10)} | {
    float("9" * size + last) for size in range(1, 8) for last in "678"
}
_LOW = {-float(digit * size) for digit in "189" for size in range(1, 10)} | {-200.0, -2.0, -7.0, -1.0}


def sentinels(numbers: Counter[float], name: set[str]) -> tuple[set[float], str]:
    """Numbers like 999 or -1 that stand apart from all others, and so for a missing value."""
    ordered = sorted(numbers)
    if len(ordered) < 6:
        return set(), ""
    total = numbers.total()
    found: set[float] = set()
    for candidates, direction in ((_HIGH, -1), (_LOW, 1)):
        values = ordered[::direction]
        apart = set[float]()
        for value in values[:4]:
            if value not in candidates:
                break
            apart.add(value)
        rest = [value for value in ordered if value not in apart]
        if not apart or len(rest) < 5 or rest[0] == rest[-1]:
            continue
        if direction == 1 and (rest[0] < 0 or name & _SIGNED):
            continue
        spread = rest[-1] - rest[0]
        gap = min(abs(value - near) for value in apart for near in (rest[0], rest[-1]))
        many = all(numbers[value] >= max(2, total / 1000) for value in apart)
        # Beside 0, 1, 2, … one number below may be a code; several are a scale.
        alone = len(apart) == 1 or rest[0] - max(apart) > 1
        whole = direction == 1 and alone and all(value.is_integer() for value in rest)
        whole = whole and apart <= {-1.0, -9.0, -8.0, -7.0, -2.0}
        steps = sorted(b - a for a, b in pairwise(rest))
        step = steps[-max(1, len(steps) // 20)]
        if many and (
            (gap > spread / 2 and (alone or gap > 9))
            or (whole and gap <= 9)
            or (gap > 20 * step and gap > spread / 4)
        ):
            found |= apart
    if not found:
        return set(), ""
    rest = [value for value in ordered if value not in found]
    return found, f"all other values lie from {rest[0]:g} to {rest[-1]:g}."


def _as_words(cells: Cells, proper: Counter[str]) -> Reading:  # noqa: PLR0911
    distinct, filled = cells.distinct, cells.filled
    unique = distinct >= 0.99 * filled
    name = cells.words
    for form, pattern in _PATTERNS.items():
        fitting = sum(count for value, count in proper.items() if pattern.fullmatch(value))
        if fitting > 0.8 * proper.total():
            kind = "text" if form == "URL" and not unique else "id"
            return Reading(
                kind, form, f"each is a{'n' if form[0] in 'eIU' and form != 'UUID' else ''} {form}"
            )
    if len(proper) == 1 and distinct <= 1 + len(cells.values) - len(proper):
        return Reading("category", "one word or blank", "one word, or nothing: blank may mean no")
    counts = [len(value.split()) for value in proper]
    mean = sum(counts) / len(counts)
    length = sum(map(len, proper)) / len(proper)
    few = distinct <= max(20, 0.05 * filled) or cells.repeats >= 10
    if mean >= 4 and not few and (distinct > 0.3 * filled or name & TEXT_WORDS or mean > 8):
        return Reading("text", "free text", f"{mean:.0f} words in a cell, {distinct:,} different")
    if length > 60 and not few:
        return Reading("text", "free text", f"{length:.0f} characters in a cell, {distinct:,} different")
    named = bool(name & ID_WORDS)
    if named and distinct > 10 and mean < 2:
        return Reading(
            "id", "code", "the name says an id" + (", and no two rows share one" if unique else "")
        )
    if filled > 10 and distinct > 0.5 * filled:
        if _recur(proper):
            return Reading(
                "text", "short text", f"{mean:.0f} words in a cell, most of which recur in other rows"
            )
        if unique:
            return Reading("id", "label", "no two rows share one")
    form = "coded" if all(len(value) <= 3 for value in proper) and len(proper) > 2 else "words"
    return Reading("category", form, f"{distinct:,} different in {filled:,} rows")


def _recur(proper: Counter[str]) -> bool:
    """Whether cells are made of words that other cells have too: language, not names."""
    seen = Counter(word for value in proper for word in {*re.findall(r"[^\W\d_]{2,}", value.lower())})
    total = sum(seen.values())
    # One word and a number is a label.
    return total >= 1.8 * len(proper) and sum(count for count in seen.values() if count > 1) > 0.6 * total
