"""Rows that are there more than once, or nearly so."""

from collections.abc import Iterable, Iterator
from math import log2

from mlportfolio.profile.columns import Column
from mlportfolio.profile.findings import Finding, Look, rows_of, share_of, some

_HASHED = 3_000_000  # rows up to which all are compared with all others
_COMPARED = 20_000  # rows that are compared with the others but for one field


def _content(look: Look) -> list[Column]:
    """The columns that describe a row; ids that are never the same would hide that two rows are."""
    return [
        each
        for each in look.columns
        if each.kind not in {"constant", "empty"} and not (each.kind == "id" and each.unique)
    ]


def _information(columns: Iterable[Column]) -> float:
    """How many bits a row holds, if its fields have nothing to do with each other."""
    return sum(_bits(each) for each in columns)


def _bits(column: Column) -> float:
    """The entropy of a column; what is not listed is taken for even."""
    if column.kind == "text":
        return 64.0
    if not column.categories or not column.filled:
        return log2(max(column.distinct, 1))
    rest = column.filled - sum(count for _, count in column.categories)
    others = max(column.distinct - len(column.categories), 1)
    shares = [count / column.filled for _, count in column.categories]
    bits = -sum(share * log2(share) for share in shares if share)
    return bits + (rest / column.filled * log2(others * column.filled / rest) if rest > 0 else 0.0)


def duplicates(look: Look) -> Iterator[Finding]:
    """Rows that are there more than once."""
    columns = _content(look)
    if not columns or look.table.rows < 2:
        return
    step = max(1, look.table.rows // _HASHED)
    keys = ", ".join(each.key for each in columns)
    [(rows, kinds, most, least)] = look.run(
        f"""SELECT sum(n), count(*), max(n), min(n) FROM (
        SELECT h, count(*) AS n FROM (SELECT hash({keys}) AS h FROM data) WHERE h % {step} = 0 GROUP BY h)"""
    )
    extra = rows - kinds
    if not extra or not kinds:
        return
    left_out = [each.name for each in look.columns if each.kind == "id" and each.unique]
    but = f" but for {some(left_out)}" if left_out else ""
    coarse = _information(columns) < log2(look.table.rows) + 10
    if most == least:
        message = f"Every row is there {most} times{but}."
    elif coarse and extra < rows / 2:
        message = (
            f"{share_of(extra, rows)} of rows equal another one{but}; with so few values a "
            "row that is to be expected."
        )
    else:
        message = (
            f"{rows_of(extra * step)} ({share_of(extra, rows)}) repeat{'s' * (extra == 1)} "
            f"another one{but}; one is there {most:,} times."
        )
    text = coarse and most != least
    yield Finding(
        "duplicates",
        "note" if text or extra < 0.005 * rows else "warning",
        [],
        message,
        "Keep them if each stands for a case of its own; else keep one."
        if text
        else "Keep one of each before the split: else the test holds rows that training has seen.",
        {"rows": extra * step, "share": extra / rows, "most": most, "least": least},
        {} if text else {"deduplicate": True},
    )


def repeated_texts(look: Look) -> Iterator[Finding]:
    """Texts that are there more than once, but for case and signs."""
    step = max(1, look.table.rows // 100_000)
    for column in look.fields:
        if column.kind != "text":
            continue
        [(same, kinds, raw)] = look.run(
            f"""SELECT count(v), count(DISTINCT v), count(DISTINCT raw) FROM (SELECT {column.key} AS raw,
            regexp_replace(lower({column.key}), '[^\\p{{L}}\\p{{N}}]+', '', 'g') AS v
            FROM typed WHERE length({column.key}) > 15) WHERE hash(v) % {step} = 0"""
        )
        if same - kinds <= max(5, 0.005 * same):
            continue
        yield Finding(
            "repeated text",
            "warning",
            [column.name],
            f"{column.name}: {share_of(same - kinds, same)} of its texts repeat another one, "
            f"{raw - kinds:,} of them but for case or signs.",
            "Keep one of each, or keep copies on the same side of the split.",
            {"rows": (same - kinds) * step, "share": (same - kinds) / same},
        )


def near_duplicates(look: Look) -> Iterator[Finding]:
    """Rows that differ from another in one column only, where that is no chance."""
    columns = [each for each in _content(look) if each is not look.target]
    rows = min(look.table.rows, _COMPARED)
    if rows < 20 or not 4 <= len(columns) <= 200:
        return
    keys = [each.key for each in columns]
    hashes = ", ".join(
        f"CAST(hash({key}) >> 12 AS BIGINT) + {n} * CAST(hash({key}) >> 40 AS BIGINT) AS h{n}"
        for n, key in enumerate(keys)
    )
    # Rows of which most fields hold the usual value are alike by nature: nothing was sold, nothing happened.
    usual = ", ".join(f"mode({key}) AS m{n}" for n, key in enumerate(keys))
    unusual = " + ".join(f"coalesce({key} <> m{n}, false)::INTEGER" for n, key in enumerate(keys))
    least = max(3, 0.4 * len(keys))
    # A sum of hashes less one of them is the hash of all others.
    whole = " + ".join(f"CAST(h{n} AS HUGEINT)" for n in range(len(keys)))
    look.run(
        f"""CREATE OR REPLACE TEMP TABLE hashed AS WITH t AS (SELECT * FROM typed LIMIT {rows}),
        m AS (SELECT {usual} FROM t)
        SELECT *, {whole} AS h FROM (SELECT {hashes} FROM t, m WHERE {unusual} >= {least})"""
    )
    total = sum(_bits(each) for each in columns)
    worst: tuple[int, Column] | None = None
    for n, column in enumerate(columns):
        if total - _bits(column) < 2 * log2(rows) + 6:
            continue
        [(near,)] = look.run(
            "SELECT coalesce(sum(n) FILTER (n > 1 AND d > 1), 0) FROM (SELECT count(*) AS n, "
            f"count(DISTINCT h{n}) AS d FROM hashed GROUP BY h - h{n})"
        )
        if near > max(5, 0.01 * rows) and (worst is None or near > worst[0]):
            worst = (near, column)
    if worst:
        near, column = worst
        yield Finding(
            "near-duplicates",
            "warning",
            [column.name],
            f"{near:,} of {rows:,} rows equal another one in everything but {column.name}.",
            "See whether they are one case, written down twice; if so keep one, or keep them on the same "
            "side of the split.",
            {"rows": near, "of": rows, "differ_in": column.name},
        )
