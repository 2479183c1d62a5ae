"""The frontier: macro F1 on the test part against time in the engine."""

from __future__ import annotations

import pathlib

from study import Study

from martlet.training import plots


def plot(study: Study, column: int, path: pathlib.Path, title: str) -> None:
    """A point with its interval for each predictor that the engine has run, a line for each baseline."""
    drawing, (axes,) = plots.figure(width=8, height=5)
    kinds = sorted({name.split()[0] for name, facts in study.rows.items() if "engine" in facts})
    for number, kind in enumerate(kinds):
        for name, facts in study.rows.items():
            if "engine" not in facts or name.split()[0] != kind or "member" in name:
                continue
            score, engine = study.score(name, column), facts["engine"]
            is_integer = engine["precision"] == "int8"
            axes.errorbar(engine["p50_ns"] / 1e3, score.value, [[score.value - score.low], [score.high - score.value]],
                          marker="s" if is_integer else "o", markersize=5, capsize=2, linewidth=0.7, color=f"C{number}")
            axes.annotate(name, (engine["p50_ns"] / 1e3, score.value), xytext=(4, 3), textcoords="offset points",
                          fontsize=6)
    for number, name in enumerate(name for name, facts in study.rows.items() if "engine" not in facts):
        score = study.score(name, column).value
        if name != "majority":
            axes.axhline(score, color="grey", linewidth=0.8, linestyle=(0, (1 + 2 * number, 2)), label=name)
    axes.axvline(1, color="black", linewidth=0.6)
    axes.set(title=f"{title}: squares are int8, bars 95 % intervals over time", xscale="log",
             xlabel="p50 in the engine, µs a tick", ylabel="macro F1")
    axes.legend(fontsize="small", loc="lower right")
    plots.save(drawing, path)
