"""What a run's predictions are worth on the test part, and that the engine's file gives the same figures."""

from __future__ import annotations

import pathlib

import numpy as np
import onnx

from .. import labels
from . import engine, export, guesses, metrics
from .comparison import Row
from .data import LEAD, Problem

#: How far figures of a float model from `martlet score` may be from those of the training code.
SCORE_TOLERANCE = 1e-4
#: Ticks of which every output of a float file is compared with ONNX Runtime.
CHECK_TICKS = 4_000
#: Ticks before the test part that the integer reference runs through.
REFERENCE_BURN_IN = LEAD
SCORES = ("macro_f1", "weighted_f1", "accuracy")
#: Of expected returns and volatilities on the test part; the first is the one that they are compared by.
RETURN_SCORES = ("information_coefficient", "rank_information_coefficient", "r_squared_against_zero")
VOLATILITY_SCORES = ("correlation_with_realised", "rank_correlation_with_realised")


class MismatchError(RuntimeError):
    """The exported file does not do what was evaluated."""


def exact_outputs(model: onnx.ModelProto, problem: Problem, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of a quantised file: the integer reference's in the test part, before it those of the training code."""
    first = max(problem.test_from - REFERENCE_BURN_IN, 0)
    reset = np.array(problem.data.reset[first:])
    exact = export.run(model, problem.data.features[first:], reset)
    result = {name: np.array(value) for name, value in found.items()}
    for name, value in exact.items():
        result[name][problem.test_from:] = value[problem.test_from - first:]
    return result


def check_file(model: onnx.ModelProto, problem: Problem, found: dict[str, np.ndarray]) -> float:
    """The largest difference of a float file's outputs, run by ONNX Runtime, from those of the training code."""
    rows = slice(0, CHECK_TICKS)
    first = {name: value[rows] for name, value in found.items()}
    try:
        return export.check(model, first, problem.data.features[rows], problem.data.reset[rows])
    except ValueError as error:
        raise MismatchError(str(error)) from error


def check_score(path: pathlib.Path, feeds: list[list[pathlib.Path]], problem: Problem, probabilities: np.ndarray,
                is_exact: bool, sizes=()) -> dict:
    """Scores by `martlet score` on the test part of each recording, whose files are `feeds`, beside those of
    `probabilities` [N, H, 3] on the same ticks.

    Both count from the capture time of the first test tick on. Horizons that `martlet score` does not evaluate, as
    those in milliseconds, are named in `left_out`. Raises MismatchError for scores that differ by more than
    `SCORE_TOLERANCE`, or at all where `is_exact`.
    """
    rows: list[dict] = []
    left_out: list[str] = []
    for files, part in zip(feeds, problem.tests, strict=True):
        found, left_out = _recording_scores(path, files, problem, part, probabilities, is_exact, sizes)
        rows += found
    return {"is_exact": is_exact, "horizons": rows, "left_out": left_out}


def _recording_scores(path, files, problem, part, probabilities, is_exact, sizes):
    """Rows of the horizons that `martlet score` evaluates, and the names of the others."""
    begin = int(problem.data.ts_recv[part.start + int(np.argmax(problem.test[part].any(axis=1)))])
    report, left_out = engine.score(files, path, begin, sizes), []
    is_counted = (problem.data.ts_recv >= begin) & (labels.ticks_since_reset(problem.data.reset) >= problem.warm_up)
    is_counted[:part.start] = is_counted[part.stop:] = False
    rows = []
    for column, (horizon, engine_row) in enumerate(zip(problem.horizons, report["horizons"])):
        if not engine_row["confusion"]:
            left_out.append(str(horizon))
            continue
        chosen = is_counted & (problem.classes[:, column] != labels.NONE) & (problem.known[:, column] != labels.NONE)
        guess = labels.most_probable(probabilities[chosen, column])
        matrix = metrics.confusion(problem.classes[chosen, column], guess)
        ours = {"macro_f1": float(metrics.macro_f1(matrix)), "weighted_f1": float(metrics.weighted_f1(matrix)),
                "accuracy": float(metrics.accuracy(matrix))}
        moved = int(np.abs(matrix - np.array(engine_row["confusion"])).sum())
        difference = max(abs(ours[name] - engine_row[name]) for name in SCORES)
        counts = int(chosen.sum()), engine_row["evaluated"]
        if counts[0] != counts[1] or not difference <= SCORE_TOLERANCE or is_exact and moved:
            raise MismatchError(
                f"{path} on {files[0].name}, {horizon}: martlet score gives a macro F1 of {engine_row['macro_f1']:.6f} "
                f"over {counts[1]} ticks, the training code {ours['macro_f1']:.6f} over {counts[0]}; their confusion "
                f"matrices differ by {moved}")
        rows.append({
            "recording": files[0].name, "evaluate_from": begin, "horizon": str(horizon), "ticks": counts[0],
            "difference": difference, "confusion_difference": moved, "python": ours,
            "engine": {name: engine_row[name] for name in SCORES}})
    return rows, left_out


def other_heads(problem: Problem, found: dict[str, np.ndarray], rows: list[Row]) -> dict:
    """Scores of expected return, volatility and trend, by output, horizon (the trend has one) and predictor: the
    student beside guesses that need no network. `rows` tell what logistic regression's direction is worth as a return;
    it has no size, so no R²."""
    result: dict = {}
    for column, horizon in enumerate(map(str, problem.horizons)):
        chosen = problem.test[:, column] & np.isfinite(problem.returns[:, column])
        if "expected_return" in found:
            every = {"student": found["expected_return"][:, column], "ridge": guesses.ridge(problem, column)}
            scores = {name: _return_scores(guess[chosen], problem.returns[chosen, column])
                      for name, guess in every.items()}
            for row in rows:
                if row.horizon == horizon and row.name == "logistic":
                    scores["logistic, p(up) − p(down)"] = dict(
                        zip(RETURN_SCORES, (*row.information_coefficient, float("nan"))))
            result.setdefault("expected_return", {})[horizon] = scores
        if "volatility" in found:
            every = {"student": found["volatility"][:, column],
                     "trailing": guesses.trailing_volatility(problem, column)}
            result.setdefault("volatility", {})[horizon] = {
                name: dict(zip(VOLATILITY_SCORES, metrics.information_coefficient(
                    guess[chosen], problem.volatility[chosen, column]))) for name, guess in every.items()}
    if "trend" in found:
        result["trend"] = {f"{problem.trend_ticks} ticks": _trend(problem, found["trend"])}
    return result


def _return_scores(guess, realised):
    against_zero = 1 - float(np.square(guess - realised).sum() / np.square(realised).sum())
    return dict(zip(RETURN_SCORES, (*metrics.information_coefficient(guess, realised), against_zero)))


def _trend(problem, probabilities):
    chosen = problem.trend_test & np.isfinite(probabilities).all(axis=1)
    every = {"student": labels.most_probable(probabilities), "known half": guesses.known_trend(problem),
             "persistence": guesses.last_trend(problem),
             "majority": np.full(len(chosen), guesses.common_trend(problem))}
    return {name: metrics.f1_scores(problem.trend[chosen], guess[chosen]) for name, guess in every.items()}


def plain(rows: list[Row]) -> list[dict]:
    """A comparison as JSON has it."""
    return [{
        "name": row.name, "horizon": row.horizon, "calibration_error": row.calibration_error,
        "information_coefficient": list(row.information_coefficient), "confusion": row.confusion.tolist(),
        **{name: {"value": one.value, "low": one.low, "high": one.high} for name, one in row.intervals.items()}}
        for row in rows]


def file_metrics(rows: list[Row], problem: Problem, name: str) -> dict[str, float]:
    """The scores that stand in a model's file: its own, and persistence's and majority's where they are there."""
    values = {}
    for horizon in problem.horizons:
        for row in rows:
            if row.horizon == str(horizon) and row.name in (name, "persistence", "majority"):
                prefix = "" if row.name == name else f"{row.name}_"
                length = f"{horizon.length}{'ms' if horizon.unit == 'milliseconds' else ''}"
                for score in ("macro_f1", "weighted_f1"):
                    values[f"test_{prefix}{score}_{length}"] = round(row.intervals[score].value, 4)
    return values
