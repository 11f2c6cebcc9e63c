"""The evaluate stage: what the models are worth in a time that none of them has seen, for people and programs."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import metrics as sklearn_metrics

from .. import problem, tracking
from ..calibration import cost_threshold
from ..data.pipeline import read_table
from ..errors import ProjectError
from ..models import dataset, export, tuning
from ..models.candidates import BASELINE, BOOSTING, MODELS
from ..reporting import BLUE, GREEN, GREY, ORANGE, RED, Report, new_figure
from . import documents, metrics
from .studies import Finding, Studies

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from ..paths import Paths
    from .metrics import Interval

log = logging.getLogger(__name__)

ALWAYS_NO, ALWAYS_YES = f"always {problem.NEGATIVE}", f"always {problem.POSITIVE}"
# Below this many rows a slice says more about chance than about the model.
SLICE_ROWS = 500
UNIT = f"{problem.COST_UNIT} a {problem.SUBJECT}"


@dataclass(frozen=True)
class Judged:
    """The test rows, and everything that was answered for them."""

    y: NDArray[np.int8]
    days: NDArray[np.int64]
    probabilities: dict[str, NDArray[np.float64]]
    answers: dict[str, NDArray[np.bool_]]
    table: pd.DataFrame

    def result(self, name: str) -> dict[str, Any]:
        """Return the cost of `name` with its interval, and the other metrics where it gives probabilities."""
        found: dict[str, Any] = {"cost": metrics.cost_interval(self.y, self.answers[name], self.days)._asdict()}
        if name in self.probabilities:
            found |= metrics.scores(self.y, self.probabilities[name], self.answers[name])
        return found

    def acts(self, name: str) -> dict[str, float]:
        """Return on which share of rows `name` acts, how often rightly, and how many positives that finds."""
        acted = self.answers[name]
        right = float((acted & (self.y == 1)).sum())
        return {
            "share": float(acted.mean()),
            "precision": right / max(float(acted.sum()), 1.0),
            "recall": right / max(float(self.y.sum()), 1.0),
        }

    def dearer(self, name: str, champion: str) -> Interval:
        """Return by how much `name` costs more than the champion."""
        more = metrics.cost_of(self.y, self.answers[name]) - metrics.cost_of(self.y, self.answers[champion])
        return metrics.mean_interval(more, self.days)


def evaluate(paths: Paths) -> dict[str, Any]:
    """Judge the candidate and what it is compared with on the test rows; write the reports, and return the metrics.

    Raises ProjectError if nothing has been trained.
    """
    if not paths.models.is_file():
        raise ProjectError(f"{paths.models} is missing. Run `make train` first.")
    trained = json.loads(paths.models.read_text(encoding="utf-8"))
    best = trained["best"]
    judged = read_table(paths.probabilities)
    data = dataset.load(paths)
    test = gather(data, judged)

    names = [ALWAYS_NO, ALWAYS_YES, problem.RULE_NAME, *MODELS]
    log.info("%s test rows; studies", f"{len(test.y):,}")
    studies = Studies(data, tuning.read_params(paths))
    reference = studies.by_split(data.x)
    ablation = studies.ablation(reference)
    staleness = studies.staleness(reference)
    random_split = studies.random_split(reference)
    experiments = studies.experiments(judged, best, reference)

    probability, answers = test.probabilities[best], test.answers[best]
    manifest = export.read_manifest(paths.candidate)
    result: dict[str, Any] = {
        "version": manifest["version"],
        "champion": best,
        "threshold": cost_threshold(),
        "test": {
            "from": manifest["data"]["split"]["test_from"],
            "until": manifest["data"]["split"]["test_until"],
            "rows": len(test.y),
            "positive_rate": float(test.y.mean()),
        },
        "models": {name: test.result(name) for name in names},
        "acts": test.acts(best),
        "dearer_than_champion": {name: test.dearer(name, best)._asdict() for name in names if name != best},
        "primary": {
            "metric": problem.PRIMARY_METRIC,
            "loss_above_baseline": metrics.loss_difference(
                test.y, test.days, (probability, answers), (test.probabilities[BASELINE], test.answers[BASELINE])
            )._asdict(),
        },
        "calibration": {
            "expected_error": metrics.expected_calibration_error(test.y, probability),
            "uncalibrated_error": metrics.expected_calibration_error(
                test.y, judged.loc[judged["split"] == "test", f"{best} (uncalibrated)"].to_numpy()
            ),
        },
        "slices": slices(test, best),
        "ablation": [asdict(finding) | {"difference": finding.difference._asdict()} for finding in ablation],
        "staleness": [row | {"saved": row["saved"]._asdict()} for row in staleness.to_dict("records")],
        "random_split": random_split,
        "experiments": [
            asdict(finding) | {"difference": finding.difference._asdict(), "verdict": finding.verdict}
            for finding in experiments
        ],
    }
    result["headline"] = headline(result)
    write_report(paths, test, judged, result, ablation, experiments)
    paths.metrics.write_text(json.dumps(rounded(result), indent=1) + "\n", encoding="utf-8")

    manifest["metrics"] = {key: result["models"][best][key] for key in metrics.METRICS}
    export.write_manifest(paths.candidate, manifest)
    documents.write(paths, result)
    record_runs(paths, trained, result)
    return result


def gather(data: dataset.Dataset, judged: pd.DataFrame) -> Judged:
    """Collect the test rows, with the answers of each model, of the rule, and of no thought at all."""
    rows = data.rows("test")
    table = data.table[rows].reset_index(drop=True)
    ours = judged[judged["split"] == "test"]
    probabilities = {name: ours[name].to_numpy() for name in MODELS}
    answers = {name: probability >= cost_threshold() for name, probability in probabilities.items()}
    answers |= {
        ALWAYS_NO: np.zeros(len(table), bool),
        ALWAYS_YES: np.ones(len(table), bool),
        problem.RULE_NAME: table[problem.RULE].to_numpy(bool),
    }
    return Judged(data.y[rows], data.days(rows), probabilities, answers, table)


def slices(test: Judged, best: str) -> list[dict[str, Any]]:
    """Return, for each value of each slice column, what the champion costs there and how much the baseline more."""
    found = []
    for column in problem.SLICES:
        values = test.table[column].to_numpy()
        for value in sorted(set(values)):
            here = values == value
            y, days = test.y[here], test.days[here] - test.days[here].min()
            own = metrics.cost_of(y, test.answers[best][here])
            saved = metrics.mean_interval(metrics.cost_of(y, test.answers[BASELINE][here]) - own, days)
            found.append(
                {
                    "slice": column,
                    "value": value if isinstance(value, str) else int(value),
                    "rows": len(y),
                    "positive_rate": float(y.mean()),
                    "cost": metrics.mean_interval(own, days)._asdict(),
                    "saved": saved._asdict(),
                    "judged": len(y) >= SLICE_ROWS,
                }
            )
    return found


def headline(result: dict[str, Any]) -> list[dict[str, str]]:
    """Return the few figures that a reader wants first, as text."""
    models, best = result["models"], result["champion"]

    def cost(name: str) -> str:
        found = models[name]["cost"]
        return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"

    return [
        {"name": f"Champion ({best}), {UNIT}", "value": cost(best)},
        {"name": f"Baseline ({problem.BASELINE_NAME})", "value": cost(BASELINE)},
        {"name": "Logistic regression, all fields", "value": cost("logistic regression")},
        {"name": problem.RULE_NAME[0].upper() + problem.RULE_NAME[1:], "value": cost(problem.RULE_NAME)},
        {"name": f"Test {problem.SUBJECTS}", "value": f"{result['test']['rows']:,}"},
        {"name": "ROC AUC / average precision", "value": f"{models[best]['roc_auc']:.3f} / "
         f"{models[best]['average_precision']:.3f}"},
    ]  # fmt: skip


def record_runs(paths: Paths, trained: dict[str, Any], result: dict[str, Any]) -> None:
    """Track one run a model, and one an experiment."""
    tags = {"data": export.read_manifest(paths.candidate)["data"]["features"], "version": result["version"]}
    for name in MODELS:
        scores = {f"validation_{key}": value for key, value in trained["validation"][name].items()}
        scores |= {f"test_{key}": result["models"][name][key] for key in metrics.METRICS}
        params = tuning.read_params(paths) if name == BOOSTING else {}
        files = (paths.metrics, paths.reports / "evaluation.html") if name == result["champion"] else ()
        tracking.record(paths, name, params, scores, tags, files)
    for finding in result["experiments"]:
        scores = {"test_expected_cost": finding["cost"], "difference": finding["difference"]["value"]}
        tracking.record(paths, finding["name"], {}, scores, tags)


def rounded(value: Any) -> Any:
    """Round every figure to six decimals, so that the committed file changes only when a result does."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return round(value, 6) if isinstance(value, float) else value


