"""A look at the feature table before anything is modelled.

Whatever may guide a choice of model or field comes from the training period alone: who looks at the test
first and decides afterwards has no test left. Other periods appear only where the page compares periods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from .. import problem
from ..reporting import BLUE, GREY, ORANGE, Report, new_figure
from .pipeline import SPLITS, load

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ..paths import Paths
    from ..problem import Field

# Levels of a category that are drawn; the others are too rare to read.
DRAWN_LEVELS = 10
# From here on, findings are worth a sentence.
MUCH_MISSING = 0.05
REDUNDANT = 0.9
WEAK_GAIN = 0.01
# So many rows rank the fields, and correlate them to two digits.
ENOUGH_ROWS = 50_000


@dataclass(frozen=True)
class Bins:
    """The share of positives in each bin of a field, and half its 95 % interval; `at` is place or level."""

    at: list[Any]
    rate: NDArray[np.float64]
    spread: NDArray[np.float64]


def explore(paths: Paths) -> Path:
    """Write `reports/exploration.html` and return its path. Raises ProjectError without a feature table."""
    table = load(paths)
    training = table[table["split"] == "train"]
    sample = training.iloc[np.linspace(0, len(training) - 1, min(ENOUGH_ROWS, len(training))).astype(int)]
    gain = importance(sample)
    correlation = correlations(sample)

    first, last = table[problem.TIME].min(), table[problem.TIME].max()
    report = Report(
        "Exploration",
        f"{len(table):,} {problem.SUBJECTS} from {first:%Y-%m-%d} to {last:%Y-%m-%d}, "
        f"{len(problem.FIELDS)} fields that are known when the decision is taken. "
        "What may guide the modelling is measured on the training period alone.",
        paths.figures,
    )
    report.section("What it suggests")
    report.points(
        [
            about_periods(table),
            *about_fields(gain),
            about_gaps(training),
            about_redundancy(correlation),
            about_slices(training),
        ]
    )
    show_time(report, table)
    show_importance(report, gain)
    show_fields(report, training)
    show_correlations(report, correlation)
    show_ranges(report, table)
    path = paths.reports / "exploration.html"
    report.write(path)
    return path


def importance(sample: pd.DataFrame) -> pd.Series[float]:
    """Return each field's share of the gain in a small boosted model, the highest first."""
    inputs = sample[list(problem.NAMES)].copy()
    for field in problem.FIELDS:
        inputs[field.name] = inputs[field.name].astype("category" if field.is_category else float)
    model = lgb.LGBMClassifier(
        n_estimators=60, min_child_samples=50, importance_type="gain",
        random_state=0, deterministic=True, n_jobs=1, verbosity=-1,
    )  # fmt: skip
    model.fit(inputs, sample[problem.TARGET])
    gain = pd.Series(model.feature_importances_, index=list(problem.NAMES), dtype=float)
    return (gain / gain.sum()).sort_values(ascending=False, kind="stable")


def correlations(sample: pd.DataFrame) -> pd.DataFrame:
    """Return the rank correlation of every two numbers."""
    numbers = [field.name for field in problem.FIELDS if not field.is_category]
    # The correlation of ranks, over the rows that have both.
    return sample[numbers].rank().corr()


def about_periods(table: pd.DataFrame) -> str:
    """Compare the parts of the split."""
    rates = table.groupby("split")[problem.TARGET].mean()
    weekly = by_week(table)["mean"]
    by_part = in_words(f"{rates[part]:.1%} in {part}" for part in SPLITS)
    return (
        f"The share that is {problem.POSITIVE} is {by_part}; single weeks reach from "
        f"{weekly.min():.0%} to {weekly.max():.0%}. Times differ, so the split is by time, and "
        "probabilities have to be checked on a time that the model has not seen."
    )


