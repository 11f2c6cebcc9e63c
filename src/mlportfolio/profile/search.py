"""All searches of a table, in one list, the gravest finding first."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from mlportfolio.profile.copies import duplicates, near_duplicates, repeated_texts
from mlportfolio.profile.fields import (
    ids,
    missing_codes,
    personal,
    ranges,
    spellings,
    twins,
    useless,
    written,
)
from mlportfolio.profile.findings import SHOWN, Finding, Look, some
from mlportfolio.profile.leaks import leaks, sums
from mlportfolio.profile.rows import groups, time_order, weights
from mlportfolio.profile.sample import target

_GRAVE = [
    ("leak", "leak by missing values", "leak by arithmetic", "missing with the target", "known later"),
    ("duplicates", "near-duplicates", "repeated text", "group", "time order", "series"),
    ("target missing", "rare class", "small sample", "more columns than the rows bear", "weight"),
    ("personal data", "missing code", "zero for missing", "impossible"),
]


def search(look: Look) -> list[Finding]:
    """Search a table for everything that is known to go wrong."""
    found = [*written(look), *missing_codes(look), *useless(look), *ids(look), *personal(look)]
    found += [*ranges(look), *spellings(look), *twins(look)]
    found += [*duplicates(look), *near_duplicates(look), *repeated_texts(look)]
    found += [*time_order(look), *groups(look), *weights(look)]
    if look.task:
        found += [*leaks(look), *target(look), *sums(look)]
    found = list(_merged(found))
    return sorted(found, key=lambda each: (each.level != "warning", *_gravity(each.code)))


def _gravity(code: str) -> tuple[int, int]:
    """What comes first: what makes a score a lie, then what makes it weak, then what is merely untidy."""
    for place, codes in enumerate(_GRAVE):
        if code in codes:
            return place, codes.index(code)
    return len(_GRAVE), 0


def _merged(found: Iterable[Finding]) -> Iterator[Finding]:
    """Say of many columns at once what is the same of each, as a table of 750 has much to say."""
    same: defaultdict[str, list[Finding]] = defaultdict(list)
    for each in found:
        same[each.code].append(each)
    for code, group in same.items():
        if len(group) <= SHOWN or code == "leak":
            yield from group
            continue
        yield from group[: SHOWN - 1]
        rest = group[SHOWN - 1 :]
        columns = [column for each in rest for column in each.columns]
        more = Finding(
            code,
            rest[0].level,
            columns,
            f"The same of {len(rest)} more: {some(columns)}.",
            rest[0].proposal if len({each.proposal for each in rest}) == 1 else "Decide as for those above.",
            {"columns": {each.columns[0]: each.evidence for each in rest if each.columns}},
        )
        actions = [each.action for each in rest]
        if all(set(each) == {"exclude"} for each in actions):
            more.action = {"exclude": [name for each in actions for name in each["exclude"]]}
        elif all(set(each) == {"missing"} for each in actions):
            more.action = {"missing": {k: v for each in actions for k, v in each["missing"].items()}}
        yield more
