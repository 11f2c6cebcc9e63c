"""How long `mlportfolio profile` takes on a large CSV file, and how much memory.

    python benchmarks/profile.py [--megabytes N] [--write]

The table is made here: a time, ids, amounts with a decimal comma, codes, words, free text, a rare target.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import duckdb
import results

OURS = Path(sys.executable).parent / "mlportfolio"
LIMIT = 1000  # megabytes of memory
ROW = """
SELECT i AS id, hash(i) % 200000 AS customer_id,
strftime(TIMESTAMP '2020-01-01' + INTERVAL (i * 7) SECOND, '%d/%m/%Y %H:%M:%S') AS "fecha.alta",
replace(CAST(round(hash(i, 1) % 1000000 / 100, 2) AS VARCHAR), '.', ',') AS "importe (€)",
pick(['alta', 'media', 'baja', ''], hash(i, 2)) AS categoría, hash(i, 3) % 2 AS activo,
CASE WHEN hash(i, 4) % 50 = 0 THEN 999 ELSE hash(i, 4) % 60 END AS días,
CASE WHEN hash(i, 5) % 30 = 0 THEN '?' ELSE CAST(hash(i, 5) % 90 AS VARCHAR) END AS edad,
'shop ' || hash(i, 6) % 900 AS tienda, hash(i, 7) / 1e19 AS score, hash(i, 8) / 1e19 AS other_score,
concat_ws(' ', 'the',
pick(['parcel', 'letter', 'order'], hash(i, 9)), 'of', hash(i, 10) % 5000, 'came',
pick(['late', 'today', 'never'], hash(i, 11)), 'and the box was', pick(['open', 'wet'], hash(i, 12))) AS nota,
CASE WHEN hash(i, 13) % 250 = 0 THEN 'sí' ELSE 'no' END AS fraude
"""


def main() -> None:
    """Measure, print, and with `--write` record the figures in benchmarks/RESULTS.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=1000, help="how large the file is")
    parser.add_argument("--write", action="store_true", help="record the figures in benchmarks/RESULTS.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.csv"
        rows = table(file, options.megabytes)
        size = file.stat().st_size / 1e6
        began = perf_counter()
        done = subprocess.run(
            [OURS, "profile", file, "--target", "fraude", "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = perf_counter() - began
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    told = json.loads(done.stdout)
    if "error" in told:
        sys.exit(told["error"])
    kinds = {each["name"]: each["kind"] for each in told["columns"]}
    if told["rows"] != rows or kinds["fecha.alta"] != "time" or kinds["importe (€)"] != "number":
        sys.exit(f"the table is not told as it was made: {told['rows']} rows, {kinds}")
    report = (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, DuckDB {version('duckdb')}. "
        "Again: `python benchmarks/profile.py --write`.\n\n"
        "| file | rows | columns | seconds | memory, MB | goal, MB |\n|---|---:|---:|---:|---:|---:|\n"
        f"| CSV, {size:,.0f} MB | {rows:,} | {len(kinds)} | {seconds:.0f} | {memory:,.0f} | {LIMIT:,} |"
    )
    print(report)
    if options.write:
        results.write("profile", "The profile of a large table", report)


def table(file: Path, megabytes: int) -> int:
    """Write the table, and return how many rows it has."""
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '1GB'")
        connection.execute("CREATE MACRO pick(words, n) AS words[1 + CAST(n % len(words) AS BIGINT)]")
        query = f"COPY ({ROW} FROM range({{}}) AS t(i)) TO '{file}' (DELIMITER ';')"
        connection.execute(query.format(10_000))
        rows = int(megabytes * 1e6 / (file.stat().st_size / 10_000))
        connection.execute(query.format(rows))
    return rows


if __name__ == "__main__":
    main()
