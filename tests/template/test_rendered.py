"""Every combination of answers gives a project that parses, is formatted, and tells of its problem."""

import ast
import json
import re
import subprocess
import tomllib
from itertools import combinations
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from allpairspy import AllPairs
from pytest_copie.plugin import Copie

from mlportfolio.source import declared
from tests.conftest import REPOSITORY, answers_of, assert_workflow, content_of
from tests.template.conftest import BIN, Render

# Answers that are typed, each with what could break it; answers that are chosen are all tried.
TYPED: dict[str, list[Any]] = {
    "project_name": ["Flight delay", "L'été à Orly & Cie", "¿Tarde? 100 % #1", "Ünïcøde — <wide> 飛行機"],
    "project_slug": ["flight-delay", "x1", "slug-" * 9 + "slugs"],
    "author_name": ["", "Ada Example", "Zoë O'Neill & Søn"],
    "false_negative_cost": [4, 0.5, 1_000_000],
    "false_positive_cost": [1, 0.5, 1_000_000],
    "decision_maker": ["an airline's connection desk", 'the "night" desk: Ångström & Søn'],
    "problem_statement": [
        "The desk decides.",
        'One line.\n\nAnother: 100 % of {braces}, `code`, | and \\ "quotes".',
    ],
}
QUESTIONS = {key: each for key, each in declared(REPOSITORY).items() if not each.computed}
CHOSEN = {key: list(each.choices) for key, each in QUESTIONS.items() if each.choices}
SWITCHED = {key: [True, False] for key, each in QUESTIONS.items() if each.type == "bool"}
VALUES = CHOSEN | SWITCHED | TYPED
# What is deployed is the container, so both are one: none, or one for no place, the first, all of them.
PLACES = VALUES.pop("deploy")
VALUES["container"] = [None, (), (PLACES[0],), tuple(PLACES)]

# A question with one choice has no pairs of its own: it takes that choice.
TRIED = {key: values for key, values in VALUES.items() if len(values) > 1}
ROWS = [dict(zip(TRIED, row, strict=True)) for row in AllPairs(list(TRIED.values()))]
FIXED = {key: values[0] for key, values in VALUES.items() if len(values) == 1}


def test_the_rows_hold_every_pair_of_answers() -> None:
    seen = {(a, row[a], b, row[b]) for row in ROWS for a, b in combinations(TRIED, 2)}
    wanted = {(a, x, b, y) for a, b in combinations(TRIED, 2) for x in TRIED[a] for y in TRIED[b]}
    assert seen == wanted
    assert {"tracking", "container", "ci", "licence", "metric"} <= set(TRIED)


@pytest.fixture(scope="module", params=ROWS, ids=range(len(ROWS)))
def project(request: pytest.FixtureRequest, render: Render) -> Path:
    answers = FIXED | request.param
    places = answers.pop("container")
    if places is None:
        return render(**answers, container=False)
    return render(**answers, container=True, deploy=list(places))


def texts(project: Path) -> dict[str, str]:
    """Every file that is text, by its relative path."""
    found = {}
    for name, (content, _) in content_of(project).items():
        if b"\0" not in content:
            found[name] = content.decode("utf-8")
    return found


def test_every_file_parses(project: Path) -> None:
    found = texts(project)
    for name, text in found.items():
        kind = name.rpartition(".")[2]
        if kind == "py":
            compile(text, name, "exec")
        elif kind == "toml":
            tomllib.loads(text)
        elif kind in {"yml", "yaml"}:
            assert list(yaml.safe_load_all(text)) != [], name
        elif kind == "json":
            json.loads(text)
    assert [name for name, text in found.items() if not text.strip()] == []


def test_ruff_finds_nothing(project: Path) -> None:
    for check in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [BIN / "ruff", *check, "--no-cache", project], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_answers_stand_where_they_are_read(project: Path) -> None:
    answers = answers_of(project)
    problem = (project / "src" / answers["package_name"] / "problem.py").read_text()
    for key in ("false_negative_cost", "false_positive_cost"):
        found = re.search(rf"{key.upper()} = (\S+)", problem)
        assert found
        assert float(found[1]) == answers[key]
    assert json.dumps(answers["project_name"], ensure_ascii=False) in problem
    readme = (project / "README.md").read_text()
    assert answers["project_name"] in readme
    assert answers["problem_statement"] in readme


