"""The template's questions and its rendering, by copier's own classes.

Everything that reaches into copier stands here. Its questions, their Jinja, their validators and its renderer
are used as they are, so that `mlportfolio new` and plain `copier copy` cannot disagree.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

from copier._main import Worker
from copier._settings import SettingsModel
from copier._template import Template
from copier._types import MISSING
from copier._user_data import AnswersMap, Question
from jinja2.sandbox import SandboxedEnvironment

from mlportfolio.errors import UserError
from mlportfolio.source import Source
from mlportfolio.starter import KEY, Starter

__all__ = ["MISSING", "Form"]

_WORDS = {
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "json": "JSON",
    "str": "text",
}
_BOOLEANS = {"y", "yes", "t", "true", "on", "1", "n", "no", "f", "false", "off", "0"}


class _Worker(Worker):
    """Copier's worker, that records no address where the template has none that holds on another machine.

    It records the starter too, whether or not this version of the template does.
    """

    def _answers_to_remember(self) -> Mapping[str, Any]:
        answers = {**super()._answers_to_remember()}
        if not self.template.url:
            answers.pop("_src_path", None)
        return answers | ({KEY: self.data[KEY]} if KEY in self.data else {})

    def _sync_git_index_executable_bit(self, dst_relpath: Path, src_mode: int) -> None:
        """Nothing: no index knows a file that is new, and copier would start git for each of them."""


# What was read and compiled of a template, for the next project made from it while it is open.
_templates: WeakKeyDictionary[Source, Template] = WeakKeyDictionary()


def _template(source: Source) -> Template:
    if not (template := _templates.get(source)):
        template = Template(url=source.url or "")
        # A plain folder, even if it is a git checkout: copier would clone it.
        template.__dict__.update(vcs=None, local_abspath=source.path, commit=source.commit)
        worker = _worker(template, Path(), {})
        template.__dict__["jinja_env"] = _remembering(worker.jinja_env)
        _templates[source] = template
    return template


def _remembering(jinja: SandboxedEnvironment) -> SandboxedEnvironment:
    """Let an environment keep what it compiles: copier compiles the same file names again and again."""
    compiled = lru_cache(maxsize=4096)(jinja.from_string)

    def from_string(source: Any) -> Any:
        jinja.preprocess(source)  # by this copier's own tag, `yield`, learns that something new begins
        return compiled(source)

    jinja.from_string = from_string  # type: ignore[method-assign, assignment]
    return jinja


def _worker(template: Template, destination: Path, answers: dict[str, Any]) -> Worker:
    # The learner's own copier settings are left out: they would change defaults from one machine to the next.
    worker = _Worker(
        dst_path=destination,
        data=answers,
        settings=SettingsModel(),
        defaults=True,
        overwrite=True,
        quiet=True,
    )
    worker.__dict__["template"] = template
    if jinja := template.__dict__.get("jinja_env"):
        worker.__dict__["jinja_env"] = jinja
    return worker


class Form:
    """The questions of one template, in their order, and the answers so far.

    A question's default, advice, choices and validator may depend on the answers before it: go through `keys`
    in order, and give each one `accept` or `accept_default`. What a starter gives is the default.
    """

    def __init__(self, source: Source, starter: Starter | None = None) -> None:
        self._source = source
        self._starter = starter
        self._suggested = starter.suggested if starter else {}
        with self._mistakes():
            self._template = _template(source)
        self._worker = _worker(self._template, Path(), {})
        self._worker.answers = AnswersMap()
        with self._mistakes():
            self._questions = {
                key: _restricted(details, starter.allowed.get(key)) if starter else details
                for key, details in self._template.questions_data.items()
            }
        self._hidden: set[str] = set()
        self._defaults: dict[str, Any] = {}

    @property
    def keys(self) -> list[str]:
        """Every question, the computed ones too."""
        return list(self._questions)

    @property
    def everything(self) -> dict[str, Any]:
        """The answers so far, and the computed values."""
        return dict(self._worker.answers.user)

    @property
    def answers(self) -> dict[str, Any]:
        """The answers so far."""
        return {key: value for key, value in self.everything.items() if key not in self._hidden}

    @property
    def changed(self) -> dict[str, Any]:
        """The answers that are not the default."""
        return {
            key: value for key, value in self.answers.items() if value != self._defaults.get(key, MISSING)
        }

    def question(self, key: str, *, again: bool = False) -> Question:
        """Copier's question, on the answers so far. To ask it `again`, the last answer is its default."""
        answers = self._worker.answers
        if again:
            return self._question(key, replace(answers, last={key: answers.user[key]}))
        # As copier's own kind of default, which it does not render; only here, where it is asked.
        if key in self._suggested:
            with suppress(UserError):
                answers = replace(answers, user_defaults={key: self.check(key, self._suggested[key])})
        return self._question(key, answers)

    def _question(self, key: str, answers: AnswersMap) -> Question:
        return Question(
            answers=answers,
            context=self._worker._render_context(),  # noqa: SLF001
            jinja_env=self._worker.jinja_env,
            settings=self._worker.settings,
            var_name=key,
            **self._questions[key],
        )

    def applies(self, key: str) -> bool:
        """Whether the question is asked at all. Where it is not, its value is computed here."""
        question = self._question(key, self._worker.answers)
        if question.get_when():
            return True
        self._hidden.add(key)
        if (value := self._computed(question)) is not MISSING:
            self._worker.answers.user[key] = value
        return False

    def _computed(self, question: Question) -> Any:
        """The value of a question that is not asked; the same YAML is parsed once for all projects."""
        default = question.default
        if question.get_type_name() != "yaml" or not isinstance(default, str) or "UNSET" in default:
            return question.get_default()
        known = self._template.__dict__.setdefault("computed", {})
        key = (question.var_name, question.render_value(default))
        if key not in known:
            known[key] = question.get_default()
        return known[key]

    def accept_default(self, key: str) -> None:
        """Take the default.

        Raises:
            UserError: There is none, or the answers before make it a bad one.
        """
        value = self.default(key)
        if value is MISSING:
            raise UserError(f"{key} has no default: it needs an answer.")
        self._worker.answers.user[key] = value

    def default(self, key: str) -> Any:
        """The default, or copier's MISSING.

        Raises:
            UserError: The answers before make it a bad one.
        """
        if key in self._suggested:
            value = self.check(key, self._suggested[key])
        else:
            try:
                value = self._question(key, self._worker.answers).get_default()
            except ValueError as error:
                raise UserError(_reason(error)) from error
        self._defaults[key] = value
        return value

    def check(self, key: str, raw: Any) -> Any:
        """Convert `raw` as the question's type says.

        Raises:
            UserError: It is of the wrong type, not among the choices, or refused by the question's validator.
        """
        question = self._question(key, self._worker.answers)
        value = _converted(question, raw)
        try:
            question.validate_answer(value)
        except ValueError as error:
            raise UserError(_reason(error)) from error
        return value

    def check_kind(self, key: str, raw: Any) -> Any:
        """Check the type and the choice, as far as they depend on no other answer.

        Returns:
            `raw`, converted as far.

        Raises:
            UserError: `raw` is of the wrong type, or not among the choices.
        """
        if isinstance(self._questions[key].get("choices"), str):
            return raw
        return _converted(self._question(key, self._worker.answers), raw)

    def label(self, key: str) -> str | None:
        """The words of what was chosen; None where that is nothing, or the question offers no choices."""
        value = self.answers[key]
        chosen = value if isinstance(value, list) else [value]
        choices = self.question(key)._formatted_choices  # noqa: SLF001
        return ", ".join(str(each.title) for each in choices if each.value in chosen) or None

    def accept(self, key: str, raw: Any) -> None:
        """Check an answer and keep it.

        Raises:
            UserError: As `check`.
        """
        value = self.check(key, raw)
        try:
            self.default(key)
        except UserError:
            self._defaults[key] = MISSING  # so the answer differs from it
        self._worker.answers.user[key] = value

    def is_owned(self, name: str) -> bool:
        """Whether a file, by its path in the project, belongs to the owner once it is there."""
        return bool(self._worker.match_skip(Path(name)))

    def render(self, destination: Path) -> None:
        """Write the project into `destination`, a folder that is empty or not there yet.

        Raises:
            UserError: The template has a mistake.
            OSError: The disk is full, or refuses.
        """
        # With the computed values among the answers, copier need not compute them again.
        answers = self.everything | ({KEY: self._starter.record()} if self._starter else {})
        with self._mistakes(), _worker(self._template, destination, answers) as worker:
            worker.run_copy()
        if self._starter:
            self._starter.add_files(destination)

    @contextmanager
    def _mistakes(self) -> Iterator[None]:
        """Turn what copier, Jinja, YAML and plumbum make of a faulty template into one sentence."""
        try:
            yield
        except (OSError, UserError):
            raise
        except Exception as error:
            message = str(error).strip() or type(error).__name__
            if line := getattr(error, "lineno", None):  # Jinja's own errors carry their place
                message += f" ({getattr(error, 'name', None) or 'copier.yml'}, line {line})"
            raise UserError(
                f"The template in {self._source.path} has a mistake: {message}", exit_code=1
            ) from error


