"""Merge what changed in the template into an owner's last commit, elsewhere, and bring the result home."""

import json
import os
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mlportfolio.errors import UserError
from mlportfolio.interview import as_typed
from mlportfolio.project import uninterrupted
from mlportfolio.releases import GitError, git, git_bytes, keep_files_as_they_are

if TYPE_CHECKING:
    from mlportfolio.form import Form
    from mlportfolio.update import Project

ANSWERS = ".copier-answers.yml"
_JOURNAL = "mlportfolio-update"
_YOURS = 2  # git's numbers for the sides of a conflict; 1 is their common ancestor
_THEIRS = 3


@dataclass(frozen=True)
class Change:
    """What an update does to one file.

    Attributes:
        path: Where it is, relative to the project.
        kind: "added", "changed", "removed" or "conflict".
        detail: Why it is a conflict; empty otherwise.
    """

    path: str
    kind: str
    detail: str = ""


@dataclass
class Plan:
    """A finished merge that has not reached the project yet.

    Attributes:
        project: The project as it is.
        version: The version that it will have.
        changes: What happens to each file that is touched.
        edits: What the owner has changed against the version that the project has.
        kept: Files that the template would have changed or removed, and that stay as the owner has them: why.
        new_answers: Questions that the project had not answered, with the answers they have now.
        repository: Where the merge was made; it lasts as long as the plan.
        commit: The result, conflict markers included.
        unmerged: What git's index holds about the conflicts, as `git update-index --index-info` reads it.
        notes: What the owner should know.
    """

    project: "Project"
    version: str
    changes: list[Change]
    edits: list[Change]
    kept: dict[str, str]
    new_answers: dict[str, Any]
    repository: Path
    commit: str
    unmerged: bytes
    notes: list[str] = field(default_factory=list)

    @property
    def conflicts(self) -> list[Change]:
        """The files that the owner must decide about."""
        return [change for change in self.changes if change.kind == "conflict"]

    def table(self) -> str:
        """What would happen to each file, for a person."""
        versions = (
            self.project.version if self.is_same_version else f"{self.project.version} to {self.version}"
        )
        lines = [f"{self.project.path}: {versions}"]
        rows = [(each.kind, each.path, each.detail) for each in self.changes]
        rows += [("kept", name, why) for name, why in self.kept.items()]
        if rows:
            width = max(len(name) for _, name, _ in rows)
            lines += [
                "",
                *(f"  {kind:8}  {name:{width}}  {detail}".rstrip() for kind, name, detail in rows),
                "",
            ]
        count = f"{len(self.changes)} file{'s' * (len(self.changes) != 1)} to change"
        conflicts = f", {len(self.conflicts)} of them in conflict" if self.conflicts else ""
        lines.append(f"{count}{conflicts}." if self.changes else "Nothing to change.")
        for key, value in self.new_answers.items():
            lines.append(f"New question {key}: {as_typed(value) or '-'} (another: --set {key}=…)")
        return "\n".join(lines)

    @property
    def is_same_version(self) -> bool:
        """Whether only answers change."""
        return self.version == self.project.version

    def next_steps(self) -> str:
        """What the owner does with an update that has reached the project."""
        if not self.changes:
            return ""
        message = shlex.quote(
            "Change answers" if self.is_same_version else f"Update to version {self.version} of the template"
        )
        undo = "To undo it all:  git reset --hard"
        if self.conflicts:
            names = " ".join(shlex.quote(each.path) for each in self.conflicts)
            return (
                "\nConflicts are yours to decide. In each file keep what you want of the two sides between "
                "<<<<<<< and >>>>>>>,\nand remove those lines; then:\n"
                f"  git add {names}\n  make test\n  git commit -m {message}\n{undo}"
            )
        return (
            f"\nNext:\n  git diff --staged   # what changed\n  make test\n  git commit -m {message}\n{undo}"
        )

    def record(self) -> dict[str, Any]:
        """The plan for programs."""
        return {
            "path": str(self.project.path),
            "from": self.project.version,
            "to": self.version,
            "changes": [vars(each) for each in self.changes],
            "conflicts": [each.path for each in self.conflicts],
            "kept": self.kept,
            "new_answers": self.new_answers,
            "notes": self.notes,
        }