def test_nothing_of_ours_is_left(project: Path) -> None:
    answers = set(map(str, answers_of(project).values()))
    found = texts(project)
    del found[".copier-answers.yml"]
    for name, text in found.items():
        lines = re.findall(r"^.*(?:<<|<%|<#|%>|#>).*$", text, re.MULTILINE)
        assert [line for line in lines if not any(answer and answer in line for answer in answers)] == [], (
            name
        )
        assert str(REPOSITORY) not in text, name
        assert str(project) not in text, name
        assert not re.search(r"<<|<%|\.jinja$", name)
    told = [
        name for name, text in found.items() for line in text.splitlines() if "mlportfolio" in line.lower()
    ]
    assert told == ["README.md"]


def test_default_project_is_about_its_problem(copie: Copie, template: Path) -> None:
    made = copie.copy(template_dir=template)

    assert made.exception is None
    project = made.project_dir
    assert project is not None
    assert set(made.answers) == set(QUESTIONS)
    names = set(content_of(project))
    assert {
        ".github/workflows/ci.yml",
        ".gitignore",
        "Dockerfile",
        "LICENSE",
        "Makefile",
        "README.md",
        "compose.yaml",
        "data/raw/SOURCE.md",
        "data/raw/flights.parquet",
        "docs/experiments.md",
        "docs/model_card.md",
        "sql/features.sql",
        "src/flight_delay/problem.py",
        "tests/conftest.py",
    } <= names
    metadata = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    assert metadata["name"] == "flight-delay"
    assert metadata["scripts"] == {"flight-delay": "flight_delay.cli:main"}
    assert metadata["license"] == "MIT"
    docstring = ast.get_docstring(ast.parse((project / "src/flight_delay/__init__.py").read_text()))
    assert docstring
    assert "facts" not in made.answers  # computed, and so never recorded


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        ("flight_delay", ["CC0", "public domain", "Bureau of Transportation Statistics"]),
        (
            "dengue_outbreak",
            ["Open Government Data License, version 1.0", "Taiwan Centers for Disease Control"],
        ),
    ],
)
def test_the_data_name_their_source(domain: str, said: list[str], render: Render) -> None:
    project = render(domain=domain)
    source = " ".join((project / "data/raw/SOURCE.md").read_text().split())
    assert [words for words in said if words not in source] == []
    tables = list((project / "data/raw").glob("*.parquet"))
    assert tables
    for table in tables:
        assert table.name in source


WORDS = {
    "flight_delay": r"flights?\b|airport|airline|\bplanes?\b|desk's|nycflights",
    "dengue_outbreak": r"dengue|township|mosquito|epidemic|taiwan",
}


@pytest.mark.parametrize("domain", WORDS)
def test_a_project_has_no_word_of_another_domain(domain: str, render: Render) -> None:
    assert set(WORDS) == set(QUESTIONS["domain"].choices)
    others = "|".join(words for name, words in WORDS.items() if name != domain)
    found = {
        name: re.findall(rf"^.*(?:{others}).*$", text, re.IGNORECASE | re.MULTILINE)
        for name, text in texts(render(domain=domain)).items()
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("answers", "gone"),
    [
        (
            {"container": False},
            {
                "Dockerfile",
                "compose.yaml",
                ".dockerignore",
                "deploy/vm/.gitignore",
                "deploy/vm/Caddyfile",
                "deploy/vm/README.md",
                "deploy/vm/compose.yaml",
                "deploy/vm/main.tf",
                "monitoring/alerts.yml",
                "monitoring/alerts_test.yml",
                "monitoring/grafana/dashboard.json",
                "monitoring/grafana/dashboards.yml",
                "monitoring/grafana/datasource.yml",
                "monitoring/prometheus.yml",
            },
        ),
        (
            {"ci": "none"},
            {".github/dependabot.yml", ".github/workflows/ci.yml", ".github/workflows/retrain.yml"},
        ),
        ({"licence": "none"}, {"LICENSE"}),
    ],
)
def test_a_part_left_out_leaves_no_trace(answers: dict[str, Any], gone: set[str], render: Render) -> None:
    full, project = render(), render(**answers)
    names = set(content_of(project))
    assert set(content_of(full)) - names == gone
    assert not names - set(content_of(full))