def _restricted(details: Mapping[str, Any], allowed: tuple[str, ...] | None) -> dict[str, Any]:
    """A question with the choices that are left of it."""
    choices = details.get("choices")
    if allowed and isinstance(choices, dict):
        choices = {label: value for label, value in choices.items() if value in allowed}
    elif allowed and isinstance(choices, list):
        choices = [value for value in choices if value in allowed]
    return {**details, "choices": choices} if choices else {**details}


def _reason(error: ValueError) -> str:
    """The validator's own words, without copier's "Validation error for question 'key':" before them."""
    return str(error).partition("': ")[2] or str(error)


def _converted(question: Question, raw: Any) -> Any:
    """`raw` as the question's type. Stricter than copier, to which any text is true and True is 1.0."""
    kind = question.get_type_name()
    allowed = [str(choice.value) for choice in question._formatted_choices]  # noqa: SLF001
    if question.multiselect:
        chosen = raw if isinstance(raw, list) else _listed(raw)
        if wrong := [each for each in chosen if each not in allowed]:
            raise UserError(f"{wrong[0]!r} is not among: {', '.join(allowed)}.")
        return question.parse_answer(chosen)
    try:
        fits = str(raw).strip().lower() in _BOOLEANS if kind == "bool" else not isinstance(raw, bool)
        if not fits:
            raise ValueError  # noqa: TRY301 - the sentence is made below, as for copier's own
        value = question.parse_answer(raw)
        if kind == "str":
            value = cast("str", value).strip()
            _check_text(value, multiline=question.get_multiline())
    except (TypeError, ValueError) as error:
        if isinstance(error, _BadTextError):
            raise UserError(str(error)) from error
        if kind in {"float", "int"} and re.fullmatch(r"\s*-?\d+,\d+\s*", str(raw)):
            raise UserError(f"{raw!r} is not {_WORDS[kind]}: use a point, not a comma.") from error
        expected = f"one of: {', '.join(allowed)}" if allowed else _WORDS.get(kind, kind)
        raise UserError(f"{raw!r} is not {expected}.") from error
    return value


def _listed(raw: Any) -> list[str]:
    """The items of "a,b", or of the "[a, b]" that plain copier takes."""
    text = str(raw).strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    return [item.strip() for item in text.split(",") if item.strip()]


class _BadTextError(ValueError):
    """Text that would break the files it is written to."""


def _check_text(text: str, *, multiline: bool) -> None:
    text.encode("utf-8")  # a byte of the command line that is no UTF-8 arrives as a lone surrogate
    if "\n" in text and not multiline:
        raise _BadTextError(f"{text!r} has a line break; write it on one line.")
    if any(ord(character) < ord(" ") and character not in "\n\t" for character in text):
        raise _BadTextError(f"{text!r} has a control character; leave it out.")