def about_fields(gain: pd.Series[float]) -> list[str]:
    """Say which fields carry the most, and which next to nothing."""
    groups = gain.groupby({field.name: field.group for field in problem.FIELDS}).sum()
    shares = (f"{name} {share:.0%}" for name, share in groups.sort_values(ascending=False).items())
    top = gain.head(3)
    found = [f"{in_words(top.index)} carry {top.sum():.0%} of a quick model's gain; by group, {in_words(shares)}."]
    weak = gain.index[gain < WEAK_GAIN]
    if len(weak):
        found.append(
            f"Less than {WEAK_GAIN:.0%} of the gain each: {in_words(weak)}. They may go, if the ablation agrees."
        )
    return found


def about_gaps(training: pd.DataFrame) -> str:
    """Say where values are missing, and whether that in itself says something about the target."""
    target = training[problem.TARGET]
    gaps = {}
    for name in problem.NAMES:
        missing = training[name].isna()
        if missing.mean() > MUCH_MISSING:
            gaps[name] = (missing.mean(), target[missing].mean() - target[~missing].mean())
    if not gaps:
        return f"No field is missing in more than {MUCH_MISSING:.0%} of rows."
    shares = (f"{name} ({share:.0%})" for name, (share, _) in gaps.items())
    most, (_, difference) = max(gaps.items(), key=lambda gap: abs(gap[1][1]))
    return (
        f"Missing in more than {MUCH_MISSING:.0%} of rows: {in_words(shares)}. Gaps carry information: "
        f"where {most} is missing, the share that is {problem.POSITIVE} is "
        f"{abs(difference) * 100:.0f} points {'higher' if difference > 0 else 'lower'}. "
        "The model should see the gap, not a mean in its place."
    )


def about_redundancy(correlation: pd.DataFrame) -> str:
    """Name the pairs of numbers that say nearly the same."""
    values = np.tril(correlation.to_numpy(), -1)
    names = correlation.columns
    redundant = np.argwhere(abs(values) > REDUNDANT)
    pairs = [f"{names[b]} and {names[a]} ({values[a, b]:+.2f})" for a, b in redundant]
    if not pairs:
        return f"No two numbers have a rank correlation above {REDUNDANT}."
    return (
        f"Nearly the same: {in_words(pairs)}. Trees do not mind; a linear model's coefficients of such a "
        "pair mean nothing one by one."
    )


def about_slices(training: pd.DataFrame) -> str:
    """Say how far the target differs across slices."""
    found = []
    for name in problem.SLICES:
        groups = training.groupby(name)[problem.TARGET].agg(["mean", "size"])
        rates = groups.loc[groups["size"] >= len(training) / 1000, "mean"]
        lowest, highest = f"{rates.min():.0%} ({rates.idxmin()})", f"{rates.max():.0%} ({rates.idxmax()})"
        found.append(f"by {name} from {lowest} to {highest}")
    return (
        f"The share that is {problem.POSITIVE} differs: {in_words(found)}. One figure for all would hide it, "
        "so the evaluation is also by slice."
    )


def by_week(table: pd.DataFrame) -> pd.DataFrame:
    """Return the share of positives and the number of rows of each calendar week."""
    week = table[problem.TIME].dt.to_period("W").dt.start_time
    rates = table.groupby(week)[problem.TARGET].agg(["mean", "size"])
    # A week cut off by the end of the record would look like a change.
    return rates[rates["size"] > rates["size"].median() / 2]


