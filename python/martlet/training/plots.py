"""Figures of a comparison: reliability, confusion, F1 with intervals. Each writes one file, PNG or SVG by its name."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np

from .bootstrap import Interval
from .data import DataError
from .metrics import reliability

NAMES = ("down", "flat", "up")
COLOURS = ("tab:red", "tab:grey", "tab:green")


def figure(columns: int = 1, width: float = 5.0, height: float = 4.0):
    """A figure with its axes; no window system is asked for."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DataError("figures need Matplotlib: pip install 'martlet[plots]'") from error
    result = Figure(figsize=(width * columns, height), layout="constrained")
    return result, result.subplots(1, columns, squeeze=False)[0]


def save(drawing, path: pathlib.Path) -> None:
    """Without date and version, so that the same figures give the same bytes."""
    import matplotlib

    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "martlet"}):
        drawing.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})


def reliability_plot(
    path: pathlib.Path, expected: np.ndarray, probabilities: np.ndarray, title: str, bins: int = 10,
) -> None:
    """How often each class came, by the probability stated for it; below, how often that was stated."""
    drawing, (axes, counts) = figure(columns=2)
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle="--", label="calibrated")
    for label, (name, colour) in enumerate(zip(NAMES, COLOURS)):
        found = reliability(expected, probabilities, bins, label)
        axes.plot(found.confidence, found.frequency, marker="o", markersize=4, color=colour, label=name)
        counts.stairs(found.count, np.linspace(0, 1, bins + 1), color=colour, label=name)
    error = reliability(expected, probabilities, bins).calibration_error
    axes.set(title=f"{title}: calibration error {error:.3f}", xlabel="stated probability", ylabel="frequency",
             xlim=(0, 1), ylim=(0, 1))
    counts.set(title="predictions", xlabel="stated probability", ylabel="ticks", xlim=(0, 1))
    axes.legend()
    save(drawing, path)


def confusion_plot(path: pathlib.Path, matrix: np.ndarray, title: str) -> None:
    """Shares of each true class (row), with counts."""
    drawing, (axes,) = figure()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(NAMES)):
        for column in range(len(NAMES)):
            axes.text(column, row, f"{shares[row, column]:.2f}\n{int(matrix[row, column]):,}", ha="center", va="center",
                      color="white" if shares[row, column] > 0.5 else "black")
    axes.set(title=title, xlabel="predicted", ylabel="true", xticks=range(3), yticks=range(3))
    axes.set_xticklabels(NAMES)
    axes.set_yticklabels(NAMES)
    save(drawing, path)


def f1_bars(path: pathlib.Path, groups: Sequence[str], scores: dict[str, Sequence[Interval]], title: str) -> None:
    """Bars with intervals: a group for each of `groups` (horizons), in it one bar for each predictor of `scores`."""
    drawing, (axes,) = figure(width=max(5.0, 1.0 + 0.35 * len(groups) * len(scores)))
    width = 0.8 / len(scores)
    for number, (name, intervals) in enumerate(scores.items()):
        values = np.array([[one.value, one.low, one.high] for one in intervals])
        place = np.arange(len(groups)) + (number - (len(scores) - 1) / 2) * width
        # A percentile interval need not hold the value itself.
        reach = np.maximum([values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]], 0)
        axes.bar(place, values[:, 0], width, yerr=reach, capsize=2, error_kw={"linewidth": 0.8}, label=name)
    axes.set(title=title, ylabel="macro F1", xticks=range(len(groups)))
    axes.set_xticklabels(groups)
    axes.axhline(1 / 3, color="black", linewidth=0.5, linestyle=":")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    save(drawing, path)


def loss_plot(path: pathlib.Path, history: Sequence[dict]) -> None:
    """Training and validation loss of each epoch."""
    drawing, (axes,) = figure()
    epochs = np.arange(1, len(history) + 1)
    for key, name in (("training_loss", "training"), ("validation_loss", "validation")):
        losses = [np.nan if line[key] is None else line[key] for line in history]
        axes.plot(epochs, losses, marker="o", markersize=3, label=name)
    axes.set(xlabel="epoch", ylabel="loss")
    axes.legend()
    save(drawing, path)