@pytest.mark.parametrize("place", PLACES)
def test_a_place_brings_its_folder_and_no_other(place: str, render: Render) -> None:
    project, none = render(deploy=[place]), render(deploy=[])
    names = set(content_of(project)) - set(content_of(none))
    assert {name.split("/")[:2] == ["deploy", place] for name in names} == {True}
    assert f"deploy/{place}/README.md" in names
    links = re.findall(r"\]\((deploy/[^)]*)\)", (project / "README.md").read_text())
    assert links == [f"deploy/{place}/README.md"]
    assert not (none / "deploy").exists()
    assert "deploy/" not in (none / "README.md").read_text()


def test_plain_files_need_no_mlflow(render: Render) -> None:
    project = render(tracking="files")
    told = {name for name, text in texts(project).items() if "mlflow" in text.lower()}
    # Git ignores it, tests are kept away from it, and it is named among packages without types.
    assert {name for name in told if not name.startswith("tests/")} <= {".gitignore", "pyproject.toml"}
    groups = tomllib.loads((project / "pyproject.toml").read_text())["dependency-groups"]
    assert not [name for group in groups.values() for name in group if "mlflow" in name]


@pytest.mark.parametrize("licence", ["MIT", "Apache-2.0"])
def test_the_licence_is_whole_and_names_its_owner(licence: str, render: Render) -> None:
    project = render(licence=licence, author_name="Zoë O'Neill")
    text = (project / "LICENSE").read_text()
    last, owned = {
        "MIT": ("OTHER DEALINGS IN THE SOFTWARE.", True),
        "Apache-2.0": ("limitations under the License.", False),  # word for word, as it must be
    }[licence]
    assert " ".join(text.split()).endswith(last)
    assert ("Zoë O'Neill" in text) == owned
    assert tomllib.loads((project / "pyproject.toml").read_text())["project"]["license"] == licence


@pytest.mark.parametrize(
    "answers",
    [{"project_slug": "Flight"}, {"package_name": "json"}, {"package_name": "class"}, {"project_slug": "uv"}],
)
def test_a_name_that_would_break_is_refused(answers: dict[str, str], render: Render) -> None:
    with pytest.raises(ValueError, match="Validation error"):
        render(**answers)


def test_nothing_in_the_template_needs_trust(template: Path, tmp_path: Path) -> None:
    questions = yaml.safe_load((template / "copier.yml").read_text())
    assert {"_tasks", "_migrations", "_jinja_extensions"}.isdisjoint(questions)
    # `render`, with which these tests work, would not have made a project from a template that does.
    (tmp_path / "t").mkdir()
    (tmp_path / "t/copier.yml").write_text("_tasks: [touch x]\n")
    with pytest.raises(copier.errors.UnsafeTemplateError):
        copier.run_copy(str(tmp_path / "t"), tmp_path / "p", defaults=True, quiet=True, unsafe=False)


@pytest.mark.parametrize("name", [".github/workflows/ci.yml", ".github/workflows/retrain.yml"])
def test_workflows_are_valid(name: str, render: Render) -> None:
    assert_workflow(render() / name)


@pytest.mark.parametrize("container", [True, False])
def test_what_is_used_is_kept_up_to_date(*, container: bool, render: Render) -> None:
    config = render(container=container) / ".github" / "dependabot.yml"
    schema = ("--builtin-schema", "vendor.dependabot")
    checked = subprocess.run(
        [BIN / "check-jsonschema", *schema, config], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    watched = [each["package-ecosystem"] for each in yaml.safe_load(config.read_text())["updates"]]
    assert watched == ["uv", "github-actions", *(["docker"] if container else [])]
