"""The page for whoever is on call: first whether anything is wrong, then what it rests on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import problem
from ..errors import ProjectError
from ..reporting import BLUE, GREY, RED, Report, new_figure
from ..serving.predictor import Predictor
from . import checks, drift, performance, served
from .alerts import MIN_COVERAGE, OLDEST, Alert, Judged, age, day, find, period

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from ..evaluation.metrics import Interval
    from ..paths import Paths
    from .drift import FieldDrift
    from .served import Log, Served

# Names with a smaller share than the first so many are drawn as one bar.
DRAWN_LEVELS = 8
RUNBOOK = "docs/runbook.md"


def monitor(paths: Paths, log: Log | None = None) -> list[Alert]:
    """Write `reports/monitoring.html`, and return what needs a person: the alarms, not the notes.

    Reads `log`; if none is named, the endpoint's log once it holds enough to be judged, before that the last
    simulation's. Raises ProjectError if there is nothing to read.
    """
    manifest = read_manifest(paths.champion / "manifest.json")
    log = log or chosen_log(paths)
    everything = read(log, manifest)
    judged = judge(served.windows(everything, drift.MIN_ROWS), manifest["reference"], Predictor(paths.champion))
    alerts = find(judged, manifest) if judged else []
    source = "a replay of the test period" if log == paths.simulation_log else getattr(log, "name", "PostgreSQL")
    report = Report(
        "Monitoring",
        f"What champion {manifest['version']} answered from {day(everything.decided_at[0])} to "
        f"{day(everything.decided_at[-1])}: {len(everything):,} predictions, read from {source}.",
        paths.figures,
    )
    show_verdict(report, judged, alerts)
    if judged:
        show_state(report, judged, manifest)
        show_costs(report, judged, manifest["metrics"])
        show_drift(report, judged, manifest["reference"])
        show_latency(report, judged)
        show_rules(report, manifest["reference"])
    report.write(paths.reports / "monitoring.html")
    return [alert for alert in alerts if alert.level == "alarm"]


def read(log: Log, manifest: Mapping[str, Any]) -> Served:
    """Read what the champion of a manifest answered. Raises ProjectError when that is nothing."""
    fields = manifest["reference"]["fields"]
    levels = {name: figures.get("levels", ()) for name, figures in fields.items()}
    return served.read(log, manifest["version"], levels)


def judge(windows: Sequence[Served], reference: Mapping[str, Any], champion: Predictor) -> list[Judged]:
    """Find out about each window whatever can be found out."""
    return [
        Judged(
            window=window,
            accuracy=performance.accuracy(window),
            drift=drift.compare(window.inputs, window.probability, reference),
            latency=performance.latency(window),
            checks=checks.check(window, champion, reference["repeats"]),
        )
        for window in windows
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
    for heading, found, level in (("Alarms", alarms, "bad"), ("Notes", notes, "note")):
        if found:
            report.section(heading)
        for alert in found:
            facts = {"Since": alert.since, "How much": alert.how_much, "What to do": alert.to_do}
            link = (f"../{RUNBOOK}#{anchor(alert.runbook)}", f"{RUNBOOK}: {alert.runbook}")
            report.finding(alert.what, facts, level=level, link=link)


def anchor(heading: str) -> str:
    """Return what GitHub calls a heading in an address."""
    return heading.lower().replace(",", "").replace(" ", "-")


def show_state(report: Report, judged: Sequence[Judged], manifest: Mapping[str, Any]) -> None:
    """Show the newest window in a dozen figures, beside what they are held against."""
    newest = judged[-1]
    now, test = newest.accuracy, manifest["metrics"]
    answers, *inputs = newest.drift
    broken, moved = sum(bool(field.faults) for field in inputs), sum(field.moved for field in inputs)
    report.section("The newest window in figures")
    report.table(
        ("What", "Now", "Held against"),
        [
            ("Predictions", f"{len(newest.window):,}", f"at least {drift.MIN_ROWS}"),
            ("Truth known", percent(now.coverage), f"{MIN_COVERAGE:.0%}, to judge the cost"),
            ("Cost", f"{now.cost.value:.3f} ({span(now.cost)})", f"{test['expected_cost']:.3f} in the test"),
            ("ROC AUC", f"{now.roc_auc.value:.3f} ({span(now.roc_auc)})", f"{test['roc_auc']:.3f} in the test"),
            (f"Really {problem.POSITIVE}", percent(now.actual), f"{percent(now.expected)} expected"),
            ("Answers", f"{answers.times_furthest:.1f} times as far from training", "as its stretches at most"),
            ("Inputs", f"{broken} broken, {moved} moved of {len(inputs)}", "training"),
            ("Row checks", counted(len(newest.checks), "failure"), "contract, numbers, repeats, clock, skew"),
            ("Slowest answer in 100", f"{newest.latency['p99']:.2f} ms", f"{performance.LATENCY_LIMIT_MS:.0f} ms"),
            ("Age of the model", f"{age(newest, manifest)} days", f"{OLDEST} days, as in the test"),
        ],
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
    spread = np.abs(costs[:, 1:] - costs[:, :1]).T
    ax.errorbar(middles, costs[:, 0], yerr=spread, fmt="o", color=BLUE, capsize=3)
    limit = test_cost * performance.COST_TOLERANCE
    line(ax, limit, f"alarm if a whole interval\nlies above {limit:.2f}", RED, "bottom")
    line(ax, test_cost, f"in the test: {test_cost:.2f}", GREY, "top")
    ax.set_xticks(middles, [day(middle) for middle in middles], fontsize=8)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(f"{problem.COST_UNIT} a {problem.SUBJECT}")
    report.figure(figure, "monitor_cost", "Mean cost of a decision in each window, with its 95 % interval.")
    rates = (f"{how} {problem.POSITIVE}" for how in ("Called", "Expected", "Really"))
    rows = [
        (
            period(one.since, one.until),
            one.rows,
            percent(one.coverage),
            one.cost.value,
            span(one.cost),
            one.roc_auc.value,
            span(one.roc_auc),
            percent(one.acted),
            percent(one.expected),
            percent(one.actual),
        )
        for one in reversed(windows)
    ]
    report.table(
        (
            "Window",
            problem.SUBJECTS.capitalize(),
            "Truth known",
            "Cost",
            "95 % interval",
            "ROC AUC",
            "95 % interval",
            *rates,
        ),
        rows,
        f"In the test: cost {test_cost:.3f}, ROC AUC {metrics['roc_auc']:.3f}.",
    )


def line(ax: Axes, height: float, label: str, colour: str, side: str) -> None:
    """Draw a level that says itself what it is, to the right of the axes."""
    ax.axhline(height, color=colour, linewidth=1, linestyle="--")
    ax.text(1.01, height, label, transform=ax.get_yaxis_transform(), va=side, color=colour, fontsize=9)


def show_drift(report: Report, judged: Sequence[Judged], reference: Mapping[str, Any]) -> None:
    """Show how far answers and inputs of the newest window are from training: the broken, then the most moved."""
    newest = judged[-1]
    report.section(
        "How far inputs and answers moved",
        f"The newest window ({len(newest.window):,} predictions) against the champion's training data "
        f"({reference['rows']:,} {problem.SUBJECTS}). “From training” is the mean distance of values in standard "
        "deviations, or the share of names that changed; “furthest in training” the most that any of its "
        f"{reference['stretches']} stretches reached: seasons move without anything being wrong.",
    )
    pictured = newest.drift[:6]
    figure, axes = new_figure(8.4, 5.2, rows=2, columns=3)
    for ax, field in zip(axes.flat, pictured, strict=False):
        if "levels" in field.training:
            draw_shares(ax, field)
        else:
            draw_course(ax, field, [one.window for one in judged])
        ax.set_title(f"{field.name}: {judgement(field)}", fontsize=9, loc="left")
    for ax in axes.flat[len(pictured) :]:
        ax.remove()
    report.figure(
        figure,
        "monitor_drift",
        f"The answers, and the {len(pictured) - 1} inputs that moved most. Numbers: each day's median, and where nine "
        "tenths of values lie; grey, the same of training. Names: the share of each, grey in training, blue now.",
    )
    report.table(
        ("Field", "Judgement", "From training", "Furthest in training", "PSI", "Missing", "In training", "Never seen"),
        [
            (
                field.name,
                judgement(field),
                field.shift,
                field.training["furthest"],
                field.psi,
                percent(field.now.missing),
                percent(field.training["missing"]),
                percent(field.now.unseen),
            )
            for field in newest.drift
        ],
    )


def judgement(field: FieldDrift) -> str:
    """Return what the monitor thinks of a field."""
    return "broken" if field.faults else "moved" if field.moved else "as usual"


def draw_course(ax: Axes, field: FieldDrift, windows: Sequence[Served]) -> None:
    """Draw where a number lay on each day, before what it was in training."""
    values = np.concatenate([w.probability if field.name == "probability" else w.inputs[field.name] for w in windows])
    days, starts = np.unique(
        np.concatenate([window.decided_at for window in windows]).astype("datetime64[D]"), return_index=True
    )
    known = [part[~np.isnan(part)] for part in np.split(values, starts[1:])]
    shown = (0.05, 0.5, 0.95)
    low, middle, high = np.array([np.quantile(part, shown) if len(part) else (np.nan,) * 3 for part in known]).T
    first, *_, last = field.training["quantiles"]
    ax.axhspan(first, last, color=GREY, alpha=0.2, linewidth=0)
    ax.axhline(field.training["quantiles"][len(field.training["quantiles"]) // 2], color=GREY, linewidth=1)
    ax.fill_between(days, low, high, color=BLUE, alpha=0.25, linewidth=0)
    ax.plot(days, middle, color=BLUE, linewidth=1.2)
    ax.tick_params(labelsize=8)
    ax.set_xticks(days[[0, -1]], [day(end) for end in days[[0, -1]]], fontsize=8)


def draw_shares(ax: Axes, field: FieldDrift) -> None:
    """Draw the shares of names before and now."""
    names = [*field.training["levels"], "another"]
    before, now = np.array(field.training["shares"]), field.now.shares
    frequent = np.argsort(-np.maximum(before, now), kind="stable")[:DRAWN_LEVELS]
    places = np.arange(len(frequent))
    ax.set_xticks(places, [names[i] for i in frequent], fontsize=7)
    ax.bar(places - 0.2, before[frequent] * 100, width=0.4, color=GREY)
    ax.bar(places + 0.2, now[frequent] * 100, width=0.4, color=BLUE)
    ax.tick_params(axis="y", labelsize=8)
    ax.yaxis.set_major_formatter("{x:.0f} %")


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


def show_rules(report: Report, reference: Mapping[str, Any]) -> None:
    """Say what makes an alarm, so that nobody has to read the code at night."""
    report.section("What makes an alarm")
    report.text(
        f"Windows are whole weeks on the clocks of {problem.TIMEZONE}, counted back from the newest prediction, each "
        f"with at least {drift.MIN_ROWS} predictions. The newest one is judged; “since” follows a finding back."
    )
    limit, false_alarms = f"{reference['limit']:.1f}", f"{drift.MAX_FALSE_ALARMS:.0%}"
    rules = {
        "Cost": f"the whole interval lies more than {performance.COST_TOLERANCE - 1:.0%} above the test's",
        "ROC AUC": f"the whole interval lies below {performance.COIN_TOSS}",
        "Inputs and answers": "values are missing, never seen, one and the same, or no longer go with the other "
        f"fields, each from {limit} times what is usual for the field; at most {false_alarms} of stretches of the "
        "training period would have raised an alarm",
        "Answers": f"they moved, and the truth is known of fewer than {MIN_COVERAGE:.0%}",
        "Rows": "even one breaks the data contract, or decides against its threshold; or requests repeat, their clock "
        "stands still, or the endpoint answers otherwise than the champion does here",
        "Latency": f"one answer in a hundred takes over {performance.LATENCY_LIMIT_MS:.0f} ms",
        "Age": "the model is older than it ever was in its test",
        "A note only": f"a PSI above {drift.SHIFTED} (customary; Siddiqi, Credit Risk Scorecards, 2006), and further "
        "from training than any of its stretches. It does not fail the run",
    }
    report.points([f"{name}: {rule}." for name, rule in rules.items()])


def span(interval: Interval) -> str:
    """Write an interval."""
    return "n/a" if np.isnan(interval.low) else f"{interval.low:.3f} to {interval.high:.3f}"


def counted(number: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def percent(share: float) -> str:
    """Write a share in per cent."""
    return "n/a" if np.isnan(share) else f"{share:.1%}"
