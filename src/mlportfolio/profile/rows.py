"""What rows have to do with each other: time, groups, weights."""

from collections.abc import Iterator
from typing import Any

from mlportfolio.profile.columns import Column
from mlportfolio.profile.fields import BIRTH
from mlportfolio.profile.findings import Finding, Look, escaped, numeric_sql, some
from mlportfolio.profile.kinds import ENTITY_WORDS, ID_WORDS, YEAR_WORDS
from mlportfolio.profile.names import words

_WEIGHTS = set(words("wt wgt fnlwgt pweight finalwgt perwt wtfinl aweight fweight ponderador hhwt"))
_HEAVY = {"weight", "weights", "peso", "ponderacion", "factor"}
_COUNTS = {"freq", "frequency", "frecuencia"}


def time_order(look: Look) -> Iterator[Finding]:
    """Which column orders the rows in time."""
    able = [
        each
        for each in look.fields
        if (each.kind == "time" and each.distinct > 2 and each.filled > 0.5 * look.table.rows)
        and not each.words & (BIRTH | {"expiry", "expires", "expiration", "vencimiento"})
    ]
    years = [
        each
        for each in look.fields
        if each.form == "year"
        and each.distinct >= 5
        and (set(words(each.name)) <= YEAR_WORDS | {"of", "de"} or not each.reading.integer)
        and each.filled > 0.9 * look.table.rows
    ]
    for column in able or years[:1]:
        first = able and column is min(able, key=lambda each: (_rank(each), each.missing, each.place))
        if able and not first:
            continue
        low, high = (
            (column.low[:10], column.high[:10])
            if column.kind == "time"
            else (f"{column.low:g}", f"{column.high:g}")
        )
        why = (
            f"rows carry a time, {column.name}, from {low} to {high}, and a model is used on what comes later"
        )
        look.time = {"by": column.name, "why": why}
        drift = _drift(look, column)
        message = f"{column.name} orders the rows in time, from {low} to {high}.{drift[0]}"
        yield Finding(
            "time order",
            "warning",
            [column.name],
            message,
            "Train on the earlier rows and test on the later ones; a random split would show the "
            "future to the model.",
            {"from": low, "to": high} | drift[1],
            {"split": {"kind": "time", "by": column.name}},
        )
        others = [each.name for each in able if each is not column]
        if others:
            yield Finding(
                "more times",
                "note",
                others,
                f"There are other times beside {column.name}: {some(others)}.",
                "Leave out those that lie after the decision; use the others as the time that has passed.",
                {},
            )
        return


def _rank(column: Column) -> int:
    name = column.words
    if name & set(
        words("end fin closed updated modified last actual until return delivery cierre baja exit")
    ):
        return 2
    return (
        0
        if name & set(words("created start date datetime timestamp time fecha order opened alta inicio ds"))
        else 1
    )


def _drift(look: Look, column: Column) -> tuple[str, dict[str, Any]]:
    """How the target differs between the first and the last fifth of the time."""
    target = look.target
    if not look.task or not target:
        return "", {}
    value = numeric_sql(target)
    share = ""
    if look.task.classifies:
        label = look.task.rarest[0]
        value = f"CASE WHEN CAST({target.key} AS VARCHAR) = '{escaped(label)}' THEN 1.0 ELSE 0.0 END"
        share = label
    key = f"epoch({column.key})" if column.kind == "time" else column.key
    [(low, high)] = look.run(
        f"SELECT approx_quantile({key}, 0.2), approx_quantile({key}, 0.8) FROM typed WHERE "
        f"{target.key} IS NOT NULL"
    )
    if low is None or low == high:
        return "", {}
    [(early, late)] = look.run(
        f"SELECT avg({value}) FILTER ({key} <= {low}), avg({value}) FILTER ({key} >= {high}) FROM "
        f"typed WHERE {target.key} IS NOT NULL"
    )
    if early is None or late is None:
        return "", {}
    name = f"The share of {share!r}" if share else f"The mean of {target.name}"
    form = "{:.1%}" if share else "{:.4g}"
    return (
        f" {name} is {form.format(early)} in the first fifth and {form.format(late)} in the last.",
        {"first_fifth": early, "last_fifth": late},
    )


