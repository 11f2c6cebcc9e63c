"""The command: parse, call, print. Everything heavy is imported inside the command that needs it."""

import json
import os
import shlex
import shutil
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from mlportfolio.errors import UserError, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mlportfolio.form import Form
    from mlportfolio.interview import Given, Wizard
    from mlportfolio.project import Made
    from mlportfolio.source import Source
    from mlportfolio.starter import Starter

# Parameters of `new` itself. Every other one is named after the question that it answers.
OWN_FLAGS = frozenset(
    {"destination", "yes", "run", "dry_run", "as_json", "answers", "pairs", "starter", "template", "version"}
)

INTERRUPTED = 130
WIDE = 110  # columns that the table of domains needs
WINDOWS = os.name == "nt"

_EXAMPLES = """\b
Examples:
  mlportfolio new                              ask everything, with advice
  mlportfolio new flights --yes                take every default
  mlportfolio new flights --yes --run          ... then install it, and run it end to end
  mlportfolio new flights --yes --dry-run      show the files, write nothing
  mlportfolio new --answers mine.yml --set success="nobody stranded" --yes
  mlportfolio new --starter https://example.org/cohort.yml
"""

_STARTER = """\b
FILE_OR_URL is a path, an https:// address, or git+https://HOST/REPOSITORY[@REF]#PATH.
\b
Examples:
  mlportfolio starter init cohort.yml          write one to begin with
  mlportfolio starter check cohort.yml         say whether it fits the template
  mlportfolio new --starter cohort.yml         make a project with it
"""

app = typer.Typer(
    epilog="Begin with:  mlportfolio new",
    rich_markup_mode=None,  # rich takes longer to import than all else that --help needs
    pretty_exceptions_enable=False,
    add_completion=False,
)

starter_app = typer.Typer(rich_markup_mode=None, epilog=_STARTER)
app.add_typer(starter_app, name="starter")

Template = Annotated[
    str | None, typer.Option(metavar="PATH_OR_URL", help="Another template than this package's own.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Answer = Annotated[str | None, typer.Option(metavar="TEXT", show_default=False)]
StarterFile = Annotated[str, typer.Argument(metavar="FILE_OR_URL", help="The starter.", show_default=False)]


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Whatever goes wrong becomes one sentence, never a traceback.

    Returns:
        0; 1 where something failed; 2 where the input was wrong; 130 where the user stopped it.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 still gets its answer
    try:
        code = app(arguments or ["--help"], prog_name="mlportfolio", standalone_mode=False) or 0
        if code != INTERRUPTED:
            return code
        message = "Stopped; nothing was written."
    except (UserError, typer.TyperException) as error:
        message, code = (
            error.format_message() if isinstance(error, typer.TyperException) else str(error),
            error.exit_code,
        )
    except typer.Abort:
        message, code = "Stopped; nothing was written.", INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a traceback helps no learner
        message, code = sentence(error), 1
    if "--json" in arguments:
        print(json.dumps({"error": message}))
    else:
        print(message if code == INTERRUPTED else f"Error: {message}", file=sys.stderr)
    return code


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer's own form of a callback
    if wanted:
        from mlportfolio import __version__

        print(f"mlportfolio {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop."),
    ] = False,
) -> None:
    """Make a machine-learning portfolio project: a clear problem, real data, measured models, an endpoint."""


class _QuestionHelp(TyperCommand):
    """A command whose help says about each flag what copier.yml says about its question."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Take the words from copier.yml, and list the questions that have no flag."""
        from mlportfolio.source import own_questions

        questions = {key: each for key, each in own_questions().items() if not each.computed}
        for parameter in self.params:
            if question := questions.pop(parameter.name or "", None):
                choices = f" [{'|'.join(question.choices)}]" if question.choices else ""
                parameter.help = question.advice + choices  # type: ignore[attr-defined]
        super().format_options(ctx, formatter)
        if questions:
            with formatter.section("Questions without a flag (--set KEY=VALUE)"):
                formatter.write_dl([(key, question.advice) for key, question in questions.items()])