def write_report(
    paths: Paths,
    test: Judged,
    judged: pd.DataFrame,
    result: dict[str, Any],
    ablation: list[Finding],
    experiments: list[Finding],
) -> None:
    """Write reports/evaluation.html and its pictures."""
    best = result["champion"]
    cost = result["models"][best]["cost"]
    report = Report(
        "Evaluation",
        f"What the champion ({best}) is worth on {len(test.y):,} {problem.SUBJECTS} from "
        f"{date.fromisoformat(result['test']['from']):%d %B %Y} on, which none of the models has learned from. "
        f"A miss costs {problem.FALSE_NEGATIVE_COST:g}, a false alarm {problem.FALSE_POSITIVE_COST:g} "
        f"({problem.COST_UNIT}). Intervals are 95 % and come from drawing blocks of {problem.BLOCK_DAYS} days.",
        paths.figures,
    )
    show_costs(report, test, result)
    show_curves(report, test, judged, result)
    show_slices(report, result)
    show_studies(report, result, ablation)
    report.section(
        "What was tried besides",
        "Each row is compared with the champion, or with a quick fit of its kind, on the same test days. A negative "
        "difference is a saving; only one whose whole interval is below 0 counts.",
    )
    report.table(
        ["Tried", "What", "Cost", "Difference", "95 % interval", "Verdict"],
        [[f.name, f.tried, f.cost, signed(f.difference.value), spread(f.difference), f.verdict] for f in experiments],
    )
    report.write(paths.reports / "evaluation.html")
    log.info("champion %s: %.4f (%.4f to %.4f) %s", best, cost["value"], cost["low"], cost["high"], UNIT)


