"""A starter gives a cohort the same start; it can neither run code nor write where it should not."""

import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import strategies
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from mlportfolio import cli
from mlportfolio import project as projects
from mlportfolio import starter as starters
from mlportfolio.errors import UserError
from mlportfolio.source import open_template

from .conftest import REPOSITORY, Command, Result, answers_of, commit_all, git_in, write

pytestmark = pytest.mark.usefixtures("home")

Write = Callable[..., Path]


@pytest.fixture
def starter(tiny: Path) -> Write:
    """`starter(fixed={...})` writes a starter for the tiny template, and says where."""

    def make(name: str = "cohort.yml", **content: Any) -> Path:
        path = Path(name).absolute()
        whole = {"name": "Spring", "template": str(tiny), **content}
        path.write_text(yaml.safe_dump({key: value for key, value in whole.items() if value is not None}))
        return path

    return make


def new(command: Command, path: Path | str, *arguments: str) -> dict[str, Any]:
    """Make the project x with a starter, and return its answers."""
    result = command("new", "x", "--yes", "--starter", str(path), *arguments)
    assert result.code == 0, result.err
    return answers_of(Path("x"))


def refused(command: Command, path: Path | str, *arguments: str) -> str:
    """What is said where no project is made; nothing is left behind either."""
    before = sorted(Path().rglob("*"))
    result = command("new", "x", "--yes", "--starter", str(path), *arguments)
    assert result.code == 2, result.out + result.err
    assert sorted(Path().rglob("*")) == before
    return result.err


# --- what it gives --------------------------------------------------------------------------------


def test_fixed_and_default_answers_are_taken(starter: Write, command: Command) -> None:
    path = starter(fixed={"metric": "roc_auc", "container": False}, defaults={"workers": 7})
    answers = new(command, path)
    assert (answers["metric"], answers["container"], answers["workers"]) == ("roc_auc", False, 7)
    assert "port" not in answers


def test_defaults_can_be_given_otherwise(starter: Write, command: Command) -> None:
    path = starter(defaults={"workers": 7, "project_name": "Snow"})
    answers = new(command, path, "--set", "workers=3")
    assert (answers["workers"], answers["project_name"], answers["project_slug"]) == (3, "Snow", "snow")


@pytest.mark.parametrize(
    "given", [["--false-negative-cost", "9"], ["--set", "false_negative_cost=9.5"], ["--answers", "mine.yml"]]
)
def test_a_fixed_answer_given_otherwise_is_refused(
    given: list[str], starter: Write, command: Command
) -> None:
    Path("mine.yml").write_text("false_negative_cost: 9\n")
    path = starter(fixed={"false_negative_cost": 5})
    assert "the starter Spring fixes false_negative_cost to 5" in refused(command, path, *given)


@pytest.mark.parametrize("given", ["5", "5.0"])
def test_a_fixed_answer_given_alike_is_fine(given: str, starter: Write, command: Command) -> None:
    path = starter(fixed={"false_negative_cost": 5})
    assert new(command, path, "--false-negative-cost", given)["false_negative_cost"] == 5.0


def test_documents_are_added_and_committed(starter: Write, command: Command) -> None:
    path = starter(files={"docs/weeks/one.md": "# Week 1\n", "COHORT.md": "no last newline"})
    new(command, path)
    assert Path("x/docs/weeks/one.md").read_text() == "# Week 1\n"
    assert Path("x/COHORT.md").read_text() == "no last newline\n"
    assert {"docs/weeks/one.md", "COHORT.md"} <= set(git_in(Path("x"), "ls-files").splitlines())
    assert "one.md" in command("new", "y", "--yes", "--dry-run", "--starter", str(path)).out
    assert not Path("y").exists()


def test_the_project_records_its_starter(starter: Write, command: Command) -> None:
    path = starter(fixed={"workers": 3, "metric": "accuracy"}, files={"docs/a.md": "a\n"})
    answers = new(command, path)
    blob = git_in(Path("x"), "rev-parse", "HEAD:docs/a.md")
    assert answers["starter"] == {
        "name": "Spring",
        "source": str(path),
        "template": str(path.parents[1] / "tiny"),
        "fixed": ["metric", "workers"],
        "files": {"docs/a.md": blob},
    }
    kept = starters.of(answers)
    assert kept == starters.Kept(
        "Spring", str(path), None, str(path.parents[1] / "tiny"), ("metric", "workers"), {"docs/a.md": blob}
    )


def test_a_project_without_a_starter_is_as_it_was(tiny: Path, command: Command) -> None:
    command("new", "x", "--yes", "--template", str(tiny))
    assert "starter" not in (Path("x") / ".copier-answers.yml").read_text()
    assert starters.of(answers_of(Path("x"))) is None


def test_json_names_the_starter_and_keeps_it_out_of_the_answers(starter: Write, command: Command) -> None:
    path = starter(welcome="Hello", fixed={"workers": 3})
    result = command("new", "x", "--yes", "--json", "--starter", str(path))
    record = json.loads(result.out)
    assert record["starter"] == answers_of(Path("x"))["starter"]
    assert "starter" not in record["answers"]
    assert record["command"] == f"mlportfolio new x --yes --starter={path}"


def test_the_repeated_command_makes_the_same(starter: Write, command: Command) -> None:
    path = starter(fixed={"metric": "accuracy"}, defaults={"workers": 7})
    first = command("new", "x", "--yes", "--json", "--starter", str(path), "--set", "prediction=snow")
    words = json.loads(first.out)["command"].split()
    assert words[-1] == "--prediction=snow"
    assert not any("metric" in word or "workers" in word for word in words)
    words[2] = "y"
    assert command(*words[1:]).code == 0
    assert answers_of(Path("y")) == answers_of(Path("x"))


def test_welcome_comes_first_in_plain(starter: Write, command: Command) -> None:
    path = starter(welcome="Welcome to\nthe course.")
    result = command("new", "x", "--yes", "--starter", str(path))
    assert result.out.startswith("Spring\n\nWelcome to\nthe course.\n\nThe template is that of ")