class Merge:
    """One merge, in a repository with a copy of the project's last commit, which gives nothing back.

    Args:
        project: Whose last commit takes the changes.
        folder: Holds the renderings `before` and `after`, and will hold the repository.
        form: The form of `after`, which knows what belongs to the owner.
    """

    def __init__(self, project: "Project", folder: Path, form: "Form") -> None:
        self._project = project
        self._folder = folder
        self._repository = folder / "merge"
        self._form = form
        self._kept: dict[str, str] = {}

    def run(self, version: str) -> Plan:
        """Merge, settle what has an answer, and list the rest."""
        path = self._project.path
        self._repository.mkdir()
        kind = git(path, "rev-parse", "--show-object-format")
        git(self._repository, "init", "--quiet", "--template=", f"--object-format={kind}")
        keep_files_as_they_are(self._repository / ".git")
        head = git(path, "rev-parse", "HEAD")
        self._take_over(head)
        files = self._files(head)
        self._leave_what_is_owned(files)
        if ANSWERS in files:  # it may name another address than ours, which is no edit of the owner's
            (self._folder / "before" / ANSWERS).write_bytes(git_bytes(path, "show", f"{head}:{ANSWERS}"))
        base = self._commit(self._tree("before"))
        theirs = self._commit(self._tree("after"), base)
        ours = self._commit(f"{head}^{{tree}}", base)
        git(self._repository, "branch", f"mlportfolio-{version}", theirs)
        git(self._repository, "checkout", "--quiet", "--detach", ours)
        self._run_git_merge(f"mlportfolio-{version}")
        conflicts, unmerged = self._settle()
        # What the project records about itself is the template's to write.
        shutil.copy(self._folder / "after" / ANSWERS, self._repository / ANSWERS)
        git(self._repository, "add", "--all", "--force")
        tree = git(self._repository, "write-tree")
        # With the owner's commit as its parent only what is new need be taken over.
        commit = self._commit(tree, head)
        changes = self._changes(head, commit, conflicts)
        edits = [each for each in self._changes(base, head) if each.path != ANSWERS]
        self._check_free((each.path for each in changes if each.kind == "added"), files)
        return Plan(
            self._project,
            version,
            changes,
            edits,
            dict(sorted(self._kept.items())),
            {},
            self._repository,
            commit,
            unmerged,
        )

    def _take_over(self, commit: str) -> None:
        """Copy a commit of the project. Were its objects only borrowed, git would mark them as just used."""
        path = self._project.path
        names = git_bytes(path, "rev-list", "--objects", "--no-object-names", "--no-walk", commit)
        quick = ("-c", "pack.compression=0", "pack-objects", "--window=0")
        pack = git_bytes(path, *quick, "--stdout", "--quiet", given=names)
        git(self._repository, "index-pack", "--stdin", given=pack)
        (self._repository / ".git/shallow").write_text(commit + "\n")

    def _files(self, commit: str) -> set[str]:
        names = git_bytes(self._repository, "ls-tree", "-r", "-z", "--name-only", commit)
        return set(os.fsdecode(names).split("\0")) - {""}

    def _leave_what_is_owned(self, files: set[str]) -> None:
        """Undo in `after` every change to what belongs to the owner."""
        before, after = self._folder / "before", self._folder / "after"
        for name in sorted({*_files_below(before), *_files_below(after)}):
            if not self._form.is_owned(name):
                continue
            old, new = before / name, after / name
            if old.exists():
                if name in files and (not new.exists() or old.read_bytes() != new.read_bytes()):
                    self._kept[name] = "yours; the template has another"
                new.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(old, new)
            elif name in files:
                self._kept[name] = "yours; the template now has one too"
                new.unlink()

    def _tree(self, name: str) -> str:
        index = {
            "GIT_INDEX_FILE": str(self._folder / f"{name}.index"),
            "GIT_WORK_TREE": str(self._folder / name),
        }
        where = f"--git-dir={self._repository / '.git'}"
        git(self._folder / name, where, "add", "--all", environment=index)
        return git(self._folder / name, where, "write-tree", environment=index)

    def _commit(self, tree: str, *parents: str) -> str:
        words = [word for parent in parents for word in ("-p", parent)]
        return git(self._repository, "commit-tree", tree, *words, "-m", "merge", environment=_NOBODY)

    def _run_git_merge(self, branch: str) -> None:
        settings = {
            "merge.conflictStyle": "merge",
            "merge.renames": "true",
            # A new file goes where the template says, though the owner may have moved its neighbours.
            "merge.directoryRenames": "false",
            "rerere.enabled": "false",
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        try:
            git(
                self._repository,
                *words,
                "merge",
                "--no-ff",
                "--no-commit",
                "--quiet",
                branch,
                environment=_NOBODY,
            )
        except GitError:
            if not git(self._repository, "ls-files", "--unmerged"):
                raise  # it was no conflict

    def _settle(self) -> tuple[dict[str, str], bytes]:
        """Decide every conflict that has an answer.

        Returns:
            The others, with what they are about, and their entries in the index.
        """
        entries: dict[str, dict[int, bytes]] = {}
        for line in git_bytes(self._repository, "ls-files", "--unmerged", "-z").split(b"\0"):
            if line:
                about, _, raw_name = line.partition(b"\t")
                entries.setdefault(os.fsdecode(raw_name), {})[int(about.split()[2])] = line
        conflicts: dict[str, str] = {}
        for name, stages in entries.items():
            there = self._repository / name
            if _YOURS in stages and _THEIRS in stages:
                marked = there.is_file() and b"<<<<<<< " in there.read_bytes()
                conflicts[name] = (
                    "both changed the same lines"
                    if marked
                    else "both changed it, and it cannot be merged: yours stays"
                )
            elif _YOURS in stages:
                self._kept[name] = "you changed it; the template no longer has it"
            elif _THEIRS in stages:
                there.unlink(missing_ok=True)
                self._kept[name] = "you removed or moved it; the template changed it"
        nothing = b"0" * len(git(self._repository, "rev-parse", "HEAD"))
        unmerged = [
            entry
            for name in conflicts
            for entry in (b"0 " + nothing + b"\t" + os.fsencode(name), *entries[name].values())
        ]
        return conflicts, b"".join(entry + b"\0" for entry in unmerged)

    def _changes(self, before: str, after: str, conflicts: Mapping[str, str] | None = None) -> list[Change]:
        conflicts = conflicts or {}
        kinds = {"A": "added", "D": "removed"}
        words = git_bytes(
            self._repository, "diff", "--name-status", "--no-renames", "-z", before, after
        ).split(b"\0")
        found = {
            os.fsdecode(name): kinds.get(letter.decode(), "changed")
            for letter, name in zip(words[:-1:2], words[1::2], strict=True)
        }
        found |= dict.fromkeys(conflicts, "conflict")
        return [Change(name, kind, conflicts.get(name, "")) for name, kind in sorted(found.items())]

    def _check_free(self, names: Iterable[str], files: set[str]) -> None:
        """Make sure that nothing which git ignores stands where a new file goes: git would overwrite it.

        Raises:
            UserError: Something does.
        """
        for name in names:
            for part in (name, *map(str, PurePosixPath(name).parents)):
                place = self._project.path / part
                is_folder = place.is_dir() and not place.is_symlink()
                if os.path.lexists(place) and part not in files and not (is_folder and part != name):
                    raise UserError(
                        f"{part} is in the way of a new file of the template, and not committed; "
                        "move it away, then update.",
                        exit_code=1,
                    )


# Nobody reads these commits.
_NOBODY = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "mlportfolio"), ("EMAIL", "merge@mlportfolio.invalid"))
}