def groups(look: Look) -> Iterator[Finding]:
    """Which column says that rows belong together."""
    rows = look.table.rows
    best: tuple[float, Finding, dict[str, Any]] | None = None
    for column in look.fields:
        if column.kind not in {"id", "category"} or column.unique or column.distinct < 2:
            continue
        named = bool(column.words & (ID_WORDS | ENTITY_WORDS)) or column.kind == "id"
        panel = _is_panel(look, column)
        if panel and not named and column.distinct < 20:
            yield _series(look, column)
            continue
        whole = column.distinct >= max(20, rows / 1000) and column.filled >= 0.9 * rows
        if column.filled < 1.05 * column.distinct or column.distinct < 3 or not (named or panel or whole):
            continue
        found = _group(look, column, named=named, panel=panel)
        if found and (best is None or found[0] > best[0]):
            best = found
    if best:
        look.group = best[2]
        yield best[1]


def _series(look: Look, column: Column) -> Finding:
    """Few things that are seen again and again: not one of them must be left out of training."""
    by = look.time["by"] if look.time else ""
    look.series = column
    return Finding(
        "series",
        "note",
        [column.name],
        f"Each of {column.distinct} values of {column.name} has one row for a value of {by}.",
        f"Take them as {column.distinct} series; what lies before is that of the same {column.name}.",
        {"series": column.distinct},
    )