@app.command(cls=_QuestionHelp, epilog=_EXAMPLES)
def new(  # noqa: PLR0913 - one parameter for each flag
    ctx: typer.Context,
    destination: Annotated[
        str | None, typer.Argument(help="Where to put it; ./<project_slug> if left out.", show_default=False)
    ] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take defaults for the rest; never ask.")] = False,
    run: Annotated[
        bool, typer.Option("--run", help="Go on: install the project and run its pipeline.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the files; write nothing.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else; never ask.")
    ] = False,
    answers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Answers in YAML or JSON; flags go before it.")
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Answer any question; may be repeated."),
    ] = None,
    starter: Annotated[
        str | None, typer.Option(metavar="FILE_OR_URL", help="A mentor's starter; see `mlportfolio starter`.")
    ] = None,
    template: Template = None,
    version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="A release of the template; the newest if left out.")
    ] = None,
    domain: Answer = None,
    decision_maker: Answer = None,
    decision: Answer = None,
    prediction: Answer = None,
    decision_time: Answer = None,
    false_negative_cost: Answer = None,
    false_positive_cost: Answer = None,
    metric: Answer = None,
    success: Answer = None,
    project_name: Answer = None,
    project_slug: Answer = None,
    package_name: Answer = None,
    author_name: Answer = None,
    tracking: Answer = None,
    container: Annotated[bool | None, typer.Option("--container/--no-container", show_default=False)] = None,
    deploy: Answer = None,
    ci: Answer = None,
    licence: Answer = None,
) -> None:
    """Make a project. At a terminal it asks, question by question; flags answer beforehand."""
    from mlportfolio import pipeline, project, source

    if WINDOWS:
        raise UserError("Windows cannot hold the template's file names; run mlportfolio in WSL.")
    project.leave_foreign_repository()
    if dry_run and run:
        raise UserError("--dry-run writes nothing, so there is nothing to --run; leave one of them out.")
    if destination is not None:
        project.check_destination(destination)
    if run:
        pipeline.check_make()
    flags = {key: value for key, value in ctx.params.items() if key not in OWN_FLAGS}
    origin = {"starter": starter, "template": template, "version": version}
    with project.stop_signals(), _opened(starter, template, version, greet=not as_json) as (found, start):
        from mlportfolio import interview  # with copier and questionary, most of a second

        questions = source.declared(found.path)
        given = interview.gather(answers, flags, pairs or (), questions, start)
        asking = _at_terminal() and not (yes or as_json)
        if not (asking or yes):
            interview.check_complete(given, questions, set(flags), start)
        wizard = interview.Wizard(questions) if asking else None
        with _ways_on(wizard, given, destination, set(flags), origin):
            form, notes = interview.fill(found, given, wizard, start)
            where = _place(destination, form, wizard)
            if not as_json:
                _say(notes)
            if wizard:
                _confirm(wizard, form, where, dry_run=dry_run)
        message = f"Start {form.answers.get('project_name', where.name)}"
        made = project.make(form, where, message, dry_run=dry_run)
        made.notes += _about_updates(found)

        command = interview.command_line(form, _relative(where), set(flags), origin)
        if as_json:
            if run:
                pipeline.run(made.path, pipeline.Silent())
                _record_run(made)
            record = _as_record(made, form, found, command) | {"starter": start.record() if start else None}
            print(json.dumps(record | {"notes": notes + made.notes, "dry_run": dry_run}))
        else:
            _finish(made, dry_run=dry_run, run=run, command=command if wizard else None)


@contextmanager
def _opened(
    starter: str | None, template: str | None, version: str | None, *, greet: bool
) -> "Iterator[tuple[Source, Starter | None]]":
    """The template that is wanted, or that a starter wants, and the starter, which has said its welcome."""
    from mlportfolio import source
    from mlportfolio import starter as starters

    if not starter:
        with source.open_template(template, version) as found:
            yield found, None
        return
    if template or version:
        raise UserError("--starter says which template and version; leave --template and --version out.")
    start = starters.load(starter)
    with source.open_template(start.address, start.version) as found:
        start.check(found, starter)
        if greet:
            print(f"{start.greeting(found)}\n", flush=True)
        yield found, start


def _as_record(made: "Made", form: "Form", found: "Source", command: str) -> dict[str, Any]:
    """What was made, for programs."""
    from mlportfolio import __version__
    from mlportfolio.pipeline import headline

    return {
        "path": str(made.path),
        "answers": form.answers,
        "files": made.files,
        "commit": made.commit,
        "headline": headline(made.path),
        "command": command,
        "template": {"url": found.url, "commit": found.commit},
        "version": __version__,
    }


