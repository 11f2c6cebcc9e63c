"""The page of a finished project, used as a person uses it: in a real browser, with its trained model.

With SCREENSHOTS=docs/images it makes the pictures there anew.
"""
# ruff: noqa: S310 — every address is one of our own

import json
import os
import re
import socket
import subprocess
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Locator, Page, Route, expect  # noqa: E402

DESKTOP = {"width": 1100, "height": 900}
PHONE = {"width": 375, "height": 812}
OUTCOME = re.compile("^(late|on time)$")
REASONED = 4  # an example that has reasons on both sides


@pytest.fixture(scope="module")
def address(finished_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(finished_project, tmp_path_factory.mktemp("served")) as address:
        yield address


@contextmanager
def serving(finished_project: Path, folder: Path, **settings: str) -> Iterator[str]:
    """The project's own command, serving its champion on a free port."""
    slug = tomllib.loads((finished_project / "pyproject.toml").read_text())["project"]["name"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "output.txt").open("w") as output:
        server = subprocess.Popen(
            [finished_project / ".venv" / "bin" / slug, "serve", "--port", str(port)],
            cwd=finished_project,
            env={**os.environ, "PREDICTION_LOG": str(folder / "predictions.sqlite"), **settings},
            stdout=output,
            stderr=output,
        )
    try:
        wait_until_ready(server, f"http://127.0.0.1:{port}", folder / "output.txt")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=10)


def wait_until_ready(server: "subprocess.Popen[bytes]", address: str, output: Path) -> None:
    for _ in range(300):
        assert server.poll() is None, output.read_text()
        try:
            with urlopen(f"{address}/ready"):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"not ready after 30 s: {output.read_text()}")


class Visit:
    """One visit to the page, in a window of its own; it notes what goes wrong in the console."""

    def __init__(self, browser: Browser, address: str, size: dict[str, int], pictures: Path) -> None:
        self.page: Page = browser.new_page(viewport=size)  # type: ignore[arg-type]
        self.kind = "desktop" if size is DESKTOP else "phone"
        self.pictures = pictures
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", self.note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        self.page.goto(address)
        expect(self.verdict).to_have_text("Not asked yet")

    def note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    @property
    def verdict(self) -> Locator:
        return self.page.locator("#verdict")

    def open_group_of(self, label: str) -> Locator:
        """Open the group that holds a field, and return the field."""
        field = self.page.get_by_label(label)
        group = self.page.locator("details", has=field)
        if group.get_attribute("open") is None:
            group.locator("summary").click()
        return field

    def ask(self) -> None:
        """Ask the model, and wait for the answer and its reasons."""
        with self.page.expect_response("**/explain"):
            self.page.get_by_role("button", name="Ask the model").click()
        expect(self.page.get_by_role("region", name="Reasons")).to_be_visible()

    def chance(self) -> int:
        return int(self.page.locator("#chance").inner_text().removesuffix("%"))

    def check_access(self) -> None:
        """Hold the page, as it is now, to what a program can check of WCAG: names, contrast, roles."""
        found = Axe().run(self.page)
        assert found.violations_count == 0, found.generate_report()

    def picture(self) -> None:
        self.page.wait_for_timeout(400)  # until the bar has grown
        self.page.screenshot(path=self.pictures / f"page-{self.kind}.png", full_page=True)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def visit(request: pytest.FixtureRequest, browser: Browser, address: str, pictures: Path) -> Iterator[Visit]:
    visit = Visit(browser, address, request.param, pictures)
    yield visit
    visit.page.close()


def test_every_example_is_answered_with_what_happened(visit: Visit) -> None:
    page = visit.page
    verdicts = set()
    for example in range(page.locator("#example option").count()):
        page.get_by_label("Which flight?").select_option(index=example)
        visit.ask()
        expect(visit.verdict).to_have_text(re.compile("Rebook tight connections|Leave bookings as they are"))
        expect(page.locator("#outcome")).to_have_text(OUTCOME)
        acts = visit.verdict.inner_text() == "Rebook tight connections"
        verdicts.add(acts)
        # The bar shows the probability, on the side of the mark that fits the words.
        width = page.locator("#fill").evaluate("bar => parseFloat(bar.style.width)")
        mark = page.locator("#mark").evaluate("mark => parseFloat(mark.style.left)")
        assert (width >= mark) == acts
        if example == REASONED:
            visit.check_access()
            visit.picture()
    assert verdicts == {True, False}
    assert visit.errors == []


