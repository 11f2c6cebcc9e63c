"""One look for every report: an HTML page of prose, tables and pictures, readable offline."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")  # no screen is needed to draw a report

import matplotlib.pyplot as plt
from jinja2 import Environment, PackageLoader

from . import problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that people who see red and green alike can tell apart (Okabe and Ito, 2008).
BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#8a8f98"

NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+ ?%?( to [-+]?\d*\.?\d+)?|n/a")


def new_figure(width: float = 7.0, height: float = 3.6, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    """Return a figure of the given size in inches, and its axes (an array when there are several)."""
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), layout="constrained")
    for ax in figure.axes:
        plain(ax)
    return figure, axes


def plain(ax: Axes) -> None:
    """Leave of an axis what helps to read a value off it."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.25)
    ax.set_axisbelow(True)


@dataclass
class Report:
    """Collects the parts of a page in reading order; `write` renders them."""

    title: str
    lead: str
    figures: Path
    parts: list[dict[str, Any]] = field(default_factory=list)

    def section(self, heading: str, text: str = "") -> None:
        """Begin a section, with a paragraph that says what to see in it."""
        self.parts.append({"kind": "section", "heading": heading, "text": text})

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self.parts.append({"kind": "text", "text": text})

    def points(self, texts: Sequence[str]) -> None:
        """Add a list of findings."""
        self.parts.append({"kind": "points", "texts": list(texts)})

    def alert(self, text: str, *, level: str) -> None:
        """Add a line that must not be overlooked; `level` is "good", "note" or "bad"."""
        self.parts.append({"kind": "alert", "text": text, "level": level})

    def finding(self, what: str, facts: Mapping[str, str], *, level: str, link: tuple[str, str]) -> None:
        """Add a card: what was found, its facts by name, and a link (address, text); `level` as for `alert`."""
        self.parts.append({"kind": "finding", "what": what, "facts": dict(facts), "level": level, "link": link})

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str = "") -> None:
        """Add a table; a column of numbers and percentages is aligned right, and only long cells may break."""
        texts = [[shown(cell) for cell in row] for row in rows]
        numbers = [all(NUMBER.fullmatch(text) for text in column) for column in zip(*texts, strict=True)]
        cells = [
            [
                {"text": text, "number": number, "short": len(text) <= 24}
                for text, number in zip(row, numbers, strict=True)
            ]
            for row in texts
        ]
        self.parts.append({"kind": "table", "columns": list(columns), "rows": cells, "caption": caption})

    def figure(self, figure: Figure, name: str, alt: str) -> None:
        """Save a figure as `figures/NAME.png`, close it, and show it with `alt` as its caption."""
        self.figures.mkdir(parents=True, exist_ok=True)
        # Without the library's version in the file, an unchanged picture stays unchanged in git.
        figure.savefig(self.figures / f"{name}.png", dpi=110, metadata={"Software": None})
        plt.close(figure)
        self.parts.append({"kind": "figure", "src": f"{self.figures.name}/{name}.png", "alt": alt})

    def write(self, path: Path) -> None:
        """Render the page to `path`, in the folder that holds the figures' folder."""
        environment = Environment(loader=PackageLoader(__package__), autoescape=True)
        environment.trim_blocks = environment.lstrip_blocks = True
        page = environment.get_template("report.html").render(
            title=self.title, lead=self.lead, parts=self.parts, project=problem.TITLE
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")


def shown(value: object) -> str:
    """Write a value as a reader expects it: 84,292 and .605, not 84292 and 0.6049999."""
    if value is None or value != value:  # noqa: PLR0124 — NaN is the one value unlike itself
        return "n/a"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3f}"
    return str(value)
