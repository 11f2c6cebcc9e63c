"""Fields that give the answer away: near-perfect alone, filled in for one class, known only afterwards."""

import operator
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from math import isfinite, log
from typing import Any

from mlportfolio.profile.columns import Column, batches
from mlportfolio.profile.findings import Finding, Look, numeric_sql, share_of, some
from mlportfolio.profile.kinds import TIME_WORDS, YEAR_WORDS
from mlportfolio.profile.names import words

LEAK = 0.98  # AUC, mean recall or R² of one field alone that is too good
_CELLS = 600_000  # cells that are looked at
_ROWS = 20_000
_SURE = 1e-6  # chance of what is reported as evidence, over all columns
_LATER = {  # words in a name, by what they say
    "an outcome": "outcome",
    "a result": "result resultado",
    "a final state": "final",
    "an end": "closed closing close cierre end ended fin",
    "a resolution": "resolution resolved",
    "a discharge": "discharge discharged",
    "a cancellation": "cancelled canceled cancellation cancelacion",
    "a leaving": "baja churned",
    "a refund": "refund refunded",
    "a return": "returned",
    "a recovery": "recovered recoveries",
    "a collection": "collected",
    "a settlement": "settled settlement",
    "a payment": "paid pagado",
    "what really happened": "actual",
    "what comes after": "after post later",
    "how long it took": "duration duracion",
    "an exit": "exit",
    "a death": "death died",
    "a decision": "approved decision",
    "a delivery": "delivered delivery",
    "a completion": "completed finished",
    "a verdict": "verdict",
    "a chargeback": "chargeback",
    "who won": "winner",
    "an arrival": "arrival",
}
_AFTER = {word: said for said, listed in _LATER.items() for word in words(listed)}


def leaks(look: Look) -> Iterator[Finding]:
    """Fields that tell the target too well, or by their name too late."""
    task = look.task
    if not task:
        return
    for column, figures in _filled_for_one(look):
        yield Finding(
            "leak by missing values",
            "warning",
            [column.name],
            figures.pop("message"),
            "Find out when it is filled in: if only after the outcome, leave it out, and whether it "
            "is missing too.",
            figures,
            {"exclude": [column.name]},
        )
    yield from _missing_together(look)
    alone = dict(_alone(look))
    reported: set[int] = set()
    for place, (score, name, sure) in alone.items():
        column = look.columns[place]
        if score >= LEAK and sure and column.kind != "id":
            reported.add(place)
            yield Finding(
                "leak",
                "warning",
                [column.name],
                f"{column.name} alone tells {task.target.name} nearly perfectly: {name} {score:.3f}.",
                "Ask how it comes into the table: if it is known only afterwards, or made from the "
                "answer, leave it out.",
                {name: score},
                {"exclude": [column.name]},
            )
    mine = (
        {word for word in words(task.target.name) if len(word) > 2}
        - TIME_WORDS
        - YEAR_WORDS
        - set(words("is has the of de next total class target label other rate method type mean max min"))
    )
    for column in look.fields:
        if column.place in reported or column.kind == "empty":
            continue
        after = [word for word in words(column.name) if _AFTER.get(word)]
        derived = (
            sorted(mine & column.words)
            if task.kind == "regression" or len(mine & column.words) == len(mine)
            else []
        )
        score, name, _ = alone.get(column.place, (0.0, "", False))
        figure = f" (alone: {name} {score:.2f})" if name and score > 0.6 else ""
        if after:
            yield Finding(
                "known later",
                "note" if score < 0.75 else "warning",
                [column.name],
                f"{column.name}: the name says {_AFTER[after[0]]}, which may be known only after "
                f"the decision{figure}.",
                "Leave it out unless it is known when the prediction is made.",
                {"word": after[0]} | ({name: score} if name else {}),
                {"ask": "known when the prediction is made?"},
            )
        elif derived and score > 0.6:
            yield Finding(
                "named after the target",
                "note",
                [column.name],
                f"{column.name} has {', '.join(derived)} in its name, as the target has{figure}.",
                "Leave it out if it is made from the target, or measured with it.",
                {"words": derived, name: score},
                {"ask": "known when the prediction is made?"},
            )