def test_the_keyboard_is_enough(visit: Visit) -> None:
    page = visit.page
    page.get_by_label("Which flight?").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#request")).to_have_text(re.compile("^[0-9a-f]{12}$"))
    first = page.locator("#request").inner_text()

    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Ask the model")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#request")).not_to_have_text(first)

    distance = visit.open_group_of("Distance")
    distance.focus()
    second = page.locator("#request").inner_text()
    page.keyboard.press("Enter")
    expect(page.locator("#request")).not_to_have_text(second)
    assert visit.errors == []


def test_whatever_the_keyboard_reaches_shows_that_it_is_there(visit: Visit) -> None:
    page = visit.page
    visit.ask()
    page.locator("summary").first.click()
    page.get_by_label("Which flight?").focus()
    reached = []
    for _ in range(60):
        outline = page.evaluate("getComputedStyle(document.activeElement).outline")
        reached.append(page.evaluate("document.activeElement.textContent || document.activeElement.name"))
        assert outline == "rgb(0, 114, 178) solid 3px", reached[-1]
        if reached[-1] == "its metrics":
            break
        page.keyboard.press("Tab")

    links = page.get_by_role("region", name="Reasons").get_by_role("link").all_inner_texts()
    for name in ("Ask the model", *links, "distance_miles", "The API", "its metrics"):
        assert name in reached
    assert visit.errors == []


def test_a_reason_says_what_a_typical_value_would_change_and_leads_to_it(visit: Visit) -> None:
    page = visit.page
    page.get_by_label("Which flight?").select_option(index=REASONED)
    visit.ask()
    chance = visit.chance()
    for kind, sign in (("for", 1), ("against", -1)):
        reasons = page.locator(f".{kind} li")
        effects = [
            int(text.replace("\N{MINUS SIGN}", "-")) for text in reasons.locator(".effect").all_inner_texts()
        ]
        assert 1 <= len(effects) <= 3
        assert effects == sorted(effects, key=lambda effect: -sign * effect)
        assert min(sign * effect for effect in effects) > 0

        reason = reasons.first
        typical = reason.locator(".values").inner_text().rpartition("typically ")[2]
        reason.get_by_role("link").click()
        field = page.locator(":focus")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(typical)
        else:
            field.fill("" if typical == "not known" else typical)
        visit.ask()
        # Both chances and the effect are rounded.
        assert visit.chance() == pytest.approx(chance - effects[0], abs=2)
        assert visit.chance() != chance
        page.get_by_role("button", name="Undo changes").click()
        visit.ask()
    assert visit.errors == []


