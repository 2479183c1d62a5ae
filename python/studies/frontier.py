"""The frontier: macro F1 on the test part against time in the engine."""

from __future__ import annotations

import pathlib

import numpy as np
from study import Study

from martlet.training import plots


def plot(study: Study, column: int, path: pathlib.Path, title: str) -> None:
    """A point with its interval for each predictor that the engine has run, numbered by time, and a line for each
    baseline; names stand beside the figure, because neighbours are too close for them."""
    # A line of the legend, which stands beside the axes, takes 0.19 inches.
    drawing, (axes,) = plots.figure(width=9.5, height=max(5.5, 0.19 * len(study.rows)))
    kinds = sorted({name.split()[0] for name, facts in study.rows.items() if "engine" in facts})
    names = sorted((name for name, facts in study.rows.items() if "engine" in facts and "member" not in name),
                   key=lambda name: study.rows[name]["engine"]["p50_ns"])
    before: list[tuple[float, float]] = []
    for number, name in enumerate(names, 1):
        score, engine = study.score(name, column), study.rows[name]["engine"]
        # A percentile interval need not hold the value itself.
        reach = np.maximum([[score.value - score.low], [score.high - score.value]], 0)
        place = engine["p50_ns"] / 1e3, score.value
        axes.errorbar(*place, reach, marker="s" if engine["precision"] == "int8" else "o", markersize=5, capsize=2,
                      linewidth=0.7, color=f"C{kinds.index(name.split()[0])}", label=f"{number}  {name}")
        # Away from a neighbour: to its right, above and below in turn.
        is_right = any(place[0] < 1.08 * time and abs(place[1] - value) < 0.006 for time, value in before)
        axes.annotate(str(number), place, xytext=(3 if is_right else -3, 3 if number % 2 else -3), fontsize=8,
                      textcoords="offset points", ha="left" if is_right else "right",
                      va="bottom" if number % 2 else "top")
        before.append(place)
    for number, name in enumerate(name for name, facts in study.rows.items() if "engine" not in facts):
        score = study.score(name, column).value
        if name != "majority":
            axes.axhline(score, color="grey", linewidth=0.8, linestyle=(0, (1 + 2 * number, 2)), label=name, zorder=0)
    axes.axvline(1, color="black", linewidth=0.6, zorder=0)
    axes.set(title=f"{title}: squares are int8, bars 95 % intervals over time", xscale="log",
             xlabel="p50 in the engine, µs a tick", ylabel="macro F1",
             xticks=(0.1, 0.2, 0.5, 1, 2, 5, 10, 100))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.legend(fontsize=7, labelspacing=0.4, loc="upper left", bbox_to_anchor=(1, 1))
    plots.save(drawing, path)
