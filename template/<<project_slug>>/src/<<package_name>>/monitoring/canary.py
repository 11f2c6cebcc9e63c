"""Whether a challenger may take the champion's place: by what both answered since it came, and what came true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import problem
from ..errors import ProjectError
from ..evaluation import metrics
from ..serving.predictor import Predictor
from . import drift, performance, report, served
from .alerts import in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..evaluation.metrics import Interval
    from ..paths import Paths
    from .served import Log, Served

# Fewer truths, or days on which it answered, say more about chance than about the models.
MIN_TRUTHS = 500
MIN_DAYS = 7
# What is not settled by then is not worth waiting for.
MAX_DAYS = 28
# A challenger may cost so much more than the champion, if it does: months differ by as much, and the monitor puts up
# with it. To show that two models are exactly alike would take for ever.
TOLERANCE = performance.COST_TOLERANCE - 1


@dataclass(frozen=True)
class Verdict:
    """What the rule says of a challenger, and why, in a sentence."""

    decision: Literal["promote", "drop", "wait"]
    why: str


def judge(paths: Paths, log: Log | None = None) -> Verdict:
    """Hold the challenger against the champion, in `log`, or else in the one that has its answers.

    It is dropped when its answers are broken, when it surely costs more, or when nothing is settled after MAX_DAYS;
    promoted when it surely costs no more than the champion and TOLERANCE on top of it. Raises ProjectError if there is
    no challenger.
    """
    if not paths.challenger.is_dir():
        raise ProjectError("There is no challenger. `make retrain` makes one, if it passes the gate.")
    manifest = report.read_manifest(paths.challenger / "manifest.json")
    champion = report.read_manifest(paths.champion / "manifest.json")
    log = log or log_with(paths, manifest["version"])
    if not served.count(log, manifest["version"]):
        return Verdict("wait", "the challenger has answered nothing yet")
    ours = report.read(log, manifest)
    if broken := faults(ours, manifest, Predictor(paths.challenger)):
        return Verdict("drop", f"its answers look broken: {broken}")
    if not served.count(log, champion["version"]):
        return Verdict("wait", "the champion has answered nothing yet")
    theirs = report.read(log, champion)
    return by_cost(ours, theirs.part(np.flatnonzero(theirs.decided_at >= ours.decided_at[0])))


def log_with(paths: Paths, version: str) -> Log:
    """Return the endpoint's log, or the simulation's where that alone has answers of a version."""
    real, replayed = paths.prediction_log, paths.simulation_log
    return real if served.count(real, version) or not served.count(replayed, version) else replayed


def faults(window: Served, manifest: Mapping[str, Any], challenger: Predictor) -> str:
    """Return what is broken about answers as such, whatever came true, or nothing."""
    windows = served.windows(window, drift.MIN_ROWS)
    if not windows:
        return ""
    newest = report.judge(windows, manifest["reference"], challenger)[-1]
    found = [newest.checks[check] for check in ("answers", "skew") if check in newest.checks]
    if newest.drift[0].faults:
        found.append(in_words(newest.drift[0]))
    if newest.accuracy.is_turned:
        found.append("they point the wrong way")
    return "; ".join(found)


def by_cost(ours: Served, theirs: Served) -> Verdict:
    """Compare what the challenger's decisions cost with what the champion's did on the same days."""
    days = len(np.unique(ours.decided_at.astype("datetime64[D]")))
    ours, theirs = (part.part(np.flatnonzero(~np.isnan(part.truth))) for part in (ours, theirs))
    known = min(len(ours), len(theirs))
    if known < MIN_TRUTHS or days < MIN_DAYS:
        so_far = f"{known:,} truths of {MIN_TRUTHS}, {days} days of {MIN_DAYS}"
        return Verdict("wait" if days < MAX_DAYS else "drop", f"too little is known: {so_far}")
    found = cost_difference(ours, theirs)
    champion = float(costs(theirs).mean())
    figures = (
        f"{found.value:+.3f} {problem.COST_UNIT} a {problem.SUBJECT} ({found.low:+.3f} to {found.high:+.3f}) against "
        f"the champion's {champion:.3f}, {len(ours):,} and {len(theirs):,} truths, {days} days"
    )
    if found.low > 0:
        return Verdict("drop", f"it costs more, by more than noise: {figures}")
    if found.high <= TOLERANCE * champion:
        return Verdict("promote", f"it costs no more than {TOLERANCE:.0%} above the champion, surely: {figures}")
    return Verdict("wait" if days < MAX_DAYS else "drop", f"the difference is not settled: {figures}")


def cost_difference(ours: Served, theirs: Served) -> Interval:
    """Return the mean cost of our decisions less that of theirs."""
    times = np.concatenate([ours.decided_at, theirs.decided_at])
    _, days = np.unique(times.astype("datetime64[D]"), return_inverse=True)
    return metrics.difference_interval(costs(ours), days[: len(ours)], costs(theirs), days[len(ours) :])


def costs(part: Served) -> NDArray[np.float64]:
    """Return what each decision (n,) cost."""
    return metrics.cost_of(part.truth.astype(np.int8), part.positive)
