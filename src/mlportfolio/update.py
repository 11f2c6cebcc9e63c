"""Bring a later version of the template, or other answers, into a project that its owner has worked on.

The project is rendered twice, as the template made it and as it would make it now, and git merges the
difference into the owner's work, in a repository of its own. Only a finished merge reaches the project.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlportfolio.errors import UserError
from mlportfolio.interview import Given, Wizard, as_typed, check_given, check_keys, refused_at
from mlportfolio.merge import ANSWERS, Merge, Plan
from mlportfolio.releases import VERSION, GitError, check_git, git, is_checkout, order
from mlportfolio.source import (
    FROZEN,
    Releases,
    Source,
    declared,
    is_same_address,
    open_releases,
    own_url,
    plain_git_errors,
    read_yaml,
)
from mlportfolio.starter import Followed, Starter, of, recorded

if TYPE_CHECKING:
    from mlportfolio.form import Form

CURRENT = "current"


@dataclass(frozen=True)
class Project:
    """A project of ours in a git repository, and what it records about where it came from.

    Attributes:
        path: Its folder.
        answers: What was answered when it was made, or last updated.
        version: The version of the template that it has.
        url: The address of the template; None where none is recorded.
    """

    path: Path
    answers: dict[str, Any]
    version: str
    url: str | None


def read_project(path: Path) -> Project:
    """Read what a project records.

    Raises:
        UserError: There is none, it is no git repository of its own, or it was not made by us.
    """
    absolute = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - Path.absolute() keeps `..`
    if not absolute.is_dir():
        raise UserError(f"{path} is no directory.")
    if (real := absolute.resolve()) != absolute:
        raise UserError(f"{path} leads through a link; name the folder itself: {real}.")
    if not (real / ANSWERS).is_file():
        raise UserError(f"{path} was not made by mlportfolio: it has no {ANSWERS}.")
    content = read_yaml(real / ANSWERS, foreign=True)
    if not isinstance(content, dict) or not set(FROZEN) <= set(content):
        raise UserError(f"{path} was not made by mlportfolio: {ANSWERS} names no {' and no '.join(FROZEN)}.")
    with plain_git_errors():
        check_git()
        is_root = is_checkout(real)
    if not is_root:
        raise UserError(f"{path} is not the root of a git repository; run `git init` there, and commit.")
    version = content.get("_commit")
    if not isinstance(version, str):
        raise UserError(
            f"{path} does not say which version of the template it has (_commit in {ANSWERS}), "
            "so nothing can be compared with it."
        )
    answers = {key: value for key, value in content.items() if not key.startswith("_")}
    url = content.get("_src_path")
    if not isinstance(url, str):
        starter = of(answers)
        url = starter.template if starter else None
    return Project(real, answers, version, url)


@contextmanager
def releases_of(project: Project, wanted: str | None = None) -> Iterator[Releases]:
    """The versions of the template that a project was made from.

    They are those that this package carries, unless the project names another address, or `wanted` does.

    Raises:
        UserError: They cannot be reached.
    """
    with open_releases(address(project.url, wanted)) as releases:
        yield releases


def address(recorded: str | None, wanted: str | None = None) -> str | None:
    """Where the template's versions are, for `open_releases`, if a project records that address."""
    if wanted or os.environ.get("MLPORTFOLIO_TEMPLATE") or not recorded:
        return wanted
    ours = own_url()
    return None if ours and is_same_address(recorded, ours) else recorded


def check_committed(project: Project) -> None:
    """Make sure that there is something to merge with.

    Raises:
        UserError: There is no commit yet, or it cannot be read.
    """
    try:
        git(project.path, "rev-parse", "--verify", "--quiet", "HEAD")
    except GitError as error:
        raise UserError(f"{project.path} has no commit yet; commit what is there, then update.") from error
    try:
        git(project.path, "cat-file", "-e", "HEAD^{tree}")
    except GitError as error:
        message = f"{project.path} is damaged: git cannot read its last commit."
        raise UserError(message, exit_code=1) from error


def check_ready(project: Project) -> None:
    """Make sure that an update can lose nothing.

    Raises:
        UserError: There is no commit yet, there are changes that are not committed, or a merge is under way.
    """
    check_committed(project)
    if changed := git(project.path, "status", "--porcelain").splitlines():
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UserError(
            f"{project.path} has changes that are not committed ({changed[0][2:].strip()}{more}); "
            "commit or stash them, then update."
        )


