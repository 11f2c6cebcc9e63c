"""The names that a project must not take are Python's own lists."""

import keyword
import sys

import yaml

from tests.conftest import REPOSITORY

TAKEN = yaml.safe_load((REPOSITORY / "template/taken_names.yml").read_text())


def test_keywords() -> None:
    # None, True and False cannot be package names anyway: those are in lower case.
    assert {word for word in keyword.kwlist if word.islower()} <= set(TAKEN["keywords"])


def test_standard_library() -> None:
    # Names with an underscore in front cannot be package names either.
    assert {name for name in sys.stdlib_module_names if not name.startswith("_")} <= set(
        TAKEN["standard_library"]
    )


def test_no_list_holds_a_name_twice_or_out_of_order() -> None:
    for names in TAKEN.values():
        assert names == sorted(set(names))
