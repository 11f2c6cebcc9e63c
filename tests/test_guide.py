"""The guide speaks where it should, and only there."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlportfolio import guide
from mlportfolio.source import domains
from tests.conftest import REPOSITORY

FACTS = {"known_later": ["departure delay", "arr_delay", "departure time"]}


def said(key: str, **answers: Any) -> list[str]:
    return [remark.topic for remark in guide.remarks({"facts": FACTS, **answers}, key)]


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("Predicting house prices in Ames", "house prices"),
        ("boston-housing", "house prices"),
        ("MNIST digits", "MNIST"),
        ("Titanic survival", "Titanic"),
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
        ("prediction", "lateness from the departure delay"),
        ("prediction", "the class, given arr_delay"),
    ],
)
def test_known_too_late(key: str, answer: str) -> None:
    assert said(key, **{key: answer}) == ["known too late"]


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("decision_time", "two hours before the scheduled departure"),
        ("decision_time", "an hour before the departure time"),
        ("decision_time", "a day before it arrives"),
        ("prediction", "whether the flight is late"),
        ("success", "nobody is stranded after landing"),
    ],
)
def test_known_in_time(key: str, answer: str) -> None:
    assert said(key, **{key: answer}) == []


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