def folds_plot(path: pathlib.Path, horizons: Sequence[str], names: Sequence[str],
               folds: Sequence[dict[tuple[str, str], Interval]]) -> None:
    """Macro F1 with its interval by fold, a panel for each horizon; `folds` are by predictor and horizon."""
    drawing, panels = figure(columns=len(horizons), width=4.5)
    numbers = np.arange(1, len(folds) + 1)
    for axes, horizon in zip(panels, horizons):
        for place, name in enumerate(names):
            scores = [fold[name, horizon] for fold in folds]
            values = np.array([[one.value, one.low, one.high] for one in scores])
            reach = np.maximum([values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]], 0)
            axes.errorbar(numbers + (place - (len(names) - 1) / 2) * 0.6 / len(names), values[:, 0], yerr=reach,
                          marker="o", markersize=4, capsize=2, elinewidth=0.8, label=name,
                          linewidth=1.8 if name == "student" else 0.8)
        axes.set(title=horizon, xlabel="fold", ylabel="macro F1", xticks=numbers)
        axes.axhline(1 / 3, color="black", linewidth=0.5, linestyle=":")
    panels[-1].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    save(drawing, path)


def frontier_plot(path: pathlib.Path, points: dict[str, Sequence[tuple[str, float, Interval]]], title: str) -> None:
    """Macro F1 with its interval against the time of a tick: by kind, which has a colour, names, ns and scores."""
    drawing, (axes,) = figure(width=9, height=6)
    for (kind, rows), marker in zip(points.items(), "osD^"):
        if not rows:
            continue
        names, times, scores = zip(*rows)
        values = np.array([[one.value, one.low, one.high] for one in scores])
        reach = np.maximum([values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]], 0)
        drawn = axes.errorbar(times, values[:, 0], yerr=reach, marker=marker, capsize=2, elinewidth=0.6,
                              linestyle="none", label=kind)
        for name, time, value in zip(names, times, values[:, 0]):
            axes.annotate(name, (time, value), textcoords="offset points", xytext=(5, 4), fontsize="small",
                          color=drawn.lines[0].get_color())
    axes.set(title=title, xlabel="ns for a tick, p50 in the engine", ylabel="macro F1", xscale="log")
    # Names stand to the right of their points.
    axes.margins(x=0.12)
    axes.legend(fontsize="small")
    save(drawing, path)


def equity_plot(path: pathlib.Path, curves: dict[str, np.ndarray], title: str) -> None:
    """What each set of positions had earned by each tick, after costs, in basis points of a whole position."""
    drawing, (axes,) = figure(width=8.0)
    for name, equity in curves.items():
        axes.plot(1e4 * np.concatenate([[0.0], equity]), linewidth=1.0, label=f"{name}: {1e4 * equity[-1]:.1f}")
    axes.set(title=title, xlabel="ticks of the part", ylabel="equity after costs, bps")
    axes.locator_params(axis="x", nbins=6)
    axes.axhline(0, color="black", linewidth=0.5, linestyle=":")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    save(drawing, path)


def value_at_risk_plot(
    path: pathlib.Path, returns: np.ndarray, risks: dict[str, np.ndarray], violated: np.ndarray, title: str,
) -> None:
    """Returns of horizons that do not overlap, the loss at risk stated for each, and where `violated`, in basis points.
    """
    drawing, (axes,) = figure(width=8.0)
    index = np.arange(len(returns))
    axes.vlines(index, 0, 1e4 * returns, color="tab:grey", linewidth=0.6, label="return")
    for (name, risk), colour in zip(risks.items(), ("tab:blue", "tab:orange", "tab:green", "tab:purple")):
        axes.plot(index, -1e4 * risk, linewidth=1.0, color=colour, label=name)
    axes.plot(index[violated], 1e4 * returns[violated], "x", color="tab:red", markersize=4,
              label=f"beyond: {int(violated.sum())} of {len(returns)}")
    axes.set(title=title, xlabel="horizons that do not overlap", ylabel="return, bps")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    save(drawing, path)