def show_costs(report: Report, test: Judged, result: dict[str, Any]) -> None:
    """Show what each model costs, and how sure the differences are."""
    best = result["champion"]
    baseline = result["dearer_than_champion"][BASELINE]
    report.section("The result", f"Cost in {UNIT}; less is better.")
    report.alert(
        f"The baseline ({problem.BASELINE_NAME}) costs {baseline['value']:.3f} more than the champion "
        f"({baseline['low']:.3f} to {baseline['high']:.3f}).",
        level="good" if baseline["low"] > 0 else "note",
    )
    order = sorted(result["models"], key=lambda name: -result["models"][name]["cost"]["value"])
    figure, ax = new_figure(7, 3.4)
    for place, name in enumerate(order):
        found = result["models"][name]["cost"]
        colour = GREEN if name == best else BLUE if name in test.probabilities else GREY
        ax.barh(place, found["value"], color=colour, height=0.65)
        ax.plot([found["low"], found["high"]], [place, place], color="black", linewidth=1.2)
        ax.text(found["high"] + 0.01, place, f"{found['value']:.3f}", va="center", fontsize=9)
    ax.set_yticks(range(len(order)), order)
    ax.set_xlabel(f"{UNIT}, with 95 % interval")
    ax.grid(visible=False)
    report.figure(figure, "costs", f"What a decision costs with each model, in {UNIT}: green is the champion.")
    report.table(
        ["Model", "Cost", "95 % interval", "More than the champion", "95 % interval", "AP", "AUC", "Brier"],
        [cost_row(name, result) for name in reversed(order)],
        "AP, AUC and Brier need a probability, which a rule does not give.",
    )


