"""A sheet of an Excel workbook as rows of text: what the file format needs of XML, and no more."""

import itertools
import re
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree as ET

from mlportfolio.errors import UserError

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT = "http://purl.oclc.org/ooxml/"
_DAYS = {*range(14, 18), 22, *range(27, 37), 45, 46, 47, *range(50, 59)}  # ECMA-376, 18.8.30: formats of time
_CLOCK = {18, 19, 20, 21}
_BROKEN = (zipfile.BadZipFile, zlib.error, ET.ParseError, EOFError, OSError)
_WIDEST = 1 << 14  # columns that a sheet can have
_LIMIT = 1 << 30  # bytes that a part may unpack to


def sheet(
    path: Path, stream: BinaryIO, wanted: str | None, notes: list[str]
) -> tuple[str, Iterator[list[str]]]:
    """Open one sheet.

    Args:
        path: The file, for messages.
        stream: Its bytes.
        wanted: The sheet's name; may be left out where only one holds cells.
        notes: Is told, when the last row is read, what the cells lacked.

    Returns:
        The sheet's name, and its rows.

    Raises:
        UserError: It is no workbook, or has not this sheet, or several.
    """
    try:
        book = zipfile.ZipFile(stream)
        links = _links(book)
        root = ET.fromstring(_part(book, "xl/workbook.xml"))  # noqa: S314 - expat limits what entities expand to
        if _STRICT in root.tag:
            raise UserError(f"{path} is a workbook in strict Open XML; save it as a plain .xlsx.")
        sheets = {
            each.get("name", ""): links[each.get(_LINK, "")]
            for each in root.iter(f"{_MAIN}sheet")
            if "worksheets/" in links.get(each.get(_LINK, ""), "")
        }
        title = _which(book, sheets, wanted, path)
        properties = root.find(f"{_MAIN}workbookPr")
        since_1904 = properties is not None and properties.get("date1904") in {"1", "true"}
        texts = _texts(book)
        formats = _formats(book)
    except (*_BROKEN, KeyError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} is no Excel workbook that can be read: {error}.") from error
    return title, _rows(book, sheets[title], texts, formats, since_1904=since_1904, path=path, notes=notes)


def _which(book: zipfile.ZipFile, sheets: dict[str, str], wanted: str | None, path: Path) -> str:
    if wanted:
        if wanted not in sheets:
            raise UserError(f"{path} has no sheet {wanted!r}; it has: {', '.join(sheets)}.")
        return wanted
    filled = [
        name for name, part in sheets.items() if b"<v" in _part(book, part) or b"<is" in _part(book, part)
    ]
    if not filled:
        raise UserError(f"{path} has no sheet with cells.")
    if len(filled) > 1:
        raise UserError(f"{path} has {len(filled)} sheets; name one with --table: {', '.join(filled)}.")
    return filled[0]


def _part(book: zipfile.ZipFile, name: str) -> bytes:
    if book.getinfo(name).file_size > _LIMIT:
        raise UserError(f"{name} in the workbook is larger than 1 GB unpacked; save the table as CSV.")
    return book.read(name)


def _links(book: zipfile.ZipFile) -> dict[str, str]:
    root = ET.fromstring(_part(book, "xl/_rels/workbook.xml.rels"))  # noqa: S314
    targets = {each.get("Id", ""): each.get("Target", "") for each in root}
    return {
        key: target.lstrip("/") if target.startswith("/") else f"xl/{target}"
        for key, target in targets.items()
    }


def _texts(book: zipfile.ZipFile) -> list[str]:
    """The texts that cells refer to by number."""
    name = "xl/sharedStrings.xml"
    if name not in book.namelist():
        return []
    return [_text(each) for each in ET.fromstring(_part(book, name)).iter(f"{_MAIN}si")]  # noqa: S314