def _files_below(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()]


def apply(plan: Plan) -> None:
    """Bring a finished merge into the project: its files and its index, staged; conflicts are left open.

    Killed in the middle, it leaves a journal by which the next command undoes what was begun.

    Raises:
        UserError: A file cannot be written. The project is as it was.
    """
    path = plan.project.path
    journal, index = _git_path(path, _JOURNAL), _git_path(path, "index")
    with uninterrupted():
        try:
            head = git(path, "rev-parse", "HEAD")
            new = git_bytes(
                plan.repository, "pack-objects", "--revs", "--stdout", given=f"{plan.commit}\n^{head}\n"
            )
            git(path, "unpack-objects", "-q", given=new)
            with _draft_index(path) as draft:
                shutil.copy(index, draft["GIT_INDEX_FILE"])
                git(path, "update-index", "-q", "--refresh", environment=draft)
                _write_durably(journal, json.dumps({"head": head, "commit": plan.commit}))
                git(path, "read-tree", "-m", "-u", head, plan.commit, environment=draft)
                if plan.unmerged:
                    git(path, "update-index", "-z", "--index-info", given=plan.unmerged, environment=draft)
                Path(draft["GIT_INDEX_FILE"]).replace(index)
            journal.unlink()
        except (GitError, OSError) as error:
            recover(path)
            raise UserError(f"{path} could not be written: {error}. It is as it was.", exit_code=1) from error


