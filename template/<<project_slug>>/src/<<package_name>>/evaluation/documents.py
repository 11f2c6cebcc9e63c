"""Writes measured results into the documents that people keep: only between markers, never around them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .. import problem
from ..models.candidates import BASELINE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..paths import Paths

log = logging.getLogger(__name__)

BEGIN, END = "<!-- measured:begin -->", "<!-- measured:end -->"


def write(paths: Paths, result: dict[str, Any]) -> None:
    """Bring README.md, docs/model_card.md and docs/experiments.md up to date with a result."""
    fill(paths.root / "README.md", readme(result))
    fill(paths.root / "docs" / "model_card.md", model_card(result))
    fill(paths.root / "docs" / "experiments.md", experiments(result))


def fill(document: Path, text: str) -> None:
    """Replace what stands between the markers of a document; one without markers is left alone."""
    # As bytes, so that line endings stay as they are.
    before = document.read_bytes().decode() if document.is_file() else ""
    head, begin, rest = before.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        log.warning("%s has no markers %s and %s, so the result was not written there", document.name, BEGIN, END)
        return
    document.write_bytes(f"{head}{BEGIN}\n{text}\n{END}{tail}".encode())


def readme(result: dict[str, Any]) -> str:
    """Return the result as the README tells it."""
    best = result["champion"]
    baseline, rule = (result["dearer_than_champion"][name] for name in (BASELINE, problem.RULE_NAME))
    acts = result["acts"]
    logistic = result["dearer_than_champion"].get("logistic regression")
    saved = -result["models"][best]["cost"]["value"] / result["models"][problem.RULE_NAME]["cost"]["value"] + 1
    sentences = [
        (
            f"On {result['test']['rows']:,} {problem.SUBJECTS} that no model had seen, a decision with the champion "
            f"({best}) costs **{figure(result['models'][best]['cost'])}** {problem.COST_UNIT}: {saved:.0%} less than "
            f"{problem.RULE_NAME}, which costs {figure(rule)} more."
        ),
        (
            f"It acts on {acts['share']:.0%} of {problem.SUBJECTS}; of those {acts['precision']:.0%} are "
            f"{problem.POSITIVE}, and they are {acts['recall']:.0%} of all that are."
        ),
        f"The baseline ({problem.BASELINE_NAME}) costs {figure(baseline)} more.",
    ]
    if logistic and best != "logistic regression":
        sentences.append(
            f"Logistic regression on the same fields costs {figure(logistic)} more, which is within noise: "
            "most of the gain is in the features."
            if logistic["low"] <= 0
            else f"Logistic regression on the same fields costs {figure(logistic)} more."
        )
    table = markdown_table(
        ["Model", f"Cost a {problem.SUBJECT}", "95 % interval", "Average precision", "ROC AUC"],
        [
            [
                f"**{name}**" if name == best else name,
                f"{found['cost']['value']:.3f}",
                interval(found["cost"]),
                f"{found['average_precision']:.3f}" if "average_precision" in found else "",
                f"{found['roc_auc']:.3f}" if "roc_auc" in found else "",
            ]
            for name, found in sorted(result["models"].items(), key=lambda item: item[1]["cost"]["value"])
        ],
    )
    picture = "![What a decision costs with each model](reports/figures/costs.png)"
    return "\n\n".join([" ".join(sentences), picture, table])


def model_card(result: dict[str, Any]) -> str:
    """Return what a model card says of the measured model."""
    best = result["champion"]
    own = result["models"][best]
    slices = [found for found in result["slices"] if found["judged"]]
    dearest = max(slices, key=lambda found: found["cost"]["value"])
    test = result["test"]
    error, before = (result["calibration"][key] for key in ("expected_error", "uncalibrated_error"))
    dear = f"{dearest['slice'].replace('_', ' ')} {dearest['value']}"
    facts = {
        "Model": f"{best}, version `{result['version']}`; acts from a probability of {result['threshold']:.2f}",
        "Measured on": f"{test['rows']:,} {problem.SUBJECTS} from {test['from']} until {test['until']}, "
        f"{test['positive_rate']:.1%} of them {problem.POSITIVE}",
        "Cost": f"{figure(own['cost'])} {problem.COST_UNIT} a {problem.SUBJECT}",
        "Ranking": f"average precision {own['average_precision']:.3f}, ROC AUC {own['roc_auc']:.3f}",
        "Calibration": f"Brier score {own['brier']:.3f}; mean gap of probability and share {error:.3f} "
        f"({before:.3f} before calibration)",
        "Dearest slice": f"{dear}, {figure(dearest['cost'])} over {dearest['rows']:,} {problem.SUBJECTS} "
        f"({dearest['positive_rate']:.0%} {problem.POSITIVE})",
    }
    lines = [f"- **{name}**: {fact}." for name, fact in facts.items()]
    ageing = markdown_table(
        [f"{problem.PERIOD.capitalize()}s after validation", "As it was", "Trained anew", "What retraining would save"],
        [
            [str(row["age"]), f"{row['stale']:.3f}", f"{row['fresh']:.3f}", span(row["saved"])]
            for row in result["staleness"]
        ],
    )
    return "\n".join(lines) + f"\n\nHow it ages, told by quick fits on a quarter of the rows:\n\n{ageing}"


def experiments(result: dict[str, Any]) -> str:
    """Return the table of what was tried."""
    worse = [
        [name, "Another model, on the same fields", f"{found['cost']['value']:.3f}", name]
        for name, found in result["models"].items()
        if "roc_auc" in found and name not in (result["champion"], BASELINE)
    ]
    rows = [
        [name, tried, cost, span(result["dearer_than_champion"][name]), verdict(result["dearer_than_champion"][name])]
        for name, tried, cost, _ in worse
    ]
    rows += [
        [found["name"], found["tried"], f"{found['cost']:.3f}", span(found["difference"]), found["verdict"]]
        for found in result["experiments"]
    ]
    split = result["random_split"]
    return (
        markdown_table(["Tried (and the tracked run's name)", "What", "Cost", "Dearer by", "Verdict"], rows)
        + f"\n\nA random split would have promised an AUC of {split['roc_auc']:.3f} and a cost of {split['cost']:.3f}, "
        f"where the same quick fit, split by time, has {split['time_split_roc_auc']:.3f} and "
        f"{split['time_split_cost']:.3f} on the same rows."
    )


def verdict(difference: dict[str, float]) -> str:
    """Return what an interval allows to say."""
    return "cheaper" if difference["high"] < 0 else "dearer" if difference["low"] > 0 else "no difference beyond noise"


def figure(found: dict[str, float]) -> str:
    """Write a figure with its interval."""
    return f"{found['value']:.3f} ({interval(found)})"


def span(found: dict[str, float]) -> str:
    """Write a difference with its interval."""
    return f"{found['value']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"


def interval(found: dict[str, float]) -> str:
    """Write an interval."""
    return f"{found['low']:.3f} to {found['high']:.3f}"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