@pytest.mark.parametrize("extra", [["--template", "elsewhere"], ["--version", "0.1.0"]])
def test_template_and_version_are_the_starters(extra: list[str], starter: Write, command: Command) -> None:
    assert "leave --template and --version out" in refused(command, starter(), *extra)


def test_an_answers_file_of_a_cohort_will_do(starter: Write, command: Command) -> None:
    path = starter(fixed={"workers": 3})
    new(command, path)
    again = command("new", "y", "--yes", "--starter", str(path), "--answers", "x/.copier-answers.yml")
    assert again.code == 0, again.err
    assert answers_of(Path("y")) == answers_of(Path("x"))
    alone = command("new", "z", "--yes", "--template", "../tiny", "--answers", "x/.copier-answers.yml")
    assert alone.code == 2
    assert "starter in x/.copier-answers.yml: a starter is no answer; name its file" in alone.err


def test_a_starter_is_no_answer(tiny: Path, command: Command) -> None:
    result = command("new", "x", "--yes", "--template", str(tiny), "--set", "starter={name: x}")
    assert result.code == 2
    assert "--set starter: a starter is no answer; name its file" in result.err


def test_without_a_terminal_only_what_is_fixed_need_not_be_given(starter: Write, command: Command) -> None:
    path = starter(fixed={"workers": 3}, defaults={"port": 81})
    result = command("new", "x", "--starter", str(path))
    assert result.code == 2
    assert "--set port=…" in result.err
    assert "workers" not in result.err


# --- in the wizard --------------------------------------------------------------------------------

ENTER, CLEAR, CTRL_C = "\r", "\x15", "\x03"


@pytest.fixture
def typed(command: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """`typed(keys, *arguments)` answers the wizard."""
    monkeypatch.setattr(cli, "_at_terminal", lambda: True)
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):

        def run(text: str, *arguments: str) -> Result:
            pipe.send_text(text)
            return command("new", *arguments)

        yield run


def test_the_wizard_asks_what_is_left(starter: Write, typed: Callable[..., Result]) -> None:
    path = starter(
        welcome="Hello, everyone.",
        fixed={"metric": "roc_auc", "container": True, "port": 81, "workers": 3},
        defaults={"prediction": "whether << it >> {{ snows }}", "false_negative_cost": 6},
    )
    # The prediction, two costs; the statement is fine; name and slug. The parts are all fixed.
    result = typed(ENTER * 3 + "y" + ENTER + ENTER * 2 + "y" + ENTER, "--starter", str(path))
    assert result.code == 0, result.err
    assert result.out.index("Hello, everyone.") < result.out.index("A portfolio project begins")
    answers = answers_of(Path("rain"))
    assert answers["prediction"] == "whether << it >> {{ snows }}"
    assert (answers["metric"], answers["port"], answers["false_negative_cost"]) == ("roc_auc", 81, 6.0)
    assert f"--starter={path}" in result.out.partition("without questions:")[2]


def test_a_default_is_there_to_be_edited(starter: Write, typed: Callable[..., Result]) -> None:
    path = starter(
        fixed={"metric": "roc_auc", "container": False, "port": 1, "workers": 3},
        defaults={"prediction": "snow"},
    )
    keys = " on hills" + ENTER + ENTER * 2 + "y" + ENTER + ENTER * 2 + "y" + ENTER
    assert typed(keys, "--starter", str(path)).code == 0
    assert answers_of(Path("rain"))["prediction"] == "snow on hills"


def test_where_the_wizard_stops_the_way_on_names_the_starter(
    starter: Write, typed: Callable[..., Result]
) -> None:
    path = starter(fixed={"workers": 3})
    result = typed(ENTER + CLEAR + "fog" + ENTER + CTRL_C, "--starter", str(path))
    assert result.code == 130
    assert f"mlportfolio new --starter={path} --prediction=fog" in result.out
    assert not Path("rain").exists()


# --- domains --------------------------------------------------------------------------------------


@pytest.fixture
def cohort(released: Path) -> Write:
    """`cohort(...)` writes a starter for the template that has releases, and says where."""

    def make(name: str = "cohort.yml", **content: Any) -> Path:
        path = Path(name).absolute()
        path.write_text(yaml.safe_dump({"name": "Spring", "template": str(released), **content}))
        return path

    return make


def test_the_first_domain_is_the_default(cohort: Write, command: Command) -> None:
    path = cohort(domains=["snow", "rain"])
    result = command("new", "x", "--yes", "--starter", str(path))
    assert answers_of(Path("x"))["domain"] == "snow"
    assert "The domains to choose from: snow, rain." in result.out


def test_one_domain_is_fixed(cohort: Write, command: Command) -> None:
    path = cohort(domains=["snow"])
    assert "the starter Spring fixes domain to snow" not in str(new(command, path))
    assert answers_of(Path("x"))["starter"]["fixed"] == ["domain"]
    assert answers_of(Path("x"))["domain"] == "snow"


def test_a_domain_that_is_not_allowed_is_refused(released: Path, cohort: Write, command: Command) -> None:
    write(
        released,
        {"copier.yml": (released / "copier.yml").read_text().replace("[rain, snow]", "[rain, snow, fog]")},
    )
    path = cohort(domains=["snow", "fog"])
    assert "--domain: 'rain' is not one of: snow, fog." in refused(command, path, "--domain=rain")
    assert new(command, path, "--domain=fog")["domain"] == "fog"