def test_reasons_of_an_example_that_was_left_are_not_shown(visit: Visit) -> None:
    page = visit.page
    held: list[Route] = []
    page.route("**/explain", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks what it is given
    page.get_by_role("button", name="Ask the model").click()
    expect(page.locator("#outcome")).to_have_text(OUTCOME)
    page.get_by_label("Which flight?").select_option(index=1)
    with page.expect_response("**/explain"):
        held[0].continue_()

    expect(visit.verdict).to_have_text("Not asked yet")
    expect(page.get_by_role("region", name="Reasons")).to_be_hidden()


def test_a_changed_field_makes_what_happened_unknown_and_can_be_undone(visit: Visit) -> None:
    page = visit.page
    visit.ask()
    expect(page.locator("#outcome")).to_have_text(OUTCOME)
    undo = page.get_by_role("button", name="Undo changes")
    expect(undo).to_be_hidden()

    distance = visit.open_group_of("Distance")
    before = distance.input_value()
    distance.fill("777")
    expect(page.locator("#answer")).to_have_class(re.compile("stale"))
    expect(page.locator("#eyebrow")).to_have_text("Advice before your changes")
    visit.check_access()
    expect(page.locator("details", has=distance).locator(".count")).to_have_text("1 changed")
    distance.press("Enter")

    expect(page.locator("#outcome")).to_have_text("unknown, as you changed 1 input")
    undo.click()
    expect(distance).to_have_value(before)
    expect(visit.verdict).to_have_text("Not asked yet")


def test_a_refusal_is_shown_at_its_field(visit: Visit) -> None:
    page = visit.page
    distance = visit.open_group_of("Distance")
    plane = visit.open_group_of("Age of the plane")
    distance.fill("90000")
    plane.fill("old")
    for group in page.locator("details[open] summary").all()[::-1]:
        group.click()
    page.get_by_role("button", name="Ask the model").click()

    expect(distance).to_be_focused()  # in a group that was closed
    expect(distance).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#field-distance_miles-problem")).to_have_text(
        "Input should be less than or equal to 6000."
    )
    expect(page.locator("#field-plane_age_years-problem")).to_have_text("Input should be a valid integer.")
    expect(page.get_by_role("alert")).to_have_text("2 inputs to correct, marked below.")
    expect(page.get_by_role("region", name="Reasons")).to_be_hidden()
    visit.check_access()

    distance.fill("900")
    plane.fill("")  # not known
    plane.press("Enter")
    expect(page.locator("#outcome")).to_have_text(re.compile("unknown"))
    expect(page.locator(".wrong")).to_have_count(0)
    expect(page.get_by_role("alert")).to_be_hidden()
    # The browser itself notes the refused request; nothing else may be there.
    assert all("422" in error for error in visit.errors)


def test_an_endpoint_that_is_gone_is_said(visit: Visit) -> None:
    visit.page.context.set_offline(True)
    visit.page.get_by_role("button", name="Ask the model").click()

    expect(visit.page.get_by_role("alert")).to_have_text("The endpoint does not answer. Is it still running?")


def test_the_page_fits_its_window_names_every_field_and_asks_no_other_host(
    visit: Visit, address: str
) -> None:
    page = visit.page
    for group in page.locator("summary").all():
        group.click()
    visit.check_access()

    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
    controls = page.locator("select, input")
    with urlopen(f"{address}/model") as answer:
        groups = json.load(answer)["groups"]
    assert controls.count() == 1 + sum(len(group["fields"]) for group in groups)
    assert controls.evaluate_all("all => all.filter(one => !one.labels[0]?.textContent.trim())") == []
    assert visit.hosts == {address.removeprefix("http://")}
    assert visit.errors == []


def test_where_a_key_is_needed_the_page_asks_for_it_once(
    browser: Browser, finished_project: Path, tmp_path: Path
) -> None:
    page = browser.new_page()
    asked: list[str] = []
    answers = ["wrong", "correct horse"]

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept(answers.pop(0))

    page.on("dialog", answer)
    with serving(finished_project, tmp_path, API_KEY="correct horse") as address:
        page.goto(address)
        page.get_by_role("button", name="Ask the model").click()
        expect(page.locator("#request")).to_have_text(re.compile("^[0-9a-f]{12}$"))
        page.reload()
        page.get_by_role("button", name="Ask the model").click()
        expect(page.locator("#request")).to_have_text(re.compile("^[0-9a-f]{12}$"))
        assert asked == ["This endpoint asks for its key."] * 2

        page.evaluate("sessionStorage.clear()")
        page.remove_listener("dialog", answer)
        page.on("dialog", lambda dialog: dialog.dismiss())
        page.reload()
        expect(page.locator("#lead")).to_have_text(re.compile("^Send the endpoint's key"))
    page.close()


def test_the_documentation_can_be_tried_and_asks_no_other_host(browser: Browser, address: str) -> None:
    page = browser.new_page()
    errors: list[str] = []
    hosts: set[str] = set()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.goto(f"{address}/docs")

    route = page.locator("#operations-predictions-predict_predict_post")
    route.locator(".opblock-summary").click()
    route.get_by_role("button", name="Try it out").click()
    route.get_by_role("button", name="Execute").click()
    expect(route.locator(".live-responses-table tbody .response-col_status")).to_contain_text("200")
    expect(route.locator(".live-responses-table .highlight-code").first).to_contain_text("probability")

    assert hosts - {""} == {address.removeprefix("http://")}
    assert errors == []
    page.close()