def is_half_done(path: Path) -> bool:
    """Whether an update of the project was killed in the middle."""
    return _git_path(path, _JOURNAL).is_file()


def recover(path: Path) -> bool:
    """Undo an update that was killed in the middle; whether there was one.

    Raises:
        UserError: A file was changed since, so that undoing the update would lose something.
    """
    if not is_half_done(path):
        return False
    journal = _git_path(path, _JOURNAL)
    try:
        record = json.loads(journal.read_text())
        head, commit = record["head"], record["commit"]
        names = []
        words = git_bytes(path, "diff", "--raw", "--no-renames", "--no-abbrev", "-z", head, commit).split(
            b"\0"
        )
        for about, raw_name in zip(words[:-1:2], words[1::2], strict=True):
            old, new = (each.strip("0") and each for each in about.decode().split()[2:4])
            name = os.fsdecode(raw_name)
            there = path / name
            written = new and _is_beginning_of(
                there, git_bytes(path, "cat-file", "--filters", f"{commit}:{name}")
            )
            if old:
                if (there.is_symlink() or there.exists()) and not written and _hash(there) != old:
                    raise UserError(
                        f"An update of {path} was stopped in the middle, and {name} was changed since. "
                        f"Keep a copy of it, run `git checkout HEAD -- {name}`, then try again.",
                        exit_code=1,
                    )
                names.append(raw_name + b"\0")
            elif written:
                there.unlink()
                _prune(there.parent, path)
        with _draft_index(path) as draft:
            git(path, "read-tree", head, environment=draft)
            git(
                path,
                "checkout-index",
                "--force",
                "-u",
                "--stdin",
                "-z",
                given=b"".join(names),
                environment=draft,
            )
            git(path, "update-index", "-q", "--refresh", environment=draft)
            Path(draft["GIT_INDEX_FILE"]).replace(_git_path(path, "index"))
        journal.unlink()
    except (GitError, OSError, KeyError, ValueError) as error:
        raise UserError(
            f"An update of {path} was stopped in the middle, and cannot be undone: {error}.", exit_code=1
        ) from error
    return True


def _hash(file: Path) -> str:
    """Git's name for what a file holds, or for where a link leads."""
    if file.is_symlink():
        return git(file.parent, "hash-object", "--stdin", given=os.fsencode(file.readlink()))
    return git(file.parent, "hash-object", "--", file.name)


def _is_beginning_of(file: Path, content: bytes) -> bool:
    """Whether a file holds `content`, or as much of it as there was time to write."""
    if file.is_symlink():
        return os.fsencode(file.readlink()) == content
    return file.is_file() and content.startswith(file.read_bytes())


@contextmanager
def _draft_index(path: Path) -> Iterator[dict[str, str]]:
    """An index beside the project's own, as git's environment names it: killed, we leave nothing locked."""
    draft = _git_path(path, f"{_JOURNAL}.index")
    lock = draft.with_name(draft.name + ".lock")
    for file in (draft, lock):
        file.unlink(missing_ok=True)
    yield {"GIT_INDEX_FILE": str(draft)}
    for file in (draft, lock):
        file.unlink(missing_ok=True)


def _git_path(path: Path, name: str) -> Path:
    return Path(git(path, "rev-parse", "--path-format=absolute", "--git-path", name))


def _write_durably(path: Path, text: str) -> None:
    """Write a file that is whole or not there, whatever happens."""
    draft = path.with_name(path.name + ".new")
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _prune(folder: Path, root: Path) -> None:
    """Remove folders that are left empty, up to `root`."""
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
