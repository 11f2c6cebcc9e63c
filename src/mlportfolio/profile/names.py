"""Names of columns: the words in them, and names that are safe in SQL and Python."""

import keyword
import re
import unicodedata
from collections.abc import Iterable

_LONGEST = 48
# Words that DuckDB, PostgreSQL or Spark reserve, and names that a table or a class would lose.
_RESERVED = {
    *keyword.kwlist,
    *("all", "and", "any", "asc", "between", "both", "by", "case", "cast", "check", "collate", "column"),
    *(
        "constraint",
        "create",
        "cross",
        "current_date",
        "current_time",
        "current_timestamp",
        "default",
        "desc",
    ),
    *("describe", "distinct", "do", "end", "except", "exists", "false", "fetch", "filter", "for", "foreign"),
    *(
        "full",
        "grant",
        "group",
        "having",
        "inner",
        "intersect",
        "interval",
        "into",
        "join",
        "lateral",
        "left",
    ),
    *("like", "limit", "natural", "not", "null", "offset", "on", "only", "or", "order", "outer", "overlaps"),
    *("pivot", "primary", "qualify", "references", "right", "select", "some", "summarize", "table", "then"),
    *(
        "to",
        "true",
        "union",
        "unique",
        "unpivot",
        "user",
        "using",
        "values",
        "when",
        "where",
        "window",
        "with",
    ),
    *("self", "model_config", "model_fields", "copy", "dict", "json", "schema", "construct", "validate"),
}


def plain(text: str) -> str:
    """The text without accents, in ASCII; what has no such form is left out."""
    text = text.replace("ß", "ss").replace("ø", "o").replace("æ", "ae").replace("ł", "l")
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def words(name: str) -> list[str]:
    """The words of a name, small and without accents: `fechaDeAlta` is fecha, de, alta."""
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", plain(name))
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", name)
    return re.findall(r"[a-z]+|\d+", name.lower())


def safe(names: Iterable[str]) -> list[str]:
    """A name for each, that SQL and Python take as it is: small letters, digits, `_`; no two are the same."""
    taken: set[str] = set()
    result = []
    for place, name in enumerate(names, 1):
        base = re.sub(r"[^a-z0-9]+", "_", plain(re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name)).lower())
        base = base.strip("_")[:_LONGEST].rstrip("_") or f"column_{place}"
        if base[0].isdigit():
            base = f"n_{base}"
        if base in _RESERVED:
            base += "_field"
        new, number = base, 2
        while new in taken:
            new, number = f"{base}_{number}", number + 1
        taken.add(new)
        result.append(new)
    return result
