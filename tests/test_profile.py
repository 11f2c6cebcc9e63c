"""What a profile says of a table: of awkward files that are made here, each with one thing to be found."""

import csv
import gzip
import json
import os
import random
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlportfolio import profile
from mlportfolio.errors import UserError
from mlportfolio.profile import Column, Finding, Options, Profile, Task, show
from mlportfolio.profile.names import safe

from .conftest import Command

pytestmark = pytest.mark.usefixtures("home")

Write = Callable[..., str]
Row = Sequence[Any]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(header, rows, …)` makes a CSV file and returns its path."""

    def make(  # noqa: PLR0913
        header: Row | None,
        rows: Iterable[Row],
        *,
        delimiter: str = ",",
        encoding: str = "utf-8",
        name: str = "table.csv",
        end: str = "\n",
    ) -> str:
        path = tmp_path / name
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
            writer.writerows([*([header] if header else []), *rows])
        return str(path)

    return make


def look(source: str, target: str | None = None, **options: Any) -> Profile:
    """Profile a table; what the command prints of it can be printed too."""
    made = profile.make(source, target, Options(**options))
    assert show.headline(made)[:20] in show.text(made, 400)
    assert show.page(made).rstrip().endswith("</html>")
    json.dumps(made.record(), allow_nan=False)
    return made


def task(made: Profile) -> Task:
    """What is proposed to be predicted."""
    assert made.task
    return made.task


def column(made: Profile, name: str) -> Column:
    """A column by its name in the source."""
    [found] = [each for each in made.columns if each.name == name]
    return found


def found(made: Profile, code: str) -> list[Finding]:
    """The findings of a kind."""
    return [each for each in made.findings if each.code == code]


def about(made: Profile, code: str) -> set[str]:
    """The columns that findings of a kind are about."""
    return {name for each in found(made, code) for name in each.columns}


def refused(source: str, target: str | None = None, **options: Any) -> str:
    """The one sentence with which a table is refused."""
    with pytest.raises(UserError) as caught:
        profile.make(source, target, Options(**options))
    message = str(caught.value)
    assert caught.value.exit_code == 2, message
    assert "\n" not in message
    return message


def customers(count: int = 400, seed: int = 1) -> list[dict[str, Any]]:
    """Rows without a trap: what is predicted depends on three fields, and on chance."""
    chance = random.Random(seed)  # noqa: S311
    rows = []
    for _ in range(count):
        age, calls = chance.randint(18, 80), chance.randint(0, 9)
        plan = chance.choice(["basic", "plus", "family"])
        risk = 0.1 + 0.06 * calls - 0.002 * (age - 18) + 0.1 * (plan == "basic")
        rows.append(
            {
                "age": age,
                "calls": calls,
                "plan": plan,
                "income": round(chance.gauss(2500, 600), 2),
                "churned": "yes" if chance.random() < risk else "no",
            }
        )
    return rows


def rows_of(records: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Header and rows."""
    return list(records[0]), [list(each.values()) for each in records]


# --- reading --------------------------------------------------------------------------------------

SPANISH = ["Número de cliente", "año.alta", "Población ", "¿Activo?", "importe (€)"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-32"])
def test_delimiters_and_encodings(write: Write, delimiter: str, encoding: str) -> None:
    rows = [
        [
            f"C{n:05}",
            2015 + n % 8,
            ["Cádiz", "León", "A Coruña"][n % 3],
            "sí" if n % 4 else "no",
            f"{n * 7 % 400},5",
        ]
        for n in range(60)
    ]
    source = write(SPANISH, rows, delimiter=delimiter, encoding=encoding, end="\r\n")
    made = look(source)
    assert [each.name for each in made.columns] == [name.strip() for name in SPANISH]
    assert made.rows == 60
    assert [each.safe for each in made.columns] == [
        "numero_de_cliente",
        "ano_alta",
        "poblacion",
        "activo",
        "importe",
    ]
    assert {value for value, _ in column(made, "Población").categories} == {"Cádiz", "León", "A Coruña"}
    assert column(made, "¿Activo?").kind == "boolean"
    amount = column(made, "importe (€)")
    assert (amount.kind, amount.low, amount.high) == ("number", 0.5, 399.5 if delimiter else 0)
    assert amount.reading.why.endswith("decimal comma")


def test_no_header_with_semicolons(write: Write) -> None:
    rows = [
        [
            f"{n * 31 % 97},{n % 10}",
            ["alta", "media", "baja"][n % 3],
            n % 2,
            f"0{1 + n % 9}/0{1 + n % 7}/2021",
        ]
        for n in range(80)
    ]
    made = look(write(None, rows, delimiter=";"), "column 3")
    assert made.rows == 80
    assert [each.name for each in made.columns] == ["column 1", "column 2", "column 3", "column 4"]
    assert "no header" in made.format
    assert column(made, "column 1").kind == "number"
    assert column(made, "column 4").kind == "time"
    assert task(made).kind == "binary"


def test_words_only_no_header(write: Write) -> None:
    rows = [
        [["rojo", "verde", "azul"][n % 3], ["sí", "no"][n % 2], ["Ana", "Luis", "Eva", "Juan"][n % 4]]
        for n in range(60)
    ]
    assert look(write(None, rows, delimiter=";")).rows == 60
    assert look(write(["color", "activo", "nombre"], rows, delimiter=";")).rows == 60
    source = write(["rojo", "no", "Ana"], rows)
    assert look(source).rows == 61
    assert look(source, header=True).rows == 60


def test_quoted_newlines_and_delimiters(write: Write) -> None:
    rows = [[n, f'he said "no, {n}"\nand\r\nleft; then; came', "a" if n % 2 else "b"] for n in range(50)]
    made = look(write(["n", "remark", "class"], rows))
    assert made.rows == 50
    assert len(made.columns) == 3
    assert column(made, "remark").kind == "text"


def test_years_as_names(write: Write) -> None:
    rows = [[f"C{n}", *(n * k % 97 for k in range(3, 9))] for n in range(40)]
    made = look(write(["country", *range(2001, 2007)], rows), "2006")
    assert (made.rows, [each.safe for each in made.columns][1]) == (40, "n_2001")


def test_points_between_thousands(write: Write) -> None:
    rows = [[f"{100 + n * 7}.{100 + n * 13 % 900} €", f"{n % 7},5"] for n in range(60)]
    made = look(write(["Precio", "x"], rows, delimiter=";", encoding="cp1252"))
    assert (column(made, "Precio").low, column(made, "Precio").form) == (100100, "money")
    assert about(made, "thousands") == {"Precio"}
    measured = look(write(["x", "y"], [[f"1.{100 + n}", n % 7] for n in range(60)]))
    assert column(measured, "x").high == 1.159


def test_what_stands_around_the_table(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    lines = [
        "Report of sales",
        "made on Monday",
        "",
        "shop;sold;kind;",
        *(f"S{n % 7};{n};{'xyz'[n % 3]};" for n in range(90)),
    ]
    path.write_text("\n".join(lines) + "\n\n")
    made = look(str(path))
    assert [each.name for each in made.columns] == ["shop", "sold", "kind"]
    assert made.rows == 90
    assert "Lines above the table are left out: 2." in [each.message for each in found(made, "reading")]


def test_ragged_rows(tmp_path: Path) -> None:
    path = tmp_path / "ragged.csv"
    lines = [f"{n},{n * n},x" for n in range(100)]
    lines[10], lines[20] = "10,100", "20,400,x,y,z"
    path.write_text("\n".join(["a,b,c", *lines]))
    made = look(str(path))
    assert (made.rows, column(made, "c").missing) == (100, 1)
    told = " ".join(each.message for each in found(made, "reading"))
    assert "1 of 100 rows have fewer cells" in told
    assert "1 of 100 rows have more cells" in told


def test_row_names_of_r(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("mpg,cyl\n" + "".join(f"car {n},{20 + n / 3:.1f},{4 + n % 3 * 2}\n" for n in range(30)))
    made = look(str(path))
    assert [each.name for each in made.columns] == ["column 1", "mpg", "cyl"]
    assert column(made, "column 1").kind == "id"


def test_the_same_name_twice_and_none(write: Write) -> None:
    made = look(write(["a", "a", "", "A b", "class", "1st"], [[n, n % 3, n, n, "x", 1] for n in range(30)]))
    assert [each.name for each in made.columns] == ["a", "a", "column 3", "A b", "class", "1st"]
    assert [each.safe for each in made.columns] == ["a", "a_2", "column_3", "a_b", "class_field", "n_1st"]
    assert "2 columns named 'a'" in refused(write(["a", "a", "b"], [[1, 2, 3]] * 5), "a")


@given(st.lists(st.text(max_size=20), max_size=30))
def test_safe_names_are_names_and_differ(names: list[str]) -> None:
    made = safe(names)
    assert len(set(made)) == len(names) == len(made)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", each) for each in made)


def test_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    rows = "".join(f"{n},señor número {n}\n" for n in range(200)).encode()
    path.write_bytes(b"n,texto\n" + rows + b"200,caf\xe9\n")
    made = look(str(path))
    assert "1 bytes are no UTF-8" in found(made, "reading")[0].message
    assert "utf-8" in made.format
    path.write_bytes(
        "n,слово\n".encode("cp1251") + "".join(f"{n},привет\n" for n in range(50)).encode("cp1251")
    )
    assert "say its --encoding" in refused(str(path))
    assert column(look(str(path), encoding="cp1251"), "слово").categories == [("привет", 50)]
    assert "no encoding" in refused(str(path), encoding="klingon")


FORMATS = ["csv", "csv.gz", "zip", "parquet", "jsonl", "json", "sqlite", "xlsx"]


def as_format(folder: Path, kind: str, names: list[str], rows: list[list[Any]]) -> str:
    """The same table in another format, with its types where the format has some."""
    path = folder / f"same.{kind}"
    path.unlink(missing_ok=True)
    plain = folder / "plain.csv"
    with plain.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    records = [dict(zip(names, row, strict=True)) for row in rows]
    if kind == "csv":
        path.write_bytes(plain.read_bytes())
    elif kind == "csv.gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(plain, "inside.csv")
    elif kind == "parquet":
        duckdb.sql(
            f"COPY (FROM read_csv('{plain}', types = {{'churned': 'VARCHAR'}})) TO '{path}' (FORMAT parquet)"
        )
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(each) + "\n" for each in records))
    elif kind == "json":
        path.write_text(json.dumps(records, indent=1))
    elif kind == "sqlite":
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE t (age, calls, plan, income, churned)")
            database.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
    else:
        workbook(path, [names, *rows])
    return str(path)


def workbook(path: Path, rows: list[list[Any]], *, sheets: Sequence[str] = ("data",)) -> None:
    """A workbook as the file format has it; times are numbers with a style."""
    spread = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    link = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

    def cell(value: Any, place: str) -> str:
        if value is None or value == "":
            return ""
        if isinstance(value, datetime):
            days = (value - datetime(1899, 12, 30)) / timedelta(days=1)  # noqa: DTZ001
            return f'<c r="{place}" s="1"><v>{days!r}</v></c>'
        if isinstance(value, bool):
            return f'<c r="{place}" t="b"><v>{value:d}</v></c>'
        if isinstance(value, int | float):
            return f'<c r="{place}"><v>{value!r}</v></c>'
        text = str(value).replace("&", "&amp;").replace("<", "&lt;")
        return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'

    body = "".join(
        f'<row r="{y}">{"".join(cell(value, f"{chr(64 + x)}{y}") for x, value in enumerate(row, 1))}</row>'
        for y, row in enumerate(rows, 1)
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("[Content_Types].xml", "<Types/>")
        listed = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(sheets))
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{spread}" xmlns:r="{link}"><sheets>{listed}</sheets></workbook>',
        )
        links = "".join(f'<Relationship Id="r{n}" Target="worksheets/s{n}.xml"/>' for n in range(len(sheets)))
        book.writestr("xl/_rels/workbook.xml.rels", f"<Relationships>{links}</Relationships>")
        book.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{spread}"><cellXfs><xf numFmtId="0"/><xf '
            'numFmtId="22"/></cellXfs></styleSheet>',
        )
        for n in range(len(sheets)):
            book.writestr(
                f"xl/worksheets/s{n}.xml",
                f'<worksheet xmlns="{spread}"><sheetData>{body}</sheetData></worksheet>',
            )


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_table_in_every_format(tmp_path: Path, kind: str) -> None:
    names, rows = rows_of(customers())
    made = look(as_format(tmp_path, kind, names, rows), "churned")
    assert made.rows == 400
    assert {each.name: each.kind for each in made.columns} == {
        "age": "number",
        "calls": "number",
        "plan": "category",
        "income": "number",
        "churned": "boolean",
    }
    whole = {row[0] for row in rows}
    assert (column(made, "age").low, column(made, "age").high) == (min(whole), max(whole))
    assert column(made, "age").reading.integer
    assert dict(task(made).classes) == {
        value: sum(row[4] == value for row in rows) for value in ("yes", "no")
    }
    assert not [each for each in made.findings if each.level == "warning" and each.code != "small sample"]


def test_databases_and_workbooks_with_several_tables(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE orders (id INTEGER, total REAL, paid INTEGER)")
        database.execute("CREATE TABLE people (name TEXT)")
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(n, n / 7, n % 2) for n in range(50)])
    assert "2 tables; name one with --table: orders, people." in refused(str(path))
    assert "no table 'order'; it has: orders, people." in refused(str(path), table="order")
    assert look(str(path), table="orders").rows == 50
    assert look(str(path), query="SELECT * FROM orders WHERE paid").rows == 25
    assert "readonly" in refused(str(path), query="CREATE TABLE x (y)")
    assert "no such table" in refused(str(path), query="SELECT * FROM x")
    assert "no rows" in refused(str(path), table="people")
    book = tmp_path / "book.xlsx"
    noon = datetime(2021, 5, 1, 12)  # noqa: DTZ001
    workbook(book, [["a", "when"], *([n, noon + timedelta(days=n)] for n in range(30))], sheets=("x", "y"))
    assert "2 sheets; name one with --table: x, y." in refused(str(book))
    made = look(str(book), table="y")
    assert (column(made, "when").kind, column(made, "when").low) == ("time", "2021-05-01 12:00:00")


def test_nested_json(tmp_path: Path) -> None:
    path = tmp_path / "nested.jsonl"
    path.write_text(
        "".join(
            json.dumps(
                {
                    "user": {"age": n, "home": {"city": "AB"[n % 2]}},
                    "tags": ["a", "b"][: n % 3],
                    "ok": None if n % 5 else True,
                }
            )
            + "\n"
            for n in range(40)
        )
    )
    made = look(str(path))
    assert [each.name for each in made.columns] == ["user.age", "user.home.city", "tags", "ok"]
    assert column(made, "ok").missing == 32


# --- what is no table -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"PAR1\x00\x00\x00", "not a CSV file but Parquet"),
        ("a.parquet", b"a,b\n1,2\n", "not Parquet but a CSV file"),
        ("a.parquet", b"PAR1 and nothing more", "no Parquet file that can be read"),
        ("a.jsonl", b"a,b\n1,2\n", "not JSON lines but a CSV file"),
        ("a.xlsx", b"SQLite format 3\0", "not an Excel workbook but an SQLite database"),
        ("a.xlsx", b"PK\x03\x04 and nothing more", "cannot be read"),
        ("a.db", b"SQLite format 3\0 and nothing more", "cannot be read as an SQLite database"),
        ("a.csv", b"%PDF-1.7", "a PDF document"),
        ("a.csv", b"\n<!DOCTYPE html><html>", "a page of HTML"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "save it as .xlsx"),
        ("a.csv", b"\x00\x01\x02\x03\x04\x05\x06\x07" * 90, "neither text nor"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"\xef\xbb\xbf\n\n", "is empty"),
        ("a.csv", b"a,b,c\n", "no rows"),
        ("a.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 9000, mtime=0)[:60], "breaks off"),
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "line 2 is no JSON"),
        ("a.jsonl", b'{"a": 1}\n[2]\n', "line 2 is no object"),
        ("a.json", b'{\n"a": [1, 2]\n}\n', "one JSON object over many lines"),
        ("a.csv", b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        ("a.pkl", b"\x80\x04\x95", "a Python pickle"),
    ],
)
def test_a_file_that_is_not_what_it_says(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = refused(str(path))
    assert said in message
    assert name in message


def test_no_file(tmp_path: Path) -> None:
    assert "There is no file" in refused(str(tmp_path / "none.csv"))
    assert "is a folder" in refused(str(tmp_path))
    assert "no name of a file" in refused("a\0b")


# --- what cannot be predicted ---------------------------------------------------------------------


def test_targets_that_do_not_work(write: Write) -> None:
    rows = [[n, "x", "", f"{n}@example.org", f"2020-01-{1 + n % 28:02}", n * n % 7 % 2] for n in range(60)]
    source = write(["n", "same", "none", "mail", "day", "y"], rows)
    assert "no column 'nn'; do you mean: n" in refused(source, "nn")
    assert "no column 'Población'; it has: n, same" in refused(source, "Población")
    assert "'same' is constant: it is 'x'" in refused(source, "same")
    assert "'none' has no value in any row" in refused(source, "none")
    assert "'mail' is an id" in refused(source, "mail")
    assert "'day' is a date" in refused(source, "day")
    assert look(source, "Y").task is not None


def test_too_little_to_learn_from(write: Write) -> None:
    assert "one row" in refused(write(["a", "b"], [[1, 2]]), "b")
    assert "no column besides 'b'" in refused(write(["b"], [["x"], ["y"], ["x"]] * 9), "b")
    no_field = write(["id", "c", "b"], [[1000 + n, "same", n % 2] for n in range(40)])
    message = refused(no_field, "b")
    assert "no feature left to predict 'b' from: " in message
    assert "id (id)" in message
    assert "c (constant)" in message
    assert "too few rows a class" in refused(
        write(["a", "b"], [[n % 3, f"k{n % 19}"] for n in range(30)]), "b"
    )


# --- what the columns mean ------------------------------------------------------------------------


def kinds(write: Write, **values: list[Any]) -> Profile:
    """A profile of columns that are given by name."""
    return look(write(list(values), list(zip(*values.values(), strict=True))))


def test_meaning_of_numbers(write: Write) -> None:
    chance = random.Random(3)  # noqa: S311
    count = 300
    made = kinds(
        write,
        sector_code=[chance.choice([11, 21, 22, 31, 44, 51]) for _ in range(count)],
        zip=[f"{chance.choice([2134, 501, 10001]):05}" for _ in range(count)],
        Pclass=[chance.randint(1, 3) for _ in range(count)],
        sibs=[chance.randint(0, 8) for _ in range(count)],
        sex=[chance.choice([1, 2]) for _ in range(count)],
        smoker=[chance.choice("tf") for _ in range(count)],
        active=[chance.choice([0, 1]) for _ in range(count)],
        price=[f"${chance.randint(1, 9)},{chance.randint(100, 999)}.50" for _ in range(count)],
        precio=[f"{chance.randint(1, 9)}.{chance.randint(100, 999)},50 €" for _ in range(count)],
        rate=[f"{chance.randint(1, 99)}%" for _ in range(count)],
        term=[chance.choice(["24 months", "36 months", "60 months"]) for _ in range(count)],
        weight_kg=[f"{chance.randint(40, 99)} kg" for _ in range(count)],
        balance=[
            f"({chance.randint(1, 99)}.00)" if chance.random() < 0.3 else f"{chance.randint(1, 99)}.00"
            for _ in range(count)
        ],
        account=[str(10**17 + chance.randint(0, 10**9)) for _ in range(count)],
        row=list(range(count)),
        year_built=[chance.randint(1900, 2010) for _ in range(count)],
        at=[1_600_000_000 + chance.randint(0, 10**7) for _ in range(count)],
        departs=[f"{chance.randint(0, 23)}:{chance.randint(0, 59):02}" for _ in range(count)],
        ym=[
            f"20{chance.randint(10, 20)}0{chance.randint(1, 9)}{chance.randint(10, 28)}" for _ in range(count)
        ],
        distance=[f"1.5e{chance.randint(1, 3)}" if n % 2 else str(chance.random()) for n in range(count)],
    )
    assert {each.name: (each.kind, each.form) for each in made.columns} == {
        "sector_code": ("category", "coded"),
        "zip": ("category", "coded"),
        "Pclass": ("category", "coded"),
        "sibs": ("number", ""),
        "sex": ("category", "coded"),
        "smoker": ("boolean", "two words"),
        "active": ("boolean", "0 or 1"),
        "price": ("number", "money"),
        "precio": ("number", "money"),
        "rate": ("number", "percent"),
        "term": ("number", "measure"),
        "weight_kg": ("number", "measure"),
        "balance": ("number", "money"),
        "account": ("id", "code"),
        "row": ("id", "number"),
        "year_built": ("number", "year"),
        "at": ("time", "timestamp"),
        "departs": ("number", "clock"),
        "ym": ("time", "date"),
        "distance": ("number", ""),
    }
    assert 1100 <= column(made, "price").low < column(made, "price").high <= 9999.5
    assert 1100 <= column(made, "precio").low < column(made, "precio").high <= 9999.5
    assert (column(made, "price").reading.unit, column(made, "precio").reading.unit) == ("$", "€")
    assert column(made, "balance").low < 0
    assert {value for value, _ in column(made, "zip").categories} == {"02134", "00501", "10001"}
    assert column(made, "at").low.startswith("2020-")


def test_the_expression_reads_the_source(write: Write) -> None:
    """What `sql` says of a column makes of the source what the profile says of its values."""
    rows = [
        [
            f" {n % 9}.{100 + n},5 € ",
            f"{1 + n % 28}/{1 + n % 12}/2021",
            ["-", "a", "b"][n % 3],
            999 if n % 9 == 0 else n % 30,
        ]
        for n in range(90)
    ]
    source = write(["Precio (€)", "fecha.alta", "tipo", "días"], rows, delimiter=";")
    made = look(source)
    wanted = ", ".join(f"{each.sql} AS {each.safe}" for each in made.columns)
    read = f"read_csv('{source}', delim = ';', header = true, all_varchar = true)"
    duckdb.sql(f"CREATE OR REPLACE TEMP TABLE again AS SELECT {wanted} FROM {read}")  # noqa: S608
    [(low, high, first, last, kinds_, days)] = duckdb.sql(
        "SELECT min(precio), max(precio), min(fecha_alta), max(fecha_alta), count(DISTINCT tipo), max(dias) "
        "FROM again"
    ).fetchall()
    assert (low, high) == (column(made, "Precio (€)").low, column(made, "Precio (€)").high) == (100.5, 8189.5)
    assert [str(first), str(last)] == [column(made, "fecha.alta").low, column(made, "fecha.alta").high]
    assert (kinds_, days) == (2, 29)


@pytest.mark.parametrize(
    ("texts", "low", "high", "told"),
    [
        (
            ["2021-03-01", "01/04/2021", "5 May 2021", "Jun 6, 2021"],
            "2021-01-04",
            "2021-06-06",
            "mixed dates",
        ),
        (
            ["2021-03-01T00:30:00+02:00", "2021-03-01T00:30:00-05:00", "2021-03-01T00:30:00Z"],
            "2021-02-28 22:30",
            "2021-03-01 05:30",
            "mixed offsets",
        ),
        (
            ["2021-03-01 10:00:00+0200", "2021-03-02 10:00:00"],
            "2021-03-01 08:00",
            "2021-03-02 10:00",
            "lost offsets",
        ),
        (["1/2/2021", "3/4/2021", "5/6/2021"], "2021-01-02", "2021-05-06", "day or month"),
        (["1/2/2021", "31/12/2021"], "2021-02-01", "2021-12-31", ""),
        (["1.2.2021 3:04", "3.12.2021 17:00"], "2021-02-01 03:04", "2021-12-03 17:00", "day or month"),
        (["12/31/20 11:59 PM", "1/1/21 12:01 AM"], "2020-12-31 23:59", "2021-01-01 00:01", ""),
        (["2021Q1", "2021Q4"], "2021-01-01", "2021-10-01", ""),
        (["8 de abril de 2021", "1 enero 2021", "31 dic. 2021"], "2021-01-01", "2021-12-31", ""),
        (["Mar-2021", "Dec-2021"], "2021-03-01", "2021-12-01", ""),
        (
            ["2021-03-01 10:00:00.123456", "2021-03-01 10:00:00"],
            "2021-03-01 10:00:00",
            "2021-03-01 10:00:00.123",
            "",
        ),
    ],
)
def test_dates(write: Write, texts: list[str], low: str, high: str, told: str) -> None:
    made = look(write(["x", "moment"], [[n % 7, texts[n % len(texts)]] for n in range(60)]))
    moment = column(made, "moment")
    assert moment.kind == "time"
    assert moment.missing == 0
    assert moment.low.startswith(low)
    assert moment.high.startswith(high)
    codes = {each.code for each in made.findings if "moment" in each.columns} - {"time order"}
    assert told in codes if told else not codes & {"day or month", "mixed offsets", "lost offsets"}


def test_codes_for_missing_values(write: Write) -> None:
    chance = random.Random(5)  # noqa: S311
    rows = [
        [
            "?" if n % 11 == 0 else chance.randint(20, 70),
            999 if n % 13 == 0 else chance.randint(1, 40),
            -1 if n % 7 == 0 else chance.randint(0, 27),
            "-" if n % 9 == 0 else chance.choice(["red", "blue"]),
            "+" if n % 3 == 0 else "-",
            0 if n % 10 == 0 else round(chance.gauss(120, 15), 1),
            round(chance.expovariate(0.2), 1) if n % 2 else 0,
            chance.randint(0, 100),
            n % 2,
        ]
        for n in range(500)
    ]
    names = ["age", "visits", "last_seen", "colour", "rhesus", "glucose", "rain", "score", "y"]
    made = look(write(names, rows), "y")
    assert {each.name: list(each.codes) for each in made.columns if each.codes} == {
        "age": ["?"],
        "visits": ["999"],
        "last_seen": ["-1"],
        "colour": ["-"],
    }
    assert column(made, "visits").high == 40
    assert column(made, "visits").codes["999"] == column(made, "visits").missing == 39
    assert about(made, "zero for missing") == {"glucose"}
    assert {value for value, _ in column(made, "rhesus").categories} == {"+", "-"}


def test_na_and_none_that_are_classes(write: Write) -> None:
    places = ["EU", "NA", "AS", "AF", "SA"]
    drinks = ["None", "Moderate", "Heavy"]
    rows = [
        [places[n % 5], drinks[n % 3], n % 17, "" if n % 6 == 0 else ["NA", "brick"][n % 2]]
        for n in range(300)
    ]
    made = look(write(["continent", "alcohol", "x", "alley"], rows), "alcohol")
    assert dict(task(made).classes) == dict.fromkeys(drinks, 100)
    assert task(made).kind == "multiclass"
    assert not any(each.codes for each in made.columns)
    assert column(made, "continent").distinct == 5
    assert about(made, "class or missing") == {"continent", "alcohol", "alley"}

    # Where numbers are missing as NA, words are too.
    rows = [[["NA", "a", "b"][n % 3], "NA" if n % 7 == 0 else n % 30, n % 2] for n in range(210)]
    made = look(write(["word", "number", "y"], rows), "y")
    assert column(made, "word").codes == {"NA": 70}
    assert column(made, "number").codes == {"NA": 30}


def test_spellings_constants_and_cardinality(write: Write) -> None:
    rows = [
        [
            ["Madrid", "madrid", "MADRID ", "León"][n % 4],
            "same",
            "",
            f"brand {n % 97}",
            "x" if n else "y",
            n % 2,
        ]
        for n in range(600)
    ]
    made = look(write(["city", "c", "e", "brand", "almost", "y"], rows), "y")
    assert about(made, "spellings") == {"city"}
    assert found(made, "spellings")[0].evidence["groups"] == [["MADRID", "Madrid", "madrid"]]
    assert about(made, "constant") == {"c"}
    assert about(made, "empty") == {"e"}
    assert about(made, "nearly constant") == {"almost"}
    assert about(made, "many categories") == {"brand"}
    assert not {"c", "e"} & set(task(made).features)


def test_impossible_values(write: Write) -> None:
    rows = [
        [30 + n % 40, 40.0 + n % 5, -3.0 - n % 3, f"2020-0{1 + n % 9}-01", n % 100 + 1, n % 3]
        for n in range(400)
    ]
    rows[5][0], rows[6][0] = 240, -4
    rows[7][1] = 4011.0
    rows[8][3], rows[9][3] = "2999-01-01", "1900-01-01"
    rows[10][4] = -5
    made = look(write(["edad", "lat", "lon", "visit_date", "price", "y"], rows))
    told = {each.columns[0]: each.evidence["rows"] for each in found(made, "impossible")}
    assert told == {"edad": 2, "lat": 1, "visit_date": 1, "price": 1}


# --- warnings -------------------------------------------------------------------------------------


def with_field(
    name: str, make: Callable[[int, dict[str, Any]], Any], count: int = 600
) -> tuple[list[str], list[list[Any]]]:
    """The customers with one more field, before the target."""
    records = customers(count)
    for n, each in enumerate(records):
        each[name] = make(n, each)
        each["churned"] = each.pop("churned")
    return rows_of(records)


def test_no_trap_no_warning(write: Write) -> None:
    made = look(write(*rows_of(customers(3000))), "churned")
    assert [each for each in made.findings if each.level == "warning"] == []
    assert task(made).features == ["age", "calls", "plan", "income"]
    assert task(made).split["kind"] == "stratified"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("alive", lambda n, row: {"yes": "gone", "no": "here"}[row["churned"]] if n % 50 else "here"),
        ("invoice", lambda n, row: 3.5 * (row["churned"] == "yes") + n % 3),
        ("segment", lambda n, row: f"{'AB'[row['churned'] == 'yes']}{n % 7}"),
    ],
)
def test_a_field_that_gives_the_answer_away(write: Write, name: str, make: Any) -> None:
    made = look(write(*with_field(name, make)), "churned")
    assert about(made, "leak") == {name}
    assert found(made, "leak")[0].evidence["AUC"] > 0.98
    assert name not in task(made).features
    assert {"age", "calls", "plan", "income"} == set(task(made).features)


def test_a_leak_through_what_is_missing(write: Write) -> None:
    def reason(n: int, row: dict[str, Any]) -> str:
        return ["price", "service", "moved"][n % 3] if row["churned"] == "yes" and n % 4 else ""

    made = look(write(*with_field("reason", reason)), "churned")
    [leak] = found(made, "leak by missing values")
    assert leak.columns == ["reason"]
    assert leak.evidence["share"] == 1
    assert leak.evidence["class"] == "yes"
    assert "reason" not in task(made).features

    by_chance = with_field("phone_model", lambda n, _: ["x", "y"][n % 2] if n % 5 else "")
    assert not found(look(write(*by_chance), "churned"), "leak by missing values")


def test_a_leak_in_a_regression(write: Write) -> None:
    chance = random.Random(7)  # noqa: S311
    rows = []
    for _ in range(400):
        casual, registered, heat = chance.randint(0, 90), chance.randint(0, 300), chance.gauss(15, 8)
        total = casual + registered
        rows.append([round(heat, 1), casual, registered, round(total * 1.21, 2), total])
    made = look(write(["heat", "casual", "registered", "with_tax", "rentals"], rows), "rentals")
    assert about(made, "leak by arithmetic") == {"casual", "registered"}
    assert about(made, "leak") == {"with_tax"}
    assert task(made).features == ["heat"]


def test_missing_with_the_target(write: Write) -> None:
    chance = random.Random(8)  # noqa: S311
    rows = [
        [
            n % 24,
            *([chance.gauss(90, 9), chance.gauss(0, 20)] if n % 20 else ["", ""]),
            "" if n % 9 == 0 else n % 7,
        ]
        for n in range(800)
    ]
    made = look(write(["hour", "air_time", "delay", "seats"], rows), "delay")
    assert about(made, "missing with the target") == {"air_time"}


def test_known_later_by_name(write: Write) -> None:
    rows = [[n % 50, n * 7 % 31, f"2020-01-{1 + n % 23:02}", n * n % 7 % 2] for n in range(400)]
    made = look(write(["edad", "duration", "fecha_baja", "y"], rows), "y")
    assert about(made, "known later") == {"duration", "fecha_baja"}


def test_ids_and_personal_data(write: Write) -> None:
    rows = [
        [
            f"{n:08x}-0000-4000-8000-000000000000",
            5000 + n,
            f"ana{n}@example.org",
            f"+34 600 {100 + n} {300 + n}",
            f"{10_000_000 + n}Z",
            f"{1960 + n % 40}-0{1 + n % 9}-11",
            f"Calle Mayor {n}",
            ["f", "m"][n % 2],
            f"192.168.{n % 200}.{n % 250}",
            n % 30,
            n * n % 7 % 2,
        ]
        for n in range(300)
    ]
    names = [
        "uid",
        "CustomerID",
        "correo",
        "tel",
        "dni",
        "fecha de nacimiento",
        "dirección",
        "sexo",
        "ip",
        "x",
        "y",
    ]
    made = look(write(names, rows), "y")
    assert about(made, "id") >= {"uid", "CustomerID"}
    assert about(made, "personal data") == {"correo", "tel", "dni", "fecha de nacimiento", "dirección", "ip"}
    assert about(made, "sensitive") == {"sexo"}
    assert task(made).features == ["sexo", "x"]
    assert not found(made, "time order")


def test_groups(write: Write) -> None:
    chance = random.Random(9)  # noqa: S311
    rows = []
    for patient in range(120):
        ill, age, sex = chance.random() < 0.4, chance.randint(20, 80), chance.choice("fm")
        rows += [
            [f"P{patient:03}", age, sex, round(chance.gauss(5 + ill, 1), 2), "ill" if ill else "well"]
            for _ in range(chance.randint(2, 8))
        ]
    chance.shuffle(rows)
    made = look(write(["patient", "age", "sex", "marker", "state"], rows), "state")
    [group] = found(made, "group")
    assert group.columns == ["patient"]
    assert group.evidence["groups"] == 120
    assert {"age", "sex"} <= set(group.evidence["fixed"])
    assert (task(made).split["kind"], task(made).split["by"]) == ("group", "patient")
    assert "patient" not in task(made).features


def test_time(write: Write) -> None:
    chance = random.Random(11)  # noqa: S311
    start = datetime(2020, 1, 1)  # noqa: DTZ001
    rows = [
        [
            (start + timedelta(hours=7 * n + chance.randint(0, 5))).isoformat(),
            n % 11,
            int(chance.random() < 0.1 + n / 4000),
        ]
        for n in range(2000)
    ]
    made = look(write(["created", "x", "late"], rows), "late")
    [order] = found(made, "time order")
    assert order.evidence["last_fifth"] > 2 * order.evidence["first_fifth"]
    assert (task(made).kind, task(made).split["kind"], task(made).split["by"]) == (
        "binary",
        "time",
        "created",
    )

    hourly = [
        [(start + timedelta(hours=n)).strftime("%d.%m.%Y %H:%M"), 100 + 30 * (n % 24) + chance.randint(0, 9)]
        for n in range(1000)
    ]
    made = look(write(["Zeit", "vehicles"], hourly), "vehicles")
    assert task(made).kind == "forecast"
    assert "one row every hour" in task(made).why
    assert task(made).metric == "mase"


def test_rare_and_small(write: Write) -> None:
    rows: list[list[Any]] = [
        [n % 50, n * 7 % 31 / 7, "fraud" if n % 250 == 3 else "fine"] for n in range(10_000)
    ]
    made = look(write(["a", "b", "kind"], rows), "kind")
    [rare] = found(made, "rare class")
    assert rare.evidence == {"rows": 40, "share": 0.004}
    assert "0.40%" in rare.message
    assert "99.6% of rows" in task(made).metric_why
    assert "average_precision" in task(made).others
    [small] = found(made, "small sample")
    assert "holds 8" in small.message

    rows = [[n % 9, n / 7, f"class {n % 6}"] for n in range(120)]
    rows += [
        [1, 2.5, "odd"],
        [2, 3.5, "odd"],
        [3, 1.5, "alone"],
    ]
    made = look(write(["a", "b", "kind"], rows), "kind")
    [rare] = found(made, "rare class")
    assert rare.evidence["classes"] == {"odd": 2, "alone": 1}
    assert rare.action == {"merge": ["odd", "alone"]}


def test_every_row_three_times(write: Write) -> None:
    names, rows = rows_of(customers())
    numbered = [[n, *row] for n, row in enumerate(rows * 3)]
    made = look(write(["", *names], numbered), "churned")
    [copies] = found(made, "duplicates")
    assert copies.message == "Every row is there 3 times but for column 1."
    assert (copies.evidence["rows"], copies.evidence["most"]) == (800, 3)
    assert copies.action == {"deduplicate": True}


def test_near_duplicates(write: Write) -> None:
    chance = random.Random(13)  # noqa: S311
    rows = [
        [
            round(chance.gauss(0, 9), 3),
            chance.randint(0, 500),
            round(chance.random(), 4),
            chance.randint(0, 99),
            n % 2,
        ]
        for n in range(300)
    ]
    again = [[*row[:3], row[3] + 1, row[4]] for row in rows[:60]]
    made = look(write(["a", "b", "c", "d", "y"], rows + again), "y")
    [near] = found(made, "near-duplicates")
    assert near.columns == ["d"]
    assert 110 <= near.evidence["rows"] <= 120
    texts = [
        f"the {chance.choice(['red', 'old'])} {chance.choice(['fox', 'dog'])} number "
        f"{'abcdefghijklmnop'[n % 16]}{'qrstuvwxyz'[n % 10]}{n // 160} ran off today"
        for n in range(300)
    ]
    made = look(
        write(
            ["message", "y"],
            [[text, n % 2] for n, text in enumerate([*texts, *(text.upper() + "!" for text in texts[:50])])],
        ),
        "y",
    )
    assert about(made, "repeated text") == {"message"}


def test_weights(write: Write) -> None:
    chance = random.Random(15)  # noqa: S311
    rows = [
        [n % 9, round(chance.uniform(200, 9000), 2), chance.randint(45, 99), n * n % 7 % 2]
        for n in range(300)
    ]
    made = look(write(["a", "fnlwgt", "weight", "y"], rows), "y")
    assert about(made, "weight") == {"fnlwgt"}
    assert task(made).features == ["a", "weight"]
    counted = [
        [sex, age, lives, chance.randint(1, 200)]
        for sex in "fm"
        for age in ("young", "old")
        for lives in ("yes", "no")
    ]
    assert about(look(write(["Sex", "Age", "Survived", "Freq"], counted * 3), "Survived"), "weight") == {
        "Freq"
    }


def test_many_columns_few_rows(write: Write) -> None:
    chance = random.Random(17)  # noqa: S311
    rows = [[*(round(chance.gauss(0, 1), 4) for _ in range(750)), n % 2] for n in range(250)]
    made = look(write([*(f"gene.{n}" for n in range(750)), "ill"], rows), "ill")
    assert len(made.columns) == 751
    assert not found(made, "leak")
    assert "more than there are rows" in found(made, "more columns than the rows bear")[0].message
    assert len(made.findings) < 10
    assert len(task(made).features) == 750


def test_text_only(write: Write) -> None:
    chance = random.Random(19)  # noqa: S311
    words = [
        "the",
        "a",
        "train",
        "was",
        "late",
        "again",
        "and",
        "nobody",
        "told",
        "us",
        "why",
        "we",
        "waited",
        "in",
        "rain",
        "for",
        "hours",
        "thank",
        "you",
        "very",
        "much",
        "good",
    ]
    rows = [
        [
            " ".join(chance.choices(words, k=chance.randint(6, 14))),
            chance.choice(["complaint", "praise", "other"]),
        ]
        for _ in range(500)
    ]
    made = look(write(["mensaje", "etiqueta"], rows), "etiqueta")
    assert column(made, "mensaje").kind == "text"
    assert (task(made).kind, task(made).features) == ("multiclass", ["mensaje"])


# --- task -----------------------------------------------------------------------------------------


def test_whole_numbers_as_targets(write: Write) -> None:
    chance = random.Random(21)  # noqa: S311
    count = 600
    values: dict[str, list[Any]] = {
        "x": [chance.random() for _ in range(count)],
        "rings": [min(29, max(3, round(chance.gauss(10, 3)))) for _ in range(count)],
        "amount23": [chance.randint(1, 23) for _ in range(count)],
        "quality": [chance.choice([3, 4, 5, 5, 5, 6, 6, 6, 7, 8]) for _ in range(count)],
        "digit": [chance.randint(0, 9) for _ in range(count)],
        "cover_type": [chance.choice([1, 1, 1, 1, 2, 2, 3, 5, 7]) for _ in range(count)],
        "visits": [min(6, int(chance.expovariate(0.8))) for _ in range(count)],
        "status": [chance.choice([1, 2]) for _ in range(count)],
        "y": [chance.choice([-1, 1]) for _ in range(count)],
    }
    source = write(list(values), list(zip(*values.values(), strict=True)))
    kinds_ = {name: task(look(source, name)).kind for name in list(values)[1:]}
    assert kinds_ == {
        "rings": "regression",
        "amount23": "regression",
        "quality": "regression",
        "digit": "multiclass",
        "cover_type": "multiclass",
        "visits": "regression",
        "status": "binary",
        "y": "binary",
    }
    assert "not 23 classes" in task(look(source, "amount23")).why


def test_a_target_with_few_rows(write: Write) -> None:
    source = write(["a", "b"], [[n % 4, n * n % 11] for n in range(9)])
    assert task(look(source, "b")).kind == "regression"


def test_the_positive_label_is_asked_for(write: Write) -> None:
    made = look(write(*rows_of(customers())), "churned")
    assert task(made).record()["positive"] is None
    [question] = [each for each in task(made).questions if each["key"] == "positive"]
    assert set(question["choices"]) == {"yes", "no"}


def test_a_skewed_amount_and_missing_targets(write: Write) -> None:
    chance = random.Random(23)  # noqa: S311
    rows = [[n % 13, "" if n % 10 == 0 else round(chance.lognormvariate(3, 1.5), 2)] for n in range(1000)]
    made = look(write(["x", "claim"], rows), "claim")
    assert (task(made).kind, task(made).rows, task(made).dropped) == ("regression", 900, 100)
    assert "logarithm" in task(made).metric_why
    assert found(made, "target missing")[0].evidence == {"rows": 100}


# --- the command ----------------------------------------------------------------------------------


def test_the_command(write: Write, command: Command, tmp_path: Path) -> None:
    source = write(*rows_of(customers()))
    shown = command("profile", source, "--target", "churned")
    assert (shown.code, shown.err) == (0, "")
    assert "400 rows, 5 columns" in shown.out
    assert "binary classification" in shown.out
    assert "Which value of 'churned' is the case" in shown.out
    told = json.loads(command("profile", source, "--target", "churned", "--json").out)
    assert [each["safe"] for each in told["columns"]] == ["age", "calls", "plan", "income", "churned"]
    assert told["task"]["split"]["kind"] == "stratified"
    page = tmp_path / "profile.html"
    assert command("profile", source, "--html", page).code == 0
    assert "<title>Profile of" in page.read_text("utf-8")
    without = json.loads(command("profile", source, "--json").out)
    assert (without["task"], without["target_candidates"]) == (None, ["churned"])


def test_the_command_refuses(write: Write, command: Command, tmp_path: Path) -> None:
    source = write(*rows_of(customers()))
    wrong = command("profile", source, "--target", "chruned")
    assert (wrong.code, wrong.out) == (2, "")
    assert "do you mean: churned?" in wrong.err
    as_json = command("profile", source, "--target", "chruned", "--json")
    assert as_json.code == 2
    assert "churned" in json.loads(as_json.out)["error"]
    assert command("profile", source, "--html", source).code == 2
    assert command("profile", source, "--html", tmp_path / "no" / "p.html").code == 2


def test_postgresql_without_its_driver(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    refusal = command("profile", "postgresql://ada:secret@nowhere/db", "--table", "t")
    assert refusal.code == 2
    assert "install mlportfolio[postgres]" in refusal.err


POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


KUNDEN = """
CREATE TABLE kunden AS SELECT i AS id, CASE i % 3 WHEN 0 THEN 'Köln' WHEN 1 THEN 'a,"b"' END AS ort,
i % 7 = 0 AS weg, i * 1.5 AS betrag, TIMESTAMPTZ '2021-01-01 00:00+02' + i * interval '1 hour' AS seit
FROM generate_series(1, 300) i
"""


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a PostgreSQL server of its own, with a table."""
    psycopg = pytest.importorskip("psycopg")
    if not POSTGRES:
        pytest.skip("no PostgreSQL server is installed")
    user = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
    # Of short a name, as a socket's path must be.
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        run = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        data = f"{folder}/data"
        run([*user, str(POSTGRES / "initdb"), "-D", data, "-U", "ada", "--auth=trust", "--no-sync"])
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        control = [*user, str(POSTGRES / "pg_ctl"), "-D", data, "-o", options, "-l", f"{folder}/log", "-w"]
        run([*control, "start"])
        try:
            address = f"postgresql://ada:secret@127.0.0.1:{port}/postgres"
            with psycopg.connect(address) as database:
                database.execute(KUNDEN)
            yield address
        finally:
            run([*control, "-m", "immediate", "stop"])


def test_postgresql(server: str) -> None:
    made = look(server, "weg", table="kunden")
    assert "secret" not in json.dumps(made.record())
    assert (made.rows, column(made, "ort").missing) == (300, 100)
    assert {value for value, _ in column(made, "ort").categories} == {"Köln", 'a,"b"'}
    assert {each.name: each.kind for each in made.columns} == {
        "id": "id",
        "ort": "category",
        "weg": "boolean",
        "betrag": "number",
        "seit": "time",
    }
    assert column(made, "seit").low.startswith("2020-12-31 23:00")
    assert look(server, query="SELECT ort FROM kunden WHERE weg;").rows == 42
    assert "read-only transaction" in refused(server, query="DELETE FROM kunden RETURNING *")
    assert "needs --table" in refused(server)


def test_what_a_table_holds_does_not_steer(write: Write, command: Command, tmp_path: Path) -> None:
    source = write(
        ["a\x1b[31m", "[bold]b", "<script>alert(1)</script>"],
        [["\x1b]0;x" if n == 3 else "plain words", "[red]", f"<b>{n % 4}"] for n in range(40)],
    )
    shown = command("profile", source)
    assert "\x1b" not in shown.out
    assert "[bold]b" in shown.out
    command("profile", source, "--html", tmp_path / "p.html")
    assert "<script>" not in (tmp_path / "p.html").read_text("utf-8")


@contextmanager
def at_most_a_sentence() -> Iterator[None]:
    """What is in here works, or is refused with a sentence."""
    code = 2
    try:
        yield
    except UserError as error:
        code = error.exit_code
    assert code == 2


# --- never a traceback ----------------------------------------------------------------------------

CELLS = st.one_of(
    st.text(max_size=12),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(str),
    st.sampled_from(
        ["", " ", "NA", "None", "?", "-", "999", "-1", "inf", "1e400", "1,5", "1.234,5", "05", "t", "f", "sí"]
    ),
    st.datetimes().map(str),
    st.dates().map(lambda day: day.strftime("%d/%m/%Y")),
    st.sampled_from(
        [
            "2021-01-01T00:00:00+05:30",
            "0001-01-01",
            "9999-12-31",
            "29/02/2021",
            "31/31/2021",
            "24:00",
            "12:61",
        ]
    ),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=40)
    ),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    st.fixed_dictionaries({"target": st.booleans(), "header": st.sampled_from([None, False])}),
)
def test_any_cells(
    write: Write, rows: list[list[str]], delimiter: str, encoding: str, how: dict[str, bool | None]
) -> None:
    encoded = [
        [
            cell.encode(encoding.replace("-sig", ""), "ignore").decode(encoding.replace("-sig", ""))
            for cell in row
        ]
        for row in rows
    ]
    source = write(None, encoded, delimiter=delimiter, encoding=encoding)
    with at_most_a_sentence():
        look(source, f"column {len(rows[0])}" if how["target"] else None, header=how["header"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(min_size=1, max_size=400),
    st.sampled_from(["x", "x.csv", "x.jsonl", "x.xlsx", "x.parquet", "x.db"]),
)
def test_any_bytes(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with at_most_a_sentence():
        look(str(path))


PLACES = st.integers(0, 2**20)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_broken_file_of_any_format(tmp_path: Path, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(FORMATS))
    names, rows = rows_of(customers(30))
    path = Path(as_format(tmp_path, kind, names, rows))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(PLACES) % len(content)] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: 1 + data.draw(PLACES) % len(content)]))
    with at_most_a_sentence():
        look(str(path))