# --- its form -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no starter"),
        ("- a\n- b\n", "is no starter: write one KEY: VALUE on each line"),
        ("welcome: x\n", "name is missing"),
        ("name:\n", "name is missing"),
        ("name: 7\n", "name: 7 is not a text of one line; put it in quotes"),
        ('name: "a\\nb"\n', "name: a b is not a text of one line"),
        ('name: "a\\e[31mb"\n', "name: a?[31mb has a control character"),
        ("name: x\nfixd: {a: 1}\n", "unknown key fixd. Did you mean fixed? Allowed: name, welcome,"),
        ("name: x\n7: 1\n", "unknown key 7. Allowed: name"),
        ("name: x\nfixed: [a]\n", "fixed: a list is not a mapping of questions to answers"),
        ("name: x\nfixed: {metric: [[a], b]}\n", "fixed: metric is a list: an answer is a text, a number"),
        ("name: x\nfixed: {metric: }\n", "fixed: metric is nothing: an answer is"),
        ("name: x\nfixed: {metric: 2024-01-01}\n", "fixed: metric is a date: an answer is"),
        (f"name: x\nfixed: {{metric: 0x{'f' * 9999}}}\n", "fixed: metric is a int: an answer is"),
        ("name: x\nfixed: {1: 2}\n", "fixed: 1 is not a question; put it in quotes"),
        ("name: x\nfixed: {a: 1}\ndefaults: {a: 2}\n", "defaults: a is fixed, so it has no default"),
        ("name: x\nversion: 0.2\n", 'version: 0.2 is not a release in quotes, such as "1.2.0"'),
        ("name: x\nversion: newest\n", "version: newest is not a release"),
        ("name: x\ndomains: rain\n", "domains: rain is not a list of domains"),
        ("name: x\ndomains: []\n", "domains: the list is empty; without domains"),
        ("name: x\ndomains: [{a: 1}]\n", "domains: a mapping is not the name of a domain"),
        ("name: x\ndomains: [a, b]\nfixed: {domain: c}\n", "fixed: domain is c, which domains does not"),
        ("name: x\nfiles: {docs/a.md: 7}\n", "files: 7 is not the text of docs/a.md; put it in quotes"),
        ("name: x\nfiles: docs\n", "files: docs is not a mapping of paths to texts"),
        ("name: [1\n", "line 2: not valid YAML"),
        ("name: !!python/object/apply:os.system [touch ran]\n", "not valid YAML"),
        ("name: 2024-13-45\n", "not valid YAML (month must be in 1..12)"),
        ("name: " + "[" * 5000, "not valid YAML"),
        ("<!DOCTYPE html><html>\n", "is a web page, not a starter"),
    ],
)  # fmt: skip
def test_mistakes_of_form_are_named(text: str, message: str, command: Command) -> None:
    Path("bad.yml").write_text(text)
    assert message in refused(command, "bad.yml")
    checked = command("starter", "check", "bad.yml")
    assert checked.code == 2
    assert message in checked.err
    assert not Path("ran").exists()


def test_one_text_in_many_places_does_not_fill_the_disk(command: Command) -> None:
    files = "\n".join(f"  docs/{number}.md: *text" for number in range(100))
    Path("large.yml").write_text(f"name: x\nwelcome: &text {'x' * 50_000}\nfiles:\n{files}\n")
    assert "files: the texts have more than 1,000,000 characters in all" in refused(command, "large.yml")


def test_texts_that_unfold_without_end_are_refused_at_once(command: Command) -> None:
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    Path("bomb.yml").write_text("\n".join([*lines, "name: *a11", "fixed: {metric: *a11}"]))
    message = refused(command, "bomb.yml")
    assert "name: a list is not a text of one line" in message
    assert len(message) < 9999


def test_all_mistakes_are_listed(command: Command) -> None:
    Path("bad.yml").write_text("nmae: x\nversion: 1\nfixed: {metric: acc, no_such: 1}\n")
    result = command("starter", "check", "bad.yml")
    assert result.code == 2
    assert result.err.startswith("Error: bad.yml has 5 mistakes:\n  - unknown key nmae. Did you mean name?")
    for word in ("version: 1 is not", "name is missing", "'acc' is not one of", "no question no_such"):
        assert word in result.err


# --- where it is ----------------------------------------------------------------------------------


def test_a_path_is_recorded_whole(starter: Write, command: Command, home: Path) -> None:
    path = starter(str(home / "it's a cohort.yml"))
    assert new(command, "~/it's a cohort.yml")["starter"]["source"] == str(path)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("absent.yml", "absent.yml cannot be read: No such file or directory"),
        (".", ". is no file"),
        ("/dev/zero", "/dev/zero is no file"),
        ("a\0b", "is no path"),
        ("~nobody-of-that-name/x.yml", "is no path"),
        ("http://example.org/x.yml", "is not safe on its way here; use an https:// address"),
        ("file:///etc/passwd", "is not safe on its way here"),
        ("ftp://example.org/x.yml", "is not safe"),
        ("https://ada:pw@example.org/x.yml", "The address at example.org holds a password"),
        ("git+http://example.org/a.git#x.yml", "write git+https://"),
        ("git+ext::sh -c 'touch ran'#x.yml", "write git+https://"),
        ("git+https://example.org/a.git", "names no file in the repository; put #PATH behind it"),
    ],
)
def test_other_places_are_refused(where: str, message: str, command: Command) -> None:
    result = command("new", "x", "--yes", "--starter", where)
    assert result.code == 2
    assert message in result.err
    assert "pw" not in result.err
    assert sorted(Path().iterdir()) == []


def test_a_large_file_is_refused(command: Command) -> None:
    Path("large.yml").write_text("name: x\nwelcome: " + "x" * 1_000_000)
    assert "large.yml has more than 1,000,000 bytes" in refused(command, "large.yml")