def _about_updates(found: "Source") -> list[str]:
    if found.url or not found.commit:
        return []
    note = (
        "This template has no address that other machines know, so updates come with a newer mlportfolio and "
        "`mlportfolio update`; plain `copier update` cannot find them."
    )
    return [note]


def _confirm(wizard: "Wizard", form: "Form", where: Path, *, dry_run: bool) -> None:
    """Show the answers, and end here if they shall not be written."""
    wizard.shows(form)
    if not dry_run and not wizard.confirms(where):
        print("Nothing was written.")
        raise typer.Exit(1)


@contextmanager
def _ways_on(
    wizard: "Wizard | None",
    given: "Mapping[str, Given]",
    destination: str | None,
    named: set[str],
    origin: "Mapping[str, str | None]",
) -> "Iterator[None]":
    """Where the wizard is stopped, print the command that repeats the answers so far."""
    from mlportfolio.interview import resuming

    try:
        yield
    except (KeyboardInterrupt, EOFError, typer.Exit):
        if wizard and wizard.form and (line := resuming(wizard.form, given, destination, named, origin)):
            print(f"\nTo go on from here:\n  {line}")
        raise


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _place(destination: str | None, form: "Form", wizard: "Wizard | None") -> Path:
    """Where the project goes: where the user said, else the project's slug in the working directory."""
    from mlportfolio.project import check_destination

    name = destination or form.answers.get("project_slug")
    if not name:
        raise UserError("This template has no project_slug to name the folder after; give a DESTINATION.")
    try:
        return check_destination(name)
    except UserError as error:
        if not wizard:
            raise
        return wizard.elsewhere(error)


def _relative(path: Path) -> str:
    """The path as one would type it here: relative if it is below the working directory."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _say(notes: "Iterable[str]") -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _finish(made: "Made", *, dry_run: bool, run: bool, command: str | None) -> None:
    """Say what was made, run it if that is wanted, and name the next steps."""
    from mlportfolio.project import tree

    if dry_run:
        print(f"{tree(made.path.name, made.files)}\n\n{len(made.files)} files, not written to {made.path}.")
    else:
        first = f", first commit {made.commit[:7]}" if made.commit else ""
        print(f"Made {made.path}: {len(made.files)} files{first}.")
    _say(made.notes)
    if command:
        print(f"\nThe same again, without questions:\n  {command}")
    sys.stdout.flush()
    if run:
        _watch(made)
    if not dry_run:
        _next_steps(made, ran=run)


def _watch(made: "Made") -> None:
    """Install and run the project before the user's eyes, and show its headline figures."""
    from mlportfolio import pipeline

    with pipeline.Live() if _at_terminal() else nullcontext(pipeline.Plain()) as display:
        pipeline.run(made.path, display)
    known = len(made.notes)
    _record_run(made)
    _say(made.notes[known:])
    figures = pipeline.headline(made.path)
    width = max(map(len, figures), default=0)
    print(*(f"  {name:{width}}  {value}" for name, value in figures.items()), sep="\n")


def _record_run(made: "Made") -> None:
    """Commit what the run changed, if the first commit was ours to make."""
    from mlportfolio import project

    if made.commit and project.has_changes(made.path):
        project.commit(made, "Record the results of the first run")


def _next_steps(made: "Made", *, ran: bool) -> None:
    place = _relative(made.path)
    go = [] if place == "." else [(f"cd {shlex.quote(place)}", "")]
    train = [] if ran else [("make run", "install, train, evaluate: the whole pipeline")]
    serve = [("make serve", "try the model in a browser")]
    share = [("git remote add origin <your repository> && git push -u origin main", "show it")]
    read = [("less README.md", "the problem, and how it is solved")]
    steps = (go + train + serve + (share if made.commit else []) + read)[:3]
    width = max(len(command) for command, _ in steps)
    print("\nNext:")
    for number, (command, why) in enumerate(steps, 1):
        print(f"  {number}. {command:{width}}  {f'# {why}' if why else ''}".rstrip())


