"""A mentor's starter: one YAML file that gives the same start to a whole cohort.

It holds answers and documents, and nothing that runs: its values are never rendered, and its documents go
where no tool acts on them. A project records which starter it has, so that an update keeps to it.
"""

import difflib
import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlportfolio.errors import UserError
from mlportfolio.fetch import fetch
from mlportfolio.releases import VERSION, GitError, git_bytes
from mlportfolio.source import (
    FROZEN,
    Source,
    declared,
    domains,
    is_same_address,
    own_url,
    parse_yaml,
    portable_url,
    without_credentials,
)

# The name under which a project records its starter. It is no question: nobody is asked.
KEY = "starter"
LIMIT = 1_000_000  # bytes

_KEYS = {
    "name": "a text of one line",
    "welcome": "a text",
    "template": "a git URL or a path",
    "version": 'a release in quotes, such as "1.2.0"',
    "fixed": "a mapping of questions to answers",
    "defaults": "a mapping of questions to answers",
    "domains": "a list of domains",
    "files": "a mapping of paths to texts",
}
# What would steer a terminal, or make a text read otherwise than it is.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_DOCUMENTS = (".md", ".rst", ".txt", ".csv")
_COMPONENT = re.compile(r"\w(?:[\w .-]*\w)?")
_LONGEST = 200  # bytes of a path
_HUGE = 10**18
_MANY = 100  # choices in one answer
_WIDEST = 60  # characters of a value in a message
# pytest runs what a test*.txt shows, and coding agents do what their notes say.
_ACTED_ON = re.compile(r"test.*\.txt|(agents|claude|gemini)(\..*)?\.md")


