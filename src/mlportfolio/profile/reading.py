"""Any table, wherever it lies, as one DuckDB table of text: what a cell means is decided afterwards.

What is not Parquet goes through Python row by row into a plain CSV file that DuckDB cannot misread, so that
ragged rows, odd encodings and broken quotes are met in one place, in constant memory.
"""

import bz2
import codecs
import csv
import gzip
import io
import itertools
import json
import lzma
import re
import sqlite3
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from mlportfolio.errors import UserError
from mlportfolio.profile.kinds import is_number, is_time

if TYPE_CHECKING:
    import duckdb

Row = list[str]
MEMORY = "400MB"
# ASCII, and the signs of Windows' code: euro, quotes, dashes, degrees.
_NO_LETTERS = bytes(
    {*range(0x81), 0x82, 0x84, 0x85, 0x8B, *range(0x91, 0x98), 0x99, 0x9B, *range(0xA0, 0xC0)}
)
_HEAD = 1 << 18  # characters that the delimiter is told from
_PEEK = 1000  # rows that the header is told from
_DELIMITERS = ",;\t|"
_CELL = 1 << 27  # the longest cell that the csv module takes
_LINE = 1 << 25  # the longest row that DuckDB is given, in bytes
_BUFFER = 1 << 22
_CODECS = {  # byte order marks, the longer first
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SUFFIXES = {
    ".csv": "CSV",
    ".tsv": "CSV",
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".jsonl": "JSON lines",
    ".ndjson": "JSON lines",
    ".json": "JSON lines",
    ".xlsx": "Excel",
    ".xlsm": "Excel",
    ".sqlite": "SQLite",
    ".sqlite3": "SQLite",
    ".db": "SQLite",
}
_NAMES = {"CSV": "a CSV file", "Excel": "an Excel workbook", "SQLite": "an SQLite database"}
_FOREIGN = {
    b"%PDF": "a PDF document",
    b"\xd0\xcf\x11\xe0": "an Excel workbook of before 2007 (or another old Office file); save it as .xlsx",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it first",
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it first",
    b"Rar!": "a RAR archive; unpack it first",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\x80\x04": "a Python pickle, which can run code when it is read; save the table as Parquet",
    b"\x93NUMPY": "a NumPy array; save the table as Parquet",
    b"\x89HDF": "an HDF5 file; save the table as Parquet",
    b"ARROW1": "an Arrow or Feather file; save the table as Parquet",
    b"Obj\x01": "an Avro file; save the table as Parquet",
}


@dataclass
class Table:
    """A table in DuckDB: `data`, with columns `c0`, `c1`, … of text, NULL where a cell is blank.

    Attributes:
        names: The columns' names in the source, in order.
        source: Where it was read from, without a password.
        format: What it is, in words.
        stored: The type in which the source keeps each column; empty where it is text.
        nulls: Whether the source has missing values of its own, so that "NA" is a word there.
        decimal_comma: Whether the delimiter suggests that a comma stands for the decimal point.
        notes: What had to be put right on the way.
        rows: How many rows there are.
    """

    connection: "duckdb.DuckDBPyConnection"
    names: list[str]
    source: str
    format: str
    stored: list[str] = field(default_factory=list)
    nulls: bool = False
    decimal_comma: bool = False
    notes: list[str] = field(default_factory=list)
    rows: int = 0


@dataclass
class _Rows:
    """A source that is read row by row."""

    format: str
    rows: Iterator[Row]
    names: list[str]
    nulls: bool = False
    decimal_comma: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Options:
    """How to read, where the source alone does not tell."""

    table: str | None = None
    query: str | None = None
    encoding: str | None = None
    header: bool | None = None


@contextmanager
def opened(source: str, options: Options) -> Iterator[Table]:
    """Read a table into a database that is gone afterwards.

    Args:
        source: A file, or the address of a PostgreSQL database.
        options: What the source does not tell.

    Raises:
        UserError: There is no such file, it is not what it says, or it holds no rows.
    """
    import duckdb

    with tempfile.TemporaryDirectory(prefix="mlportfolio-profile-") as folder:
        connection = duckdb.connect(str(Path(folder) / "profile.db"))
        with closing(connection):
            connection.execute(f"SET memory_limit = '{MEMORY}'")
            connection.execute("SET enable_progress_bar = false")
            connection.execute("SET TimeZone = 'UTC'")
            # With it DuckDB 1.5.6 fails on a window over hash(rowid): "result vector … does not match".
            connection.execute("SET disabled_optimizers = 'late_materialization,top_n_window_elimination'")
            try:
                yield _read(source, options, connection, Path(folder))
            except duckdb.OutOfMemoryException as error:
                raise UserError(
                    f"{_shown(source)} needs more memory than the profile may take.", 1
                ) from error
            except duckdb.Error as error:
                raise UserError(
                    f"{_shown(source)} could not be profiled: {_first_line(error)}.", 1
                ) from error


def _read(source: str, options: Options, connection: "duckdb.DuckDBPyConnection", folder: Path) -> Table:
    if re.match(r"postgres(ql)?://", source):
        rows = _postgres(source, options, folder)
        table = _from_rows(rows, connection, folder, _shown(source))
    else:
        path = Path(source).expanduser()
        kind = _kind(path, source)
        if options.table and kind not in {"SQLite", "Excel"}:
            raise UserError(f"--table is for SQLite, Excel and PostgreSQL; {source} is {_a(kind)}.")
        if options.query and kind != "SQLite":
            raise UserError(f"--query is for SQLite and PostgreSQL; {source} is {_a(kind)}.")
        if kind == "Parquet":
            table = _parquet(path, connection, source)
        else:
            readers = {"CSV": _csv, "JSON lines": _json, "Excel": _excel, "SQLite": _sqlite}
            with closing(_bytes(path)) as stream:
                table = _from_rows(readers[kind](path, stream, options), connection, folder, source)
    if not table.rows:
        raise UserError(f"{_shown(source)} has no rows below its header.")
    return table


def _a(kind: str) -> str:
    return _NAMES.get(kind, kind)


def _shown(source: str) -> str:
    """The address without its password, which belongs in no report."""
    address = re.sub(r"(://[^/@]*?):.*@", r"\1@", source)
    return re.sub(r"([?&]password=)[^&]*", r"\1…", address)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")


# --- what the file is -----------------------------------------------------------------------------


def _kind(path: Path, source: str) -> str:
    """What a file holds, by its first bytes.

    Raises:
        UserError: It is not there, it is no table, or its name says something else.
    """
    try:
        if path.is_dir():
            raise UserError(f"{source} is a folder; name one file.")
        with closing(_bytes(path)) as stream:
            head = stream.read(4096)
    except FileNotFoundError as error:
        raise UserError(f"There is no file {source}.") from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise UserError(f"{source} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    except ValueError as error:
        raise UserError(f"{source!r} is no name of a file.") from error
    if not head.strip(b"\0 \t\r\n\xef\xbb\xbf"):
        raise UserError(f"{source} is empty.")
    found = _by_content(head, source)
    suffix = Path(re.sub(r"\.(gz|zip|bz2|xz)$", "", path.name, flags=re.IGNORECASE)).suffix.lower()
    said = _SUFFIXES.get(suffix)
    if said and said != found:
        raise UserError(f"{source} is not what its name says: it is not {_a(said)} but {_a(found)}.")
    return found


def _by_content(head: bytes, source: str) -> str:
    if head.startswith(b"PAR1"):
        return "Parquet"
    if head.startswith(b"SQLite format 3\0"):
        return "SQLite"
    if head.startswith(b"PK\x03\x04"):
        return "Excel"
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise UserError(f"{source} is no table: it is {what}.")
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if re.match(rb"<(!doctype|html|\?xml|svg)", start, re.IGNORECASE):
        raise UserError(f"{source} is no table: it is a page of HTML or XML, perhaps of a login.")
    if start.startswith(b"version https://git-lfs"):
        raise UserError(f"{source} is no table: it only points to one in Git LFS; run `git lfs pull`.")
    if re.match(rb'\{\s*("|\}|$)|\[\s*\{', start):
        return "JSON lines"
    return "CSV"


def _bytes(path: Path) -> BinaryIO:
    """The file's content, unpacked if it is one packed file."""
    stream = path.open("rb")
    magic = stream.read(4)
    stream.seek(0)
    for start, module in ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7zX", lzma)):
        if magic.startswith(start):
            return cast("BinaryIO", module.open(stream))
    if magic == b"PK\x03\x04":
        archive = zipfile.ZipFile(stream)
        inside = [
            each for each in archive.infolist() if not each.is_dir() and "__MACOSX" not in each.filename
        ]
        if "[Content_Types].xml" not in archive.namelist():
            if len(inside) == 1:
                return cast("BinaryIO", archive.open(inside[0]))
            stream.close()
            raise UserError(f"{path} is an archive of {len(inside)} files; unpack it and name one of them.")
        stream.seek(0)
    return stream


# --- CSV ------------------------------------------------------------------------------------------


def _csv(path: Path, stream: BinaryIO, options: Options) -> _Rows:
    notes: list[str] = []
    encoding, errors = _encoding(stream, options.encoding, path, notes)
    stream.seek(0)
    text = io.TextIOWrapper(stream, encoding, errors)
    head = _head(text, path)
    delimiter, quote = _dialect(head)
    stream.seek(0)
    text.detach()
    text = io.TextIOWrapper(stream, encoding, errors)
    csv.field_size_limit(_CELL)
    lines: Iterable[str] = (line.replace("\0", "") for line in text) if "\0" in head else text
    if delimiter is None:
        rows: Iterator[Row] = ([line.rstrip("\n")] for line in lines)
        if quote:
            rows = csv.reader(lines, delimiter="\x1f", quotechar=quote)
    elif quote:
        rows = csv.reader(lines, delimiter=delimiter, quotechar=quote, skipinitialspace=True)
    else:
        rows = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, skipinitialspace=True)
    named = {None: "one column", "\t": "tabs", " ": "spaces"}.get(delimiter, f"{delimiter!r}")
    found = _framed(_careful(rows, path), options.header, notes)
    shown = encoding.replace("utf-8-sig", "utf-8 with a byte order mark")
    header = "" if found.names else ", no header"
    names = found.names or []
    result = _Rows(f"CSV ({named}, {shown}{header})", found.rows, names, notes=notes)
    result.decimal_comma = delimiter == ";"
    return result


def _careful(rows: Iterator[Row], path: Path) -> Iterator[Row]:
    try:
        yield from rows
    except csv.Error as error:
        raise UserError(f"{path} is no CSV file that can be read: {error}.") from error
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        raise UserError(f"{path} breaks off: {error}.") from error


def _head(text: io.TextIOWrapper, path: Path) -> str:
    try:
        head = text.read(_HEAD)
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        raise UserError(f"{path} breaks off: {error}.") from error
    odd = sum(character < " " and character not in "\n\t\r\f\0" for character in head)
    if odd > len(head) / 100 or head.count("\0") > len(head) / 10:
        raise UserError(f"{path} is no table: it is neither text nor a format that is known here.")
    whole = len(head) < _HEAD
    # The last line may be cut.
    return head if whole else head[: head.rfind("\n") + 1] or head


def _encoding(  # noqa: PLR0911 - one for each way to know
    stream: BinaryIO, wanted: str | None, path: Path, notes: list[str]
) -> tuple[str, str]:
    """The codec of a text, and what to do about bytes that it does not know."""
    head = stream.read(4096)
    if wanted:
        try:
            codecs.lookup(wanted)
            "".encode(wanted)
        except (LookupError, TypeError) as error:
            raise UserError(f"--encoding {wanted} is no encoding that Python knows.") from error
        return wanted, "replace"
    for mark, codec in _CODECS.items():
        if head.startswith(mark):
            return codec, "replace"
    if head[1::2].count(0) > len(head) / 4:
        return "utf-16-le", "replace"
    if head[::2].count(0) > len(head) / 4:
        return "utf-16-be", "replace"
    stream.seek(0)
    good, bad, marked, high, letters = _tally(stream, path)
    if not bad:
        return "utf-8", "strict"
    if good > 10 * bad:
        notes.append(f"{bad:,} bytes are no UTF-8, as the rest of the file is; they are shown as \ufffd.")
        return "utf-8", "replace"
    if high > letters / 2:
        raise UserError(f"{path} is not in UTF-8, and its letters are not Latin; say its --encoding.")
    codec = "cp1252" if marked else "latin-1"
    notes.append(
        f"The file is not in UTF-8; it is read as {codec}. If letters look wrong, say its --encoding."
    )
    return codec, "replace"


def _tally(stream: BinaryIO, path: Path) -> tuple[int, int, bool, int, int]:
    """Count good and bad characters beyond ASCII; tell bytes of cp1252, high bytes, and letters of ASCII."""
    good = bad = high = letters = 0
    marked = False
    rest = b""
    try:
        while chunk := stream.read(1 << 20):
            if chunk.isascii() and not rest:
                continue
            data = rest + chunk
            rest = b""
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError:
                cut = max((data.rfind(bytes([byte])) for byte in b"\n ,;\t"), default=-1) + 1
                data, rest = (data[:cut], data[cut:]) if 0 < len(data) - cut < 1 << 16 else (data, b"")
                text = data.decode("utf-8", "replace")
            wrong = text.count("\ufffd") - data.count("\ufffd".encode())
            bad += wrong
            good += len(text) - len(text.encode("ascii", "ignore")) - wrong
            if wrong:
                marked |= any(0x80 <= byte < 0xA0 for byte in data)
                high += len(data.translate(None, _NO_LETTERS))
                letters += sum(65 <= byte & 0xDF <= 90 for byte in data if byte < 0x80)
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        raise UserError(f"{path} breaks off: {error}.") from error
    if rest:
        bad += 1
        high += len(rest.translate(None, _NO_LETTERS))
    return good, bad, marked, high, letters


def _dialect(head: str) -> tuple[str | None, str | None]:
    """The delimiter and the quote that cut the lines into rows of one width, of cells like cells."""
    quotes: list[str | None] = ['"', None] if '"' in head else ['"']
    if '"' not in head and len(re.findall(r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|\n]|$)", head, re.MULTILINE)) > 1:
        quotes = ["'", *quotes]
    best: tuple[float, str | None, str | None] = (0.0, None, '"' if '"' in head else None)
    for delimiter, quote in itertools.product(_DELIMITERS, quotes):
        score = _score(head, delimiter, quote)
        if score > best[0] + (0.02 if quote is None else 0.0):
            best = (score, delimiter, quote)
    if best[0] < 0.5 and (score := _score(head, " ", '"')) > 0.9:
        numbers = [is_number(cell) for line in head.splitlines()[1:50] for cell in line.split()]
        if sum(numbers) > len(numbers) / 2:
            return " ", '"'
    return best[1:]


def _score(head: str, delimiter: str, quote: str | None) -> float:
    if delimiter not in head:
        return 0.0
    reader = csv.reader(
        io.StringIO(head),
        delimiter=delimiter,
        quotechar=quote or '"',
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        skipinitialspace=True,
    )
    try:
        rows = [row for row in itertools.islice(reader, _PEEK) if row]
    except csv.Error:
        return 0.0
    widths = Counter(map(len, rows))
    width, count = max(widths.items(), key=lambda each: (each[0] > 1, each[1]))
    if width < 2:
        return 0.0
    others = "".join(each for each in _DELIMITERS if each not in {delimiter, ","})
    cells = [cell for row in rows[:200] for cell in row]
    foreign = sum(any(each in cell for each in others) or "\n" in cell for cell in cells)
    joined = sum(bool(re.search(r",(?=\S)", cell)) and not is_number(cell) for cell in cells)
    lonely = sum(cell.count('"') % 2 for cell in cells) if quote == '"' else 0
    return count / len(rows) * (1 - (foreign + lonely + (delimiter != ",") * joined / 2) / max(len(cells), 1))


@dataclass
class _Framed:
    names: list[str] | None
    rows: Iterator[Row]


def _framed(rows: Iterator[Row], header: bool | None, notes: list[str]) -> _Framed:  # noqa: FBT001
    """Tell the header from the rows; leave out what stands above it."""
    rows = ([cell.strip() for cell in row] for row in rows)
    rows = (row for row in rows if any(row))
    head = list(itertools.islice(rows, _PEEK))
    if not head:
        return _Framed(None, iter(()))
    widths = Counter(map(len, head))
    width = max(widths, key=lambda each: (widths[each], each))
    first = next(place for place, row in enumerate(head) if len(row) >= width - 1 or len(row) == width)
    if header is None and 0 < first <= 30 and width > 2:
        notes.append(f"Lines above the table are left out: {first}.")
        head = head[first:]
    row_names = len(head) > 1 and len(head[0]) == width - 1
    names: list[str] | None = None
    if header or (header is None and (row_names or _has_header(head))):
        names = [name[1:-1] if re.fullmatch("'.*'", name) else name for name in head.pop(0)]
        if row_names:
            names = ["", *names]
            notes.append("The header has a name less than the rows: the first column is the rows' names.")
        while len(names) > width and not names[-1]:
            names.pop()
        if all(not row[-1] for row in head if len(row) == len(names)) and not names[-1] and len(names) > 1:
            names.pop()  # a delimiter at the end of every line
    return _Framed(names, itertools.chain(head, rows))


def _has_header(rows: list[Row]) -> bool:  # noqa: C901
    """Whether the first row names the columns: it is unlike what stands below it."""
    first, below = rows[0], rows[1:]
    if not below:
        return not any(is_number(cell) for cell in first)
    filled = [cell for cell in first if cell]
    numbers = [cell for cell in filled if is_number(cell)]
    if len(numbers) > 2 and all(map(_plain, numbers)):
        steps = {float(b) - float(a) for a, b in itertools.pairwise(numbers)}
        # 0, 1, 2, … are names, and so are years, these also beside words.
        counted = float(numbers[0]) in _COUNTED and (len(numbers) == len(filled) or float(numbers[0]) > 1)
        if steps == {1.0} and counted:
            return True
    if numbers and len(numbers) == len(filled):
        return False
    votes = 0
    for place, cell in enumerate(first):
        column = [row[place] for row in below if place < len(row) and row[place]]
        if not column or not cell:
            continue
        typed = sum(is_number(each) or is_time(each) for each in column) > len(column) * 0.7
        if typed:
            votes += -2 if is_number(cell) or is_time(cell) else 2
        elif cell in column:
            votes -= 2 if column.count(cell) > 1 or len(set(column)) < len(column) / 2 else 1
        elif len(set(column)) <= 10 < len(column):
            votes += 1
    if votes == 0:
        return len(set(filled)) == len(filled)
    return votes > 0


_COUNTED = {0.0, 1.0, *map(float, range(1900, 2101))}


def _plain(cell: str) -> bool:
    return bool(re.fullmatch(r"-?\d+(\.\d+)?", cell))


# --- JSON, Excel, databases -----------------------------------------------------------------------


def _json(path: Path, stream: BinaryIO, _options: Options) -> _Rows:
    names: dict[str, None] = {}
    for record in _records(stream, path):
        names |= dict.fromkeys(record)
    stream.seek(0)
    rows = ([_cell(record.get(name)) for name in names] for record in _records(stream, path))
    return _Rows("JSON lines", rows, list(names), nulls=True)


def _records(stream: BinaryIO, path: Path) -> Iterator[dict[str, Any]]:
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="replace")
    try:
        start = text.read(1 << 12).lstrip()[:1]
        text.seek(0)
        if start == "[":
            try:
                whole = json.load(text)
            except ValueError as error:
                raise UserError(f"{path} is no JSON: {error}.") from error
            lines: Iterable[tuple[int, Any]] = enumerate(whole, 1)
        else:
            lines = ((number, line) for number, line in enumerate(text, 1) if line.strip())
        for number, line in lines:
            try:
                record = json.loads(line) if isinstance(line, str) else line
            except (ValueError, RecursionError) as error:
                if number == 1 and line.strip() == "{":
                    raise UserError(
                        f"{path} is one JSON object over many lines; write one object a line."
                    ) from error
                raise UserError(f"{path} is not JSON lines: line {number} is no JSON.") from error
            if not isinstance(record, dict):
                raise UserError(f"{path} is not JSON lines: line {number} is no object with named fields.")
            yield dict(_flat(record))
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        raise UserError(f"{path} breaks off: {error}.") from error
    finally:
        text.detach()