@app.command()
def update(  # noqa: PLR0913 - one parameter for each flag
    project: Annotated[
        Path, typer.Argument(help="The project; the working directory if left out.", show_default=False)
    ] = Path(),
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, conflicts too; touch nothing.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION", help="A release, or `current` to change answers only; else the newest."
        ),
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change an answer on the way; may be repeated."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take defaults for new questions.")] = False,
    as_json: AsJson = False,
    template: Template = None,
) -> None:
    """Bring a newer template into a project, its owner's work intact."""
    from mlportfolio import interview, merge
    from mlportfolio import project as projects
    from mlportfolio import starter as starters
    from mlportfolio import update as updates

    projects.leave_foreign_repository()
    with projects.stop_signals():
        ours = updates.read_project(project)
        undone = merge.recover(ours.path)
        updates.check_ready(ours)
        starter = starters.follow(ours.answers, ours.path)
        named = starter.after.address if starter else None
        with updates.releases_of(ours, template or named) as releases:
            given = interview.from_flags({}, pairs or ())
            asking = _at_terminal() and not (yes or as_json)
            with updates.planned(ours, releases, to, given, starter, ask=asking) as plan:
                if not as_json:
                    if undone:
                        _say(["An earlier update was stopped in the middle; what it had begun is undone."])
                    _say(plan.notes)
                    print(plan.table())
                    sys.stdout.flush()
                if not dry_run:
                    merge.apply(plan)
                if as_json:
                    print(json.dumps(plan.record() | {"dry_run": dry_run}))
                elif not dry_run:
                    print(plan.next_steps())
    if plan.conflicts:
        raise typer.Exit(1)


_STATUS = """\b
Exit status: 0 if every project is current; 1 if one is behind or broken; 2 if the input was wrong.
\b
Examples:
  mlportfolio status                           the project you are in
  mlportfolio status cohort/*/                 a table of all of them
  mlportfolio status cohort.txt --html cohort.html
"""


@app.command(epilog=_STATUS)
def status(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH",
            help="Projects, or files that list them, one a line; the working directory if left out.",
            show_default=False,
        ),
    ] = None,
    *,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV and nothing else.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page that a browser shows and sorts.")
    ] = None,
    template: Template = None,
) -> None:
    """Say how projects stand: version, newest, the owner's edits, conflicts, last result. Touches nothing."""
    from mlportfolio import project as projects
    from mlportfolio import status as statuses

    if as_json and as_csv:
        raise UserError("--json and --csv exclude each other; leave one of them out.")
    projects.leave_foreign_repository()
    paths = paths or ["."]
    if html:
        statuses.check_page(html, paths)
    places = statuses.find(paths)
    with projects.stop_signals(), _counted(len(places)) as progress:
        found = statuses.collect(places, template, progress)
    if html:
        statuses.write_page(html, found)
    if as_json:
        record = {"projects": [each.record() for each in found], "summary": statuses.summary(found)}
        print(json.dumps(record))
    elif as_csv:
        print(statuses.table_of_values(found), end="")
    elif html:
        print(f"{html}: {statuses.summary_line(found)}")
    elif len(found) == 1:
        print(statuses.detail(found[0]))
    else:
        print(statuses.table(found, shutil.get_terminal_size().columns))
    if any(each.state != "current" for each in found):
        raise typer.Exit(1)


_PROFILE = """\b
FILE is CSV, Parquet, JSON lines, Excel or SQLite; or an address postgresql://USER@HOST/DATABASE.
\b
Examples:
  mlportfolio profile sales.csv                          what the columns mean, what may be wrong
  mlportfolio profile sales.csv --target churned         ... and how it could be predicted
  mlportfolio profile shop.db --table orders --html orders.html
"""