def cost_row(name: str, result: dict[str, Any]) -> list[object]:
    """Return one line of the table of results."""
    found = result["models"][name]
    more = result["dearer_than_champion"].get(name)
    return [
        name,
        found["cost"]["value"],
        spread(found["cost"]),
        None if more is None else signed(more["value"]),
        None if more is None else spread(more),
        *(found.get(metric) for metric in ("average_precision", "roc_auc", "brier")),
    ]


def show_curves(report: Report, test: Judged, judged: pd.DataFrame, result: dict[str, Any]) -> None:
    """Show calibration, the cost of every threshold, and precision against recall."""
    best, error = result["champion"], result["calibration"]
    y, probability = test.y, test.probabilities[best]
    report.section(
        "Probabilities and threshold",
        f"Calibrated on the validation period. In the test, probability and observed share differ by "
        f"{error['expected_error']:.3f} on average ({error['uncalibrated_error']:.3f} before calibration). The "
        f"threshold {cost_threshold():.2f} follows from the costs; the least cost that any threshold could have had "
        "is known only afterwards, and shown to see what choosing costs.",
    )
    figure, (left, middle, right) = new_figure(11, 3.6, columns=3)
    raw = judged.loc[judged["split"] == "test", f"{best} (uncalibrated)"].to_numpy()
    for values, colour, label in ((raw, GREY, "before"), (probability, BLUE, "calibrated")):
        parts = np.array_split(np.argsort(values, kind="stable"), 15)
        left.plot(
            [values[p].mean() for p in parts], [y[p].mean() for p in parts], "o-", ms=3, color=colour, label=label
        )
    left.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
    left.set(xlabel="probability", ylabel="observed share", title="Calibration")
    left.legend(frameon=False)
    thresholds = np.linspace(0.01, 0.7, 70)
    for name, colour in ((BASELINE, ORANGE), (best, BLUE)):
        curve = [metrics.cost_of(y, test.probabilities[name] >= t).mean() for t in thresholds]
        middle.plot(thresholds, curve, color=colour, label=name)
    middle.axvline(cost_threshold(), color=RED, linewidth=1, linestyle="--", label="threshold")
    middle.set(xlabel="threshold", ylabel=UNIT, title="Cost by threshold")
    middle.legend(frameon=False)
    for name, colour in ((BASELINE, ORANGE), (best, BLUE)):
        precision, recall, _ = sklearn_metrics.precision_recall_curve(y, test.probabilities[name])
        right.plot(recall[::50], precision[::50], color=colour, label=name)
    answers = test.answers[best]
    right.plot((answers & (y == 1)).sum() / y.sum(), y[answers].mean(), "o", color=RED, label="at the threshold")
    right.axhline(y.mean(), color=GREY, linewidth=0.8, linestyle=":")
    right.set(xlabel="recall", ylabel="precision", title="Precision and recall", ylim=(0, 1))
    right.legend(frameon=False)
    report.figure(
        figure,
        "curves",
        f"Left: of {problem.SUBJECTS} given a probability, how many were {problem.POSITIVE}. Middle: the cost of every "
        f"threshold. Right: precision against recall; the dotted line is chance.",
    )


