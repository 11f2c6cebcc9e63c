"""docs/rubrics.md claims no file, folder or command that a fresh project does not have, and sums up right."""

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.template.conftest import Render

RUBRICS = (REPOSITORY / "docs" / "rubrics.md").read_text()
# What a run makes.
MADE = {"uv.lock", "params.json", "reports/monitoring.html", "reports/exploration.html"}


@pytest.fixture(scope="module")
def project(render: Render) -> Path:
    return render()


def test_what_is_named_is_there(project: Path) -> None:
    spans = set(re.findall(r"`([^`\n]+)`", RUBRICS)) - MADE
    files = {span for span in spans if "/" in span.rstrip("/") or "." in span or span.endswith("/")}
    files = {file for file in files if " " not in file and not file.startswith("/")}
    assert len(files) > 25
    assert sorted(file for file in files if not (project / file).exists()) == []

    targets = set(re.findall(r"^([a-z]+):", (project / "Makefile").read_text(), re.MULTILINE))
    wanted = {span.removeprefix("make ") for span in spans if span.startswith("make ")}
    assert len(wanted) > 5
    assert sorted(wanted - targets) == []


def test_the_sums_are_those_of_the_rows() -> None:
    """The title "MLOps Zoomcamp project: 33 of 33" or "Data: 6" sums up the rows below it."""
    sums = {}
    for title, body in re.findall(r"^##+ ([^\n]+)\n(.+?)(?=^##|\Z)", RUBRICS, re.MULTILINE | re.DOTALL):
        name, _, said = title.rpartition(": ")
        rows = re.findall(r"^\|[^|]+\| ([\d.]+)(?: of ([\d.]+))? \|", body, re.MULTILINE)
        if rows:
            sums[name] = sum(float(earned) for earned, _ in rows)
            best = sum(float(possible or 0) for _, possible in rows)
            assert said == (f"{sums[name]:g} of {best:g}" if best else f"{sums[name]:g}"), title
    sections = ("Data", "Model", "Infrastructure", "Monitoring")
    assert len(sums) == 2 + len(sections)
    assert f"## The ML Test Score: {min(sums[section] for section in sections):g}\n" in RUBRICS