class Site(http.server.BaseHTTPRequestHandler):
    """Serves what `pages` holds: a body, or where to look instead."""

    pages: dict[str, bytes | str]

    def do_GET(self) -> None:
        found = self.pages.get(self.path)
        self.send_response(404 if found is None else 302 if isinstance(found, str) else 200)
        if isinstance(found, str):
            self.send_header("Location", found)
        self.end_headers()
        if isinstance(found, bytes):
            self.wfile.write(found)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine, and its key, in one file."""
    folder = tmp_path_factory.mktemp("certificate")
    words = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(
        ["openssl", *words.split(), "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"],
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "certificate.pem").read_text())
    return both


@pytest.fixture
def site(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, bytes | str]]]:
    """An https server that this machine trusts: its address, and what it serves."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    pages: dict[str, bytes | str] = {}
    handler = type("Here", (Site,), {"pages": pages})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}", pages
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def published(released: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a template; git finds it on this machine."""
    address = "https://git.example.org/mentor/template.git"
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{released}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", address)
    return address


def test_a_starter_over_https(
    site: tuple[str, dict[str, bytes | str]], published: str, command: Command
) -> None:
    address, pages = site
    text = f"name: Spring\ntemplate: {published}\nversion: 0.2.0\nfixed: {{threshold: 0.7}}\n"
    pages |= {"/c.yml": text.encode(), "/moved.yml": f"{address}/c.yml"}
    answers = new(command, f"{address}/moved.yml")
    assert answers["_commit"] == "v0.2.0"
    assert answers["_src_path"] == published
    assert answers["threshold"] == 0.7
    assert answers["starter"] == {
        "name": "Spring",
        "source": f"{address}/moved.yml",
        "version": "v0.2.0",
        "fixed": ["threshold"],
    }


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("/absent.yml", 1, "/absent.yml cannot be read: 404 Not Found"),
        ("/plain.yml", 2, "http://127.0.0.1/c.yml is not safe on its way here"),
        ("/file.yml", 1, "cannot be read"),
        ("/large.yml", 2, "/large.yml has more than 1,000,000 bytes"),
        ("/page.yml", 2, "/page.yml is a web page, not a starter"),
        ("/bytes.yml", 2, "/bytes.yml is not UTF-8 text"),
        ("/local.yml", 2, "template: a starter that is not on this machine can only name a git URL"),
        ("/loop.yml", 1, "cannot be read"),
    ],
)
def test_what_a_server_may_not_do(
    path: str, code: int, message: str, site: tuple[str, dict[str, bytes | str]], command: Command
) -> None:
    address, pages = site
    pages |= {
        "/plain.yml": "http://127.0.0.1/c.yml",
        "/file.yml": "file:///etc/passwd",
        "/large.yml": b"name: " + b"x" * 1_000_000,
        "/page.yml": b"\n<html>",
        "/bytes.yml": b"name: \xff",
        "/local.yml": b"name: x\ntemplate: ../tiny\n",
        "/loop.yml": f"{address}/loop.yml",
    }
    result = command("new", "x", "--yes", "--starter", address + path)
    assert result.code == code, result.err
    assert message in result.err
    assert sorted(Path().iterdir()) == []


def test_a_certificate_that_nobody_vouches_for_is_refused(
    site: tuple[str, dict[str, bytes | str]], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, pages = site
    pages["/c.yml"] = b"name: x\n"
    monkeypatch.delenv("SSL_CERT_FILE")
    result = command("starter", "show", f"{address}/c.yml")
    assert result.code == 1
    assert "certificate verify failed" in result.err


def test_a_server_that_does_not_answer(command: Command, site: tuple[str, dict[str, bytes | str]]) -> None:
    result = command("starter", "show", "https://127.0.0.1:9/c.yml")
    assert result.code == 1
    assert "https://127.0.0.1:9/c.yml cannot be read: " in result.err
    assert "refused" in result.err


@pytest.fixture
def repository(tmp_path: Path, tiny: Path) -> Path:
    """A git repository with a starter that changes: first, tagged v1, then on the branch main."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git_in(folder, "init", "--quiet", "--initial-branch=main")
    for number in (1, 2):
        write(folder, {"cohorts/spring.yml": f"name: Spring {number}\nfixed: {{licence: MIT}}\n"})
        commit_all(folder, f"Starter {number}", f"v{number}")
    return folder


@pytest.mark.parametrize(
    ("ref", "number"),
    [("", 2), ("@main", 2), ("@v1", 1), ("@COMMIT", 1), ("@SHORT", 1), ("@refs/tags/v1", 1)],
)
def test_a_starter_in_a_git_repository(ref: str, number: int, repository: Path, command: Command) -> None:
    commit = git_in(repository, "rev-parse", "v1")
    ref = ref.replace("COMMIT", commit).replace("SHORT", commit[:9])
    where = f"git+file://{repository}{ref}#cohorts/spring.yml"
    result = command("starter", "show", "--json", where)
    assert result.code == 0, result.err
    assert json.loads(result.out)["name"] == f"Spring {number}"
    assert json.loads(result.out)["source"] == where


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("#absent.yml", "path 'absent.yml' does not exist"),
        ("#cohorts", "cannot be read"),
        ("#../work/x.yml", "cannot be read"),
        ("@no-such#cohorts/spring.yml", "cannot be read"),
        ("@--upload-pack=touch ran#cohorts/spring.yml", "cannot be read"),
        ("#large.yml", "has more than 1,000,000 bytes"),
        ("#link.yml", "is no starter"),
    ],
)
def test_what_is_not_in_the_repository(rest: str, message: str, repository: Path, command: Command) -> None:
    write(repository, {"large.yml": "x" * 1_000_001})
    (repository / "link.yml").symlink_to("/etc/hostname")
    commit_all(repository, "More")
    result = command("starter", "show", f"git+file://{repository}{rest}")
    assert result.code in {1, 2}
    assert message in result.err
    assert list(Path().iterdir()) == []


def test_a_password_is_not_recorded() -> None:
    where = "git+https://ada:secret@example.org/a.git@main#x.yml"
    with pytest.raises(UserError) as caught:
        starters.load(where.replace("example.org", "127.0.0.1:9"))
    assert "secret" not in str(caught.value)


# --- what it cannot do ----------------------------------------------------------------------------