def show_slices(report: Report, result: dict[str, Any]) -> None:
    """Show where the champion is dear, and whether it saves anything there."""
    report.section(
        "Slices",
        "A mean can hide a group that pays for the others. What the champion saves against the baseline, in each "
        f"slice; one with fewer than {SLICE_ROWS} rows is not judged.",
    )
    judged = [found for found in result["slices"] if found["judged"]]
    figure, axes = new_figure(11, 4.4, columns=len(problem.SLICES))
    for ax, column in zip(np.atleast_1d(axes), problem.SLICES, strict=True):
        here = [found for found in judged if found["slice"] == column]
        for place, found in enumerate(here):
            saved = found["saved"]
            ax.plot([saved["low"], saved["high"]], [place, place], color=BLUE, linewidth=1.5)
            ax.plot(saved["value"], place, "o", color=RED if saved["high"] < 0 else BLUE, markersize=4)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set_yticks(range(len(here)), [str(found["value"]) for found in here])
        ax.set(title=column.replace("_", " "), xlabel="saved")
    report.figure(
        figure, "slices", f"Saved against the baseline, in {UNIT}, with 95 % intervals: right of the line is better."
    )
    report.table(
        ["Slice", "Value", "Rows", f"Share {problem.POSITIVE}", "Cost", "95 % interval", "Saved", "95 % interval"],
        [
            [
                found["slice"], str(found["value"]), found["rows"], found["positive_rate"], found["cost"]["value"],
                spread(found["cost"]), signed(found["saved"]["value"]), spread(found["saved"]),
            ]
            for found in judged
        ],
    )  # fmt: skip


def show_studies(report: Report, result: dict[str, Any], ablation: list[Finding]) -> None:
    """Show what the model lives on, how it ages, and what a random split would have claimed."""
    report.section(
        "What each group of fields is worth",
        "The same quick fit without one group of fields at a time. A group whose interval reaches 0 may not be worth "
        "its upkeep.",
    )
    figure, ax = new_figure(7, 0.6 + 0.45 * len(ablation))
    ordered = sorted(ablation, key=lambda finding: finding.difference.value)
    for place, finding in enumerate(ordered):
        value, low, high = finding.difference
        ax.barh(place, value, color=BLUE, height=0.6)
        ax.plot([low, high], [place, place], color="black", linewidth=1.2)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(range(len(ordered)), [f"without {finding.name}" for finding in ordered])
    ax.set_xlabel(f"dearer by, in {UNIT}")
    ax.grid(visible=False)
    report.figure(figure, "ablation", "How much dearer decisions become without a group of fields.")
    period = problem.PERIOD.capitalize()
    report.section(
        "How the model ages",
        f"A quick fit as it was, and one trained anew on all that came before, from the second {problem.PERIOD} on. "
        "What the fresh one saves is what a retraining would have been worth.",
    )
    report.table(
        [f"{period} after", period, "As it was", "Trained anew", "Saved", "95 % interval"],
        [
            [row["age"], row["period"], row["stale"], row["fresh"], signed(row["saved"]["value"]), spread(row["saved"])]
            for row in result["staleness"]
        ],
    )
    split = result["random_split"]
    report.section(
        "Why the split is by time",
        "Split at random, rows of one day fall on both sides: the model is asked about days it has seen. "
        "Both fits are judged on the same rows of the test.",
    )
    report.table(
        ["Split", "Cost", "AUC"],
        [
            ["by time (this report)", split["time_split_cost"], split["time_split_roc_auc"]],
            ["at random (too good to be true)", split["cost"], split["roc_auc"]],
        ],
        "The same quick fit, judged both ways.",
    )


def spread(interval: Interval | dict[str, float]) -> str:
    """Write an interval."""
    found = interval if isinstance(interval, dict) else interval._asdict()
    return f"{found['low']:.3f} to {found['high']:.3f}"


def signed(value: float) -> str:
    """Write a difference, with its sign."""
    return f"{value:+.3f}"