@dataclass(frozen=True)
class Starter:
    """What a starter gives.

    Attributes:
        name: What the mentor calls it.
        source: Where it is, as a project records it: an absolute path or a URL, without a password.
        welcome: What is said before anything is asked.
        template: The template's URL or folder; None for this package's own.
        version: The release that is used, and the newest that an update goes to; None where all are free.
        fixed: Answers that are not asked.
        defaults: Answers that are asked, and filled in.
        domains: The domains to choose from, the default first; empty where all are.
        files: Documents that are added, by their paths in the project.
        marks: What `files` was when a project last took it, where that is no longer at hand: see `record`.
    """

    name: str
    source: str
    welcome: str = ""
    template: str | None = None
    version: str | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    domains: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def suggested(self) -> dict[str, Any]:
        """The answers that it gives, fixed or not."""
        first = {"domain": self.domains[0]} if self.domains else {}
        return {**first, **self.defaults, **self.fixed}

    @property
    def address(self) -> str | None:
        """The template to open; None for this package's own, which then needs no network."""
        own = own_url() if portable_url(self.template or "") else None
        return None if own and self.template and is_same_address(self.template, own) else self.template

    @property
    def allowed(self) -> dict[str, tuple[str, ...]]:
        """The questions whose choices it restricts, and what is left of them."""
        return {"domain": self.domains} if self.domains else {}

    def record(self) -> dict[str, Any]:
        """What a project keeps about it.

        Of each file that is git's name for its content, so that an update finds what its owner began with.
        """
        kept = {
            "name": self.name,
            "source": self.source,
            "version": self.version,
            # Where it is no address that holds on other machines, the project records none itself.
            "template": None if portable_url(self.template or "") else self.template,
            "fixed": sorted(self.fixed),
            "files": {**self.marks, **{name: _mark(text.encode()) for name, text in self.files.items()}},
        }
        return {key: value for key, value in kept.items() if value}

    def greeting(self, found: Source) -> str:
        """What a learner reads first."""
        where = without_credentials(self.template) if self.template else "this mlportfolio"
        lines = [self.name, "", self.welcome.strip(), ""] if self.welcome.strip() else [self.name]
        lines.append(f"The template is that of {where}{f', {found.commit}' if found.commit else ''}.")
        if self.domains:
            lines.append(f"The domains to choose from: {', '.join(self.domains)}.")
        return "\n".join(lines)

    def mistakes(self, found: Source, *, render: bool = False) -> list[str]:
        """What does not fit the template: unknown questions and domains, refused answers.

        Args:
            found: The template, at the version that is meant.
            render: Whether to make the project as well, which shows the files that are there already.
        """
        offered = _offered(found)
        absent = [each for each in self.domains if each not in offered]
        wrong = self._misplaced(found)
        left = replace(self, domains=tuple(each for each in self.domains if each not in absent))
        left = _without(left, {*wrong, "domain"} if absent else wrong)
        for domain in left.domains or (None,):
            wrong |= _refused(left, found, domain, render=render)
        return [f"domains: there is no {each}. {_near(each, offered)}" for each in absent] + [*wrong.values()]

    def _misplaced(self, found: Source) -> dict[str, str]:
        """The answers to what is not asked, or not the same for everyone."""
        questions = declared(found.path)
        asked = [key for key, question in questions.items() if not question.computed]
        wrong = {}
        for section, answers in (("defaults", self.defaults), ("fixed", self.fixed)):
            for key in answers:
                if key == "domain" and self.domains:
                    continue  # the list says what is wrong with it
                if key not in questions:
                    wrong[key] = f"{section}: there is no question {key}. {_near(key, asked)}"
                elif questions[key].computed:
                    wrong[key] = f"{section}: {key} is computed from the other answers; leave it out."
                elif key in FROZEN and section == "fixed":
                    wrong[key] = (
                        f"fixed: {key} names each learner's own project, so it cannot be fixed; "
                        "it may stand under defaults."
                    )
        return wrong

    def check(self, found: Source, where: str) -> None:
        """Make sure that it fits the template.

        Raises:
            UserError: It does not; the message lists everything that is wrong.
        """
        if wrong := self.mistakes(found):
            raise UserError(listed(where, wrong))

    def add_files(self, folder: Path) -> None:
        """Write the documents into a project that is being made.

        Raises:
            UserError: One of them would replace a file of the template's, or lead elsewhere.
        """
        taken = {_alike(path.relative_to(folder).as_posix()): path for path in folder.rglob("*")}
        for name, text in self.files.items():
            path = folder / name
            for each in (path, *path.parents):
                if each == folder:
                    break
                there = taken.get(_alike(each.relative_to(folder).as_posix()))
                if there and (each == path or there != each or there.is_symlink() or not there.is_dir()):
                    raise UserError(
                        f"The starter {self.name} adds {name}, but the template has "
                        f"{there.relative_to(folder).as_posix()}; give it another name in the starter."
                    )
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)


def _without(starter: Starter, keys: Container[str]) -> Starter:
    fixed, defaults = (
        {key: value for key, value in answers.items() if key not in keys}
        for answers in (starter.fixed, starter.defaults)
    )
    return replace(starter, fixed=fixed, defaults=defaults)


def _refused(starter: Starter, found: Source, domain: str | None, *, render: bool) -> dict[str, str]:
    """The answers that their questions refuse where all else is left at its default."""
    from mlportfolio.form import Form  # copier takes most of a second to import

    form = Form(found, starter)
    for key in form.keys:
        try:
            if form.applies(key):
                if key == "domain" and domain:
                    form.accept(key, domain)
                else:
                    form.accept_default(key)
        except UserError as error:
            section = next((each for each in ("fixed", "defaults") if key in getattr(starter, each)), None)
            if not section:
                return {key: f"{key}, which follows from the other answers, will not do: {error}"}
            wrong = {key: f"{section}: {key}: {error}"}
            return wrong | _refused(_without(starter, wrong), found, domain, render=render)
    if render and starter.files:
        with TemporaryDirectory() as folder:
            try:
                form.render(Path(folder, "project"))
            except UserError as error:
                return {"files": str(error)}
    return {}


