"""One table of all predictors on the same ticks: scores, intervals over time, spread over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..labels import most_probable
from . import metrics
from .bootstrap import RESAMPLES, Interval, Resamples, deviation_of
from .data import REACHES, Problem

#: The score by which predictors are compared, and the others that stand beside it.
INTERVALS = {"macro_f1": metrics.macro_f1, "weighted_f1": metrics.weighted_f1, "matthews": metrics.matthews}


@dataclass(frozen=True)
class Row:
    """A predictor at one horizon. Scores of several seeds are averaged."""

    name: str
    horizon: str
    #: By the names of `INTERVALS` and "brier".
    intervals: dict[str, Interval]
    #: Of macro F1 over seeds, the sample standard deviation; NaN of one seed.
    deviation: float
    #: Expected calibration error of the most probable class.
    calibration_error: float
    #: Pearson's and Spearman's correlation of p(up) − p(down) with the return to the horizon's last tick.
    information_coefficient: tuple[float, float]
    #: [3, 3], summed over seeds.
    confusion: np.ndarray


def draws_of(problem: Problem, column: int, part: str = "test", resamples: int = RESAMPLES) -> Resamples:
    """Of the ticks of a part that count at a horizon; blocks are as long as its labels want."""
    chosen = problem.part(part)[:, column]
    longest = max(int(problem.ahead[chosen, column].max()), 1)
    return Resamples(int(chosen.sum()), longest, resamples=resamples, reach=REACHES[problem.label])


def compare(
    problem: Problem, predictions: dict[str, np.ndarray], part: str = "test", resamples: int = RESAMPLES,
) -> list[Row]:
    """Rows by horizon, then predictor; `predictions` are probabilities [S, N, H, 3], or [N, H, 3] of one seed."""
    rows = []
    for column, horizon in enumerate(problem.horizons):
        chosen = problem.part(part)[:, column]
        expected, returns = problem.classes[chosen, column], problem.returns[chosen, column]
        draws = draws_of(problem, column, part, resamples)
        for name, probabilities in predictions.items():
            seeds = np.reshape(probabilities, (-1, *problem.classes.shape, metrics.CLASSES))[:, chosen, column]
            guesses = most_probable(seeds)
            intervals = {key: draws.interval(metric, expected, guesses) for key, metric in INTERVALS.items()}
            intervals["brier"] = draws.mean(np.mean([metrics.brier_terms(expected, seed) for seed in seeds], axis=0))
            matrices = [metrics.confusion(expected, guess) for guess in guesses]
            rows.append(Row(
                name, str(horizon), intervals, deviation_of([metrics.macro_f1(matrix) for matrix in matrices]),
                float(np.mean([metrics.reliability(expected, seed).calibration_error for seed in seeds])),
                tuple(np.mean([metrics.information_coefficient(metrics.direction_score(seed), returns)
                               for seed in seeds], axis=0)), np.sum(matrices, axis=0)))
    return rows


def table(rows: list[Row]) -> list[list[str]]:
    """A head and a row for each, for a report. In brackets 95 % intervals of the moving-block bootstrap; ± is the
    spread over seeds."""
    head = ["horizon", "", "macro F1", "±", "weighted F1", "Matthews", "Brier", "ECE", "IC", "rank IC"]
    return [head, *([
        row.horizon, row.name, str(row.intervals["macro_f1"]),
        "–" if np.isnan(row.deviation) else f"{row.deviation:.3f}",
        *(str(row.intervals[key]) for key in ("weighted_f1", "matthews", "brier")), f"{row.calibration_error:.3f}",
        *(f"{value:.3f}" for value in row.information_coefficient)] for row in rows)]
