"""Fill in the template's questions: from flags and a file, and at a terminal by asking."""

import difflib
import shlex
import textwrap
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import questionary

from mlportfolio import guide
from mlportfolio.errors import UserError
from mlportfolio.form import MISSING, Form
from mlportfolio.project import check_destination
from mlportfolio.source import Declared, Source, read_yaml
from mlportfolio.starter import KEY, Starter

# The section of copier.yml that the recommended way leaves at its defaults.
PARTS = "the parts"


@dataclass(frozen=True)
class Given:
    """An answer that came with the command, and where from, for messages."""

    value: Any
    where: str


def flag(key: str) -> str:
    """The name of a question as a flag of the command line."""
    return "--" + key.replace("_", "-")


def from_flags(named: Mapping[str, Any], pairs: Iterable[str]) -> dict[str, Given]:
    """The answers of the command line: those of named flags, and those of `--set KEY=VALUE`.

    Raises:
        UserError: A pair is not KEY=VALUE, or an answer is given twice.
    """
    given = {key: Given(value, flag(key)) for key, value in named.items() if value is not None}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UserError(f"--set {pair}: write KEY=VALUE, for instance --set metric=expected_cost.")
        if key in given:
            raise UserError(f"--set {pair}: {key} is given already, by {given[key].where}; keep one of them.")
        given[key] = Given(value, f"--set {key}")
    return given


def from_file(path: Path) -> dict[str, Given]:
    """The answers in a YAML or JSON file. A project's own .copier-answers.yml will do.

    Raises:
        UserError: The file cannot be read, or is no mapping of questions to answers.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold answers: write one KEY: VALUE on each line.")
    # Keys with an underscore in front are copier's records of the template, not answers.
    return {
        str(key): Given(value, f"{key} in {path}") for key, value in content.items() if str(key)[:1] != "_"
    }


def gather(
    file: Path | None,
    flags: Mapping[str, Any],
    pairs: Iterable[str],
    questions: Mapping[str, Declared],
    starter: Starter | None = None,
) -> dict[str, Given]:
    """Every answer that came with the command: a flag goes before the file.

    Raises:
        UserError: One of them answers no question.
    """
    in_file = from_file(file) if file else {}
    if starter:
        in_file.pop(KEY, None)  # what another project recorded about its own
    given = {**in_file, **from_flags(flags, pairs)}
    check_keys(given, questions)
    return given


def check_keys(given: Mapping[str, Given], questions: Mapping[str, Declared]) -> None:
    """Refuse answers to what is not asked. Copier would take them without a word.

    Raises:
        UserError: A key is unknown, or its value is computed.
    """
    asked = [key for key, question in questions.items() if not question.computed]
    for key, answer in given.items():
        if key in asked:
            continue
        if key == KEY:
            raise UserError(
                f"{answer.where}: a starter is no answer; name its file, when the project is made, "
                "with --starter FILE."
            )
        if key in questions:
            raise UserError(
                f"{answer.where}: {key} is computed from the other answers. Allowed: {', '.join(asked)}."
            )
        close = difflib.get_close_matches(key, asked, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise UserError(f"{answer.where}: there is no such question.{hint} Allowed: {', '.join(asked)}.")


def check_complete(
    given: Mapping[str, Given],
    questions: Mapping[str, Declared],
    named: set[str],
    starter: Starter | None = None,
) -> None:
    """Where nobody can be asked, name every answer that is missing.

    Raises:
        UserError: One is.
    """
    settled = {*given, *(starter.fixed if starter else ())}
    missing = [each for key, each in questions.items() if not each.computed and key not in settled]
    if missing:
        flags = ", ".join(flag(each.key) if each.key in named else f"--set {each.key}=…" for each in missing)
        raise UserError(
            f"Nothing is asked here (no terminal, or --json); these are missing: {flags}. "
            "Or take defaults with --yes."
        )


def check_given(form: Form, given: Mapping[str, Given], starter: Starter | None) -> None:
    """Refuse, before anything is asked, what is no answer to its question or not the learner's to give.

    Raises:
        UserError: An answer is of the wrong type, is no choice, or is another than the starter fixes.
    """
    fixed = starter.fixed if starter else {}
    for key, answer in given.items():
        with refused_at(answer.where):
            value = form.check_kind(key, answer.value)
            if starter and key in fixed and value != form.check_kind(key, fixed[key]):
                raise UserError(f"the starter {starter.name} fixes {key} to {as_typed(fixed[key])}.")


def fill(
    source: Source,
    given: Mapping[str, Given],
    wizard: "Wizard | None" = None,
    starter: Starter | None = None,
) -> tuple[Form, list[str]]:
    """Answer every question of the template, in order: as given or fixed, else by asking, else by default.

    Returns:
        The answers, and the guide's remarks on those that nobody could be asked to change.

    Raises:
        UserError: A given answer, or a default that follows from it, is refused.
    """
    form = Form(source, starter)
    settled = {*given, *(starter.fixed if starter else ())}
    notes: list[str] = []
    said: set[str] = set()
    check_given(form, given, starter)
    if wizard:
        wizard.form = form
        wizard.begin(settled)
    for key in form.keys:
        if not form.applies(key):
            if key in given:
                raise UserError(f"{given[key].where}: this question does not arise from the other answers.")
            continue
        asked = wizard if wizard and key not in settled and wizard.asks(key) else None
        if asked:
            asked.ask(form, key)
        else:
            _take(form, key, given.get(key))
        while fresh := [each for each in guide.remarks(form.everything, key) if each.topic not in said]:
            said.add(fresh[0].topic)
            if not asked:
                notes.append(fresh[0].text)
            elif not asked.keeps(fresh[0]):
                asked.ask(form, key, again=True)
    return form, notes


def _take(form: Form, key: str, given: Given | None) -> None:
    """The given answer or the default, with the place to put it right if it is refused."""
    with refused_at(given.where if given else f"{key} (by default; give it with {flag(key)} or --set)"):
        if given:
            form.accept(key, given.value)
        else:
            form.accept_default(key)


@contextmanager
def refused_at(where: str) -> Iterator[None]:
    """Say in a refusal where the answer came from."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


