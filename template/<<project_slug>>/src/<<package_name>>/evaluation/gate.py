"""The gate: what a candidate must show before it may answer anyone."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import problem, rollout
from ..calibration import Platt, cost_threshold
from ..data.pipeline import read_table
from ..encoding import Encoding
from ..errors import ProjectError
from ..models import dataset, export
from ..serving import folders
from ..serving.predictor import Predictor
from . import metrics

if TYPE_CHECKING:
    from pathlib import Path

    from ..models.dataset import Dataset
    from ..paths import Paths

log = logging.getLogger(__name__)

# A graph may round differently; it may not decide differently.
MAX_PROBABILITY_GAP = 1e-4
MAX_GAP_SHARE = 1e-3
# A probability that is off by more than this on average is not one that costs can be weighed with.
MAX_CALIBRATION_ERROR = 0.05
# Milliseconds for one row, in 95 of 100 calls.
MAX_LATENCY_MS = 10.0
LATENCY_CALLS = 200


class Check(NamedTuple):
    """One requirement: whether it is met, and the figures that say so."""

    name: str
    passed: bool
    found: str


def promote(paths: Paths, *, canary: bool = False) -> None:
    """Hold the candidate to every requirement, and register it as champion if it meets them all.

    With `canary` it becomes the challenger of a champion, if there is one, and has yet to show its worth on real
    requests. A model that is in service is not registered again. Raises ProjectError with the reasons if a requirement
    is not met; nothing is registered then, and the champion stays.
    """
    if not (paths.candidate / "manifest.json").is_file():
        raise ProjectError(f"{paths.candidate} holds no candidate. Run `make train` and `make evaluate` first.")
    result = json.loads(paths.metrics.read_text(encoding="utf-8")) if paths.metrics.is_file() else {}
    manifest = export.read_manifest(paths.candidate)
    # Trained anew on the same data, a candidate has the version of the one before, but no metrics yet.
    if result.get("version") != manifest["version"] or "metrics" not in manifest:
        raise ProjectError("The candidate has not been evaluated. Run `make evaluate` first.")
    checks = examine(paths, result)
    for check in checks:
        log.info("%s %s: %s", "passed" if check.passed else "FAILED", check.name, check.found)
    if failed := [f"{check.name} ({check.found})" for check in checks if not check.passed]:
        raise ProjectError(
            f"The gate stays shut: {'; '.join(failed)}. Nothing was registered. reports/evaluation.html shows more."
        )
    place = paths.challenger if canary and paths.champion.is_dir() else paths.champion
    if manifest["version"] in {folders.version_of(paths.champion), folders.version_of(place)}:
        log.info("version %s is in service already; there is nothing to register", manifest["version"])
        return
    scores = {f"test_{key}": value for key, value in manifest["metrics"].items()}
    put = rollout.challenge if place == paths.challenger else rollout.release
    number = put(paths, scores, {"data": manifest["data"]["features"]})
    log.info("registered as version %s, in service as %s", number, place.relative_to(paths.root))


def examine(paths: Paths, result: dict[str, Any]) -> list[Check]:
    """Return every check of the candidate, against the metrics of its evaluation."""
    data = dataset.load(paths)
    judged = read_table(paths.probabilities)
    return [
        beats_baseline(result),
        beats_rule(result),
        holds_on_slices(result),
        is_calibrated(result),
        agrees_with_graph(paths, data, judged[judged["split"] == "test"], result["champion"]),
        answers_fast(paths.candidate),
        *no_worse_than_champion(paths, data),
    ]


def beats_baseline(result: dict[str, Any]) -> Check:
    """Check that the whole interval of the difference to the baseline is on the right side."""
    found = result["primary"]["loss_above_baseline"]
    return Check(
        "better than the baseline by more than noise",
        found["high"] < 0,
        f"{result['primary']['metric']} differs by {differs(found)}",
    )


def beats_rule(result: dict[str, Any]) -> Check:
    """Check that what is done today costs more, by more than noise."""
    found = result["dearer_than_champion"][problem.RULE_NAME]
    return Check(f"cheaper than {problem.RULE_NAME} by more than noise", found["low"] > 0, f"costs {differs(found)}")


def holds_on_slices(result: dict[str, Any]) -> Check:
    """Check that there is no slice with enough rows in which the baseline is surely the cheaper."""
    judged = [found for found in result["slices"] if found["judged"]]
    worse = [f"{found['slice']} {found['value']}" for found in judged if found["saved"]["high"] < 0]
    return Check("no dearer than the baseline on any slice", not worse, ", ".join(worse) or f"{len(judged)} slices")


def is_calibrated(result: dict[str, Any]) -> Check:
    """Check that probabilities mean what they say."""
    error = result["calibration"]["expected_error"]
    return Check("calibrated", error <= MAX_CALIBRATION_ERROR, f"mean gap {error:.4f}")


def agrees_with_graph(paths: Paths, data: Dataset, test: Any, name: str) -> Check:
    """Check what is exported against what was evaluated, row by row: the model's answers and its decisions.

    The exported side is all from the candidate's folder: encoding, graph, calibration and threshold.
    """
    manifest = export.read_manifest(paths.candidate)
    encoding = Encoding.from_json(manifest["encoding"])
    rows = data.table[data.rows("test")]
    x = encoding.encode({field: rows[field].to_numpy() for field in encoding.levels})
    raw = export.run_onnx(paths.candidate / "model.onnx", x)
    gaps = np.abs(raw - test[f"{name} (uncalibrated)"].to_numpy()) > MAX_PROBABILITY_GAP
    acts = Platt(**manifest["calibration"])(raw) >= manifest["threshold"]
    decisions = acts != (test[name].to_numpy() >= cost_threshold())
    return Check(
        "the graph answers as the model does",
        bool(gaps.mean() <= MAX_GAP_SHARE and decisions.mean() <= MAX_GAP_SHARE),
        f"{gaps.sum():,} of {len(gaps):,} rows differ, {decisions.sum():,} decisions",
    )


def answers_fast(candidate: Path) -> Check:
    """Check the time that one row takes, from named fields to a probability."""
    predictor = Predictor(candidate)
    example = json.loads((candidate / "examples.json").read_text(encoding="utf-8"))[0]["inputs"]
    spent = []
    for _ in range(LATENCY_CALLS):
        started = time.perf_counter()
        predictor.predict([example])
        spent.append(1000 * (time.perf_counter() - started))
    slow = float(np.percentile(spent, 95))
    return Check("fast enough", slow <= MAX_LATENCY_MS, f"{slow:.2f} ms for one row in 95 of 100 calls")


def no_worse_than_champion(paths: Paths, data: Dataset) -> list[Check]:
    """Check, where there is a champion with the same fields, that the candidate is not surely worse than it."""
    if not (paths.champion / "manifest.json").is_file():
        return []
    old, new = (answers(directory, data) for directory in (paths.champion, paths.candidate))
    if old is None or new is None:
        return []
    test = data.rows("test")
    found = metrics.loss_difference(data.y[test], data.days(test), new, old)
    return [
        Check(
            "no worse than the champion in service",
            found.low <= 0,
            f"{problem.PRIMARY_METRIC} differs by {differs(found._asdict())}",
        )
    ]


def answers(directory: Path, data: Dataset) -> tuple[Any, Any] | None:
    """Return what an exported model answers for the test rows, or None if it knows other fields."""
    manifest = export.read_manifest(directory)
    encoding = Encoding.from_json(manifest["encoding"])
    test = data.table[data.rows("test")]
    if not set(encoding.levels) <= set(test.columns):
        return None
    x = encoding.encode({name: test[name].to_numpy() for name in encoding.levels})
    probability = Platt(**manifest["calibration"])(export.run_onnx(directory / "model.onnx", x))
    return probability, probability >= manifest["threshold"]


def differs(found: dict[str, float]) -> str:
    """Write a difference with its interval."""
    return f"{found['value']:+.4f} ({found['low']:+.4f} to {found['high']:+.4f})"