@dataclass(frozen=True)
class Kept:
    """What a project records about its starter.

    Attributes:
        name: What the mentor calls it.
        source: The absolute path or URL of the starter.
        version: The newest release that an update goes to; None where all are free.
        template: The folder of the template; None where the project records its address.
        fixed: The questions that its owner does not answer.
        marks: Git's name for each document as the starter gave it, by its path.
    """

    name: str
    source: str
    version: str | None
    template: str | None
    fixed: tuple[str, ...]
    marks: Mapping[str, str]


def of(answers: Mapping[str, Any]) -> Kept | None:
    """The starter that a project records among its answers, if it was made with one.

    Raises:
        UserError: The record was changed by hand, and cannot be read.
    """
    if (record := answers.get(KEY)) is None:
        return None
    kept = record if isinstance(record, dict) else {}
    name, source, version, template = (kept.get(key) for key in ("name", "source", "version", "template"))
    fixed, marks = kept.get("fixed", []), kept.get("files", {})
    if (
        isinstance(name, str)
        and isinstance(source, str)
        and (version is None or (isinstance(version, str) and VERSION.fullmatch(version)))
        and (template is None or isinstance(template, str))
        and (isinstance(fixed, list) and all(isinstance(key, str) for key in fixed))
        and isinstance(marks, dict)
        and not any(_path_mistake(path) for path in marks)
        and all(re.fullmatch("[0-9a-f]{40}", str(mark)) for mark in marks.values())
    ):
        marks = {path: str(mark) for path, mark in marks.items()}
        return Kept(name, source, version, template, tuple(fixed), marks)
    raise UserError(
        "The record of the starter in .copier-answers.yml was changed by hand; restore it from the history: "
        "git log -p .copier-answers.yml."
    )


@dataclass(frozen=True)
class Followed:
    """What a project's starter was when the project last took it, and what it is now.

    Attributes:
        before: With the documents as they were given.
        after: With those that it gives now, and the answers that are fixed now.
        notes: What the owner should know.
    """

    before: Starter
    after: Starter
    notes: tuple[str, ...] = ()

    def fitting(self, found: Source) -> "Followed":
        """The same, or what was recorded alone where the starter has mistakes at this version."""
        wrong = [] if self.after is self.before else self.after.mistakes(found)
        return self if not wrong else _held(self.before, f"has a mistake ({wrong[0].rstrip('.')})")


def _held(starter: Starter, why: str) -> Followed:
    note = (
        f"The starter {starter.name} {why}; what this project recorded of it holds: which answers are fixed, "
        "and the newest version to go to."
    )
    return Followed(starter, starter, (note,))


def recorded(answers: Mapping[str, Any], project: Path) -> Followed | None:
    """The starter of a project, from what the project records alone.

    Args:
        answers: The project's answers.
        project: The project's folder, whose history has the documents as they were given.

    Raises:
        UserError: As `of`.
    """
    if not (kept := of(answers)):
        return None
    given = {path: _given(project, path, mark) for path, mark in kept.marks.items()}
    same = Starter(
        kept.name,
        kept.source,
        template=kept.template,
        version=kept.version,
        fixed={key: answers[key] for key in kept.fixed if key in answers},
        files={path: text for path, text in given.items() if text is not None},
        marks={path: kept.marks[path] for path, text in given.items() if text is None},
    )
    return Followed(same, same)


def follow(
    answers: Mapping[str, Any], project: Path, reading: Callable[[str], Starter] | None = None
) -> Followed | None:
    """The starter of a project, read again from where it is; where it cannot be, what was recorded holds.

    Args:
        answers: The project's answers.
        project: The project's folder, as for `recorded`.
        reading: What reads it; `load`, if left out.

    Raises:
        UserError: As `of`.
    """
    if not (old := recorded(answers, project)):
        return None
    try:
        new = (reading or load)(old.before.source)
    except UserError as error:
        return _held(old.before, f"cannot be used ({str(error).rstrip('.')})")
    notes = []
    fixed = dict(new.fixed)
    domain = answers.get("domain")
    if (other := fixed.get("domain", domain)) != domain:
        del fixed["domain"]  # another domain would be another project
        notes.append(f"The starter {new.name} now fixes the domain to {other}; this project keeps {domain}.")
    choices = tuple(dict.fromkeys([*new.domains, domain])) if new.domains and domain else ()
    lost = old.before.marks
    notes += [f"{path} stays as it is: this repository lacks what the starter gave first." for path in lost]
    left = {path: text for path, text in new.files.items() if path not in lost}
    after = replace(new, fixed=fixed, domains=choices, files=left, marks=lost)
    return Followed(old.before, after, tuple(notes))


