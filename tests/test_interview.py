"""The wizard, through real prompts; and what reaches it from flags and files."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.input.base import PipeInput
from prompt_toolkit.output import DummyOutput

from mlportfolio import cli
from mlportfolio.source import declared
from tests.conftest import REPOSITORY, Command, Result, answers_of, content_of, git

pytestmark = pytest.mark.usefixtures("home")

ENTER, UP, DOWN, CLEAR, CTRL_C, CTRL_D = "\r", "\x1b[A", "\x1b[B", "\x15", "\x03", "\x04"
FINISH = "\x1b\r"  # Esc, Enter: the end of a text of several lines
RECOMMENDED, CUSTOMISE = ENTER, DOWN + ENTER
TINY_PROBLEM = ENTER * 4 + "y" + ENTER  # prediction, two costs, metric; then the statement is fine
TINY_NAMES = ENTER * 2


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[PipeInput]:
    monkeypatch.setattr(cli, "_at_terminal", lambda: True)
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        yield pipe


@pytest.fixture
def typed(keys: PipeInput, command: Command, tiny: Path) -> Callable[..., Result]:
    """`typed(keys, *arguments)` answers the wizard on the tiny template."""

    def run(text: str, *arguments: str) -> Result:
        keys.send_text(text)
        return command("new", *arguments, "--template", str(tiny))

    return run


def test_recommended_takes_the_parts_as_they_are(typed: Callable[..., Result]) -> None:
    result = typed(RECOMMENDED + TINY_PROBLEM + TINY_NAMES + "y" + ENTER)
    assert result.code == 0, result.err
    answers = answers_of(Path("rain"))
    assert answers["container"] is True
    assert answers["workers"] == 2
    assert Path("rain/README.md").read_text() == "# RAIN\n\nPredict whether it rains.\n"
    assert "The parts" not in result.out
    assert "What is predicted" not in result.err
    for heading in ("The problem", "The names", "Your answers", "The same again, without questions"):
        assert heading in result.out


def test_customise_asks_the_parts(typed: Callable[..., Result]) -> None:
    result = typed(CUSTOMISE + TINY_PROBLEM + TINY_NAMES + "n" + ENTER + CLEAR + "8" + ENTER + "y" + ENTER)
    assert result.code == 0, result.err
    answers = answers_of(Path("rain"))
    assert answers["container"] is False
    assert answers["workers"] == 8
    assert "The parts" in result.out


def test_statement_is_composed_shown_and_edited(typed: Callable[..., Result]) -> None:
    problem = CLEAR + "whether it snows" + ENTER * 4
    result = typed(RECOMMENDED + problem + "n" + ENTER + " Really." + FINISH + TINY_NAMES + "y" + ENTER)
    assert result.code == 0, result.err
    assert "Predict whether it snows." in result.out
    assert answers_of(Path("rain"))["problem_statement"] == "Predict whether it snows. Really."


def test_guide_speaks_once_and_the_answer_can_be_kept(typed: Callable[..., Result]) -> None:
    names = CLEAR + "Titanic" + ENTER + ENTER + ENTER  # the name; keep it; the slug that follows
    result = typed(RECOMMENDED + TINY_PROBLEM + names + "y" + ENTER)
    assert result.code == 0, result.err
    assert result.out.count("A thought:") == 1
    assert answers_of(Path("titanic"))["project_name"] == "Titanic"


def test_guide_speaks_and_the_answer_can_be_changed(typed: Callable[..., Result]) -> None:
    accuracy = ENTER * 3 + DOWN * 2 + ENTER
    change = DOWN + ENTER + UP * 2 + ENTER  # change it, from one's own choice; the default this time
    result = typed(RECOMMENDED + accuracy + change + "y" + ENTER + TINY_NAMES + "y" + ENTER)
    assert result.code == 0, result.err
    assert "accuracy weighs every mistake the same" in result.out
    assert answers_of(Path("rain"))["metric"] == "expected_cost"


def test_changing_an_answer_begins_with_it(typed: Callable[..., Result]) -> None:
    names = CLEAR + "Titanic" + ENTER + DOWN + ENTER + " boats" + ENTER + ENTER
    result = typed(RECOMMENDED + TINY_PROBLEM + names + "y" + ENTER)
    assert result.code == 0, result.err
    assert answers_of(next(Path().iterdir()))["project_name"] == "Titanic boats"


def test_enter_after_no_answers_no_other_question(typed: Callable[..., Result]) -> None:
    result = typed(CUSTOMISE + TINY_PROBLEM + TINY_NAMES + "n" + ENTER + CLEAR + "5" + ENTER + ENTER)
    assert result.code == 0, result.err
    answers = answers_of(Path("rain"))
    assert (answers["container"], answers["workers"]) == (False, 5)


def test_given_answers_are_refused_before_the_first_question(typed: Callable[..., Result]) -> None:
    result = typed("", "--set", "workers=many")
    assert result.code == 2
    assert "--set workers: 'many' is not a whole number" in result.err
    assert "begins with a problem" not in result.out


@pytest.mark.parametrize("stop", [CTRL_C, "n" + ENTER])
def test_going_on_from_where_it_was_stopped(stop: str, typed: Callable[..., Result]) -> None:
    problem = CLEAR + "whether it snows" + ENTER + CLEAR + "7" + ENTER + ENTER * 2 + "y" + ENTER
    result = typed(RECOMMENDED + problem + TINY_NAMES + stop, "--set", "workers=3")
    line = result.out.partition("To go on from here:\n")[2].splitlines()[0]
    words = shlex.split(line)
    assert words[:2] == ["mlportfolio", "new"]
    assert "--false-negative-cost=7" in words
    assert "--prediction=whether it snows" in words
    assert words[-2:] == ["--set", "workers=3"]


def test_dry_run_shows_the_summary(typed: Callable[..., Result]) -> None:
    result = typed(RECOMMENDED + TINY_PROBLEM + TINY_NAMES, "--dry-run")
    assert result.code == 0, result.err
    assert "Your answers" in result.out
    assert "4.0" not in result.out
    assert list(Path().iterdir()) == []


def test_summary_shows_the_words_of_a_choice(keys: PipeInput, command: Command) -> None:
    keys.send_text(RECOMMENDED + ENTER * 9 + "y" + ENTER + ENTER * 4)
    result = command("new", "--dry-run", "--template", str(REPOSITORY))
    assert result.code == 0, result.err
    assert "Expected cost of a decision" in result.out
    assert "None yet" not in result.out


def test_command_line_of_several_lines_is_one_line(typed: Callable[..., Result]) -> None:
    edited = ENTER * 4 + "n" + ENTER + "\rIt's \\ two lines." + FINISH
    result = typed(RECOMMENDED + edited + TINY_NAMES + "y" + ENTER)
    assert result.code == 0, result.err
    line = result.out.partition("without questions:\n")[2].splitlines()[0]
    shown = subprocess.run(
        ["bash", "-c", f"printf '%s|' {line}"], check=True, capture_output=True, text=True
    ).stdout
    assert answers_of(Path("rain"))["problem_statement"] == "Predict whether it rains.\nIt's \\ two lines."
    assert "problem_statement=Predict whether it rains.\nIt's \\ two lines.|" in shown


def test_refused_answer_is_asked_again(typed: Callable[..., Result]) -> None:
    cost = ENTER + CLEAR + "dear" + ENTER + CLEAR + "7.5" + ENTER + ENTER * 2 + "y" + ENTER
    result = typed(RECOMMENDED + cost + TINY_NAMES + "y" + ENTER)
    assert result.code == 0, result.err
    assert answers_of(Path("rain"))["false_negative_cost"] == 7.5


def test_default_that_will_not_do_is_not_offered(typed: Callable[..., Result]) -> None:
    names = CLEAR + "Pandas" + ENTER + "bamboo" + ENTER
    result = typed(RECOMMENDED + TINY_PROBLEM + names + "y" + ENTER)
    assert result.code == 0, result.err
    assert "taken, choose another" in result.out
    assert answers_of(Path("bamboo"))["project_slug"] == "bamboo"


def test_given_answers_are_not_asked(typed: Callable[..., Result]) -> None:
    problem = ENTER * 3 + "y" + ENTER  # without the metric
    result = typed(RECOMMENDED + problem + TINY_NAMES + "y" + ENTER, "--metric", "accuracy")
    assert result.code == 0, result.err
    assert answers_of(Path("rain"))["metric"] == "accuracy"
    assert result.err.count("accuracy weighs every mistake the same") == 1


def test_taken_destination_is_asked_for(typed: Callable[..., Result]) -> None:
    Path("rain").mkdir()
    Path("rain/mine.txt").write_text("mine")
    places = "rain" + ENTER + CLEAR + "drizzle" + ENTER
    result = typed(RECOMMENDED + TINY_PROBLEM + TINY_NAMES + places + "y" + ENTER)
    assert result.code == 0, result.err
    assert "is not empty" in result.out
    assert answers_of(Path("drizzle"))["project_slug"] == "rain"
    assert [path.name for path in Path("rain").iterdir()] == ["mine.txt"]


def test_no_at_the_summary_writes_nothing(typed: Callable[..., Result]) -> None:
    result = typed(RECOMMENDED + TINY_PROBLEM + TINY_NAMES + "n" + ENTER)
    assert result.code == 1
    assert "Nothing was written." in result.out
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    "until_stopped",
    [
        CTRL_C,
        RECOMMENDED + ENTER + CTRL_C,
        RECOMMENDED + CLEAR + CTRL_D,
        RECOMMENDED + TINY_PROBLEM + TINY_NAMES + CTRL_C,
    ],
)
def test_stopping_at_a_prompt(typed: Callable[..., Result], until_stopped: str) -> None:
    result = typed(until_stopped)
    assert result.code == 130
    assert result.err.strip() == "Stopped; nothing was written."
    assert list(Path().iterdir()) == []


def test_command_line_makes_the_same_again(typed: Callable[..., Result], command: Command) -> None:
    problem = CLEAR + 'it\'s $HOME; "rain"' + ENTER * 4 + "y" + ENTER
    first = typed(CUSTOMISE + problem + TINY_NAMES + "n" + ENTER + CLEAR + "3" + ENTER + "y" + ENTER)
    assert first.code == 0, first.err
    line = first.out.partition("without questions:\n")[2].splitlines()[0]
    assert "project_name" not in line  # only what differs from the defaults
    assert "--no-container" in line
    words = shlex.split(line)
    assert words[:2] == ["mlportfolio", "new"]
    assert words[2] == "rain"
    words[2] = "again"
    assert command(*words[1:]).code == 0
    assert content_of(Path("again")) == content_of(Path("rain"))


def test_every_prompt_of_the_real_template(keys: PipeInput, command: Command) -> None:
    # The domain, four texts, two costs, the metric, success; the statement is fine.
    problem = ENTER * 9 + "y" + ENTER
    # Tracking, a container, no place to bring it to, CI, the licence.
    parts = DOWN + ENTER + "y" + ENTER + " " + ENTER * 3
    keys.send_text(CUSTOMISE + problem + ENTER * 4 + parts + "y" + ENTER)
    result = command("new", "--template", str(REPOSITORY))
    assert result.code == 0, result.err
    answers = answers_of(Path("flight-delay"))
    asked = {key for key, question in declared(REPOSITORY).items() if not question.computed}
    assert asked <= set(answers)
    assert answers["tracking"] == "files"
    assert answers["container"] is True
    assert answers["deploy"] == []
    assert "A thought:" not in result.out


# --- without a terminal ---------------------------------------------------------------------------


def test_flag_goes_before_file_before_default(command: Command, tiny: Path) -> None:
    Path("mine.yml").write_text("metric: roc_auc\nfalse_negative_cost: 9\n_commit: v1\nworkers: 5\n")
    result = command(
        "new", "x", "--yes", "--template", str(tiny), "--answers", "mine.yml", "--metric=accuracy", "--set",
        "workers=6",
    )  # fmt: skip
    assert result.code == 0, result.err
    answers = answers_of(Path("x"))
    assert (answers["metric"], answers["workers"]) == ("accuracy", 6)  # flags
    assert answers["false_negative_cost"] == 9.0  # the file
    assert answers["false_positive_cost"] == 1.0  # the default


def test_json_answers_and_a_projects_own(command: Command, tiny: Path) -> None:
    Path("mine.json").write_text('{\n\t"metric": "roc_auc", "container": false}')
    assert command("new", "x", "--yes", "--template", str(tiny), "--answers", "mine.json").code == 0
    assert (
        command("new", "y", "--yes", "--template", str(tiny), "--answers", "x/.copier-answers.yml").code == 0
    )
    assert answers_of(Path("x")) == answers_of(Path("y"))
    assert answers_of(Path("y"))["container"] is False


def test_note_is_said_once_and_does_not_stop(command: Command, tiny: Path) -> None:
    result = command(
        "new", "x", "--yes", "--template", str(tiny), "--project-name=MNIST", "--set", "prediction=MNIST"
    )
    assert result.code == 0
    assert result.err.count("MNIST") == 1
    assert result.err.startswith("note: ")


def test_missing_flags_are_all_named(command: Command, tiny: Path) -> None:
    result = command("new", "x", "--template", str(tiny), "--metric=accuracy", "--set", "workers=1")
    assert result.code == 2
    for flag in (
        "--prediction",
        "--false-negative-cost",
        "--project-slug",
        "--container",
        "problem_statement",
    ):
        assert flag in result.err
    assert "--metric" not in result.err
    assert "workers" not in result.err
    assert "shout" not in result.err
    assert list(Path().iterdir()) == []


def test_with_every_answer_given_no_terminal_is_needed(command: Command, tiny: Path) -> None:
    command("new", "x", "--yes", "--template", str(tiny))
    result = command("new", "y", "--template", str(tiny), "--answers", "x/.copier-answers.yml")
    assert result.code == 0, result.err
    assert content_of(Path("y")) == content_of(Path("x"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "metrik=x"], "Did you mean metric? Allowed: prediction,"),
        (["--set", "zzz=x"], "--set zzz: there is no such question. Allowed"),
        (["--domain", "x"], "--domain: there is no such question"),
        (["--set", "shout=x"], "shout is computed from the other answers. Allowed: prediction,"),
        (["--metric", "acc"], "--metric: 'acc' is not one of: expected_cost, roc_auc, accuracy"),
        (["--set", "metric"], "write KEY=VALUE"),
        (["--set", "=x"], "write KEY=VALUE"),
        (["--set", "metric=accuracy", "--metric", "roc_auc"], "metric is given already"),
        (["--set", "workers=2.5"], "'2.5' is not a whole number"),
        (["--false-negative-cost", "dear"], "'dear' is not a number"),
        (["--false-negative-cost", "4,5"], "'4,5' is not a number: use a point"),
        (["--set", "container=perhaps"], "'perhaps' is not true or false"),
        (["--project-name", "Pandas"], "taken, choose another"),
        (["--project-slug", "pandas"], "--project-slug: taken, choose another"),
        (["--project-name", "a\nb"], "line break"),
        (["--project-name", "a\x1bb"], "control character"),
        (["--project-name", "a\udcffb"], "is not text"),
        (["--no-container", "--set", "port=81"], "--set port: this question does not arise"),
        (["--answers", "absent.yml"], "absent.yml cannot be read: No such file"),
        (["--answers", "."], "cannot be read: Is a directory"),
        (["--answers", "broken.yml"], "broken.yml, line 3: not valid YAML"),
        (["--answers", "list.yml"], "list.yml does not hold answers"),
        (["--answers", "bytes.yml"], "is not UTF-8 text"),
        (["--answers", "typo.yml"], "metrik in typo.yml: there is no such question. Did you mean metric?"),
        (["--answers", "types.yml"], "project_name in types.yml: ['a'] is not text"),
        (["--answers", "null.yml"], "None is not a number"),
        (["--answers", "truth.yml"], "True is not a number"),
    ],
)
def test_refused_input(arguments: list[str], message: str, command: Command, tiny: Path) -> None:
    Path("broken.yml").write_text("metric: accuracy\nworkers: [1\n")
    Path("list.yml").write_text("- metric\n")
    Path("bytes.yml").write_bytes(b"project_name: \xff\n")
    Path("typo.yml").write_text("metrik: accuracy\n")
    Path("types.yml").write_text("project_name: [a]\n")
    Path("null.yml").write_text("false_negative_cost:\n")
    Path("truth.yml").write_text("false_negative_cost: true\n")
    before = set(Path().iterdir())
    result = command("new", "x", "--yes", "--template", str(tiny), *arguments)
    assert result.code == 2
    assert message in result.err
    assert result.err.startswith("Error: ")
    assert len(result.err.strip().splitlines()) == 1
    assert set(Path().iterdir()) == before


@pytest.fixture
def places(tiny: Path) -> Path:
    """The tiny template with a question that takes several of its choices, where there is a container."""
    with (tiny / "copier.yml").open("a") as file:
        file.write(
            "places:\n  type: str\n  multiselect: true\n  help: Where?\n  when: '{{ container }}'\n"
            "  choices: {A small machine: vm, The cloud: cloud, The shore: shore}\n"
            "  default: '{% if container %}[vm]{% else %}[]{% endif %}'\n"
        )
    (tiny / "template/{% if 'cloud' in places %}cloud{% endif %}").mkdir()
    (tiny / "template/{% if 'cloud' in places %}cloud{% endif %}/how.md").write_text("Fly.\n")
    return tiny


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ("", []),
        ("[]", []),
        ("cloud", ["cloud"]),
        ("shore, vm", ["vm", "shore"]),
        ("[cloud, cloud,vm]", ["vm", "cloud"]),
    ],
)
def test_several_choices_from_a_flag(given: str, chosen: list[str], command: Command, places: Path) -> None:
    result = command("new", "x", "--yes", "--json", "--template", str(places), "--set", f"places={given}")
    assert result.code == 0, result.out
    record = json.loads(result.out)
    assert record["answers"]["places"] == chosen == answers_of(Path("x"))["places"]
    assert ("cloud/how.md" in record["files"]) == ("cloud" in chosen)
    if chosen != ["vm"]:
        words = shlex.split(record["command"].replace(" x ", " y "))
        assert f"places={','.join(chosen)}" in words
        assert command(*words[1:], "--json").code == 0
        assert content_of(Path("y")) == content_of(Path("x"))


def test_several_choices_from_a_file(command: Command, places: Path) -> None:
    Path("mine.yml").write_text("places: [shore, cloud]\n")
    for destination, file in (("x", "mine.yml"), ("y", "x/.copier-answers.yml")):
        assert command("new", destination, "--yes", "--template", str(places), "--answers", file).code == 0
        assert answers_of(Path(destination))["places"] == ["cloud", "shore"]


def test_several_choices_at_a_terminal(keys: PipeInput, command: Command, places: Path) -> None:
    down_to_cloud = DOWN + " " + ENTER  # vm is chosen to begin with
    parts = "y" + ENTER * 3  # the container, its port, the workers
    keys.send_text(CUSTOMISE + TINY_PROBLEM + TINY_NAMES + parts + down_to_cloud + "y" + ENTER)
    result = command("new", "--template", str(places))
    assert result.code == 0, result.err
    assert answers_of(Path("rain"))["places"] == ["vm", "cloud"]
    assert "A small machine, The cloud" in result.out
    assert "--set places=vm,cloud" in result.out


def test_none_of_several_choices_at_a_terminal(keys: PipeInput, command: Command, places: Path) -> None:
    keys.send_text(CUSTOMISE + TINY_PROBLEM + TINY_NAMES + "y" + ENTER * 3 + " " + ENTER + "y" + ENTER)
    assert command("new", "--template", str(places)).code == 0
    assert answers_of(Path("rain"))["places"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "places=vm,moon"], "--set places: 'moon' is not among: vm, cloud, shore."),
        (["--answers", "mine.yml"], "places in mine.yml: None is not among: vm, cloud, shore."),
        (["--set", "container=no", "--set", "places=vm"], "does not arise"),
    ],
)
def test_what_is_none_of_several_choices(
    arguments: list[str], message: str, command: Command, places: Path
) -> None:
    Path("mine.yml").write_text("places: [vm, null]\n")
    result = command("new", "x", "--yes", "--template", str(places), *arguments)
    assert result.code == 2
    assert message in result.err
    assert not Path("x").exists()


def test_several_choices_do_not_arise(command: Command, places: Path) -> None:
    assert command("new", "x", "--yes", "--template", str(places), "--set", "container=no").code == 0
    assert "places" not in answers_of(Path("x"))


@pytest.mark.parametrize(
    ("flag", "value", "reason"),
    [
        ("--package-name", "class", "keyword"),
        ("--package-name", "json", "standard library"),
        ("--package-name", "pandas", "depends on"),
        ("--package-name", "My-Package", "lower-case"),
        ("--package-name", "test", "standard library"),
        ("--package-name", "click", "depends on"),
        ("--package-name", "src", "folder of the project's own"),
        ("--project-slug", "pytest", "already a command"),
        ("--project-slug", "deactivate", "already a command"),
        ("--project-slug", "scikit-learn", "depends on"),
        ("--project-slug", "data", "folder of the project's own"),
        ("--project-slug", "x" * 51, "At most 50 characters"),
        ("--project-slug", "-x", "lower-case letters"),
        ("--project-slug", "../up", "lower-case letters"),
        ("--project-name", 'a "b"', "quotation mark"),
        ("--false-negative-cost", "0", "above 0"),
        ("--false-positive-cost", "nan", "above 0"),
        ("--false-positive-cost", "1e9", "below 1,000,000,000"),
        ("--project-name", "x" * 51, "at most 50 characters"),
    ],
)
def test_names_that_would_break(flag: str, value: str, reason: str, command: Command) -> None:
    result = command("new", "x", "--yes", "--template", str(REPOSITORY), f"{flag}={value}")
    assert result.code == 2
    assert reason in result.err
    message = result.err.strip().removeprefix(f"Error: {flag}: ")
    assert len(message) <= 75  # a prompt cuts off the rest
    assert list(Path().iterdir()) == []


def made(command: Command, *arguments: str) -> Any:
    """The answers of a dry run of the real template."""
    shared = ("--yes", "--json", "--dry-run", "--template", str(REPOSITORY))
    return json.loads(command("new", "x", *shared, *arguments).out)["answers"]


def test_a_statement_may_not_hold_the_mark_of_a_run(command: Command) -> None:
    result = command(
        "new", "x", "--yes", "--template", str(REPOSITORY), "--set", "problem_statement=<!-- measured:end -->"
    )
    assert result.code == 2
    assert 'Leave out "<!-- measured"' in result.err


@pytest.mark.parametrize(
    ("title", "slug"), [("Café Été", "cafe-ete"), ("Łódź, Straße 9", "lodz-strasse-9"), ("!!!", "portfolio")]
)
def test_slug_of_a_title_with_accents(title: str, slug: str, command: Command) -> None:
    assert made(command, f"--project-name={title}")["project_slug"] == slug


def test_parts_are_joined_to_sentences(command: Command) -> None:
    statement = made(
        command, "--decision-maker= The desk. ", "--prediction=Whether it rains.", "--success=JFK is happy"
    )["problem_statement"]
    assert "departure, the desk decides" in statement
    assert "predicts whether it rains. A miss" in statement
    assert statement.endswith("Success: JFK is happy.")


@pytest.mark.parametrize(
    ("miss", "alarm", "words"),
    [
        (
            "4",
            "1",
            "A miss (a late flight that nobody acted on, so passengers are stranded) costs 4 times a false",
        ),
        ("2", "2", ") costs as much as a false alarm ("),
        ("1", "3", "whose flight is on time) costs 3 times a miss ("),
        ("1234567", "1", ") costs 1234567 times a false alarm ("),
        ("1", "0.3", ") costs 3.33 times a false alarm ("),
    ],
)
def test_ratio_in_the_statement(miss: str, alarm: str, words: str, command: Command) -> None:
    costs = (f"--false-negative-cost={miss}", f"--false-positive-cost={alarm}")
    assert words in made(command, *costs)["problem_statement"]


def test_costs_and_titles_as_they_were_given(command: Command) -> None:
    result = command(
        "new", "x", "--yes", "--template", str(REPOSITORY), "--false-negative-cost=1234567",
        "--false-positive-cost=0.25", "--project-name=Ann’s flights – New York", "--decision=rebook | wait.",  # noqa: RUF001
    )  # fmt: skip
    assert result.code == 0, result.err
    problem = next(Path("x/src").glob("*/problem.py"))
    assert "FALSE_NEGATIVE_COST = 1234567\nFALSE_POSITIVE_COST = 0.25\n" in problem.read_text()
    readme = Path("x/README.md").read_text()
    assert "costs 1234567 when it misses" in readme
    assert "0.25 when it acts" in readme
    assert "decides rebook | wait. The model" in Path("x/docs/model_card.md").read_text()
    page = Path("x/docs/problem.md").read_text()
    assert "| 1234567, for" in page
    assert r"| rebook \| wait. |" in page
    ruff = Path(sys.executable).with_name("ruff")
    for arguments in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [ruff, *arguments, "--no-cache", problem, problem.with_name("__init__.py")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


# --- a real terminal ------------------------------------------------------------------------------


@pytest.fixture
def terminal(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pexpect.spawn]:
    monkeypatch.setenv("PROMPT_TOOLKIT_NO_CPR", "1")  # this terminal does not say where its cursor is
    child = pexpect.spawn(
        sys.executable,
        ["-m", "mlportfolio", "new", "--template", str(tiny)],
        timeout=30,
        encoding="utf-8",
        dimensions=(50, 120),
    )
    yield child
    child.close(force=True)


@pytest.mark.slow
def test_wizard_at_a_terminal(terminal: pexpect.spawn) -> None:
    terminal.expect("How do you want to go on")
    terminal.send(ENTER)
    for question in ("What is predicted", "A miss", "A false alarm", "Metric"):
        terminal.expect(question)
        terminal.send(ENTER)
    terminal.expect("Predict whether it rains")
    terminal.expect("Does this say it")
    terminal.send("y" + ENTER)
    for question in ("A name", "A slug"):
        terminal.expect(question)
        terminal.send(ENTER)
    terminal.expect("Your answers")
    terminal.expect("Make the project in")
    terminal.send("y" + ENTER)
    terminal.expect("The same again")
    terminal.expect("Next:")
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus == 0
    assert answers_of(Path("rain"))["metric"] == "expected_cost"
    assert git(Path("rain"), "log", "--format=%s") == "Start Rain"


@pytest.mark.slow
def test_ctrl_c_at_a_terminal(terminal: pexpect.spawn) -> None:
    terminal.expect("How do you want to go on")
    terminal.send(ENTER)
    terminal.expect("What is predicted")
    terminal.sendintr()
    terminal.expect("nothing was written")
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus == 130
    assert list(Path().iterdir()) == []