def _filled_for_one(look: Look) -> Iterator[tuple[Column, dict[str, Any]]]:  # noqa: C901
    """Fields that have a value, or none, for one class only, beyond chance."""
    task, target = look.task, look.target
    if not task or not target:
        return
    able = [
        each
        for each in look.columns
        if each is not target and 0 < each.missing < look.table.rows and each.kind != "empty"
    ]
    for batch in batches(able):
        if task.classifies:
            counts = ", ".join(f"count({each.key})" for each in batch)
            rows = look.run(
                f"SELECT CAST({target.key} AS VARCHAR) AS y, count(*), {counts} FROM typed WHERE "
                f"{target.key} IS NOT NULL GROUP BY 1"
            )
            total = sum(row[1] for row in rows)
            for number, column in enumerate(batch):
                filled = {row[0]: row[2 + number] for row in rows}
                blank = {row[0]: row[1] - row[2 + number] for row in rows}
                for part, how in ((filled, "has a value"), (blank, "is missing")):
                    size = sum(part.values())
                    label = max(part, key=lambda key: part[key])
                    base = next(row[1] for row in rows if row[0] == label) / total
                    purity = part[label] / size if size else 0.0
                    if size < 10 or purity < 0.95 or base > 0.995:
                        continue
                    if (
                        _surprise(purity, base, size) < -log(_SURE / len(look.columns))
                        or (1 - purity) > (1 - base) / 4
                    ):
                        continue
                    yield (
                        column,
                        {
                            "message": f"{column.name} {how} in {size:,} rows, and "
                            f"{share_of(part[label], size)} of these are {target.name} = {label!r}; "
                            f"of all rows {share_of(base, 1)} are.",
                            "rows": size,
                            "class": label,
                            "share": purity,
                            "share_of_all": base,
                        },
                    )
                    break
        else:
            value = numeric_sql(target)
            wanted = ", ".join(
                f"avg({value}) FILTER ({each.key} IS NULL), avg({value}) FILTER ({each.key} IS NOT "
                f"NULL), count(*) FILTER ({each.key} IS NULL)"
                for each in batch
            )
            [row] = look.run(
                f"SELECT var_pop({value}), count(*), {wanted} FROM typed WHERE {target.key} IS NOT NULL"
            )
            whole, count = row[:2]
            for number, column in enumerate(batch):
                blank_mean, mean, blank_rows = row[2 + 3 * number : 5 + 3 * number]
                if blank_mean is None or mean is None or not whole:
                    continue
                share = blank_rows / count
                explained = share * (1 - share) * (mean - blank_mean) ** 2 / whole
                if explained > 0.3 and min(blank_rows, count - blank_rows) >= 10:
                    yield (
                        column,
                        {
                            "message": f"Whether {column.name} is missing tells much of "
                            f"{target.name}: its mean is {blank_mean:.4g} without and {mean:.4g} "
                            "with a value.",
                            "explained": explained,
                            "mean_without": blank_mean,
                            "mean_with": mean,
                        },
                    )


def _missing_together(look: Look) -> Iterator[Finding]:
    """Fields that are missing where the target is: they are written down with it."""
    task, target = look.task, look.target
    if not task or not target or task.dropped < 10:
        return
    able = [each for each in look.fields if 0 < each.missing < 2 * task.dropped]
    together: list[Column] = []
    for batch in batches(able):
        counts = ", ".join(f"count(*) FILTER ({each.key} IS NULL AND {target.key} IS NULL)" for each in batch)
        [row] = look.run(f"SELECT {counts} FROM typed")
        for column, both in zip(batch, row, strict=True):
            chance = task.dropped * column.missing / look.table.rows
            if both > 0.8 * task.dropped and both > 0.8 * column.missing and both > 2 * chance:
                together.append(column)
    if together:
        names = [each.name for each in together]
        yield Finding(
            "missing with the target",
            "warning",
            names,
            f"{some(names)} {'is' if len(names) == 1 else 'are'} missing in the same rows as {target.name}, "
            "so probably written down with it or after it.",
            "Leave out those that are not known when the prediction is made.",
            {"rows": task.dropped},
            {"ask": "known when the prediction is made?"},
        )


def _surprise(purity: float, base: float, size: int) -> float:
    """How unlikely a share is by chance: the exponent of Chernoff's bound, in nats."""
    result = purity * log(purity / base) if purity else 0.0
    if purity < 1:
        result += (1 - purity) * log((1 - purity) / (1 - base))
    return size * result