class Wizard:
    """Ask at the terminal, in the sections and the words of copier.yml.

    Attributes:
        form: What is being filled in; None before the first question.
    """

    form: Form | None = None

    def __init__(self, questions: Mapping[str, Declared]) -> None:
        from rich.console import Console  # for terminals only

        self._console = Console()
        self._questions = questions
        self._section = ""
        self._skipped = ""

    def begin(self, settled: Container[str] = ()) -> None:
        """Say what is to come, and ask which way to go, if any part is not settled."""
        self._console.print("[bold]A portfolio project begins with a problem, not with a model.[/]")
        self._console.print("Enter keeps what is there; Ctrl-C stops, and nothing is written.\n", style="dim")
        if any(each.section == PARTS and key not in settled for key, each in self._questions.items()):
            ways = {
                "Recommended: the problem and the names; the parts are chosen for you": PARTS,
                "Customise: choose the parts as well": "",
            }
            self._skipped = self._choose("How do you want to go on?", ways)

    def asks(self, key: str) -> bool:
        """Everything, but for the parts where the recommended ones are wanted."""
        return not self._skipped or self._questions[key].section != self._skipped

    def ask(self, form: Form, key: str, *, again: bool = False) -> None:
        """Put the question with its advice and its default, until the answer is a good one.

        Asked `again`, it comes with the learner's own answer.
        """
        self._head(self._questions[key].section)
        question = form.question(key, again=again)
        try:
            default = form.default(key)
        except UserError as error:
            self._say(f"What follows from your answers will not do: {error}")
            question.default = default = MISSING
        if question.get_multiline() and default is not MISSING and not again:
            self._console.print(f"\n{default}\n", style="italic", highlight=False, markup=False)
            if self._agrees("Does this say it? (n: edit it)"):
                form.accept(key, default)
                return

        def check(answer: Any) -> str | bool:
            try:
                form.check(key, answer)
            except UserError as error:
                return str(error)
            return True

        structure = {**question.get_questionary_structure(), "qmark": "?"}
        # A prompt cuts off what is wider than the terminal.
        lines = textwrap.wrap(structure["message"], self._console.width - 4)
        structure["message"] = "\n  ".join([*lines, ""])
        if structure["type"] == "confirm":
            structure["auto_enter"] = False  # or the Enter after it would answer the next question
        if question.get_type_name() == "float" and "default" in structure:
            structure["default"] = structure["default"].removesuffix(".0")
        if "validate" in structure:
            structure["validate"] = check  # the same validator, without copier's words around its own
        form.accept(key, questionary.unsafe_prompt([structure])[key])

    def keeps(self, remark: guide.Remark) -> bool:
        """Say the remark once, and let the learner keep or change the answer."""
        self._say(f"A thought: {remark.text}")
        return bool(self._choose("What do you want to do?", {"Keep my answer": True, "Change it": False}))

    def elsewhere(self, problem: UserError) -> Path:
        """Ask for another place where `problem` rules out the one that follows from the answers."""

        def check(text: str) -> str | bool:
            try:
                check_destination(text)
            except UserError as error:
                return str(error)
            return True

        self._say(str(problem))
        return check_destination(self._put(questionary.text("Where shall it go?", validate=check, qmark="?")))

    def confirms(self, destination: Path) -> bool:
        """Ask whether to write the project."""
        return self._agrees(f"Make the project in {destination}?")

    def shows(self, form: Form) -> None:
        """Show every answer."""
        from rich.table import Table  # only here
        from rich.text import Text

        table = Table(title="Your answers", title_justify="left", show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        section = ""
        for key, value in form.answers.items():
            if self._questions[key].section != section:
                section = self._questions[key].section
                table.add_section()
            if isinstance(value, bool):
                shown = "yes" if value else "no"
            else:
                shown = form.label(key) or as_typed(value) or "-"
            table.add_row(key.replace("_", " "), Text(shown))
        self._console.print()
        self._console.print(table)

    def _head(self, section: str) -> None:
        if section and section != self._section:
            self._section = section
            self._console.print(f"\n[bold cyan]{section[:1].upper()}{section[1:]}[/]")

    def _say(self, text: str) -> None:
        self._console.print(text, style="yellow", highlight=False, markup=False)

    def _choose(self, message: str, choices: Mapping[str, Any]) -> Any:
        """The value of the line that is chosen."""
        return choices[self._put(questionary.select(message, list(choices), qmark="?"))]

    def _agrees(self, message: str) -> bool:
        return bool(self._put(questionary.confirm(message, default=True, qmark="?", auto_enter=False)))

    @staticmethod
    def _put(question: questionary.Question) -> Any:
        return question.unsafe_ask()


def command_line(
    form: Form, destination: str, named: set[str], origin: Mapping[str, str | None] | None = None
) -> str:
    """The command that makes the same project without asking: only what differs from the defaults.

    `origin` holds the flags that say where the template comes from.
    """
    return _command([_quoted(destination), "--yes"], form.changed, named, origin or {})


def resuming(
    form: Form,
    given: Mapping[str, Given],
    destination: str | None,
    named: set[str],
    origin: Mapping[str, str | None],
) -> str | None:
    """The command that begins with the answers so far and asks the rest; None where they are all defaults."""
    later = {key: answer.value for key, answer in given.items() if key not in form.everything}
    words = [_quoted(destination)] if destination else []
    changed = form.changed | later
    return _command(words, changed, named, origin) if changed else None


def _command(
    words: list[str], answers: Mapping[str, Any], named: set[str], origin: Mapping[str, str | None]
) -> str:
    words = ["mlportfolio new", *words]
    words += [f"{flag(name)}={_quoted(value)}" for name, value in origin.items() if value]
    for key, value in answers.items():
        if key not in named:
            words.append(f"--set {key}={_quoted(as_typed(value))}")
        elif isinstance(value, bool):
            words.append(flag(key) if value else flag(f"no_{key}"))
        else:
            words.append(f"{flag(key)}={_quoted(as_typed(value))}")
    return " ".join(words)


def as_typed(value: Any) -> str:
    """The value as one would type it: 4, not 4.0; a list with commas."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _quoted(text: str) -> str:
    """The text for a shell, on one line even if it has several."""
    if "\n" not in text:
        return shlex.quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"$'{escaped}'"
