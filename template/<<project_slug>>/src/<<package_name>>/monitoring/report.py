"""The page for whoever is on call: first whether anything is wrong, then what it rests on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import problem
from ..errors import ProjectError
from ..reporting import BLUE, GREY, RED, Report, new_figure
from . import drift, performance, served
from .alerts import MIN_COVERAGE, Alert, Judged, day, find, period

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from ..paths import Paths
    from .drift import FieldDrift
    from .served import Served

# Names with a smaller share than the first so many are drawn as one bar.
DRAWN_LEVELS = 8


def monitor(paths: Paths, log: Path | None = None) -> list[Alert]:
    """Write `reports/monitoring.html`, and return what needs a person: the alarms, not the notes.

    Reads `log`; if none is named, the endpoint's log once it holds enough to be judged, before that the last
    simulation's. Raises ProjectError if there is nothing to read.
    """
    manifest = read_manifest(paths.champion / "manifest.json")
    log = log or chosen_log(paths)
    everything = served.read(log, manifest["version"])
    judged = judge(everything, manifest["reference"])
    alerts = find(judged, manifest["metrics"]["expected_cost"]) if judged else []
    source = "a replay of the test period" if log == paths.simulation_log else log.name
    report = Report(
        "Monitoring",
        f"What champion {manifest['version']} answered from {day(everything.decided_at[0])} to "
        f"{day(everything.decided_at[-1])}: {len(everything):,} predictions, read from {source}.",
        paths.figures,
    )
    show_verdict(report, judged, alerts)
    if judged:
        show_costs(report, judged, manifest["metrics"])
        show_drift(report, judged[-1], manifest["reference"])
        show_latency(report, judged)
        show_rules(report)
    report.write(paths.reports / "monitoring.html")
    return [alert for alert in alerts if alert.level == "alarm"]


def judge(everything: Served, reference: Mapping[str, Any]) -> list[Judged]:
    """Cut what was served into windows, and find out about each whatever can be found out."""
    return [
        Judged(
            window=window,
            accuracy=performance.accuracy(window),
            drift=drift.compare(window.columns(), window.probability, reference),
            latency=performance.latency(window),
        )
        for window in served.windows(everything, drift.MIN_ROWS)
    ]


def read_manifest(path: Path) -> dict[str, Any]:
    """Read the champion's manifest."""
    if not path.exists():
        raise ProjectError(f"{path} is missing: there is no champion to watch. Make one with `make run`.")
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return manifest


def chosen_log(paths: Paths) -> Path:
    """Return the endpoint's log, or the simulation's for as long as the endpoint's is too short to judge."""
    real, replayed = paths.prediction_log, paths.simulation_log
    version = read_manifest(paths.champion / "manifest.json")["version"]
    rows = {log: served.count(log, version) for log in (real, replayed)}
    if not any(rows.values()):
        raise ProjectError(
            f"{real} holds no predictions of the champion yet. "
            "Send some to the endpoint, or replay the test period with `make simulate`."
        )
    return real if rows[real] >= drift.MIN_ROWS or not rows[replayed] else replayed


def show_verdict(report: Report, judged: Sequence[Judged], alerts: Sequence[Alert]) -> None:
    """Say first whether anything is wrong, and then what."""
    if not judged:
        report.alert(
            f"Too little to judge yet: it takes {drift.MIN_ROWS} predictions over at least a whole week.",
            level="note",
        )
        return
    newest = judged[-1]
    alarms = [alert for alert in alerts if alert.level == "alarm"]
    notes = [alert for alert in alerts if alert.level == "note"]
    window = f"the newest window, {newest.period}"
    if alarms:
        report.alert(f"{counted(len(alarms), 'alarm')} in {window}.", level="bad")
    else:
        also = f" {counted(len(notes), 'note')} below." if notes else ""
        report.alert(f"No alarm in {window}.{also}", level="good")
    for heading, found in (("Alarms", alarms), ("Notes", notes)):
        if found:
            report.section(heading)
            report.table(
                ("What", "Since", "How much", "What to do"),
                [(alert.what, alert.since, alert.how_much, alert.to_do) for alert in found],
            )


def show_costs(report: Report, judged: Sequence[Judged], metrics: Mapping[str, float]) -> None:
    """Show what decisions cost in each window, with its interval, against the test."""
    windows = [one.accuracy for one in judged]
    test_cost = metrics["expected_cost"]
    report.section(
        "What the decisions cost",
        f"Mean cost of a {problem.SUBJECT} in {problem.COST_UNIT}, where the truth has come. Its 95 % "
        "interval comes from drawing blocks of days: what happens on one day, and on the next, has causes in common.",
    )
    figure, ax = new_figure(height=3.2)
    middles = [one.since + (one.until - one.since) / 2 for one in windows]
    costs = np.array([one.cost for one in windows])
    spread = np.array([[one.cost - one.low, one.high - one.cost] for one in windows]).T
    ax.errorbar(middles, costs, yerr=spread, fmt="o", color=BLUE, capsize=3)
    limit = test_cost * performance.COST_TOLERANCE
    line(ax, limit, f"alarm if a whole interval\nlies above {limit:.2f}", RED, "bottom")
    line(ax, test_cost, f"in the test: {test_cost:.2f}", GREY, "top")
    ax.set_xticks(middles, [day(middle) for middle in middles], fontsize=8)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(f"{problem.COST_UNIT} a {problem.SUBJECT}")
    report.figure(figure, "monitor_cost", "Mean cost of a decision in each window, with its 95 % interval.")
    rates = ("ROC AUC", "AP", *(f"{how} {problem.POSITIVE}" for how in ("Called", "Expected", "Really")))
    rows = [
        (
            period(one.since, one.until),
            one.rows,
            percent(one.coverage),
            one.cost,
            f"{one.low:.3f} to {one.high:.3f}",
            one.roc_auc,
            one.average_precision,
            percent(one.acted),
            percent(one.expected),
            percent(one.actual),
        )
        for one in reversed(windows)
    ]
    report.table(
        ("Window", problem.SUBJECTS.capitalize(), "Truth known", "Cost", "95 % interval", *rates),
        rows,
        f"In the test: cost {test_cost:.3f}, ROC AUC {metrics['roc_auc']:.3f}, AP {metrics['average_precision']:.3f}.",
    )


