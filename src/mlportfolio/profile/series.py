"""Whether the rows are a series: one value a step of time."""

from mlportfolio.profile.findings import Look

_STEPS = [
    (1, "second"),
    (60, "minute"),
    (3600, "hour"),
    (86_400, "day"),
    (604_800, "week"),
    (2_629_746, "month"),
    (7_889_238, "quarter"),
    (31_556_952, "year"),
]
_LONG = 50  # rows of a series that is worth a forecast, where there are many
_REGULAR = 0.9  # share of steps of one length


def forecast(look: Look) -> str:
    """Why the target is a series to forecast; empty where it is none."""
    if not look.time or not look.task or look.task.kind != "regression":
        return ""
    column = next(each for each in look.columns if each.name == look.time["by"])
    group = look.series or next(
        (each for each in look.columns if look.group and each.name == look.group["by"]), None
    )
    key = f"epoch({column.key})" if column.kind == "time" else f"{column.key} * 31556952"
    [(steps, usual, share, ties)] = look.run(
        f"""WITH t AS (SELECT {key} AS x, {group.key if group else 0} AS g FROM typed
        WHERE {column.key} IS NOT NULL),
        d AS (SELECT x - lag(x) OVER (PARTITION BY g ORDER BY x) AS s FROM t),
        u AS (SELECT median(s) AS m FROM d WHERE s > 0)
        SELECT count(s), any_value(m), count(*) FILTER (abs(s - m) <= 0.12 * m) / count(*),
        count(*) FILTER (s = 0) / count(*) FROM d, u WHERE s IS NOT NULL"""
    )
    if group and column.filled < _LONG * group.distinct:
        return ""
    if not steps or steps < 20 or share < _REGULAR or ties > 0.02:
        return ""
    seconds, unit = max((each for each in _STEPS if each[0] <= 1.12 * usual), default=_STEPS[0])
    many = round(usual / seconds)
    step = f"every {many} {unit}s" if many > 1 else f"every {unit}"
    whose = f" of each {group.name}" if group else ""
    return (
        f"numbers in even steps of time, one row{whose} {step}: what comes next is to be told from what was"
    )
