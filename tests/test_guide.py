"""The guide speaks where it should, and only there."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlportfolio import guide
from mlportfolio.source import domains
from tests.conftest import REPOSITORY

FACTS = {"known_later": ["departure delay", "arr_delay", "departure time", "air time"]}


def said(key: str, **answers: Any) -> list[str]:
    return [remark.topic for remark in guide.remarks({"facts": FACTS, **answers}, key)]


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("Predicting house prices in Ames", "house prices"),
        ("boston-housing", "house prices"),
        ("MNIST digits", "MNIST"),
        ("Titanic survival", "the Titanic"),
        ("iris", "Iris"),
        ("Wine quality", "wine quality"),
        ("CIFAR-10", "CIFAR"),
        ("Palmer penguins", "penguins"),
        ("Stock price forecast", "stock prices"),
    ],
)
def test_worn_out_problem(name: str, topic: str) -> None:
    assert said("project_name", project_name=name) == [f"worn out: {topic}"]


@pytest.mark.parametrize("name", ["Flight delay", "Stockholm buses", "Irish rivers", "Housekeeping rota"])
def test_fresh_problem(name: str) -> None:
    assert said("project_name", project_name=name) == []


def test_nobody_is_told_that_her_name_is_worn_out() -> None:
    assert said("author_name", author_name="Iris Penguin") == []


@pytest.mark.parametrize(
    ("metric", "miss", "alarm", "speaks"),
    [
        ("accuracy", 4.0, 1.0, True),
        ("roc_auc", 1.0, 2.0, True),
        ("accuracy", 2.0, 2.0, False),
        ("expected_cost", 4.0, 1.0, False),
        ("expected_cost", 1.0, 1.0, False),
        ("average_precision", 4.0, 1.0, False),
    ],
)
def test_metric_against_costs(metric: str, miss: float, alarm: float, speaks: bool) -> None:  # noqa: FBT001
    found = list(
        guide.remarks({"metric": metric, "false_negative_cost": miss, "false_positive_cost": alarm}, "metric")
    )
    assert bool(found) is speaks
    if found:
        assert f"{miss / alarm:g} times" in found[0].text
        assert "expected_cost" in found[0].text


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("decision_time", "after landing"),
        ("decision_time", "when it arrives"),
        ("decision_time", "once the customer has churned"),
        ("decision_time", "at the departure time"),
        ("decision_time", "two hours after departure"),
        ("decision_time", "at departure"),
        ("decision_time", "after takeoff"),
        ("decision_time", "after take-off"),
        ("decision_time", "on arrival"),
        ("decision_time", "during the flight"),
        ("decision_time", "one day later"),
        ("decision_time", "after landing on the same day"),
        ("prediction", "lateness from departure delays"),
        ("prediction", "lateness, given the air-time"),
        ("prediction", "lateness from the departure delay"),
        ("prediction", "the class, given arr_delay"),
    ],
)
def test_known_too_late(key: str, answer: str) -> None:
    assert said(key, **{key: answer}) == [f"known too late: {key}"]


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("decision_time", "two hours before the scheduled departure"),
        ("decision_time", "an hour before the departure time"),
        ("decision_time", "a day before it arrives"),
        ("decision_time", "at closing time of the desk"),
        ("decision_time", "when the working day ends"),
        ("decision_time", "at 18:00 on the day of departure"),
        ("decision_time", "once the inbound aircraft has landed"),
        ("prediction", "whether a flight that departs after 18:00 arrives late"),
        ("prediction", "lateness from the scheduled departure time"),
        ("prediction", "whether the flight is late"),
        ("success", "nobody is stranded after landing"),
    ],
)
def test_known_in_time(key: str, answer: str) -> None:
    assert said(key, **{key: answer}) == []


def test_one_more_says_little() -> None:
    [remark] = guide.remarks({"project_name": "Titanic"}, "project_name")
    assert remark.text.startswith("Many portfolios are about the Titanic already, so one more says little")


def test_prediction_and_decision_time_are_questioned_each() -> None:
    topics = said("prediction", prediction="given arr_delay") + said(
        "decision_time", decision_time="on arrival"
    )
    assert len(set(topics)) == 2


def test_other_words_than_the_domains() -> None:
    facts = {"problem": {"prediction": "whether it rains", "decision_time": "at nine"}}
    [remark] = guide.remarks({"facts": facts, "prediction": "whether it snows"}, "prediction")
    assert "the code predicts whether it rains, as it can be known at nine" in remark.text
    assert list(guide.remarks({"facts": facts, "prediction": "Whether  it rains."}, "prediction")) == []
    [again] = guide.remarks({"facts": facts, "decision_time": "at ten"}, "decision_time")
    assert again.topic == remark.topic


@pytest.mark.parametrize("domain", domains(REPOSITORY))
def test_no_remark_on_what_a_domain_proposes(domain: str) -> None:
    facts = domains(REPOSITORY)[domain]
    answers = {"facts": facts, "project_name": facts["title"], **facts["problem"]}
    for key in answers:
        assert list(guide.remarks(answers, key)) == []


@given(st.sampled_from(["decision", "prediction", "decision_time", "project_name"]), st.text())
def test_any_text_is_fine(key: str, text: str) -> None:
    for remark in guide.remarks({key: text}, key):
        assert remark.key == key
        assert remark.text