def line(ax: Axes, height: float, label: str, colour: str, side: str) -> None:
    """Draw a level that says itself what it is, to the right of the axes."""
    ax.axhline(height, color=colour, linewidth=1, linestyle="--")
    ax.text(1.01, height, label, transform=ax.get_yaxis_transform(), va=side, color=colour, fontsize=9)


def show_drift(report: Report, newest: Judged, reference: Mapping[str, Any]) -> None:
    """Show how far answers and inputs of the newest window are from training, the most moved first."""
    report.section(
        "How far inputs and answers moved",
        f"The newest window ({len(newest.window):,} predictions) against the champion's training data "
        f"({reference['rows']:,} {problem.SUBJECTS}). “Up to” is the most that any {drift.STRETCHES}th of "
        "the training period reached: weather and seasons move without anything being wrong.",
    )
    bins = {"probability": reference["probability"], **reference["fields"]}
    pictured = newest.drift[:6]
    figure, axes = new_figure(8.4, 4.6, rows=2, columns=3)
    for ax, moved in zip(axes.flat, pictured, strict=False):
        draw_shares(ax, moved, bins[moved.name])
    for ax in axes.flat[len(pictured) :]:
        ax.remove()
    report.figure(
        figure,
        "monitor_drift",
        "Share of known values in each tenth of the training data (a number) or at each level (a name): grey "
        "in training, blue in the newest window. "
        f"The answers, and the {len(pictured) - 1} inputs that moved most.",
    )
    report.table(
        ("Field", "PSI", "Up to", "Jensen-Shannon", "Missing", "Up to", "Never seen", "Judgement"),
        [
            (
                moved.name,
                moved.psi,
                moved.usual_psi,
                moved.jensen_shannon,
                percent(moved.missing),
                percent(moved.usual_missing),
                percent(moved.novel),
                "broken" if moved.faults else "moved" if moved.changes else "as usual",
            )
            for moved in newest.drift
        ],
    )


def draw_shares(ax: Axes, moved: FieldDrift, bins: Mapping[str, Any]) -> None:
    """Draw the shares of one field before and now."""
    before, now = np.array(bins["shares"]), moved.shares
    if "levels" in bins:
        names = [*bins["levels"], "unseen"]
        frequent = np.argsort(-np.maximum(before, now), kind="stable")[:DRAWN_LEVELS]
        before, now = before[frequent], now[frequent]
        ax.set_xticks(range(len(frequent)), [names[i] for i in frequent], fontsize=7)
    else:
        edges = bins["edges"]
        # A tick between two bars is the edge between two bins.
        shown = range(0, len(edges), 2)
        ax.set_xticks([i + 0.5 for i in shown], [f"{edges[i]:.3g}" for i in shown], fontsize=8)
    places = np.arange(len(before))
    ax.bar(places - 0.2, before * 100, width=0.4, color=GREY)
    ax.bar(places + 0.2, now * 100, width=0.4, color=BLUE)
    ax.tick_params(axis="y", labelsize=8)
    ax.yaxis.set_major_formatter("{x:.0f} %")
    ax.set_title(f"{moved.name}\nPSI {moved.psi:.2f}, usual up to {moved.usual_psi:.2f}", fontsize=9, loc="left")


def show_latency(report: Report, judged: Sequence[Judged]) -> None:
    """Show how long answers took."""
    report.section(
        "How fast the answers came",
        "Milliseconds from a request's arrival until its answer was in the log; a row of a batch took as long as all.",
    )
    report.table(
        ("Window", "Half within", "95 % within", "99 % within"),
        [(one.period, *(f"{ms:.2f}" for ms in one.latency.values())) for one in reversed(judged)],
    )


def show_rules(report: Report) -> None:
    """Say what makes an alarm, so that nobody has to read the code at night."""
    report.section("What makes an alarm")
    report.text(
        "Windows are whole weeks, counted back from the newest prediction, each with at least "
        f"{drift.MIN_ROWS} predictions. The newest one is judged; “since” follows a finding back."
    )
    report.text(
        f"Cost: the whole interval lies more than {performance.COST_TOLERANCE - 1:.0%} above the test. "
        f"Latency: one answer in a hundred takes over {performance.LATENCY_LIMIT_MS:.0f} ms. "
        "Answers: they moved, and the truth is known of fewer than "
        f"{MIN_COVERAGE:.0%}. Inputs: what no season explains, values missing or one value repeated in "
        f"{drift.MARGIN_TO_ACT * 100:.0f} points more rows than in any stretch of training, more "
        f"than {drift.NOVEL_TO_ACT:.0%} of values that training never saw, or a PSI "
        f"{drift.UNHEARD_OF:.0f} times as high as ever in training."
    )
    report.text(
        f"Notes: a PSI above {drift.SHIFTED} (customary; Siddiqi, Credit Risk Scorecards, 2006) and "
        "above what training reached, or a smaller rise of missing or never seen values. "
        "They do not fail the run."
    )


def counted(number: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def percent(share: float) -> str:
    """Write a share in per cent."""
    return "n/a" if np.isnan(share) else f"{share:.1%}"