@app.command(epilog=_PROFILE)
def profile(  # noqa: PLR0913 - one parameter for each flag
    source: Annotated[str, typer.Argument(metavar="FILE", help="The table.", show_default=False)],
    *,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="What is to be predicted.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page that a browser shows.")
    ] = None,
    table: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which table of a database, or sheet of a workbook.")
    ] = None,
    query: Annotated[str | None, typer.Option(metavar="SQL", help="Rows of a database: a SELECT.")] = None,
    encoding: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="How a text file is encoded, where that is guessed wrong."),
    ] = None,
    header: Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header", help="Whether the first row names the columns.", show_default=False
        ),
    ] = None,
) -> None:
    """Say what the columns of a table mean, what may go wrong with it, and how it could be predicted."""
    from mlportfolio import profile as profiles
    from mlportfolio import project as projects
    from mlportfolio.profile import show

    if html:
        show.check_page(html, source)
    with projects.stop_signals():
        found = profiles.make(source, target, profiles.Options(table, query, encoding, header))
    if html:
        show.write_page(html, found)
    if as_json:
        print(json.dumps(found.record()))
    elif html:
        print(f"{html}: {show.headline(found)}")
    else:
        print(show.text(found, shutil.get_terminal_size((WIDE, 24)).columns))


@contextmanager
def _counted(total: int) -> "Iterator[Callable[[int], None]]":
    """Count on the terminal what is done, and leave no trace of it."""
    shown = total > 1 and sys.stderr.isatty()

    def show(done: int) -> None:
        if shown:
            print(f"\r{done} of {total}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


@app.command()
def domains(
    *,
    as_json: AsJson = False,
    template: Template = None,
) -> None:
    """List the domains: problem, task, rows, metric, licence."""
    from mlportfolio import source

    with source.open_template(template) as found:
        offered = {slug: _domain(facts) for slug, facts in source.domains(found.path).items()}
    if as_json:
        print(json.dumps(offered))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal or console.width < WIDE:
        for slug, facts in offered.items():
            print(slug)
            for name, value in {**facts, "rows": f"{facts['rows']:,}"}.items():
                print(f"  {name:{max(map(len, facts))}}  {value}")
        return
    table = Table("domain", "problem", "task", "rows", "metric", "licence of the data")
    for slug, facts in offered.items():
        table.add_row(
            slug, facts["problem"], facts["task"], f"{facts['rows']:,}", facts["metric"], facts["licence"]
        )
    console.print(table)


def _domain(facts: dict[str, Any]) -> dict[str, Any]:
    costs = facts["costs"]
    metric = f"expected cost: a miss {costs['false_negative']:g}, a false alarm {costs['false_positive']:g}"
    return {
        "problem": facts["summary"],
        "task": facts["task"],
        "rows": facts["rows"],
        "metric": metric,
        "licence": facts["licence"],
    }


@starter_app.callback()
def starter_root() -> None:
    """Give the same start to a whole cohort: one YAML file with answers, domains and documents."""


@starter_app.command("init", epilog=_STARTER)
def starter_init(
    file: Annotated[Path, typer.Argument(help="Where to write it.", show_default=False)],
    *,
    as_json: AsJson = False,
) -> None:
    """Write a starter to begin with, and say in it what each part is for."""
    from mlportfolio import source
    from mlportfolio import starter as files

    with source.open_template() as found:
        text = files.example(found)
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError as error:
        raise UserError(f"{file} is there already, and stays; name another file.") from error
    if as_json:
        print(json.dumps({"path": str(file.resolve())}))
    else:
        print(f"Made {file}.\n\nNext:\n  mlportfolio starter check {shlex.quote(str(file))}")


@starter_app.command("check", epilog=_STARTER)
def starter_check(where: StarterFile, *, as_json: AsJson = False) -> None:
    """Say whether a starter fits the template, at the version that it names. Lists every mistake."""
    from mlportfolio import source
    from mlportfolio import starter as files

    read, wrong = files.read(where)
    version = None
    try:
        with source.open_template(read.address, read.version) as found:
            version = found.commit
            wrong += read.mistakes(found, render=True)
    except UserError as error:
        wrong.append(str(error))
    if as_json:
        print(json.dumps({"source": read.source, "version": version, "mistakes": wrong}))
    elif not wrong:
        print(f"{where} fits the template{f', {version}' if version else ''}.")
    else:
        raise UserError(files.listed(where, wrong))
    if wrong:
        raise typer.Exit(2)


@starter_app.command("show", epilog=_STARTER)
def starter_show(where: StarterFile, *, as_json: AsJson = False) -> None:
    """Say what a starter fixes, fills in, allows and adds."""
    from mlportfolio import starter as files

    found = files.load(where)
    print(json.dumps(files.as_record(found)) if as_json else files.shown(found))