def _given(project: Path, path: str, mark: str) -> str | None:
    """A document as the starter gave it; None where the repository does not have it."""
    with suppress(GitError, UnicodeDecodeError):
        now = git_bytes(project, "cat-file", "blob", f"HEAD:{path}")
        if _mark(now) == mark:
            return now.decode()
    with suppress(GitError, UnicodeDecodeError):
        return git_bytes(project, "cat-file", "blob", mark).decode()
    return None


def _mark(content: bytes) -> str:
    """Git's name for a file of this content: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects."""
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


# --- reading --------------------------------------------------------------------------------------


def load(where: str) -> Starter:
    """Read a starter: a path, an https URL, or `git+URL[@REF]#PATH` for a file in a git repository.

    Raises:
        UserError: It cannot be read, or has mistakes; the message lists them all.
    """
    starter, wrong = read(where)
    if wrong:
        raise UserError(listed(where, wrong))
    return starter


def listed(where: str, wrong: list[str]) -> str:
    """Mistakes as one message."""
    where = without_credentials(where)
    if len(wrong) == 1:
        return f"{where}: {wrong[0]}"
    return "\n".join([f"{where} has {len(wrong)} mistakes:", *(f"  - {each}" for each in wrong)])


def read(where: str) -> tuple[Starter, list[str]]:
    """What is right in a starter, and what is wrong with its form; the template may find more.

    Raises:
        UserError: It cannot be read, or is no mapping.
    """
    found = fetch(where, LIMIT)
    where = without_credentials(where)
    if found.content.lstrip()[:1] == b"<":
        raise UserError(f"{where} is a web page, not a starter; give the address of the file itself.")
    values = parse_yaml(found.content, where, foreign=True)
    if not isinstance(values, dict):
        raise UserError(
            f"{where} is no starter: write one KEY: VALUE on each line. Keys: {', '.join(_KEYS)}."
        )
    sound, wrong = _sound(values)
    if values.get("name") is None:
        wrong.append("name is missing: say what this starter is called.")
    if "template" in sound and not portable_url(sound["template"]):
        if found.folder:
            # Path("~nobody").expanduser() is an error.
            sound["template"] = str((found.folder / os.path.expanduser(sound["template"])).resolve())  # noqa: PTH111
        else:
            wrong.append("template: a starter that is not on this machine can only name a git URL.")
    starter = Starter(**{"name": "", **sound}, source=found.address)
    if len(starter.domains) == 1:
        starter = replace(starter, fixed={"domain": starter.domains[0], **starter.fixed})
    return starter, [*wrong, *_contradictions(starter)]


def _sound(values: Mapping[Any, Any]) -> tuple[dict[str, Any], list[str]]:
    """The values that are what their keys allow, and what is wrong with the others."""
    sound, wrong = {}, []
    for key, value in values.items():
        if key not in _KEYS:
            wrong.append(f"unknown key {_shown(key)}. {_near(str(key), _KEYS)}")
        elif value is not None:
            try:
                sound[key] = _READERS[key](value)
            except _WrongError as error:
                wrong.append(f"{key}: {error}")
    return sound, wrong


def _contradictions(starter: Starter) -> Iterator[str]:
    for key in starter.defaults:
        if key in starter.fixed:
            yield f"defaults: {key} is fixed, so it has no default."
    for section, answers in (("fixed", starter.fixed), ("defaults", starter.defaults)):
        domain = answers.get("domain")
        if starter.domains and domain is not None and domain not in starter.domains:
            yield f"{section}: domain is {_shown(domain)}, which domains does not allow."