def _alone(look: Look) -> Iterator[tuple[int, tuple[float, str, bool]]]:
    """For each field how well it tells the target alone, and whether beyond chance."""
    task, target = look.task, look.target
    if not task or not target:
        return
    fields = [each for each in look.fields if each.kind != "text" or each.distinct < 0.5 * each.filled]
    size = max(2000, min(_ROWS, _CELLS // max(len(fields), 1)))
    if task.classifies:
        kept = (
            f"row_number() OVER (PARTITION BY {target.key} ORDER BY hash(rowid)) <= "
            f"{max(200, size // len(task.classes))}"
        )
    else:
        kept = f"hash(rowid) % {max(1, look.table.rows // size)} = 0"
    keep = f"QUALIFY {kept}" if task.classifies else f"AND {kept}"
    look.run(
        "CREATE OR REPLACE TEMP TABLE chosen AS SELECT *, (hash(rowid, 7) % 2) AS fold FROM typed "
        f"WHERE {target.key} IS NOT NULL {keep}"
    )
    truth = f"CAST({target.key} AS VARCHAR)" if task.classifies else numeric_sql(target)
    for column in fields:
        numeric = column.kind in {"number", "time"}
        value = numeric_sql(column) if numeric else f"CAST({column.key} AS VARCHAR)"
        if column.unique and not numeric:
            continue
        rows = look.run(f"SELECT {value}, {truth}, fold FROM chosen WHERE {column.key} IS NOT NULL")
        if len(rows) < 20 or len(rows) < 0.2 * min(task.rows, size) or len({row[1] for row in rows}) < 2:
            continue
        if not task.classifies:
            yield (
                column.place,
                _explained(rows, numeric=numeric, time=column.kind == "time" or column.form == "year"),
            )
        elif task.kind == "binary":
            yield column.place, _ranked(rows, numeric=numeric, positive=task.rarest[0])
        else:
            yield column.place, _recalled(rows, numeric=numeric)


_Rows = list[tuple[Any, Any, int]]


def _binned(rows: _Rows, bins: int) -> list[tuple[Any, Any, int]]:
    """Rows with the number replaced by the number of its bin; equal numbers share one."""
    ordered = sorted(row[0] for row in rows)
    edges = sorted({ordered[len(ordered) * n // bins] for n in range(1, bins)})
    if len(set(ordered)) <= 4 * bins:
        return rows

    return [(bisect_right(edges, x), y, fold) for x, y, fold in rows]


def _ranked(rows: _Rows, *, numeric: bool, positive: str) -> tuple[float, str, bool]:
    marked = [(x, y == positive, fold) for x, y, fold in rows]
    good = sum(y for _, y, _ in marked)
    bad = len(marked) - good
    if not good or not bad:
        return 0.0, "AUC", False
    base = good / len(marked)
    counts: defaultdict[tuple[int, Any], list[int]] = defaultdict(lambda: [0, 0])
    binned = _binned(marked, 30) if numeric else marked
    for x, y, fold in binned:
        counts[fold, x][0] += 1
        counts[fold, x][1] += y

    def rate(x: Any, fold: int) -> float:
        seen, hits = counts.get((1 - fold, x), (0, 0))
        return float((hits + base) / (seen + 1))

    score = _auc([(rate(x, fold), y) for x, y, fold in binned])
    if numeric:
        plain = _auc([(x, y) for x, y, _ in marked])
        score = max(score, plain, 1 - plain)
    error = ((good + bad + 1) / (12 * good * bad)) ** 0.5
    return score, "AUC", (score - 0.5) / error > 6 and min(good, bad) >= 10


def _auc(scored: list[tuple[float, bool]]) -> float:
    """Area under the ROC curve, ties counted half."""
    scored.sort(key=lambda each: each[0])
    good = sum(y for _, y in scored)
    bad = len(scored) - good
    below = total = 0.0
    place = 0
    while place < len(scored):
        end = place
        hits = 0
        while end < len(scored) and scored[end][0] == scored[place][0]:
            hits += scored[end][1]
            end += 1
        misses = end - place - hits
        total += hits * (below + misses / 2)
        below += misses
        place = end
    return total / (good * bad) if good and bad else 0.5


def _recalled(rows: _Rows, *, numeric: bool) -> tuple[float, str, bool]:
    """Mean recall over the classes, where each value stands for the class that is most frequent with it."""
    binned = _binned(rows, 30) if numeric else rows
    counts: defaultdict[tuple[int, Any], Counter[Any]] = defaultdict(Counter)
    for x, y, fold in binned:
        counts[fold, x][y] += 1
    best = {key: max(sorted(seen), key=seen.__getitem__) for key, seen in counts.items()}
    hits: Counter[Any] = Counter()
    total: Counter[Any] = Counter()
    for x, y, fold in binned:
        total[y] += 1
        hits[y] += best.get((1 - fold, x)) == y
    large = [label for label, count in total.items() if count >= 10]
    if len(large) < 2:
        return 0.0, "mean recall", False
    return sum(hits[y] / total[y] for y in large) / len(large), "mean recall", len(rows) >= 50


def _explained(rows: _Rows, *, numeric: bool, time: bool) -> tuple[float, str, bool]:
    rows = [row for row in rows if row[1] is not None and isfinite(row[1])]
    if len(rows) < 20 or time:
        return 0.0, "R²", False
    score = 0.0
    mean = sum(y for _, y, _ in rows) / len(rows)
    whole = sum((y - mean) ** 2 for _, y, _ in rows)
    if not whole:
        return 0.0, "R²", False
    if numeric:
        straight = _correlation([(x, y) for x, y, _ in rows]) ** 2
        ranks = (
            _correlation(
                list(zip(_ranks([x for x, _, _ in rows]), _ranks([y for _, y, _ in rows]), strict=True))
            )
            ** 2
        )
        score = max(straight, ranks if ranks > 0.999 else 0.0)
    else:
        sums: defaultdict[tuple[int, Any], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for x, y, fold in rows:
            sums[fold, x][0] += 1
            sums[fold, x][1] += y
        error = 0.0
        for x, y, fold in rows:
            seen, total = sums.get((1 - fold, x), (0.0, 0.0))
            error += (y - (total / seen if seen else mean)) ** 2
        score = 1 - error / whole
    return max(score, 0.0), "R²", len(rows) >= 30


def _ranks(values: list[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    place = 0
    while place < len(order):
        end = place
        while end < len(order) and values[order[end]] == values[order[place]]:
            end += 1
        for each in order[place:end]:
            ranks[each] = (place + end - 1) / 2
        place = end
    return ranks


def _correlation(pairs: Sequence[tuple[float, float]]) -> float:
    count = len(pairs)
    mean_x = sum(x for x, _ in pairs) / count
    mean_y = sum(y for _, y in pairs) / count
    xx = sum((x - mean_x) ** 2 for x, _ in pairs)
    yy = sum((y - mean_y) ** 2 for _, y in pairs)
    if not xx or not yy or not isfinite(xx) or not isfinite(yy):
        return 0.0
    return float(sum((x - mean_x) * (y - mean_y) for x, y in pairs) / (xx * yy) ** 0.5)


def sums(look: Look) -> Iterator[Finding]:
    """A target that is the sum, difference or product of two fields is no secret."""
    task, target = look.task, look.target
    if not task or not target or task.classifies or target.distinct < 10:
        return
    able = [
        each
        for each in look.fields
        if each.kind == "number" and each.distinct > 5 and each.filled > 0.5 * task.rows
    ][:60]
    if len(able) < 2:
        return
    keys = ", ".join(each.key for each in able)
    rows = look.run(
        f"SELECT {numeric_sql(target)}, {keys} FROM typed WHERE {target.key} IS NOT NULL ORDER BY "
        "hash(rowid) LIMIT 300"
    )
    close = min(0.006, (target.deviation or 0.0) / 200)  # cents are rounded
    for one, other in combinations(range(1, len(able) + 1), 2):
        for way, first, second in (
            *(("plus", one, other), ("times", one, other), ("minus", one, other), ("minus", other, one)),
            *(("divided by", one, other), ("divided by", other, one)),
        ):
            share, checked = _equal(rows, way, first, second, close)
            if share < 0.97 or checked < 20:
                continue
            names = [able[first - 1].name, able[second - 1].name]
            yield Finding(
                "leak by arithmetic",
                "warning",
                names,
                f"{target.name} is {names[0]} {way} {names[1]} in {share_of(share, 1)} of rows.",
                "Leave out those that are not known when the prediction is made; then one of them may be the "
                "better target.",
                {"rows": checked, "share": share},
                {"exclude": names},
            )


_WAYS = {"plus": operator.add, "minus": operator.sub, "times": operator.mul, "divided by": operator.truediv}


def _equal(rows: list[tuple[Any, ...]], way: str, a: int, b: int, close: float) -> tuple[float, int]:
    """In how many rows two fields make the first one; those that add or take nothing do not count."""
    checked = hits = 0
    for row in rows:
        if not row[a] or not row[b] or (row[b] == 1 and way in {"times", "divided by"}):
            continue
        checked += 1
        hits += abs(_WAYS[way](row[a], row[b]) - row[0]) <= close + 1e-6 * abs(row[0])
        if checked - hits > 9:
            return 0.0, checked
    return hits / max(checked, 1), checked