def _flat(record: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, dict) and value and prefix.count(".") < 4:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _cell(value: object) -> str:
    """A value of JSON, SQLite or PostgreSQL as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value).strip()


def _excel(path: Path, stream: BinaryIO, options: Options) -> _Rows:
    from mlportfolio.profile.excel import sheet

    notes: list[str] = []
    title, cells = sheet(path, stream, options.table, notes)
    found = _framed(cells, options.header, notes)
    return _Rows(f"Excel (sheet {title!r})", found.rows, found.names or [], nulls=True, notes=notes)


def _sqlite(path: Path, _stream: BinaryIO, options: Options) -> _Rows:
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    database.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
        tables = [name for (name,) in database.execute(query)]
        wanted = (
            options.query or f"SELECT * FROM {_quoted(_chosen(tables, options.table, str(path), 'table'))}"
        )
        cursor = database.execute(wanted)
    except sqlite3.Error as error:
        database.close()
        raise UserError(f"{path} cannot be read as an SQLite database: {error}.") from error
    if not cursor.description:
        database.close()
        raise UserError("--query gives no table; write a SELECT.")

    def rows() -> Iterator[Row]:
        with closing(database):
            try:
                for row in cursor:
                    yield [_cell(value) for value in row]
            except sqlite3.Error as error:
                raise UserError(f"{path} is damaged: {error}.") from error

    what = "query" if options.query else f"table {options.table or tables[0]!r}"
    return _Rows(f"SQLite ({what})", rows(), [each[0] for each in cursor.description], nulls=True)


def _chosen(offered: list[str], wanted: str | None, where: str, what: str) -> str:
    """The table or sheet that is meant.

    Raises:
        UserError: There is none, or not this one, or there are several.
    """
    listed = ", ".join(offered[:20])
    if wanted:
        if wanted not in offered:
            raise UserError(f"{where} has no {what} {wanted!r}; it has: {listed}.")
        return wanted
    if not offered:
        raise UserError(f"{where} has no {what}.")
    if len(offered) > 1:
        raise UserError(f"{where} has {len(offered)} {what}s; name one with --table: {listed}.")
    return offered[0]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _postgres(address: str, options: Options, folder: Path) -> _Rows:
    try:
        import psycopg
        from psycopg import sql
    except ImportError as error:
        raise UserError(
            "PostgreSQL is read with psycopg, which is not installed: install mlportfolio[postgres]."
        ) from error
    if not options.query and not options.table:
        raise UserError('A PostgreSQL database needs --table NAME or --query "SELECT …".')
    query = options.query and options.query.strip().rstrip(";")
    selected = (
        sql.SQL(cast("Any", query))
        if query
        else sql.SQL("SELECT * FROM {}").format(sql.Identifier(*cast("str", options.table).split(".")))
    )
    copy = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8')").format(selected)
    dump = folder / "postgres.csv"
    try:
        with psycopg.connect(address, connect_timeout=10) as database, dump.open("wb") as file:
            database.read_only = True
            with database.cursor().copy(copy) as blocks:
                for block in blocks:
                    file.write(block)
    except psycopg.Error as error:
        raise UserError(f"{_shown(address)}: {_first_line(error)}.") from error
    csv.field_size_limit(_CELL)
    rows = csv.reader(dump.open(encoding="utf-8", newline=""))
    names = next(rows, [])
    what = "query" if query else f"table {options.table!r}"
    return _Rows(f"PostgreSQL ({what})", ([c.strip() for c in row] for row in rows), names, nulls=True)


# --- into DuckDB ----------------------------------------------------------------------------------


def _from_rows(found: _Rows, connection: "duckdb.DuckDBPyConnection", folder: Path, source: str) -> Table:
    """Write the rows as a CSV file that has one reading only, and load it."""
    plain = folder / "plain.csv"
    longest = short = ragged = rows = 0
    width = len(found.names)
    with plain.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for row in found.rows:
            width = width or len(row)
            if len(row) < width:
                short += 1
                row.extend([""] * (width - len(row)))
            elif len(row) > width:
                ragged += any(row[width:])
                del row[width:]
            writer.writerow(row)
            longest = max(longest, sum(map(len, row)))
            rows += 1
    if not rows:
        raise UserError(f"{source} has no rows below its header.")
    names = found.names or [f"column {place + 1}" for place in range(width)]
    notes = list(found.notes)
    if short:
        notes.append(
            f"{short:,} of {rows:,} rows have fewer cells than columns; the rest of them is missing."
        )
    if ragged:
        notes.append(f"{ragged:,} of {rows:,} rows have more cells than columns; what is over is left out.")
    if short + ragged > rows / 2 and rows > 1:
        raise UserError(f"{source} is no table: more than half of its rows have another number of cells.")
    columns = "{" + ", ".join(f"'c{place}': 'VARCHAR'" for place in range(width)) + "}"
    line = 4 * longest + 4 * width + 1000  # bytes, at most: four a character
    if line > _LINE:
        raise UserError(
            f"{source} has a row of {longest:,} characters; this is no table, or its quotes are broken."
        )
    connection.execute(
        f"""CREATE TABLE data AS SELECT {", ".join(f"nullif(c{n}, '') AS c{n}" for n in range(width))}
        FROM read_csv('{_literal(plain)}', delim = ',', quote = '"', escape = '"', header = false,
        auto_detect = false, new_line = '\\n', columns = {columns}, max_line_size = {line},
        buffer_size = {max(line, _BUFFER)}, parallel = false)"""
    )
    plain.unlink()
    table = Table(connection, _named(names), source, found.format, [""] * width, found.nulls)
    table.decimal_comma, table.notes, table.rows = found.decimal_comma, notes, rows
    return table


def _parquet(path: Path, connection: "duckdb.DuckDBPyConnection", source: str) -> Table:
    import duckdb

    place = _literal(path)
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{place}')").fetchall()
        names, stored = [row[0] for row in described], [row[1] for row in described]
        cells = ", ".join(
            f"nullif(trim({_as_text(name, kind)}), '') AS c{n}"
            for n, (name, kind) in enumerate(zip(names, stored, strict=True))
        )
        connection.execute(f"CREATE TABLE data AS SELECT {cells} FROM read_parquet('{place}')")
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise UserError(f"{source} is no Parquet file that can be read: {_first_line(error)}.") from error
    [(rows,)] = connection.execute("SELECT count(*) FROM data").fetchall()
    return Table(connection, _named(names), source, "Parquet", stored, nulls=True, rows=rows)


def _literal(path: Path) -> str:
    """A path as DuckDB reads it: inside quotes, and as one file, whatever signs it holds."""
    return re.sub(r"([*?\[])", r"[\1]", str(path)).replace("'", "''")


def _as_text(name: str, kind: str) -> str:
    if kind == "BLOB":
        return f"hex({_quoted(name)})"
    if kind.startswith(("STRUCT", "MAP")) or kind.endswith("]"):
        return f"CAST(to_json({_quoted(name)}) AS VARCHAR)"
    return f"CAST({_quoted(name)} AS VARCHAR)"


def _named(names: list[str]) -> list[str]:
    return [name or f"column {place}" for place, name in enumerate(names, 1)]