class _WrongError(ValueError):
    """A value is not what its key allows."""


def _text(value: Any, what: str = "a text") -> str:
    if not isinstance(value, str):
        raise _WrongError(f"{_shown(value)} is not {what}{'; put it in quotes' if _is_plain(value) else ''}.")
    if _UNSEEN.search(value):
        raise _WrongError(f"{_shown(value)} has a control character; leave it out.")
    return value


def _line(value: Any, what: str) -> str:
    text = _text(value, what).strip()
    if not text or "\n" in text:
        raise _WrongError(f"{_shown(text)} is not {what}.")
    return text


def _version(value: Any) -> str:
    text = _line(value, _KEYS["version"])
    if not VERSION.fullmatch(text):
        raise _WrongError(f"{_shown(text)} is not {_KEYS['version']}.")
    return f"v{text.removeprefix('v')}"


def _answers(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _WrongError(f"{_shown(value)} is not {_KEYS['fixed']}.")
    for key, answer in value.items():
        several = answer if isinstance(answer, list) else [answer]
        # Neither a number that nobody can print, nor what unfolds without end.
        if len(several) > _MANY or not all(_is_plain(each) or isinstance(each, str) for each in several):
            raise _WrongError(
                f"{_shown(key)} is {_shown(answer)}: an answer is a text, a number, true, false, "
                "or a list of choices."
            )
        for text in (each for each in (key, *several) if isinstance(each, str)):
            _text(text)
    return {_line(key, "a question"): answer for key, answer in value.items()}


def _domains(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _WrongError(f"{_shown(value)} is not {_KEYS['domains']}.")
    if not value:
        raise _WrongError("the list is empty; without domains, all of them are to choose from.")
    return tuple(dict.fromkeys(_line(each, "the name of a domain") for each in value))


def _files(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _WrongError(f"{_shown(value)} is not {_KEYS['files']}.")
    for path, text in value.items():
        if wrong := _path_mistake(path):
            raise _WrongError(wrong)
        _text(text, f"the text of {path}")
    if sum(map(len, value.values())) > LIMIT:  # a text that is named once may stand in many places
        raise _WrongError(f"the texts have more than {LIMIT:,} characters in all.")
    alike: dict[str, str] = {}
    for path in value:
        for each in (path, *(str(folder) for folder in Path(path).parents)):
            if (other := alike.setdefault(_alike(each), each)) != each or (each != path and each in value):
                raise _WrongError(f"{path} and {other} cannot stand side by side everywhere; rename one.")
    return {path: text if text.endswith("\n") or not text else f"{text}\n" for path, text in value.items()}


def _path_mistake(path: Any) -> str | None:
    """Why a document cannot go there."""
    if not isinstance(path, str):
        return f"{_shown(path)} is no path; put it in quotes."
    parts = path.split("/")
    if not all(map(_COMPONENT.fullmatch, parts)) or len(path.encode()) > _LONGEST:
        return (
            f"{_shown(path)} is no path that stays in the project: write it relative to the project, "
            "with letters, digits, spaces, and . _ - inside a name."
        )
    if len(parts) > 1 and parts[0] != "docs":
        return f"{_shown(path)}: documents go to the root of the project, or below docs/."
    if not path.lower().endswith(_DOCUMENTS if len(parts) > 1 else ".md"):
        kinds = f"{', '.join(_DOCUMENTS)} below docs/, and .md at the root"
        return f"{_shown(path)}: only documents are added: {kinds}."
    if _ACTED_ON.fullmatch(_alike(parts[-1])):
        return f"{_shown(path)}: tools act on a file of that name; choose another."
    return None


_READERS: dict[str, Callable[[Any], Any]] = {
    "name": lambda value: _line(value, _KEYS["name"]),
    "welcome": _text,
    "template": lambda value: _line(value, _KEYS["template"]),
    "version": _version,
    "fixed": _answers,
    "defaults": _answers,
    "domains": _domains,
    "files": _files,
}


def _offered(found: Source) -> tuple[str, ...]:
    question = declared(found.path).get("domain")
    return question.choices if question else tuple(domains(found.path))


def _alike(name: str) -> str:
    """The same for names that some file systems take for one."""
    return unicodedata.normalize("NFKC", name).casefold()


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < _HUGE)


def _shown(value: Any) -> str:
    """A value in a message. What holds others may unfold without end, and is only named."""
    if isinstance(value, str) or _is_plain(value):
        text = repr(value) if value == "" else str(value).replace("\n", " ")
        text = text.lower() if isinstance(value, bool) else _UNSEEN.sub("?", text)
        return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}…"
    kinds = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def _near(name: str, known: Collection[str]) -> str:
    if not known:
        return "This template has none."
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return f"{hint}Allowed: {', '.join(known)}."


# --- for the commands -----------------------------------------------------------------------------


def as_record(starter: Starter) -> dict[str, Any]:
    """Everything in a starter, for programs."""
    content = asdict(starter)
    content.pop("marks")
    return content


def shown(starter: Starter) -> str:
    """Everything in a starter, for a person."""
    return "\n".join(_lines(starter))


def _lines(starter: Starter) -> Iterator[str]:
    yield starter.name
    yield f"  from {starter.source}"
    yield f"  template {starter.template or 'of this mlportfolio'}, {starter.version or 'its newest version'}"
    if starter.welcome.strip():
        yield ""
        yield from (f"  {line}".rstrip() for line in starter.welcome.strip().splitlines())
    sections = {
        "Fixed, not asked": starter.fixed,
        "Asked, with these defaults": starter.defaults,
        "Domains to choose from": dict.fromkeys(starter.domains, ""),
        "Documents that are added": {
            name: f"{len(text.splitlines())} lines" for name, text in starter.files.items()
        },
    }
    for title, rows in sections.items():
        if rows:
            yield ""
            yield title
            width = max(map(len, rows))
            for name, value in rows.items():
                several = value if isinstance(value, list) else [value]
                texts = (
                    " ".join(each.split()) if isinstance(each, str) else _shown(each) for each in several
                )
                yield f"  {name:{width}}  {', '.join(texts)}".rstrip()


def example(found: Source) -> str:
    """A starter to begin with, that fits the template."""
    slugs = "\n".join(f"  - {slug}" for slug in _offered(found))
    return _EXAMPLE.replace("  - DOMAIN", slugs)


_EXAMPLE = """\
# A starter: the same start for everyone in a cohort. Take out what you do not need; only `name` is required.
#   mlportfolio starter check FILE          does it fit the template?
#   mlportfolio new --starter FILE          make a project with it
# FILE may be this file, its https address, or git+https://HOST/REPOSITORY[@REF]#PATH.

name: Spring cohort

# Shown before anything is asked.
welcome: |
  Welcome. Choose a domain you know something about, and read docs/cohort.md first.

# The template: a git URL, or a path from this file. Left out, it is the one that mlportfolio carries.
# template: https://git.example.org/mentor/mlportfolio.git

# The release of the template that projects are made from, and the newest that they are updated to.
# version: "1.2.0"

# Answers that are not asked. `mlportfolio new --help` lists the questions.
fixed:
  metric: expected_cost
  tracking: mlflow

# Answers that are asked, and filled in.
defaults:
  licence: MIT
  container: true

# The domains to choose from, the default first. With one there is nothing to choose.
domains:
  - DOMAIN

# Documents that are added: .md at the root of the project; .md, .rst, .txt and .csv below docs/.
# They are copied as they are, never replace a file of the template, and updates bring their new text.
files:
  docs/cohort.md: |
    # Our cohort

    - Week 1: make the project run, and put the problem in your own words.
    - Week 2: beat the baseline, and write down what did not work.
"""