def _text(node: ET.Element) -> str:
    # Without rPh: how a Japanese word is read is no part of it.
    runs = [*node.findall(f"{_MAIN}t"), *node.findall(f"{_MAIN}r/{_MAIN}t")]
    return "".join(run.text or "" for run in runs)


def _formats(book: zipfile.ZipFile) -> list[str]:
    """For each style of a cell: `day`, `clock`, or nothing."""
    if "xl/styles.xml" not in book.namelist():
        return []
    root = ET.fromstring(_part(book, "xl/styles.xml"))  # noqa: S314
    kinds = dict.fromkeys(_DAYS, "day") | dict.fromkeys(_CLOCK, "clock")
    for each in root.iter(f"{_MAIN}numFmt"):
        code = re.sub(r'"[^"]*"|\\.|\[[^\]]*\]', "", each.get("formatCode", "").lower())
        if re.search(r"[yd]", code):
            kinds[int(each.get("numFmtId", "0"))] = "day"
        elif re.search(r"[hs]", code):
            kinds[int(each.get("numFmtId", "0"))] = "clock"
    styles = root.find(f"{_MAIN}cellXfs")
    return [kinds.get(int(each.get("numFmtId", "0")), "") for each in (styles if styles is not None else ())]


def _rows(  # noqa: PLR0913
    book: zipfile.ZipFile,
    part: str,
    texts: list[str],
    formats: list[str],
    *,
    since_1904: bool,
    path: Path,
    notes: list[str],
) -> Iterator[list[str]]:
    unknown = 0
    try:
        with book.open(part) as stream:
            for _, node in ET.iterparse(stream):  # noqa: S314
                if node.tag != f"{_MAIN}row":
                    continue
                row: list[str] = []
                for place, cell in enumerate(node.iter(f"{_MAIN}c")):
                    column = _column(cell.get("r", "")) if cell.get("r") else place
                    if column >= _WIDEST:
                        raise UserError(f"{path} is damaged: it has a cell at {cell.get('r')}.")
                    row.extend(itertools.repeat("", column - len(row)))
                    unknown += cell.find(f"{_MAIN}f") is not None and not cell.findtext(f"{_MAIN}v")
                    row.append(_value(cell, texts, formats, since_1904=since_1904))
                yield row
                node.clear()
    except (*_BROKEN, ValueError, IndexError) as error:
        raise UserError(f"{path} is damaged: {error}.") from error
    if unknown:
        notes.append(
            f"{unknown:,} cells hold a formula without its result; open the workbook and save it again."
        )


def _column(reference: str) -> int:
    number = 0
    for letter in itertools.takewhile(str.isalpha, reference):
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _value(cell: ET.Element, texts: list[str], formats: list[str], *, since_1904: bool) -> str:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        inline = cell.find(f"{_MAIN}is")
        return "" if inline is None else _text(inline)
    value = cell.findtext(f"{_MAIN}v") or ""
    if kind == "s":
        return texts[int(value)] if value else ""
    if kind == "b":
        return "true" if value == "1" else "false"
    if kind == "e":
        return ""  # #N/A, #DIV/0!: no value
    style = int(cell.get("s", "0"))
    shape = formats[style] if style < len(formats) else ""
    if kind == "n" and value and shape:
        return _time(float(value), shape, since_1904=since_1904)
    return value


def _time(days: float, shape: str, *, since_1904: bool) -> str:
    if shape == "clock" and 0 <= days < 1:
        return (datetime(1900, 1, 1) + timedelta(seconds=round(days * 86400))).strftime("%H:%M:%S")  # noqa: DTZ001
    # Excel takes 1900 for a leap year; from March of it on, days count from 30 December 1899.
    origin = datetime(1904, 1, 1) if since_1904 else datetime(1899, 12, 30)  # noqa: DTZ001
    try:
        return (origin + timedelta(seconds=round(days * 86400))).isoformat(" ").removesuffix(" 00:00:00")
    except OverflowError:
        return str(days)