@contextmanager
def planned(  # noqa: PLR0913 - the last four have defaults
    project: Project,
    releases: Releases,
    to: str | None = None,
    given: Mapping[str, Given] | None = None,
    starter: Followed | None = None,
    *,
    ask: bool = False,
) -> Iterator[Plan]:
    """Merge what changes between the project's version and `to` into its last commit, elsewhere.

    Args:
        project: The project; it is not touched.
        releases: The template's versions.
        to: The version to bring, or CURRENT for the one it has; None for `newest`.
        given: Answers that change on the way.
        starter: The project's starter as it is now; left out, what the project records of it holds.
        ask: Whether new questions are asked at the terminal; else they take their defaults.

    Raises:
        UserError: A version is unknown or older, or an answer is refused.
    """
    starter = starter or recorded(project.answers, project.path)
    version = _target(project, releases, to, starter)
    with ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="mlportfolio-")))
            if starter:
                starter = starter.fitting(releases.at(version))
                version = _target(project, releases, to, starter)
            earlier, present = (starter.before, starter.after) if starter else (None, None)
            before = _form(releases.at(project.version), project.answers, starter=earlier)
            after = before
            if version != project.version or given or present or ask:
                after = _form(releases.at(version), project.answers, given or {}, present, ask=ask)
            before.render(folder / "before")
            if (version, after.everything, present) == (project.version, before.everything, earlier):
                shutil.copytree(folder / "before", folder / "after", symlinks=True)
            else:
                after.render(folder / "after")
            merge = Merge(project, folder, after)
            plan = merge.run(version)
        except GitError as error:
            raise UserError(f"git could not merge: {error}. Nothing was changed.", exit_code=1) from error
        plan.new_answers = {
            key: value
            for key, value in after.answers.items()
            if key not in project.answers and key not in (given or {})
        }
        plan.notes = [*starter.notes, *_refixed(starter.after, project, after)] if starter else []
        yield plan


def _refixed(starter: Starter, project: Project, after: "Form") -> Iterator[str]:
    """What the owner should know about answers that the starter changes."""
    for key, value in after.answers.items():
        if key in starter.fixed and project.answers.get(key, value) != value:
            was, now = as_typed(project.answers[key]), as_typed(value)
            yield f"The starter {starter.name} now fixes {key} to {now}; it was {was}."


def newest(project: Project, releases: Releases, starter: Followed | None = None) -> str:
    """The version that an update brings: no later one than the project's starter names, and no older one.

    Raises:
        UserError: There is no release, or what the project records of its starter cannot be read.
    """
    starter = starter or recorded(project.answers, project.path)
    pin = starter.after.version if starter else None
    within = [each for each in releases.versions if not pin or order(each) <= order(pin)]
    if pin and not within:
        return project.version
    latest = within[-1] if pin else releases.newest
    return project.version if releases.is_newer(project.version, latest) else latest


def _target(project: Project, releases: Releases, to: str | None, starter: Followed | None) -> str:
    if VERSION.fullmatch(project.version) and releases.is_newer(project.version, releases.newest):
        raise UserError(
            f"{project.path} has version {project.version} of the template, newer than {releases.newest}, "
            "the newest here; bring mlportfolio up to date first."
        )
    if to is None:
        return releases.resolve(newest(project, releases, starter))
    version = releases.resolve(project.version if to == CURRENT else to)
    pin = starter.after.version if starter else None
    if starter and pin and to != CURRENT and releases.is_newer(version, pin):
        raise UserError(
            f"The starter {starter.after.name} goes up to {pin}, and {version} is newer; leave --to out."
        )
    if releases.is_newer(project.version, version):
        raise UserError(
            f"{version} is older than {project.version}, which the project has; there is no way back."
        )
    return version


def _form(
    source: Source,
    recorded: Mapping[str, Any],
    given: Mapping[str, Given] | None = None,
    starter: Starter | None = None,
    *,
    ask: bool = False,
) -> "Form":
    """The questions of a version: as given, or fixed, or recorded, or asked, or by default."""
    from mlportfolio.form import Form  # copier takes most of a second to import

    given = given or {}
    questions = declared(source.path)
    check_keys(given, questions)
    for key in FROZEN:
        if key in given:
            raise UserError(
                f"{given[key].where}: {key} cannot change: the project's files are named after it."
            )
    form = Form(source, starter)
    check_given(form, given, starter)
    fixed = starter.fixed if starter else {}
    wizard = Wizard(questions) if ask else None
    for key in form.keys:
        if not form.applies(key):
            if key in given:
                raise UserError(f"{given[key].where}: this question does not arise from the other answers.")
        elif key in given:
            with refused_at(given[key].where):
                form.accept(key, given[key].value)
        elif key in fixed:
            with refused_at(f"{key}, which the starter fixes"):
                form.accept(key, fixed[key])
        elif key in recorded:
            with refused_at(f"{key} in {ANSWERS} (give another with --set)"):
                form.accept(key, recorded[key])
        elif wizard:
            wizard.ask(form, key)
        else:
            with refused_at(f"{key} (by default; give it with --set)"):
                form.accept_default(key)
    return form