def show_time(report: Report, table: pd.DataFrame) -> None:
    """Show the parts of the split, and the target over time."""
    report.section("The table, and the target over time")
    rows = []
    for part in SPLITS:
        within = table[table["split"] == part]
        first, last = within[problem.TIME].min(), within[problem.TIME].max()
        share = within[problem.TARGET].mean()
        rows.append((part, f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}", len(within), f"{share:.1%}"))
    report.table(
        ("Part", "From", "To", problem.SUBJECTS.capitalize(), f"Share {problem.POSITIVE}"),
        rows,
    )
    weekly = by_week(table)
    figure, ax = new_figure(height=3.0)
    ax.plot(weekly.index, weekly["mean"] * 100, color=BLUE)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(f"% {problem.POSITIVE}")
    for day, name in ((problem.VALIDATION_FROM, "validation"), (problem.TEST_FROM, "test")):
        ax.axvline(day, color=GREY, linewidth=1, linestyle="--")
        ax.annotate(f" {name}", (day, 1), xycoords=("data", "axes fraction"), va="top", color=GREY)
    caption = f"Share of {problem.SUBJECTS} that were {problem.POSITIVE}, by week."
    report.figure(figure, "explore_time", caption)


def show_importance(report: Report, gain: pd.Series[float]) -> None:
    """Show which fields a quick model uses."""
    report.section(
        "Which fields matter",
        "Share of the gain in a small boosted model in the training period: a first look, no final word. "
        "Fields that say the same share it between them.",
    )
    figure, ax = new_figure(height=0.21 * len(gain) + 0.4)
    ax.barh(gain.index[::-1], gain[::-1] * 100, color=BLUE)
    for place, share in enumerate(gain[::-1]):
        ax.text(share * 100, place, f" {share:.1%}", va="center", fontsize=8)
    ax.grid(visible=False)
    ax.margins(y=0.01)
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(axis="y", labelsize=9, length=0)
    ax.set_xticks([])
    report.figure(figure, "explore_importance", "Share of the gain by field.")


def show_fields(report: Report, training: pd.DataFrame) -> None:
    """Show, for every field, how its values are spread and how the target follows them."""
    report.section(
        "The target by field",
        f"Dots: % {problem.POSITIVE} among the {problem.SUBJECTS} of the training period, in tenths "
        "of a number's values or at a name's most frequent levels, with 95 % intervals. "
        "Grey: how the values are spread.",
    )
    target = training[problem.TARGET]
    overall = target.mean() * 100
    bins = {
        field.name: (level_bins if field.is_category else number_bins)(training[field.name], target)
        for field in problem.FIELDS
    }
    # One scale for all fields, so that strong ones look strong.
    top = max(float((one.rate + one.spread).max()) for one in bins.values()) * 105
    for group, about in problem.GROUPS.items():
        fields = [field for field in problem.FIELDS if field.group == group]
        rows = -(-len(fields) // 3)
        figure, axes = new_figure(8.4, 2.1 * rows, rows=rows, columns=3)
        for ax, field in zip(axes.flat, fields, strict=False):
            draw_field(ax, field, training[field.name], bins[field.name])
            ax.set_ylim(0, top)
            ax.axhline(overall, color=ORANGE, linewidth=1)
        for ax in axes.flat[len(fields) :]:
            ax.remove()
        report.figure(
            figure,
            f"explore_{group}",
            f"{about}: % {problem.POSITIVE} by field. The line is the mean of all, {overall:.1f} %.",
        )


def draw_field(ax: Axes, field: Field, values: pd.Series[Any], bins: Bins) -> None:
    """Draw the target by one field, over the spread of its values."""
    places = np.arange(len(bins.at)) if field.is_category else np.array(bins.at)
    rate, spread = bins.rate * 100, bins.spread * 100
    ax.errorbar(places, rate, yerr=spread, fmt="o", markersize=3, color=BLUE, linewidth=1)
    ax.set_title(f"{field.name} ({field.unit})" if field.unit else field.name, fontsize=9, loc="left")
    ax.tick_params(labelsize=8)
    ax.locator_params(axis="y", nbins=4)
    # The spread has its own height, up to a quarter of the picture; its scale does not matter.
    if field.is_category:
        ax.set_xticks(places, bins.at, fontsize=7, rotation=90 if len(bins.at) >= DRAWN_LEVELS else 0)
        counts = values.value_counts().reindex(bins.at).to_numpy(dtype=float)
        edges = np.arange(len(counts) + 1) - 0.5
    else:
        known = values.dropna().to_numpy(dtype=float)
        # A few far values would squeeze all others into a corner.
        counts, edges = np.histogram(known, bins=30, range=tuple(np.quantile(known, [0.005, 0.995])))
        ax.locator_params(axis="x", nbins=5)
    heights = counts / counts.max() / 4
    ax.stairs(heights, edges, transform=ax.get_xaxis_transform(), fill=True, color=GREY, alpha=0.35)


def number_bins(values: pd.Series[Any], target: pd.Series[int]) -> Bins:
    """Cut a number into tenths of its known values; each lies where its mean is."""
    known = values.notna()
    numbers = values[known].to_numpy(dtype=float)
    edges = np.unique(np.quantile(numbers, np.linspace(0.1, 0.9, 9)))
    parts = pd.DataFrame(
        {"bin": np.searchsorted(edges, numbers), "at": numbers, "target": target[known].to_numpy()}
    ).groupby("bin")
    rates = parts["target"].agg(["mean", "size"])
    return Bins(parts["at"].mean().to_list(), *with_spread(rates))


def level_bins(values: pd.Series[Any], target: pd.Series[int]) -> Bins:
    """Take the most frequent levels of a name, the rarest positives first."""
    rates = target.groupby(values).agg(["mean", "size"]).nlargest(DRAWN_LEVELS, "size").sort_values("mean")
    return Bins(rates.index.to_list(), *with_spread(rates))


def with_spread(rates: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the shares and half their 95 % intervals (normal approximation)."""
    rate, rows = rates["mean"].to_numpy(dtype=float), rates["size"].to_numpy(dtype=float)
    return rate, 1.96 * np.sqrt(rate * (1 - rate) / rows)


def show_correlations(report: Report, correlation: pd.DataFrame) -> None:
    """Show which numbers move together."""
    report.section("Which numbers say the same", "Rank correlation (Spearman) of every two, training period.")
    names = list(correlation.columns)
    figure, ax = new_figure(8.4, 7.4)
    below = np.tril(np.ones_like(correlation, dtype=bool), -1)
    image = ax.imshow(np.where(below, correlation, np.nan), cmap="RdBu", vmin=-1, vmax=1)
    for row, column in zip(*np.nonzero(below & (correlation.abs() >= 0.5).to_numpy()), strict=True):
        ax.text(
            column, row, f"{correlation.iloc[row, column]:.1f}",
            ha="center", va="center", fontsize=6, color="white",
        )  # fmt: skip
    ax.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.grid(visible=False)
    figure.colorbar(image, ax=ax, shrink=0.5)
    report.figure(figure, "explore_correlations", "Rank correlations; those of .5 and more are written out.")


def show_ranges(report: Report, table: pd.DataFrame) -> None:
    """Show every field's range in the training period, and its gaps in each part of the split."""
    report.section("Ranges and missing values")
    missing = table[list(problem.NAMES)].isna().groupby(table["split"]).mean()
    training = table[table["split"] == "train"]
    report.table(
        ("Field", "Unit", "Lowest", "Median", "Highest", *(f"Missing, {part}" for part in SPLITS)),
        [
            (
                field.name,
                field.unit,
                *values_of(field, training[field.name]),
                *(f"{share:.1%}" for share in missing.loc[list(SPLITS), field.name]),
            )
            for field in problem.FIELDS
        ],
        "Training period; of a name, the number of its levels and the most frequent one.",
    )


def values_of(field: Field, values: pd.Series[Any]) -> tuple[object, object, object]:
    """Return the lowest, the median and the highest number, or how many levels and which is most frequent."""
    if field.is_category:
        return f"{values.nunique()} levels", str(values.mode().iloc[0]), ""
    if field.integer:
        return int(values.min()), int(values.median()), int(values.max())
    return float(values.min()), float(values.median()), float(values.max())


def in_words(names: Iterable[str]) -> str:
    """Join names as a sentence does."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