HOSTILE_PATHS = [
    "../x.md", "docs/../../x.md", "/etc/x.md", "~/x.md", "docs/./x.md", "./x.md", "docs//x.md", "", "docs/",
    "C:\\x.md", "docs\\x.md", "docs/a:b.md", "docs/$HOME.md", ".x.md", "docs/.hidden/x.md", ".git/x.md",
    ".github/x.md", "x.py", "docs/x.py", "docs/x.md.py", "docs/x", "Makefile", "docs/x.html", "x.txt",
    "x.csv", "requirements.txt", "src/x.md", "tests/x.md", "data/x.csv", "Docs/x.md", "docs/test_x.txt",
    "docs/TEST.TXT", "AGENTS.md", "Claude.md", "docs/CLAUDE.local.md", "docs/x.md\n", "docs/x\0.md",
    "docs/a\u202ex.md", "docs/x.md ", "docs/ x.md", "x.egg-info/entry_points.txt", "docs/\uff0e\uff0e/x.md",
    f"docs/{'x' * 200}.md",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_hostile_paths_are_refused(path: str, starter: Write, command: Command) -> None:
    message = refused(command, starter(files={path: "x"}))
    assert message.startswith("Error: ")
    assert "files: " in message


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("README.md", "README.md"),
        ("readme.md", "README.md"),
        ("docs/PROBLEM.md", "docs/problem.md"),
        ("docs/problem.md", "docs/problem.md"),
        ("docs/stra\u00dfe.md", "docs/strasse.md"),
        ("docs/link/x.md", "docs/link"),
        ("docs/FOLDER/x.md", "docs/folder"),
    ],
)
def test_nothing_of_the_template_is_replaced(
    path: str, there: str, tiny: Path, starter: Write, command: Command
) -> None:
    outside = tiny.parent / "outside"
    outside.mkdir()
    tree = tiny / "template"
    write(tree, {"docs/problem.md": "ours\n", "docs/strasse.md": "ours\n", "docs/folder/a.md": "ours\n"})
    (tree / "docs/link").symlink_to(outside)
    with (tiny / "copier.yml").open("a") as questions:
        questions.write("_preserve_symlinks: true\n")
    file = starter(files={path: "theirs"})
    message = refused(command, file)
    assert f"The starter Spring adds {path}, but the template has {there};" in message
    assert message in command("starter", "check", str(file)).err.replace(f"{file}: ", "")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "paths", [["docs/a.md", "docs/A.md"], ["docs/a.md", "docs/a.md/b.md"], ["docs/x/a.md", "docs/X/b.md"]]
)
def test_paths_that_are_one_on_other_machines_are_refused(
    paths: list[str], starter: Write, command: Command
) -> None:
    assert "cannot stand side by side" in refused(command, starter(files=dict.fromkeys(paths, "x")))


ODD = strategies.text(strategies.sampled_from("adocs./\\ ~-_:MDmdtx\u00e9\u202e\n\0$"), max_size=24)


