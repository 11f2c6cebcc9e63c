"""The names that a project must not take are Python's own lists, and what an installed project holds."""

import keyword
import re
import sys
import tomllib
from pathlib import Path

import yaml

from tests.conftest import REPOSITORY

TAKEN = yaml.safe_load((REPOSITORY / "template/taken_names.yml").read_text())

PACKAGE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def test_keywords() -> None:
    # None, True and False cannot be package names anyway: those are in lower case.
    assert {word for word in keyword.kwlist if word.islower()} <= set(TAKEN["keywords"])


def test_standard_library() -> None:
    # Names with an underscore in front cannot be package names either.
    assert {name for name in sys.stdlib_module_names if not name.startswith("_")} <= set(
        TAKEN["standard_library"]
    )
    assert "test" in TAKEN["standard_library"]  # sys.stdlib_module_names leaves it out


def test_no_list_holds_a_name_twice_or_out_of_order() -> None:
    for names in TAKEN.values():
        assert names == sorted(set(names))


def test_what_an_installed_project_holds(finished_project: Path) -> None:
    own = tomllib.loads((finished_project / "pyproject.toml").read_text())["project"]["name"]
    [site] = finished_project.glob(".venv/lib/python*/site-packages")
    entries = {
        path.name.partition(".")[0]
        for path in site.iterdir()
        if path.suffix in {".py", ".so"} or (path.is_dir() and "." not in path.name)
    }
    modules = {name for name in entries if PACKAGE.fullmatch(name)} - {own.replace("-", "_")}
    assert modules <= {*TAKEN["dependencies"], *TAKEN["standard_library"]}

    locked = tomllib.loads((finished_project / "uv.lock").read_text())["package"]
    distributions = {re.sub(r"[-_.]+", "-", each["name"]).lower() for each in locked} - {own}
    assert {name for name in distributions if SLUG.fullmatch(name)} <= set(TAKEN["distributions"])

    commands = {path.name for path in (finished_project / ".venv/bin").iterdir()} - {own}
    assert {name for name in commands if SLUG.fullmatch(name)} <= set(TAKEN["commands"])
