"""What the guide advises while the problem is being framed.

Advice is said once and binds nobody: a learner may have a reason that no rule knows.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# What so many portfolios hold already that one more says nothing about its author.
WORN_OUT = {
    "house prices": r"(house|housing|home) (sale )?prices?|(boston|california) housing",
    "MNIST": r"mnist|handwritten digits?",
    "CIFAR": r"cifar(-?100?)?",
    "the Titanic": r"titanic",
    "Iris": r"iris",
    "wine quality": r"wine quality|quality of wines?",
    "penguins": r"penguins?",
    "stock prices": r"stocks? (price|market)s?|(price|value)s? of stocks?",
    "cats and dogs": r"cats? (and|or|vs\.?|versus) dogs?",
    "film reviews": r"imdb|(movie|film) reviews?",
    "spam": r"spam",
    "the Pima diabetes table": r"pima|diabetes dataset",
}

# Answers in which a worn-out problem would show. Anybody may be called Iris.
_FRAME = ("decision", "prediction", "success", "problem_statement", "project_name", "project_slug")

METRICS_BLIND_TO_COSTS = {
    "accuracy": "weighs every mistake the same",
    "roc_auc": "weighs all thresholds alike",
}

# Words that set a moment later than the decision: "after landing", "when it arrives", "once they have paid".
# What follows a clock time is no such moment: "departs after 18:00".
_EVENTS = (
    r"(land(s|ed|ing)?\b|arriv|happen|end(s|ed|ing)?\b|complet|finish|clos|churn|default|fail|return|paid"
    r"|deliver|discharg|over\b|known|fact\b"
)
_TOO_LATE = {
    "prediction": rf"\b(after|once|when|as soon as|upon)\b(?!\s*\d)[^,;.]{{0,40}}?\b{_EVENTS})\w*",
    "decision_time": rf"\b(after|once|when|as soon as|at|upon|on|following)\b(?!\s*\d)[^,;.]{{0,40}}?"
    rf"\b{_EVENTS}|depart|take[ -]?off|took off)\w*"
    r"|\bduring (the|its|a) (flight|journey|trip|stay|loan|event)\b"
    r"|\b(minute|hour|day|night|week|month|year)s? (later|afterwards)\b",
}

# Whose moments these are, if not those of the case that is decided about: "at closing time of the desk".
_OTHERS = (
    r"(desk|office|shop|counter|shift|booking|check-?in|day|morning|evening|week|month|quarter|year|inbound"
    r"|incoming|previous|earlier|passengers?)\b"
)


@dataclass(frozen=True)
class Remark:
    """One piece of advice.

    Attributes:
        key: The question whose answer could be changed.
        topic: What it is about; a topic is raised once, however often it shows.
        text: The advice.
    """

    key: str
    topic: str
    text: str


def remarks(answers: Mapping[str, Any], key: str) -> Iterator[Remark]:
    """What the guide has to say once `key` has been answered; `answers` holds it and those before."""
    yield from _worn_out(answers, key)
    yield from _blind_metric(answers, key)
    yield from _known_too_late(answers, key)
    yield from _not_the_domains(answers, key)


def _worn_out(answers: Mapping[str, Any], key: str) -> Iterator[Remark]:
    if key not in _FRAME:
        return
    text = str(answers[key]).replace("-", " ").replace("_", " ")
    for name, pattern in WORN_OUT.items():
        if re.search(rf"\b({pattern})\b", text, re.IGNORECASE):
            yield Remark(
                key,
                f"worn out: {name}",
                f"Many portfolios are about {name} already, so one more says little about you. "
                "A domain that you know something about gives an interview more to talk about.",
            )


def _blind_metric(answers: Mapping[str, Any], key: str) -> Iterator[Remark]:
    miss, alarm = answers.get("false_negative_cost"), answers.get("false_positive_cost")
    blind = METRICS_BLIND_TO_COSTS.get(answers.get("metric", ""))
    if key == "metric" and blind and miss and alarm and miss != alarm:
        yield Remark(
            key,
            "metric",
            f"You said that a miss costs {round(miss / alarm, 2):.12g} times a false alarm, "
            f"but {answers['metric']} {blind}; expected_cost follows from your two costs.",
        )


def _known_too_late(answers: Mapping[str, Any], key: str) -> Iterator[Remark]:
    if key not in _TOO_LATE:
        return
    # "two hours before the departure time" is in time: what follows "before" sets no later moment.
    text = re.sub(r"\b(before|prior to|ahead of)\b[^,;.]*", "", str(answers[key]), flags=re.IGNORECASE)
    named = (word for word in (answers.get("facts") or {}).get("known_later", ()) if _mentions(text, word))
    phrases = (
        found[0]
        for found in re.finditer(_TOO_LATE[key], text, re.IGNORECASE)
        if found[0].casefold().endswith(("later", "afterwards")) or not _is_anothers(text, found)
    )
    if late := next(named, None) or next(phrases, None):
        yield Remark(
            key,
            f"known too late: {key}",
            f'"{late}" becomes known only later. It may be what is predicted, but neither what it is '
            "predicted from nor the moment at which the prediction is needed.",
        )


def _is_anothers(text: str, found: re.Match[str]) -> bool:
    after = rf"( time)?( of)?( the| a| its)? {_OTHERS}"
    return bool(
        re.search(rf"\b{_OTHERS}", found[0], re.IGNORECASE)
        or re.match(after, text[found.end() :], re.IGNORECASE)
    )


def _mentions(text: str, word: str) -> bool:
    """Whether the text holds the word or its plural, however it is joined: air time, air-time, air_time."""
    pattern = r"[\s_-]+".join(map(re.escape, re.split(r"[\s_-]+", word)))
    return re.search(rf"(?<!scheduled )(?<!planned )\b{pattern}s?\b", text, re.IGNORECASE) is not None


def _not_the_domains(answers: Mapping[str, Any], key: str) -> Iterator[Remark]:
    if key not in _TOO_LATE:
        return
    own = (answers.get("facts") or {}).get("problem") or {}
    if own and _bare(answers[key]) != _bare(own[key]):
        yield Remark(
            key,
            "not the domain's",
            f"Reword freely, but the data and the features stay those of the domain: the code predicts "
            f"{own['prediction']}, as it can be known {own['decision_time']}.",
        )


def _bare(text: object) -> str:
    return " ".join(str(text).casefold().strip(" .").split())