@hypothesis.given(
    path=strategies.one_of(ODD, ODD.map("docs/{}.md".format), strategies.text(max_size=12)), text=ODD
)
def test_no_path_leads_out(path: str, text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever a starter names is refused, or is a document in the root or below docs/."""
    folder = tmp_path_factory.mktemp("project")
    file = folder.with_suffix(".yml")
    file.write_text(yaml.safe_dump({"name": "x", "files": {path: text}}), "utf-8")
    starter, wrong = starters.read(str(file))
    assert bool(wrong) != bool(starter.files)
    if wrong:
        return
    starter.add_files(folder)
    (made,) = (each for each in folder.rglob("*") if not each.is_dir())
    name = made.relative_to(folder)
    assert name.parts[0] == "docs" or len(name.parts) == 1
    assert made.suffix.lower() in {".md", ".rst", ".txt", ".csv"}
    assert not any(part.startswith(".") for part in name.parts)
    assert made.read_text() == (text if text.endswith("\n") or not text else text + "\n")


JINJA = [
    "<< 7*7 >>",
    "{{ 7*7 }}",
    "<% include '/etc/passwd' %>",
    "{% raw %}",
    "{{ self.__init__ }}",
    "{#",
    "<<",
    "}}",
]


@pytest.mark.parametrize("value", JINJA)
@pytest.mark.parametrize("section", ["fixed", "defaults"])
def test_values_are_never_rendered(value: str, section: str, starter: Write, command: Command) -> None:
    path = starter(**{section: {"prediction": value}}, files={"docs/a.md": value}, welcome=value)
    result = command("new", "x", "--yes", "--starter", str(path))
    assert result.code == 0, result.err
    assert answers_of(Path("x"))["prediction"] == value
    assert Path("x/README.md").read_text() == f"# RAIN\n\nPredict {value}.\n"
    assert Path("x/docs/a.md").read_text() == f"{value}\n"
    assert value in result.out


@pytest.mark.parametrize(
    "value", ["<< 7*7 >>", "<% for x in [1] %>", '"\n__import__("os").system("touch ran")\n"']
)
def test_values_stay_text_in_the_code_of_a_real_project(value: str, command: Command) -> None:
    value = " ".join(value.split())
    content = {"name": "x", "template": str(REPOSITORY), "fixed": {"decision": value, "success": value}}
    Path("c.yml").write_text(yaml.safe_dump(content))
    answers = new(command, "c.yml")
    assert answers["decision"] == answers["success"] == value
    assert value in Path("x/docs/problem.md").read_text()
    for code in Path("x").rglob("*.py"):
        compile(code.read_text(), code, "exec")
        assert "touch ran" not in code.read_text()


@pytest.mark.parametrize("key", ["facts", "here", "taken_names"])
def test_what_is_computed_is_not_the_starters(key: str, command: Command) -> None:
    content = {"name": "x", "template": str(REPOSITORY), "defaults": {key: "../.."}}
    Path("c.yml").write_text(yaml.safe_dump(content))
    assert f"defaults: {key} is computed from the other answers" in refused(command, "c.yml")


def test_a_template_that_runs_code_is_refused_here_too(tiny: Path, starter: Write, command: Command) -> None:
    with (tiny / "copier.yml").open("a") as file:
        file.write('_tasks: ["touch ran"]\n')
    result = command("new", "x", "--yes", "--starter", str(starter()))
    assert result.code == 1
    assert "unsafe" in result.err
    assert [path.name for path in Path().iterdir()] == ["cohort.yml"]


def test_a_template_in_a_command_is_no_template(starter: Write, command: Command) -> None:
    path = starter(template="ext::sh -c 'touch ran'")
    assert "There is no template at" in refused(command, path)


# --- init, check, show ----------------------------------------------------------------------------


def test_init_writes_one_that_passes(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("starter", "init", "cohort.yml").code == 0
    before = Path("cohort.yml").read_text()
    assert set(yaml.safe_load(before)) | {"template", "version"} == {
        *("name", "welcome", "template", "version", "fixed", "defaults", "domains", "files")
    }
    again = command("starter", "init", "cohort.yml")
    assert again.code == 2
    assert "is there already, and stays" in again.err
    assert Path("cohort.yml").read_text() == before
    checked = command("starter", "check", "cohort.yml")
    assert checked.code == 0, checked.err
    assert "cohort.yml fits the template" in checked.out
    record = json.loads(command("starter", "check", "cohort.yml", "--json").out)
    assert record["mistakes"] == []
    new(command, "cohort.yml")
    assert Path("x/docs/cohort.md").read_text().startswith("# Our cohort\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"fixed": {"metrik": "x"}}, "fixed: there is no question metrik. Did you mean metric? Allowed"),
        ({"fixed": {"metric": "acc"}}, "fixed: metric: 'acc' is not one of: expected_cost, roc_auc"),
        ({"defaults": {"workers": "many"}}, "defaults: workers: 'many' is not a whole number."),
        ({"defaults": {"container": "perhaps"}}, "defaults: container: 'perhaps' is not true or false."),
        ({"fixed": {"project_name": True}}, "fixed: project_name: True is not text."),
        ({"fixed": {"shout": "X"}}, "fixed: shout is computed from the other answers; leave it out."),
        ({"fixed": {"project_slug": "all"}}, "fixed: project_slug names each learner's own project"),
        ({"defaults": {"project_slug": "pandas"}}, "defaults: project_slug: taken, choose another"),
        ({"fixed": {"project_name": "Pandas"}}, "project_slug, which follows from the other answers, will"),
        ({"domains": ["rain"]}, "domains: there is no rain. This template has none."),
        ({"files": {"README.md": "x"}}, "adds README.md, but the template has README.md"),
        ({"template": "absent"}, "There is no template at"),
        ({"version": "0.1.0"}, "is no git repository, so it has no versions"),
    ],
)  # fmt: skip
def test_check_names_what_does_not_fit(
    content: dict[str, Any], message: str, starter: Write, command: Command
) -> None:
    path = starter(**content)
    result = command("starter", "check", str(path))
    assert result.code == 2
    assert result.out == ""
    assert message in result.err
    record = command("starter", "check", str(path), "--json")
    assert record.code == 2
    (mistake,) = json.loads(record.out)["mistakes"]
    assert message in mistake


def test_check_reads_the_version_that_is_meant(cohort: Write, command: Command) -> None:
    path = cohort(defaults={"region": "here"})
    assert command("starter", "check", str(path)).code == 0
    path = cohort(defaults={"region": "here"}, version="0.2.0")
    assert "there is no question region" in command("starter", "check", str(path)).err
    path = cohort(version="0.9.0", domains=["fog"])
    message = command("starter", "check", str(path)).err
    assert "has no version v0.9.0; it has v0.1.0, v0.2.0, v0.3.0." in message


def test_check_lists_domains(cohort: Write, command: Command) -> None:
    path = cohort(domains=["snow", "fogg"], fixed={"threshold": "warm"})
    message = command("starter", "check", str(path)).err
    assert "domains: there is no fogg. Allowed: rain, snow." in message
    assert "fixed: threshold: 'warm' is not a number." in message
    assert "has 2 mistakes" in message


def test_show_says_everything(cohort: Write, command: Command) -> None:
    path = cohort(
        welcome="Hello.\n\nAll of you.",
        version="0.2.0",
        fixed={"threshold": 0.7, "container": False},
        defaults={"project_name": "Fog"},
        domains=["snow", "rain"],
        files={"docs/a.md": "a\nb\n"},
    )
    shown = command("starter", "show", str(path)).out
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    for line in (
        "Spring", "Hello.", "All of you.", "Fixed, not asked", "threshold 0.7", "container false",
        "Asked, with these defaults", "project_name Fog", "Domains to choose from", "snow",
        "Documents that are added", "docs/a.md 2 lines",
    ):  # fmt: skip
        assert line in lines
    record = json.loads(command("starter", "show", "--json", str(path)).out)
    assert record["fixed"] == {"threshold": 0.7, "container": False}
    assert record["domains"] == ["snow", "rain"]
    assert record["version"] == "v0.2.0"
    assert record["files"] == {"docs/a.md": "a\nb\n"}


# --- the how-to ------------------------------------------------------------------------------------


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """The real template as it is now, with one release: others may be at work on it."""
    folder = tmp_path / "real"
    folder.mkdir()
    shutil.copy(REPOSITORY / "copier.yml", folder)
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(REPOSITORY / "template", folder / "template", ignore=unwanted)
    git_in(folder, "init", "--quiet", "--initial-branch=main")
    commit_all(folder, "First", "v0.1.0")
    return folder


@pytest.mark.slow
def test_the_commands_of_the_how_to_work_as_written(real: Path, tmp_path: Path) -> None:
    git_in(tmp_path, "init", "--quiet", "--bare", "published")
    blocks = re.findall(
        r"^```sh\n(.+?)^```", (REPOSITORY / "docs/how-to/starter.md").read_text(), re.MULTILINE | re.DOTALL
    )
    script = "".join(blocks)
    learners = (
        'mlportfolio new flights --starter "git+https://git.example.org/mentor/cohort.git@main#spring.yml"'
    )
    assert script.count(learners) == 1
    done = subprocess.run(
        ["bash", "-euxc", script.replace(learners, f"{learners} --yes")],  # nobody sits at a terminal here
        env=os.environ
        | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MLPORTFOLIO_TEMPLATE": str(real),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{tmp_path / 'published'}.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://git.example.org/mentor/cohort.git",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    project = Path("cohort/flights")
    kept = answers_of(project)["starter"]
    assert kept["source"] == learners.partition('"')[2].rstrip('"')
    assert (project / "docs/cohort.md").is_file()
    assert git_in(project, "status", "--porcelain") == ""
    assert not Path("cohort/look").exists()
    assert "Nothing to change." in done.stdout


# --- with plain copier ----------------------------------------------------------------------------


def copier(*arguments: str | Path, folder: Path | None = None) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("copier"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_plain_copier_keeps_the_record_and_asks_for_none(real: Path, command: Command) -> None:
    copier("copy", "--defaults", "--quiet", real, "plain")
    assert "starter" not in (Path("plain") / ".copier-answers.yml").read_text()

    content = {"name": "Spring", "template": f"file://{real}", "version": "0.1.0", "fixed": {"ci": "none"}}
    Path("c.yml").write_text(yaml.safe_dump(content | {"files": {"docs/c.md": "c\n"}}))
    record = new(command, "c.yml")["starter"]
    copier("copy", "--defaults", "--quiet", "-d", f"starter={json.dumps(record)}", real, "given")
    assert answers_of(Path("given"))["starter"] == record
    git_in(Path("given"), "init", "--quiet")
    commit_all(Path("given"), "Mine")

    readme = next(path for path in (real / "template").glob("*/README.md.jinja"))
    readme.write_text(readme.read_text() + "\nNew.\n")
    commit_all(real, "Second", "v0.2.0")
    for name in ("x", "given"):
        copier("update", "--defaults", "--quiet", folder=Path(name))
        assert answers_of(Path(name))["_commit"] == "v0.2.0"
        assert answers_of(Path(name))["starter"] == record
        assert (Path(name) / "README.md").read_text().endswith("\nNew.\n")
    assert Path("x/docs/c.md").read_text() == "c\n"


# --- update ---------------------------------------------------------------------------------------


def update(command: Command, *arguments: str) -> dict[str, Any]:
    """Update x, commit, and return what was said, as a program reads it."""
    result = command("update", "x", "--json", *arguments)
    assert result.code == 0, result.out
    if git_in(Path("x"), "status", "--porcelain"):
        commit_all(Path("x"), "Update")
    record: dict[str, Any] = json.loads(result.out)
    return record


def test_the_pin_is_the_newest_that_an_update_goes_to(cohort: Write, command: Command) -> None:
    path = cohort(version="0.1.0")
    new(command, path)
    assert update(command)["to"] == "v0.1.0"
    cohort(version="0.2.0")
    assert update(command)["to"] == "v0.2.0"
    assert answers_of(Path("x"))["starter"]["version"] == "v0.2.0"
    beyond = command("update", "x", "--to", "0.3.0")
    assert beyond.code == 2
    assert "The starter Spring goes up to v0.2.0, and v0.3.0 is newer" in beyond.err
    assert update(command, "--to", "current")["to"] == "v0.2.0"
    cohort(version="0.1.0")  # there is no way back
    assert update(command)["to"] == "v0.2.0"
    cohort()
    assert update(command)["to"] == "v0.3.0"
    assert "version" not in answers_of(Path("x"))["starter"]


def test_fixed_answers_follow_the_starter(cohort: Write, command: Command) -> None:
    new(command, cohort(fixed={"threshold": 0.6}))
    cohort(fixed={"threshold": 0.7, "container": False})
    record = update(command)
    assert "The starter Spring now fixes threshold to 0.7; it was 0.6." in record["notes"]
    answers = answers_of(Path("x"))
    assert (answers["threshold"], answers["container"]) == (0.7, False)
    assert answers["starter"]["fixed"] == ["container", "threshold"]
    assert "THRESHOLD = 0.7" in Path("x/src/rain/problem.py").read_text()
    assert not Path("x/Dockerfile").exists()
    cohort(fixed={"threshold": "0.70", "container": "no"})  # the same, written otherwise
    record = update(command)
    assert (record["changes"], record["notes"]) == ([], [])
    result = command("update", "x", "--set", "threshold=0.9")
    assert result.code == 2
    assert "--set threshold: the starter Spring fixes threshold to 0.70." in result.err
    cohort()
    update(command, "--set", "threshold=0.9")
    assert answers_of(Path("x"))["threshold"] == 0.9


def test_a_starter_s_default_answers_a_new_question(cohort: Write, command: Command) -> None:
    new(command, cohort(version="0.2.0", defaults={"threshold": 0.6}))
    cohort(defaults={"region": "<< Alps >>", "threshold": 0.1})
    assert update(command)["new_answers"] == {"region": "<< Alps >>"}
    answers = answers_of(Path("x"))
    assert (answers["region"], answers["threshold"]) == ("<< Alps >>", 0.6)


def test_documents_are_merged(cohort: Write, command: Command) -> None:
    lines = [f"Line {number}.\n" for number in range(9)]
    files = dict.fromkeys([f"docs/{name}.md" for name in "abcde"], "".join(lines))
    new(command, cohort(files=files))
    mine = [*lines[:-1], "Mine.\n"]
    for name in "bd":
        Path(f"x/docs/{name}.md").write_text("".join(mine))
    Path("x/docs/e.md").unlink()
    commit_all(Path("x"), "Work")
    theirs = ["Theirs.\n", *lines[1:]]
    cohort(
        files={
            "docs/a.md": "".join(theirs),
            "docs/b.md": "".join(theirs),
            "docs/e.md": "".join(theirs),
            "docs/new.md": "new\n",
        }
    )
    record = update(command)
    assert Path("x/docs/a.md").read_text() == "".join(theirs)
    assert Path("x/docs/b.md").read_text() == "".join(["Theirs.\n", *mine[1:]])
    assert not Path("x/docs/c.md").exists()  # removed by the mentor, and unchanged
    assert Path("x/docs/d.md").read_text() == "".join(mine)  # removed by the mentor, and edited
    assert not Path("x/docs/e.md").exists()  # removed by the owner
    assert Path("x/docs/new.md").read_text() == "new\n"
    assert set(record["kept"]) == {"docs/d.md", "docs/e.md"}
    assert set(answers_of(Path("x"))["starter"]["files"]) == {
        "docs/a.md",
        "docs/b.md",
        "docs/e.md",
        "docs/new.md",
    }
    assert update(command)["changes"] == []


def test_the_same_lines_changed_by_both_are_a_conflict(cohort: Write, command: Command) -> None:
    new(command, cohort(files={"docs/a.md": "one\n"}))
    Path("x/docs/a.md").write_text("mine\n")
    commit_all(Path("x"), "Work")
    cohort(files={"docs/a.md": "theirs\n"})
    result = command("update", "x")
    assert result.code == 1
    assert "docs/a.md" in result.out
    text = Path("x/docs/a.md").read_text()
    assert "mine" in text
    assert "theirs" in text


@pytest.mark.parametrize(
    ("now", "note"),
    [
        (None, "cannot be used (COHORT cannot be read: No such file or directory)"),
        ("name: [", "cannot be used (COHORT, line 1: not valid YAML"),
        ("name: x\nfixd: {}\n", "cannot be used (COHORT: unknown key fixd"),
        ("name: x\nfixed: {no_such: 1}\n", "has a mistake (fixed: there is no question no_such."),
    ],
)
def test_without_the_starter_what_was_recorded_holds(
    now: str | None, note: str, released: Path, cohort: Write, command: Command
) -> None:
    path = cohort(version="0.2.0", fixed={"threshold": 0.6}, files={"docs/a.md": "a\n"})
    new(command, path)
    before = answers_of(Path("x"))
    if now is None:
        path.unlink()
    else:
        path.write_text(f"template: {released}\n{now}" if "no_such" in now else now)
    result = command("update", "x")
    assert result.code == 0, result.err
    assert f"The starter Spring {note.replace('COHORT', str(path))}" in result.err
    assert "what this project recorded of it holds" in result.err
    assert answers_of(Path("x")) == before
    assert git_in(Path("x"), "status", "--porcelain") == ""
    for words, said in {
        ("--set", "threshold=0.9"): "the starter Spring fixes threshold to 0.6",
        ("--to", "0.3.0"): "The starter Spring goes up to v0.2.0",
    }.items():
        done = command("update", "x", *words)
        assert done.code == 2
        assert said in done.err
    assert Path("x/docs/a.md").read_text() == "a\n"


def test_a_project_keeps_its_domain(cohort: Write, command: Command) -> None:
    new(command, cohort(domains=["rain"], version="0.1.0"))
    cohort(domains=["snow"])
    record = update(command)
    assert "The starter Spring now fixes the domain to snow; this project keeps rain." in record["notes"]
    answers = answers_of(Path("x"))
    assert (answers["domain"], answers["_commit"]) == ("rain", "v0.3.0")
    assert "About rain." in Path("x/README.md").read_text()


def test_an_untouched_project_becomes_a_fresh_one(cohort: Write, command: Command) -> None:
    new(
        command,
        cohort(version="0.1.0", fixed={"threshold": 0.5}, files={"docs/a.md": "a\n", "docs/b.md": "b\n"}),
    )
    path = cohort(
        fixed={"threshold": 0.5, "container": False}, files={"docs/a.md": "A\n", "docs/c.md": "c\n"}
    )
    update(command)
    fresh = command("new", "y", "--yes", "--starter", str(path))
    assert fresh.code == 0
    owned = {"docs/problem.md", "data/raw.csv"}
    assert {
        name: (Path("x") / name).read_bytes() for name in projects.files_of(Path("x")) if name not in owned
    } == {name: (Path("y") / name).read_bytes() for name in projects.files_of(Path("y")) if name not in owned}


def test_a_shallow_clone_keeps_what_its_owner_edited(cohort: Write, command: Command) -> None:
    new(command, cohort(files={"docs/a.md": "first a\n", "docs/b.md": "first b\n"}))
    Path("x/docs/a.md").write_text("mine\n")
    commit_all(Path("x"), "Work")
    git_in(Path.cwd(), "clone", "--quiet", "--depth=1", f"file://{Path('x').resolve()}", "clone")
    cohort(files={"docs/a.md": "second\n", "docs/b.md": "second\n"})
    result = command("update", "clone")
    assert result.code == 0, result.out + result.err
    assert Path("clone/docs/a.md").read_text() == "mine\n"
    assert Path("clone/docs/b.md").read_text() == "second\n"
    assert "docs/a.md stays as it is" in result.err


def test_a_file_that_the_template_has_now_stops_the_update(
    released: Path, cohort: Write, command: Command
) -> None:
    new(command, cohort(files={"docs/news.md": "cohort\n"}))
    write(released, {"template/docs/news.md": "template\n"})
    commit_all(released, "Fourth", "v0.4.0")
    result = command("update", "x")
    assert result.code == 2
    assert "The starter Spring adds docs/news.md, but the template has docs/news.md" in result.err
    assert git_in(Path("x"), "status", "--porcelain") == ""


def test_a_template_that_moves_is_found_at_its_new_address(
    released: Path, cohort: Write, command: Command, tmp_path: Path
) -> None:
    path = cohort(version="0.1.0")
    new(command, path)
    released.rename(tmp_path / "moved")
    assert command("update", "x").code == 2
    path.write_text(yaml.safe_dump({"name": "Spring", "template": "../moved"}))
    assert update(command)["to"] == "v0.3.0"
    assert answers_of(Path("x"))["starter"]["template"] == str(tmp_path / "moved")


@pytest.mark.parametrize(
    "record",
    [
        "text",
        [],
        {"name": "x"},
        {"name": "x", "source": "y", "version": "soon"},
        {"name": "x", "source": "y", "fixed": "metric"},
        {"name": "x", "source": "y", "files": {"../../x.md": "0" * 40}},
        {"name": "x", "source": "y", "files": {"docs/x.md": "--output=x"}},
    ],
)
def test_a_record_that_was_tampered_with_is_refused(record: Any, cohort: Write, command: Command) -> None:
    new(command, cohort())
    file = Path("x/.copier-answers.yml")
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"starter": record}))
    commit_all(Path("x"), "Tampered")
    result = command("update", "x")
    assert result.code == 2
    assert "The record of the starter in .copier-answers.yml was changed by hand" in result.err
    assert git_in(Path("x"), "status", "--porcelain") == ""


def test_updates_of_a_starter_over_https(
    site: tuple[str, dict[str, bytes | str]], published: str, command: Command
) -> None:
    address, pages = site
    pages["/c.yml"] = f"name: Spring\ntemplate: {published}\nversion: 0.1.0\n".encode()
    new(command, f"{address}/c.yml")
    pages["/c.yml"] = f"name: Spring\ntemplate: {published}\nversion: 0.2.0\n".encode()
    assert update(command)["to"] == "v0.2.0"
    del pages["/c.yml"]
    record = update(command)
    assert record["to"] == "v0.2.0"
    assert "404 Not Found" in record["notes"][0]


def test_the_real_template_offers_its_domains_to_a_starter() -> None:
    with open_template(str(REPOSITORY)) as found:
        text = starters.example(found)
    assert "  - flight_delay\n" in text
    assert os.linesep.join(["domains:", "  - "]) in text