def _group(
    look: Look, column: Column, *, named: bool, panel: bool
) -> tuple[float, Finding, dict[str, Any]] | None:
    step = max(1, look.table.rows // 200_000)
    others = [
        each
        for each in look.fields
        if each is not column
        and each.kind != "text"
        and each.distinct > 1
        and not each.unique
        and each.filled > 0.5 * column.filled
    ][:80]
    fixed = ", ".join(f"count(DISTINCT {each.key})" for each in others)
    where = f"WHERE {column.key} IS NOT NULL AND hash({column.key}) % {step} = 0"
    shares = ", ".join(
        f"avg(CASE WHEN d[{n + 1}] <= 1 THEN 1.0 ELSE 0.0 END) FILTER (n > 1)" for n in range(len(others))
    )
    listed = f", [{fixed}] AS d" if others else ""
    [(groups, most, several, *kept)] = look.run(
        f"SELECT count(*), max(n), coalesce(sum(n) FILTER (n > 1), 0){', ' if others else ''}{shares} FROM "
        f"(SELECT {column.key}, count(*) AS n{listed} FROM typed {where} GROUP BY 1)"
    )
    if not several or groups < 3:
        return None
    static = [
        each.name
        for each, share in zip(others, kept, strict=True)
        if share is not None and share > 0.98 and each.distinct > 1
    ]
    static = [name for name in static if not _coarse(look, name)]
    if not (named or panel) and len(static) < max(2, 0.25 * len(others)):
        return None
    agreement, lift = _agreement(look, column, where)
    if not (named or panel or static) and lift < 0.05:
        return None
    share = several * step / look.table.rows
    if share < (0.05 if named else 0.5):
        return None
    parts = [f"{column.filled:,} rows have {column.distinct:,} different values, one in up to {most:,} rows"]
    if static:
        parts.append(f"among these {some(static)} stay{'s' if len(static) == 1 else ''} the same")
    if panel and look.time:
        parts.append(f"each has one row for a value of {look.time['by']}")
    if agreement:
        parts.append(agreement)
    message = f"{column.name} repeats: {'; '.join(parts)}."
    why = f"{column.name} repeats across rows ({column.filled:,} rows of {column.distinct:,})"
    advice = f"Keep rows with the same {column.name} on one side of the split; leave it out of the features."
    if look.time:
        advice = f"Report the score also on a {column.name} that training has not seen."
    finding = Finding(
        "group",
        "warning",
        [column.name],
        message,
        advice,
        {"groups": column.distinct, "rows": column.filled, "most": most, "fixed": static, "lift": lift},
        ({} if look.time else {"split": {"kind": "group", "by": column.name}})
        | ({"exclude": [column.name]} if column.kind == "id" else {}),
    )
    score = (
        2.0 * named
        + 2.0 * panel
        + (column.kind == "id")
        + min(len(static), 10) / 5
        + lift
        - (groups < 20)
        - 0.001 * column.place
    )
    return score, finding, {"by": column.name, "why": why}


def _is_panel(look: Look, column: Column) -> bool:
    """Whether the same things are seen at several times: one row for each thing and time."""
    if not look.time or column.filled < 1.5 * column.distinct:
        return False
    time = next(each for each in look.columns if each.name == look.time["by"])
    [(rows, pairs, times)] = look.run(
        f"SELECT count(*), count(DISTINCT hash({column.key}, {time.key})), count(DISTINCT {time.key}) "
        f"FROM typed WHERE {column.key} IS NOT NULL AND {time.key} IS NOT NULL"
    )
    return bool(pairs >= 0.995 * rows and times <= rows / 1.5 and column.distinct <= rows / 3)


def _coarse(look: Look, name: str) -> bool:
    """Whether a column hardly varies, so that it would stay the same within any few rows."""
    column = next(each for each in look.columns if each.name == name)
    return bool(column.categories) and column.categories[0][1] > 0.9 * column.filled


def _agreement(look: Look, column: Column, where: str) -> tuple[str, float]:
    """How much more rows of one group agree in the target than any rows do."""
    target, task = look.target, look.task
    if not target or not task:
        return "", 0.0
    if task.classifies:
        [(agree, base)] = look.run(
            f"""WITH t AS (SELECT {column.key} AS g, CAST({target.key} AS VARCHAR) AS y FROM typed {where}
            AND {target.key} IS NOT NULL),
            c AS (SELECT g, y, count(*) AS n FROM t GROUP BY g, y),
            p AS (SELECT g, sum(n) AS m, sum(n * (n - 1)) AS same FROM c GROUP BY g),
            w AS (SELECT count(*) AS n, sum(count(*)) OVER () AS s FROM t GROUP BY y)
            SELECT sum(same) / nullif(sum(m * (m - 1)), 0), (SELECT sum(power(n / s, 2)) FROM w) FROM p"""
        )
        if agree is None or base is None or agree <= base + 0.02:
            return "", 0.0
        told = f"two rows with the same one agree in {target.name} in {agree:.0%} of cases"
        return f"{told}, any two rows in {base:.0%}", agree - base
    [(within, whole)] = look.run(
        f"""WITH t AS (SELECT {column.key} AS g, {numeric_sql(target)} AS y FROM typed {where}
        AND {target.key} IS NOT NULL)
        SELECT sum(v * n) / nullif(sum(n - 1), 0), (SELECT var_samp(y) FROM t) FROM
        (SELECT g, count(*) AS n, var_pop(y) AS v FROM t GROUP BY g HAVING count(*) > 1)"""
    )
    if within is None or not whole or within > 0.9 * whole:
        return "", 0.0
    return (
        f"among these {target.name} varies {within / whole:.0%} as much as over all rows",
        1 - within / whole,
    )


def weights(look: Look) -> Iterator[Finding]:
    """Columns that say how much a row counts."""
    for column in look.fields:
        if column.kind != "number" or column.negatives or column.low is None or column.mean is None:
            continue
        joined = "".join(words(column.name))
        frequency = (
            column.words & _COUNTS and column.reading.integer and column.place >= len(look.columns) - 2
        )
        others = [each for each in look.fields if each is not column]
        table = frequency and all(
            each.kind in {"category", "boolean", "id"} or each.distinct < 15 for each in others
        )
        heavy = column.words & _HEAVY and (
            column.words
            & set(words("sample sampling survey person household design muestral expansion case final pop"))
            or (
                column.words <= {"weight", "weights"}
                and not column.reading.integer
                and abs(column.mean - 1) < 0.05
            )
        )
        if table:
            yield Finding(
                "weight",
                "warning",
                [column.name],
                f"{column.name} counts how many cases a row stands for: "
                f"{column.mean * column.filled:,.0f} in {look.table.rows:,} rows.",
                "Use it as the weight of a row, in training and in every score; it is no feature.",
                {"sum": column.mean * column.filled},
                {"weight": column.name, "exclude": [column.name]},
            )
        elif (
            joined in _WEIGHTS
            or column.words & _WEIGHTS - {"wt"}
            or (column.words >= {"wt"} and column.distinct > 50 and column.mean > 100)
            or heavy
        ):
            yield Finding(
                "weight",
                "warning",
                [column.name],
                f"{column.name} looks like the weight of a row in a survey (mean {column.mean:g}).",
                "Use it as the weight of a row, in training and in every score; it is no feature.",
                {"mean": column.mean},
                {"weight": column.name, "exclude": [column.name]},
            )
