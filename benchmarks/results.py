"""Where every benchmark puts its figures: one file, a section each, between markers."""

import re
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"


def write(section: str, title: str, report: str) -> None:
    """Put a report between the markers of its section, and add the section at the end if it is new."""
    begin, end = f"<!-- {section}:begin -->", f"<!-- {section}:end -->"
    text = RESULTS.read_text("utf-8") if RESULTS.exists() else "# Measured\n"
    if begin not in text:
        text = f"{text.rstrip()}\n\n## {title}\n\n{begin}\n{end}\n"
    between = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    RESULTS.write_text(between.sub(lambda _: f"{begin}\n{report}\n{end}", text), "utf-8")
